from typing import Any

import pytest

from risk_manager.domain.events import Refusal
from risk_manager.venues.projectx.outcomes import Accepted, Mutation, Rejected, Unknown, Verdict, verdict

HALT = "Trading is currently unavailable. The instrument is not in an active trading status."
LOCKED = "Your account is locked out: Personal. Please wait until your lockout expires."
FOLLOWER = "Follower accounts cannot cancel orders"


def envelope(code: int, message: str | None = None) -> dict[str, Any]:
    return {"success": code == 0, "errorCode": code, "errorMessage": message}


def short(found: Verdict) -> str:
    match found:
        case Rejected(refusal, _):
            return str(refusal)
        case Accepted():
            return "accepted"
        case Unknown():
            return "unknown"


TABLE = """
cancel  0 accepted    | close 0 accepted    | reduce 0 accepted   | place 0 accepted       | modify 0 accepted
cancel  1 other       | close 1 other       | reduce 1 other      | place 1 other          | modify 1 other
cancel  2 not_found   | close 2 not_found   | reduce 2 not_found  | place 2 other          | modify 2 not_found
cancel  3 other       | close 3 other       | reduce 3 other      | place 3 other          | modify 3 other
cancel  4 unknown     | close 4 other       | reduce 4 other      | place 4 not_allowed    | modify 4 unknown
cancel  5 unknown     | close 5 other       | reduce 5 other      | place 5 market_closed  | modify 5 unknown
cancel  6 not_allowed | close 6 unknown     | reduce 6 market_closed | place 6 unknown     | modify 6 not_allowed
cancel  7 unknown     | close 7 unknown     | reduce 7 unknown    | place 7 unknown        | modify 7 other
cancel 99 unknown     | close 8 not_allowed | reduce 8 unknown    | place 8 other          | modify 8 unknown
cancel -1 unknown     | close 9 unknown     | reduce 9 not_allowed | place 10 not_allowed  | modify 9 unknown
"""
ROWS = [tuple(cell.split()) for line in TABLE.strip().splitlines() for cell in line.split("|")]


@pytest.mark.parametrize(("name", "code", "expected"), ROWS)
def test_reads_a_code_by_its_endpoint(name: str, code: str, expected: str) -> None:
    assert short(verdict(Mutation[name.upper()], 200, envelope(int(code)))) == expected


@pytest.mark.parametrize(
    ("mutation", "code", "message", "expected"),
    [
        (Mutation.PLACE, 2, HALT, Refusal.MARKET_CLOSED),
        (Mutation.PLACE, 2, "Outside of trading hours.", Refusal.MARKET_CLOSED),
        (Mutation.CLOSE, 5, HALT, Refusal.MARKET_CLOSED),
        (Mutation.PLACE, 2, LOCKED, Refusal.NOT_ALLOWED),
        (Mutation.CANCEL, 3, FOLLOWER, Refusal.NOT_ALLOWED),
        (Mutation.PLACE, 2, "Invalid stop price. Price is not aligned to tick size.", Refusal.OTHER),
        (Mutation.REDUCE, 6, "Something else", Refusal.OTHER),
    ],
)
def test_reads_a_rejection_by_its_words(mutation: Mutation, code: int, message: str, expected: Refusal) -> None:
    found = verdict(mutation, 200, envelope(code, message))
    assert found == Rejected(expected, f"code {code}: {message}")


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, None, "other"),
        (404, None, "other"),
        (408, None, "unknown"),
        (500, None, "unknown"),
        (502, envelope(0), "unknown"),
        (302, None, "unknown"),
        (200, None, "unknown"),
        (200, {}, "unknown"),
        (200, {"success": True, "errorCode": 2}, "unknown"),
        (200, {"success": False, "errorCode": 0}, "unknown"),
        (200, {"success": False, "errorCode": None}, "unknown"),
        (200, {"success": "true", "errorCode": 0}, "unknown"),
    ],
)
def test_trusts_only_a_clear_answer(status: int, body: dict[str, Any] | None, expected: str) -> None:
    assert short(verdict(Mutation.CLOSE, status, body)) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cancel", "rate_limited"),
        ("close", "rate_limited"),
        ("reduce", "unknown"),
        ("place", "unknown"),
        ("modify", "unknown"),
    ],
)
def test_takes_a_429_for_a_refusal_only_where_sending_again_does_no_harm(name: str, expected: str) -> None:
    assert short(verdict(Mutation[name.upper()], 429, None)) == expected


def test_repeats_only_what_carries_no_size() -> None:
    assert {mutation for mutation in Mutation if mutation.is_repeatable} == {Mutation.CANCEL, Mutation.CLOSE}

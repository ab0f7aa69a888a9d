"""What a mutation's answer means: done, definitely not done, or unknown. One table per endpoint, as the venue's own
error codes mean something else on each."""

from enum import StrEnum
from typing import Any

import msgspec

from risk_manager.domain.events import Refusal


class Mutation(StrEnum):
    """The mutating endpoints the guard uses, by path."""

    CANCEL = "/api/Order/cancel"
    CLOSE = "/api/Position/closeContract"
    REDUCE = "/api/Position/partialCloseContract"
    PLACE = "/api/Order/place"
    MODIFY = "/api/Order/modify"

    @property
    def is_repeatable(self) -> bool:
        """Whether sending it twice can do no more than sending it once: it carries no size and no price."""
        return self in (Mutation.CANCEL, Mutation.CLOSE)


class Accepted(msgspec.Struct, frozen=True, gc=False):
    pass


class Rejected(msgspec.Struct, frozen=True, gc=False):
    refusal: Refusal
    message: str


class Unknown(msgspec.Struct, frozen=True, gc=False):
    message: str


Verdict = Accepted | Rejected | Unknown

_BY_TEXT = "by text"
_PENDING = "pending"

# errorCode -> what it means there. A code that is not listed is not trusted: unknown.
_CODES: dict[Mutation, dict[int, Refusal | str]] = {
    Mutation.CANCEL: {
        1: Refusal.OTHER,
        2: Refusal.NOT_FOUND,
        3: _BY_TEXT,
        4: _PENDING,
        5: _PENDING,
        6: Refusal.NOT_ALLOWED,
    },
    Mutation.MODIFY: {
        1: Refusal.OTHER,
        2: Refusal.NOT_FOUND,
        3: _BY_TEXT,
        4: _PENDING,
        5: _PENDING,
        6: Refusal.NOT_ALLOWED,
        7: Refusal.OTHER,
    },
    Mutation.CLOSE: {
        1: Refusal.OTHER,
        2: Refusal.NOT_FOUND,
        3: Refusal.OTHER,
        4: Refusal.OTHER,
        5: _BY_TEXT,
        6: _PENDING,
        7: _PENDING,
        8: Refusal.NOT_ALLOWED,
    },
    Mutation.REDUCE: {
        1: Refusal.OTHER,
        2: Refusal.NOT_FOUND,
        3: Refusal.OTHER,
        4: Refusal.OTHER,
        5: Refusal.OTHER,
        6: _BY_TEXT,
        7: _PENDING,
        8: _PENDING,
        9: Refusal.NOT_ALLOWED,
    },
    Mutation.PLACE: {
        1: Refusal.OTHER,
        2: _BY_TEXT,
        3: Refusal.OTHER,
        4: Refusal.NOT_ALLOWED,
        5: Refusal.MARKET_CLOSED,
        6: _PENDING,
        7: _PENDING,
        8: Refusal.OTHER,
        9: Refusal.OTHER,
        10: Refusal.NOT_ALLOWED,
    },
}

_CLOSED_TEXTS = ("trading is currently unavailable", "not in an active trading status", "outside of trading hours")
_STICKY_TEXTS = (
    "locked out",
    "violation",
    "daily loss",
    "maximum loss",
    "not allowed",
    "not supported",
    "follower account",
)


def verdict(mutation: Mutation, status: int, envelope: dict[str, Any] | None) -> Verdict:
    """Judge an answer. 401 is not judged here: whether to send again is the caller's decision."""
    if status == 429:
        return _one_too_many(mutation)
    if 400 <= status < 500 and status != 408:
        return Rejected(Refusal.OTHER, f"status {status}")
    if status != 200 or envelope is None:
        return Unknown(f"status {status}, {'no envelope' if envelope is None else 'envelope ignored'}")
    code, text = envelope.get("errorCode"), envelope.get("errorMessage")
    message = f"code {code}: {text[:300]}" if isinstance(text, str) and text else f"code {code}"
    if envelope.get("success") is True and code == 0:
        return Accepted()
    if envelope.get("success") is not False or not isinstance(code, int) or code == 0:
        return Unknown(f"success and errorCode disagree ({message})")
    meaning = _CODES[mutation].get(code, _PENDING)
    if meaning == _PENDING:
        return Unknown(message)
    if meaning == _BY_TEXT:
        return Rejected(_refusal_by_text(mutation, text), message)
    assert isinstance(meaning, Refusal), meaning
    return Rejected(meaning, message)


def _one_too_many(mutation: Mutation) -> Verdict:
    """What a 429 means. A limiter stands before the operation, but nobody has seen this venue's from the inside.

    So what must not be done twice may have been done. What may be goes on at the pace of a refused call: the quicker
    one of an unknown call would use up the next window too.
    """
    message = "429 too many requests"
    return Rejected(Refusal.RATE_LIMITED, message) if mutation.is_repeatable else Unknown(message)


def _refusal_by_text(mutation: Mutation, text: object) -> Refusal:
    """Classify a rejection by words in its message; the exact sentences are not promised."""
    if not isinstance(text, str) or not text:
        # Documented for the partial close only: no message means a closed market, or no price.
        return Refusal.MARKET_CLOSED if mutation is Mutation.REDUCE else Refusal.OTHER
    lower = text.lower()
    if any(words in lower for words in _CLOSED_TEXTS):
        return Refusal.MARKET_CLOSED
    return Refusal.NOT_ALLOWED if any(words in lower for words in _STICKY_TEXTS) else Refusal.OTHER

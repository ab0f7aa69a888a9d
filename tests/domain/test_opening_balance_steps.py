"""What one event makes of an opening balance, field by field: money in micros, times in seconds from `START_NS`."""

from typing import Any

import msgspec
import pytest

from risk_manager.domain.account import Account
from risk_manager.domain.events import AccountUpdated, Event, FillReceived, SnapshotTaken, TimerFired
from risk_manager.domain.fill import Fill
from risk_manager.domain.opening_balance import OpeningBalance, followed
from risk_manager.domain.order import Side
from risk_manager.engine.account import AccountState
from risk_manager.testing.events import DAYS, SECOND_NS, START_NS

DAY = DAYS.day_of(START_NS)
DAY_STARTS_S = (DAY.start_ns - START_NS) // SECOND_NS


def at(seconds: float) -> int:
    return START_NS + int(seconds * SECOND_NS)


# 1000 at the day's beginning, 10 won since.
SETTLED = OpeningBalance(
    DAY.label, DAY.end_ns, 1000, 1000, net_micros=10, has_fills=True, is_settled=True, told_ns=at(-60)
)
TOLD = msgspec.structs.replace(SETTLED, is_settled=False, told_ns=at(0), due_ns=at(2), held=("ES",))
CARRIED = msgspec.structs.replace(SETTLED, is_settled=False, told_ns=0, due_ns=at(50))
DOUBTED = msgspec.structs.replace(SETTLED, doubt_micros=900, doubt_ns=at(0))
UNKNOWN = OpeningBalance(DAY.label, DAY.end_ns, net_micros=10, has_fills=True)

AS_TOLD = {"low_micros": 1000, "high_micros": 1000, "told_ns": at(3), "due_ns": at(5)}


def fill(seconds: float, pnl: int | None = None, fees: int = 0, *, contract_id: str = "ES", void: bool = False) -> Fill:
    return Fill("1", "o1", contract_id, Side.BUY, 1, 100, at(seconds), pnl, fees, void)


def balance(micros: int) -> Account:
    return Account("1001", "PRACTICE-1001", micros, True)


def filled(seconds: float, *, contract_id: str = "ES") -> FillReceived:
    return FillReceived("1001", fill(seconds, contract_id=contract_id), at(seconds), at(seconds))


def told(micros: int, seconds: float) -> AccountUpdated:
    return AccountUpdated("1001", balance(micros), at(seconds), at(seconds))


def read(micros: int | None, fills: tuple[Fill, ...] | None, seconds: float) -> SnapshotTaken:
    """A snapshot; a balance or fills that are None could not be read."""
    record = None if micros is None else balance(micros)
    return SnapshotTaken("1001", record, (), (), fills, 0, (), at(seconds), at(seconds), at(seconds))


def changes(known: OpeningBalance, event: Event, net: int, now_ns: int | None = None) -> dict[str, Any]:
    """The fields an event changes, where the day's closed result is `net` after it."""
    account = AccountState("1001", DAYS)
    account.now_ns = event.received_ns if now_ns is None else now_ns
    account.day = DAYS.day_of(account.now_ns)
    account.realized_micros = net
    after = followed(known, event, account)
    names = msgspec.structs.asdict(known)
    return {name: getattr(after, name) for name, before in names.items() if getattr(after, name) != before}


def but(known: OpeningBalance, **fields: Any) -> OpeningBalance:
    return msgspec.structs.replace(known, **fields)


@pytest.mark.parametrize(
    ("known", "event", "net", "expected"),
    [
        # of a contract that was held: its result may be in the record
        (TOLD, filled(1), -30, {"high_micros": 1040, "due_ns": None, "net_micros": -30, "last_fill_ns": at(1)}),
        (TOLD, filled(1), 60, {"low_micros": 950, "due_ns": None, "net_micros": 60, "last_fill_ns": at(1)}),
        (TOLD, filled(1), 10, {"last_fill_ns": at(1)}),  # it opened, for no fee
        (TOLD, filled(2), 60, {"low_micros": 950, "due_ns": None, "net_micros": 60, "last_fill_ns": at(2)}),
        # of one that was not, from the record on
        (TOLD, filled(1, contract_id="NQ"), 60, {"net_micros": 60, "last_fill_ns": at(1)}),
        (
            TOLD,
            filled(0, contract_id="NQ"),
            60,
            {"low_micros": 950, "due_ns": None, "net_micros": 60, "last_fill_ns": at(0)},
        ),
        # where nothing is in doubt
        (SETTLED, filled(-70), 60, {"net_micros": 60, "last_fill_ns": at(-70)}),
        (CARRIED, filled(1), 60, {"net_micros": 60, "last_fill_ns": at(1)}),
        (UNKNOWN, filled(1), 60, {"net_micros": 60, "last_fill_ns": at(1)}),
        # what the venue has spoken for is told anew
        (but(SETTLED, doubt_micros=900, last_fill_ns=at(5)), filled(1), 10, {"doubt_micros": None}),
    ],
)
def test_a_fill(known: OpeningBalance, event: Event, net: int, expected: dict[str, Any]) -> None:
    assert changes(known, event, net) == expected


@pytest.mark.parametrize(
    ("known", "seconds", "expected"),
    [
        (SETTLED, DAY_STARTS_S - 1, {"is_settled": False, "told_ns": 0, "due_ns": at(60)}),
        (SETTLED, DAY_STARTS_S, {}),
        (TOLD, DAY_STARTS_S - 1, {}),
        (UNKNOWN, DAY_STARTS_S - 1, {}),
    ],
)
def test_a_fill_of_the_day_before_may_be_missing_in_what_was_carried_over(
    known: OpeningBalance, seconds: int, expected: dict[str, Any]
) -> None:
    known = but(known, last_fill_ns=at(-5))
    assert changes(known, filled(seconds), known.net_micros, at(0)) == expected


@pytest.mark.parametrize(
    ("known", "event", "expected"),
    [
        # nothing known yet: what is told is it, and waits for what may still come
        (UNKNOWN, told(1010, 3), AS_TOLD),
        (but(UNKNOWN, last_fill_ns=at(1)), told(1010, 3), AS_TOLD),
        (but(UNKNOWN, last_fill_ns=at(1.5)), told(1010, 3), {}),
        (but(UNKNOWN, has_fills=False), told(1010, 3), {}),
        # the same again
        (TOLD, told(1010, 1), {}),
        (but(TOLD, last_fill_ns=at(0)), told(1010, 1), {}),
        (CARRIED, told(1010, 3), {"is_settled": True, "due_ns": None}),
        (but(CARRIED, last_fill_ns=at(2)), told(1010, 3), {}),
        # something else
        (CARRIED, told(1005, 3), {"low_micros": 995, "high_micros": 995, "told_ns": at(3), "due_ns": at(5)}),
        (SETTLED, told(1010, 3), {}),
        (SETTLED, told(910, 3), {"doubt_micros": 900, "doubt_ns": at(3)}),
        (but(SETTLED, last_fill_ns=at(2)), told(910, 3), {}),
    ],
)  # fmt: skip
def test_a_balance(known: OpeningBalance, event: Event, expected: dict[str, Any]) -> None:
    assert changes(known, event, 10) == expected


@pytest.mark.parametrize(
    ("fields", "event", "expected"),
    [
        ({}, told(910, 2), {"low_micros": 900, "high_micros": 900, "taken_micros": 100, "doubt_micros": None}),
        ({}, told(910, 1.5), {}),
        ({}, told(900, 2), {"doubt_micros": 890, "doubt_ns": at(2)}),
        ({}, told(1010, 2), {"doubt_micros": None}),
        ({"last_fill_ns": at(1)}, told(910, 2), {"doubt_micros": None}),
        ({"doubt_micros": 1005}, told(1015, 2), {"ignored_micros": 5, "doubt_micros": None}),
        (
            {"doubt_micros": 1001, "taken_micros": 7},
            told(1011, 2),
            {"low_micros": 1001, "high_micros": 1001, "taken_micros": 6, "doubt_micros": None},
        ),
        (
            {"low_micros": 0, "high_micros": 0, "doubt_micros": -5},
            told(5, 2),
            {"low_micros": -5, "high_micros": -5, "taken_micros": 5, "doubt_micros": None},
        ),
    ],
)
def test_a_balance_in_doubt(fields: dict[str, Any], event: Event, expected: dict[str, Any]) -> None:
    known = but(DOUBTED, **fields)
    assert changes(known, event, 10) == expected


@pytest.mark.parametrize(
    ("fills", "net", "bounds", "due_ns"),
    [
        ((), 0, (1010, 1010), at(5)),
        ((fill(0.5, 60),), 60, (950, 950), at(5)),
        # a fill of the last two seconds may be in the balance or not
        ((fill(1, 60),), 60, (950, 950), at(5)),
        ((fill(1.5, 60),), 60, (950, 1010), None),
        ((fill(1.5, 1),), 1, (1009, 1010), None),
        ((fill(1.5, -60),), -60, (1010, 1070), None),
        ((fill(1.5, None, 4),), -4, (1010, 1014), None),
        ((fill(1.5, 60, void=True),), 0, (None, 0), None),
    ],
)
def test_a_first_snapshot(
    fills: tuple[Fill, ...], net: int, bounds: tuple[int | None, int], due_ns: int | None
) -> None:
    found = changes(OpeningBalance(DAY.label, DAY.end_ns), read(1010, fills, 3), net)
    assert found["has_fills"]
    assert found.get("last_fill_ns", 0) == max([0, *(one.at_ns for one in fills)])
    assert (found.get("low_micros"), found.get("high_micros", 0)) == bounds
    assert (found.get("told_ns"), found.get("due_ns")) == (None if bounds[0] is None else at(3), due_ns)


@pytest.mark.parametrize(
    ("known", "event", "net", "expected"),
    [
        # a result the stream has not told: it may be in the record, if that is still in doubt
        (TOLD, read(None, (), 1), 60, {"low_micros": 950, "due_ns": None, "net_micros": 60}),
        (TOLD, read(None, (), 1), -30, {"high_micros": 1040, "due_ns": None, "net_micros": -30}),
        (TOLD, read(None, (), 1), 10, {}),
        (SETTLED, read(None, (), 1), 60, {"net_micros": 60}),
        (CARRIED, read(None, (), 1), 60, {"net_micros": 60}),
        (UNKNOWN, read(None, (), 1), 60, {"net_micros": 60}),
        (TOLD, read(None, (fill(-3),), 1), 10, {"last_fill_ns": at(-3)}),
        (but(TOLD, last_fill_ns=at(-1)), read(None, (fill(-3),), 1), 10, {}),
        (DOUBTED, read(None, (), 1), 60, {"net_micros": 60, "doubt_micros": None}),
        (DOUBTED, read(None, (), 1), 10, {}),
        # fills that could not be read: the balance counts if none is near
        (SETTLED, read(910, None, 3), 10, {"doubt_micros": 900, "doubt_ns": at(3)}),
        (but(SETTLED, last_fill_ns=at(2)), read(910, None, 3), 10, {}),
        (but(SETTLED, last_fill_ns=at(2), doubt_micros=900), read(910, None, 3), 10, {}),
        (UNKNOWN, read(1010, None, 3), 10, AS_TOLD),
        (but(UNKNOWN, has_fills=False), read(1010, None, 3), 10, {}),
        (TOLD, read(None, None, 1), 60, {"net_micros": 60}),
    ],
)  # fmt: skip
def test_a_later_snapshot(known: OpeningBalance, event: Event, net: int, expected: dict[str, Any]) -> None:
    assert changes(known, event, net) == expected


@pytest.mark.parametrize(
    ("known", "seconds", "expected"),
    [
        (TOLD, 1.999, {}),
        (TOLD, 2, {"is_settled": True, "due_ns": None, "held": ()}),
        (but(TOLD, due_ns=None), 9, {}),
        (CARRIED, 50, {"is_settled": True, "due_ns": None}),
        (SETTLED, 50, {}),
    ],
)
def test_time_settles(known: OpeningBalance, seconds: float, expected: dict[str, Any]) -> None:
    assert changes(known, TimerFired("1001", 0, at(seconds)), 10, at(seconds)) == expected


def test_a_new_day_begins_with_nothing_but_the_sum() -> None:
    known = but(TOLD, doubt_micros=900, doubt_ns=at(1), ignored_micros=3, taken_micros=4)
    now_ns = DAY.end_ns + 5
    tomorrow = DAYS.day_of(now_ns)
    assert changes(known, TimerFired("1001", 0, now_ns), 0, now_ns) == {
        "day": tomorrow.label,
        "day_end_ns": tomorrow.end_ns,
        "low_micros": 1010,
        "high_micros": 1010,
        "net_micros": 0,
        "told_ns": 0,
        "due_ns": now_ns + 60 * SECOND_NS,
        "held": (),
        "doubt_micros": None,
        "taken_micros": 0,
    }


@pytest.mark.parametrize("known", [SETTLED, TOLD, CARRIED, DOUBTED, UNKNOWN])
def test_after_days_nobody_saw_nothing_is_known_but_the_money_that_came(known: OpeningBalance) -> None:
    account = AccountState("1001", DAYS)
    account.now_ns = DAY.end_ns + 30 * 3_600 * SECOND_NS
    account.day = DAYS.day_of(account.now_ns)
    after = followed(but(known, ignored_micros=3), TimerFired("1001", 0, account.now_ns), account)
    assert (after.low_micros, after.due_ns, after.told_ns, after.held) == (None, None, 0, ())
    assert (after.has_fills, after.is_settled, after.ignored_micros) == (False, False, 3)


def test_a_day_that_follows_an_unknown_one_is_unknown() -> None:
    now_ns = DAY.end_ns + 5
    tomorrow = {"day": "2025-01-16", "day_end_ns": DAYS.day_of(now_ns).end_ns, "net_micros": 0}
    assert changes(UNKNOWN, TimerFired("1001", 0, now_ns), 0, now_ns) == tomorrow

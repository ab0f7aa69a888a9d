"""The day's reset: once for each trading day, caught up after a stop, and only of what ends with the day."""

from functools import cache
from itertools import pairwise
from typing import ClassVar

import msgspec
import pytest

from risk_manager.config import build_trading_days
from risk_manager.domain.events import QuoteUpdated, SnapshotTaken, TimerFired
from risk_manager.domain.lockout import Lockout, LockoutKind, OnLock
from risk_manager.domain.order import Side
from risk_manager.domain.scope import ACCOUNT, Scope
from risk_manager.domain.trading_day import TradingDay, TradingDays
from risk_manager.engine import Engine
from risk_manager.rules import build_rules
from risk_manager.rules._base import Demand, LockTerms, LockUntil, Remedy
from risk_manager.testing.events import DAY_NS, ES, HOUR_NS, SECOND_NS, Scenario
from risk_manager.testing.guarded import Guarded
from tests.engine.switch import BLOCK_NEW, RESET, UNTIL_RELEASED, Other, Switch, breach, turn

FIRST_YEAR, LAST_YEAR = 2024, 2027


class Cooling(Switch, frozen=True, kw_only=True):
    """A switch whose lock is a cooldown."""

    name: ClassVar[str] = "cooling"

    @property
    def remedy(self) -> Remedy:
        return Remedy(self.demand, self.lock, LockoutKind.COOLDOWN)


class OwnEnd(Switch, frozen=True, kw_only=True):
    """A switch whose breach says when its lock ends."""

    name: ClassVar[str] = "own_end"


class Blocked(Switch, frozen=True, kw_only=True):
    """A switch that lets positions stay."""

    name: ClassVar[str] = "blocked"


@cache
def table() -> TradingDays:
    return build_trading_days("17:00", "America/Chicago", FIRST_YEAR, LAST_YEAR)


def day(label: str) -> TradingDay:
    return table().day_of(table().starts_ns[table().labels.index(label)])


def guarded(label: str, *rules: Switch) -> Guarded:
    """An account at the third hour of a trading day."""
    venue = Scenario(start_ns=day(label).start_ns + 3 * HOUR_NS)
    return Guarded(*rules, venue=venue, days=table())


def quote_at(one: Guarded, at_ns: int) -> QuoteUpdated:
    quote = one.venue.quote(ES, 5000)
    return msgspec.structs.replace(quote, at_ns=at_ns, received_ns=at_ns)


# -- once a day --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "last", "count"),
    [
        ("2024-03-07", "2024-03-13", 5),  # the clocks go forward
        ("2024-10-31", "2024-11-06", 5),  # and back
        ("2025-01-17", "2025-01-21", 3),  # over a holiday
        ("2025-12-24", "2025-12-29", 4),
    ],
)
def test_turns_once_with_each_trading_day(first: str, last: str, count: int) -> None:
    """Every ten minutes a word of the venue's clock: the day's result is dropped at its end, and never in between."""
    one = guarded(first)
    one.venue.now_ns = day(first).start_ns
    seen: list[str] = []
    account = one.engine.account
    while one.venue.now_ns < day(last).end_ns - 600 * SECOND_NS:
        one.venue.wait(600)
        one.feed(quote_at(one, one.venue.now_ns))
        label = table().day_of(one.venue.now_ns).label
        assert account.day.label == label
        if not seen or seen[-1] != label:
            assert account.realized_micros == 0
            seen.append(label)
            one.feed(one.venue.result(-100))
        assert account.realized_micros == -100_000_000
    assert len(seen) == count
    assert seen == sorted(set(seen))


def test_turns_at_the_nanosecond() -> None:
    one = guarded("2025-01-15")
    one.feed(one.venue.result(-100))
    one.feed(quote_at(one, day("2025-01-15").end_ns - 1))
    assert one.engine.account.realized_micros == -100_000_000
    one.feed(quote_at(one, day("2025-01-15").end_ns))
    assert one.engine.account.realized_micros == 0
    assert one.engine.account.day == day("2025-01-16")


def test_a_start_after_the_reset_does_not_reset_again() -> None:
    """Whoever starts in the evening keeps what the evening has brought (L-35)."""
    one = guarded("2025-01-15", Switch(found={1: (breach(),)}, lock=RESET))
    one.feed(one.venue.result(-100))
    turn(one, 1)
    locks = one.lockouts
    for _ in range(3):
        one.restart()
        one.venue.wait(2 * HOUR_NS // SECOND_NS)
        one.feed(one.venue.snapshot(), one.venue.timer())
    assert one.engine.account.realized_micros == -100_000_000
    assert one.lockouts == locks


def test_midnight_is_no_reset() -> None:
    """The evening's losses are still there in the morning (L-36)."""
    one = guarded("2025-01-15")
    one.feed(one.venue.result(-100))
    for at_ns in range(day("2025-01-15").start_ns + 4 * HOUR_NS, day("2025-01-15").end_ns, HOUR_NS):
        one.feed(quote_at(one, at_ns))
    assert one.engine.account.realized_micros == -100_000_000


@pytest.mark.parametrize("stopped_days", [1, 2, 5, 20])
def test_catches_up_after_a_stop(stopped_days: int) -> None:
    """L-34: nothing has to be running when the day ends."""
    one = guarded("2025-01-14", Switch(found={1: (breach(),)}, lock=RESET))
    one.feed(one.venue.result(-100))
    turn(one, 1)
    turn(one, 0)
    image = one.engine.snapshot()
    one.venue.now_ns += stopped_days * DAY_NS
    one.venue.fills.clear()
    one.engine = Engine.restore(one.settings, image)
    assert set(named(one)) == {"switch"}
    one.forget()
    one.feed(one.venue.snapshot())
    assert named(one) == {}
    released = [release for decision in one.decisions for release in decision.lockouts_released]
    assert [release.reason for release in released] == ["expired"]
    assert one.engine.account.day == table().day_of(one.venue.now_ns)
    assert one.engine.account.realized_micros == 0


def test_a_stop_into_the_middle_of_a_day_keeps_that_days_fills() -> None:
    one = guarded("2025-01-14")
    one.feed(one.venue.result(-100))
    image = one.engine.snapshot()
    one.venue.now_ns = day("2025-01-15").start_ns + HOUR_NS
    one.venue.result(-30)
    one.engine = Engine.restore(one.settings, image)
    one.feed(one.venue.snapshot())
    assert one.engine.account.realized_micros == -30_000_000


def test_the_local_clock_does_not_turn_the_day() -> None:
    one = guarded("2025-01-15")
    one.feed(one.venue.result(-100))
    one.feed(TimerFired("1001", 0, day("2025-01-15").end_ns + 5 * DAY_NS))
    assert one.engine.account.day == day("2025-01-15")
    assert one.engine.account.realized_micros == -100_000_000


# -- only what ends with the day ---------------------------------------------------------------------------------------


def locked() -> Guarded:
    """An account with locks of every kind of end, for itself and for products."""
    es, nq = Scope(root="ES"), Scope(root="MNQ")
    beyond_ns = day("2025-01-17").start_ns + 5
    rules = (
        Switch(found={1: (breach(),)}, lock=RESET),
        Other(found={1: (breach(es, rule="other"),)}, lock=UNTIL_RELEASED, demand=Demand.CLOSE_POSITION),
        Cooling(found={1: (breach(rule="cooling"),)}, lock=LockTerms(LockUntil.DURATION, 30 * HOUR_NS)),
        OwnEnd(
            found={1: (msgspec.structs.replace(breach(nq, rule="own_end"), until_ns=beyond_ns),)},
            lock=LockTerms(whole_account=False),
        ),
        Blocked(found={1: (breach(rule="blocked"),)}, lock=BLOCK_NEW, demand=Demand.CANCEL_ORDERS),
    )
    one = guarded("2025-01-15", *rules)
    turn(one, 1)
    turn(one, 0)
    return one


def named(one: Guarded) -> dict[str, Lockout]:
    return {lockout.rule: lockout for lockout in one.lockouts}


def test_ends_the_locks_of_the_day_and_no_other() -> None:
    one = locked()
    before = named(one)
    assert set(before) == {"switch", "other", "cooling", "own_end", "blocked"}
    one.feed(quote_at(one, day("2025-01-15").end_ns))
    assert named(one) == {rule: before[rule] for rule in ("other", "cooling", "own_end")}
    one.feed(quote_at(one, before["cooling"].until_ns or 0))
    assert set(named(one)) == {"other", "own_end"}
    one.feed(quote_at(one, day("2025-01-17").start_ns + 4))
    assert set(named(one)) == {"other", "own_end"}
    one.feed(quote_at(one, day("2025-01-17").start_ns + 5))
    assert set(named(one)) == {"other"}
    one.feed(quote_at(one, day("2025-01-17").start_ns + 30 * DAY_NS))
    assert named(one) == {"other": before["other"]}


def test_leaves_positions_and_orders_alone() -> None:
    one = guarded("2025-01-15")
    one.feed(one.venue.buys(ES, 2, 5000), one.venue.order(ES, Side.SELL, 2, stop=4990, order_id="stop"))
    one.forget()
    one.feed(quote_at(one, day("2025-01-15").end_ns))
    account = one.engine.account
    assert [holding.net_contracts for holding in account.holdings.values()] == [2]
    assert list(account.orders) == ["stop"]
    assert one.actions == []


def test_locks_survive_a_restart_with_kind_scope_end_and_remaining_time() -> None:
    one = locked()
    before = named(one)
    now_ns = one.engine.account.now_ns
    assert (before["cooling"].kind, before["switch"].kind) == (LockoutKind.COOLDOWN, LockoutKind.HARD)
    assert before["blocked"].on_lock is OnLock.BLOCK_NEW
    assert (before["own_end"].scope, before["switch"].scope) == (Scope(root="MNQ"), ACCOUNT)
    for _ in range(3):
        one.restart()
        assert named(one) == before
        assert one.engine.account.now_ns == now_ns
    remaining_s = [(lockout.until_ns - now_ns) // HOUR_NS for lockout in one.lockouts if lockout.until_ns is not None]
    assert sorted(remaining_s) == [20, 20, 29, 44]


def test_a_restart_from_the_journal_alone_keeps_the_locks() -> None:
    one = locked()
    before = one.lockouts
    one.engine = Engine.restore(one.settings, None, sequence=one.engine.sequence, lockouts=before, intents=())
    assert one.lockouts == before
    one.feed(one.venue.snapshot())
    assert one.lockouts == before
    one.feed(quote_at(one, day("2025-01-15").end_ns))
    assert set(named(one)) == {"other", "cooling", "own_end"}


def test_a_clock_set_back_does_not_lengthen_a_lock() -> None:
    one = locked()
    before = named(one)["cooling"]
    record = one.venue.snapshot()
    early = SnapshotTaken("1001", record.account, (), (), (), 0, (), 1, day("2025-01-13").start_ns, 2)
    one.restart()
    one.feed(early)
    assert named(one)["cooling"] == before
    assert one.engine.account.day == day("2025-01-15")


def test_a_daily_loss_locks_over_the_weekend_and_not_longer() -> None:
    """A-26: what locks on a Friday is open again with Monday's day, on Sunday evening."""
    (rule,) = build_rules({"daily_realized_loss": {"limit": 500}})
    venue = Scenario(start_ns=day("2025-01-17").start_ns + 20 * HOUR_NS)
    one = Guarded(rule, venue=venue, days=table())
    one.feed(one.venue.result(-500))
    (lockout,) = one.lockouts
    assert lockout.trading_day == "2025-01-17"
    assert lockout.until_ns == day("2025-01-20").start_ns
    one.feed(quote_at(one, day("2025-01-17").start_ns + 24 * HOUR_NS))  # Friday, five in the evening
    assert named(one) == {lockout.rule: lockout}
    one.feed(quote_at(one, day("2025-01-20").start_ns))
    assert named(one) == {}
    assert one.engine.account.day.label == "2025-01-20"


def test_the_table_of_days_has_no_gaps() -> None:
    days = [table().day_of(start) for start in table().starts_ns[:-1]]
    assert all(before.end_ns == after.start_ns for before, after in pairwise(days))

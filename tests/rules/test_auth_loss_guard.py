"""RULE-010: stop when the venue itself has blocked the account."""

from typing import Any

import msgspec
import pytest

from risk_manager.domain.actions import CancelOrder, ClosePosition
from risk_manager.domain.events import AccountUpdated, ActionRejected, ConnectionChanged, Link, Refusal, SnapshotTaken
from risk_manager.domain.finding import Release, Skipped, Unit, Warning
from risk_manager.domain.lockout import LockoutKind, OnLock
from risk_manager.domain.order import Side
from risk_manager.domain.scope import ACCOUNT
from risk_manager.rules import DailyRealizedLoss, OptionsInvalid, build_rule, options_of
from risk_manager.rules.auth_loss_guard import AuthLossGuard, Word
from risk_manager.testing.events import DAY_NS, ES, HOUR_NS, SECOND_NS, START_NS, Scenario, micros
from risk_manager.testing.guarded import Guarded

BLOCKED = "CAN_TRADE_FALSE"


def rule(**options: Any) -> AuthLossGuard:
    return build_rule(AuthLossGuard, options)


def says(guarded: Guarded, can_trade: bool, after_s: float = 1) -> None:
    """The venue's word, over the stream."""
    guarded.venue.wait(after_s)
    guarded.venue.can_trade = can_trade
    guarded.feed(guarded.venue.account())


def reads(guarded: Guarded, after_s: float = 1, **changes: object) -> SnapshotTaken:
    """The account is read over REST."""
    guarded.venue.wait(after_s)
    taken = msgspec.structs.replace(guarded.venue.snapshot(), **changes)
    guarded.feed(taken)
    return taken


def light(guarded: Guarded, after_s: float = 1) -> SnapshotTaken:
    return reads(guarded, after_s, account=None, fills=None)


def is_locked(guarded: Guarded) -> bool:
    return "auth_loss_guard" in [lock.rule for lock in guarded.lockouts]


# -- the lock ----------------------------------------------------------------------------------------------------------


def test_locks_at_once_and_closes_everything() -> None:
    guarded = Guarded(rule())
    guarded.feed(guarded.venue.buys(ES, 2, 5000), guarded.venue.order(ES, Side.SELL, 2, stop=4990))
    assert guarded.findings == []
    says(guarded, False)
    (breach,) = guarded.breaches
    assert (breach.code, breach.measured, breach.limit) == (BLOCKED, 0, 1)
    assert breach.evidence == (("can_trade", "false"), ("reason", "the venue does not allow this account to trade"))
    (lock,) = guarded.lockouts
    assert (lock.kind, lock.on_lock, lock.until_ns) == (LockoutKind.VENUE, OnLock.FLATTEN, None)
    assert [type(one) for one in guarded.actions if isinstance(one, ClosePosition | CancelOrder)] == [ClosePosition]


def test_locks_on_the_venues_first_word() -> None:
    """Not only on a change: the account was blocked before the guard came up."""
    venue = Scenario()
    venue.can_trade = False
    venue.position(ES, 1, 5000)
    guarded = Guarded(rule(), venue=venue)
    assert guarded.codes == [BLOCKED]
    assert is_locked(guarded)
    assert [one for one in guarded.actions if isinstance(one, ClosePosition)]


def test_locks_on_a_first_word_over_the_stream() -> None:
    guarded = Guarded(rule())
    guarded.engine = type(guarded.engine)(guarded.settings)
    says(guarded, False)
    assert guarded.codes == [BLOCKED]


def test_finds_it_by_reading_while_the_stream_is_dead() -> None:
    guarded = Guarded(rule())
    guarded.feed(ConnectionChanged("1001", Link.USER_HUB, False, "gone", 0, guarded.venue._tick()))
    guarded.venue.can_trade = False
    light(guarded)
    assert guarded.codes == [], "a light snapshot says nothing about the account"
    reads(guarded)
    assert guarded.codes == [BLOCKED]


def test_reports_it_once_and_repeats_nothing_on_repeated_words() -> None:
    guarded = Guarded(rule())
    for _ in range(3):
        says(guarded, False)
        reads(guarded)
    assert guarded.codes == [BLOCKED]


def test_what_is_opened_while_it_is_blocked_is_closed_again() -> None:
    guarded = Guarded(rule())
    says(guarded, False)
    guarded.feed(guarded.venue.buys(ES, 1, 5000))
    assert [type(one) for one in guarded.actions if isinstance(one, ClosePosition)] == [ClosePosition]


def test_a_refused_close_keeps_the_lock_and_is_tried_again_slower() -> None:
    guarded = Guarded(rule())
    guarded.feed(guarded.venue.buys(ES, 1, 5000))
    says(guarded, False)
    waits_ns = []
    for _ in range(5):
        close = [one for one in guarded.actions if isinstance(one, ClosePosition)][-1]
        now_ns = guarded.venue._tick()
        guarded.feed(ActionRejected("1001", close.id, Refusal.NOT_ALLOWED, "account blocked", now_ns, now_ns))
        guarded.forget()
        while not [one for one in guarded.actions if isinstance(one, ClosePosition)]:
            guarded.feed(guarded.venue.timer(after_s=0.05))
        waits_ns.append(guarded.venue.now_ns - now_ns)
    assert waits_ns == sorted(waits_ns)
    assert waits_ns[-1] > waits_ns[0]
    assert is_locked(guarded)


@pytest.mark.parametrize("close_positions", [True, False])
def test_positions_may_stay_if_asked(close_positions: bool) -> None:
    guarded = Guarded(rule(close_positions=close_positions))
    guarded.feed(guarded.venue.buys(ES, 1, 5000), guarded.venue.order(ES, Side.BUY, 1, limit=4900))
    says(guarded, False)
    # A close waits a moment for the cancel of what would open again.
    guarded.feed(guarded.venue.timer(after_s=1))
    closed = [type(one) for one in guarded.actions if isinstance(one, ClosePosition)]
    assert closed == ([ClosePosition] if close_positions else [])
    assert [type(one) for one in guarded.actions if isinstance(one, CancelOrder)] == [CancelOrder]
    (lock,) = guarded.lockouts
    assert lock.on_lock is (OnLock.FLATTEN if close_positions else OnLock.BLOCK_NEW)


def test_an_alert_does_nothing() -> None:
    guarded = Guarded(rule(action="alert"))
    guarded.feed(guarded.venue.buys(ES, 1, 5000))
    says(guarded, False)
    assert (guarded.codes, guarded.lockouts) == ([BLOCKED], ())
    assert not [one for one in guarded.actions if isinstance(one, ClosePosition)]


def test_two_accounts_are_two_matters() -> None:
    one, other = Guarded(rule()), Guarded(rule(), venue=Scenario("1002"))
    says(one, False)
    says(other, True)
    assert (len(one.lockouts), len(other.lockouts)) == (1, 0)


# -- its end -----------------------------------------------------------------------------------------------------------


def test_is_not_ended_by_the_trading_day() -> None:
    guarded = Guarded(rule())
    says(guarded, False)
    for _ in range(3):
        guarded.venue.now_ns += DAY_NS
        guarded.feed(guarded.venue.quote(ES, 5000))
        reads(guarded)
    (lock,) = guarded.lockouts
    assert lock.until_ns is None


def test_ends_when_the_venue_has_said_yes_for_long_enough() -> None:
    guarded = Guarded(rule())
    says(guarded, False)
    says(guarded, True)
    reads(guarded, 9)
    assert is_locked(guarded)
    reads(guarded, 1)
    assert not is_locked(guarded)
    (release,) = [one for decision in guarded.decisions for one in decision.lockouts_released]
    assert (release.rule, release.reason) == ("auth_loss_guard", "the venue allows trading again")


def test_remembers_since_when_the_venue_says_yes_until_the_lock_is_gone() -> None:
    guarded = Guarded(rule(unlock_after_seconds=0))
    own, venue = rule(), guarded.venue
    word = Word(START_NS, "2025-01-15")
    # Nothing is locked: there is nothing to wait for.
    assert own.step(word, venue.account(), guarded.engine.account) == (Word(), ())
    says(guarded, False)
    (lock,) = guarded.lockouts
    says(guarded, True)
    account = guarded.engine.account
    account.lockouts = (lock,)
    assert own.step(word, venue.timer(), account) == (word, ())
    taken = reads(guarded, 11)
    account.lockouts = (lock,)
    over = Release("auth_loss_guard", ACCOUNT, "the venue allows trading again")
    assert own.step(word, taken, account) == (Word(), (over,))


def test_a_no_in_between_starts_over() -> None:
    guarded = Guarded(rule())
    says(guarded, False)
    says(guarded, True)
    says(guarded, False, 6)
    says(guarded, True)
    reads(guarded, 6)
    assert is_locked(guarded)
    reads(guarded, 4)
    assert not is_locked(guarded)


def test_rapid_toggling_locks_each_time_and_unlocks_never() -> None:
    guarded = Guarded(rule())
    for index in range(10):
        says(guarded, index % 2 == 1, 3)
    assert is_locked(guarded)


@pytest.mark.parametrize(("after_ns", "still"), [(10 * SECOND_NS - 1, True), (10 * SECOND_NS, False)])
def test_ends_at_the_exact_time(after_ns: int, still: bool) -> None:
    guarded = Guarded(rule())
    says(guarded, False)
    says(guarded, True)
    said_ns = guarded.engine.account.now_ns
    taken = msgspec.structs.replace(guarded.venue.snapshot(), at_ns=said_ns + after_ns)
    guarded.feed(taken)
    assert is_locked(guarded) is still


def test_without_a_wait_the_first_yes_ends_it() -> None:
    guarded = Guarded(rule(unlock_after_seconds=0))
    says(guarded, False)
    guarded.venue.can_trade = True
    # Over the stream an account has no time of its own.
    guarded.feed(msgspec.structs.replace(guarded.venue.account(), at_ns=0))
    assert not is_locked(guarded)


def test_no_clock_of_ours_ends_it() -> None:
    """The trader sets the clock ahead, or the machine slept: only the venue's own word counts."""
    guarded = Guarded(rule())
    says(guarded, False)
    says(guarded, True)
    for _ in range(5):
        guarded.feed(guarded.venue.timer(after_s=60))
    assert is_locked(guarded)
    event: AccountUpdated = msgspec.structs.replace(guarded.venue.account(), at_ns=0)
    guarded.feed(event)
    assert is_locked(guarded), "an account event without a time is no witness of how long it lasted"


def test_a_read_without_the_account_ends_nothing() -> None:
    guarded = Guarded(rule())
    says(guarded, False)
    guarded.venue.can_trade = True
    for _ in range(20):
        light(guarded)
    assert is_locked(guarded)


def test_a_missing_record_keeps_what_was_said_last() -> None:
    guarded = Guarded(rule())
    reads(guarded, account=None)
    assert guarded.codes == []
    says(guarded, False)
    reads(guarded, account=None)
    assert is_locked(guarded)


def test_before_the_first_word_it_says_that_it_cannot_see() -> None:
    guarded = Guarded(rule())
    guarded.engine = type(guarded.engine)(guarded.settings)
    guarded.forget()
    light(guarded)
    assert guarded.skipped == [Skipped("auth_loss_guard", "account_record_missing")]
    assert not is_locked(guarded)


def test_keeps_the_lock_for_the_day_when_it_shall_not_end_by_itself() -> None:
    guarded = Guarded(rule(auto_unlock_on_restore=False))
    says(guarded, False)
    says(guarded, True)
    for _ in range(7):
        reads(guarded, 3600)
    assert is_locked(guarded)
    guarded.venue.now_ns = START_NS + 8 * HOUR_NS
    reads(guarded)
    assert not is_locked(guarded)


def test_ends_no_other_lock() -> None:
    """Case (d): a daily loss and a blocked account; when the venue relents the daily loss still locks."""
    guarded = Guarded(rule(), DailyRealizedLoss(limit_micros=micros(500)))
    guarded.feed(guarded.venue.result(-500))
    says(guarded, False)
    assert sorted(lock.rule for lock in guarded.lockouts) == ["auth_loss_guard", "daily_realized_loss"]
    says(guarded, True)
    reads(guarded, 10)
    assert [lock.rule for lock in guarded.lockouts] == ["daily_realized_loss"]


def test_survives_a_restart_before_and_after_the_yes() -> None:
    guarded = Guarded(rule())
    says(guarded, False)
    guarded.restart()
    guarded.feed(guarded.venue.timer())
    assert is_locked(guarded)
    says(guarded, True)
    guarded.restart()
    reads(guarded, 9)
    assert is_locked(guarded)
    reads(guarded, 1)
    assert not is_locked(guarded)


def test_allowed_again_while_the_guard_was_down() -> None:
    guarded = Guarded(rule())
    says(guarded, False)
    guarded.restart()
    guarded.venue.can_trade = True
    reads(guarded, 3600)
    assert is_locked(guarded)
    reads(guarded, 10)
    assert not is_locked(guarded)


def test_a_read_without_the_account_is_no_yes() -> None:
    guarded = Guarded(rule())
    says(guarded, False)
    says(guarded, True)
    light(guarded, 11)
    assert is_locked(guarded)
    reads(guarded)
    assert not is_locked(guarded)


# -- a missing account -------------------------------------------------------------------------------------------------


def test_warns_when_the_account_is_gone_from_the_venues_list() -> None:
    guarded = Guarded(rule())
    guarded.feed(guarded.venue.buys(ES, 1, 5000))
    for _ in range(3):
        reads(guarded, account=None, is_account_missing=True)
        light(guarded)
    not_listed = Warning("auth_loss_guard", "ACCOUNT_NOT_LISTED", 0, 1, Unit.NONE, ACCOUNT, (("account", "1001"),))
    assert guarded.warnings == [not_listed]
    assert (guarded.codes, guarded.lockouts) == ([], ())
    reads(guarded)
    reads(guarded, account=None, is_account_missing=True)
    assert [warning.code for warning in guarded.warnings] == ["ACCOUNT_NOT_LISTED"] * 2


def test_a_missing_account_does_not_end_a_lock() -> None:
    guarded = Guarded(rule())
    says(guarded, False)
    for _ in range(5):
        reads(guarded, 10, account=None, is_account_missing=True)
    assert is_locked(guarded)


def test_a_yes_over_the_stream_ends_nothing_while_the_account_is_missing() -> None:
    guarded = Guarded(rule())
    says(guarded, False)
    reads(guarded, account=None, is_account_missing=True)
    for _ in range(3):
        says(guarded, True, 30)
    assert is_locked(guarded)


# -- options -----------------------------------------------------------------------------------------------------------


def test_has_the_defaults_of_the_plan() -> None:
    assert options_of(rule()) == {
        "action": "lock",
        "close_positions": True,
        "auto_unlock_on_restore": True,
        "unlock_after_seconds": 10,
        "reason": "the venue does not allow this account to trade",
    }
    assert rule(check_on_startup=True, on_missing_field="ignore") == rule()


@pytest.mark.parametrize(
    ("options", "option"),
    [
        ({"check_on_startup": False}, "check_on_startup"),
        ({"on_missing_field": "lock"}, "on_missing_field"),
        ({"check_interval_seconds": 30}, "check_interval_seconds"),
        ({"action": "alert", "close_positions": False}, "close_positions"),
        ({"unlock_after_seconds": -1}, "unlock_after_seconds"),
        ({"lockout": True}, "lockout"),
    ],
)
def test_refuses_what_makes_no_sense(options: dict[str, object], option: str) -> None:
    with pytest.raises(OptionsInvalid) as caught:
        rule(**options)
    assert option in [fault.option for fault in caught.value.faults]


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (
            {"check_on_startup": False},
            "check_on_startup: must be true: what the venue forbids is forbidden from the start",
        ),
        ({"on_missing_field": "lock"}, "on_missing_field: must be ignore: what the venue said last holds"),
        (
            {"action": "alert", "close_positions": False},
            "close_positions: is about a lock; an alert does nothing to the account",
        ),
    ],
)
def test_says_what_is_to_be_corrected(options: dict[str, object], fault: str) -> None:
    with pytest.raises(OptionsInvalid) as refused:
        rule(**options)
    assert str(refused.value) == f"auth_loss_guard.{fault}"

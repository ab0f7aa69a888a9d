"""Ends of lockouts that a rule names itself, and of those whose rule is gone."""

import msgspec
import pytest

from risk_manager.domain.actions import ClosePosition
from risk_manager.domain.finding import Breach, Unit
from risk_manager.domain.lockout import LockoutKind, OnLock
from risk_manager.domain.scope import ACCOUNT
from risk_manager.engine import Engine, EngineSettings
from risk_manager.rules import SymbolBlocks
from risk_manager.rules._base import Demand
from risk_manager.testing.events import CL, DAY_NS, DAYS, ES, HOUR_NS, SECOND_NS, START_NS
from risk_manager.testing.guarded import Guarded
from tests.engine.switch import BLOCK_NEW, ON, UNTIL_RELEASED, Other, Switch, turn

DAY_END_NS = START_NS + 8 * HOUR_NS


def until(seconds: int) -> Breach:
    """A breach with an end of its own."""
    return Breach("switch", "LIMIT", -5, -3, Unit.MICROS, ACCOUNT, until_ns=START_NS + seconds * SECOND_NS)


def named(guarded: Guarded) -> list[int]:
    """The ends of the lockouts, in seconds from the start."""
    return [((lock.until_ns or 0) - START_NS) // SECOND_NS for lock in guarded.lockouts]


FOUND = {1: (until(60),), 2: (until(90),), 3: (until(30),)}


@pytest.mark.parametrize("demand", [Demand.CANCEL_ORDERS, Demand.FLATTEN])
def test_a_breach_with_a_later_end_is_news_and_lengthens_the_lock(demand: Demand) -> None:
    """Reported in one step after the other, without a step between in which nothing was wrong."""
    guarded = Guarded(Switch(found=FOUND, demand=demand, lock=BLOCK_NEW))
    turn(guarded, 1)
    turn(guarded, 1)
    assert (guarded.codes, named(guarded)) == (["LIMIT"], [60])
    turn(guarded, 2)
    assert (guarded.codes, named(guarded)) == (["LIMIT", "LIMIT"], [90])


def test_an_earlier_end_shortens_nothing() -> None:
    guarded = Guarded(Switch(found=FOUND, demand=Demand.CANCEL_ORDERS, lock=BLOCK_NEW))
    turn(guarded, 2)
    turn(guarded, 3)
    assert named(guarded) == [90]


def test_a_new_end_locks_again_after_the_old_one_has_passed() -> None:
    guarded = Guarded(Switch(found=FOUND, demand=Demand.CANCEL_ORDERS, lock=BLOCK_NEW))
    turn(guarded, 1)
    guarded.venue.now_ns = START_NS + 60 * SECOND_NS
    turn(guarded, 2)
    released = [release.reason for decision in guarded.decisions for release in decision.lockouts_released]
    assert (released, named(guarded)) == (["expired"], [90])


def test_an_end_survives_a_restart_without_being_news_again() -> None:
    guarded = Guarded(Switch(found=FOUND, demand=Demand.CANCEL_ORDERS, lock=BLOCK_NEW))
    turn(guarded, 1)
    guarded.restart()
    turn(guarded, 1)
    assert (guarded.codes, named(guarded)) == (["LIMIT"], [60])


# -- a rule that is gone -----------------------------------------------------------------------------------------------


def conditional() -> Guarded:
    guarded = Guarded(Switch(found=ON, lock=UNTIL_RELEASED), Other())
    turn(guarded, 1)
    assert [lock.until_ns for lock in guarded.lockouts] == [None]
    guarded.forget()
    return guarded


def test_a_lock_whose_rule_is_taken_away_ends_with_the_trading_day() -> None:
    guarded = conditional()
    (decision,) = guarded.change_rules(Other())
    assert [lock.until_ns for lock in decision.lockouts_set] == [DAY_END_NS]
    # Without the release a memory of the lock would keep the later end, which is none.
    assert [(end.rule, end.scope, end.reason) for end in decision.lockouts_released] == [
        ("switch", ACCOUNT, "rule removed")
    ]
    guarded.feed(guarded.venue.buys(ES, 1, 5000))
    assert [one for one in guarded.actions if isinstance(one, ClosePosition)], "until then it is enforced"
    guarded.venue.now_ns = DAY_END_NS
    guarded.feed(guarded.venue.quote(ES, 5000))
    assert guarded.lockouts == ()


def test_a_lock_whose_rule_stays_is_left_alone() -> None:
    guarded = conditional()
    guarded.change_rules(Switch(found=ON, lock=UNTIL_RELEASED))
    guarded.venue.now_ns = START_NS + DAY_NS
    guarded.feed(guarded.venue.quote(ES, 5000))
    assert [lock.until_ns for lock in guarded.lockouts] == [None]
    assert [end for decision in guarded.decisions for end in decision.lockouts_released] == []


def test_a_lock_with_an_end_of_its_own_is_left_alone_without_its_rule() -> None:
    guarded = Guarded(Switch(found=FOUND, demand=Demand.FLATTEN, lock=UNTIL_RELEASED), Other())
    turn(guarded, 1)
    guarded.forget()
    guarded.change_rules(Other())
    assert named(guarded) == [60]
    assert [end for decision in guarded.decisions for end in decision.lockouts_released] == []


def test_a_rule_that_comes_back_before_takes_its_lock_over_again() -> None:
    guarded = conditional()
    guarded.change_rules(Other())
    guarded.change_rules(Switch(found=ON, lock=UNTIL_RELEASED), Other())
    turn(guarded, 2)
    assert [lock.until_ns for lock in guarded.lockouts] == [None]
    turn(guarded, 3)
    assert guarded.lockouts == ()


def test_a_rule_that_was_taken_away_while_the_guard_was_down() -> None:
    guarded = conditional()
    guarded.engine = Engine.restore(EngineSettings("1001", DAYS, (Other(),)), guarded.engine.snapshot())
    assert [lock.until_ns for lock in guarded.lockouts] == [None]
    (decision,) = guarded.feed(guarded.venue.quote(ES, 5000))
    assert [lock.until_ns for lock in decision.lockouts_set] == [DAY_END_NS]
    guarded.venue.now_ns = DAY_END_NS
    guarded.feed(guarded.venue.quote(ES, 5000))
    assert guarded.lockouts == ()


def test_a_lock_that_was_set_before_the_venue_told_the_time() -> None:
    guarded = Guarded(Switch(found=ON, lock=UNTIL_RELEASED))
    turn(guarded, 1)
    (held,) = guarded.lockouts
    settings = EngineSettings("1001", DAYS, ())
    guarded.engine = Engine.restore(settings, None, lockouts=(msgspec.structs.replace(held, set_ns=0),), intents=())
    guarded.venue.now_ns = START_NS + HOUR_NS
    guarded.feed(guarded.venue.snapshot(), guarded.venue.quote(ES, 5000), guarded.venue.rules_changed())
    (lock,) = guarded.lockouts
    assert lock.until_ns == DAY_END_NS
    assert lock.set_ns > START_NS


def test_a_persons_own_lock_has_no_rule_to_lose() -> None:
    guarded = conditional()
    (held,) = guarded.lockouts
    manual = msgspec.structs.replace(held, kind=LockoutKind.MANUAL, rule="operator")
    guarded.engine.account.lockouts = (manual,)
    guarded.change_rules(Other())
    assert guarded.lockouts == (manual,)


def test_a_blocked_product_stays_blocked_for_the_day_its_rule_was_taken_away_in() -> None:
    guarded = Guarded(SymbolBlocks(blocked_symbols=("CL",)))
    guarded.feed(guarded.venue.buys(CL, 1, 70))
    guarded.change_rules()
    (lock,) = guarded.lockouts
    assert (lock.scope.root, lock.until_ns, lock.on_lock) == ("CL", DAY_END_NS, OnLock.FLATTEN)

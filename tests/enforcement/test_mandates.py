"""What a breach demands under each remedy, and what the lockout it sets upholds."""

import pytest

from risk_manager.domain.finding import AtMost
from risk_manager.domain.intent import Closed, Flat, Goal, NoOpeningOrders, OrdersGone, SizesAtMost
from risk_manager.domain.lockout import Held, Lockout, LockoutKind, OnLock
from risk_manager.domain.scope import ACCOUNT, Scope
from risk_manager.domain.trading_day import TradingDay
from risk_manager.enforcement.mandates import (
    all_held,
    goal_of_breach,
    goal_of_lockout,
    lockout_of_breach,
    reset_ns,
    shrunk,
)
from risk_manager.rules._base import Demand, LockTerms, LockUntil, Remedy
from risk_manager.testing.events import DAYS, ES, NQ
from tests.enforcement.situations import S, account, breach

ES_SCOPE = Scope(root="ES")
TARGETS = (AtMost(ES.id, 1),)


@pytest.mark.parametrize(
    ("demand", "cancels", "expected"),
    [
        (Demand.ALERT, (), None),
        (Demand.CANCEL_ORDERS, (), NoOpeningOrders(ES_SCOPE)),
        (Demand.CANCEL_ORDERS, ("7",), OrdersGone(("7",), ES_SCOPE)),
        (Demand.REDUCE, ("7",), SizesAtMost(TARGETS, ("7",))),
    ],
)
def test_turns_demands_into_goals(demand: Demand, cancels: tuple[str, ...], expected: Goal | None) -> None:
    found = breach(ES_SCOPE, targets=TARGETS, cancels=cancels)
    assert goal_of_breach(found, Remedy(demand), None, account((ES, 2))) == expected


def test_means_one_contract_where_the_breach_does() -> None:
    state = account((ES, 2), (NQ, 1))
    found = breach(Scope(contract_id=ES.id))
    position_ids = (state.holdings[ES.id].position_id,)
    expected = Closed(found.scope, position_ids, state.now_ns)
    assert goal_of_breach(found, Remedy(Demand.CLOSE_POSITION), None, state) == expected


@pytest.mark.parametrize(("demand", "scope"), [(Demand.CLOSE_POSITION, ES_SCOPE), (Demand.FLATTEN, ACCOUNT)])
def test_means_the_positions_at_the_breach_unless_a_lockout_says_more(demand: Demand, scope: Scope) -> None:
    state = account((ES, 2), (NQ, 1))
    meant = {state.holdings[ES.id].position_id} | ({state.holdings[NQ.id].position_id} if scope.is_account else set())
    goal = goal_of_breach(breach(ES_SCOPE), Remedy(demand), None, state)
    assert isinstance(goal, Closed)
    assert (goal.scope, set(goal.position_ids), goal.before_ns) == (scope, meant, state.now_ns)
    remedy = Remedy(demand, LockTerms(whole_account=False))
    lockout = lockout_of_breach(breach(ES_SCOPE), remedy, state, "i")
    assert goal_of_breach(breach(ES_SCOPE), remedy, lockout, state) == Flat(scope)


def test_means_whatever_is_there_while_a_position_has_no_name() -> None:
    state = account((ES, 2))
    state.holdings[ES.id].position_id = ""
    assert goal_of_breach(breach(), Remedy(Demand.FLATTEN), None, state) == Flat(ACCOUNT)


@pytest.mark.parametrize(
    ("terms", "told_ns", "until_ns"),
    [
        (LockTerms(LockUntil.DURATION, 30 * S), None, 130 * S),
        (LockTerms(LockUntil.CONDITION), None, None),
        (LockTerms(LockUntil.DURATION, 30 * S), 500 * S, 500 * S),  # the breach itself says until when
    ],
)
def test_dates_a_lockout_from_the_breach(terms: LockTerms, told_ns: int | None, until_ns: int | None) -> None:
    state = account((ES, 2))
    state.now_ns, state.day = 100 * S, TradingDay("2025-01-15", 0, 900 * S)
    remedy = Remedy(Demand.FLATTEN, terms, LockoutKind.COOLDOWN)
    assert lockout_of_breach(breach(until_ns=told_ns), remedy, state, "i") == Lockout(
        account_id="1001",
        scope=ACCOUNT,
        rule="r",
        kind=LockoutKind.COOLDOWN,
        on_lock=OnLock.FLATTEN,
        reason="CODE",
        set_ns=100 * S,
        until_ns=until_ns,
        trading_day="2025-01-15",
        intent_id="i",
        allowed=(),
    )


@pytest.mark.parametrize(
    ("now_ns", "expected_ns"),
    [
        (899 * S, 900 * S),
        (900 * S, 900 * S + 86_400 * S),  # past the last day of the table
        (950 * S, 950 * S + 86_400 * S),
        (0, 0),  # the venue has not told the time yet
    ],
)
def test_resets_at_the_end_of_the_trading_day(now_ns: int, expected_ns: int) -> None:
    state = account()
    state.now_ns, state.day = now_ns, TradingDay("2025-01-17", 100 * S, 900 * S)
    assert reset_ns(state) == expected_ns


def test_ends_with_the_trading_day_by_default() -> None:
    state = account()
    state.day = DAYS.day_of(state.now_ns)
    lockout = lockout_of_breach(breach(ES_SCOPE), Remedy(Demand.FLATTEN, LockTerms()), state, "i")
    assert lockout is not None
    assert (lockout.until_ns, lockout.scope, lockout.trading_day) == (state.day.end_ns, ACCOUNT, "2025-01-15")


def test_locks_the_product_alone_where_told_so() -> None:
    lockout = lockout_of_breach(
        breach(ES_SCOPE), Remedy(Demand.FLATTEN, LockTerms(whole_account=False)), account(), "i"
    )
    assert lockout is not None
    assert lockout.scope == ES_SCOPE
    assert lockout_of_breach(breach(), Remedy(Demand.FLATTEN), account(), "i") is None


def test_upholds_flatness_or_what_was_held() -> None:
    state = account((NQ, -1), (ES, 2))
    for on_lock, expected in (
        (OnLock.FLATTEN, Flat(ACCOUNT)),
        (OnLock.BLOCK_NEW, NoOpeningOrders(ACCOUNT, (Held(NQ.id, -1), Held(ES.id, 2)))),
    ):
        remedy = Remedy(Demand.CANCEL_ORDERS, LockTerms(on_lock=on_lock))
        lockout = lockout_of_breach(breach(), remedy, state, "i")
        assert lockout is not None
        assert goal_of_lockout(lockout) == goal_of_breach(breach(), remedy, lockout, state) == expected


@pytest.mark.parametrize(
    ("net_before", "net_now", "allowed"),
    [
        (1, 1, (Held(ES.id, 1),)),
        (3, 3, (Held(ES.id, 3),)),
        (3, 2, (Held(ES.id, 2),)),
        (3, 5, (Held(ES.id, 3),)),  # may not grow
        (3, 0, ()),
        (3, -1, ()),  # may not change sides
        (-3, -2, (Held(ES.id, -2),)),
    ],
)
def test_shrinks_what_is_allowed(net_before: int, net_now: int, allowed: tuple[Held, ...]) -> None:
    assert shrunk(all_held(account((ES, net_before))), account((ES, net_now))) == allowed

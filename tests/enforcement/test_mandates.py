"""What a breach demands under each remedy, and what the lockout it sets upholds."""

import pytest

from risk_manager.domain.finding import AtMost
from risk_manager.domain.intent import Closed, Flat, Goal, NoOpeningOrders, OrdersGone, SizesAtMost
from risk_manager.domain.lockout import Held, LockoutKind, OnLock
from risk_manager.domain.scope import ACCOUNT, Scope
from risk_manager.enforcement.mandates import goal_of_breach, goal_of_lockout, held, lockout_of_breach, shrunk
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
    ("terms", "until_after_ns"),
    [
        (LockTerms(LockUntil.DURATION, 30 * S), 30 * S),
        (LockTerms(LockUntil.CONDITION), None),
    ],
)
def test_dates_a_lockout_from_the_breach(terms: LockTerms, until_after_ns: int | None) -> None:
    state = account()
    lockout = lockout_of_breach(breach(), Remedy(Demand.FLATTEN, terms, LockoutKind.COOLDOWN), state, "i")
    assert lockout is not None
    assert lockout.until_ns == (None if until_after_ns is None else state.now_ns + until_after_ns)
    assert (lockout.kind, lockout.set_ns, lockout.intent_id) == (LockoutKind.COOLDOWN, state.now_ns, "i")


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
        lockout = lockout_of_breach(breach(), Remedy(Demand.CANCEL_ORDERS, LockTerms(on_lock=on_lock)), state, "i")
        assert lockout is not None
        assert goal_of_lockout(lockout) == expected


@pytest.mark.parametrize(
    ("net_before", "net_now", "allowed"),
    [
        (3, 3, (Held(ES.id, 3),)),
        (3, 2, (Held(ES.id, 2),)),
        (3, 5, (Held(ES.id, 3),)),  # may not grow
        (3, 0, ()),
        (3, -1, ()),  # may not change sides
        (-3, -2, (Held(ES.id, -2),)),
    ],
)
def test_shrinks_what_is_allowed(net_before: int, net_now: int, allowed: tuple[Held, ...]) -> None:
    assert shrunk(held(account((ES, net_before))), account((ES, net_now))) == allowed

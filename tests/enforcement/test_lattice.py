"""Several demands at once: the strictest wins, and all of them can be told apart afterwards."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_manager.domain.finding import AtMost
from risk_manager.domain.intent import Closed, Flat, Goal, NoOpeningOrders, OrdersGone, SizesAtMost
from risk_manager.domain.lockout import Held
from risk_manager.domain.order import Order, OrderStatus, Side
from risk_manager.domain.scope import ACCOUNT, Scope
from risk_manager.enforcement.lattice import Demanded, excess_orders, is_demanded, is_met, merge
from risk_manager.testing.events import CL, ES, ES_JUNE, NQ
from tests.enforcement.situations import account, order

BUY, SELL = Side.BUY, Side.SELL
ES_ONLY, ES_PRODUCT = Scope(contract_id=ES.id), Scope(root="ES")


def sizes(**most: int) -> SizesAtMost:
    return SizesAtMost(tuple(AtMost({"ES": ES.id, "NQ": NQ.id}[root], size) for root, size in most.items()))


@pytest.mark.parametrize(
    ("goals", "expected"),
    [
        ([sizes(ES=3)], {ES.id: Demanded(3, "1")}),
        ([sizes(ES=3), sizes(ES=2)], {ES.id: Demanded(2, "2")}),
        ([sizes(ES=2), sizes(ES=3)], {ES.id: Demanded(2, "1")}),
        ([sizes(ES=2), sizes(ES=2)], {ES.id: Demanded(2, "1")}),  # the first of equals
        ([sizes(ES=2), Flat(ACCOUNT)], {ES.id: Demanded(0, "2"), NQ.id: Demanded(0, "2")}),
        ([Flat(ES_ONLY), sizes(ES=2, NQ=1)], {ES.id: Demanded(0, "1"), NQ.id: Demanded(1, "2")}),
        ([sizes(ES=5)], {}),  # exactly the limit
        ([sizes(ES=0)], {ES.id: Demanded(0, "1")}),
        ([sizes(ES=-1)], {ES.id: Demanded(0, "1")}),  # never more off than is held
        ([NoOpeningOrders(ACCOUNT)], {}),
        ([NoOpeningOrders(ACCOUNT, (Held(ES.id, 5),))], {NQ.id: Demanded(0, "1")}),
        ([NoOpeningOrders(ACCOUNT, (Held(ES.id, 4), Held(NQ.id, -3)))], {ES.id: Demanded(4, "1")}),
        ([NoOpeningOrders(ACCOUNT, (Held(ES.id, -5), Held(NQ.id, -3)))], {ES.id: Demanded(0, "1")}),  # the other side
        ([NoOpeningOrders(ES_PRODUCT, ())], {ES.id: Demanded(0, "1")}),
        ([OrdersGone(("1",), ACCOUNT)], {}),
        ([Flat(Scope(root="CL"))], {}),
    ],
)
def test_demands_the_least_of_all(goals: list[Goal], expected: dict[str, Demanded]) -> None:
    merged = merge([(str(at), goal) for at, goal in enumerate(goals, 1)], account((ES, 5), (NQ, -3)))
    assert merged.sizes == expected


PROTECTIVE = order("stop", SELL, 5)
OVERSIZED = order("over", SELL, 6)
ADDING = order("add", BUY, 1)
SHORT_CL = order("cl", SELL, 1, CL)
CHILD = order("child", SELL, 9, status=OrderStatus.SUSPENDED, parent_id="add")
FILLED = order("done", BUY, 2, filled=2)
ALL = (PROTECTIVE, OVERSIZED, ADDING, SHORT_CL, CHILD, FILLED)


@pytest.mark.parametrize(
    ("goal", "net", "expected"),
    [
        (Flat(ACCOUNT), 5, ["over", "add", "cl"]),
        (Flat(ACCOUNT), 0, ["stop", "over", "add", "cl"]),  # protection is the last to go
        (Flat(ES_ONLY), 5, ["over", "add"]),
        (NoOpeningOrders(ACCOUNT), 5, ["over", "add", "cl"]),
        (NoOpeningOrders(Scope(root="CL")), 5, ["cl"]),
        (OrdersGone(("stop", "cl", "elsewhere"), ACCOUNT), 5, ["stop", "cl"]),
        (OrdersGone(("add", "child"), ACCOUNT), 5, ["add"]),  # the child goes with its parent
        (OrdersGone(("child",), ACCOUNT), 5, ["child"]),
        (SizesAtMost((AtMost(ES.id, 5),)), 5, ["add"]),
        (SizesAtMost((AtMost(ES.id, 6),)), 5, []),
        (SizesAtMost((AtMost(ES.id, 6),), ("cl",)), 5, ["cl"]),
        (SizesAtMost((AtMost(ES.id, 0),)), 5, ["over", "add"]),
        (SizesAtMost((AtMost(ES.id, 4),)), 0, ["stop", "over"]),
    ],
)
def test_cancels_what_a_goal_cannot_tolerate(goal: Goal, net: int, expected: list[str]) -> None:
    state = account((ES, net), orders=ALL)
    assert [one.id for one in excess_orders(goal, state)] == expected


def test_names_the_first_goal_behind_each_cancel() -> None:
    state = account(orders=(ADDING, SHORT_CL))
    merged = merge([("a", OrdersGone(("cl",), ACCOUNT)), ("b", Flat(ACCOUNT))], state)
    assert {key: intent_id for key, (_, intent_id) in merged.cancels.items()} == {"cl": "a", "add": "b"}


def test_treats_every_expiry_of_a_product_alike() -> None:
    merged = merge([("a", Flat(ES_PRODUCT))], account((ES, 1), (ES_JUNE, -1), (NQ, 1)))
    assert merged.sizes == {ES.id: Demanded(0, "a"), ES_JUNE.id: Demanded(0, "a")}


def test_closes_the_positions_that_were_meant_and_leaves_later_ones() -> None:
    state = account(
        (ES, 2), (NQ, 1), orders=(order("old", BUY, 1, CL, created_ns=5), order("new", BUY, 1, CL, created_ns=6))
    )
    meant = state.holdings[ES.id].position_id
    goal = Closed(ACCOUNT, (meant,), 5)
    assert merge([("a", goal)], state).sizes == {ES.id: Demanded(0, "a")}
    assert [one.id for one in excess_orders(goal, state)] == ["old"]
    assert is_met(Closed(ACCOUNT, ("another",), 4), state)


def test_knows_what_others_already_demand() -> None:
    state = account((ES, 5), orders=(ADDING,))
    merged = merge([("a", sizes(ES=2)), ("b", NoOpeningOrders(ACCOUNT))], state)
    assert is_demanded(sizes(ES=2), merged, state)
    assert is_demanded(sizes(ES=3), merged, state)
    assert is_demanded(NoOpeningOrders(ACCOUNT, (Held(ES.id, 4),)), merged, state)
    assert not is_demanded(Flat(ACCOUNT), merged, state)
    assert not is_demanded(Flat(ACCOUNT), merge([], state), state)


goal_lists = st.lists(
    st.one_of(
        st.builds(Flat, st.sampled_from([ACCOUNT, ES_ONLY, ES_PRODUCT])),
        st.builds(lambda size: SizesAtMost((AtMost(ES.id, size),)), st.integers(-2, 6)),
        st.builds(lambda net: NoOpeningOrders(ACCOUNT, (Held(ES.id, net),)), st.integers(-6, 6)),
        st.just(NoOpeningOrders(ACCOUNT)),
        st.just(OrdersGone(("stop", "add"), ACCOUNT)),
    ),
    max_size=5,
)
order_sets = st.lists(st.sampled_from(ALL), unique=True).map(tuple)


@given(goal_lists, st.randoms(use_true_random=False), st.integers(-6, 6), order_sets)
def test_does_not_depend_on_the_order_of_goals(
    goals: list[Goal], chance: object, net: int, some: tuple[Order, ...]
) -> None:
    state = account((ES, net), orders=some)
    shuffled = list(goals)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = (merge([("", goal) for goal in each], state) for each in (goals, shuffled))
    assert one.sizes == other.sizes
    assert one.cancels.keys() == other.cancels.keys()


@given(goal_lists, st.integers(-6, 6), order_sets)
def test_is_met_exactly_when_nothing_is_demanded(goals: list[Goal], net: int, some: tuple[Order, ...]) -> None:
    state = account((ES, net), orders=some)
    for goal in goals:
        merged = merge([("", goal)], state)
        assert is_met(goal, state) is (not merged.sizes and not merged.cancels)
        assert is_demanded(goal, merged, state)

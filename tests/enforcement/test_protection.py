"""What protects a position, and what is lacking."""

import pytest
from msgspec.structs import replace

from risk_manager.domain.actions import ModifyOrder, PlaceStop, PlaceTarget
from risk_manager.domain.intent import Protected
from risk_manager.domain.order import Order, OrderStatus, OrderType, Side
from risk_manager.enforcement.lattice import excess_orders, is_met
from risk_manager.enforcement.protection import Change, coverage, is_as_wanted, is_over, is_own, joined, next_change
from risk_manager.testing.events import ES, SECOND_NS
from tests.enforcement.situations import account

GOAL = Protected("1001", ES.id, "p", 1, 100, None, SECOND_NS)
BOTH = replace(GOAL, target_ticks=140)
MIXED = replace(GOAL, moves_manual=True)


def stop(
    order_id: str, size: int, ticks: int | None = 100, *, own: bool = False, side: Side = Side.SELL, **changes: object
) -> Order:
    tag = f"1001-{order_id}.1" if own else None
    order = Order(order_id, ES.id, side, OrderType.STOP, OrderStatus.WORKING, size, stop_ticks=ticks, tag=tag)
    return replace(order, **changes)


def limit(order_id: str, size: int, ticks: int = 140, *, own: bool = False) -> Order:
    return stop(order_id, size, None, own=own, type=OrderType.LIMIT, limit_ticks=ticks)


OF_ANOTHER_RUN = stop("7", 2, tag="1001-7.1-ffffffff")


@pytest.mark.parametrize(
    ("goal", "net", "orders", "expected"),
    [
        (GOAL, 0, (), None),
        (GOAL, -2, (), None),  # the rule has not seen it turn yet
        (GOAL, 2, (), (True, None, 2, 100)),
        (GOAL, 2, (stop("7", 2, own=True),), None),
        (GOAL, 3, (stop("7", 2, own=True),), (True, "7", 3, None)),
        (GOAL, 3, (stop("7", 3, own=True, filled=1),), (True, "7", 4, None)),
        (GOAL, 2, (stop("7", 3, own=True),), (True, "7", 2, None)),
        (GOAL, 2, (stop("7", 4, own=True, filled=1),), (True, "7", 3, None)),
        (GOAL, 2, (stop("7", 2, 96, own=True),), (True, "7", None, 100)),
        (GOAL, 2, (stop("7", 2, 104, own=True),), None),  # tighter than asked for
        (GOAL, 3, (stop("7", 2, 96, own=True),), (True, "7", 3, 100)),
        (GOAL, 2, (OF_ANOTHER_RUN,), None),
        (GOAL, 3, (OF_ANOTHER_RUN,), (True, "7", 3, None)),  # no more than it really covers
        (GOAL, 2, (replace(OF_ANOTHER_RUN, stop_ticks=96),), (True, "7", None, 100)),
        (GOAL, 2, (replace(OF_ANOTHER_RUN, tag="1001-7.1-"),), None),
        (GOAL, 2, (stop("8", 2, 90),), None),
        (GOAL, 3, (stop("8", 2, 90),), (True, None, 1, 100)),
        (GOAL, 3, (stop("8", 2, 90), stop("7", 1, own=True)), None),
        (GOAL, 2, (stop("8", 2, 90, side=Side.BUY),), (True, None, 2, 100)),
        (GOAL, 2, (stop("8", 2, None, type=OrderType.TRAILING_STOP),), None),
        (GOAL, 2, (limit("8", 2),), (True, None, 2, 100)),
        (MIXED, 2, (stop("8", 2, 90),), (True, "8", None, 100)),
        (MIXED, 2, (stop("8", 2, 101),), None),
        (BOTH, 2, (stop("7", 2, own=True),), (False, None, 2, 140)),
        (BOTH, 2, (stop("7", 2, own=True), limit("9", 2, own=True)), None),
        (BOTH, 2, (stop("7", 2, own=True), limit("9", 2, 150, own=True)), (False, "9", None, 140)),
        (BOTH, 2, (stop("7", 2, own=True), limit("9", 2, 130, own=True)), (False, "9", None, 140)),
        (BOTH, 2, (stop("7", 2, own=True), limit("8", 2, 130)), None),
        (BOTH, 2, (stop("7", 1, own=True), limit("9", 3, own=True)), (False, "9", 2, None)),  # too large goes first
    ],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_the_next_change(
    goal: Protected, net: int, orders: tuple[Order, ...], sign: int, expected: tuple[object, ...] | None
) -> None:
    if sign < 0:
        goal = _turned(goal)
        orders = tuple(_mirrored(order) for order in orders)
    change = next_change(goal, account((ES, sign * net), orders=orders) if net else account(orders=orders))
    if expected is None:
        assert change is None
    else:
        is_stop, order_id, size, ticks = expected
        found = (
            None
            if change is None
            else (
                change.is_stop,
                None if change.order is None else change.order.id,
                change.size,
                None if change.ticks is None else sign * change.ticks,
            )
        )
        assert found == (is_stop, order_id, size, ticks)


@pytest.mark.parametrize(
    "changes",
    [
        {"type": OrderType.TRAILING_STOP},  # its distance is the venue's to keep
        {"type": OrderType.STOP_LIMIT},
        {"status": OrderStatus.SUSPENDED, "parent_id": "gone"},  # priced anew when its entry fills
        {"status": OrderStatus.PENDING},
        {"status": OrderStatus.UNKNOWN},
    ],
)
def test_never_moves_a_stop_whose_price_is_not_its_own(changes: dict[str, object]) -> None:
    other = replace(stop("8", 2, 90), **changes)
    assert next_change(MIXED, account((ES, 2), orders=(other,))) is None


def _turned(goal: Protected) -> Protected:
    target = None if goal.target_ticks is None else -goal.target_ticks
    return replace(goal, side=-1, stop_ticks=-(goal.stop_ticks or 0), target_ticks=target)


def _mirrored(order: Order) -> Order:
    side = Side.BUY if order.side is Side.SELL else Side.SELL
    stop_ticks = None if order.stop_ticks is None else -order.stop_ticks
    limit_ticks = None if order.limit_ticks is None else -order.limit_ticks
    return replace(order, side=side, stop_ticks=stop_ticks, limit_ticks=limit_ticks)


@pytest.mark.parametrize(
    ("goal", "net", "orders", "gone"),
    [
        (GOAL, 2, (stop("7", 2, own=True), stop("8", 2)), ["7"]),
        (GOAL, 2, (stop("7", 2, own=True), stop("8", 1)), []),
        (GOAL, 0, (stop("7", 2, own=True), stop("8", 2)), ["7"]),
        (GOAL, -2, (stop("7", 2, own=True),), ["7"]),
        (GOAL, 2, (stop("7", 2, own=True, side=Side.BUY),), ["7"]),
        (GOAL, 2, (stop("7", 2, own=True), stop("9", 1, own=True)), ["9"]),
        (GOAL, 2, (limit("9", 2, own=True),), ["9"]),
        (BOTH, 2, (stop("7", 2, own=True), limit("9", 2, own=True)), []),
        (replace(GOAL, stop_ticks=None), 2, (stop("7", 2, own=True),), ["7"]),
        (GOAL, 2, (OF_ANOTHER_RUN,), []),
        (GOAL, 2, (OF_ANOTHER_RUN, stop("8", 2, own=True)), ["8"]),  # another guard comes to the same
        (GOAL, 2, (stop("6", 2, own=True), OF_ANOTHER_RUN), ["7"]),
        (GOAL, 0, (OF_ANOTHER_RUN,), ["7"]),
    ],
)
def test_which_of_its_own_orders_have_to_go(
    goal: Protected, net: int, orders: tuple[Order, ...], gone: list[str]
) -> None:
    state = account((ES, net), orders=orders) if net else account(orders=orders)
    assert [order.id for order in excess_orders(goal, state)] == gone
    assert is_met(goal, state) == (not gone)


def test_is_as_wanted_only_when_every_contract_is_covered_at_the_price() -> None:
    assert not is_as_wanted(GOAL, account((ES, 2)))
    assert not is_as_wanted(GOAL, account((ES, 2), orders=(stop("7", 2, 99, own=True),)))
    assert is_as_wanted(GOAL, account((ES, 2), orders=(stop("7", 2, own=True),)))
    assert is_as_wanted(GOAL, account())
    assert not is_as_wanted(GOAL, account((ES, -2)))


def test_is_over_when_the_position_and_its_own_orders_are_gone() -> None:
    assert is_over(GOAL, account(orders=(stop("8", 2),)))
    assert not is_over(GOAL, account(orders=(stop("7", 2, own=True),)))
    assert not is_over(GOAL, account((ES, 1)))


def test_counts_what_covers() -> None:
    orders = (stop("7", 2, own=True), stop("8", 1), limit("9", 3), stop("6", 5, side=Side.BUY))
    assert coverage(GOAL, {order.id: order for order in orders}) == (3, 3)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"stop_ticks": 104}, {"stop_ticks": 104}),
        ({"stop_ticks": 96}, {}),
        ({"stop_ticks": None}, {}),
        ({"target_ticks": 150}, {"target_ticks": 150}),
        ({"position_id": ""}, {}),
        ({"position_id": "q", "stop_ticks": 96}, {"position_id": "q", "stop_ticks": 96}),
        ({"side": -1, "stop_ticks": 120}, {"side": -1, "stop_ticks": 120}),
    ],
)
def test_a_goal_that_follows_another_is_never_looser(changes: dict[str, object], expected: dict[str, object]) -> None:
    assert joined(GOAL, replace(GOAL, **changes)) == replace(GOAL, **expected)


def test_learns_the_position_s_name() -> None:
    assert joined(replace(GOAL, position_id=""), GOAL) == GOAL


@pytest.mark.parametrize(
    ("tag", "expected"),
    [("1001-12.3", True), (None, False), ("1001-12", False), ("1001-.3", False), ("100-12.3", False), ("x", False)],
)
def test_knows_its_own_orders_by_their_mark(tag: str | None, *, expected: bool) -> None:
    assert is_own(stop("7", 1, tag=tag), "1001") is expected


def test_makes_actions_of_changes() -> None:
    order = stop("7", 2, own=True)
    assert Change(True, None, 2, 100).action("a", "i", GOAL) == PlaceStop("a", "i", ES.id, Side.SELL, 2, 100)
    short = replace(GOAL, side=-1)
    assert Change(False, None, 2, 90).action("a", "i", short) == PlaceTarget("a", "i", ES.id, Side.BUY, 2, 90)
    assert Change(True, order, None, 101).action("a", "i", GOAL) == ModifyOrder("a", "i", ES.id, "7", 101, None)
    assert Change(False, order, 3, 90).action("a", "i", GOAL) == ModifyOrder("a", "i", ES.id, "7", None, 90, 3)
    smaller = ModifyOrder("a", "i", ES.id, "7", None, None, 1, is_urgent=True)
    assert Change(True, order, 1, None, is_urgent=True).action("a", "i", GOAL) == smaller

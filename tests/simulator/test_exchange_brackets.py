"""Native brackets: the family's ids, tags and states, what wakes it and what ends it."""

import pytest

from risk_manager.domain.order import OrderStatus, OrderType, Side
from risk_manager.simulator.emissions import OrderChanged
from risk_manager.simulator.exchange import Exchange
from risk_manager.simulator.records import PlaceOrder
from tests.simulator.exchange_scene import BALANCE, MNQ, Scene

WORKING, FILLED, CANCELLED, SUSPENDED = (
    OrderStatus.WORKING,
    OrderStatus.FILLED,
    OrderStatus.CANCELLED,
    OrderStatus.SUSPENDED,
)


def bracket(
    side: Side,
    loss: int | None,
    profit: int | None,
    *,
    limit: int | None = None,
    is_trailing: bool = False,
    size: int = 1,
) -> PlaceOrder:
    return PlaceOrder(
        MNQ,
        OrderType.MARKET if limit is None else OrderType.LIMIT,
        side,
        size,
        limit_ticks=limit,
        tag="entry",
        stop_loss_ticks=loss,
        stop_loss_is_trailing=is_trailing,
        take_profit_ticks=profit,
    )


def statuses(scene: Scene) -> list[OrderStatus]:
    """Of entry, stop and profit."""
    return [order.status for order in scene.exchange.orders(scene.account)]


def test_suspends_the_children_until_the_entry_fills() -> None:
    scene = Scene()
    entry_id = scene.place(bracket(Side.BUY, -8, 12, limit=995))
    entry, stop, profit = scene.exchange.orders(scene.account)
    assert (entry.id, stop.id, profit.id) == (entry_id, entry_id + 1, entry_id + 2)
    assert (stop.parent_id, profit.parent_id, stop.linked_id, profit.linked_id) == (entry_id, entry_id, None, stop.id)
    assert (stop.tag, profit.tag) == ("entry-SL", "entry-TP")
    assert (stop.trail_ticks, profit.trail_ticks) == (-8, 12)
    assert (stop.type, stop.side, stop.stop_ticks) == (OrderType.STOP, Side.SELL, None)
    assert (profit.type, profit.side, profit.limit_ticks) == (OrderType.LIMIT, Side.SELL, None)
    assert {order.created_ns for order in (entry, stop, profit)} == {entry.created_ns}
    scene.quote(900, 996)
    assert statuses(scene) == [WORKING, SUSPENDED, SUSPENDED]


@pytest.mark.parametrize(
    ("side", "loss", "profit", "stop_ticks", "limit_ticks"),
    [(Side.BUY, -8, 12, 993, 1013), (Side.SELL, 101, -99, 1101, 901)],
)
def test_prices_the_children_from_the_entrys_fill(
    side: Side, loss: int, profit: int, stop_ticks: int, limit_ticks: int
) -> None:
    scene = Scene()
    scene.place(bracket(side, loss, profit))
    _, stop, take = scene.exchange.orders(scene.account)
    assert statuses(scene) == [FILLED, WORKING, WORKING]
    assert (stop.stop_ticks, take.limit_ticks) == (stop_ticks, limit_ticks)


def test_tells_a_family_in_the_captured_order() -> None:
    scene = Scene()
    scene.place(bracket(Side.BUY, -8, 12))
    family = [each.order for each in scene.told if isinstance(each, OrderChanged)]
    first = family[0].id - 1
    assert [(order.id - first, order.status.value) for order in family] == [
        (1, "suspended"),
        (0, "pending"),
        (2, "suspended"),
        (0, "filled"),
        (2, "working"),
        (1, "working"),
    ]
    assert scene.story()[3:] == [
        "order filled",
        "fill buy 1",
        "position +1",
        "account",
        "order working",
        "order working",
    ]
    scene.quote(993, 994)
    assert scene.story() == ["order filled", "fill sell 1 -4.00", "again buy 1", "flat", "account", "order cancelled"]
    assert statuses(scene) == [FILLED, FILLED, CANCELLED]


def test_cancels_the_stop_when_the_profit_fills() -> None:
    scene = Scene()
    scene.place(bracket(Side.BUY, -8, 12))
    scene.quote(1012, 1013)
    assert statuses(scene) == [FILLED, WORKING, WORKING]
    scene.quote(1013, 1014)
    assert statuses(scene) == [FILLED, CANCELLED, FILLED]
    assert scene.net == 0
    assert scene.exchange.fills(scene.account)[-1].pnl_micros == 6_000_000


def test_stops_out_at_once_when_the_spread_is_wider_than_the_stop() -> None:
    scene = Scene(bid=990, ask=1000)
    scene.place(bracket(Side.BUY, -4, 12))
    assert statuses(scene) == [FILLED, FILLED, CANCELLED]
    assert scene.exchange.fills(scene.account)[-1].price_ticks == 990


def test_trails_a_trailing_stop_child() -> None:
    scene = Scene()
    scene.place(bracket(Side.BUY, -8, None, is_trailing=True))
    _, stop = scene.exchange.orders(scene.account)
    assert (stop.type, stop.stop_ticks, stop.trail_ticks) == (OrderType.TRAILING_STOP, 993, -8)
    scene.print(1004)
    assert scene.order(stop.id).stop_ticks == 996


def test_takes_the_children_along_when_an_unfilled_entry_is_cancelled() -> None:
    scene = Scene()
    entry_id = scene.place(bracket(Side.BUY, -8, 12, limit=995))
    scene.exchange.cancel(scene.account, entry_id, scene.at_ns())
    assert statuses(scene) == [CANCELLED] * 3


def test_leaves_the_sibling_when_one_child_is_cancelled() -> None:
    scene = Scene()
    entry_id = scene.place(bracket(Side.BUY, -8, 12))
    scene.exchange.cancel(scene.account, entry_id + 1, scene.at_ns())
    assert statuses(scene) == [FILLED, CANCELLED, WORKING]


def test_does_not_wake_a_child_cancelled_before_the_fill() -> None:
    scene = Scene()
    entry_id = scene.place(bracket(Side.BUY, -8, 12, limit=995))
    scene.exchange.cancel(scene.account, entry_id + 2, scene.at_ns())
    scene.quote(994, 995)
    assert statuses(scene) == [FILLED, WORKING, CANCELLED]


def test_computes_a_suspended_childs_price_anew_at_the_fill() -> None:
    scene = Scene()
    entry_id = scene.place(bracket(Side.BUY, -8, 12, limit=995))
    assert scene.exchange.modify(scene.account, entry_id + 1, scene.at_ns(), stop_ticks=900) is None
    assert statuses(scene) == [WORKING, SUSPENDED, SUSPENDED]
    scene.quote(994, 995)
    assert scene.order(entry_id + 1).stop_ticks == 987


def test_leaves_children_working_after_the_position_is_closed_another_way() -> None:
    scene = Scene()
    scene.place(bracket(Side.BUY, -8, 12))
    scene.exchange.close_contract(scene.account, MNQ, scene.at_ns())
    assert statuses(scene)[1:3] == [WORKING, WORKING]
    scene.quote(993, 994)
    assert scene.net == -1


def test_gives_the_children_of_an_untagged_entry_no_tag() -> None:
    scene = Scene()
    scene.place(PlaceOrder(MNQ, OrderType.MARKET, Side.BUY, 1, stop_loss_ticks=-4))
    assert [order.tag for order in scene.exchange.orders(scene.account)] == [None, None]


def partial_scene(seed: int) -> Scene:
    scene = Scene()
    scene.exchange = Exchange(scene.exchange.contracts.values(), partial_fills=True, seed=seed)
    scene.account = scene.exchange.open_account(user="trader", name="A", balance_micros=BALANCE)
    scene.quote(1000, 1001)
    return scene


@pytest.mark.parametrize("seed", range(20))
def test_sizes_the_children_by_what_the_entry_has_filled(seed: int) -> None:
    scene = partial_scene(seed)
    entry_id = scene.place(bracket(Side.BUY, -8, 12, size=6))
    for _ in range(6):
        entry, stop, profit = scene.exchange.orders(scene.account)
        assert (stop.size, profit.size, stop.stop_ticks) == (entry.filled, entry.filled, 993)
        scene.quote(1000, 1001)
    assert scene.order(entry_id).status is FILLED
    assert scene.order(entry_id + 1).size == 6


@pytest.mark.parametrize("seed", range(20))
def test_never_fills_more_of_two_children_than_the_entry_filled(seed: int) -> None:
    scene = partial_scene(seed)
    entry_id = scene.place(bracket(Side.BUY, -8, 12, size=6))
    for _ in range(6):
        scene.quote(1000, 1001)
    scene.quote(1013, 1014)
    assert 0 < scene.order(entry_id + 2).filled <= 6
    for _ in range(12):
        scene.quote(990, 991)
    assert scene.net == 0
    assert scene.order(entry_id + 1).filled + scene.order(entry_id + 2).filled == 6
    assert all(order.status.is_terminal for order in scene.exchange.orders(scene.account))


@pytest.mark.parametrize("seed", range(20))
def test_drops_the_rest_of_an_entry_whose_stop_has_filled(seed: int) -> None:
    scene = partial_scene(seed)
    entry_id = scene.place(bracket(Side.BUY, -8, None, limit=1001, size=9))
    for _ in range(30):
        scene.quote(980, 1005)
    assert scene.net == 0
    assert all(order.status.is_terminal for order in scene.exchange.orders(scene.account))
    assert scene.order(entry_id).filled == scene.order(entry_id + 1).filled

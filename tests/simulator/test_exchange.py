"""Orders against the book: which price fills what, in whose order the venue tells it, and what money moves."""

import msgspec
import pytest

from risk_manager.domain.order import OrderStatus, OrderType, Side
from risk_manager.simulator.emissions import (
    Emission,
    FillHappened,
    OrderChanged,
    PositionChanged,
    PrintHappened,
    QuoteChanged,
)
from risk_manager.simulator.ledger import open_pnl_micros
from risk_manager.simulator.records import PlaceOrder, Refused
from tests.simulator.exchange_scene import BALANCE, ES, MNQ, USD, Scene

MARKET = [
    (Side.BUY, 1001),
    (Side.SELL, 1000),
]


@pytest.mark.parametrize(("side", "price"), MARKET)
def test_fills_a_market_order_at_the_quote_it_takes(side: Side, price: int) -> None:
    scene = Scene()
    order_id = scene.place(PlaceOrder(MNQ, OrderType.MARKET, side, 2))
    assert scene.fill_price(order_id) == price
    assert scene.net == 2 * side.sign


# Opposite quote when placed 1000/1001; side, limit, quote that comes, fill price or None.
LIMITS = [
    (Side.BUY, 995, (995, 996), None),
    (Side.BUY, 995, (994, 995), 995),
    (Side.BUY, 995, (990, 991), 995),
    (Side.SELL, 1005, (1004, 1005), None),
    (Side.SELL, 1005, (1005, 1006), 1005),
    (Side.SELL, 1005, (1010, 1011), 1005),
]


@pytest.mark.parametrize(("side", "limit", "quote", "price"), LIMITS)
def test_fills_a_resting_limit_at_its_price_once_touched(
    side: Side, limit: int, quote: tuple[int, int], price: int | None
) -> None:
    scene = Scene()
    order_id = scene.place(PlaceOrder(MNQ, OrderType.LIMIT, side, 1, limit_ticks=limit))
    assert scene.order(order_id).status is OrderStatus.WORKING
    scene.quote(*quote)
    assert scene.fill_price(order_id) == price


@pytest.mark.parametrize(
    ("side", "limit", "price"),
    [
        (Side.BUY, 1000, None),
        (Side.BUY, 1001, 1001),
        (Side.BUY, 1007, 1001),
        (Side.SELL, 1001, None),
        (Side.SELL, 1000, 1000),
        (Side.SELL, 993, 1000),
    ],
)
def test_gives_a_marketable_limit_the_quote(side: Side, limit: int, price: int | None) -> None:
    scene = Scene()
    order_id = scene.place(PlaceOrder(MNQ, OrderType.LIMIT, side, 1, limit_ticks=limit))
    assert scene.fill_price(order_id) == price


def test_prints_do_not_fill_a_limit() -> None:
    scene = Scene()
    order_id = scene.place(PlaceOrder(MNQ, OrderType.LIMIT, Side.BUY, 1, limit_ticks=995))
    scene.print(990)
    assert scene.order(order_id).status is OrderStatus.WORKING


STOPS_ON_QUOTES = [
    (Side.SELL, 995, (996, 997), None),
    (Side.SELL, 995, (995, 996), 995),
    (Side.SELL, 995, (990, 993), 990),
    (Side.BUY, 1006, (1004, 1005), None),
    (Side.BUY, 1006, (1005, 1006), 1006),
    (Side.BUY, 1006, (1008, 1011), 1011),
]


@pytest.mark.parametrize(("side", "stop", "quote", "price"), STOPS_ON_QUOTES)
def test_triggers_a_stop_on_the_quote_and_fills_there(
    side: Side, stop: int, quote: tuple[int, int], price: int | None
) -> None:
    scene = Scene()
    order_id = scene.place(PlaceOrder(MNQ, OrderType.STOP, side, 1, stop_ticks=stop))
    scene.quote(*quote)
    assert scene.fill_price(order_id) == price


STOPS_ON_PRINTS = [
    (Side.SELL, 996, None),
    (Side.SELL, 995, 1000),
    (Side.SELL, 994, 1000),
    (Side.BUY, 1005, None),
    (Side.BUY, 1006, 1001),
    (Side.BUY, 1007, 1001),
]


@pytest.mark.parametrize(("side", "last", "price"), STOPS_ON_PRINTS)
def test_triggers_a_stop_on_a_print_and_fills_at_the_quote(side: Side, last: int, price: int | None) -> None:
    scene = Scene()
    stop = 995 if side is Side.SELL else 1006
    order_id = scene.place(PlaceOrder(MNQ, OrderType.STOP, side, 1, stop_ticks=stop))
    scene.print(last)
    assert scene.fill_price(order_id) == price


@pytest.mark.parametrize(
    ("side", "prints", "level"),
    [
        (Side.SELL, [], 990),
        (Side.SELL, [1003], 993),
        (Side.SELL, [1003, 998], 993),
        (Side.BUY, [], 1010),
        (Side.BUY, [997], 1007),
        (Side.BUY, [997, 1002], 1007),
    ],
)
def test_trails_the_last_price_and_never_backs_off(side: Side, prints: list[int], level: int) -> None:
    scene = Scene()
    order_id = scene.place(PlaceOrder(MNQ, OrderType.TRAILING_STOP, side, 1, trail_ticks=10))
    for ticks in prints:
        scene.print(ticks)
    assert scene.order(order_id).stop_ticks == level
    assert scene.order(order_id).trail_ticks == 10


def test_fires_a_trailed_stop_at_its_new_level() -> None:
    scene = Scene()
    order_id = scene.place(PlaceOrder(MNQ, OrderType.TRAILING_STOP, Side.SELL, 1, trail_ticks=10))
    scene.print(1020)
    scene.quote(1011, 1012)
    assert scene.fill_price(order_id) is None
    scene.quote(1010, 1011)
    assert scene.fill_price(order_id) == 1010


@pytest.mark.parametrize(
    ("order_type", "side", "limit", "price"),
    [
        (OrderType.JOIN_BID, Side.BUY, 1000, None),
        (OrderType.JOIN_ASK, Side.SELL, 1001, None),
        (OrderType.JOIN_BID, Side.SELL, 1000, 1000),
        (OrderType.JOIN_ASK, Side.BUY, 1001, 1001),
    ],
)
def test_joins_the_quote(order_type: OrderType, side: Side, limit: int, price: int | None) -> None:
    scene = Scene()
    order_id = scene.place(PlaceOrder(MNQ, order_type, side, 1, limit_ticks=5, stop_ticks=5))
    assert (scene.order(order_id).limit_ticks, scene.order(order_id).stop_ticks) == (limit, None)
    assert scene.fill_price(order_id) == price


def test_fills_resting_orders_in_order_of_arrival() -> None:
    scene = Scene()
    first = scene.place(PlaceOrder(MNQ, OrderType.LIMIT, Side.BUY, 1, limit_ticks=994))
    second = scene.place(PlaceOrder(MNQ, OrderType.LIMIT, Side.BUY, 1, limit_ticks=995))
    scene.quote(990, 991)
    assert [fill.order_id for fill in scene.exchange.fills(scene.account)] == [first, second]


def test_loses_seven_dollars_on_two_mnq_from_25900_to_25898_25() -> None:
    scene = Scene(bid=103_599, ask=103_600)
    scene.buy(2)
    scene.quote(103_593, 103_594)
    scene.sell(2)
    fills = scene.exchange.fills(scene.account)
    assert [fill.pnl_micros for fill in fills] == [None, -7 * USD]
    assert [(fill.fees_micros, fill.commission_micros) for fill in fills] == [(720_000, 500_000)] * 2
    assert scene.earned == -9_440_000
    assert scene.exchange.positions(scene.account) == []


def test_loses_49_dollars_on_a_short_mnq_from_29398_50_to_29423() -> None:
    scene = Scene(bid=117_594, ask=117_595)
    scene.sell(1)
    scene.quote(117_691, 117_692)
    scene.buy(1)
    assert [fill.pnl_micros for fill in scene.exchange.fills(scene.account)] == [None, -49 * USD]
    assert scene.earned == -50_220_000


def test_keeps_an_average_between_ticks_exact() -> None:
    scene = Scene(bid=100, ask=101)
    scene.buy(2)
    scene.quote(103, 104)
    scene.buy(1)
    position = scene.exchange.position(scene.account, MNQ)
    assert position is not None
    assert position.cost_micro_ticks == 306_000_000
    assert position.average_micro_ticks == 102_000_000
    scene.quote(104, 105)
    scene.buy(1)
    position = scene.exchange.position(scene.account, MNQ)
    assert position is not None
    assert position.average_micro_ticks == 102_750_000
    assert open_pnl_micros(position, 104, 500_000) == 2_500_000


def test_keeps_the_average_over_a_partial_exit() -> None:
    scene = Scene(bid=99, ask=100)
    scene.buy(1)
    scene.quote(100, 101)
    scene.buy(2)
    # 302 ticks over three contracts: 100 2/3 each.
    scene.quote(104, 105)
    scene.sell(1)
    position = scene.exchange.position(scene.account, MNQ)
    assert position is not None
    assert (position.net_contracts, position.cost_micro_ticks) == (2, 201_333_333)
    assert position.average_micro_ticks == 100_666_667
    scene.sell(2)
    # Together exactly (3 x 104 - 302) x 0.50 USD.
    assert [fill.pnl_micros for fill in scene.exchange.fills(scene.account)] == [None, None, 1_666_667, 3_333_333]


def test_reverses_in_two_fills_with_a_new_position() -> None:
    scene = Scene()
    scene.buy(2)
    before = scene.exchange.position(scene.account, MNQ)
    scene.story()
    order_id = scene.sell(5)
    assert scene.story() == [
        "order pending",
        "fill sell 2 -1.00",
        "fill sell 3",
        "again buy 2",
        "order filled",
        "flat",
        "position -3",
        "account",
    ]
    after = scene.exchange.position(scene.account, MNQ)
    assert before is not None
    assert after is not None
    assert after.id > before.id
    assert (after.net_contracts, after.cost_micro_ticks, after.realized_micros) == (-3, -3_000_000_000, 0)
    assert scene.order(order_id).filled == 5


def test_tells_a_market_entry_in_the_captured_order() -> None:
    scene = Scene()
    scene.buy(1)
    assert scene.story() == ["order pending", "fill buy 1", "order filled", "position +1", "account"]


def test_tells_a_market_exit_in_the_captured_order() -> None:
    scene = Scene()
    scene.buy(1)
    scene.story()
    scene.sell(1)
    assert scene.story() == ["order pending", "fill sell 1 -0.50", "again buy 1", "order filled", "flat", "account"]


def test_tells_a_limit_exit_in_the_captured_order() -> None:
    scene = Scene()
    scene.buy(1)
    scene.story()
    scene.place(PlaceOrder(MNQ, OrderType.LIMIT, Side.SELL, 1, limit_ticks=1003))
    assert scene.story() == ["order working"]
    scene.quote(1003, 1004)
    assert scene.story() == ["order filled", "fill sell 1 +1.00", "again buy 1", "flat", "account"]


def test_tells_a_stop_exit_in_the_captured_order() -> None:
    scene = Scene()
    scene.buy(1)
    scene.place(PlaceOrder(MNQ, OrderType.STOP, Side.SELL, 1, stop_ticks=997))
    scene.story()
    scene.quote(995, 996)
    assert scene.story() == ["fill sell 1 -3.00", "again buy 1", "order filled", "flat", "account"]


def test_tells_only_the_entries_an_exit_closed_again() -> None:
    scene = Scene()
    for _ in range(3):
        scene.buy(1)
    entries = [fill.id for fill in scene.exchange.fills(scene.account)]
    scene.told.clear()
    scene.sell(2)
    again = [each.fill.id for each in scene.told if isinstance(each, FillHappened) and each.is_resend]
    assert again == entries[:2]


def test_keeps_the_old_average_when_it_tells_a_flat_position() -> None:
    scene = Scene()
    scene.buy(1)
    scene.quote(1010, 1011)
    scene.sell(1)
    flat = [each.position for each in scene.told if isinstance(each, PositionChanged)][-1]
    assert (flat.net_contracts, flat.cost_micro_ticks, flat.average_micro_ticks) == (0, 0, 1_001_000_000)


def test_tells_which_members_of_the_quote_changed() -> None:
    scene = Scene()
    scene.quote(1000, 1002)
    scene.quote(1000, 1002)
    scene.print(1002)
    quotes = [each for each in scene.told if isinstance(each, QuoteChanged)]
    assert [each.changed for each in quotes] == [("ask_ticks",), ("last_ticks", "high_ticks", "volume")]
    assert quotes[-1].top == msgspec.structs.replace(quotes[0].top, last_ticks=1002, high_ticks=1002, volume=2,
                                                     at_ns=scene.now_ns)  # fmt: skip
    assert [each.price_ticks for each in scene.told if isinstance(each, PrintHappened)] == [1002]


def test_knows_nothing_of_a_contract_before_its_first_quote() -> None:
    top = Scene().exchange.top(ES)
    assert (top.bid_ticks, top.ask_ticks, top.last_ticks, top.open_ticks, top.volume) == (None,) * 5


def test_never_lets_time_go_back() -> None:
    scene = Scene()
    scene.exchange.quote(MNQ, 1000, 1001, 5_000_000_000)
    order_id = scene.exchange.place(scene.account, PlaceOrder(MNQ, OrderType.MARKET, Side.BUY, 1), 7)
    assert isinstance(order_id, int)
    assert scene.exchange.now_ns == 5_000_000_000
    assert scene.order(order_id).created_ns == 5_000_000_000


def test_tells_states_of_one_order_apart_by_their_update_time() -> None:
    scene = Scene()
    scene.buy(1)
    updates = [each.order.updated_ns for each in scene.told if isinstance(each, OrderChanged)]
    assert updates == [1_000_001, 1_001_001]


def test_stops_telling_after_unsubscribing() -> None:
    scene = Scene()
    heard: list[Emission] = []
    unsubscribe = scene.exchange.subscribe(heard.append)
    unsubscribe()
    unsubscribe()
    scene.buy(1)
    assert heard == []


def test_selects_fills_by_time_both_ends_included() -> None:
    scene = Scene()
    for at_ns in (10, 20, 30):
        scene.exchange.place(scene.account, PlaceOrder(MNQ, OrderType.MARKET, Side.BUY, 1), at_ns * 1_000_000_000)
    fills = scene.exchange.fills(scene.account, 20_000_000_000, 30_000_000_000)
    assert [fill.at_ns for fill in fills] == [20_000_000_000, 30_000_000_000]
    assert len(scene.exchange.fills(scene.account)) == 3


def test_answers_nothing_about_an_unknown_account() -> None:
    exchange = Scene().exchange
    assert exchange.account(1) is None
    assert (exchange.orders(1), exchange.positions(1), exchange.fills(1)) == ([], [], [])
    assert exchange.order(1, 1) is None
    assert exchange.position(1, MNQ) is None


def test_lists_a_users_accounts_only() -> None:
    scene = Scene()
    other = scene.exchange.open_account(user="other", name="B", balance_micros=0)
    assert [each.id for each in scene.exchange.accounts("trader")] == [scene.account]
    assert [each.id for each in scene.exchange.accounts("other")] == [other]


def test_moves_a_resting_limit_and_fills_it_where_it_becomes_marketable() -> None:
    scene = Scene()
    order_id = scene.place(PlaceOrder(MNQ, OrderType.LIMIT, Side.BUY, 1, limit_ticks=995))
    assert scene.exchange.modify(scene.account, order_id, scene.at_ns(), limit_ticks=996, size=2) is None
    assert (scene.order(order_id).limit_ticks, scene.order(order_id).size) == (996, 2)
    assert scene.exchange.modify(scene.account, order_id, scene.at_ns(), limit_ticks=1005) is None
    assert (scene.fill_price(order_id), scene.net) == (1001, 2)


def test_moves_a_stop_and_ignores_prices_it_does_not_have() -> None:
    scene = Scene()
    order_id = scene.place(PlaceOrder(MNQ, OrderType.STOP, Side.SELL, 1, stop_ticks=990))
    assert scene.exchange.modify(scene.account, order_id, scene.at_ns(), stop_ticks=995, limit_ticks=3) is None
    assert (scene.order(order_id).stop_ticks, scene.order(order_id).limit_ticks) == (995, None)


def test_sets_a_new_trail_from_the_last_price_even_beyond_the_cap() -> None:
    scene = Scene(bid=9_000, ask=9_001, last=9_000)
    order_id = scene.place(PlaceOrder(MNQ, OrderType.TRAILING_STOP, Side.SELL, 1, trail_ticks=10))
    assert scene.exchange.modify(scene.account, order_id, scene.at_ns(), trail_ticks=7_044) is None
    assert (scene.order(order_id).stop_ticks, scene.order(order_id).trail_ticks) == (1_956, 7_044)


def test_cancels_a_resting_order_for_good() -> None:
    scene = Scene()
    order_id = scene.place(PlaceOrder(MNQ, OrderType.LIMIT, Side.BUY, 1, limit_ticks=995))
    scene.story()
    assert scene.exchange.cancel(scene.account, order_id, scene.at_ns()) is None
    assert scene.story() == ["order cancelled"]
    scene.quote(990, 991)
    assert scene.net == 0


@pytest.mark.parametrize("net", [3, -3])
def test_closes_whatever_is_open_and_leaves_resting_orders(net: int) -> None:
    scene = Scene()
    scene.buy(3) if net > 0 else scene.sell(3)
    resting = scene.place(PlaceOrder(MNQ, OrderType.LIMIT, Side.BUY, 1, limit_ticks=900))
    assert scene.exchange.close_contract(scene.account, MNQ, scene.at_ns()) is None
    assert scene.net == 0
    assert scene.order(resting).status is OrderStatus.WORKING


def test_closes_a_part() -> None:
    scene = Scene()
    scene.sell(3)
    assert scene.exchange.partial_close(scene.account, MNQ, 2, scene.at_ns()) is None
    assert scene.net == -1
    assert scene.exchange.fills(scene.account)[-1].pnl_micros == -USD


def test_keeps_accounts_apart() -> None:
    scene = Scene()
    other = scene.exchange.open_account(user="trader", name="B", balance_micros=BALANCE)
    scene.buy(2)
    scene.exchange.place(other, PlaceOrder(MNQ, OrderType.MARKET, Side.SELL, 1), scene.at_ns())
    held = {each.id: scene.exchange.position(each.id, MNQ) for each in scene.exchange.accounts("trader")}
    assert {key: value and value.net_contracts for key, value in held.items()} == {scene.account: 2, other: -1}
    order_id = scene.exchange.orders(scene.account)[0].id
    refused = scene.exchange.cancel(other, order_id, scene.at_ns())
    assert isinstance(refused, Refused)


def test_voids_the_closing_fill_as_if_it_had_never_happened() -> None:
    scene = Scene()
    scene.buy(2)
    scene.quote(1011, 1012)
    scene.sell(2)
    closing = scene.exchange.fills(scene.account)[-1]
    scene.story()
    scene.exchange.void_fill(closing.id, scene.at_ns())
    assert scene.story() == ["again sell 2 +10.00", "position +2", "account"]
    position = scene.exchange.position(scene.account, MNQ)
    assert position is not None
    assert (position.net_contracts, position.cost_micro_ticks) == (2, 2_002_000_000)
    assert scene.earned == -1_220_000
    assert [fill.is_voided for fill in scene.exchange.fills(scene.account)] == [False, True]
    scene.exchange.void_fill(closing.id, scene.at_ns())
    assert scene.story() == []


def test_voids_an_opening_fill_and_recounts_what_came_after() -> None:
    scene = Scene()
    scene.buy(1)
    scene.quote(1010, 1011)
    scene.buy(1)
    scene.quote(1020, 1021)
    scene.sell(1)
    # Average 1006: the exit made 14 ticks. Without the first entry it made 9, and the position is flat.
    first, _, last = scene.exchange.fills(scene.account)
    assert last.pnl_micros == 7_000_000
    scene.exchange.void_fill(first.id, scene.at_ns())
    assert scene.exchange.fills(scene.account)[-1].pnl_micros == 4_500_000
    assert scene.exchange.position(scene.account, MNQ) is None
    assert scene.earned == 4_500_000 - 2 * 610_000


def test_voiding_may_turn_a_position_around() -> None:
    scene = Scene()
    scene.buy(3)
    scene.sell(1)
    before = scene.exchange.position(scene.account, MNQ)
    opening = scene.exchange.fills(scene.account)[0]
    scene.story()
    scene.exchange.void_fill(opening.id, scene.at_ns())
    assert scene.story() == ["again buy 3", "again sell 1", "flat", "position -1", "account"]
    after = scene.exchange.position(scene.account, MNQ)
    assert before is not None
    assert after is not None
    assert after.id != before.id


def test_knows_no_fill_to_void() -> None:
    with pytest.raises(KeyError):
        Scene().exchange.void_fill(1, 1)

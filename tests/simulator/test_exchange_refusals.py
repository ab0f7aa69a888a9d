"""What the venue refuses, with which code and text, and what it still allows."""

import msgspec
import pytest

from risk_manager.domain.order import OrderStatus, OrderType, Side
from risk_manager.simulator import messages
from risk_manager.simulator.catalog import listed
from risk_manager.simulator.emissions import AccountChanged, OrderChanged
from risk_manager.simulator.exchange import Exchange
from risk_manager.simulator.records import BracketMode, Flaws, PlaceOrder, RefusalCode, Refused
from tests.simulator.exchange_scene import BALANCE, ES, MNQ, Scene

BUY, SELL = Side.BUY, Side.SELL
BAND = "Invalid price. Price is outside allowed range."

# Quote 1000/1001, last 1000.
REFUSED = [
    (PlaceOrder(MNQ, OrderType.STOP_LIMIT, BUY, 1, limit_ticks=1, stop_ticks=1), "Invalid order type specified."),
    (PlaceOrder(MNQ, OrderType.UNKNOWN, BUY, 1), "Invalid order type specified."),
    (PlaceOrder(MNQ, OrderType.MARKET, BUY, 0), "Invalid order size specified."),
    (PlaceOrder(MNQ, OrderType.MARKET, BUY, -1), "Invalid order size specified."),
    (PlaceOrder(MNQ, OrderType.LIMIT, BUY, 1), "Invalid limit price. Price is not set."),
    (PlaceOrder(MNQ, OrderType.STOP, BUY, 1), "Invalid stop price. Price is not set."),
    (PlaceOrder(MNQ, OrderType.STOP, BUY, 1, stop_ticks=1001), BAND),
    (PlaceOrder(MNQ, OrderType.STOP, SELL, 1, stop_ticks=1000), BAND),
    (PlaceOrder(MNQ, OrderType.TRAILING_STOP, SELL, 1), "Trail Distance not set."),
    (PlaceOrder(MNQ, OrderType.TRAILING_STOP, SELL, 1, trail_ticks=0), "Trail Distance not set."),
    (PlaceOrder(MNQ, OrderType.TRAILING_STOP, SELL, 1, trail_ticks=1001), "Trail Distance exceeds maximum (1000)"),
    (PlaceOrder(ES, OrderType.TRAILING_STOP, SELL, 1, trail_ticks=5), "Cannot trail without a last price"),
    (PlaceOrder(ES, OrderType.MARKET, BUY, 1), "Invalid symbol"),
    (PlaceOrder(ES, OrderType.JOIN_BID, BUY, 1), "Invalid symbol"),
    (PlaceOrder(ES, OrderType.JOIN_ASK, SELL, 1), "Invalid symbol"),
    (
        PlaceOrder(MNQ, OrderType.MARKET, BUY, 1, stop_loss_ticks=40),
        "Invalid stop loss ticks (40). Ticks should be less than zero when longing.",
    ),
    (
        PlaceOrder(MNQ, OrderType.MARKET, SELL, 1, take_profit_ticks=426),
        "Invalid take profit ticks (426). Ticks should be less than zero when going short.",
    ),
    (
        PlaceOrder(MNQ, OrderType.MARKET, BUY, 1, take_profit_ticks=-1),
        "Invalid take profit ticks (-1). Ticks should be greater than zero when longing.",
    ),
    (
        PlaceOrder(MNQ, OrderType.MARKET, SELL, 1, stop_loss_ticks=-50),
        "Invalid stop loss ticks (-50). Stop loss tick value should be at least 4 ticks.",
    ),
    (
        PlaceOrder(MNQ, OrderType.MARKET, BUY, 1, stop_loss_ticks=-3),
        "Invalid stop loss ticks (-3). Stop loss tick value should be at least 4 ticks.",
    ),
    (
        PlaceOrder(MNQ, OrderType.MARKET, SELL, 1, stop_loss_ticks=3),
        "Invalid stop loss ticks (3). Stop loss tick value should be at least 4 ticks.",
    ),
]


@pytest.mark.parametrize(("order", "message"), REFUSED)
def test_records_a_refused_order_as_pending_then_rejected(order: PlaceOrder, message: str) -> None:
    scene = Scene()
    refused = scene.exchange.place(scene.account, order, scene.at_ns())
    assert isinstance(refused, Refused)
    assert (refused.code, refused.message) == (RefusalCode.REJECTED, message)
    assert [each.order.status for each in scene.told if isinstance(each, OrderChanged)] == [
        OrderStatus.PENDING,
        OrderStatus.REJECTED,
    ]
    assert refused.order_id is not None
    assert scene.order(refused.order_id).status is OrderStatus.REJECTED
    assert len(scene.exchange.orders(scene.account)) == 1


ACCEPTED = [
    PlaceOrder(MNQ, OrderType.STOP, BUY, 1, stop_ticks=1002),
    PlaceOrder(MNQ, OrderType.STOP, SELL, 1, stop_ticks=999),
    PlaceOrder(MNQ, OrderType.TRAILING_STOP, SELL, 1, trail_ticks=1000),
    PlaceOrder(MNQ, OrderType.MARKET, BUY, 1, stop_loss_ticks=-4, take_profit_ticks=1),
    PlaceOrder(MNQ, OrderType.MARKET, SELL, 1, stop_loss_ticks=4, take_profit_ticks=-1),
    PlaceOrder(ES, OrderType.LIMIT, BUY, 1, limit_ticks=1),
]


@pytest.mark.parametrize("order", ACCEPTED)
def test_takes_what_is_just_within_the_limits(order: PlaceOrder) -> None:
    scene = Scene()
    assert isinstance(scene.exchange.place(scene.account, order, scene.at_ns()), int)


def test_refuses_brackets_in_position_bracket_mode() -> None:
    scene = Scene()
    account = scene.exchange.open_account(
        user="trader", name="B", balance_micros=BALANCE, bracket_mode=BracketMode.POSITION_BRACKETS
    )
    order = PlaceOrder(MNQ, OrderType.MARKET, BUY, 1, take_profit_ticks=8)
    refused = scene.exchange.place(account, order, scene.at_ns())
    assert isinstance(refused, Refused)
    assert refused.message == "Brackets cannot be used with Position Brackets. You must enable Auto OCO Brackets."
    assert refused.order_id is not None
    assert [each.status for each in scene.exchange.orders(account)] == [OrderStatus.REJECTED]


def test_uses_a_tag_once_for_ever_even_if_the_order_was_rejected() -> None:
    scene = Scene()
    tagged = PlaceOrder(MNQ, OrderType.MARKET, BUY, 0, tag="t")
    first = scene.exchange.place(scene.account, tagged, scene.at_ns())
    again = scene.exchange.place(scene.account, msgspec.structs.replace(tagged, size=1), scene.at_ns())
    assert isinstance(first, Refused)
    assert isinstance(again, Refused)
    assert again.message is not None
    assert "custom tag already in use" in again.message
    assert scene.net == 0
    assert [order.tag for order in scene.exchange.orders(scene.account)] == ["t", None]


def test_counts_the_childrens_tags_too() -> None:
    scene = Scene()
    scene.place(PlaceOrder(MNQ, OrderType.MARKET, BUY, 1, tag="t", stop_loss_ticks=-8))
    taken = scene.exchange.place(scene.account, PlaceOrder(MNQ, OrderType.MARKET, BUY, 1, tag="t-SL"), scene.at_ns())
    assert isinstance(taken, Refused)
    assert isinstance(
        scene.exchange.place(scene.account, PlaceOrder(MNQ, OrderType.MARKET, BUY, 1, tag="t-TP"), scene.at_ns()), int
    )


def test_lets_two_accounts_use_one_tag() -> None:
    scene = Scene()
    other = scene.exchange.open_account(user="trader", name="B", balance_micros=BALANCE)
    order = PlaceOrder(MNQ, OrderType.MARKET, BUY, 1, tag="t")
    assert isinstance(scene.exchange.place(scene.account, order, scene.at_ns()), int)
    assert isinstance(scene.exchange.place(other, order, scene.at_ns()), int)


def test_records_no_order_for_an_unknown_account_or_contract() -> None:
    scene = Scene()
    order = PlaceOrder(MNQ, OrderType.MARKET, BUY, 1)
    unknown = PlaceOrder("CON.F.US.XX.U26", OrderType.MARKET, BUY, 1)
    assert scene.exchange.place(1, order, 1) == Refused(RefusalCode.ACCOUNT_NOT_FOUND)
    assert scene.exchange.place(scene.account, unknown, 1) == Refused(RefusalCode.CONTRACT_NOT_FOUND)
    assert scene.exchange.orders(scene.account) == []


def test_refuses_a_contract_that_is_not_active() -> None:
    old = listed("MNQ", "M26", is_active=False)
    exchange = Exchange([old])
    account = exchange.open_account(user="trader", name="A", balance_micros=BALANCE)
    exchange.quote(old.id, 1000, 1001, 1)
    refused = Refused(RefusalCode.CONTRACT_NOT_ACTIVE)
    assert exchange.place(account, PlaceOrder(old.id, OrderType.MARKET, BUY, 1), 1) == refused
    assert exchange.close_contract(account, old.id, 1) == refused
    assert exchange.orders(account) == []


def test_records_what_the_border_refuses() -> None:
    scene = Scene()
    order = PlaceOrder(MNQ, OrderType.LIMIT, BUY, 1, tag="t", flaws=Flaws(price=messages.MISALIGNED_LIMIT))
    refused = scene.exchange.place(scene.account, order, scene.at_ns())
    assert isinstance(refused, Refused)
    assert refused.message == "Invalid limit price. Price is not aligned to tick size."
    assert scene.story() == ["order pending", "order rejected"]
    assert isinstance(scene.exchange.place(scene.account, order, scene.at_ns()), Refused)


def test_blocks_placing_but_not_cancelling_or_closing() -> None:
    scene = Scene()
    scene.buy(2)
    resting = scene.place(PlaceOrder(MNQ, OrderType.LIMIT, BUY, 1, limit_ticks=900))
    scene.told.clear()
    scene.exchange.set_can_trade(scene.account, False, scene.at_ns())
    scene.exchange.set_can_trade(scene.account, False, scene.at_ns())
    assert [each.account.can_trade for each in scene.told if isinstance(each, AccountChanged)] == [False]
    refused = scene.exchange.place(scene.account, PlaceOrder(MNQ, OrderType.MARKET, BUY, 1), scene.at_ns())
    assert isinstance(refused, Refused)
    assert refused.code is RefusalCode.VIOLATION
    assert refused.message == "Your account is locked out: Personal. Please wait until your lockout expires."
    assert refused.order_id is not None
    assert scene.exchange.cancel(scene.account, resting, scene.at_ns()) is None
    assert scene.exchange.partial_close(scene.account, MNQ, 1, scene.at_ns()) is None
    assert scene.exchange.close_contract(scene.account, MNQ, scene.at_ns()) is None
    assert scene.net == 0
    scene.exchange.set_can_trade(scene.account, True, scene.at_ns())
    assert isinstance(
        scene.exchange.place(scene.account, PlaceOrder(MNQ, OrderType.MARKET, BUY, 1), scene.at_ns()), int
    )


def test_takes_and_fills_nothing_while_halted() -> None:
    scene = Scene()
    scene.buy(1)
    stop = scene.place(PlaceOrder(MNQ, OrderType.STOP, SELL, 1, stop_ticks=995))
    scene.exchange.set_halted(MNQ, True, scene.at_ns())
    refused = scene.exchange.place(scene.account, PlaceOrder(MNQ, OrderType.MARKET, BUY, 1), scene.at_ns())
    assert isinstance(refused, Refused)
    text = "Trading is currently unavailable. The instrument is not in an active trading status."
    assert (refused.code, refused.message) == (RefusalCode.REJECTED, text)
    scene.quote(990, 991)
    scene.print(990)
    assert scene.order(stop).status is OrderStatus.WORKING
    scene.exchange.set_halted(MNQ, False, scene.at_ns())
    assert scene.fill_price(stop) == 990


def test_rejects_a_close_while_halted_and_records_it() -> None:
    scene = Scene()
    scene.buy(1)
    scene.exchange.set_halted(MNQ, True, scene.at_ns())
    whole = scene.exchange.close_contract(scene.account, MNQ, scene.at_ns())
    part = scene.exchange.partial_close(scene.account, MNQ, 1, scene.at_ns())
    assert isinstance(whole, Refused)
    assert isinstance(part, Refused)
    assert (whole.code, part.code, part.message) == (RefusalCode.REJECTED, RefusalCode.REJECTED, None)
    assert [order.status for order in scene.exchange.orders(scene.account)[1:]] == [OrderStatus.REJECTED] * 2
    assert scene.net == 1


@pytest.mark.parametrize(
    ("net", "size", "code"),
    [
        (0, 1, RefusalCode.POSITION_NOT_FOUND),
        (2, 0, RefusalCode.INVALID_SIZE),
        (2, 3, RefusalCode.INVALID_SIZE),
    ],
)
def test_refuses_to_close_what_is_not_there(net: int, size: int, code: RefusalCode) -> None:
    scene = Scene()
    if net:
        scene.buy(net)
    assert scene.exchange.partial_close(scene.account, MNQ, size, scene.at_ns()) == Refused(code)


def test_refuses_to_close_flat_or_unknown() -> None:
    exchange, account = Scene().exchange, Scene().account
    assert exchange.close_contract(account, MNQ, 1) == Refused(RefusalCode.POSITION_NOT_FOUND)
    assert exchange.close_contract(account, "CON.F.US.XX.U26", 1) == Refused(RefusalCode.CONTRACT_NOT_FOUND)
    assert exchange.close_contract(1, MNQ, 1) == Refused(RefusalCode.ACCOUNT_NOT_FOUND)


def test_finds_no_order_that_is_unknown_or_done() -> None:
    scene = Scene()
    done = scene.buy(1)
    nothing = Refused(RefusalCode.ORDER_NOT_FOUND)
    for order_id in (1, done):
        assert scene.exchange.cancel(scene.account, order_id, scene.at_ns()) == nothing
        assert scene.exchange.modify(scene.account, order_id, scene.at_ns(), size=2) == nothing
    assert scene.exchange.cancel(1, done, 1) == Refused(RefusalCode.ACCOUNT_NOT_FOUND)
    assert scene.exchange.modify(1, done, 1, size=2) == Refused(RefusalCode.ACCOUNT_NOT_FOUND)


def test_refuses_bad_changes_and_leaves_the_order_as_it_was() -> None:
    scene = Scene()
    stop = scene.place(PlaceOrder(MNQ, OrderType.STOP, SELL, 1, stop_ticks=990))
    trail = scene.place(PlaceOrder(MNQ, OrderType.TRAILING_STOP, SELL, 1, trail_ticks=20))
    before = scene.exchange.orders(scene.account)
    rows = [
        (scene.exchange.modify(scene.account, stop, 1, size=0), "Invalid order size specified."),
        (scene.exchange.modify(scene.account, stop, 1, stop_ticks=1000), BAND),
        (scene.exchange.modify(scene.account, trail, 1, trail_ticks=0), "Trail Distance not set."),
    ]
    for refused, message in rows:
        assert refused == Refused(RefusalCode.REJECTED, message)
    assert scene.exchange.orders(scene.account) == before


def test_refuses_followers_and_live_accounts_what_the_api_does_not_do_for_them() -> None:
    scene = Scene()
    exchange = scene.exchange
    follower = exchange.open_account(user="trader", name="F", balance_micros=BALANCE, is_follower=True)
    live = exchange.open_account(user="trader", name="L", balance_micros=BALANCE, is_simulated=False)
    order = PlaceOrder(MNQ, OrderType.LIMIT, BUY, 1, limit_ticks=900)
    for account, text in (
        (follower, "Follower accounts cannot cancel orders"),
        (live, "Live accounts not supported"),
    ):
        order_id = exchange.place(account, order, 1)
        assert isinstance(order_id, int)
        assert exchange.cancel(account, order_id, 1) == Refused(RefusalCode.ACCOUNT_REJECTED, text)
    exchange.place(live, PlaceOrder(MNQ, OrderType.MARKET, BUY, 1), 1)
    refused = exchange.close_contract(live, MNQ, 1)
    assert refused == Refused(RefusalCode.ACCOUNT_REJECTED, "Live accounts not supported")


def test_hides_an_account_and_says_so() -> None:
    scene = Scene()
    scene.exchange.set_visible(scene.account, False, scene.at_ns())
    assert [each.account.is_visible for each in scene.told if isinstance(each, AccountChanged)] == [False]


def test_spells_the_bracket_type_refusal() -> None:
    assert messages.stop_loss_type("Limit") == "Invalid stop loss type (Limit)"

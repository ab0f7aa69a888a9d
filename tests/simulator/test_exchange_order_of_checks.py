"""In which order the venue looks at a new order, and what each refusal leaves behind."""

import msgspec
import pytest

from risk_manager.domain.order import OrderType, Side
from risk_manager.simulator import messages
from risk_manager.simulator.catalog import listed
from risk_manager.simulator.exchange import Exchange
from risk_manager.simulator.manners import Manners
from risk_manager.simulator.records import (
    BracketMode,
    Flaws,
    PlaceOrder,
    RefusalCode,
    Refused,
    SizeLimits,
)
from tests.simulator.exchange_scene import BALANCE, ES, MNQ, USD, Scene

BUY, SELL = Side.BUY, Side.SELL
LOCKED = "Your account is locked out: Personal. Please wait until your lockout expires."
HALTED = "Trading is currently unavailable. The instrument is not in an active trading status."
BRACKETS = "Brackets cannot be used with Position Brackets. You must enable Auto OCO Brackets."


def test_reports_the_first_of_many_faults_in_the_venues_order() -> None:
    """An order with every fault there is, mended one by one."""
    exchange = Exchange([listed("MNQ", "U26")])
    exchange.quote(MNQ, 1000, 1001, 1)
    account = exchange.open_account(
        user="trader",
        name="A",
        balance_micros=100 * USD,
        bracket_mode=BracketMode.POSITION_BRACKETS,
        size_limits=SizeLimits(order_contracts=3, position_contracts=2, margin_micros=25 * USD),
    )
    tagged = PlaceOrder(MNQ, OrderType.LIMIT, BUY, 1, limit_ticks=900, tag="used")
    assert isinstance(exchange.place(account, tagged, 1), int)
    exchange.set_halted(MNQ, True, 1)
    exchange.set_can_trade(account, False, 1)
    order = PlaceOrder(
        "X", OrderType.STOP_LIMIT, BUY, 0, tag="used", stop_loss_ticks=40, flaws=Flaws("side", "price", "bracket")
    )
    heard = []

    def place(**better: object) -> None:
        nonlocal order
        order = msgspec.structs.replace(order, **better)
        refused = exchange.place(account, order, 2)
        assert isinstance(refused, Refused)
        heard.append((refused.code.value, refused.message, refused.order_id is not None))

    place()
    exchange.set_can_trade(account, True, 2)
    place()
    place(contract_id=MNQ)
    place(type=OrderType.LIMIT)
    place(flaws=Flaws(None, "price", "bracket"))
    place(size=5)
    place(tag="fresh 1")
    place(tag="fresh 2", flaws=Flaws(None, None, "bracket"))
    place(tag="fresh 3", limit_ticks=900)
    place(tag="fresh 4", flaws=Flaws())
    place(tag="fresh 5", stop_loss_ticks=None)
    exchange.set_halted(MNQ, False, 2)
    place(tag="fresh 6")
    place(tag="fresh 7", size=4)
    place(tag="fresh 8", size=3)
    assert heard == [
        ("violation", LOCKED, False),
        ("contract_not_found", None, False),
        ("rejected", "Invalid order type specified.", True),
        ("rejected", "side", True),
        ("rejected", "Invalid order size specified.", True),
        ("rejected", "Order rejected: custom tag already in use.", True),
        ("rejected", "price", True),
        ("rejected", "Invalid limit price. Price is not set.", True),
        ("rejected", "bracket", True),
        ("rejected", BRACKETS, True),
        ("rejected", HALTED, True),
        ("insufficient_funds", "Not enough margin.", True),
        ("rejected", "Maximum order size exceeded.", True),
        ("rejected", "Maximum position exceeded.", True),
    ]
    assert isinstance(exchange.place(account, msgspec.structs.replace(order, tag="fresh 9", size=2), 2), int)


@pytest.mark.parametrize(
    ("code", "has_order"),
    [(RefusalCode.VIOLATION, True), (RefusalCode.REJECTED, True), (RefusalCode.ACCOUNT_REJECTED, False)],
)
def test_refuses_a_blocked_account_with_the_chosen_code(code: RefusalCode, has_order: bool) -> None:
    scene = Scene()
    scene.exchange.set_can_trade(scene.account, False, scene.at_ns(), reason="TradeClock", code=code)
    refused = scene.exchange.place(scene.account, PlaceOrder(MNQ, OrderType.MARKET, BUY, 1), scene.at_ns())
    assert isinstance(refused, Refused)
    text = "Your account is locked out: TradeClock. Please wait until your lockout expires."
    assert (refused.code, refused.message, refused.order_id is not None) == (code, text, has_order)
    assert len(scene.exchange.orders(scene.account)) == has_order


def test_can_keep_a_blocked_account_from_getting_out() -> None:
    exchange = Exchange([listed("MNQ", "U26")], manners=Manners(lockout_blocks_exits=True))
    exchange.quote(MNQ, 1000, 1001, 1)
    account = exchange.open_account(user="trader", name="A", balance_micros=BALANCE)
    exchange.place(account, PlaceOrder(MNQ, OrderType.MARKET, BUY, 2), 1)
    resting = exchange.place(account, PlaceOrder(MNQ, OrderType.LIMIT, BUY, 1, limit_ticks=900), 1)
    assert isinstance(resting, int)
    exchange.set_can_trade(account, False, 1)
    refused = Refused(RefusalCode.ACCOUNT_REJECTED, LOCKED)
    assert exchange.cancel(account, resting, 1) == refused
    assert exchange.close_contract(account, MNQ, 1) == refused
    assert exchange.partial_close(account, MNQ, 1, 1) == refused
    exchange.set_can_trade(account, True, 1)
    assert exchange.close_contract(account, MNQ, 1) is None


def test_can_keep_a_follower_from_placing() -> None:
    exchange = Exchange([listed("MNQ", "U26")], manners=Manners(follower_may_place=False))
    exchange.quote(MNQ, 1000, 1001, 1)
    order = PlaceOrder(MNQ, OrderType.MARKET, BUY, 1)
    follower = exchange.open_account(user="trader", name="F", balance_micros=BALANCE, is_follower=True)
    leader = exchange.open_account(user="trader", name="L", balance_micros=BALANCE)
    assert exchange.place(follower, order, 1) == Refused(RefusalCode.ACCOUNT_REJECTED)
    assert exchange.orders(follower) == []
    assert isinstance(exchange.place(leader, order, 1), int)


@pytest.mark.parametrize(
    ("held", "side", "size", "message"),
    [
        (0, BUY, 2, None),
        (0, BUY, 3, "Maximum position exceeded."),
        (2, BUY, 1, "Maximum position exceeded."),
        (2, SELL, 2, None),
        (2, SELL, 4, None),
        (2, SELL, 5, "Maximum order size exceeded."),
    ],
)
def test_limits_what_makes_a_position_larger(held: int, side: Side, size: int, message: str | None) -> None:
    scene = Scene()
    limits = SizeLimits(order_contracts=4, position_contracts=2)
    account = scene.exchange.open_account(user="trader", name="B", balance_micros=BALANCE, size_limits=limits)
    if held:
        scene.exchange.place(account, PlaceOrder(MNQ, OrderType.MARKET, BUY, held), 1)
    placed = scene.exchange.place(account, PlaceOrder(MNQ, OrderType.MARKET, side, size), 1)
    assert (placed.message if isinstance(placed, Refused) else None) == message


@pytest.mark.parametrize(("size", "message"), [(3, None), (4, "Maximum order size exceeded.")])
def test_does_not_take_turning_a_position_round_for_reducing_it(size: int, message: str | None) -> None:
    scene = Scene()
    limits = SizeLimits(order_contracts=2)
    account = scene.exchange.open_account(user="trader", name="B", balance_micros=BALANCE, size_limits=limits)
    scene.exchange.place(account, PlaceOrder(MNQ, OrderType.MARKET, BUY, 2), 1)
    placed = scene.exchange.place(account, PlaceOrder(MNQ, OrderType.MARKET, SELL, size), 1)
    assert (placed.message if isinstance(placed, Refused) else None) == message


def test_wants_margin_for_every_contract_held() -> None:
    scene = Scene()
    limits = SizeLimits(margin_micros=20_000 * USD)
    account = scene.exchange.open_account(user="trader", name="B", balance_micros=BALANCE, size_limits=limits)
    order = PlaceOrder(MNQ, OrderType.MARKET, BUY, 2)
    assert isinstance(scene.exchange.place(account, order, 1), int)
    refused = scene.exchange.place(account, msgspec.structs.replace(order, size=1), 1)
    assert isinstance(refused, Refused)
    assert (refused.code, refused.message) == (RefusalCode.INSUFFICIENT_FUNDS, "Not enough margin.")


def test_burns_the_childrens_tags_of_a_refused_order_too() -> None:
    scene = Scene()
    order = PlaceOrder(MNQ, OrderType.LIMIT, BUY, 1, tag="t", stop_loss_ticks=-8)
    flawed = msgspec.structs.replace(order, flaws=Flaws(price=messages.MISALIGNED_LIMIT))
    refused = scene.exchange.place(scene.account, flawed, 1)
    assert isinstance(refused, Refused)
    again = scene.exchange.place(scene.account, PlaceOrder(ES, OrderType.LIMIT, BUY, 1, limit_ticks=1, tag="t-SL"), 1)
    assert isinstance(again, Refused)
    assert again.message == "Order rejected: custom tag already in use."

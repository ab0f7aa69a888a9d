"""The venue's own loss limits, and what it does when one is reached."""

import pytest

from risk_manager.domain.order import OrderStatus, OrderType, Side
from risk_manager.simulator.catalog import listed
from risk_manager.simulator.exchange import Exchange
from risk_manager.simulator.loss_limits import Breach, LossLimits, LossWatch
from risk_manager.simulator.manners import Manners
from risk_manager.simulator.records import PlaceOrder, RefusalCode, Refused
from tests.simulator.exchange_scene import BALANCE, MNQ, USD, Scene

DAY_NS = 86_400 * 1_000_000_000
BUY = PlaceOrder(MNQ, OrderType.MARKET, Side.BUY, 1)


def test_trails_the_end_of_the_day_up_to_the_first_balance() -> None:
    watch = LossWatch(LossLimits(maximum_loss_micros=2_000), 50_000)
    floors = [watch.floor_micros]
    for balance in (49_500, 50_662, 50_100, 53_000):
        watch.roll(balance)
        floors.append(watch.floor_micros)
    assert floors == [48_000, 48_000, 48_662, 48_662, 50_000]


@pytest.mark.parametrize(
    ("equity", "breach"), [(49_001, None), (49_000, Breach.DAILY), (48_001, Breach.DAILY), (48_000, Breach.MAXIMUM)]
)
def test_breaches_at_the_limit(equity: int, breach: Breach | None) -> None:
    watch = LossWatch(LossLimits(maximum_loss_micros=2_000, daily_loss_micros=1_000), 50_000)
    assert watch.breach(equity) is breach


def test_counts_the_daily_loss_from_the_days_first_balance() -> None:
    watch = LossWatch(LossLimits(daily_loss_micros=1_000), 50_000)
    watch.roll(49_200)
    assert (watch.floor_micros, watch.breach(48_201), watch.breach(48_200)) == (None, None, Breach.DAILY)


def test_liquidates_at_the_maximum_loss_and_blocks_for_good() -> None:
    scene = Scene()
    scene.exchange.limit_losses(scene.account, LossLimits(maximum_loss_micros=10 * USD), scene.at_ns())
    # A dollar a tick from 1001, and 1.22 of costs: 9.22 down at 993, 10.22 at 992.
    scene.buy(2)
    stop = scene.place(PlaceOrder(MNQ, OrderType.STOP, Side.SELL, 2, stop_ticks=900))
    scene.story()
    scene.quote(993, 994)
    assert (scene.net, scene.story()) == (2, [])
    scene.quote(992, 993)
    assert scene.story() == [
        "order cancelled",
        "order pending",
        "fill sell 2 -9.00",
        "again buy 2",
        "order filled",
        "flat",
        "account",
        "account",
    ]
    assert (scene.net, scene.order(stop).status) == (0, OrderStatus.CANCELLED)
    assert scene.exchange.place(scene.account, BUY, scene.at_ns() + 3 * DAY_NS) == Refused(
        RefusalCode.VIOLATION, None, stop + 2
    )


def test_blocks_at_the_daily_loss_until_the_next_day() -> None:
    scene = Scene()
    scene.exchange.limit_losses(scene.account, LossLimits(daily_loss_micros=5 * USD), scene.at_ns())
    scene.buy(1)
    scene.quote(991, 992)
    assert scene.net == 0
    refused = scene.exchange.place(scene.account, BUY, scene.at_ns())
    assert isinstance(refused, Refused)
    assert refused.code is RefusalCode.VIOLATION
    assert isinstance(scene.exchange.place(scene.account, BUY, scene.at_ns() + DAY_NS), int)


def test_counts_losses_that_are_already_taken() -> None:
    scene = Scene()
    scene.exchange.limit_losses(scene.account, LossLimits(maximum_loss_micros=USD), scene.at_ns())
    scene.buy(1)
    scene.sell(1)
    # A tick and four halves of costs: 0.50 + 1.22.
    assert scene.earned == -1_720_000
    scene.quote(1000, 1001)
    assert scene.exchange.account(scene.account).can_trade is False  # type: ignore[union-attr]


def test_liquidates_a_halted_contract_once_it_trades_again() -> None:
    scene = Scene()
    scene.exchange.limit_losses(scene.account, LossLimits(maximum_loss_micros=5 * USD), scene.at_ns())
    scene.buy(1)
    scene.exchange.set_halted(MNQ, True, scene.at_ns())
    scene.quote(980, 981)
    assert scene.net == 1
    assert scene.exchange.orders(scene.account)[-1].status is OrderStatus.PENDING
    scene.exchange.set_halted(MNQ, False, scene.at_ns())
    assert scene.net == 0


def test_liquidates_an_account_too_that_is_locked_out_already_but_once_only() -> None:
    scene = Scene()
    scene.exchange.limit_losses(scene.account, LossLimits(daily_loss_micros=5 * USD), scene.at_ns())
    scene.buy(1)
    scene.exchange.set_can_trade(scene.account, False, scene.at_ns())
    scene.quote(991, 992)
    assert scene.net == 0
    scene.story()
    scene.quote(990, 991)
    scene.exchange.set_can_trade(scene.account, True, scene.at_ns())
    assert scene.story() == ["account"]
    # Freed by hand, it is blocked again at the next quote.
    scene.quote(989, 990)
    assert scene.story() == ["account"]
    assert isinstance(scene.exchange.place(scene.account, BUY, scene.at_ns()), Refused)


def test_measures_changed_limits_from_where_it_began() -> None:
    scene = Scene()
    scene.exchange.limit_losses(scene.account, LossLimits(maximum_loss_micros=USD), scene.at_ns())
    scene.exchange.limit_losses(scene.account, LossLimits(maximum_loss_micros=9 * USD), scene.at_ns())
    assert scene.exchange.loss_limits(scene.account) == LossLimits(maximum_loss_micros=9 * USD)
    # Half a dollar a tick from 1001, and 0.61 of costs: 8.61 down at 985, 9.11 at 984.
    scene.buy(1)
    scene.exchange.limit_losses(scene.account, LossLimits(9 * USD, 50 * USD), scene.at_ns())
    scene.quote(985, 986)
    assert scene.net == 1
    scene.quote(984, 985)
    assert scene.net == 0


def test_watches_no_more_without_limits() -> None:
    scene = Scene()
    scene.exchange.limit_losses(scene.account, LossLimits(USD, USD), scene.at_ns())
    scene.exchange.limit_losses(scene.account, LossLimits(), scene.at_ns())
    scene.buy(2)
    scene.quote(100, 101)
    assert (scene.net, scene.exchange.loss_limits(scene.account)) == (2, LossLimits())


@pytest.mark.parametrize(
    ("code", "refused"),
    [
        (None, Refused(RefusalCode.ACCOUNT_REJECTED)),
        (RefusalCode.VIOLATION, Refused(RefusalCode.VIOLATION, None, 3_423_000_001)),
    ],
)
def test_refuses_what_is_placed_on_a_stopped_account_as_its_manners_or_the_caller_say(
    code: RefusalCode | None, refused: Refused
) -> None:
    exchange = Exchange([listed("MNQ", "U26")], manners=Manners(stop_out_code="account_rejected"))
    account = exchange.open_account(user="trader", name="A", balance_micros=BALANCE)
    exchange.quote(MNQ, 1000, 1001, 1)
    exchange.stop_out(account, Breach.MAXIMUM, 2, code=code)
    assert exchange.place(account, BUY, 3) == refused

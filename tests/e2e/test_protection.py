"""A real guard on real sockets against the simulated gateway: a trader's position gets its stop, which follows it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from risk_manager.domain.contract import Contract
from risk_manager.domain.instrument import Instrument
from risk_manager.domain.order import OrderStatus, OrderType, Side
from risk_manager.domain.trading_day import TradingDays
from risk_manager.engine import EngineSettings
from risk_manager.rules import build_rules
from risk_manager.runtime.clock import SystemClock, stopwatch_ns
from risk_manager.runtime.guard import Guard
from risk_manager.runtime.recovery import recovered
from risk_manager.simulator.exchange import Exchange
from risk_manager.simulator.records import PlaceOrder, Refused, SimContract, SimOrder
from risk_manager.simulator.server.server import SimServer
from risk_manager.testing.ports import MemoryJournal
from risk_manager.venues.projectx.settings import HubTimings, ProjectXSettings
from risk_manager.venues.projectx.transport import NetworkTransport
from risk_manager.venues.projectx.venue import ProjectXVenue

USER, KEY = "trader", "a key of the simulator"
ES = Contract("CON.F.US.EP.H24", "ESH4", "F.US.EP", Instrument("ES", 250_000_000, 12_500_000, ("EP",)))
HOUR_NS = 3_600_000_000_000
PATIENCE_S = 8.0
RULES = build_rules(
    {
        "no_stop_loss_grace": {"grace_period_seconds": 3},
        "trade_management": {
            "auto_stop_loss": {"enabled": True, "ticks": 40},
            "auto_take_profit": {"enabled": True, "ticks": 400},
            "auto_breakeven": {"enabled": True, "profit_trigger_ticks": 20, "offset_ticks": 2},
            "trailing_stop": {"enabled": True, "activation_ticks": 60, "trail_distance_ticks": 30},
        },
    }
)


class Floor:
    """The simulated exchange with one account, a trader at it, and its guard."""

    def __init__(self) -> None:
        self.exchange = Exchange([SimContract(ES, 1_400_000, 0)])
        self.number = self.exchange.open_account(user=USER, name="50KTC-V2-1-1", balance_micros=50_000_000_000)
        self.quote(18_000)
        self.server = SimServer(self.exchange, users={USER: KEY}, wall_clock=time.time_ns, venue_clock=time.time_ns)
        self.journal = MemoryJournal()
        self.guard: Guard

    def quote(self, bid_ticks: int) -> None:
        """Move the market: the ask is a tick above the bid."""
        self.exchange.quote(ES.id, bid_ticks, bid_ticks + 1, time.time_ns())

    def trades(self, side: Side, size: int) -> None:
        """The trader's own market order, by another program."""
        order = PlaceOrder(ES.id, OrderType.MARKET, side, size)
        assert not isinstance(self.exchange.place(self.number, order, time.time_ns()), Refused)

    def resting(self, kind: OrderType) -> list[SimOrder]:
        orders = self.exchange.orders(self.number)
        return [order for order in orders if order.type is kind and order.status is OrderStatus.WORKING]

    def stops(self) -> list[tuple[int, int | None]]:
        """(size, price in ticks) of every stop that rests at the exchange."""
        return [(order.size - order.filled, order.stop_ticks) for order in self.resting(OrderType.STOP)]

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not is_so():
                await asyncio.sleep(0.01)


@asynccontextmanager
async def guarded() -> AsyncIterator[Floor]:
    floor = Floor()
    port = await floor.server.start()
    base = f"http://127.0.0.1:{port}"
    clock = SystemClock()
    settings = ProjectXSettings(
        user_name=USER,
        api_key=KEY,
        day_start_ns=lambda at_ns: at_ns - HOUR_NS,
        api_url=base,
        user_hub_url=f"{base}/hubs/user",
        market_hub_url=f"{base}/hubs/market",
        instruments=("ES",),
        hub=HubTimings(backoff_base_s=0.01, backoff_cap_s=0.05, silence_s=2.0, ping_s=0.5),
    )
    venue = ProjectXVenue(settings, NetworkTransport(), clock, run_mark="1")
    start_ns = clock.now_ns() - HOUR_NS
    days = TradingDays((start_ns, start_ns + 24 * HOUR_NS), ("today",))
    guarding = EngineSettings(str(floor.number), days, RULES)
    engine, _ = await recovered(guarding, floor.journal)
    floor.guard = Guard("practice", engine, guarding, venue, floor.journal, clock, stopwatch_ns, poll_ns=500_000_000)
    floor.guard.start()
    run = asyncio.create_task(venue.run((str(floor.number),), floor.guard.deliver))
    try:
        await floor.until(lambda: floor.guard.engine.account.is_synced)
        yield floor
    finally:
        await floor.guard.stop()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        await venue.close()
        await floor.server.stop()


async def test_a_position_gets_its_stop_which_moves_to_breakeven_trails_and_goes_with_it() -> None:
    async with guarded() as floor:
        floor.trades(Side.BUY, 2)  # at 18 001
        await floor.until(lambda: floor.stops() == [(2, 17_961)])
        await floor.until(lambda: [order.limit_ticks for order in floor.resting(OrderType.LIMIT)] == [18_401])

        floor.quote(18_021)
        await floor.until(lambda: floor.stops() == [(2, 18_003)])
        floor.quote(18_070)
        await floor.until(lambda: floor.stops() == [(2, 18_040)])
        floor.quote(18_090)
        floor.quote(18_065)
        await floor.until(lambda: floor.stops() == [(2, 18_060)])

        floor.trades(Side.SELL, 1)
        await floor.until(lambda: floor.stops() == [(1, 18_060)])
        floor.trades(Side.SELL, 1)
        await floor.until(lambda: not floor.stops() and not floor.resting(OrderType.LIMIT))
        await floor.until(lambda: not floor.guard.engine.enforcer.works)

        assert floor.exchange.positions(floor.number) == []
        codes = [finding for decision in floor.journal.committed for finding in decision.findings]
        assert not [finding for finding in codes if type(finding).__name__ == "Breach"]
        assert floor.guard.enforcements.records == ()


async def test_a_stop_that_fills_takes_its_target_along() -> None:
    async with guarded() as floor:
        floor.trades(Side.SELL, 1)  # at 18 000
        await floor.until(lambda: floor.stops() == [(1, 18_040)])
        await floor.until(lambda: len(floor.resting(OrderType.LIMIT)) == 1)
        floor.quote(18_045)
        await floor.until(lambda: floor.exchange.positions(floor.number) == [])
        await floor.until(lambda: not floor.resting(OrderType.LIMIT) and not floor.stops())
        await floor.until(lambda: not floor.guard.engine.enforcer.works)
        assert len(floor.exchange.orders(floor.number)) == 3  # the trader's, the stop, the target: no fourth

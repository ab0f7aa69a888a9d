"""One guarded account in real time, at a gateway that misbehaves: the daemon's own parts with its own waiting times.

Somebody else trades the account at the exchange, where the gateway's faults do not reach. What counts is what the
exchange's own books show: when the position is gone, and that nothing the guard asked for ever made one.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from risk_manager.config import build_trading_days
from risk_manager.domain.finding import Warning
from risk_manager.domain.order import OrderType, Side
from risk_manager.engine import EngineSettings
from risk_manager.rules import build_rules
from risk_manager.runtime.clock import SystemClock, stopwatch_ns
from risk_manager.runtime.guard import Guard
from risk_manager.runtime.recovery import recovered
from risk_manager.runtime.wiring import POLL_S
from risk_manager.simulator.fault_schedule import FaultSchedule
from risk_manager.simulator.fault_script import parse_sentence
from risk_manager.simulator.records import PlaceOrder, SimContract, SimOrder
from risk_manager.simulator.server import SimServer, SimSettings
from risk_manager.testing.ports import MemoryJournal
from risk_manager.venues.projectx.settings import ProjectXSettings
from risk_manager.venues.projectx.transport import NetworkTransport
from risk_manager.venues.projectx.venue import ProjectXVenue
from tests.scenarios.stage import ES, FIRST_TICKS, Call, Cancelled, Closed, Moved, Placed, Reduced, WatchedExchange

USER, KEY = "pat", "key-of-pat-0123"
HOUR_NS = 3_600_000_000_000
PATIENCE_S = 150.0
QUOTE_EVERY_S = 0.1

Rules = Mapping[str, Mapping[str, object]]
TWO_AT_MOST: Rules = {"max_contracts": {"limit": 2, "action": "flatten", "lockout": "reset"}}
REDUCED_TO_TWO: Rules = {"max_contracts": {"limit": 2}}
FLAT_ONCE: Rules = {"max_contracts": {"limit": 2, "action": "flatten"}}
STOP_OF_40: Rules = {"trade_management": {"auto_stop_loss": {"enabled": True, "ticks": 40}}}
LOSS_OF_A_DAY: Rules = {"daily_realized_loss": {"limit": -500}}
OPEN_LOSS: Rules = {"daily_unrealized_loss": {"loss_limit": 300, "action": "flatten_and_lock"}}


class Trial:
    """Attributes: exchange: keeps its own books, and what the guard asked for.   journal: what the guard decided."""

    def __init__(self, settings: SimSettings, **account: Any) -> None:
        self.exchange = WatchedExchange()
        self.exchange.now_ns = time.time_ns()
        self.number = self.exchange.open_account(
            user=USER, name="50KTC-V2-1-1", balance_micros=50_000_000_000, **account
        )
        self.journal = MemoryJournal()
        self.server = SimServer(
            self.exchange, users={USER: KEY}, wall_clock=time.time_ns, venue_clock=time.time_ns, settings=settings
        )
        self.guard: Guard
        self.schedule = FaultSchedule(self.server)
        self.bid_ticks = FIRST_TICKS[ES.id]
        self.flips = 0
        self._begun_s = 0.0

    # -- the trader and the market -------------------------------------------------------------------------------

    def trades(self, side: Side, size: int, contract: SimContract = ES, *, stop_loss_ticks: int | None = None) -> None:
        self._places(PlaceOrder(contract.id, OrderType.MARKET, side, size, stop_loss_ticks=stop_loss_ticks))

    def rests(
        self,
        side: Side,
        size: int,
        *,
        stop_ticks: int | None = None,
        limit_ticks: int | None = None,
        stop_loss_ticks: int | None = None,
    ) -> None:
        kind = OrderType.STOP if stop_ticks is not None else OrderType.LIMIT
        order = PlaceOrder(ES.id, kind, side, size, limit_ticks=limit_ticks, stop_ticks=stop_ticks)
        self._places(msgspec.structs.replace(order, stop_loss_ticks=stop_loss_ticks))

    def trails(self, side: Side, size: int, trail_ticks: int) -> None:
        self._places(PlaceOrder(ES.id, OrderType.TRAILING_STOP, side, size, trail_ticks=trail_ticks))

    def throws(self, *sentences: str) -> None:
        """Let the gateway misbehave, in the words of its fault scripts."""
        for sentence in sentences:
            self.schedule.throw(parse_sentence(sentence))

    def moves(self, ticks: int) -> None:
        self.bid_ticks += ticks
        self.exchange.quote(ES.id, self.bid_ticks, self.bid_ticks + 1, time.time_ns())

    def breaks(self, size: int = 5) -> None:
        """Break the rule: from here on the time counts."""
        self.counts()
        self.trades(Side.BUY, size)

    def counts(self) -> None:
        """Have the time count from now on, because only now the guard can do anything."""
        self._begun_s = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long the time has been counting."""
        return time.monotonic() - self._begun_s

    def _places(self, order: PlaceOrder) -> None:
        self.exchange.now_ns = time.time_ns()
        answer = self.exchange.trader_places(self.number, order)
        assert isinstance(answer, int), answer

    # -- what the exchange's own books show ------------------------------------------------------------------------

    @property
    def net(self) -> int:
        position = self.exchange.position(self.number, ES.id)
        return position.net_contracts if position is not None else 0

    @property
    def orders(self) -> list[SimOrder]:
        return [order for order in self.exchange.orders(self.number) if not order.status.is_terminal]

    async def until(self, is_so: Callable[[], bool], what: str) -> None:
        until_s = time.monotonic() + PATIENCE_S
        while not is_so():
            assert time.monotonic() < until_s, f"not in time: {what}; {self.net} held, {len(self.orders)} orders"
            await asyncio.sleep(0.005)

    async def flat(self) -> float:
        """Seconds from the breach until nothing is held and nothing that could open works."""
        await self.until(lambda: not self.exchange.positions(self.number) and not self.orders, "flat")
        return self.seconds

    async def holds(self, size: int) -> float:
        """Seconds from the breach until exactly so much is held."""
        await self.until(lambda: self.net == size, f"{size} held")
        return self.seconds

    async def protected(self) -> float:
        """Seconds from the breach until stops rest for all that is held."""
        await self.until(lambda: self._stops == self.net > 0, "protected")
        return self.seconds

    @property
    def _stops(self) -> int:
        kinds = (OrderType.STOP, OrderType.TRAILING_STOP)
        return sum(order.size - order.filled for order in self.orders if order.type in kinds)

    def asked(self, kind: type) -> int:
        """How often the exchange was asked to close, reduce, cancel or place."""
        return sum(isinstance(call, kind) for call in self.exchange.calls)

    @property
    def warnings(self) -> list[str]:
        """Codes of the warnings the guard has given."""
        found = (finding for decision in self.journal.committed for finding in decision.findings)
        return [finding.code for finding in found if isinstance(finding, Warning)]


@asynccontextmanager
async def on_trial(
    rules: Rules = TWO_AT_MOST,
    settings: SimSettings | None = None,
    *,
    also_lists: SimContract | None = None,
    **account: Any,
) -> AsyncIterator[Trial]:
    """A trial whose guard is armed; afterwards nothing may have been made bigger or turned round by the guard.

    Args:
        also_lists: one more contract, quoted like ES.   account: what is special about the account, at the exchange.
    """
    trial = Trial(settings or SimSettings(), **account)
    if also_lists is not None:
        trial.exchange.list_contract(also_lists)
        trial.exchange.quote(also_lists.id, trial.bid_ticks, trial.bid_ticks + 1, time.time_ns())
    port = await trial.server.start()
    base = f"http://127.0.0.1:{port}"
    clock = SystemClock()
    venue = ProjectXVenue(
        ProjectXSettings(
            user_name=USER,
            api_key=KEY,
            day_start_ns=lambda at_ns: at_ns - HOUR_NS,
            api_url=base,
            user_hub_url=f"{base}/hubs/user",
            market_hub_url=f"{base}/hubs/market",
            instruments=("ES",),
        ),
        NetworkTransport(),
        clock,
        run_mark="1",
    )
    days = build_trading_days("17:00", "America/Chicago", 2024, 2030)
    guarding = EngineSettings(str(trial.number), days, build_rules(rules))
    engine, coverage = await recovered(guarding, trial.journal)
    trial.guard = Guard(
        "trial",
        engine,
        guarding,
        venue,
        trial.journal,
        clock,
        stopwatch_ns,
        poll_ns=int(POLL_S * 1_000_000_000),
        coverage=coverage,
    )
    trial.guard.start()
    tasks = [
        asyncio.create_task(venue.run((str(trial.number),), trial.guard.deliver)),
        asyncio.create_task(_quoting(trial)),
    ]
    try:
        await trial.until(lambda: engine.account.is_synced and not trial.guard.health.missing, "armed")
        trial.exchange.calls.clear()
        yield trial
        _no_harm(trial)
    finally:
        trial.schedule.stop()
        await trial.guard.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await venue.close()
        await trial.server.stop()


async def _quoting(trial: Trial) -> None:
    while True:
        trial.moves(0)
        await asyncio.sleep(QUOTE_EVERY_S)


def _no_harm(trial: Trial) -> None:
    """The guard asked for nothing but exits, and no fill turned a position round."""
    assert all(_is_exit(call, trial) for call in trial.exchange.calls), trial.exchange.calls
    nets: Counter[str] = Counter()
    for fill in trial.exchange.fills(trial.number):
        nets[fill.contract_id] += fill.side.sign * fill.size
        assert nets[fill.contract_id] >= 0, "turned round"


def _is_exit(call: Call, trial: Trial) -> bool:
    """Whether a call can only make a position smaller; traders here only ever buy."""
    if isinstance(call, Placed):
        return call.order.side is Side.SELL and call.order.type is OrderType.STOP and not call.order.has_bracket
    if isinstance(call, Moved):
        moved = trial.exchange.order(trial.number, call.order_id)
        return moved is not None and moved.side is Side.SELL and moved.type is OrderType.STOP
    return isinstance(call, Closed | Reduced | Cancelled)

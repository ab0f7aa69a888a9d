"""The guard's end: `python -m benchmarks.guarding VARIANT PORT DIRECTORY CONTRACTS`, until standard input ends.

Three variants of one path. `callback`: the venue adapter alone; the quote's callback posts the close at once.
`engine`: the daemon with the five rules, its journal in memory. `commit`: the daemon as it is, every decision durable
before the first byte of a call.
"""

import asyncio
import gc
import sys
from collections.abc import Coroutine
from pathlib import Path

import structlog

from benchmarks.day import RuleOptions
from benchmarks.scripted_venue import ACCOUNT_ID, CALM_TICKS
from risk_manager.config import build_trading_days
from risk_manager.domain.actions import ClosePosition
from risk_manager.domain.coverage import Gap
from risk_manager.domain.decision import Decision
from risk_manager.domain.events import Event, PositionUpdated, QuoteUpdated
from risk_manager.domain.fill import Fill
from risk_manager.enforcement.pacing import Pacing
from risk_manager.engine import EngineSettings
from risk_manager.persistence.sqlite_journal import SqliteJournal
from risk_manager.ports.journal import Journal, Record, Recovered, Story
from risk_manager.rules import build_rules
from risk_manager.runtime.clock import SystemClock, stopwatch_ns
from risk_manager.runtime.daemon import Daemon
from risk_manager.runtime.guard import Guard
from risk_manager.runtime.recovery import recovered
from risk_manager.simulator.catalog import PRODUCTS
from risk_manager.venues.projectx.limits import CallBudget
from risk_manager.venues.projectx.settings import ProjectXSettings
from risk_manager.venues.projectx.transport import NetworkTransport
from risk_manager.venues.projectx.venue import ProjectXVenue

POLL_S = 3.0
_LOSS_TICKS = 500
"""Far more than a calm quote strays and less than the breaking one falls."""


class MemoryJournal:
    """Implements `ports.journal.Journal` without a disk."""

    async def recover(self, account_id: str) -> Recovered:
        return Recovered(0, None, (), ())

    async def commit(self, decision: Decision) -> None:
        return

    async def save(
        self, account_id: str, trading_day: str, fills: tuple[Fill, ...], snapshot: bytes, gaps: tuple[Gap, ...] = ()
    ) -> None:
        return

    async def remember(self, records: tuple[Record, ...]) -> None:
        return

    async def story(self, intent_id: str, *, most_bytes: int | None = None) -> Story | None:
        return None

    async def decisions(
        self, account_id: str, *, after: int = 0, most: int = 100, most_bytes: int | None = None
    ) -> tuple[Decision, ...]:
        return ()

    async def close(self) -> None:
        return


class Poster:
    """Variant `callback`: what is held is closed from within the quote's callback; nothing is decided or remembered."""

    def __init__(self, venue: ProjectXVenue) -> None:
        self._venue = venue
        self._held: set[str] = set()
        self._is_broken = False
        self._calls: set[asyncio.Task[None]] = set()

    def deliver(self, event: Event) -> None:
        if isinstance(event, PositionUpdated):
            if event.position.net_contracts:
                self._held.add(event.position.contract_id)
        elif isinstance(event, QuoteUpdated) and event.quote.bid_ticks is not None:
            self._is_broken = event.quote.bid_ticks < CALM_TICKS - _LOSS_TICKS
        # Either may come first: position and quote arrive on connections of their own.
        if self._is_broken and self._held:
            held, self._held = self._held, set()
            for contract_id in sorted(held):
                self._start(self._close(ClosePosition("1", "1", contract_id)))

    async def poll(self) -> None:
        """Read what the guard reads, as often."""
        while True:
            await asyncio.sleep(POLL_S)
            await self._venue.snapshot(str(ACCOUNT_ID), full=True)

    async def _close(self, action: ClosePosition) -> None:
        await self._venue.execute(str(ACCOUNT_ID), action)

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.Task(work, loop=asyncio.get_running_loop(), eager_start=True)
        if not task.done():
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)


async def run(variant: str, port: int, directory: Path, contracts: int) -> None:
    """Guard until standard input ends."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40), logger_factory=_to_standard_error)
    clock = SystemClock()
    base = f"http://127.0.0.1:{port}"
    days = build_trading_days("17:00", "America/Chicago")
    settings = ProjectXSettings(
        user_name="bench",
        api_key="key",
        day_start_ns=lambda at_ns: days.day_of(at_ns).start_ns,
        api_url=base,
        user_hub_url=f"{base}/hubs/user",
        market_hub_url=f"{base}/hubs/market",
        instruments=tuple(product.instrument.root for product in PRODUCTS)[:contracts],
    )
    # Hundreds of breaches within seconds are more than any venue allows; the scripted one does not count.
    budget = CallBudget(calls=1_000_000, read_calls=1_000_000)
    venue = ProjectXVenue(settings, NetworkTransport(), clock, budget=budget, run_mark="1")
    if variant == "callback":
        await _post(venue)
        return
    journal: Journal = MemoryJournal() if variant == "engine" else await SqliteJournal.open(directory)
    engine_settings = EngineSettings(str(ACCOUNT_ID), days, build_rules(_rules(contracts)), pacing=_QUICK_PROOF)
    poll_ns = round(POLL_S * 1e9)
    engine, _ = await recovered(engine_settings, journal)
    guard = Guard("bench", engine, engine_settings, venue, journal, clock, stopwatch_ns, poll_ns=poll_ns)
    daemon = Daemon(venue, journal, (guard,), clock, revision="bench", version="bench", api_port=None)
    running = asyncio.create_task(daemon.run())
    await asyncio.to_thread(sys.stdin.read)
    daemon.stop()
    await running


_QUICK_PROOF = Pacing(
    repeat_ns=2_000_000, proof_ns=2_000_000, doubt_ns=5_000_000, busy_closes=1_000_000, busy_snapshots=1_000_000
)
"""The scene repeats after milliseconds, so an enforcement has to be proven by then; what is measured comes before."""


def _rules(contracts: int) -> RuleOptions:
    open_loss: dict[str, object] = {"loss_limit": -200}
    if contracts > 1:
        open_loss |= {"scope": "total", "action": "flatten"}
    return {
        "max_contracts": {"limit": contracts + 1, "count_type": "gross"},
        "max_contracts_per_instrument": {"default_limit": 2},
        "daily_realized_loss": {"limit": -1_000_000},
        "daily_unrealized_loss": open_loss,
        "symbol_blocks": {"blocked_symbols": ["GC"]},
    }


async def _post(venue: ProjectXVenue) -> None:
    poster = Poster(venue)
    gc.collect()
    gc.freeze()
    duties = [
        asyncio.create_task(venue.run((str(ACCOUNT_ID),), poster.deliver)),
        asyncio.create_task(poster.poll()),
    ]
    await asyncio.to_thread(sys.stdin.read)
    for duty in duties:
        duty.cancel()
    await asyncio.gather(*duties, return_exceptions=True)
    await venue.close()


def _to_standard_error(*_: object) -> structlog.PrintLogger:
    return structlog.PrintLogger(sys.stderr)


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])))

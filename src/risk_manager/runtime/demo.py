"""The demo: a simulated market, a trader who breaks every rule, and the real daemon between them over real sockets.

The market waits for the guard after every step, and venue calls take a fixed *market* time, so one seed gives the same
decisions on every machine, while detection and commit are measured on the real one.
"""

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from risk_manager.config import AccountConfig, Credentials, GuardConfig, Secret, VenueConfig, build_trading_days
from risk_manager.domain.decision import Decision
from risk_manager.engine import Mode
from risk_manager.rules import Rule, build_rules
from risk_manager.runtime.clock import stopwatch_ns, wall_ns
from risk_manager.runtime.daemon import Daemon
from risk_manager.runtime.enforcements import Enforcement, Timing
from risk_manager.runtime.guard import DecisionListener, Guard
from risk_manager.runtime.wiring import build_daemon
from risk_manager.simulator.catalog import front_contracts
from risk_manager.simulator.desk import Desk
from risk_manager.simulator.exchange import Exchange
from risk_manager.simulator.feeds import Feed
from risk_manager.simulator.feeds.synthetic import SyntheticMarket, SyntheticProduct
from risk_manager.simulator.feeds.tape import open_recording
from risk_manager.simulator.market import Market
from risk_manager.simulator.market_clock import MarketClock
from risk_manager.simulator.records import SimContract
from risk_manager.simulator.referee import Limits, Referee
from risk_manager.simulator.referee import Report as Verdict
from risk_manager.simulator.server import SimServer, SimSettings, Window
from risk_manager.simulator.traders.script import DayPlan, Script, misbehaving_day

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000

USER, API_KEY = "demo", "demo-key-of-the-simulator"
ACCOUNT_NAME = "DEMO-50K"
START_NS = 1_772_461_800 * NS_PER_S
"""Monday 2026-03-02 14:30 UTC, the New York open: the invented market's own date, so that a seed says it all."""

CALL_LATENCY_NS = 80 * NS_PER_MS
STEP_TIMEOUT_S = 10.0
MARKET_SECONDS = 24.0
"""About how much market time the misbehaving day takes; the speed follows from it and the wanted length."""

HURRY_AT, HURRY_TIMES, RUSH_AT = 0.8, 4, 1.1
"""On some markets the day takes longer: from this share of the wanted length on time flies, and from the second on the
market does not wait at all. The decisions do not depend on it."""

MOST_PER_CONTRACT, MOST_CONTRACTS, OPEN_LOSS_USD, DAY_LOSS_USD, BLOCKED = 3, 5, 200, 800, "CL"
BLOCKED_INSTEAD = "NG"
START_TICKS = {"ES": 27_400, "MNQ": 99_200, "CL": 6_850}


class DemoOptions(msgspec.Struct, frozen=True):
    """What to show: about how long (real seconds), which seed, and a recording to use instead of an invented market.

    `contract` and `zone` are for a CSV recording, see `open_recording`.
    """

    seconds: float = 20.0
    seed: int = 7
    tape: Path | None = None
    contract: str | None = None
    zone: str | None = None


class DemoReport(msgspec.Struct, frozen=True):
    """How it went.

    Attributes:
        enforcements: every one, in order of its breach.
        missed: true breaches (by the exchange's own books) that nothing answered.
        false_flattens: acts of the guard without a true breach behind them.
        decisions_sha256: of what was found, locked and sent, without any measured time; equal seeds, equal hash.
    """

    seed: int
    tape: str | None
    market_seconds: float
    wall_seconds: float
    steps: int
    fills: int
    enforcements: tuple[Enforcement, ...]
    rules_fired: tuple[str, ...]
    missed: int
    false_flattens: int
    unproven: int
    decisions_sha256: str


class OutOfStep(Exception):
    """The guard did not follow the market within the time it is given; the message says where they differ."""


class Demo:
    """One run. Build it, `run` it, and look at `daemon`, `market` and `script` meanwhile."""

    def __init__(self, options: DemoOptions, on_decision: DecisionListener | None = None) -> None:
        self.options = options
        contracts, feed = _recorded_market(options) if options.tape else _invented_market(options)
        self.exchange = Exchange(contracts)
        self.clock = MarketClock(self.exchange)
        account_id = self.exchange.open_account(user=USER, name=ACCOUNT_NAME, balance_micros=50_000 * 1_000_000)
        self._days = build_trading_days("17:00", "America/Chicago")
        self._account_id = account_id
        self._contracts = contracts
        self._roots = sorted({each.contract.root for each in contracts})
        # A recording of nothing else must leave the trader something to trade.
        self._banned = BLOCKED if self._roots != [BLOCKED] else BLOCKED_INSTEAD
        self._on_decision = on_decision
        self._digest = hashlib.sha256()
        self._held_calls = 0
        self.referee = Referee(self.exchange, account_id, self._limits(), days=self._days)
        self._desk = Desk(self.exchange, account_id, name="trader")
        self.script = self._misbehavior()
        self.market = Market(
            self.exchange,
            feed,
            speed=self._speed_after(0.0),
            repeats=options.tape is not None,
            most_idle_s=0.25,
            gate=self._gate,
            after_step=self.referee.step_done,
        )
        self._begun_s = 0.0
        self._server: SimServer | None = None
        self.daemon: Daemon | None = None

    @property
    def guard(self) -> Guard:
        assert self.daemon is not None, "not running"
        return self.daemon.guards[0]

    async def run(self) -> DemoReport:
        """Play the day to its end.

        Raises:
            OutOfStep: the guard hangs.
            JournalUnavailable: the temporary directory cannot be written.
        """
        begun_ns = stopwatch_ns()
        self._server = server = SimServer(
            self.exchange,
            users={USER: API_KEY},
            wall_clock=wall_ns,
            # Market time runs faster than the wall the server counts its budget by.
            settings=SimSettings(calls=Window(1_000_000, 60.0), account_echoes_s=()),
        )
        server.hold_orders(self._latency)
        port = await server.start()
        with tempfile.TemporaryDirectory(prefix="risk-manager-demo-") as folder:
            self.daemon = await build_daemon(
                self._config(port, Path(folder)),
                clock=self.clock,
                clock_lead_max_s=86_400.0,
                listeners=(self._decided,),
            )
            guarding = asyncio.create_task(self.daemon.run())
            try:
                await self._connected()
                await self._play(guarding)
                return self._report((stopwatch_ns() - begun_ns) / NS_PER_S)
            finally:
                self.daemon.stop()
                await guarding
                await server.stop()
                self.referee.stop()

    # -- the stage ----------------------------------------------------------------------------------------------

    def _config(self, port: int, folder: Path) -> GuardConfig:
        base = f"http://127.0.0.1:{port}"
        return GuardConfig(
            venue=VenueConfig(
                base,
                f"{base}/hubs/user",
                f"{base}/hubs/market",
                tuple(self._roots),
                Credentials(USER, Secret(API_KEY)),
            ),
            accounts=(AccountConfig(str(self._account_id), None, ACCOUNT_NAME, Mode.ENFORCE, self._rules()),),
            reset_time="17:00",
            timezone="America/Chicago",
            trading_days=self._days,
            api_port=None,
            data_dir=folder,
            warnings=(),
            revision="demo",
        )

    def _rules(self) -> tuple[Rule, ...]:
        return build_rules(
            {
                "max_contracts": {"limit": MOST_CONTRACTS, "count_type": "gross"},
                "max_contracts_per_instrument": {"limits": dict.fromkeys(self._roots, MOST_PER_CONTRACT)},
                "daily_realized_loss": {"limit": -DAY_LOSS_USD, "warn_at": [50, 80]},
                "daily_unrealized_loss": {"loss_limit": -OPEN_LOSS_USD},
                "symbol_blocks": {"blocked_symbols": [self._banned]},
            }
        )

    def _limits(self) -> Limits:
        return Limits(
            most_contracts=MOST_CONTRACTS,
            most_per_root=dict.fromkeys(self._roots, MOST_PER_CONTRACT),
            daily_loss_micros=DAY_LOSS_USD * 1_000_000,
            floating_loss_micros=OPEN_LOSS_USD * 1_000_000,
            blocked_roots=frozenset({self._banned}).intersection(self._roots),
        )

    def _misbehavior(self) -> Script:
        blocked = tuple(each.id for each in self._contracts if each.contract.root == self._banned)
        allowed = tuple(each.id for each in self._contracts if each.id not in blocked)
        plan = DayPlan(
            contract_ids=allowed,
            blocked_ids=blocked,
            most_per_contract=MOST_PER_CONTRACT,
            most_contracts=MOST_CONTRACTS,
            daily_loss_micros=DAY_LOSS_USD * 1_000_000,
            doubler_size=MOST_PER_CONTRACT,
        )
        return misbehaving_day(plan, seed=self.options.seed)

    # -- the play -----------------------------------------------------------------------------------------------

    async def _connected(self) -> None:
        async with asyncio.timeout(STEP_TIMEOUT_S):
            async for _ in _turns():
                if self.guard.engine.account.is_synced and not self.guard.health.missing:
                    return

    async def _play(self, guarding: asyncio.Task[None]) -> None:
        self._begun_s = asyncio.get_running_loop().time()
        playing = asyncio.create_task(self.market.run())
        done, _ = await asyncio.wait((playing, guarding), return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            await task
        if not playing.done():
            self.market.stop()
            await playing

    async def _gate(self) -> None:
        """Before each market step: the guard takes in the last one, what is due happens, and the trader acts.

        The guard catches up after each of these, or the outcome would hang on which socket is faster.
        """
        await self._in_step()
        for _ in self.clock.advancing():
            await self._in_step()
        if not self.script.is_finished:
            self.script.step(self._desk, self.exchange.now_ns)
            await self._in_step()
        elif not self.guard.engine.enforcer.open_intents and not self._held_calls:
            self.market.stop()
        self.market.speed = self._speed_after(asyncio.get_running_loop().time() - self._begun_s)

    def _speed_after(self, elapsed_s: float) -> float | None:
        """Market seconds per second after so much of the run; None as fast as everybody can follow."""
        speed, share = MARKET_SECONDS / self.options.seconds, elapsed_s / self.options.seconds
        if share < HURRY_AT:
            return speed
        return HURRY_TIMES * speed if share < RUSH_AT else None

    async def _latency(self) -> None:
        """Hold a venue call back for its latency, in market time."""
        due = asyncio.Event()

        def let_go() -> None:
            # Counted here and not by the call itself: from now on the market waits for its outcome.
            self._held_calls -= 1
            due.set()

        self.clock.call_at(self.exchange.now_ns + CALL_LATENCY_NS, let_go)
        self._held_calls += 1
        await due.wait()

    async def _in_step(self) -> None:
        """Wait until the guard knows what the exchange knows, and waits for nothing but held calls."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + STEP_TIMEOUT_S
        async for _ in _turns():
            difference = self._difference()
            if difference is None:
                return
            if loop.time() > until_s:
                raise OutOfStep(difference)

    def _difference(self) -> str | None:
        guard, account = self.guard, self.guard.engine.account
        if not guard.is_idle or guard.calls_under_way != self._held_calls:
            return f"the guard is at work, {guard.calls_under_way} calls under way, {self._held_calls} held"
        if self._server is not None and self._server.events_waiting:
            return f"{self._server.events_waiting} events are still to be sent"
        held = {each.contract_id: each.net_contracts for each in self.exchange.positions(self._account_id)}
        if held != {key: book.net_contracts for key, book in account.holdings.items()}:
            return f"positions at the exchange: {held}"
        if account.doubtful_since_ns() is not None:
            return "a position is unsettled"
        live = {str(each.id) for each in self.exchange.orders(self._account_id) if not each.status.is_terminal}
        if live != set(account.orders):
            return f"orders at the exchange: {live}"
        balance = self.exchange.account(self._account_id)
        if balance is None or balance.balance_micros != account.balance_micros:
            return f"balance at the exchange: {balance}"
        for each in self._contracts:
            top, quote = self.exchange.top(each.id), account.quote_of(each.id)
            known = (quote.bid_ticks, quote.ask_ticks, quote.last_ticks) if quote else (None, None, None)
            if (top.bid_ticks, top.ask_ticks, top.last_ticks) != known:
                return f"{each.contract.name} at the exchange: {top}"
        return None

    # -- the verdict --------------------------------------------------------------------------------------------

    def _decided(self, guard: Guard, decision: Decision, timing: Timing) -> None:
        self._digest.update(_fingerprint(decision))
        for lockout in decision.lockouts_set:
            if lockout.scope.contract_id is None:
                self.referee.report_lockout(lockout.set_ns + CALL_LATENCY_NS, lockout.until_ns, root=lockout.scope.root)
        if self._on_decision is not None:
            self._on_decision(guard, decision, timing)

    def _report(self, wall_seconds: float) -> DemoReport:
        verdict: Verdict = self.referee.report()
        enforcements = self.guard.enforcements.records
        return DemoReport(
            seed=self.options.seed,
            tape=self.options.tape.name if self.options.tape else None,
            market_seconds=round((self.exchange.now_ns - self._first_ns()) / NS_PER_S, 3),
            wall_seconds=round(wall_seconds, 3),
            steps=self.market.steps,
            fills=len(self.exchange.fills(self._account_id)),
            enforcements=enforcements,
            rules_fired=tuple(sorted({record.rule for record in enforcements})),
            missed=len(verdict.missed),
            false_flattens=len(verdict.false_flattens),
            unproven=sum(1 for record in enforcements if not record.verified_flat),
            decisions_sha256=self._digest.hexdigest(),
        )

    def _first_ns(self) -> int:
        fills = self.exchange.fills(self._account_id)
        return fills[0].at_ns if fills else self.exchange.now_ns


async def _turns() -> AsyncIterator[None]:
    """Turns of the event loop without end, eagerly at first, then without burning the processor."""
    for _ in range(50):
        yield
        await asyncio.sleep(0)
    while True:
        yield
        await asyncio.sleep(0.0005)


def _fingerprint(decision: Decision) -> bytes:
    """What was decided, without ids and times: which step asks for a snapshot depends on the machine's speed."""
    actions = [
        (type(action).__name__, action.contract_id, getattr(action, "size", None))
        for action in decision.actions
        if hasattr(action, "contract_id")
    ]
    lockouts = [(str(lock.scope), lock.rule, lock.kind, lock.until_ns) for lock in decision.lockouts_set]
    findings = [msgspec.to_builtins(finding) for finding in decision.findings]
    said = [findings, lockouts, actions]
    return msgspec.json.encode(said) if any(said) else b""


def _invented_market(options: DemoOptions) -> tuple[tuple[SimContract, ...], Feed]:
    contracts = tuple(front_contracts(START_NS, ("ES", "MNQ", BLOCKED)))
    products = [SyntheticProduct(each.contract, START_TICKS[each.contract.root]) for each in contracts]
    return contracts, SyntheticMarket(products, seed=options.seed, start_ns=START_NS)


def _recorded_market(options: DemoOptions) -> tuple[tuple[SimContract, ...], Feed]:
    assert options.tape is not None
    return open_recording(options.tape, contract=options.contract, zone=options.zone)

"""One small world, from a script: the exchange and its gateway, the traders, and the daemon that guards them.

Everything is the product's own code in one process on virtual time; only the clock, the network and the thread of the
journal are replaced. What happened is in `trace`, the same for the same script.
"""

import asyncio
import gc
import random
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from risk_manager.config import AccountConfig, Credentials, GuardConfig, Secret, VenueConfig, build_trading_days
from risk_manager.domain.decision import Decision
from risk_manager.engine import Mode
from risk_manager.persistence.anchor import Anchor
from risk_manager.ports.latch import Latched
from risk_manager.rules import build_rules
from risk_manager.runtime.daemon import Daemon
from risk_manager.runtime.enforcements import Timing
from risk_manager.runtime.guard import Guard
from risk_manager.simulator.catalog import listed
from risk_manager.simulator.manners import Manners
from risk_manager.simulator.server import SimServer, SimSettings
from risk_manager.simulator.server.rest_settings import RestSettings
from tests.simulation.books import Asked, Books, Filled
from tests.simulation.checks import CALM_S, Checks, reaction_s
from tests.simulation.judge import Judge
from tests.simulation.loop import SECOND_NS, Stuck, VirtualLoop
from tests.simulation.machine import Machine
from tests.simulation.network import LOOPBACK, MACHINE, Network
from tests.simulation.remains import check_journal, check_recordings, check_secrets
from tests.simulation.rest import check_at_rest
from tests.simulation.script import Happening, Script
from tests.simulation.stand_ins import replaced
from tests.simulation.trader import Trader
from tests.simulation.weather import GOOD_WRITE_S, OrderedFaults, Weather

RESET_NS = 1_772_492_400 * SECOND_NS
"""Monday 2026-03-02 23:00 UTC: 17:00 in Chicago, the end of the trading day."""

CONTRACTS = (listed("ES", "H26"), listed("MES", "H26"), listed("MNQ", "H26"), listed("CL", "J26"))
FIRST_TICKS = (20_000, 20_000, 80_000, 7_000)
BALANCE_MICROS = 50_000_000_000
DAYS = build_trading_days("17:00", "America/Chicago", 2026, 2026)
USER, KEY = "pat", "key-of-pat-0123"
SIGHT_S = 15.0
QUIET_S = 90.0
"""Longer than any window of the call budget."""

STILL_S, STILL_WITHIN_S = 5.0, 60.0
"""What traders left resting fills whenever it likes. So long nothing may have happened before what is believed is held
against the books; and so long that is waited for."""

LOOK_EVERY_S = 0.25
FILLS_READ_S = 60.0
"""So long the calls of a burst count, and reading fills may have to wait."""

FRAME_PER_LATENCY, FRAME_S = 1.25, 0.01
"""How long a frame takes from the exchange to the guard's rules at most, the way and what lies at its ends."""

BAR_SECONDS = 600
"""Nobody asks for bars here; over months the gateway's record of them would be most of what there is in memory."""

ARMED_WITHIN_S = 20.0
ENDS_WITHIN_S = 60.0
RECORDED_EVERY = 8
"""One world in so many keeps its recordings, and replays them at its end: that takes as long as the world itself."""


class Result(msgspec.Struct, frozen=True):
    """Attributes: broken: what did not hold, in order.   digest: of the trace.   seconds: virtual."""

    broken: tuple[str, ...]
    digest: str
    trace: tuple[str, ...]
    seconds: float


class World:
    """Runs one script. `happen` finds the method of every kind of happening here or at the traders."""

    def __init__(self, script: Script, loop: VirtualLoop, folder: Path) -> None:
        self.script = script
        self.loop = loop
        self.trace: list[str] = []
        setup = script.setup
        self.is_recorded = setup.seed % RECORDED_EVERY == 0
        self.away_ns = 0
        self.jumpiness = setup.jumpiness
        self.wall_ahead_ns = 0
        self._began_s = loop.time()
        self.skipped_s = 0.0
        self._start_ns = RESET_NS - setup.lead_s * SECOND_NS - loop.elapsed_ns
        self.books = Books(
            list(CONTRACTS),
            partial_fills=setup.partial_fills,
            seed=setup.seed,
            manners=Manners(flat_cancels_children=setup.clears_children),
        )
        self.books.now_ns = self.now_ns()
        self.books.fill_delay_ns = round(setup.fill_delay_s * SECOND_NS)
        self.accounts = tuple(
            self.books.open_account(user=USER, name=f"ACCOUNT-{number}", balance_micros=BALANCE_MICROS)
            for number, _ in enumerate(setup.plans)
        )
        self.server = SimServer(
            self.books,
            users={USER: KEY},
            wall_clock=self.now_ns,
            venue_clock=self.now_ns,
            settings=SimSettings(
                token_lifetime_s=setup.token_lifetime_s,
                rest_delay_s=setup.rest_delay_s,
                rest=RestSettings(seed=setup.seed, delay_spread_s=setup.rest_delay_s),
                event_pace=setup.event_pace,
                event_delays_s={"GatewayUserOrder": setup.late_events_s},
                bar_seconds=BAR_SECONDS,
            ),
        )
        self.trader = Trader(self.books, self.accounts, CONTRACTS, self.now_ns)
        calm = frozenset(number for number, plan in zip(self.accounts, setup.plans, strict=True) if plan.is_calm)
        self.checks = Checks(self.books, self.accounts, calm, self.now_ns, loop.time)
        self.rules: list[dict[str, dict[str, object]]] = [dict(plan.rules) for plan in setup.plans]
        self.machine = Machine(self._configuration(0, folder), loop.network, self._decided, self._booted)
        self.folder = folder
        self.port = 0
        self.user = USER
        self.weather = Weather(self)
        self.server.faults = self.ordered = OrderedFaults(loop.time)
        self.contract_ids = tuple(contract.id for contract in CONTRACTS)
        self._bids = list(FIRST_TICKS)
        self.checks.day_end_ns = lambda at_ns: DAYS.day_of(at_ns).end_ns
        self.checks.rules |= zip(self.accounts, self.rules, strict=True)
        self.judge = Judge(
            self.books,
            self.accounts,
            self.checks.rules,
            DAYS.day_of,
            elapsed_s=loop.time,
            heard_s=FRAME_PER_LATENCY * setup.latency_s + FRAME_S,
            patience_s=reaction_s,
            is_disturbed=self.is_disturbed,
            is_crowded=self.checks.wire.is_crowded,
            fail=self.checks.fail,
        )
        self.anchor: Anchor | None = None
        self.checks.wire.secrets.add(KEY)
        loop.on_connect = lambda host, port: self.checks.wire.connects(MACHINE.get(), host, port)
        self.books.on_asked = self._asked
        self.books.on_filled = self.filled

    def is_disturbed(self, account: int) -> bool:
        """Whether a fault is not over, a call that was to fail has done so just now, or the fills the guard has missed
        are not read yet: that waits while enforcement has used up the calls there are.
        """
        ended_s = max(self.checks.disturbed_until_s, self.ordered.struck_s)
        is_read = self.checks.wire.fills_read_s[str(account)] >= ended_s
        waited_s = self.loop.time() - ended_s
        return self.checks.is_disturbed() or waited_s < CALM_S or (waited_s < FILLS_READ_S and not is_read)

    # -- time ----------------------------------------------------------------------------------------------------

    def now_ns(self) -> int:
        """True time, which the exchange goes by."""
        return self._start_ns + self.loop.elapsed_ns + self.away_ns

    def wall_ns(self) -> int:
        """What the clock on the guard's machine shows."""
        return self.now_ns() + self.wall_ahead_ns

    def _script_s(self) -> float:
        return self.loop.time() - self._began_s - self.skipped_s

    # -- the run -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        helpers = await self.open()
        self.begin()
        for happening in self.script.happenings:
            await self.until(happening.at_s)
            self.happen(happening)
            if self.checks.broken:
                break
        await self.until(self.script.setup.busy_s)
        self.repair()
        if not self.checks.broken:
            await asyncio.sleep(SIGHT_S)
            self.checks.check_sight()
            await asyncio.sleep(QUIET_S - SIGHT_S)
            await self.still()
            check_at_rest(self.checks, self.judge)
        await self.close(helpers)

    async def open(self) -> list[asyncio.Task[NoReturn]]:
        """Start the gateway, the market and the guard, and wait until it is armed."""
        self.port = await self.server.start(port=50_000)
        self.checks.wire.origin = LOOPBACK, self.port
        self.machine.config = self._configuration(self.port, self.folder)
        self.trader.base_url = f"http://127.0.0.1:{self.port}"
        self.trader.login = {"userName": USER, "apiKey": KEY}
        helpers = [self.loop.create_task(self._quote()), self.loop.create_task(self._look())]
        self.machine.boot()
        await self._armed()
        return helpers

    async def close(self, helpers: list[asyncio.Task[NoReturn]]) -> None:
        for helper in helpers:
            helper.cancel()
        await asyncio.gather(*helpers, return_exceptions=True)
        try:
            async with asyncio.timeout(ENDS_WITHIN_S):
                await self.machine.stop()
        except TimeoutError:
            self.checks.fail("I25", "the program does not end")
        # Exceptions that nobody has taken show when what holds them goes.
        gc.collect()
        if not self.checks.broken:
            self.check_remains()
        self.checks.is_over = True
        await self.server.stop()

    def check_remains(self) -> None:
        """I6, I23, I28, I31: what is on the disk when the program has ended."""
        check_journal(self.checks, self.folder, self.anchor)
        check_secrets(self.checks, self.folder)
        if self.is_recorded:
            check_recordings(self.checks, self.folder, DAYS)

    def begin(self) -> None:
        """The script's time begins."""
        self._began_s, self.skipped_s = self.loop.time(), 0.0

    def happen(self, happening: Happening) -> None:
        self.note("happens", happening.kind, *happening.args)
        actor = self.weather if hasattr(self.weather, happening.kind) else self.trader
        getattr(actor, happening.kind)(*happening.args)

    async def until(self, at_s: float) -> None:
        while (left_s := at_s - self._script_s()) > 0:
            await asyncio.sleep(left_s)

    async def still(self) -> None:
        """Return when no order has come, filled or gone for a while; or, if that does not end, after a minute."""
        until_s = self.loop.time() + STILL_WITHIN_S
        while self.now_ns() - self.books.changed_ns < STILL_S * SECOND_NS and self.loop.time() < until_s:
            await asyncio.sleep(LOOK_EVERY_S)

    async def _armed(self) -> None:
        until_s = self.loop.time() + ARMED_WITHIN_S
        while not self._is_armed():
            if self.loop.time() > until_s:
                self.checks.fail("I25", "not armed in time")
                return
            await asyncio.sleep(0.05)

    def _is_armed(self) -> bool:
        daemon = self.machine.daemon
        return daemon is not None and all(
            guard.engine.account.is_synced and not guard.health.missing for guard in daemon.guards
        )

    async def _quote(self) -> NoReturn:
        setup = self.script.setup
        chance = random.Random(f"market {setup.seed}")
        while True:
            for number, contract in enumerate(CONTRACTS):
                step = chance.choice((-2, -1, -1, 0, 0, 1, 1, 2))
                if chance.random() < self.jumpiness:
                    step *= chance.randint(5, 30)
                self._bids[number] = max(1_000, self._bids[number] + step)
                self.books.quote(contract.id, self._bids[number], self._bids[number] + 1, self.now_ns())
            await asyncio.sleep(setup.quote_every_s)

    async def _look(self) -> NoReturn:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self.checks.look()
            self.checks.check_locks()
            self.checks.check_liveness()
            self.judge.look()

    def repair(self) -> None:
        """Everything works again, and the traders go home."""
        self.note("repaired")
        self.trader.stops()
        self.weather.end()
        self.server.faults.clear()
        self.server.resume()
        self.server.distort(None)
        self.server.set_rest_delay(self.script.setup.rest_delay_s)
        self.server.refuse_logins(USER, None)
        self.loop.network.latency_s = self.script.setup.latency_s
        self.loop.network.refuses = False
        self.loop.network.release(self.machine.name)
        self.machine.disk.failing = frozenset()
        self.machine.disk.write_s = GOOD_WRITE_S
        self.books.fill_delay_ns = 0
        for contract in CONTRACTS:
            self.books.set_halted(contract.id, False, self.now_ns())
        for account in self.accounts:
            self.books.set_visible(account, True, self.now_ns())
            self.books.set_can_trade(account, True, self.now_ns())

    # -- what is seen --------------------------------------------------------------------------------------------

    def note(self, *words: object) -> None:
        self.trace.append(f"{self.loop.elapsed_ns} {' '.join(map(str, words))}")

    def _asked(self, asked: Asked) -> None:
        self.note("asked", asked)
        self.checks.asked(asked)
        self.judge.asked(asked)
        if asked.sender == self.machine.name:
            self.weather.crash_on("call")

    def filled(self, filled: Filled) -> None:
        self.note("filled", filled)
        self.checks.filled(filled)

    def _decided(self, guard: Guard, decision: Decision, timing: Timing) -> None:
        if self.is_alive(MACHINE.get()):
            self.note("decided", msgspec.json.encode(decision).decode())
            self.checks.decided(guard, decision)

    def _booted(self, daemon: Daemon) -> None:
        self.note("booted", self.machine.name)
        self.checks.machine = self.machine.name
        self.checks.booted(daemon)

    def is_alive(self, machine: str) -> bool:
        """Whether this is the run of the program that goes on now."""
        return machine == self.machine.name and not self.machine.is_down

    def latched(self, account_id: str, latched: Latched) -> None:
        self.note("latched", account_id, latched.sequence, len(latched.lockouts))
        self.checks.latched(int(account_id), latched)

    def durable(self, decision: Decision, anchor: Anchor) -> None:
        self.anchor = anchor
        self.note("durable", decision.account_id, decision.sequence)
        self.checks.durable(decision)
        self.weather.crash_on("commit")

    def logged(self, level: str, event: str, fields: dict[str, object]) -> None:
        self.note("logged", level, event, sorted(fields.items()))
        self.checks.wire.check_secret(f"the log ({event})", map(str, fields.values()))
        self.checks.logged(event, fields)

    def unseen(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """An exception nobody has taken; those of the HTTP server's own tasks are no business of ours."""
        task = context.get("future") or context.get("task")
        if isinstance(task, asyncio.Task) and "RequestHandler" in repr(task.get_coro()):
            return
        self.checks.fail("I22", f"unseen: {context}")

    # -- the guard's configuration -------------------------------------------------------------------------------

    def change_rules(self) -> None:
        self.checks.rules.clear()
        self.machine.change_rules(self._configuration(self.port, self.folder))

    def _configuration(self, port: int, folder: Path) -> GuardConfig:
        base = f"http://127.0.0.1:{port}"
        roots = tuple(contract.contract.root for contract in CONTRACTS)
        made = [build_rules(written) for written in self.rules]
        return GuardConfig(
            venue=VenueConfig(base, f"{base}/hubs/user", f"{base}/hubs/market", roots, Credentials(USER, Secret(KEY))),
            accounts=tuple(
                AccountConfig(str(number), None, None, Mode.ENFORCE, own)
                for number, own in zip(self.accounts, made, strict=True)
            ),
            reset_time="17:00",
            timezone="America/Chicago",
            trading_days=DAYS,
            api_port=None,
            data_dir=folder,
            warnings=(),
            revision=sha256(repr(self.rules).encode()).hexdigest(),
        )


def simulate(script: Script) -> Result:
    """Run a script to its end, or to the first thing that does not hold."""
    # A world is small, and over in a moment: it collects at its end, and only what is its own.
    gc.freeze()
    gc.disable()
    try:
        return _simulated(script)
    finally:
        gc.enable()
        gc.unfreeze()


def _simulated(script: Script) -> Result:
    loop = VirtualLoop(Network(script.setup.seed))
    loop.network.latency_s = script.setup.latency_s
    with tempfile.TemporaryDirectory(prefix="risk-manager-sim-", dir=_memory()) as folder:
        world = World(script, loop, Path(folder))
        with replaced(world), asyncio.Runner(loop_factory=lambda: loop) as runner:
            loop.set_exception_handler(world.unseen)
            try:
                runner.run(world.run())
            except Stuck as stuck:
                world.checks.fail("I25", str(stuck))
            seconds = loop.time() - 1_000.0
    digest = sha256("\n".join(world.trace).encode()).hexdigest()
    return Result(tuple(world.checks.broken), digest, tuple(world.trace), seconds)


def _memory() -> str | None:
    """A directory in memory, where there is one: what is tested here is not the disk's speed."""
    path = Path("/dev/shm")
    return str(path) if path.is_dir() else None

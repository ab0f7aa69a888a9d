"""One world for many trading days: what leaks shows, and so does what is only wrong on some other day.

A day is three busy spells, after the open, at midday and around the roll; the hours between pass at once. Each spell
has an act with faults, and when their consequences are over one without, in a market that jumps: what the books show
then is owed at once. Every day the accounts have other rules, which the guard takes over while it runs. The journal is
the real one, on disk.
"""

import asyncio
import gc
import os
import random
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from unittest import mock

import msgspec

import risk_manager.persistence.retention
from risk_manager.config import GuardConfig
from risk_manager.domain.trading_day import TradingDay
from risk_manager.persistence.recording import segments
from risk_manager.persistence.recording_room import RecorderLimits
from risk_manager.simulator.server import shapes
from tests.simulation.breaches import RULES
from tests.simulation.footprint import Day, files_mib, growths, kept_days, resident_mib
from tests.simulation.judge import LOCKED, Tally
from tests.simulation.loop import SECOND_NS, VirtualLoop
from tests.simulation.network import Network
from tests.simulation.remains import check_journal, check_recordings, check_secrets
from tests.simulation.rest import check_at_rest
from tests.simulation.script import SOAKED, Plan, Rules, Script, draw, hostile
from tests.simulation.stand_ins import replaced
from tests.simulation.world import DAYS, World

HOUR_S = 3_600
Spells = tuple[tuple[str, int], ...]
SPELLS: Spells = (("open", 5), ("midday", 14 * HOUR_S), ("roll", -120))
"""When each begins: seconds after the beginning of the trading day, or before its end."""

FAULTS_S, CLEAR_S, REST_S = 50, 25, 95
BEFORE_ROLL_S = 5
"""So long before the day's end the clear act of the last spell begins, which goes on into the next day."""

BUSY_AT_ONCE = 3
"""With more traders in a clear act the venue's calls would not be enough, and hardly anything be owed."""

JUMPINESS = 0.1
LEAD_S = 80_000
SATURDAY = 5
NOT_SOAKED = ("suspend", "loosen", "tighten", "hide_account")
Say = Callable[[str], None]


def soak(days: int, accounts: int, seed: int, say: Say) -> int:
    """Run so many trading days; 1 if anything was missed, broken, or keeps growing."""
    world = soaked(days, accounts, seed, say)
    for text in world.checks.broken[:10]:
        say(f"broken: {text[:600]}")
    found = growths(world.days, accounts)
    for growth in found:
        say(f"{growth.name:14} {growth.text}{'' if growth.is_flat else '  NOT FLAT'}")
    say(table(world.judge.tallies))
    unseen = unjudged(world.judge.tallies) if days * accounts >= 3 * len(SOAKED) else []
    if unseen:
        say(f"never judged: {', '.join(unseen)}")
    missed = sum(tally.missed for tally in world.judge.tallies.values())
    is_flat = all(growth.is_flat for growth in found)
    return int(bool(world.checks.broken) or missed > 0 or not is_flat or bool(unseen))


def soaked(
    days: int, accounts: int, seed: int, say: Say, *, spells: Spells = SPELLS, plans: tuple[Rules, ...] = SOAKED
) -> "Soak":
    """The world of such a run, at its end.

    Args: spells: of each day; the last one has to be around the roll.   plans: which the accounts have in turn.
    """
    drawn = draw(seed)
    first = tuple(Plan(rules) for rules in _in_turn(plans, 0, accounts))
    setup = msgspec.structs.replace(
        drawn.setup, plans=first, lead_s=LEAD_S, jumpiness=0.02, token_lifetime_s=86_400, seed=seed
    )
    loop = VirtualLoop(Network(seed))
    loop.network.latency_s = setup.latency_s
    with tempfile.TemporaryDirectory(prefix="risk-manager-soak-") as folder, ExitStack() as stack:
        # Calendar days: a week of five trading days is seven of them.
        kept = kept_days(days) * 7 // 5
        stack.enter_context(mock.patch.object(risk_manager.persistence.retention, "KEEP_DAYS", kept))
        world = Soak(Script(setup, ()), loop, Path(folder), days, say, spells, plans)
        stack.enter_context(replaced(world))
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            loop.set_exception_handler(world.unseen)
            runner.run(world.run())
    return world


def table(tallies: dict[str, Tally]) -> str:
    """What became of the breaches of each rule; those of a lock are what it forbids."""
    lines = [f"{'':34} {'seen':>6} {'owed':>6} {'acted on':>9} {'by itself':>10} {'missed':>7}"]
    for rule, tally in sorted(tallies.items()):
        counts = f"{tally.seen:6} {tally.owed:6} {tally.acted:9} {tally.passed:10} {tally.missed:7}"
        lines.append(f"{rule:34} {counts}")
    return "\n".join(lines)


def unjudged(tallies: dict[str, Tally]) -> list[str]:
    """The rules of which nothing was ever owed or acted on: nobody knows whether it would have been."""
    return sorted(rule for rule in RULES if rule not in tallies or not (tallies[rule].owed or tallies[rule].acted))


def _in_turn(plans: tuple[Rules, ...], day: int, accounts: int) -> list[Rules]:
    """The rules of each account on a day of the run."""
    return [plans[(day * accounts + number) % len(plans)] for number in range(accounts)]


class Soak(World):
    """A world that lasts. Attributes: days: what each left behind."""

    def __init__(
        self,
        script: Script,
        loop: VirtualLoop,
        folder: Path,
        days: int,
        say: Say,
        spells: Spells,
        plans: tuple[Rules, ...],
    ) -> None:
        self._spells = spells
        self._plans = plans
        self._kept_days = kept_days(days)
        super().__init__(script, loop, folder)
        self.is_recorded = True
        self.days: list[Day] = []
        self._count = days
        self._say = say
        self._logged_bytes, self._runs = 0, 0

    def note(self, *words: object) -> None:
        """Nothing is kept but how often the program began: what grows here would look like a leak."""
        self._runs += words[0] == "booted"

    def logged(self, level: str, event: str, fields: dict[str, object]) -> None:
        super().logged(level, event, fields)
        if level != "debug":
            # As a line of JSON with a stamp, which is about what the console's is.
            self._logged_bytes += len(msgspec.json.encode(fields | {"event": event, "level": level})) + 40

    async def run(self) -> None:
        helpers = await self.open()
        for number in range(self._count):
            day = DAYS.day_of(self.now_ns())
            for name, offset_s in self._spells:
                self._pass_by((day.start_ns if offset_s >= 0 else day.end_ns) + offset_s * SECOND_NS)
                if name == "roll":
                    self._offer(_in_turn(self._plans, number + 1, len(self.accounts)), day)
                await self._spell(f"{number} {name}", day if name == "roll" else None)
            check_recordings(self.checks, self.folder, DAYS, day.label)
            self.days.append(self._measured(day))
            self._say(self._line())
            self._skip_weekend()
        await self.close(helpers)

    def check_remains(self) -> None:
        """I23, I28, I31; the recordings were replayed day by day."""
        check_journal(self.checks, self.folder, self.anchor)
        check_secrets(self.checks, self.folder)

    # -- a spell -------------------------------------------------------------------------------------------------

    async def _spell(self, name: str, ending: TradingDay | None) -> None:
        """Args: ending: the day that is to end in the clear act; None for no day."""
        seed = f"{self.script.setup.seed} {name}"
        await asyncio.sleep(15)
        self.begin()
        await self._faults(random.Random(seed).randrange(1 << 30))
        while any(map(self.is_disturbed, self.accounts)):
            await asyncio.sleep(1)
        if ending is not None:
            await asyncio.sleep(max(0.0, (ending.end_ns - self.now_ns()) / SECOND_NS - BEFORE_ROLL_S))
        await self._clear(seed)
        await asyncio.sleep(REST_S)
        await self.still()
        check_at_rest(self.checks, self.judge)

    async def _faults(self, seed: int) -> None:
        for happening in draw(seed).happenings:
            if happening.at_s > FAULTS_S - 5 or happening.kind in NOT_SOAKED:
                continue
            await self.until(happening.at_s)
            args = happening.args
            if happening.kind not in dir(self.weather) or happening.kind in ("block_account", "liquidate"):
                args = (int(args[0] or 0) % len(self.accounts), *args[1:])
            self.happen(msgspec.structs.replace(happening, args=args))
        await self.until(FAULTS_S)
        self.repair()

    async def _clear(self, seed: str) -> None:
        """Traders alone, in a market that jumps."""
        self.begin()
        self.jumpiness = JUMPINESS
        setup = msgspec.structs.replace(self.script.setup, busy_s=CLEAR_S)
        busy = random.Random(f"{seed} clear").sample(range(len(self.accounts)), min(BUSY_AT_ONCE, len(self.accounts)))
        acts = [act for number in busy for act in hostile(random.Random(f"{seed} clear {number}"), number, setup)]
        self._block()
        for act in sorted(acts, key=lambda act: act.at_s):
            await self.until(act.at_s)
            self.happen(act)
        await self.until(CLEAR_S)
        self.trader.stops()
        self.jumpiness = self.script.setup.jumpiness

    def _block(self) -> None:
        """Where the guard is to heed the venue's word, the venue forbids trading while something is held."""
        for number, account in enumerate(self.accounts):
            if "auth_loss_guard" in self.checks.rules.get(account, {}):
                self.loop.call_later(CLEAR_S / 3, self.trader.buys, number, 0, 1, 0)
                for after_s, can_trade in ((CLEAR_S / 2, False), (CLEAR_S, True)):
                    self.loop.call_later(after_s, self._allow, account, can_trade)

    def _allow(self, account: int, can_trade: bool) -> None:
        self.books.set_can_trade(account, can_trade, self.now_ns())

    # -- other rules -----------------------------------------------------------------------------------------------

    def _offer(self, plans: list[Rules], day: TradingDay) -> None:
        """Give the guard tomorrow's rules: what is new is in force at once, what it had goes with the day."""
        before = dict(zip(self.accounts, self.rules, strict=True))
        self.rules = [dict(rules) for rules in plans]
        self.change_rules()
        for account, rules in zip(self.accounts, self.rules, strict=True):
            both = before[account] | rules
            # Of two settings of one rule the guard keeps what is stricter in each option: too much to be judged by.
            is_one = {name: before[account].get(name, options) == options for name, options in rules.items()}
            self.checks.rules[account] = {name: both[name] for name in both if is_one.get(name, True)}
        self.loop.call_later((day.end_ns - self.now_ns()) / SECOND_NS, self._take_up)

    def _take_up(self) -> None:
        self.checks.rules |= zip(self.accounts, self.rules, strict=True)

    def _configuration(self, port: int, folder: Path) -> GuardConfig:
        config = super()._configuration(port, folder)
        return msgspec.structs.replace(config, recorder=RecorderLimits(days=self._kept_days))

    # -- days ------------------------------------------------------------------------------------------------------

    def _pass_by(self, at_ns: int) -> None:
        """Let the hours until then pass at once, with everybody away."""
        seconds = (at_ns - self.now_ns()) / SECOND_NS
        if seconds > 0:
            self.loop.jump(seconds)
            self.skipped_s += seconds
            self.checks.disturbed_until_s = self.loop.time() + 30

    def _skip_weekend(self) -> None:
        day = DAYS.day_of(self.now_ns())
        while date.fromisoformat(day.label).weekday() >= SATURDAY:
            self._pass_by(day.end_ns + SECOND_NS)
            day = DAYS.day_of(self.now_ns())

    def _measured(self, day: TradingDay) -> Day:
        self.checks.forget()
        self.books.forget(day.start_ns)
        # The gateway's memory of numbers it has written is bounded, but takes weeks to fill.
        shapes.number.cache_clear()
        gc.collect()
        log_kib = self._logged_bytes / 1024 / (1 + self._runs)
        self._logged_bytes, self._runs = 0, 0
        return Day(
            day.label,
            rss=resident_mib(),
            tasks=len(asyncio.all_tasks()),
            descriptors=len(os.listdir("/proc/self/fd")),
            connections=self.loop.network.count(),
            log=log_kib,
            recorded_days=len({label for files in segments(self.folder).values() for label, _ in files}),
            **files_mib(self.folder),
        )

    def _line(self) -> str:
        day, tallies = self.days[-1], self.judge.tallies
        seen = sum(tally.seen for rule, tally in tallies.items() if not rule.endswith(LOCKED))
        return (
            f"{day.label}  {day.rss:6.1f} MiB  {day.tasks:2} tasks  "
            f"{day.descriptors:2} descriptors  {day.connections:2} connection ends  {day.journal:5.2f} journal  "
            f"{day.recorder:5.2f} recorder  {day.latch:5.3f} latch  {day.other:5.3f} other MiB  {day.log:4.1f} KiB log"
            f"  {seen:4} breaches so far, {sum(tally.missed for tally in tallies.values())} missed"
        )

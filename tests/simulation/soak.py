"""One world for many trading days: what leaks shows, and so does what is only wrong on some other day.

A day is three busy spells, after the open, at midday and before the roll, each with faults and a quiet end; the hours
between pass at once. The journal is the real one, on disk.
"""

import asyncio
import gc
import os
import random
import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path

import msgspec

from tests.simulation.books import Filled
from tests.simulation.loop import SECOND_NS, VirtualLoop
from tests.simulation.network import Network
from tests.simulation.rest import check_at_rest
from tests.simulation.script import FLATTEN_AND_LOCK, REDUCE, SEVERAL, SHORT_LOCK, Plan, Script, draw
from tests.simulation.stand_ins import replaced
from tests.simulation.world import DAYS, World

HOUR_S = 3_600
SPELLS = (("open", 5), ("midday", 14 * HOUR_S), ("roll", -70))
"""When each begins: seconds after the beginning of the trading day, or before its end."""

RULES = (FLATTEN_AND_LOCK, REDUCE, SEVERAL, SHORT_LOCK)
SATURDAY = 5
JUDGED_DAYS = 20
LEAK_MIB_PER_DAY = 0.5
Say = Callable[[str], None]


class Day(msgspec.Struct, frozen=True):
    """What a day left behind. Sizes in MiB."""

    label: str
    breaches: int
    missed: int
    rss: float
    tasks: int
    descriptors: int
    connections: int
    files: float


def soak(days: int, accounts: int, seed: int, say: Say) -> int:
    """Run so many trading days; 1 if anything was missed, broken, or keeps growing."""
    drawn = draw(seed)
    plans = tuple(Plan(RULES[number % len(RULES)]) for number in range(accounts))
    setup = msgspec.structs.replace(drawn.setup, plans=plans, lead_s=80_000, jumpiness=0.02, token_lifetime_s=86_400)
    loop = VirtualLoop(Network(seed))
    loop.network.latency_s = setup.latency_s
    with tempfile.TemporaryDirectory(prefix="risk-manager-soak-") as folder:
        world = Soak(Script(setup, ()), loop, Path(folder), days, say)
        with replaced(world), asyncio.Runner(loop_factory=lambda: loop) as runner:
            loop.set_exception_handler(world.unseen)
            runner.run(world.run())
    return judged(world.days, world.checks.broken, say)


def judged(days: list[Day], broken: list[str], say: Say) -> int:
    """Say whether memory, tasks and files are flat, and what was missed."""
    for text in broken[:10]:
        say(f"broken: {text[:600]}")
    slope = _slope([day.rss for day in days[-JUDGED_DAYS:]])
    growing = [name for name in ("tasks", "descriptors", "connections") if _is_growing(days, name)]
    is_flat = slope < LEAK_MIB_PER_DAY and not growing
    missed = sum(day.missed for day in days)
    say(f"memory {slope:+.2f} MiB a day: {'flat' if is_flat else 'NOT FLAT'} {' '.join(growing)}".rstrip())
    say(f"{sum(day.breaches for day in days)} breaches in the exchange's books, {missed} not acted on")
    return int(bool(broken) or not is_flat or missed > 0)


class Soak(World):
    """A world that lasts. Attributes: days: what each left behind."""

    def __init__(self, script: Script, loop: VirtualLoop, folder: Path, days: int, say: Say) -> None:
        super().__init__(script, loop, folder)
        self.is_recorded = True
        self.days: list[Day] = []
        self._count = days
        self._say = say
        self._breaches = 0
        self._over: set[int] = set()

    def note(self, *words: object) -> None:
        """Nothing is kept: what grows here would look like a leak."""

    def filled(self, filled: Filled) -> None:
        super().filled(filled)
        self._see_breach(filled.fill.account_id)

    def _see_breach(self, account: int) -> None:
        """Count the times an account came to hold more than its limit."""
        limit = self.checks.rules.get(account, {}).get("max_contracts", {}).get("limit")
        held = sum(abs(each.net_contracts) for each in self.books.positions(account))
        if isinstance(limit, int) and held > limit:
            self._breaches += account not in self._over
            self._over.add(account)
        else:
            self._over.discard(account)

    async def run(self) -> None:
        helpers = await self.open()
        for number in range(self._count):
            before = self._breaches
            day = DAYS.day_of(self.now_ns())
            for name, offset_s in SPELLS:
                at_ns = (day.start_ns if offset_s >= 0 else day.end_ns) + offset_s * SECOND_NS
                await self._spell(f"{number} {name}", at_ns, is_roll=name == "roll")
            missed = len(self._over)
            self.days.append(self._measured(day.label, self._breaches - before, missed))
            self._say(_line(self.days[-1]))
            self._skip_weekend()
        await self.close(helpers)

    async def _spell(self, name: str, at_ns: int, *, is_roll: bool) -> None:
        self._pass_by(at_ns)
        seed = f"{self.script.setup.seed} {name}"
        drawn = draw(random.Random(seed).randrange(1 << 30))
        self.checks.rules = dict(zip(self.accounts, self.rules, strict=True))
        if name.endswith("open"):
            self.checks.start_micros = self._balances()
        await asyncio.sleep(15)
        self.begin()
        for happening in drawn.happenings:
            if happening.at_s > 45 or happening.kind in ("suspend", "loosen", "tighten", "hide_account"):
                continue
            await self.until(happening.at_s)
            args = happening.args
            if happening.kind not in dir(self.weather) or happening.kind in ("block_account", "liquidate"):
                args = (int(args[0] or 0) % len(self.accounts), *args[1:])
            self.happen(msgspec.structs.replace(happening, args=args))
        await self.until(50)
        self.repair()
        if is_roll:
            self.checks.rules.clear()
        await asyncio.sleep(100)
        await self.still()
        check_at_rest(self.checks)

    def _balances(self) -> dict[int, int]:
        records = (self.books.account(account) for account in self.accounts)
        return {record.id: record.balance_micros for record in records if record is not None}

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

    def _measured(self, label: str, breaches: int, missed: int) -> Day:
        self.checks.forget()
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return Day(
            label,
            breaches,
            missed,
            rss=pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
            tasks=len(asyncio.all_tasks()),
            descriptors=len(os.listdir("/proc/self/fd")),
            connections=self.loop.network.count(),
            files=sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file()) / 2**20,
        )


def _line(day: Day) -> str:
    return (
        f"{day.label}  {day.rss:6.1f} MiB  {day.tasks:3} tasks  {day.descriptors:3} descriptors  "
        f"{day.connections:3} connection ends  {day.files:5.1f} MiB on disk  "
        f"{day.breaches:3} breaches, {day.missed} missed"
    )


def _slope(values: list[float]) -> float:
    """By least squares, per value."""
    count = len(values)
    if count < 2:
        return 0.0
    mean_x, mean_y = (count - 1) / 2, sum(values) / count
    spread = sum((x - mean_x) ** 2 for x in range(count))
    return sum((x - mean_x) * (y - mean_y) for x, y in enumerate(values)) / spread


def _is_growing(days: list[Day], name: str) -> bool:
    """Whether the last days' least is above the first days' most."""
    values = [int(getattr(day, name)) for day in days]
    return len(values) >= 10 and min(values[-3:]) > max(values[:5]) + 5

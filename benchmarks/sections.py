"""The measurements, each in fresh processes and more than once, because a machine is never the same twice."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from benchmarks.commit_speed import Commits, disk_alone
from benchmarks.engine_speed import Passes
from benchmarks.machine import Child, ChildFailed, HiccupMeter, Hiccups, Spread, quantile, spread
from benchmarks.recorder import record
from benchmarks.scripted_venue import Scene

Say = Callable[[str], None]
VARIANTS = ("callback", "engine", "commit")
DISK = "disk"
"""What the commit of the last variant cannot do without: its data made durable, nothing else."""

FLATTENED = 10
"""Contracts of the flatten that is fanned out."""


class Effort(msgspec.Struct, frozen=True):
    """How much is measured.

    Attributes:
        frames: of the recorded day.   passes, rounds: fresh processes per figure.
        breaches, flattens, commits: in each round.
        seed: of the day and of the scripted quotes.
    """

    frames: int = 235_000
    passes: int = 5
    rounds: int = 5
    breaches: int = 100
    flattens: int = 40
    commits: int = 150
    seed: int = 1


QUICK = Effort(frames=30_000, passes=2, rounds=1, breaches=40, flattens=15, commits=40)


class EngineResult(msgspec.Struct, frozen=True):
    """Medians over the processes, and what each of them found."""

    five_rules_per_s: int
    all_rules_per_s: int
    open_position_per_s: int
    streamed_per_s: int
    no_rules_per_s: int
    trivial_per_s: int
    step_p99_us: float
    step_worst_us: float
    frame_p50_us: float
    frame_p99_us: float
    passes: list[Passes]
    hiccups: Hiccups


class WireResult(msgspec.Struct, frozen=True):
    """One variant: medians over the rounds of each round's quantiles, in us."""

    p50_us: float
    p90_us: float
    p99_us: float
    rounds: list[Spread]


class FanOutResult(msgspec.Struct, frozen=True):
    """A flatten of ten contracts, durable commit included, in us: medians over the rounds.

    Attributes:
        first_us, last_us: from before the breaking frame was written until the first and the last request was read.
        spread_us: between the two; the fan-out itself.
    """

    first_p50_us: float
    last_p50_us: float
    spread_p50_us: float
    spread_p99_us: float
    rounds: list[Spread]


class CommitResult(msgspec.Struct, frozen=True):
    """A durable commit and the disk's own time for as much data, in us: medians over the rounds."""

    commit_p50_us: float
    commit_p99_us: float
    floor_p50_us: float
    floor_p99_us: float
    rounds: list[Commits]


def measure_engine(effort: Effort, say: Say) -> EngineResult:
    """Record a day, then let fresh processes run engines over it."""
    say(f"recording a day of {effort.frames:,} frames")
    day = record(effort.frames, seed=effort.seed, progress=lambda done: say(f"  {done:,}"))
    meter = HiccupMeter()
    with tempfile.TemporaryDirectory(prefix="risk-manager-day-") as folder:
        path = Path(folder) / "day.msgpack"
        day.save(path)
        del day
        passes = [_engine_pass(path, number, effort.passes, say) for number in range(1, effort.passes + 1)]
    assert len({each.decisions_sha256 for each in passes}) == 1, "the same events led to different decisions"
    return EngineResult(
        five_rules_per_s=round(median([each.five_rules_per_s for each in passes])),
        all_rules_per_s=round(median([each.all_rules_per_s for each in passes])),
        open_position_per_s=round(median([each.open_position_per_s for each in passes])),
        streamed_per_s=round(median([each.streamed_per_s for each in passes])),
        no_rules_per_s=round(median([each.no_rules_per_s for each in passes])),
        trivial_per_s=round(median([each.trivial_per_s for each in passes])),
        step_p99_us=median([each.step_us.p99 for each in passes]),
        step_worst_us=median([each.step_us.worst for each in passes]),
        frame_p50_us=median([each.frame_us.p50 for each in passes]),
        frame_p99_us=median([each.frame_us.p99 for each in passes]),
        passes=passes,
        hiccups=meter.stop(),
    )


def measure_wire(effort: Effort, folder: Path, say: Say) -> tuple[dict[str, WireResult], Hiccups]:
    """Frame to request for every variant, and the disk alone; they take turns, so that they meet the same machine."""
    found: dict[str, list[Spread]] = {variant: [] for variant in (*VARIANTS, DISK)}
    meter = HiccupMeter()
    for number in range(effort.rounds):
        for variant in VARIANTS:
            scenes = _play(variant, effort.breaches, 1, effort.seed + number, folder)
            found[variant].append(spread([scene.closes_ns[0] / 1000 for scene in scenes]))
            say(f"  round {number + 1} of {effort.rounds}, {variant}: p50 {found[variant][-1].p50:,.0f} us")
        with _directory(folder) as directory:
            found[DISK].append(spread(disk_alone(directory, effort.breaches)))
    hiccups = meter.stop()
    return {
        variant: WireResult(
            median([each.p50 for each in rounds]),
            median([each.p90 for each in rounds]),
            median([each.p99 for each in rounds]),
            rounds,
        )
        for variant, rounds in found.items()
    }, hiccups


def measure_fan_out(effort: Effort, folder: Path, say: Say) -> FanOutResult:
    """Flatten ten contracts at once, again and again."""
    firsts: list[float] = []
    lasts: list[float] = []
    spreads: list[Spread] = []
    for number in range(effort.rounds):
        scenes = _play("commit", effort.flattens, FLATTENED, effort.seed + number, folder)
        # The first flatten of a run opens connections; a flatten's cost is what the later ones show.
        warm = [scene.closes_ns for scene in scenes[1:]]
        firsts.append(spread([closes[0] / 1000 for closes in warm]).p50)
        lasts.append(spread([closes[-1] / 1000 for closes in warm]).p50)
        spreads.append(spread([(closes[-1] - closes[0]) / 1000 for closes in warm]))
        say(f"  round {number + 1} of {effort.rounds}: p50 {spreads[-1].p50:,.0f} us")
    p50, p99 = median([each.p50 for each in spreads]), median([each.p99 for each in spreads])
    return FanOutResult(median(firsts), median(lasts), p50, p99, spreads)


def measure_commit(effort: Effort, folder: Path) -> CommitResult:
    """Awaited commits and the disk's floor."""
    rounds = []
    for _ in range(effort.rounds):
        with _directory(folder) as directory, _child("commit_speed", str(directory), str(effort.commits)) as child:
            rounds.append(msgspec.json.decode(child.line(), type=Commits))
    return CommitResult(
        median([each.commit_us.p50 for each in rounds]),
        median([each.commit_us.p99 for each in rounds]),
        median([each.floor_us.p50 for each in rounds]),
        median([each.floor_us.p99 for each in rounds]),
        rounds,
    )


def median(values: list[float]) -> float:
    """The middle value of a sample, the lower of the two in an even one."""
    return quantile(sorted(values), 50)


def _engine_pass(path: Path, number: int, of: int, say: Say) -> Passes:
    with _child("engine_speed", str(path)) as child:
        found = msgspec.json.decode(child.line(), type=Passes)
    say(f"  pass {number} of {of}: {found.five_rules_per_s:,} events/s")
    return found


def _play(variant: str, breaches: int, contracts: int, seed: int, folder: Path) -> list[Scene]:
    """Let the venue play its scene to a guard; what it measured comes back."""
    with _directory(folder) as directory, _child("scripted_venue", str(breaches), str(contracts), str(seed)) as venue:
        port = venue.line().decode().strip()
        with _child("guarding", variant, port, str(directory), str(contracts)) as guard:
            try:
                scenes = msgspec.json.decode(venue.line(), type=list[Scene])
            except ChildFailed as failure:
                raise ChildFailed(f"{failure}\nguarding, {variant}: {guard.end()}") from None
    assert all(len(scene.closes_ns) == contracts for scene in scenes), "a close too many or too few"
    return scenes


@contextmanager
def _child(module: str, *arguments: str) -> Iterator[Child]:
    child = Child(module, *arguments)
    try:
        yield child
    finally:
        child.end()


@contextmanager
def _directory(folder: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="journal-", dir=folder) as name:
        yield Path(name)

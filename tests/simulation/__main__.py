"""Runs many small worlds on virtual time, and says which invariant breaks in which: docs/simulation.md."""

import argparse
import multiprocessing
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tests.simulation.known import KNOWN
from tests.simulation.script import draw
from tests.simulation.shrink import shrunk
from tests.simulation.world import Result, simulate

ROOT = Path(__file__).parents[2]
TRACES = ROOT / ".cache" / "simulation"
FAILURES = TRACES / "failures.jsonl"
PROCESSES = 2
CHUNKS_EACH = 250
"""After so many pairs of worlds another process goes on: a long run must not fill the memory."""
TELL_EVERY_S = 20.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=300, help="how many worlds")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="one world only; with --soak its seed")
    parser.add_argument(
        "--minimize", action="store_true", help="leave out of the world of --seed what it can fail without"
    )
    parser.add_argument("--twice", action="store_true", help="run every world twice, and compare what happened")
    parser.add_argument("--planted", action="store_true", help="plant one bug after the other, and see each one caught")
    parser.add_argument("--soak", action="store_true", help="run one world for many trading days")
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--accounts", type=int, default=3)
    arguments = parser.parse_args()
    if arguments.planted:
        from tests.simulation import blind, leaks, planted  # patch much; only where it is asked for

        return max(hunt(say) for hunt in (planted.hunt, leaks.hunt, blind.hunt))
    if arguments.soak:
        from tests.simulation.soak import soak

        return soak(arguments.days, arguments.accounts, arguments.seed or 0, say)
    if arguments.minimize:
        return minimize(arguments.seed)
    one = arguments.seed
    seeds = range(arguments.first, arguments.first + arguments.seeds) if one is None else range(one, one + 1)
    return run(seeds, is_twice=arguments.twice)


def run(seeds: range, *, is_twice: bool) -> int:
    """1 if a world failed for a reason that is not known. Every failure is told, and on the disk, as it happens."""
    progress, failures = Progress(seeds), defaultdict[str, list[int]](list)
    try:
        for seed, result in results(seeds, is_twice=is_twice):
            if result.broken and seed in KNOWN and len(seeds) > 1:
                failures["as is known"].append(seed)
            elif result.broken:
                failures[result.broken[0].split()[0]].append(seed)
                report(seed, result)
            progress.count(result, sum(map(len, failures.values())))
    except KeyboardInterrupt:
        say(f"interrupted; go on with --from {progress.next_seed} --seeds {seeds.stop - progress.next_seed}")
    say(progress.summary())
    for name, found in sorted(failures.items()):
        say(f"failed {name}: {len(found)}: {', '.join(map(str, found))}")
    return int(any(name != "as is known" for name in failures))


class Progress:
    """How far a run is. Attributes: next_seed: all before it are done."""

    def __init__(self, seeds: range) -> None:
        self.next_seed = seeds.start
        self._seeds = seeds
        self._began_s = self._told_s = time.monotonic()
        self._virtual_s = 0.0

    def count(self, result: Result, failed: int) -> None:
        """One more world, in the order of the seeds; said now and then, for a long run."""
        self.next_seed += 1
        self._virtual_s += result.seconds
        now_s = time.monotonic()
        if now_s - self._told_s < TELL_EVERY_S:
            return
        self._told_s = now_s
        done, left = self.next_seed - self._seeds.start, self._seeds.stop - self.next_seed
        a_second = done / (now_s - self._began_s)
        say(
            f"{done} of {len(self._seeds)} worlds, {a_second:.1f} a second, {failed} failed, "
            f"{left / a_second / 60:.0f} min left; next is seed {self.next_seed}"
        )

    def summary(self) -> str:
        took_s = time.monotonic() - self._began_s
        done = self.next_seed - self._seeds.start
        return f"{done} worlds, {self._virtual_s / 3600:.1f} virtual hours in {took_s:.0f} s"


def report(seed: int, result: Result) -> None:
    """Say what broke, keep the trace, and add a line to the file of failures."""
    path = saved(seed, result)
    say(f"seed {seed} at {commit()}: {result.broken[0][:1000]}")
    say(f"  trace: {path}")
    line = msgspec.json.encode({"seed": seed, "commit": commit(), "broken": result.broken[:3]})
    with FAILURES.open("ab") as file:
        file.write(line + b"\n")


def minimize(seed: int) -> int:
    """Print what is left of a world that fails."""
    script = shrunk(draw(seed), say)
    result = simulate(script)
    say(f"seed {seed} at {commit()}: {result.broken[0]}")
    say(f"{script.setup}")
    for happening in script.happenings:
        say(f"  {happening.at_s:8.3f} {happening.kind} {happening.args}")
    say(f"  trace: {saved(seed, result)}")
    return 1


def results(seeds: range, *, is_twice: bool) -> Iterator[tuple[int, Result]]:
    work = [(seed, is_twice) for seed in seeds]
    if len(work) == 1:
        yield _one(work[0])
        return
    ignoring = signal.signal, (signal.SIGINT, signal.SIG_IGN)
    with multiprocessing.get_context("fork").Pool(PROCESSES, *ignoring, maxtasksperchild=CHUNKS_EACH) as pool:
        yield from pool.imap(_one, work, chunksize=2)


def _one(work: tuple[int, bool]) -> tuple[int, Result]:
    """What became of a world; with its trace only if that is wanted."""
    seed, is_twice = work
    result = simulate(draw(seed))
    if is_twice:
        result = compared(result, simulate(draw(seed)))
    return seed, result if result.broken else msgspec.structs.replace(result, trace=())


def compared(once: Result, again: Result) -> Result:
    """The first result; broken if the second run was another one."""
    if once.digest == again.digest:
        return once
    pairs = zip(once.trace, again.trace, strict=False)
    first, second = next((pair for pair in pairs if pair[0] != pair[1]), ("the end", "the end"))
    return Result((f"DETERMINISM {first[:400]} / {second[:400]}",), once.digest, once.trace, once.seconds)


def saved(seed: int, result: Result) -> Path:
    """Where the trace of a world is written."""
    TRACES.mkdir(parents=True, exist_ok=True)
    path = TRACES / f"seed-{seed}.txt"
    path.write_text("\n".join([*result.trace, *result.broken]) + "\n", encoding="utf-8")
    return path


def commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

"""What a durable commit costs: `python -m benchmarks.commit_speed DIRECTORY COUNT`, one line of JSON."""

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Self

import msgspec

from benchmarks.machine import Spread, spread
from risk_manager.domain.decision import Decision
from risk_manager.persistence.sqlite_journal import SqliteJournal
from risk_manager.rules import DailyUnrealizedLossRule
from risk_manager.testing.events import ES
from risk_manager.testing.guarded import Guarded

_PAUSE_S = 0.005
_PAGES, _PAGE_BYTES = 5, 4096
"""What a commit of an enforcement writes to the log."""


class Commits(msgspec.Struct, frozen=True):
    """All in us.

    Attributes:
        floor_us: the same amount of data written over a file's old content and made durable, nothing else.
        commit_us: an enforcement's decision awaited on the event loop.
    """

    floor_us: Spread
    commit_us: Spread


async def measure(directory: Path, count: int) -> Commits:
    """Commit so many decisions with pauses between, each after its floor, so that both meet the same disk."""
    breach = _enforcement()
    floors: list[float] = []
    commits: list[float] = []
    journal = await SqliteJournal.open(directory / "journal")
    with Floor(directory) as floor:
        for sequence in range(1, count + 1):
            await asyncio.sleep(_PAUSE_S)
            floors.append(floor.measure_us())
            decision = _numbered(breach, sequence)
            await asyncio.sleep(_PAUSE_S)
            begun_ns = time.perf_counter_ns()
            await journal.commit(decision)
            commits.append((time.perf_counter_ns() - begun_ns) / 1000)
    await journal.close()
    return Commits(spread(floors), spread(commits))


class Floor:
    """The disk alone: as much data as a commit writes, over a file's old content."""

    def __init__(self, directory: Path) -> None:
        self._file = (directory / "floor").open("wb+", buffering=0)
        self._file.write(bytes(_PAGES * _PAGE_BYTES))
        os.fsync(self._file.fileno())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def measure_us(self) -> float:
        """How long it takes until the data are durable."""
        begun_ns = time.perf_counter_ns()
        self._file.seek(0)
        self._file.write(os.urandom(1) * (_PAGES * _PAGE_BYTES))
        if sys.platform == "linux":
            os.fdatasync(self._file.fileno())
        else:
            os.fsync(self._file.fileno())
        return (time.perf_counter_ns() - begun_ns) / 1000


def disk_alone(directory: Path, count: int) -> list[float]:
    """The floor, in us, so many times, each after a pause."""
    with Floor(directory) as floor:
        found = []
        for _ in range(count):
            time.sleep(2 * _PAUSE_S)
            found.append(floor.measure_us())
        return found


def _enforcement() -> Decision:
    """What an open loss at its limit leads to."""
    guarded = Guarded(DailyUnrealizedLossRule(loss_limit=-200))
    guarded.feed(guarded.venue.buys(ES, 1, 5000))
    (decision,) = guarded.feed(guarded.venue.quote(ES, 4900))
    assert decision.intents, decision
    assert decision.actions, decision
    return decision


def _numbered(decision: Decision, sequence: int) -> Decision:
    replace = msgspec.structs.replace
    intents = tuple(replace(intent, id=f"{sequence}-{intent.id}") for intent in decision.intents)
    return replace(decision, sequence=sequence, intents=intents)


if __name__ == "__main__":
    print(msgspec.json.encode(asyncio.run(measure(Path(sys.argv[1]), int(sys.argv[2])))).decode(), flush=True)

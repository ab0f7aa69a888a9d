"""Leaks planted into the product one after the other: each has to be told of by what it makes grow.

A short run of one account and one spell a day is enough for a leak; what it is judged by is what a long run is.
"""

import asyncio
import os
from collections.abc import Callable
from contextlib import ExitStack
from contextvars import copy_context
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import structlog

import risk_manager.persistence.store
from risk_manager.engine.engine import Engine
from risk_manager.persistence.latch import LatchFile
from risk_manager.persistence.recording_room import Room
from risk_manager.persistence.store import Store
from risk_manager.runtime.guard import Guard
from risk_manager.runtime.rules_in_force import RulesInForce
from risk_manager.venues.projectx.snapshots import SnapshotReader
from tests.simulation.footprint import FEWEST_DAYS, Growth, growths
from tests.simulation.loop import VirtualLoop
from tests.simulation.network import MACHINE
from tests.simulation.planted import Bug, planting
from tests.simulation.soak import SPELLS, soaked

SEED = 1
PORT = 49_999
"""Where nobody ends a connection."""

LEAKS: list[Bug] = []
"""`breaks` is the name of what grows."""

leak = partial(planting, LEAKS)


def hunt(say: Callable[[str], None]) -> int:
    """Let a short run have one leak after the other; 1 if one was not told of, or something without a leak."""
    missed = 0
    for planted in (None, *LEAKS):
        told = growing(planted)
        name, what = ("no leak", "nothing") if planted is None else (planted.name, planted.breaks)
        is_told = not told if planted is None else planted.breaks in told
        missed += not is_told
        say(f"{name:44} {'told' if is_told else 'NOT TOLD':16} {what} grows ({', '.join(told) or 'nothing'} told)")
    return min(1, missed)


def growing(*leaks: Bug | None) -> list[str]:
    """What a short run with these leaks says is growing."""
    return [growth.name for growth in short_run(*leaks) if not growth.is_flat]


def short_run(*leaks: Bug | None) -> list[Growth]:
    with ExitStack() as stack:
        for planted in leaks:
            if planted is not None:
                stack.enter_context(planted.plant())
        world = soaked(FEWEST_DAYS, 1, SEED, lambda text: None, spells=SPELLS[-1:])
    return growths(world.days, 1)


_kept: list[Any] = []
_numbers = count(1)
_polls = count(1)


@leak("every event is remembered", "memory", Engine, "receive")
def _(real: Any, self: Engine, event: Any) -> Any:
    _kept.append(bytearray(4_000))
    return real(self, event)


@leak("every reading leaves a task behind", "tasks", SnapshotReader, "read")
async def _(real: Any, self: SnapshotReader, *args: Any, **options: Any) -> Any:
    _kept.append(asyncio.get_running_loop().create_task(asyncio.Event().wait()))
    return await real(self, *args, **options)


@leak("every commit opens a file", "descriptors", Store, "commit")
def _(real: Any, self: Store, decision: Any) -> None:
    _kept.append(os.open(os.devnull, os.O_RDONLY))
    real(self, decision)


@leak("every reading opens a connection", "connections", SnapshotReader, "read")
async def _(real: Any, self: SnapshotReader, *args: Any, **options: Any) -> Any:
    loop, context = asyncio.get_running_loop(), copy_context()
    assert isinstance(loop, VirtualLoop)
    loop.network.listen(asyncio.Protocol, PORT)
    # A crash would end what its machine has opened.
    context.run(MACHINE.set, "elsewhere")
    _kept.append(await loop.create_task(loop.network.connect(asyncio.Protocol, PORT), context=context))
    return await real(self, *args, **options)


@leak("the journal forgets nothing", "journal", risk_manager.persistence.store, "trim")
def _(real: Any, *args: Any) -> bool:
    return True


@leak("no recording is dropped", "recorded days", Room, "_drop")
def _(real: Any, self: Room, path: Path) -> None:
    return None


@leak("every block of a recording leaves a larger file", "recorder", Room, "claim")
def _(real: Any, self: Room, more_bytes: int) -> None:
    number = next(_numbers)
    self._folder.mkdir(parents=True, exist_ok=True)
    (self._folder / f"{number}.again").write_bytes(bytes(10 * number))
    real(self, more_bytes)


@leak("the latch is appended to", "latch", LatchFile, "write")
def _(real: Any, self: LatchFile, latched: Any) -> Any:
    left_out = real(self, latched)
    with self._path.open("ab") as file:
        file.write(bytes(1_024))
    return left_out


@leak("every change of rules leaves a copy", "other", RulesInForce, "_write")
def _(real: Any, self: RulesInForce) -> None:
    real(self)
    self._file.with_suffix(f".{next(_numbers)}").write_bytes(self._file.read_bytes())


@leak("the log repeats what it has said", "log", Guard, "_poll")
def _(real: Any, self: Guard) -> None:
    structlog.get_logger("guard").info("polled", before="." * next(_polls))
    real(self)

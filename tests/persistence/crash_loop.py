"""A writer that is killed again and again: `python -m tests.persistence.crash_loop DIRECTORY SEED KILLS`.

Writes one JSON line per kill. Children are forked from a process without threads, so that a kill costs milliseconds.
"""

import asyncio
import json
import os
import random
import signal
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

from risk_manager.persistence.sqlite_journal import SqliteJournal
from tests.persistence.samples import ACCOUNT_ID, chain_link, remembered

_SEQUENCE = struct.Struct("<q")


def main(directory: Path, seed: int, kills: int) -> None:
    chance = random.Random(seed)
    for _ in range(kills):
        acknowledged = _write_and_kill(directory, chance.uniform(0.0, 0.06))
        reader, child = _fork(lambda report: _inspect(directory, report))
        found = json.loads(_drain(reader, child))
        sys.stdout.write(json.dumps({"acknowledged": acknowledged, **found}) + "\n")
        sys.stdout.flush()


def _write_and_kill(directory: Path, after_s: float) -> int:
    """The last sequence acknowledged to a writer that was killed `after_s` after its start, 0 if none was."""
    reader, child = _fork(lambda acknowledge: _write_for_ever(directory, acknowledge))
    time.sleep(after_s)
    os.kill(child, signal.SIGKILL)
    acknowledged = _drain(reader, child)
    return int(_SEQUENCE.unpack(acknowledged[-_SEQUENCE.size :])[0]) if acknowledged else 0


async def _write_for_ever(directory: Path, acknowledge: int) -> None:
    journal = await SqliteJournal.open(directory)
    sequence = (await journal.recover(ACCOUNT_ID)).sequence
    while True:
        sequence += 1
        await journal.commit(chain_link(sequence))
        os.write(acknowledge, _SEQUENCE.pack(sequence))


async def _inspect(directory: Path, report: int) -> None:
    journal = await SqliteJournal.open(directory)
    recovered = await journal.recover(ACCOUNT_ID)
    stored = await journal.decisions(ACCOUNT_ID, most=1_000_000)
    await journal.close()
    expected = [chain_link(sequence) for sequence in range(1, recovered.sequence + 1)]
    lockouts, intents = remembered(expected)
    found = {
        "sequence": recovered.sequence,
        "decisions_whole": list(stored) == expected,
        "lockouts_whole": set(recovered.lockouts) == lockouts,
        "intents_whole": list(recovered.open_intents) == intents,
    }
    os.write(report, json.dumps(found).encode())


def _fork(work: Callable[[int], object]) -> tuple[int, int]:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        asyncio.run(work(writer))  # type: ignore[arg-type]
        os._exit(0)
    os.close(writer)
    return reader, child


def _drain(reader: int, child: int) -> bytes:
    with os.fdopen(reader, "rb") as pipe:
        content = pipe.read()
    os.waitpid(child, 0)
    return content


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))

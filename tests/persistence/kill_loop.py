"""A writer that is killed again and again: `uv run python -m tests.persistence.kill_loop --loops 300 --seed 1`.

It commits to journal and latch without pause; after each `kill -9` another process looks at what is there. Children are
forked from a process without threads, so that a kill costs milliseconds. Prints what was acknowledged and what of it
was lost; with `--json`, one line for each kill.
"""

import argparse
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
from tempfile import TemporaryDirectory
from typing import Any

from risk_manager.persistence.latch import FileLatch
from risk_manager.persistence.sqlite_journal import SqliteJournal
from risk_manager.ports.latch import Latched
from tests.persistence.samples import ACCOUNT_ID, chain_link, remembered

_SEQUENCE = struct.Struct("<q")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loops", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    chance = random.Random(options.seed)
    total = {"kills": 0, "acknowledged": 0, "lost": 0, "half": 0, "duplicates": 0, "latch_lost": 0}
    with TemporaryDirectory() as folder:
        for _ in range(options.loops):
            found = _kill_once(Path(folder), chance.uniform(0.0, 0.15))
            if options.json:
                sys.stdout.write(json.dumps(found) + "\n")
            total["kills"] += 1
            for name in ("lost", "half", "duplicates", "latch_lost"):
                total[name] += found[name]
            total["acknowledged"] = found["acknowledged"] or total["acknowledged"]
    if not options.json:
        sys.stdout.write("".join(f"{name:14}{count:>10}\n" for name, count in total.items()))
    return int(any(total[name] for name in ("lost", "half", "duplicates", "latch_lost")))


def _kill_once(directory: Path, after_s: float) -> dict[str, Any]:
    """What is found after a writer was killed so long after its start."""
    reader, child = _fork(lambda acknowledge: _write_for_ever(directory, acknowledge))
    time.sleep(after_s)
    os.kill(child, signal.SIGKILL)
    answers = _drain(reader, child)
    acknowledged = _SEQUENCE.unpack(answers[-_SEQUENCE.size :])[0] if answers else 0
    reader, child = _fork(lambda report: _inspect(directory, acknowledged, report))
    found: dict[str, Any] = json.loads(_drain(reader, child))
    return found


async def _write_for_ever(directory: Path, acknowledge: int) -> None:
    journal, latch = await SqliteJournal.open(directory), FileLatch(directory)
    sequence = (await journal.recover(ACCOUNT_ID)).sequence
    while True:
        sequence += 1
        await journal.commit(chain_link(sequence))
        await latch.write(ACCOUNT_ID, Latched(sequence, (chain_link(sequence).lockouts_set)))
        os.write(acknowledge, _SEQUENCE.pack(sequence))


async def _inspect(directory: Path, acknowledged: int, report: int) -> None:
    journal, latch = await SqliteJournal.open(directory), FileLatch(directory)
    recovered = await journal.recover(ACCOUNT_ID)
    stored = await journal.decisions(ACCOUNT_ID, most=1_000_000)
    await journal.close()
    latched = await latch.read(ACCOUNT_ID) or Latched(0, ())
    sequences = [decision.sequence for decision in stored]
    lockouts, intents = remembered(stored)
    is_whole = stored == tuple(chain_link(sequence) for sequence in range(1, recovered.sequence + 1))
    is_whole = is_whole and (set(recovered.lockouts), list(recovered.open_intents)) == (lockouts, intents)
    is_latched = latched.sequence >= acknowledged
    is_latched = is_latched and (not latched.sequence or latched.lockouts == chain_link(latched.sequence).lockouts_set)
    found = {
        "acknowledged": acknowledged,
        "sequence": recovered.sequence,
        "lost": max(0, acknowledged - recovered.sequence),
        "half": int(not is_whole),
        "duplicates": len(sequences) - len(set(sequences)),
        "latch_lost": int(not is_latched),
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
    sys.exit(main())

"""Power cuts, thousands of them: `uv run python -m tests.persistence.power_cuts --cuts 2000 --seed 1`.

The journal's own code, with its settings and the way it makes its files, runs through a file system layer (apsw) that
notes every operation. The power is then cut at random instants of that run, and the journal starts on what is left.
Prints what was acknowledged and what became of it.
"""

import argparse
import sqlite3
import sys
from collections.abc import Buffer, Callable, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, cast
from unittest.mock import patch

import apsw
import msgspec

from risk_manager.persistence import database, store
from risk_manager.persistence.seals import KEY_NAME
from risk_manager.persistence.steps import all_steps
from risk_manager.persistence.store import Store
from tests.persistence.forgetful_disk import (
    Acknowledged,
    Disk,
    Recording,
    Sync,
    SyncNames,
    Truncate,
    Write,
)
from tests.persistence.samples import ACCOUNT_ID, DAY, chain_link, fill, remembered

CUTS_PER_RUN = 50
VFS = "recording"
_IN_MEMORY = next((path for path in ("/dev/shm",) if Path(path).is_dir()), None)
"""Where real power cuts would not matter: what is durable here is decided by `Disk` alone."""

_NAMED_BY_SYNC = apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_WAL
"""Files whose first sync, by SQLite's own doing, makes their name durable too."""


class Tally(msgspec.Struct):
    """What the cuts have cost.

    Attributes:
        acknowledged: commits reported as durable before a cut, over all cuts.   lost: those of them that were gone.
        half: starts that found a decision without all it sets.   duplicates: decisions found twice.
        unreadable: starts on a file that was no journal; `early` of them before the first commit was acknowledged.
    """

    cuts: int = 0
    acknowledged: int = 0
    lost: int = 0
    half: int = 0
    duplicates: int = 0
    unreadable: int = 0
    early: int = 0

    @property
    def is_sound(self) -> bool:
        return not (self.lost or self.half or self.duplicates or self.unreadable > self.early)


class _RecordingFile(apsw.VFSFile):
    def __init__(self, recording: Recording, name: str, path: Any, flags: list[int]) -> None:
        self._recording = recording
        self._is_named = not (flags[0] & _NAMED_BY_SYNC) or recording.has(name)
        self._inode = recording.inode(name)
        super().__init__("", path, flags)

    def xWrite(self, data: Buffer, offset: int) -> None:
        super().xWrite(data, offset)
        self._recording.add(Write(self._inode, offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:
        super().xTruncate(newsize)
        self._recording.add(Truncate(self._inode, newsize))

    def xSync(self, flags: int) -> None:
        self._recording.add(Sync(self._inode))
        if not self._is_named:
            self._is_named = True
            self._recording.add(SyncNames())


class _RecordingVfs(apsw.VFS):
    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        super().__init__(VFS, "")

    def xOpen(self, name: Any, flags: list[int]) -> _RecordingFile:
        path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        return _RecordingFile(self._recording, Path(path).name, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        super().xDelete(filename, False)
        self._recording.remove(Path(filename).name)
        if syncdir:
            self._recording.add(SyncNames())


class _Rows:
    """A cursor as `sqlite3` has it."""

    def __init__(self, cursor: apsw.Cursor, changes: int) -> None:
        self._cursor = cursor
        self.rowcount = changes
        self.fetchone = cursor.fetchone
        self.fetchall = cursor.fetchall

    def __iter__(self) -> Any:
        return iter(self._cursor)

    def close(self) -> None:
        self._cursor.close()


class _Connection:
    """As much of a `sqlite3.Connection` as the journal uses."""

    def __init__(self, path: Path) -> None:
        self._connection = apsw.Connection(str(path), vfs=VFS)

    def execute(self, query: str, parameters: tuple[Any, ...] = ()) -> _Rows:
        cursor = self._connection.execute(query, parameters)
        return _Rows(cursor, self._connection.changes())

    def executemany(self, query: str, rows: Iterable[tuple[Any, ...]]) -> None:
        self._connection.executemany(query, rows)

    def create_function(self, name: str, arguments: int, function: Any) -> None:
        self._connection.create_scalar_function(name, function, arguments)

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    def close(self) -> None:
        self._connection.close()


class RecordingDisk(database.Disk):
    """The journal's ways to its files, noted down."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    def connect(self, path: Path, wait_ms: int) -> sqlite3.Connection:
        return cast("sqlite3.Connection", _Connection(path))

    def create(self, path: Path) -> None:
        super().create(path)
        self._recording.inode(path.name)

    def lengthen(self, path: Path, size: int) -> None:
        before = path.stat().st_size if path.exists() else 0
        super().lengthen(path, size)
        inode = self._recording.inode(path.name)
        self._recording.add(Write(inode, before, bytes(max(0, size - before))))
        self._recording.add(Sync(inode))

    def sync(self, path: Path) -> None:
        self._recording.add(SyncNames() if path.is_dir() else Sync(self._recording.inode(path.name)))


def record(directory: Path, chance: Random, recording: Recording) -> None:
    """A run of the journal from its creation on, with pauses, saves and restarts at random."""
    vfs = _RecordingVfs(recording)
    try:
        sequence = 0
        for _ in range(chance.randint(1, 3)):
            journal = Store(directory, wait_ms=0)
            with patch.object(store, "open_database", partial(database.open_database, disk=RecordingDisk(recording))):
                journal.connect()
            for _ in range(chance.randint(5, 60)):
                sequence += 1
                journal.commit(chain_link(sequence))
                recording.add(Acknowledged(sequence))
                _pause(journal, chance)
            journal.finish()
    finally:
        vfs.unregister()


def _pause(journal: Store, chance: Random) -> None:
    if chance.random() < 0.3:
        journal.tidy()
    if chance.random() < 0.1:
        journal.save(ACCOUNT_ID, DAY, (fill(str(chance.randint(1, 9))),), chance.randbytes(9000), ())


def cut(recording: Recording, key: bytes, cuts: int, chance: Random, tally: Tally) -> None:
    """Cut the power at so many instants of a run, and start on what is left each time."""
    disk, done = Disk(), 0
    for instant in sorted(chance.randint(1, len(recording.operations)) for _ in range(cuts)):
        disk.take(recording.operations[done:instant])
        done = instant
        with TemporaryDirectory(dir=_IN_MEMORY) as folder:
            for name, content in disk.remains(chance).items():
                (Path(folder) / name).write_bytes(content)
            (Path(folder) / KEY_NAME).write_bytes(key)
            _judge(Path(folder), disk.acknowledged, tally)


def _judge(folder: Path, acknowledged: int, tally: Tally) -> None:
    tally.cuts += 1
    tally.acknowledged += acknowledged
    journal = Store(folder, wait_ms=0)
    try:
        known = journal.recover(ACCOUNT_ID)
        decisions = all_steps(journal.decisions(ACCOUNT_ID, 0, 1_000_000))
    except (sqlite3.Error, database.Unusable, msgspec.MsgspecError):
        tally.unreadable += 1
        tally.early += acknowledged == 0
        tally.lost += acknowledged
        return
    finally:
        with suppress(sqlite3.Error):
            journal.close()
    found = {each.sequence for each in decisions}
    tally.lost += len(set(range(1, acknowledged + 1)) - found)
    tally.duplicates += len(decisions) - len(found)
    lockouts, intents = remembered(decisions)
    is_whole = [each.sequence for each in decisions] == list(range(1, known.sequence + 1))
    is_whole = is_whole and all(each == chain_link(each.sequence) for each in decisions)
    tally.half += not (is_whole and set(known.lockouts) == lockouts and list(known.open_intents) == intents)


def run(cuts: int, seed: int, recording_of: Callable[[], Recording] = Recording) -> Tally:
    """So many cuts, of as many runs as it takes."""
    chance, tally = Random(seed), Tally()
    while tally.cuts < cuts:
        with TemporaryDirectory(dir=_IN_MEMORY) as folder:
            recording = recording_of()
            record(Path(folder), chance, recording)
            key = (Path(folder) / KEY_NAME).read_bytes()
        cut(recording, key, min(CUTS_PER_RUN, cuts - tally.cuts), chance, tally)
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cuts", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    tally = run(options.cuts, options.seed)
    for name in tally.__struct_fields__:
        sys.stdout.write(f"{name:14}{getattr(tally, name):>10}\n")
    return 0 if tally.is_sound else 1


if __name__ == "__main__":
    sys.exit(main())

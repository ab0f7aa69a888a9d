"""Opening the journal's file so that an acknowledged commit survives a power cut.

Why each setting is there: with the defaults, cutting the power can lose the last commits (`synchronous=NORMAL`) or, if
it happens soon after creation, the whole file, because a new database is first written under a rollback journal whose
removal is not made durable. So a file is created under `synchronous=EXTRA`, closed and synced together with its
directory, and only then used with a write-ahead log and `synchronous=FULL`. The exclusive lock keeps the log's index in
memory: no second file to be refused on a full disk, and no second opener.
Source: SQLite's `PRAGMA synchronous` and `wal.html`; measured with simulated power cuts.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from risk_manager.persistence.schema import APPLICATION_ID, MIGRATIONS

FILE_NAME = "journal.sqlite"

_CHECKED_AT_OPEN_BYTES = 64 << 20
"""Larger files are not read through at start: arming within two seconds matters more."""

_LOG_ROOM_BYTES = 1 << 20
"""The length the write-ahead log is given at the start; `Store.tidy` empties it well before it is used up."""

_OPEN_PRAGMAS: tuple[tuple[str, str | int, str | int | None], ...] = (
    # name, value to set, answer that must come back (None: SQLite answers nothing). The order matters: the lock mode
    # comes first (`synchronous` already reads the file, and would make the shared memory of a write-ahead log), the
    # journal mode before the weaker `synchronous`.
    ("locking_mode", "EXCLUSIVE", "exclusive"),
    ("synchronous", "EXTRA", 3),
    ("journal_mode", "WAL", "wal"),
    ("synchronous", "FULL", 2),
    ("fullfsync", 1, 1),
    ("checkpoint_fullfsync", 1, 1),
    ("foreign_keys", 1, 1),
    ("trusted_schema", 0, 0),
    ("cell_size_check", 1, 1),
    ("mmap_size", 0, None),
    ("temp_store", "MEMORY", 2),
    ("journal_size_limit", 8 << 20, 8 << 20),
    ("wal_autocheckpoint", 1000, 1000),  # a backstop: `Store.tidy` comes first wherever there is an idle moment
    ("secure_delete", 0, 0),
)


class Unusable(Exception):
    """The file is not a journal we may write to; the message says why and what to do."""


class Damaged(Unusable):
    """The file is ours and broken."""


class Foreign(Unusable):
    """The file is another program's, or one of a newer version of ours."""


class Disk:
    """The ways to the journal's files. A test of power cuts has a disk that forgets what was not synced."""

    def connect(self, path: Path, wait_ms: int) -> sqlite3.Connection:
        return sqlite3.connect(path, timeout=wait_ms / 1000, isolation_level=None, check_same_thread=False)

    def create(self, path: Path) -> None:
        """An empty file, readable by its owner only."""
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))

    def lengthen(self, path: Path, size: int) -> None:
        """Let the file be so long at least, zeros at its end, durably."""
        with path.open("ab") as file:
            file.write(bytes(max(0, size - file.tell())))
            file.flush()
            os.fsync(file.fileno())

    def sync(self, path: Path) -> None:
        """Make a file, or the names in a directory, durable."""
        if os.name != "posix" and path.is_dir():
            return  # Windows offers no way to sync a directory; NTFS journals its entries.
        descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


_DISK = Disk()


def open_database(
    directory: Path, *, wait_ms: int, migrations: tuple[tuple[str, ...], ...] = MIGRATIONS, disk: Disk = _DISK
) -> sqlite3.Connection:
    """A connection to the journal in `directory`, created or migrated where needed, exclusively locked.

    Args:
        wait_ms: how long to wait for another holder of the file.
    Raises:
        Unusable: a foreign or damaged file, one written by a newer version, or a disk that refuses the settings.
        sqlite3.Error, OSError: the disk refused.
    """
    path = directory / FILE_NAME
    _create_or_migrate(path, wait_ms, migrations, disk)
    connection = disk.connect(path, wait_ms)
    try:
        _apply_pragmas(connection)
        if path.stat().st_size <= _CHECKED_AT_OPEN_BYTES:
            _check_pages(connection, path)
        _take_lock(connection)
        _make_log_room(path, disk)
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All or nothing: commit at the end, or roll back whatever was raised inside."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _create_or_migrate(path: Path, wait_ms: int, migrations: tuple[tuple[str, ...], ...], disk: Disk) -> None:
    if not path.exists():
        disk.create(path)
    with closing(disk.connect(path, wait_ms)) as connection:
        _set_pragma(connection, "locking_mode", "EXCLUSIVE", "exclusive")
        _set_pragma(connection, "synchronous", "EXTRA", 3)
        version = _recognized_version(connection, path, len(migrations))
        if version == len(migrations):
            return
        if version > 0:
            _back_up(connection, path, version, disk)
        with transaction(connection):
            for statements in migrations[version:]:
                for statement in statements:
                    connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {len(migrations)}")
    disk.sync(path)
    disk.sync(path.parent)


def _recognized_version(connection: sqlite3.Connection, path: Path, newest: int) -> int:
    """How many migrations the file has seen, 0 for an empty file."""
    application_id = _number(connection, "PRAGMA application_id")
    version = _number(connection, "PRAGMA user_version")
    tables = _number(connection, "SELECT count(*) FROM sqlite_schema")
    if application_id == 0 and version == 0 and tables == 0:
        return 0
    if application_id != APPLICATION_ID:
        raise Foreign(f"{path} belongs to another program; choose another data directory")
    if version > newest:
        raise Foreign(f"{path} was written by a newer risk-manager (schema {version}, known here {newest}); upgrade")
    return version


def _back_up(connection: sqlite3.Connection, path: Path, version: int, disk: Disk) -> None:
    """Keep a copy of the file as it was before a migration; one copy for each version."""
    copy = path.with_name(f"{path.stem}.v{version}{path.suffix}")
    partial = copy.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    connection.execute("VACUUM INTO ?", (str(partial),))
    disk.sync(partial)
    partial.replace(copy)
    disk.sync(copy.parent)


def _apply_pragmas(connection: sqlite3.Connection) -> None:
    for name, value, answer in _OPEN_PRAGMAS:
        _set_pragma(connection, name, value, answer)


def _set_pragma(connection: sqlite3.Connection, name: str, value: str | int, answer: str | int | None) -> None:
    """Set and read back: SQLite ignores silently what a file system or build cannot do."""
    connection.execute(f"PRAGMA {name} = {value}").close()
    row = connection.execute(f"PRAGMA {name}").fetchone()
    if answer is not None and (row is None or row[0] != answer):
        raise Unusable(f"the disk or SQLite refused {name}={value} (it answers {row[0] if row else 'nothing'})")


def _check_pages(connection: sqlite3.Connection, path: Path) -> None:
    answer = connection.execute("PRAGMA quick_check(1)").fetchone()
    if answer is None or answer[0] != "ok":
        raise Damaged(f"{path} is damaged ({answer and answer[0]})")


def _take_lock(connection: sqlite3.Connection) -> None:
    """Write nothing, but hold the exclusive lock from now on instead of from the first commit."""
    with transaction(connection):
        pass


def _make_log_room(path: Path, disk: Disk) -> None:
    """Lengthen the log with zeros, so that the first commits of a run do not have to.

    Making a longer file durable takes a file system two writes, its journal's being the slower: half a millisecond more
    on ext4. SQLite reads the log only as far as its checksums hold, so what follows the last frame means nothing.
    """
    # Without the room commits are slower, and nothing else: a disk this full is reported by the commits themselves.
    with suppress(OSError):
        disk.lengthen(path.with_name(f"{path.name}-wal"), _LOG_ROOM_BYTES)


def _number(connection: sqlite3.Connection, query: str) -> int:
    (number,) = connection.execute(query).fetchone()
    return int(number)

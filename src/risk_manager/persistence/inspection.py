"""Looking at a data directory from outside, for a doctor: who holds it, and whether its journal can be read."""

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec

from risk_manager.persistence.database import FILE_NAME
from risk_manager.persistence.instance_lock import looking
from risk_manager.persistence.schema import APPLICATION_ID, MIGRATIONS

WAIT_S = 0.2


class JournalState(msgspec.Struct, frozen=True):
    """What was found.

    Attributes:
        holder: says which other risk-manager has the directory; its journal is not looked at then.
        exists: whether there is a journal.   decisions: how many it holds.
        is_older: a newer program's start brings it up to date.
        fault: why it cannot be used; None if it can.
    """

    holder: str | None = None
    exists: bool = False
    decisions: int = 0
    is_older: bool = False
    fault: str | None = None


def inspect_journal(directory: Path) -> JournalState:
    """Look at an existing data directory; reads the whole journal, changes nothing of its content.

    Raises:
        OSError: the directory's lock cannot be tried.
    """
    with looking(directory, wait_s=WAIT_S) as holder:
        return _inspected(directory / FILE_NAME) if holder is None else JournalState(holder=holder)


def _inspected(path: Path) -> JournalState:
    if not path.exists():
        return JournalState()
    try:
        with closing(sqlite3.connect(path, timeout=WAIT_S, isolation_level=None)) as connection:
            # The same lock mode as the guard's: it keeps the log's index in memory and makes no further file.
            connection.execute("PRAGMA locking_mode = EXCLUSIVE").close()
            return _state_of(connection)
    except sqlite3.Error as error:
        return JournalState(exists=True, fault=f"{error} ({getattr(error, 'sqlite_errorname', 'unknown')})")


def _state_of(connection: sqlite3.Connection) -> JournalState:
    if _number(connection, "PRAGMA application_id") != APPLICATION_ID:
        return JournalState(exists=True, fault="it belongs to another program")
    version = _number(connection, "PRAGMA user_version")
    if version > len(MIGRATIONS):
        return JournalState(exists=True, fault=f"it was written by a newer risk-manager (schema {version})")
    (answer,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if answer != "ok":
        return JournalState(exists=True, fault=f"it is damaged: {answer}")
    decisions = _number(connection, "SELECT count(*) FROM decisions")
    return JournalState(exists=True, decisions=decisions, is_older=version < len(MIGRATIONS))


def _number(connection: sqlite3.Connection, query: str) -> int:
    (number,) = connection.execute(query).fetchone()
    return int(number)

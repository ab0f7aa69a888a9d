"""Reading a journal beside the guard that writes it: a copy is read, the journal itself is left alone.

A second program must not open a journal in use: its mere presence could hold up a commit. The log's header tells
whether the log was begun anew while it was copied; if not, the copied log holds every page the copied file may lack.
"""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from risk_manager.persistence.database import FILE_NAME

_HEADER_BYTES = 32
_ATTEMPTS = 10


class Unreadable(Exception):
    """The journal could not be copied, or not be read; the message says why."""


@contextmanager
def reading(directory: Path) -> Iterator[sqlite3.Connection]:
    """A connection to what the journal of a data directory holds now; nothing of the directory is changed.

    Raises:
        Unreadable: there is no journal, it changes faster than it can be copied, or whatever is done with the
            connection fails: a damaged file may hold anything, of any type.
    """
    try:
        with _connected(directory) as connection:
            yield connection
    except Unreadable:
        raise
    except Exception as error:
        raise Unreadable(f"the journal in {directory} cannot be read: {error}") from error


@contextmanager
def _connected(directory: Path) -> Iterator[sqlite3.Connection]:
    path = directory / FILE_NAME
    log = path.with_name(f"{FILE_NAME}-wal")
    if not path.exists():
        raise Unreadable(f"there is no journal in {directory}")
    if not log.exists() or log.stat().st_size == 0:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1", uri=True)) as connection:
            yield connection
        return
    with TemporaryDirectory(prefix="risk-manager-journal-") as folder:
        copy = Path(folder) / FILE_NAME
        _copy(path, log, copy)
        with closing(sqlite3.connect(copy)) as connection:
            yield connection


def _copy(path: Path, log: Path, copy: Path) -> None:
    for _ in range(_ATTEMPTS):
        before = _header(log)
        shutil.copyfile(path, copy)
        if log.exists():
            shutil.copyfile(log, copy.with_name(log.name))
        if _header(log) == before:
            return
    raise Unreadable(f"{path} changes faster than it can be copied")


def _header(log: Path) -> bytes | None:
    try:
        with log.open("rb") as file:
            return file.read(_HEADER_BYTES)
    except FileNotFoundError:
        return None

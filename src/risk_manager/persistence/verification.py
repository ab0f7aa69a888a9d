"""Whether a journal is what the guard wrote: every check, each with what it found.

What is checked with the key of the installation: the closed file to its last byte; the chain of the decisions; the
totals of the other tables; what was written down elsewhere (anchors). And without it: SQLite's own structure and that
the tables, triggers and indexes are those of the schema.
"""

import hmac
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import msgspec

from risk_manager.persistence.anchor import Anchor, is_genuine
from risk_manager.persistence.database import FILE_NAME
from risk_manager.persistence.reading import Unreadable, reading
from risk_manager.persistence.schema import MIGRATIONS
from risk_manager.persistence.seals import (
    BEGINNING,
    CHAIN,
    CLOSED_NAME,
    DECISIONS,
    FIRST,
    KEY_BYTES,
    KEY_NAME,
    TABLES,
    Total,
    file_digest,
    installation_of,
    seal_of,
    signature_of,
    total_of,
)

ROWS_PER_REPORT = 10_000


class Check(msgspec.Struct, frozen=True):
    """One thing that was looked at.

    Attributes:
        passed: None where it could not be looked at.   found: in a sentence.
    """

    name: str
    passed: bool | None
    found: str


class Verification(msgspec.Struct, frozen=True):
    """What verifying found.

    Attributes:
        decisions: in the unbroken part of the chain.   head: the seal of the last of them, hexadecimal.
    """

    checks: tuple[Check, ...]
    decisions: int
    head: str

    @property
    def is_sound(self) -> bool:
        """Whether nothing that could be checked failed."""
        return all(check.passed is not False for check in self.checks)


def verify(
    directory: Path, *, anchors: Sequence[Anchor] | None = None, on_progress: Callable[[int, int], None] | None = None
) -> Verification:
    """Check the journal of a data directory, which may be in use.

    Args:
        anchors: what was written down elsewhere, oldest first; None if that is not to be checked.
        on_progress: told the decisions checked and how many there are.

    Raises:
        OSError: the directory cannot be read.
    """
    key = _key(directory)
    if key is None:
        return Verification((Check("key", False, f"{directory / KEY_NAME} is missing or damaged"),), 0, "")
    checks = [_closed(directory, key)]
    began = Total(0, FIRST)
    reached: dict[int, str] = {}
    length, head = 0, FIRST
    try:
        with reading(directory) as connection:
            if not checks[0].passed:
                checks += [_structure(connection), _schema(connection)]
            wanted = {anchor.rows for anchor in anchors or ()}
            began = _beginning(connection, key)
            chain, length, head, reached = _chain(connection, key, began, wanted, on_progress)
            checks += [chain, _chain_end(connection, key), *_totals(connection, key)]
    except Unreadable as error:
        checks.append(Check("file", False, str(error)))
    if anchors is not None:
        checks.append(_anchored(anchors, key, began.rows, length, reached))
    return Verification(tuple(checks), length - began.rows, head.hex())


def _key(directory: Path) -> bytes | None:
    path = directory / KEY_NAME
    key = path.read_bytes() if path.exists() else b""
    return key if len(key) == KEY_BYTES else None


def _closed(directory: Path, key: bytes) -> Check:
    """The hash a clean stop left behind covers every byte, also those that mean nothing."""
    closed, path = directory / CLOSED_NAME, directory / FILE_NAME
    if not closed.exists() or not path.exists():
        return Check("closed file", None, "no clean stop since it was last opened: bytes that mean nothing not covered")
    if hmac.compare_digest(closed.read_bytes(), file_digest(key, path)):
        return Check("closed file", True, f"{path.stat().st_size:,} bytes are as they were closed")
    return Check("closed file", False, f"{FILE_NAME} has been changed since the guard closed it")


def _structure(connection: sqlite3.Connection) -> Check:
    (answer,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    return Check("structure", answer == "ok", "sound by SQLite's own check" if answer == "ok" else str(answer))


def _schema(connection: sqlite3.Connection) -> Check:
    """A trigger of somebody else's would change rows while we look away."""
    with closing(sqlite3.connect(":memory:")) as made:
        for statements in MIGRATIONS:
            for statement in statements:
                made.execute(statement)
        wanted = set(_definitions(made))
    found = set(_definitions(connection))
    # In a damaged file a name need be no text.
    odd = sorted({str(name) for _, name, _ in found ^ wanted})
    return Check("schema", not odd, f"not as it should be: {', '.join(odd)}" if odd else "as this version makes it")


def _definitions(connection: sqlite3.Connection) -> Iterator[tuple[str, str, str]]:
    yield from connection.execute("SELECT type, name, coalesce(sql, '') FROM sqlite_schema")


def _chain(
    connection: sqlite3.Connection,
    key: bytes,
    began: Total,
    wanted: set[int],
    on_progress: Callable[[int, int], None] | None,
) -> tuple[Check, int, bytes, dict[int, str]]:
    """The check, how far the chain is unbroken, its last seal there, and the seals at the wanted positions."""
    (rows,) = connection.execute("SELECT coalesce(max(rowid), 0) FROM decisions").fetchone()
    seal, done = began.digest, began.rows
    reached: dict[int, str] = {}
    for position, stored, *row in connection.execute(DECISIONS):
        if position != done + 1:
            found = f"decision {done + 1} is missing" if position > done else f"there is a decision {position}"
            return Check("chain", False, found), done, seal, reached
        expected = seal_of(key, seal, position, tuple(row))
        if stored != expected:
            account, sequence = row[:2]
            found = f"decision {position} (number {sequence} of account {account}) is not as it was written"
            return Check("chain", False, found), done, seal, reached
        seal, done = expected, position
        if position in wanted:
            reached[position] = seal.hex()
        if on_progress is not None and position % ROWS_PER_REPORT == 0:
            on_progress(position, rows)
    trimmed = f"; {began.rows:,} older ones were taken away for their age" if began.rows else ""
    found = f"{done - began.rows:,} decisions, each as it was written{trimmed}"
    return Check("chain", True, found), done, seal, reached


def _beginning(connection: sqlite3.Connection, key: bytes) -> Total:
    """What stands before the first decision. A forged beginning is none: the first decisions are missing then."""
    kept = _kept(connection, key, BEGINNING)
    return kept if isinstance(kept, Total) else Total(0, FIRST)


def _chain_end(connection: sqlite3.Connection, key: bytes) -> Check:
    """Decisions taken from the end leave a sound chain behind; the end was written down shortly after each."""
    kept = _kept(connection, key, CHAIN)
    if isinstance(kept, str):
        return Check("end", False, kept)
    if kept.rows == 0:
        return Check("end", True, "the chain was empty when its end was written down")
    found = connection.execute("SELECT seal FROM decisions WHERE rowid = ?", (kept.rows,)).fetchone()
    if found is None:
        return Check("end", False, f"the chain once had {kept.rows:,} decisions; the last ones are missing")
    if found[0] != kept.digest:
        return Check("end", False, f"decision {kept.rows:,} is not the one written down as the end")
    return Check("end", True, f"decision {kept.rows:,} is the one written down as the end")


def _totals(connection: sqlite3.Connection, key: bytes) -> Iterator[Check]:
    for table in TABLES:
        kept, found = _kept(connection, key, table), total_of(key, connection, table)
        if isinstance(kept, str):
            yield Check(table, False, kept)
        elif kept.rows != found.rows:
            yield Check(table, False, f"{found.rows:,} rows instead of {kept.rows:,}")
        else:
            is_same = kept.digest == found.digest
            yield Check(table, is_same, f"{found.rows:,} rows" if is_same else "a row is not as it was written")


def _kept(connection: sqlite3.Connection, key: bytes, name: str) -> Total | str:
    """A total as written down, or what is wrong with it."""
    row = connection.execute("SELECT rows, digest, signature FROM totals WHERE name = ?", (name,)).fetchone()
    if row is None:
        return f"the total of {name} has been taken away"
    total = Total(row[0], row[1])
    return total if row[2] == signature_of(key, name, total) else f"the total of {name} was not written by the guard"


def _anchored(anchors: Sequence[Anchor], key: bytes, began: int, length: int, reached: dict[int, str]) -> Check:
    ours = [anchor for anchor in anchors if anchor.installation == installation_of(key)]
    if not ours:
        return Check("anchor", False, "no anchor is of this installation; was its key replaced?")
    for anchor in ours:
        if not is_genuine(key, anchor):
            return Check("anchor", False, f"the anchor of {anchor.at} was not written by the guard")
        if anchor.rows > length:
            found = f"the journal had {anchor.rows:,} decisions on {anchor.at} and has {length:,} now"
            return Check("anchor", False, f"{found}: it was rolled back")
        if anchor.rows > began and reached.get(anchor.rows) != anchor.seal:
            return Check("anchor", False, f"decision {anchor.rows:,} is not the one anchored on {anchor.at}")
    return Check("anchor", True, f"{len(ours):,} anchors agree, the last of {ours[-1].at}")

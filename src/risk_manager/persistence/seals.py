"""What makes a change of the journal by other hands show: a chain over the decisions, and totals over the other tables.

Every decision carries a seal, the keyed hash of itself and of the seal before it: a changed, missing or foreign row
breaks the chain from there on. The other tables change in place; of each the sum of its rows' keyed hashes is kept,
which a row adds itself to when it comes and takes itself from when it goes. Neither shows that yesterday's file was put
in place of today's; only what is kept elsewhere does (`anchor`).

Hash: BLAKE2b with a key (RFC 7693), 32 bytes.
"""

import hashlib
import os
import sqlite3
from pathlib import Path

import msgspec

from risk_manager.persistence.database import transaction
from risk_manager.persistence.whole_file import write_whole

KEY_NAME = "journal.key"
CLOSED_NAME = "journal.closed"
"""Holds the keyed hash of the whole file while nobody has it open."""

KEY_BYTES = 32
SEAL_BYTES = 32
FIRST = bytes(SEAL_BYTES)
"""Stands before the first decision."""

CHAIN = "decisions"
"""The name under which the end of the chain is kept among the totals."""

BEGINNING = "beginning"
"""The same for the last decision that was taken away for its age; without one the chain begins with the first."""

TABLES: dict[str, tuple[str, ...]] = {
    "intents": ("account_id", "id", "trading_day", "state", "sequence", "body"),
    "lockouts": (
        "account_id",
        "scope",
        "rule",
        "is_active",
        "until_ns",
        "sequence",
        "body",
        "released_ns",
        "release_reason",
    ),
    "fills": ("account_id", "fill_id", "trading_day", "at_ns", "body"),
    "snapshots": ("account_id", "trading_day", "body"),
    "gaps": ("account_id", "began_ns", "ended_ns", "cover", "cause"),
    "folded": ("one", "up_to"),
    "enforcements": ("id", "account_id", "trading_day", "body"),
}
"""Every table that changes in place, with its columns."""

DECISIONS = """
SELECT rowid, seal, account_id, sequence, trading_day, at_ns, received_ns, cause, body FROM decisions ORDER BY rowid
"""
"""Position, seal, and what is sealed, in this order."""

_MODULUS = 1 << (8 * SEAL_BYTES)
_encode = msgspec.msgpack.Encoder().encode

Row = tuple[object, ...]


class Total(msgspec.Struct, frozen=True):
    """How many rows a table has and the sum of their marks; of the chain, its length and its last seal."""

    rows: int
    digest: bytes


def load_key(directory: Path) -> bytes:
    """The installation's key, made on first use and readable by its owner only.

    One that is damaged is put aside and replaced: guarding goes on, and verifying says from where on the seals differ.

    Raises:
        OSError: it can be neither read nor made.
    """
    path = directory / KEY_NAME
    if path.exists():
        key = path.read_bytes()
        if len(key) == KEY_BYTES:
            return key
        path.replace(path.with_suffix(".damaged"))
    key = os.urandom(KEY_BYTES)
    write_whole(path, key)
    return key


def installation_of(key: bytes) -> str:
    """A name for the installation that says nothing about its key."""
    return hashlib.blake2b(b"installation", key=key, digest_size=8).hexdigest()


def seal_of(key: bytes, before: bytes, position: int, row: Row) -> bytes:
    """The seal of a decision at a position of the chain, which counts from 1; `row` in the order of its columns."""
    return hashlib.blake2b(before + _encode((position, *row)), key=key, digest_size=SEAL_BYTES).digest()


def mark_of(key: bytes, table: str, row: Row) -> int:
    """What a row of another table adds to its total; `row` in the order of the table's columns."""
    digest = hashlib.blake2b(_encode((table, *row)), key=key, digest_size=SEAL_BYTES).digest()
    return int.from_bytes(digest)


def total_of(key: bytes, connection: sqlite3.Connection, table: str) -> Total:
    """The total of a table as it is now."""
    rows, marks = 0, 0
    for row in connection.execute(f"SELECT {', '.join(TABLES[table])} FROM {table}"):  # noqa: S608  # our own names
        rows += 1
        marks += mark_of(key, table, row)
    return Total(rows, (marks % _MODULUS).to_bytes(SEAL_BYTES))


def signature_of(key: bytes, name: str, total: Total) -> bytes:
    """What proves that a total was written by the holder of the key."""
    return hashlib.blake2b(_encode((name, total.rows, total.digest)), key=key, digest_size=SEAL_BYTES).digest()


def file_digest(key: bytes, path: Path) -> bytes:
    """The keyed hash of a file, to its last byte."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(key=key, digest_size=SEAL_BYTES)).digest()


class Seals:
    """Keeps chain and totals of one open connection up to date.

    Triggers tell of every row that comes or goes; what they told is taken over with the transaction, or forgotten.
    """

    def __init__(self, key: bytes, connection: sqlite3.Connection) -> None:
        self._key = key
        self._connection = connection
        self._rows: dict[str, int] = {}
        self._marks: dict[str, int] = {}
        self._changed: set[str] = set()
        self._beginning = Total(0, FIRST)
        self._seal_older()
        last = connection.execute("SELECT rowid, seal FROM decisions ORDER BY rowid DESC LIMIT 1").fetchone()
        self.length: int = last[0] if last is not None else 0
        self.last: bytes = last[1] if last is not None else FIRST
        self._take_totals()
        if self._changed:
            # From the first moment on every total is there, so that a missing one has been taken away.
            with transaction(connection):
                self.write()
            self.written()
        self._listen()

    def next(self, row: Row) -> tuple[int, bytes]:
        """Position and seal of a decision that is about to be stored."""
        position = self.length + 1
        return position, seal_of(self._key, self.last, position, row)

    def stored(self, position: int, seal: bytes) -> None:
        """The decision is in the file."""
        self.length, self.last = position, seal
        self._changed.add(CHAIN)

    def begins_after(self, position: int, seal: bytes) -> None:
        """The decisions up to this one are taken away, with the transaction under way."""
        self._beginning = Total(position, seal)
        self._changed.add(BEGINNING)

    def write(self) -> None:
        """Put what has changed into the table of totals; part of the transaction that changed it."""
        for name in self._changed:
            total = self._total(name)
            row = (name, total.rows, total.digest, signature_of(self._key, name, total))
            self._connection.execute("INSERT OR REPLACE INTO totals VALUES (?, ?, ?, ?)", row)

    def written(self) -> None:
        """The transaction has been committed."""
        self._changed.clear()

    def reload(self) -> None:
        """The transaction was rolled back: what its triggers told never was."""
        self._take_totals()
        self._changed &= {CHAIN}

    @property
    def is_due(self) -> bool:
        """Whether the totals in the file are behind."""
        return bool(self._changed)

    def _total(self, table: str) -> Total:
        if table == CHAIN:
            return Total(self.length, self.last)
        if table == BEGINNING:
            return self._beginning
        return Total(self._rows[table], (self._marks[table] % _MODULUS).to_bytes(SEAL_BYTES))

    def _seal_older(self) -> None:
        """Seal, once and for all, the decisions of a version that did not."""
        if self._connection.execute("SELECT 1 FROM totals WHERE name = ?", (CHAIN,)).fetchone() is not None:
            return
        seal, rows = FIRST, self._connection.execute(DECISIONS).fetchall()
        with transaction(self._connection) as connection:
            for position, (rowid, _, *row) in enumerate(rows, start=1):
                seal = seal_of(self._key, seal, position, tuple(row))
                connection.execute("UPDATE decisions SET rowid = ?, seal = ? WHERE rowid = ?", (position, seal, rowid))
            signature = signature_of(self._key, CHAIN, Total(len(rows), seal))
            connection.execute("INSERT INTO totals VALUES (?, ?, ?, ?)", (CHAIN, len(rows), seal, signature))

    def _take_totals(self) -> None:
        kept = {
            name: Total(rows, digest)
            for name, rows, digest in self._connection.execute("SELECT name, rows, digest FROM totals")
        }
        for table in TABLES:
            total = kept.get(table)
            if total is None:
                total = total_of(self._key, self._connection, table)
                self._changed.add(table)
            self._rows[table], self._marks[table] = total.rows, int.from_bytes(total.digest)

    def _listen(self) -> None:
        def told(table: str, sign: int, *row: object) -> None:
            self._rows[table] += sign
            self._marks[table] += sign * mark_of(self._key, table, row)
            self._changed.add(table)

        self._connection.create_function("told", -1, told)
        for table, columns in TABLES.items():
            for event, calls in _EVENTS.items():
                body = " ".join(
                    f"SELECT told('{table}', {sign}, {', '.join(f'{side}.{column}' for column in columns)});"
                    for side, sign in calls
                )
                when = f"{table}_{event} AFTER {event} ON {table}"
                self._connection.execute(f"CREATE TEMP TRIGGER {when} BEGIN {body} END")


_EVENTS: dict[str, tuple[tuple[str, int], ...]] = {
    "insert": (("NEW", 1),),
    "update": (("OLD", -1), ("NEW", 1)),
    "delete": (("OLD", -1),),
}

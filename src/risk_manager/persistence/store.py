"""The journal's reading and writing, synchronous; everything here runs on the journal's one thread.

A commit appends one row, the decision: nothing else is on the way to the venue. The tables `intents` and `lockouts` are
derived from the decisions (`folding`); they follow in idle moments, and before they are read.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import structlog

from risk_manager.domain.coverage import Cover, Gap
from risk_manager.domain.decision import Decision
from risk_manager.domain.fill import Fill
from risk_manager.domain.intent import Intent
from risk_manager.domain.lockout import Lockout
from risk_manager.persistence.anchor import Anchor, anchor_of
from risk_manager.persistence.database import FILE_NAME, open_database, transaction
from risk_manager.persistence.decision_rows import Room, readable, some_rows
from risk_manager.persistence.folding import fold_some
from risk_manager.persistence.retention import newest_day, trim
from risk_manager.persistence.seals import CLOSED_NAME, Seals, file_digest, load_key
from risk_manager.persistence.steps import Steps
from risk_manager.persistence.stories import story_of
from risk_manager.persistence.whole_file import write_whole
from risk_manager.ports.journal import JournalConflict, Record, Recovered, Story

_encode = msgspec.json.Encoder().encode
_decode_intent = msgspec.json.Decoder(Intent).decode
_decode_lockout = msgspec.json.Decoder(Lockout).decode

_HARMLESS_CODES = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_BUSY})
"""Errors that leave a connection as good as before once the transaction is rolled back."""

_ABOVE_ALL = 2**63 - 1

_PAGES_PER_COMMIT = 4
_PAGES_PER_FOLD = 6
_PAGE_BYTES = 4096
_PAGES_PER_CHECKPOINT = 160
"""About two thirds of the room `open_database` gives the log."""

log = structlog.get_logger("journal")


class Store:
    """The tables behind one connection, which is opened anew after an error that may have left it broken."""

    def __init__(self, directory: Path, *, wait_ms: int) -> None:
        self._directory = directory
        self._wait_ms = wait_ms
        self._connection: sqlite3.Connection | None = None
        self._seals: Seals | None = None
        self._pages_since_checkpoint = 0
        self._is_folded = False
        self._trimmed_to: str | None = None

    def connect(self) -> sqlite3.Connection:
        """The open connection, made now if there is none."""
        if self._connection is None:
            # From here on the file changes; saying otherwise would raise a false alarm.
            (self._directory / CLOSED_NAME).unlink(missing_ok=True)
            connection = open_database(self._directory, wait_ms=self._wait_ms)
            try:
                self._seals = Seals(load_key(self._directory), connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    @property
    def seals(self) -> Seals:
        """Chain and totals of the open connection."""
        self.connect()
        assert self._seals is not None
        return self._seals

    def close(self) -> None:
        """Write the log back into the file and let go of it; idempotent."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def finish(self) -> None:
        """Close, with the end of the chain and the hash of the closed file written down.

        A disk that refuses that costs only what verifying can say; it has been told of with the commits.
        """
        if self._connection is None:
            return
        try:
            with suppress(sqlite3.Error, OSError, msgspec.MsgspecError):
                self._fold_all()
                if self.seals.is_due:
                    with self._changing():
                        pass
        finally:
            self.close()
        with suppress(OSError):
            digest = file_digest(load_key(self._directory), self._directory / FILE_NAME)
            write_whole(self._directory / CLOSED_NAME, digest)

    def commit(self, decision: Decision) -> None:
        """Store a decision with everything it sets, releases, opens and closes, or nothing of it."""
        assert decision.cause is not None, decision
        body = _encode(decision).decode()
        try:
            self._is_folded &= not _insert_decision(self.connect(), self.seals, decision, body)
        except sqlite3.Error as error:
            self._drop_if_broken(error)
            raise
        self._pages_since_checkpoint += _PAGES_PER_COMMIT

    def tidy(self) -> None:
        """Fold what was committed, and carry the log into the file now and then; meant for idle moments.

        A failure is left to the next commit, which meets the same disk.
        """
        if self._connection is None:
            return
        with suppress(sqlite3.Error):
            self._fold_all()
            self._forget_the_oldest()
            if self._pages_since_checkpoint >= _PAGES_PER_CHECKPOINT:
                self._pages_since_checkpoint = 0
                with closing(self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")) as cursor:
                    cursor.fetchall()

    def _fold_all(self) -> None:
        """Bring the derived tables up to the last decision."""
        while not self._is_folded:
            self._fold_next()

    def _fold_next(self) -> None:
        with self._changing() as connection:
            self._is_folded = fold_some(connection)
        self._pages_since_checkpoint += _PAGES_PER_FOLD

    def _forget_the_oldest(self) -> None:
        """Take away, with each new trading day, what is too old; a little in every idle moment."""
        newest = newest_day(self.connect())
        if newest is None or newest == self._trimmed_to:
            return
        with self._changing() as connection:
            is_done = trim(connection, self.seals, newest)
        self._pages_since_checkpoint += _PAGES_PER_FOLD
        if is_done:
            self._trimmed_to = newest

    def save(
        self, account_id: str, trading_day: str, fills: tuple[Fill, ...], snapshot: bytes, gaps: tuple[Gap, ...]
    ) -> None:
        """Store fills by id and gaps by their beginning, and replace the account's snapshot."""
        rows = [(account_id, fill.id, trading_day, fill.at_ns, _encode(fill).decode()) for fill in fills]
        try:
            with self._changing() as connection:
                connection.executemany(_UPSERT_FILL, rows)
                connection.execute(_UPSERT_SNAPSHOT, (account_id, trading_day, snapshot))
                connection.executemany(_UPSERT_GAP, [(account_id, *msgspec.structs.astuple(gap)) for gap in gaps])
        except sqlite3.Error as error:
            self._drop_if_broken(error)
            raise
        self._pages_since_checkpoint += _PAGES_PER_COMMIT + len(fills) + len(snapshot) // _PAGE_BYTES

    def recover(self, account_id: str) -> Recovered:
        """The account's last sequence, snapshot, active lockouts (by key) and open intents (oldest first)."""
        try:
            self._fold_all()
        except sqlite3.Error as error:
            self._drop_if_broken(error)
            raise
        return Recovered(
            sequence=self._read(_LAST_SEQUENCE, account_id)[0][0],
            snapshot=next((row[0] for row in self._read(_SNAPSHOT, account_id)), None),
            lockouts=tuple(_decode_lockout(row[0]) for row in self._read(_ACTIVE_LOCKOUTS, account_id)),
            open_intents=tuple(_decode_intent(row[0]) for row in self._read(_OPEN_INTENTS, account_id)),
            gaps=tuple(
                Gap(began_ns, ended_ns, Cover(cover), cause)
                for began_ns, ended_ns, cover, cause in reversed(self._read(_LAST_GAPS, account_id))
            ),
        )

    def decisions(
        self, account_id: str, after: int, most: int, most_bytes: int | None = None
    ) -> Steps[tuple[Decision, ...]]:
        """The last `most` decisions with a sequence above `after`, oldest first; without those that cannot be read.

        Raises:
            TooMuchAsked: they are longer than `most_bytes`.
        """
        found: list[Decision] = []
        room = Room(most_bytes)
        below, is_all = _ABOVE_ALL, False
        while not is_all:
            rows, is_all = self._some(_LAST_DECISIONS, account_id, after, below, max(most, 0) - len(found))
            found += readable(room.taken(body) for _, body in rows)
            if not is_all:
                below = rows[-1][0]
                yield
        return tuple(reversed(found))

    def fills(self, account_id: str, trading_day: str) -> tuple[Fill, ...]:
        """The stored fills of one trading day, in venue time."""
        rows = self._read(_FILLS_OF_DAY, account_id, trading_day)
        return tuple(msgspec.json.decode(row[0], type=Fill) for row in rows)

    def remember(self, records: tuple[Record, ...]) -> None:
        """Store what is known of ended enforcements, replacing what was stored of the same."""
        rows = [(record.id, record.account_id, record.trading_day, record.body.decode()) for record in records]
        try:
            with self._changing() as connection:
                connection.executemany(_UPSERT_ENFORCEMENT, rows)
        except sqlite3.Error as error:
            self._drop_if_broken(error)
            raise
        self._pages_since_checkpoint += _PAGES_PER_COMMIT + len(rows)

    def story(self, intent_id: str, most_bytes: int | None = None) -> Steps[Story | None]:
        """What the journal holds of one enforcement; None if there is no such intent.

        Raises:
            TooMuchAsked: its decisions are longer than `most_bytes`.
        """
        while not self._is_folded:
            self._fold_next()
            yield
        return (yield from story_of(self.connect(), intent_id, most_bytes))

    def anchor(self, at: str) -> Anchor:
        """The anchor of the journal's present end."""
        return anchor_of(load_key(self._directory), self.seals.length, self.seals.last, at)

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """A transaction on the tables that change in place, whose totals change with them."""
        seals = self.seals
        try:
            with transaction(self.connect()) as connection:
                yield connection
                seals.write()
        except BaseException:
            with suppress(sqlite3.Error):
                seals.reload()
            raise
        seals.written()

    def _read(self, query: str, *parameters: str | int) -> list[tuple[Any, ...]]:
        try:
            with closing(self.connect().execute(query, parameters)) as cursor:
                return cursor.fetchall()
        except sqlite3.Error as error:
            self._drop_if_broken(error)
            raise

    def _some(self, query: str, *parameters: str | int) -> tuple[list[tuple[int, bytes]], bool]:
        try:
            return some_rows(self.connect(), query, *parameters)
        except sqlite3.Error as error:
            self._drop_if_broken(error)
            raise

    def _drop_if_broken(self, error: sqlite3.Error) -> None:
        if getattr(error, "sqlite_errorcode", -1) & 0xFF in _HARMLESS_CODES:
            return
        # The next call opens the file again, which also recovers the log. Closing may fail for the same reason the
        # call did; what counts has been reported already.
        with suppress(sqlite3.Error):
            self.close()


def _insert_decision(connection: sqlite3.Connection, seals: Seals, decision: Decision, body: str) -> bool:
    """True if the decision is new, False if the same one is stored already."""
    cause = decision.cause
    assert cause is not None, decision
    kind = str(type(cause).__struct_config__.tag)
    key = (decision.account_id, decision.sequence)
    row = (*key, decision.trading_day, cause.at_ns, cause.received_ns, kind, body)
    position, seal = seals.next(row)
    if connection.execute(_INSERT_DECISION, (position, *row, seal)).rowcount == 1:
        seals.stored(position, seal)
        return True
    (stored,) = connection.execute(_DECISION_BODY, key).fetchone()
    if stored != body:
        raise JournalConflict(
            f"decision {decision.sequence} of account {decision.account_id} is stored with other content"
        )
    return False


_INSERT_DECISION = """
INSERT INTO decisions (rowid, account_id, sequence, trading_day, at_ns, received_ns, cause, body, seal)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (account_id, sequence) DO NOTHING
"""
_DECISION_BODY = "SELECT body FROM decisions WHERE account_id = ? AND sequence = ?"
_LAST_DECISIONS = """
SELECT sequence, CAST(body AS BLOB) FROM decisions WHERE account_id = ? AND sequence > ? AND sequence < ?
ORDER BY sequence DESC LIMIT ?
"""
_LAST_SEQUENCE = "SELECT coalesce(max(sequence), 0) FROM decisions WHERE account_id = ?"

_OPEN_INTENTS = "SELECT body FROM intents WHERE account_id = ? AND state = 'open' ORDER BY rowid"
_ACTIVE_LOCKOUTS = "SELECT body FROM lockouts WHERE account_id = ? AND is_active = 1 ORDER BY scope, rule"

_UPSERT_FILL = """
INSERT INTO fills (account_id, fill_id, trading_day, at_ns, body) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (account_id, fill_id) DO UPDATE SET
    trading_day = excluded.trading_day, at_ns = excluded.at_ns, body = excluded.body
"""
_FILLS_OF_DAY = "SELECT body FROM fills WHERE account_id = ? AND trading_day = ? ORDER BY at_ns, fill_id"

_UPSERT_ENFORCEMENT = """
INSERT INTO enforcements (id, account_id, trading_day, body) VALUES (?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET body = excluded.body
"""

_UPSERT_SNAPSHOT = """
INSERT INTO snapshots (account_id, trading_day, body) VALUES (?, ?, ?)
ON CONFLICT (account_id) DO UPDATE SET trading_day = excluded.trading_day, body = excluded.body
"""
_SNAPSHOT = "SELECT body FROM snapshots WHERE account_id = ?"

_UPSERT_GAP = """
INSERT INTO gaps (account_id, began_ns, ended_ns, cover, cause) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (account_id, began_ns) DO UPDATE SET
    ended_ns = excluded.ended_ns, cover = excluded.cover, cause = excluded.cause
"""
_LAST_GAPS = """
SELECT began_ns, ended_ns, cover, cause FROM gaps WHERE account_id = ? ORDER BY began_ns DESC LIMIT 100
"""

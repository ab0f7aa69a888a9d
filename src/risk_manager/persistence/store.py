"""The journal's reading and writing, synchronous; everything here runs on the journal's one thread.

A commit appends one row, the decision: nothing else is on the way to the venue. The tables `intents` and `lockouts` are
the fold of the decisions up to the row that `folded` names; they follow in idle moments, and before they are read.
Each of their rows remembers the sequence it stems from, so a decision that could not be stored at its time may be
committed after later ones without undoing them. Where that leaves a doubt (a lockout set late, its release already
committed) the lockout stays: erring means locked. A part of a decision that cannot be read costs only itself; where it
may have been a lockout, the account is locked for a day in its place.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import structlog

from risk_manager.domain.coverage import Cover, Gap
from risk_manager.domain.decision import Decision
from risk_manager.domain.fill import Fill
from risk_manager.domain.intent import Intent
from risk_manager.domain.lockout import Lockout, LockoutKind, LockoutRelease, OnLock
from risk_manager.domain.scope import ACCOUNT, Scope
from risk_manager.persistence.anchor import Anchor, anchor_of
from risk_manager.persistence.database import FILE_NAME, open_database, transaction
from risk_manager.persistence.retention import newest_day, trim
from risk_manager.persistence.seals import CLOSED_NAME, Seals, file_digest, load_key
from risk_manager.persistence.steps import Steps
from risk_manager.persistence.whole_file import write_whole
from risk_manager.ports.journal import JournalConflict, Record, Recovered, Story, TooMuchAsked

_encode = msgspec.json.Encoder().encode
_decode_decision = msgspec.json.Decoder(Decision).decode
_decode_intent = msgspec.json.Decoder(Intent).decode
_decode_lockout = msgspec.json.Decoder(Lockout).decode
_decode_release = msgspec.json.Decoder(LockoutRelease).decode

UNREADABLE = "UNREADABLE"
"""The reason, and in small letters the rule, of the lockout in place of one that cannot be read."""

_HARMLESS_CODES = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_BUSY})
"""Errors that leave a connection as good as before once the transaction is rolled back."""


_STEP_BYTES = 256 * 1024
"""About what a step reads and decodes: a few milliseconds, in which a commit has to wait."""

_ABOVE_ALL = 2**63 - 1

_PAGES_PER_COMMIT = 4
_PAGES_PER_FOLD = 6
_FOLDED_AT_ONCE = 200
_PAGE_BYTES = 4096
_PAGES_PER_CHECKPOINT = 160
"""About two thirds of the room `open_database` gives the log."""

log = structlog.get_logger("journal")


class _Parts(msgspec.Struct):
    """What the derived tables take from a decision, each part as it is written."""

    lockouts_released: tuple[msgspec.Raw, ...] = ()
    lockouts_set: tuple[msgspec.Raw, ...] = ()
    intents: tuple[msgspec.Raw, ...] = ()


_decode_parts = msgspec.json.Decoder(_Parts).decode


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
        room = _Room(most_bytes)
        below, is_all = _ABOVE_ALL, False
        while not is_all:
            rows, is_all = self._some(_LAST_DECISIONS, account_id, after, below, max(most, 0) - len(found))
            found += _readable(room.taken(body) for _, body in rows)
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
            return _some(self.connect(), query, *parameters)
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


def fold_some(connection: sqlite3.Connection) -> bool:
    """Carry the next decisions into the derived tables, within a transaction; whether these were the last ones."""
    rows = connection.execute(_UNFOLDED, (_FOLDED_AT_ONCE,)).fetchall()
    for _, account_id, sequence, body in rows:
        _fold(connection, account_id, sequence, body)
    if rows:
        connection.execute(_SET_FOLDED, (rows[-1][0],))
    return len(rows) < _FOLDED_AT_ONCE


def story_of(connection: sqlite3.Connection, intent_id: str, most_bytes: int | None = None) -> Steps[Story | None]:
    """What a folded journal holds of one enforcement; None if there is no such intent."""
    last = connection.execute("SELECT account_id, sequence FROM intents WHERE id = ?", (intent_id,)).fetchone()
    if last is None:
        return None
    # An intent's id is that of the decision that opened it, with a number.
    first = intent_id.rsplit("-", 2)[-2]
    found: list[Decision] = []
    room = _Room(most_bytes)
    begin, is_all = int(first) if first.isdigit() else 0, False
    while not is_all:
        rows, is_all = _some(connection, _DECISIONS_BETWEEN, last[0], begin, last[1])
        found += _readable(room.taken(body) for _, body in rows if intent_id.encode() in body)
        if not is_all:
            begin = rows[-1][0] + 1
            yield
    row = connection.execute(_ENFORCEMENT, (intent_id,)).fetchone()
    record = Record(row[0], row[1], row[2], row[3].encode()) if row is not None else None
    return Story(tuple(each for each in found if _concerns(each, intent_id)), record)


class _Room:
    """What may still be read for one answer; None bounds nothing."""

    def __init__(self, most_bytes: int | None) -> None:
        self._most_bytes = most_bytes
        self._taken_bytes = 0

    def taken(self, body: bytes) -> bytes:
        self._taken_bytes += len(body)
        if self._most_bytes is not None and self._taken_bytes > self._most_bytes:
            raise TooMuchAsked(f"that would be more than {self._most_bytes:,} bytes of decisions")
        return body


def _some(connection: sqlite3.Connection, query: str, *parameters: str | int) -> tuple[list[tuple[int, bytes]], bool]:
    """The first rows (sequence and body) of a query, as many as make a step, and whether these are all."""
    rows, size = [], 0
    with closing(connection.execute(query, parameters)) as cursor:
        for row in cursor:
            rows.append(row)
            size += len(row[1])
            if size >= _STEP_BYTES:
                return rows, False
    return rows, True


def _concerns(decision: Decision, intent_id: str) -> bool:
    named = [intent.id for intent in decision.intents]
    named += [getattr(action, "intent_id", "") for action in decision.actions]
    named += [lockout.intent_id for lockout in decision.lockouts_set]
    return intent_id in named


def scope_key(scope: Scope) -> str:
    """A scope as one text, different for different scopes."""
    if scope.root is not None:
        return f"root:{scope.root}"
    return "account" if scope.contract_id is None else f"contract:{scope.contract_id}"


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


def _readable(bodies: Iterable[bytes]) -> Iterator[Decision]:
    """The decisions that can be read; of the others, what can be is in the derived tables."""
    for body in bodies:
        try:
            yield _decode_decision(body)
        except Exception as error:  # noqa: BLE001  # types that look at their own values raise what they like
            log.error("decision not readable", error=repr(error))


def _fold(connection: sqlite3.Connection, account_id: str, sequence: int, body: bytes) -> None:
    """Carry a new decision into the derived tables. Releases come first: what is set in the same step stays."""
    at = (connection, account_id, sequence)
    parts = _parts_of(body)
    for raw in parts.lockouts_released:
        _is_folded(account_id, sequence, partial(_release, *at, raw))
    are_set = [_is_folded(account_id, sequence, partial(_set, *at, raw)) for raw in parts.lockouts_set]
    if not all(are_set):
        _set(*at, _encode(_stand_in(account_id, sequence)))
    for raw in parts.intents:
        _is_folded(account_id, sequence, partial(_put, *at, raw))


def _parts_of(body: bytes) -> _Parts:
    try:
        return _decode_parts(body)
    except msgspec.MsgspecError:
        # What cannot be taken apart may have set a lockout.
        return _Parts(lockouts_set=(msgspec.Raw(body),))


def _is_folded(account_id: str, sequence: int, fold: Callable[[], None]) -> bool:
    """Carry out what folds one part of a decision; False if the part cannot be read, which the other parts survive."""
    try:
        fold()
    except sqlite3.Error:
        raise
    except Exception as error:  # noqa: BLE001  # types that look at their own values raise what they like
        log.critical("part of a decision not readable", account=account_id, sequence=sequence, error=repr(error))
        return False
    return True


def _stand_in(account_id: str, sequence: int) -> Lockout:
    """In place of a lockout that cannot be read: to the end of the trading day it is when the venue tells the time."""
    reason = f"{UNREADABLE}: decision {sequence} in the journal may have set a lockout"
    rule = UNREADABLE.lower()
    return Lockout(account_id, ACCOUNT, rule, LockoutKind.HARD, OnLock.FLATTEN, reason, 0, 0, "", rule)


def _release(connection: sqlite3.Connection, account_id: str, sequence: int, body: bytes) -> None:
    release = _decode_release(body)
    key = (account_id, scope_key(release.scope), release.rule)
    connection.execute(_RELEASE_LOCKOUT, (release.at_ns, release.reason, sequence, *key, sequence))


def _set(connection: sqlite3.Connection, account_id: str, sequence: int, body: bytes) -> None:
    """Store a lockout; joined with the active one of its key, so that writing it can only lengthen it."""
    lockout = _decode_lockout(body)
    key = (account_id, scope_key(lockout.scope), lockout.rule)
    stored = connection.execute(_LOCKOUT, key).fetchone()
    if stored is not None:
        is_active, stored_sequence, stored_body = stored
        if is_active:
            lockout = _decode_lockout(stored_body).joined(lockout)
            sequence = max(sequence, stored_sequence)
        elif stored_sequence > sequence:
            return
    connection.execute(_REPLACE_LOCKOUT, (*key, lockout.until_ns, sequence, _encode(lockout).decode()))


def _put(connection: sqlite3.Connection, account_id: str, sequence: int, body: bytes) -> None:
    intent = _decode_intent(body)
    row = (account_id, intent.id, intent.trading_day, intent.state.value, sequence, _encode(intent).decode())
    connection.execute(_UPSERT_INTENT, row)


_INSERT_DECISION = """
INSERT INTO decisions (rowid, account_id, sequence, trading_day, at_ns, received_ns, cause, body, seal)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (account_id, sequence) DO NOTHING
"""
_UNFOLDED = """
SELECT rowid, account_id, sequence, CAST(body AS BLOB) FROM decisions
WHERE rowid > (SELECT up_to FROM folded) ORDER BY rowid LIMIT ?
"""
_SET_FOLDED = "UPDATE folded SET up_to = ?"
_DECISION_BODY = "SELECT body FROM decisions WHERE account_id = ? AND sequence = ?"
_LAST_DECISIONS = """
SELECT sequence, CAST(body AS BLOB) FROM decisions WHERE account_id = ? AND sequence > ? AND sequence < ?
ORDER BY sequence DESC LIMIT ?
"""
_LAST_SEQUENCE = "SELECT coalesce(max(sequence), 0) FROM decisions WHERE account_id = ?"

_UPSERT_INTENT = """
INSERT INTO intents (account_id, id, trading_day, state, sequence, body) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (account_id, id) DO UPDATE SET state = excluded.state, sequence = excluded.sequence, body = excluded.body
WHERE excluded.sequence >= intents.sequence
"""
_OPEN_INTENTS = "SELECT body FROM intents WHERE account_id = ? AND state = 'open' ORDER BY rowid"

_LOCKOUT = "SELECT is_active, sequence, body FROM lockouts WHERE account_id = ? AND scope = ? AND rule = ?"
_REPLACE_LOCKOUT = """
INSERT INTO lockouts (account_id, scope, rule, is_active, until_ns, sequence, body) VALUES (?, ?, ?, 1, ?, ?, ?)
ON CONFLICT (account_id, scope, rule) DO UPDATE SET is_active = 1, until_ns = excluded.until_ns,
    sequence = excluded.sequence, body = excluded.body, released_ns = NULL, release_reason = NULL
"""
_RELEASE_LOCKOUT = """
UPDATE lockouts SET is_active = 0, released_ns = ?, release_reason = ?, sequence = ?
WHERE account_id = ? AND scope = ? AND rule = ? AND is_active = 1 AND sequence <= ?
"""
_ACTIVE_LOCKOUTS = "SELECT body FROM lockouts WHERE account_id = ? AND is_active = 1 ORDER BY scope, rule"

_UPSERT_FILL = """
INSERT INTO fills (account_id, fill_id, trading_day, at_ns, body) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (account_id, fill_id) DO UPDATE SET
    trading_day = excluded.trading_day, at_ns = excluded.at_ns, body = excluded.body
"""
_FILLS_OF_DAY = "SELECT body FROM fills WHERE account_id = ? AND trading_day = ? ORDER BY at_ns, fill_id"

_DECISIONS_BETWEEN = """
SELECT sequence, CAST(body AS BLOB) FROM decisions WHERE account_id = ? AND sequence BETWEEN ? AND ? ORDER BY sequence
"""
_UPSERT_ENFORCEMENT = """
INSERT INTO enforcements (id, account_id, trading_day, body) VALUES (?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET body = excluded.body
"""
_ENFORCEMENT = "SELECT id, account_id, trading_day, body FROM enforcements WHERE id = ?"

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

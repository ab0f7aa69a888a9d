"""The derived tables, `intents` and `lockouts`: the fold of the decisions up to the row that `folded` names.

Each of their rows remembers the sequence it stems from, so a decision that could not be stored at its time may be
committed after later ones without undoing them. Where that leaves a doubt (a lockout set late, its release already
committed) the lockout stays: erring means locked. A part of a decision that cannot be read costs only itself; where it
may have been a lockout, the account is locked for a day in its place.
"""

import sqlite3
from collections.abc import Callable
from functools import partial

import msgspec
import structlog

from risk_manager.domain.intent import Intent
from risk_manager.domain.lockout import Lockout, LockoutKind, LockoutRelease, OnLock
from risk_manager.domain.scope import ACCOUNT, Scope

_encode = msgspec.json.Encoder().encode
_decode_intent = msgspec.json.Decoder(Intent).decode
_decode_lockout = msgspec.json.Decoder(Lockout).decode
_decode_release = msgspec.json.Decoder(LockoutRelease).decode

UNREADABLE = "UNREADABLE"
"""The reason, and in small letters the rule, of the lockout in place of one that cannot be read."""

_FOLDED_AT_ONCE = 200

log = structlog.get_logger("journal")


class _Parts(msgspec.Struct):
    """What the derived tables take from a decision, each part as it is written."""

    lockouts_released: tuple[msgspec.Raw, ...] = ()
    lockouts_set: tuple[msgspec.Raw, ...] = ()
    intents: tuple[msgspec.Raw, ...] = ()


_decode_parts = msgspec.json.Decoder(_Parts).decode


def fold_some(connection: sqlite3.Connection) -> bool:
    """Carry the next decisions into the derived tables, within a transaction; whether these were the last ones."""
    rows = connection.execute(_UNFOLDED, (_FOLDED_AT_ONCE,)).fetchall()
    for _, account_id, sequence, body in rows:
        _fold(connection, account_id, sequence, body)
    if rows:
        connection.execute(_SET_FOLDED, (rows[-1][0],))
    return len(rows) < _FOLDED_AT_ONCE


def scope_key(scope: Scope) -> str:
    """A scope as one text, different for different scopes."""
    if scope.root is not None:
        return f"root:{scope.root}"
    return "account" if scope.contract_id is None else f"contract:{scope.contract_id}"


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


_UNFOLDED = """
SELECT rowid, account_id, sequence, CAST(body AS BLOB) FROM decisions
WHERE rowid > (SELECT up_to FROM folded) ORDER BY rowid LIMIT ?
"""
_SET_FOLDED = "UPDATE folded SET up_to = ?"

_UPSERT_INTENT = """
INSERT INTO intents (account_id, id, trading_day, state, sequence, body) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (account_id, id) DO UPDATE SET state = excluded.state, sequence = excluded.sequence, body = excluded.body
WHERE excluded.sequence >= intents.sequence
"""

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

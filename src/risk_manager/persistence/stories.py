"""The enforcements a journal tells of, read beside the guard that writes it."""

import sqlite3
from pathlib import Path

from risk_manager.domain.decision import Decision
from risk_manager.persistence.decision_rows import Room, readable, some_rows
from risk_manager.persistence.folding import fold_some
from risk_manager.persistence.reading import reading
from risk_manager.persistence.steps import Steps, all_steps
from risk_manager.ports.journal import Record, Story

_IDS = """
SELECT id FROM intents
WHERE (:day IS NULL OR trading_day = :day) AND (:account IS NULL OR account_id = :account)
    AND (:id IS NULL OR id = :id) AND body NOT LIKE '%"goal":{"type":"protected"%'
ORDER BY sequence, id
"""
"""Protections are left out: a stop at a position is no answer to a breach."""

_DECISIONS_BETWEEN = """
SELECT sequence, CAST(body AS BLOB) FROM decisions WHERE account_id = ? AND sequence BETWEEN ? AND ? ORDER BY sequence
"""
_ENFORCEMENT = "SELECT id, account_id, trading_day, body FROM enforcements WHERE id = ?"


def stories(
    data: Path, *, day: str | None = None, account_id: str | None = None, intent_id: str | None = None
) -> dict[str, Story]:
    """Every enforcement by its id, in the order of their ends; of one trading day, account or id where given.

    Raises:
        Unreadable: there is no journal, or it cannot be read; the message says why.
    """
    wanted = {"day": day, "account": account_id, "id": intent_id}
    with reading(data) as connection:
        _catch_up(connection)
        ids = [found for (found,) in connection.execute(_IDS, wanted)]
        told = {found: all_steps(story_of(connection, found)) for found in ids}
    return {found: story for found, story in told.items() if story is not None}


def story_of(connection: sqlite3.Connection, intent_id: str, most_bytes: int | None = None) -> Steps[Story | None]:
    """What a folded journal holds of one enforcement; None if there is no such intent."""
    last = connection.execute("SELECT account_id, sequence FROM intents WHERE id = ?", (intent_id,)).fetchone()
    if last is None:
        return None
    # An intent's id is that of the decision that opened it, with a number.
    first = intent_id.rsplit("-", 2)[-2]
    found: list[Decision] = []
    room = Room(most_bytes)
    begin, is_all = int(first) if first.isdigit() else 0, False
    while not is_all:
        rows, is_all = some_rows(connection, _DECISIONS_BETWEEN, last[0], begin, last[1])
        found += readable(room.taken(body) for _, body in rows if intent_id.encode() in body)
        if not is_all:
            begin = rows[-1][0] + 1
            yield
    row = connection.execute(_ENFORCEMENT, (intent_id,)).fetchone()
    record = Record(row[0], row[1], row[2], row[3].encode()) if row is not None else None
    return Story(tuple(each for each in found if _concerns(each, intent_id)), record)


def _concerns(decision: Decision, intent_id: str) -> bool:
    named = [intent.id for intent in decision.intents]
    named += [getattr(action, "intent_id", "") for action in decision.actions]
    named += [lockout.intent_id for lockout in decision.lockouts_set]
    return intent_id in named


def _catch_up(connection: sqlite3.Connection) -> None:
    """A guard that died amid its work has not folded its last decisions; what is read then is a copy of our own."""
    is_behind = "SELECT (SELECT up_to FROM folded) < (SELECT coalesce(max(rowid), 0) FROM decisions)"
    if connection.execute(is_behind).fetchone()[0]:
        while not fold_some(connection):
            pass

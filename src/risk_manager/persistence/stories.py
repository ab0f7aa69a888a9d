"""The enforcements a journal tells of, read beside the guard that writes it."""

import sqlite3
from pathlib import Path

from risk_manager.persistence.reading import reading
from risk_manager.persistence.steps import all_steps
from risk_manager.persistence.store import fold_some, story_of
from risk_manager.ports.journal import Story

_IDS = """
SELECT id FROM intents
WHERE (:day IS NULL OR trading_day = :day) AND (:account IS NULL OR account_id = :account)
    AND (:id IS NULL OR id = :id) AND body NOT LIKE '%"goal":{"type":"protected"%'
ORDER BY sequence, id
"""
"""Protections are left out: a stop at a position is no answer to a breach."""


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


def _catch_up(connection: sqlite3.Connection) -> None:
    """A guard that died amid its work has not folded its last decisions; what is read then is a copy of our own."""
    is_behind = "SELECT (SELECT up_to FROM folded) < (SELECT coalesce(max(rowid), 0) FROM decisions)"
    if connection.execute(is_behind).fetchone()[0]:
        while not fold_some(connection):
            pass

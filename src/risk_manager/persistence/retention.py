"""How long a journal remembers: what is older is taken away from its beginning, a little at a time.

Before the venue has told the time, a decision carries the first trading day of the table, which is decades ago. Where
the cause has no venue time it is too old only if it was received that long ago as well; what it opened stays with it.
"""

import sqlite3
from datetime import UTC, date, datetime, timedelta

from risk_manager.persistence.seals import Seals

KEEP_DAYS = 400
"""Calendar days before the newest decision; more than a year, so that any month can be compared with the last one."""

_AT_ONCE = 200
_NS_PER_S = 1_000_000_000

_NEWEST_DAY = "SELECT trading_day FROM decisions ORDER BY rowid DESC LIMIT 1"
_OLDEST = "SELECT rowid, trading_day, at_ns, received_ns, seal FROM decisions ORDER BY rowid LIMIT ?"
_OLD_ROWS = (
    """
    DELETE FROM intents WHERE trading_day < :day AND state <> 'open' AND NOT EXISTS (
        SELECT 1 FROM decisions WHERE account_id = intents.account_id AND sequence = intents.sequence
    )
    """,
    "DELETE FROM fills WHERE trading_day < :day AND at_ns < :began_ns",
    """
    DELETE FROM enforcements WHERE trading_day < :day AND NOT EXISTS (
        SELECT 1 FROM intents WHERE account_id = enforcements.account_id AND id = enforcements.id
    )
    """,
    "DELETE FROM gaps WHERE ended_ns < :began_ns",
)


def newest_day(connection: sqlite3.Connection) -> str | None:
    """The trading day of the newest decision; None of an empty journal."""
    found = connection.execute(_NEWEST_DAY).fetchone()
    return found[0] if found is not None else None


def trim(connection: sqlite3.Connection, seals: Seals, newest: str) -> bool:
    """Take the oldest rows away, within a transaction; whether nothing is left that is too old.

    What stays begins where the chain is told it begins. Days that are no dates are kept.
    """
    try:
        cutoff = date.fromisoformat(newest) - timedelta(days=KEEP_DAYS)
    except (ValueError, OverflowError):
        return True
    began_ns = int(datetime(cutoff.year, cutoff.month, cutoff.day, tzinfo=UTC).timestamp()) * _NS_PER_S
    old = []
    for position, day, at_ns, received_ns, seal in connection.execute(_OLDEST, (_AT_ONCE,)):
        if day >= cutoff.isoformat() or (at_ns == 0 and received_ns >= began_ns):
            break
        old.append((position, seal))
    if old:
        position, seal = old[-1]
        connection.execute("DELETE FROM decisions WHERE rowid <= ?", (position,))
        seals.begins_after(position, seal)
    if len(old) == _AT_ONCE:
        return False
    for statement in _OLD_ROWS:
        connection.execute(statement, {"day": cutoff.isoformat(), "began_ns": began_ns})
    return True

"""What a journal holds of an account, as it was written."""

import sqlite3
from contextlib import closing
from pathlib import Path

from risk_manager.persistence.instance_lock import LOCK_NAME, DirectoryInUse, InstanceLock
from risk_manager.persistence.reading import Unreadable, reading

_BODIES = "SELECT sequence, body FROM decisions WHERE account_id = ? AND sequence > ? AND sequence <= ?"
_NO_END = (1 << 63) - 1


def committed_decisions(data: Path, account_id: str, after: int, up_to: int | None = None) -> dict[int, bytes]:
    """The JSON of every committed decision with a sequence above `after`, up to `up_to`, by its sequence.

    Raises:
        Unreadable: there is no journal, or it cannot be read; the message says why.
    """
    try:
        row = (account_id, after, _NO_END if up_to is None else up_to)
        with reading(data) as connection, closing(connection.execute(_BODIES, row)) as cursor:
            return {sequence: body.encode() for sequence, body in cursor}
    except (sqlite3.Error, OSError) as error:
        raise Unreadable(f"the journal in {data} cannot be read: {error}") from error


def holder(data: Path) -> str | None:
    """Which other risk-manager runs on a data directory, in words; None if none does."""
    if not (data / LOCK_NAME).exists():
        return None
    try:
        InstanceLock.acquire(data, wait_s=0.0).release()
    except DirectoryInUse as error:
        return str(error)
    return None

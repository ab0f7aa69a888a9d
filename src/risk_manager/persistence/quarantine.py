"""Starting with a journal that cannot be used: a damaged one is moved aside, any other is left alone.

A damaged file is kept, for whoever wants to know what happened; a new journal takes its place and the lockouts come
from the latch. The file of another program, of a newer version, or one that is locked or refused by the disk is not
ours to move: `StandIn` takes the journal's place then, so that what the latch remembers is enforced all the same.
"""

import sqlite3
from contextlib import suppress
from datetime import UTC, datetime
from itertools import chain, count
from pathlib import Path

import msgspec

from risk_manager.domain.coverage import Gap
from risk_manager.domain.decision import Decision
from risk_manager.domain.fill import Fill
from risk_manager.persistence.database import FILE_NAME, Damaged, Foreign
from risk_manager.persistence.instance_lock import DirectoryInUse, InstanceLock
from risk_manager.persistence.sqlite_journal import can_be_opened
from risk_manager.persistence.whole_file import sync_directory
from risk_manager.ports.journal import JournalUnavailable, Record, Recovered, Story

FOLDER = "quarantine"
_DAMAGED_CODES = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class StandIn:
    """`ports.journal.Journal` that remembers nothing and says why; it holds the directory like the real one.

    Attributes:
        reason: what is wrong with the journal.   is_foreign: it is another program's or a newer version's.
    """

    def __init__(self, directory: Path, reason: str, lock: InstanceLock, *, is_foreign: bool) -> None:
        self.reason = reason
        self.is_foreign = is_foreign
        self._directory = directory
        self._lock = lock

    @classmethod
    def instead_of(cls, directory: Path, error: JournalUnavailable) -> "StandIn":
        """One for a directory whose journal cannot be opened.

        Raises:
            JournalUnavailable: `error`, where another risk-manager runs on the directory, or nobody can.
        """
        if isinstance(error.__cause__, DirectoryInUse):
            raise error
        try:
            lock = InstanceLock.acquire(directory, wait_s=0)
        except (DirectoryInUse, OSError):
            raise error from None
        return cls(directory, str(error), lock, is_foreign=isinstance(error.__cause__, Foreign))

    async def is_over(self) -> bool:
        """Whether the journal itself could be opened now; it is left as it was."""
        return await can_be_opened(self._directory)

    async def recover(self, account_id: str) -> Recovered:
        return Recovered(0, None, (), ())

    async def commit(self, decision: Decision) -> None:
        raise JournalUnavailable(self.reason)

    async def save(
        self, account_id: str, trading_day: str, fills: tuple[Fill, ...], snapshot: bytes, gaps: tuple[Gap, ...] = ()
    ) -> None:
        raise JournalUnavailable(self.reason)

    async def remember(self, records: tuple[Record, ...]) -> None:
        raise JournalUnavailable(self.reason)

    async def story(self, intent_id: str, *, most_bytes: int | None = None) -> Story | None:
        raise JournalUnavailable(self.reason)

    async def decisions(
        self, account_id: str, *, after: int = 0, most: int = 100, most_bytes: int | None = None
    ) -> tuple[Decision, ...]:
        raise JournalUnavailable(self.reason)

    async def close(self) -> None:
        self._lock.release()


def is_damage(error: BaseException) -> bool:
    """Whether the journal was refused for what is in it, and waiting will not help."""
    cause = error.__cause__ if isinstance(error, JournalUnavailable) else error
    if isinstance(cause, sqlite3.Error):
        return getattr(cause, "sqlite_errorcode", -1) & 0xFF in _DAMAGED_CODES
    return isinstance(cause, Damaged | msgspec.MsgspecError)


def set_aside(directory: Path, now_ns: int) -> Path:
    """Move a damaged journal with its log into quarantine; where it is now.

    Args:
        now_ns: UTC, names the place.
    Raises:
        JournalUnavailable: another risk-manager runs on the directory, or the disk refuses.
    """
    stamp = datetime.fromtimestamp(now_ns // 1_000_000_000, UTC).strftime("%Y%m%dT%H%M%SZ")
    try:
        lock = InstanceLock.acquire(directory, wait_s=0)
    except (DirectoryInUse, OSError) as error:
        raise JournalUnavailable(str(error)) from error
    try:
        place = _new_folder(directory / FOLDER, stamp)
        # The log goes first: left behind, it would be taken for the new journal's.
        for name in (f"{FILE_NAME}-wal", f"{FILE_NAME}-journal", f"{FILE_NAME}-shm", FILE_NAME):
            with suppress(FileNotFoundError):
                (directory / name).replace(place / name)
        for changed in (place, place.parent, directory):
            sync_directory(changed)
        return place
    except OSError as error:
        raise JournalUnavailable(f"the damaged journal cannot be moved away: {error}") from error
    finally:
        lock.release()


def _new_folder(parent: Path, stamp: str) -> Path:
    names = chain([stamp], (f"{stamp}-{number}" for number in count(2)))
    place = next(parent / name for name in names if not (parent / name).exists())
    place.mkdir(mode=0o700, parents=True)
    return place

"""The journal on SQLite: one file, one connection, one thread.

Calls are carried out one after another in the order they were made; but reads that may take long, whoever asks for
them, are done in steps, and everything else goes before the next step. A commit is acknowledged when the disk has it; a
caller that is cancelled meanwhile learns nothing, and the decision may or may not be stored.
"""

import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec

from risk_manager.domain.coverage import Gap
from risk_manager.domain.decision import Decision
from risk_manager.domain.fill import Fill
from risk_manager.persistence.anchor import Anchor
from risk_manager.persistence.database import Unusable, open_database
from risk_manager.persistence.instance_lock import DirectoryInUse, InstanceLock
from risk_manager.persistence.steps import Steps, next_step
from risk_manager.persistence.store import Store
from risk_manager.persistence.writer import Writer
from risk_manager.ports.journal import JournalUnavailable, Record, Recovered, Story


class SqliteJournal:
    """`ports.journal.Journal` in a data directory, which it holds alone until closed.

    After JournalUnavailable the same object may be used again: every call tries the disk anew.
    """

    def __init__(self, store: Store, lock: InstanceLock, writer: Writer) -> None:
        self._store = store
        self._lock = lock
        self._writer = writer
        self._is_closed = False

    @classmethod
    async def open(cls, directory: Path, *, wait_s: float = 2.0) -> "SqliteJournal":
        """The journal of a data directory; both are created where missing, readable by the owner only.

        Args:
            wait_s: how long to wait for a predecessor that is still closing.
        Raises:
            JournalUnavailable: another risk-manager runs on the directory, the file is damaged, foreign or newer than
                this program, or the disk refuses.
        """
        writer = Writer()
        made: list[tuple[Store, InstanceLock]] = []
        try:
            await _on(writer, lambda: made.append(_open(directory, wait_s)))
        except BaseException:
            # Who is cancelled does not hear that it was opened, and nobody else would ever let go of it.
            writer.stop(lambda: _let_go(made))
            raise
        ((store, lock),) = made
        writer.when_idle(store.tidy)
        return cls(store, lock, writer)

    async def recover(self, account_id: str) -> Recovered:
        return await self._run(lambda: self._store.recover(account_id))

    async def commit(self, decision: Decision) -> None:
        """Return once the decision, its lockouts and its intents are durable, all or none.

        Committing a stored decision again changes nothing.

        Raises:
            JournalConflict: the sequence is stored with other content.
            JournalUnavailable: the disk refused; nothing of the decision is stored.
        """
        await self._run(lambda: self._store.commit(decision))

    async def save(
        self, account_id: str, trading_day: str, fills: tuple[Fill, ...], snapshot: bytes, gaps: tuple[Gap, ...] = ()
    ) -> None:
        await self._run(lambda: self._store.save(account_id, trading_day, fills, snapshot, gaps))

    async def remember(self, records: tuple[Record, ...]) -> None:
        await self._run(lambda: self._store.remember(records))

    async def story(self, intent_id: str, *, most_bytes: int | None = None) -> Story | None:
        return await self._read(self._store.story(intent_id, most_bytes))

    async def anchor(self, at: str) -> Anchor:
        """What to write down elsewhere of the journal's present end; `at` says when, ISO 8601."""
        return await self._run(lambda: self._store.anchor(at))

    async def decisions(
        self, account_id: str, *, after: int = 0, most: int = 100, most_bytes: int | None = None
    ) -> tuple[Decision, ...]:
        return await self._read(self._store.decisions(account_id, after, most, most_bytes))

    async def fills(self, account_id: str, trading_day: str) -> tuple[Fill, ...]:
        """The saved fills of one trading day, in venue time."""
        return await self._run(lambda: self._store.fills(account_id, trading_day))

    async def close(self) -> None:
        """Finish what was asked before, then let go of the file and the directory; idempotent."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            # It gives way, too: a read asked for before would open the file again after it.
            await _on(self._writer, self._store.finish, gives_way=True)
        finally:
            self._lock.release()
            self._writer.stop()

    async def _read[Answer](self, steps: Steps[Answer]) -> Answer:
        """The answer of a read; whatever else is asked waits for one of its steps at most."""
        while (ended := await self._run(partial(next_step, steps), gives_way=True)) is None:
            pass
        return ended[0]

    async def _run[Answer](self, work: Callable[[], Answer], *, gives_way: bool = False) -> Answer:
        if self._is_closed:
            raise JournalUnavailable("the journal is closed")
        return await _on(self._writer, work, gives_way=gives_way)


async def can_be_opened(directory: Path) -> bool:
    """Whether the journal of a directory, which nobody else may use meanwhile, could be opened now."""
    writer = Writer()
    try:
        await _on(writer, lambda: open_database(directory, wait_ms=0).close())
    except JournalUnavailable:
        return False
    finally:
        writer.stop()
    return True


def _open(directory: Path, wait_s: float) -> tuple[Store, InstanceLock]:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = InstanceLock.acquire(directory, wait_s=wait_s)
    store = Store(directory, wait_ms=round(wait_s * 1000))
    try:
        store.connect()
    except BaseException:
        lock.release()
        raise
    return store, lock


def _let_go(made: list[tuple[Store, InstanceLock]]) -> None:
    for store, lock in made:
        try:
            store.close()
        finally:
            lock.release()


async def _on[Answer](writer: Writer, work: Callable[[], Answer], *, gives_way: bool = False) -> Answer:
    """Carry out `work` on the writer thread, foreign exceptions turned into ours."""
    try:
        return await writer.run(work, gives_way=gives_way)
    except sqlite3.Error as error:
        raise JournalUnavailable(_reason(error)) from error
    except (Unusable, DirectoryInUse) as error:
        raise JournalUnavailable(str(error)) from error
    except OSError as error:
        raise JournalUnavailable(f"the data directory cannot be used: {error}") from error
    except msgspec.MsgspecError as error:
        raise JournalUnavailable(f"a stored value cannot be read by this version: {error}") from error


def _reason(error: sqlite3.Error) -> str:
    code = getattr(error, "sqlite_errorcode", -1) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return "the journal file is locked by another program"
    if code == sqlite3.SQLITE_FULL:
        return "the disk is full"
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return f"the journal file is damaged ({error})"
    return f"the disk refused: {error} ({getattr(error, 'sqlite_errorname', 'unknown')})"

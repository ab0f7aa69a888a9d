"""What earlier runs have left in the data directory, opened so that something can be enforced whatever its state."""

import os
from collections.abc import Iterable
from pathlib import Path

import structlog

from risk_manager.persistence import latch, quarantine, seals
from risk_manager.persistence.database import FILE_NAME
from risk_manager.persistence.latch import FileLatch
from risk_manager.persistence.quarantine import StandIn, is_damage, set_aside
from risk_manager.persistence.sqlite_journal import SqliteJournal
from risk_manager.persistence.start_log import StartLog
from risk_manager.ports.journal import Journal, JournalUnavailable
from risk_manager.runtime import rules_in_force
from risk_manager.runtime.minimal import CRASHES

TRACES = (latch.FOLDER, quarantine.FOLDER, rules_in_force.FOLDER, seals.KEY_NAME)
"""Each of them appears after the journal has: where one is without it, the journal was taken away."""

log = structlog.get_logger("daemon")


class Memory:
    """Journal and latch of a data directory, and how the last starts ended.

    Attributes:
        lost: why the journal does not remember the runs before this; None if it does.
        crashes: starts of the last minute that came to no proper end; 0 where they are not counted.
    """

    def __init__(self, directory: Path, latch_dir: Path | None = None) -> None:
        self.journal: Journal
        self.latch = FileLatch(directory, None if latch_dir is None else FileLatch(latch_dir, is_second=True))
        self.lost: str | None = None
        self.crashes = 0
        self._directory = directory
        self._latch_dirs = (directory,) if latch_dir is None else (directory, latch_dir)
        self._starts: StartLog | None = None

    @classmethod
    async def open(
        cls, directory: Path, now_ns: int, *, latch_dir: Path | None = None, counts_starts: bool = False
    ) -> "Memory":
        """Open the journal; a damaged one is put aside, and in place of an unusable one the latch has to do.

        Args:
            now_ns: UTC.
            latch_dir: where the latch is kept as well; None keeps it in `directory` alone.
            counts_starts: whether this is a program that is started again when it crashes.
        Raises:
            JournalUnavailable: another daemon runs on the data directory, or there is no latch that could do.
        """
        memory = cls(directory, latch_dir)
        was_used = any((directory / name).exists() for name in TRACES)
        had_journal = _has_content(directory / FILE_NAME)
        try:
            await memory._open(now_ns)
        except BaseException:
            memory.latch.close()
            raise
        if was_used and not had_journal:
            memory._say_lost("the journal was gone")
        if counts_starts:
            memory._starts = StartLog(directory)
            memory.crashes = memory._starts.begin(now_ns)
        return memory

    @property
    def fault(self) -> str | None:
        """What is wrong with the journal; None if it can be used."""
        return self.journal.reason if isinstance(self.journal, StandIn) else None

    @property
    def minimal(self) -> str | None:
        """Why only lockouts are to be enforced; None if the rules are, too."""
        if isinstance(self.journal, StandIn) and self.journal.is_foreign:
            return "the journal is not ours to use; only lockouts are enforced"
        if self.crashes >= CRASHES:
            return f"{self.crashes} starts within a minute ended in a crash; only lockouts are enforced"
        return None

    def lost_of(self, account_id: str) -> str | None:
        """Why the journal may know nothing of an account that was guarded before; None if there is no sign of that."""
        if self.lost is None and (self._directory / rules_in_force.FOLDER / f"{account_id}.json").exists():
            return "the journal does not know it"
        return self.lost

    async def make_sound(self, account_ids: Iterable[str], now_ns: int) -> None:
        """Read what the journal holds of these accounts; if that cannot be, put it aside as damaged.

        Raises:
            JournalUnavailable: it cannot be read, and is not damaged; or it cannot be moved.
        """
        try:
            for account_id in account_ids:
                await self.journal.recover(account_id)
        except JournalUnavailable as error:
            if not is_damage(error):
                raise
            await self.journal.close()
            await self._renew(error, now_ns)

    def end(self) -> None:
        """The guards have come to a proper end."""
        self.latch.close()
        if self._starts is not None:
            self._starts.end()

    async def give_up(self, *, is_crash: bool) -> None:
        """Let go of everything: the guards could not begin. Why not is for the caller to raise; only crashes count."""
        self.latch.close()
        try:
            await self.journal.close()
        except JournalUnavailable as error:
            log.error("journal not closed in good order", error=str(error))
        if self._starts is not None and not is_crash:
            self._starts.withdraw()

    async def _open(self, now_ns: int) -> None:
        try:
            self.journal = await SqliteJournal.open(self._directory)
        except JournalUnavailable as error:
            try:
                if not is_damage(error):
                    raise
                await self._renew(error, now_ns)
            except JournalUnavailable as refused:
                if not self._has_latch():
                    raise
                self.journal = StandIn.instead_of(self._directory, refused)
                log.critical("no journal, guarding with the latch alone", error=str(refused))

    def _has_latch(self) -> bool:
        # A disk that is ill has none; `Path.exists` would raise.
        return any(os.path.exists(each / latch.FOLDER) for each in self._latch_dirs)

    async def _renew(self, error: JournalUnavailable, now_ns: int) -> None:
        place = set_aside(self._directory, now_ns)
        log.critical("damaged journal put aside", error=str(error), place=str(place))
        self.journal = await SqliteJournal.open(self._directory)
        self._say_lost(f"the journal was damaged, it is kept in {place}")

    def _say_lost(self, why: str) -> None:
        if self.lost is None:
            self.lost = why
            log.critical("memory of earlier runs lost", why=why)


def _has_content(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False

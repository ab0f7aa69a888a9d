"""How much room recordings take: so many trading days and so many bytes, the oldest day goes first."""

import os
from contextlib import suppress
from pathlib import Path

import msgspec

from risk_manager.persistence.recording import SUFFIX


class RecorderLimits(msgspec.Struct, frozen=True):
    """What recordings of all accounts together may take.

    Attributes:
        days: trading days kept, the running one included.   most_bytes: on the disk.
    """

    days: int = 30
    most_bytes: int = 2 << 30


class RoomFull(Exception):
    """The running day alone takes all the room there is."""


class Room:
    """The folder of all recordings. Everything here runs on the recorder's thread."""

    def __init__(self, folder: Path, limits: RecorderLimits) -> None:
        self._folder = folder
        self._limits = limits
        self._bytes = 0
        self._running: dict[str, str] = {}

    def new_file(self, account_id: str, day: str, first_bytes: int) -> Path:
        """An empty file for the account's next segment, with room for its first bytes.

        Raises:
            RoomFull: there is no day left to drop.   OSError: the disk refuses.
        """
        self._running[account_id] = day
        self._clear()
        self.claim(first_bytes)
        folder = self._folder / account_id
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        numbers = [int(path.stem.rpartition(".")[2]) for path in folder.glob(f"{day}.*{SUFFIX}")]
        path = folder / f"{day}.{max(numbers, default=0) + 1}{SUFFIX}"
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        return path

    def claim(self, more_bytes: int) -> None:
        """Take so much room.

        Raises:
            RoomFull: there is no day left to drop.   OSError: the disk refuses.
        """
        self._bytes += more_bytes
        if self._bytes > self._limits.most_bytes:
            self._clear(more_bytes)
        if self._bytes > self._limits.most_bytes:
            raise RoomFull(f"the running day takes all of the {self._limits.most_bytes} bytes recordings may take")

    def _clear(self, more_bytes: int = 0) -> None:
        """Drop the oldest days as far as the limits ask for it, and count what is left."""
        days: dict[str, list[Path]] = {day: [] for day in self._running.values()}
        for path in self._folder.glob(f"*/*{SUFFIX}"):
            days.setdefault(path.stem.partition(".")[0], []).append(path)
        self._bytes = more_bytes + sum(path.stat().st_size for paths in days.values() for path in paths)
        for count, day in zip(range(len(days), 0, -1), sorted(days), strict=True):
            if count <= self._limits.days and self._bytes <= self._limits.most_bytes:
                return
            for path in days[day]:
                if self._running.get(path.parent.name) != day:
                    self._drop(path)

    def _drop(self, path: Path) -> None:
        # Windows does not let go of a file that somebody reads; the next day will.
        with suppress(OSError):
            size = path.stat().st_size
            path.unlink()
            self._bytes -= size

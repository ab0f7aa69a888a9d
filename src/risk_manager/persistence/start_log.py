"""When the guard was started lately without coming to a proper end: a crash that repeats itself shows here."""

from contextlib import suppress
from pathlib import Path

import msgspec

from risk_manager.persistence.whole_file import write_whole

FILE_NAME = "starts.json"
WITHIN_NS = 60_000_000_000
_KEPT = 20


class StartLog:
    """A small file in the data directory; a disk that refuses it costs the knowledge, nothing else."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE_NAME

    def begin(self, now_ns: int) -> int:
        """Note a start; how many starts of the minute before had no proper end.

        Args:
            now_ns: UTC; a clock that was set meanwhile counts by how far it is off.
        """
        starts = self._read()
        self._write([*starts[-_KEPT:], now_ns])
        return sum(abs(now_ns - start_ns) <= WITHIN_NS for start_ns in starts)

    def withdraw(self) -> None:
        """Take the last start back: it was not a crash that ended it."""
        self._write(self._read()[:-1])

    def end(self) -> None:
        """Note a proper end; what was before does not matter any more."""
        self._write([])

    def _read(self) -> list[int]:
        with suppress(OSError, msgspec.MsgspecError):
            return msgspec.json.decode(self._path.read_bytes(), type=list[int])
        return []

    def _write(self, starts: list[int]) -> None:
        with suppress(OSError):
            write_whole(self._path, msgspec.json.encode(starts))

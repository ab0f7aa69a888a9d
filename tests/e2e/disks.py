"""Disks that refuse the guard's writes."""

import os
import resource
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from risk_manager.persistence.database import FILE_NAME
from tests.e2e.processes import Guarded

SIZE_BYTES = 8 << 20
_FILLER = "filler"


class Limited:
    """The system refuses the guard's process every byte, in whatever file: journal, latch and log."""

    def __init__(self, guarded: Guarded) -> None:
        self._guarded = guarded

    def refuse(self) -> None:
        self._limit(0)

    def recover(self) -> None:
        self._limit(resource.RLIM_INFINITY)

    def _limit(self, size: int) -> None:
        assert self._guarded.process is not None, "not running"
        resource.prlimit(self._guarded.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


class Held:
    """Another program has the journal's file for itself."""

    def __init__(self, guarded: Guarded) -> None:
        self._file = guarded.data / FILE_NAME
        self._holder: sqlite3.Connection | None = None

    def refuse(self) -> None:
        self._holder = sqlite3.connect(self._file, isolation_level=None)
        self._holder.execute("PRAGMA locking_mode = EXCLUSIVE").close()
        self._holder.execute("BEGIN EXCLUSIVE")

    def recover(self) -> None:
        assert self._holder is not None
        self._holder.close()


class Full:
    """A file system of its own, without a free block."""

    def __init__(self, guarded: Guarded) -> None:
        self._folder = guarded.data

    def refuse(self) -> None:
        with (self._folder / _FILLER).open("wb", buffering=0) as file:
            while _free_blocks(self._folder):
                file.write(bytes(4096))

    def recover(self) -> None:
        (self._folder / _FILLER).unlink()


def _free_blocks(folder: Path) -> int:
    return os.statvfs(folder).f_bavail


@contextmanager
def mounted(folder: Path) -> Iterator[None]:
    """A small file system in memory at a folder; only root can make one."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE_BYTES}", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)

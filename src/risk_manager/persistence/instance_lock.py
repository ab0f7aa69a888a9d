"""One risk-manager per data directory.

The lock belongs to the operating system, so it goes with the process however that dies; the file itself stays and
means nothing. SQLite's own exclusive lock would do for two processes, but two starting in the same instant can each
hold half of it and both be refused.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

LOCK_NAME = "risk-manager.lock"
_RETRY_S = 0.05
_LOCKED_BYTE = 1 << 20  # Windows locks are mandatory: a byte nobody reads leaves the process id readable.


class DirectoryInUse(Exception):
    """Another risk-manager holds the directory; the message says which."""


class InstanceLock:
    """The exclusive right to one data directory, held until `release` or the end of the process."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    @classmethod
    def acquire(cls, directory: Path, *, wait_s: float) -> "InstanceLock":
        """Take the lock of an existing directory, trying for about `wait_s` (a predecessor may still be closing).

        Raises:
            DirectoryInUse: somebody else holds it.
            OSError: the directory cannot be written.
        """
        descriptor = _opened(directory / LOCK_NAME)
        attempts = 1 + round(wait_s / _RETRY_S)
        try:
            while not _try_lock(descriptor):
                attempts -= 1
                if attempts <= 0:
                    raise DirectoryInUse(_describe(directory, os.read(descriptor, 20)))
                Event().wait(_RETRY_S)
            with suppress(OSError):  # a full disk does not tell who holds the lock, and holds it all the same
                os.ftruncate(descriptor, 0)
                os.write(descriptor, str(os.getpid()).encode())
        except BaseException:
            os.close(descriptor)
            raise
        return cls(descriptor)

    def release(self) -> None:
        """Give the directory up; idempotent."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


@contextmanager
def looking(directory: Path, *, wait_s: float) -> Iterator[str | None]:
    """Hold a directory for a look at it, without leaving a trace; who else has it, in words, or None.

    Whoever runs, or ran, has left the lock's file. Without it nobody does, and there is nothing to hold.

    Raises:
        OSError: the lock cannot be tried.
    """
    lock, holder = None, None
    if (directory / LOCK_NAME).exists():
        try:
            lock = InstanceLock.acquire(directory, wait_s=wait_s)
        except DirectoryInUse as error:
            holder = str(error)
    try:
        yield holder
    finally:
        if lock is not None:
            lock.release()


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        # What cannot be written any more can still be locked.
        if path.exists():
            return os.open(path, os.O_RDONLY)
        raise


def _describe(directory: Path, holder: bytes) -> str:
    process = f" (process {holder.decode()})" if holder.isdigit() else ""
    return f"another risk-manager is running on this data directory{process}: {directory}"


def _try_lock(descriptor: int) -> bool:
    try:
        if sys.platform == "win32":
            os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            os.lseek(descriptor, 0, os.SEEK_SET)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True

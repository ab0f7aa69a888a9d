"""The latch on disk: one small file for each account, written in place, so that it works where the journal does not.

A file has its full length from the beginning and is only ever overwritten: a full disk has no say. It holds two slots;
the older one is overwritten, so whatever tears a write leaves the newer. A slot counts if its checksum, made with the
installation's key, fits: half a write, a flipped bit and the file of another account or installation do not count.
"""

import hashlib
import hmac
import os
import stat
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from risk_manager.domain.lockout import Lockout, OnLock
from risk_manager.persistence.seals import load_key
from risk_manager.persistence.whole_file import sync_directory
from risk_manager.persistence.writer import Writer
from risk_manager.ports.latch import Latched, LatchUnavailable

FOLDER = "latch"
SLOT_BYTES = 64 << 10
"""Room for some 150 lockouts; an account that has more keeps the strictest here."""

_MAGIC = b"RMLATCH1"
_HEAD = struct.Struct(">8sQI")
"""Magic with the version, how many writes came before, length of the body that follows."""

_MAC_BYTES = 32
_BODY_BYTES = SLOT_BYTES - _HEAD.size - _MAC_BYTES
_NEVER = 1 << 63

_encode = msgspec.json.Encoder().encode
_sync_data: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)


class _Body(msgspec.Struct, frozen=True):
    account_id: str
    latched: Latched


_decode_body = msgspec.json.Decoder(_Body).decode


class LatchFile:
    """The two slots of one account."""

    def __init__(self, path: Path, account_id: str, key: bytes) -> None:
        self._path = path
        self._account_id = account_id
        self._key = key

    def read(self) -> Latched | None:
        """The newest slot that is whole; None if neither is.

        Raises:
            OSError: the file cannot be opened.
        """
        with _opened(self._path, os.O_RDONLY) as descriptor:
            slots = [self._slot(descriptor, number) for number in (0, 1)]
        whole = [slot for slot in slots if slot is not None]
        return max(whole, key=lambda slot: slot[0])[1] if whole else None

    def write(self, latched: Latched) -> int:
        """Put this into the slot that holds the older, durably; how many lockouts had no room.

        Raises:
            OSError: the disk refused; the newer slot is as it was.
        """
        body, left_out = self._fitting(latched)
        with _opened(self._path, os.O_RDWR | os.O_CREAT) as descriptor:
            self._preallocate(descriptor)
            counts = [slot[0] if (slot := self._slot(descriptor, number)) else 0 for number in (0, 1)]
            head = _HEAD.pack(_MAGIC, max(counts) + 1, len(body))
            _write_at(descriptor, counts.index(min(counts)) * SLOT_BYTES, head + body + self._mac(head + body))
            _sync_data(descriptor)
        return left_out

    def _preallocate(self, descriptor: int) -> None:
        """Give the file its length where it is new, or was cut."""
        size = os.fstat(descriptor).st_size
        if size < 2 * SLOT_BYTES:
            _write_at(descriptor, size, bytes(2 * SLOT_BYTES - size))
            os.fsync(descriptor)
            sync_directory(self._path.parent)

    def _fitting(self, latched: Latched) -> tuple[bytes, int]:
        lockouts = sorted(latched.lockouts, key=_strictness, reverse=True)
        while True:
            body = _encode(_Body(self._account_id, Latched(latched.sequence, tuple(lockouts))))
            if len(body) <= _BODY_BYTES:
                return body, len(latched.lockouts) - len(lockouts)
            lockouts.pop()

    def _slot(self, descriptor: int, number: int) -> tuple[int, Latched] | None:
        """How many writes came before and what this one says; None of one that is not whole."""
        # A sector that cannot be read holds nothing: the other slot counts, and this one is written next.
        with suppress(OSError, struct.error, msgspec.MsgspecError):
            os.lseek(descriptor, number * SLOT_BYTES, os.SEEK_SET)
            slot = os.read(descriptor, SLOT_BYTES)
            magic, count, length = _HEAD.unpack_from(slot)
            end = _HEAD.size + length
            is_whole = magic == _MAGIC and hmac.compare_digest(slot[end : end + _MAC_BYTES], self._mac(slot[:end]))
            body = _decode_body(slot[_HEAD.size : end]) if is_whole else None
            if body is not None and body.account_id == self._account_id:
                return count, body.latched
        return None

    def _mac(self, text: bytes) -> bytes:
        return hmac.digest(self._key, text, hashlib.sha256)


class FileLatch:
    """`ports.latch.Latch` in a directory that is there. Its files are made when they are first written."""

    def __init__(self, directory: Path, second: "FileLatch | None" = None, *, is_second: bool = False) -> None:
        self.second = second
        self._is_second = is_second
        self._directory = directory
        self._folder = directory / FOLDER
        self._key: bytes | None = None
        self._writer = Writer()

    def has_trace(self, account_id: str) -> bool:
        try:
            self._path(account_id).lstat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True  # nobody can tell, so it counts as one
        return True

    async def read(self, account_id: str) -> Latched | None:
        # Nothing that can be trusted, then; a trace of it makes the account locked.
        with suppress(OSError):
            return await self._writer.run(lambda: self._read(account_id))
        return None

    async def write(self, account_id: str, latched: Latched) -> int:
        try:
            return await self._writer.run(lambda: self._file(account_id).write(latched))
        except OSError as error:
            raise LatchUnavailable(f"the disk refused: {error}") from error

    def close(self) -> None:
        """End the threads after the writes asked for so far."""
        self._writer.stop()
        if self.second is not None:
            self.second.close()

    def _read(self, account_id: str) -> Latched | None:
        # Nothing is made by looking, not even the key.
        return self._file(account_id).read() if self.has_trace(account_id) else None

    def _file(self, account_id: str) -> LatchFile:
        if self._is_second:
            _check_ours(self._directory.resolve())
            if self._folder.exists(follow_symlinks=False):
                _check_ours(self._folder)
        if self._key is None:
            self._key = load_key(self._directory)
        if not self._folder.exists():
            self._folder.mkdir(mode=0o700, parents=True)
            sync_directory(self._directory)
        return LatchFile(self._path(account_id), account_id, self._key)

    def _path(self, account_id: str) -> Path:
        return self._folder / f"{account_id}.latch"


def _strictness(lockout: Lockout) -> tuple[bool, bool, int]:
    until_ns = _NEVER if lockout.until_ns is None else lockout.until_ns
    return lockout.scope.is_account, lockout.on_lock is OnLock.FLATTEN, until_ns


def _check_ours(directory: Path) -> None:
    """See to it that nobody else can put a file, or a link to one, in the place of ours.

    Raises:
        PermissionError: somebody can.   OSError: it cannot be looked at.
    """
    if os.name != "posix":
        return
    found = directory.lstat()
    if found.st_uid not in (0, os.geteuid()) or found.st_mode & 0o022 or not stat.S_ISDIR(found.st_mode):
        raise PermissionError(f"{directory} can be changed by others; it must belong to the guard alone")


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _write_at(descriptor: int, offset: int, content: bytes) -> None:
    os.lseek(descriptor, offset, os.SEEK_SET)
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]

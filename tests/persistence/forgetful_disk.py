"""A disk whose power is cut: what was not synced survives by chance, in part, and in no order.

A run is recorded as operations on files and names. `remains` makes of the first of them what the disk holds when the
power fails then: what was synced, and of the rest whatever chance leaves, writes torn at sectors of 512 bytes. A new
or removed name is only sure once its directory was synced; syncing the file is not enough.
"""

from collections.abc import Iterable
from itertools import pairwise
from random import Random

import msgspec

SECTOR_BYTES = 512


class Write(msgspec.Struct, frozen=True):
    inode: int
    offset: int
    content: bytes


class Truncate(msgspec.Struct, frozen=True):
    inode: int
    size: int


class Sync(msgspec.Struct, frozen=True):
    inode: int


class Name(msgspec.Struct, frozen=True):
    """A name for a file, or with None the end of the name."""

    name: str
    inode: int | None


class SyncNames(msgspec.Struct, frozen=True):
    pass


class Acknowledged(msgspec.Struct, frozen=True):
    """Not the disk's: a commit up to this sequence was reported as durable."""

    sequence: int


Operation = Write | Truncate | Sync | Name | SyncNames | Acknowledged


class Recording:
    """The operations of a run, in order."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self._inodes: dict[str, int] = {}
        self._count = 0

    def inode(self, name: str) -> int:
        """The file of a name; one that has no file gets one."""
        if name not in self._inodes:
            self._count += 1
            self._inodes[name] = self._count
            self.operations.append(Name(name, self._count))
        return self._inodes[name]

    def has(self, name: str) -> bool:
        return name in self._inodes

    def remove(self, name: str) -> None:
        if self._inodes.pop(name, None) is not None:
            self.operations.append(Name(name, None))

    def add(self, operation: Operation) -> None:
        self.operations.append(operation)


class Disk:
    """What is durable, and what has been asked for since."""

    def __init__(self) -> None:
        self._files: dict[int, bytearray] = {}
        self._names: dict[str, int] = {}
        self._unsynced: dict[int, list[Write | Truncate]] = {}
        self._unsynced_names: list[Name] = []
        self.acknowledged = 0

    def take(self, operations: Iterable[Operation]) -> None:
        for operation in operations:
            match operation:
                case Write() | Truncate():
                    self._unsynced.setdefault(operation.inode, []).append(operation)
                case Sync(inode):
                    file = self._files.setdefault(inode, bytearray())
                    for each in self._unsynced.pop(inode, ()):
                        _apply(file, each)
                case Name():
                    self._unsynced_names.append(operation)
                case SyncNames():
                    for name in self._unsynced_names:
                        _rename(self._names, name)
                    self._unsynced_names.clear()
                case Acknowledged(sequence):
                    self.acknowledged = sequence

    def remains(self, chance: Random) -> dict[str, bytes]:
        """The files by name, as they are found after the power has failed now."""
        luck = chance.random()
        names = dict(self._names)
        for name in self._unsynced_names:
            if chance.random() < luck:
                _rename(names, name)
        return {name: self._survivor(inode, chance, luck) for name, inode in names.items()}

    def _survivor(self, inode: int, chance: Random, luck: float) -> bytes:
        file = bytearray(self._files.get(inode, b""))
        for operation in self._unsynced.get(inode, ()):
            if isinstance(operation, Truncate):
                if chance.random() < luck:
                    _apply(file, operation)
                continue
            is_torn = chance.random() < 0.3
            for part in _sectors(operation) if is_torn else (operation,):
                if chance.random() < luck:
                    _apply(file, part)
        return bytes(file)


def _apply(file: bytearray, operation: Write | Truncate) -> None:
    if isinstance(operation, Truncate):
        del file[operation.size :]
        file.extend(bytes(operation.size - len(file)))
        return
    end = operation.offset + len(operation.content)
    file.extend(bytes(max(0, end - len(file))))
    file[operation.offset : end] = operation.content


def _rename(names: dict[str, int], name: Name) -> None:
    if name.inode is None:
        names.pop(name.name, None)
    else:
        names[name.name] = name.inode


def _sectors(write: Write) -> list[Write]:
    """The write in parts that each lie within one sector."""
    begin, end = write.offset, write.offset + len(write.content)
    first = begin - begin % SECTOR_BYTES
    edges = [begin, *range(first + SECTOR_BYTES, end, SECTOR_BYTES), end]
    return [Write(write.inode, low, write.content[low - begin : high - begin]) for low, high in pairwise(edges)]

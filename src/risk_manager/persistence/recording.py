"""The flight recorder's files: `recorder/<account>/<trading day>.<number>.rec` in the data directory.

Each is one segment: everything one engine received from some moment on, in order, with what is needed to run from
there. After a line that names the format come blocks; a block is its length and checksum and, compressed, an array of
entries. The first entry is a `Beginning`. Blocks are only ever appended, so whatever cuts a file off leaves whole
blocks and then a torn one, which is left out when the file is read.
"""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from risk_manager.domain.events import Event
from risk_manager.domain.trading_day import TradingDay
from risk_manager.enforcement.pacing import Pacing
from risk_manager.engine import Mode
from risk_manager.persistence.recorded_rules import RecordedRules

FOLDER = "recorder"
SUFFIX = ".rec"
MAGIC = b"risk-manager recording 1\n"
ARRAY = struct.Struct(">BI")
"""How a msgpack array of any length begins: 0xDD and the count of its items."""

WINDOW_BYTES = 32 << 10
"""As far back as zlib looks: so much of a block's end is the dictionary of the next one."""

_HEAD = struct.Struct("<II")
_LEVEL = 1


class Circumstances(msgspec.Struct, frozen=True):
    """What an engine works with besides its rules, as far as its snapshot does not say.

    Attributes:
        name: what the account is called on screens.
        reset_time, timezone: of the trading day.   revision: of the configuration at the start.
        version: of the program.   code, calendar, days: fingerprints of the core's source, the exchange calendar and
            the table of trading days; equal ones promise equal decisions.
        is_journaled: whether decisions go to the journal; in a run without one they may be numbered anew.
        carried_days: trading days that began under another reset.
    """

    name: str
    reset_time: str
    timezone: str
    revision: str
    version: str
    code: str
    calendar: str
    days: str
    is_journaled: bool = True
    carried_days: tuple[TradingDay, ...] = ()


class Beginning(msgspec.Struct, frozen=True, tag="beginning"):
    """The first entry of a segment.

    Attributes:
        because: why a segment begins here.   at_ns: when, by the local clock.
        sequence: of the last decision before.   snapshot: `Engine.snapshot()`.
    """

    account_id: str
    trading_day: str
    because: str
    at_ns: int
    mode: Mode
    pacing: Pacing
    circumstances: Circumstances
    rules: RecordedRules
    sequence: int
    snapshot: bytes


class Ended(msgspec.Struct, frozen=True, tag="ended"):
    """The last entry of a segment that ended in order; without it the guard died, or the disk refused.

    Attributes:
        at_ns: local time.   sequence: of the last decision.
    """

    at_ns: int
    sequence: int


Entry = Beginning | RecordedRules | Ended | Event

_decode = msgspec.msgpack.Decoder(list[Entry]).decode


class Segment:
    """One file of a recording, to be read from its beginning as often as wanted.

    Attributes:
        fault: set by reading: what is wrong with the file, and from which byte on nothing of it is read.
        is_torn: whether that is its torn end, as a crash leaves it, and nothing worse.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fault: str | None = None
        self.is_torn = False

    def __iter__(self) -> Iterator[Entry]:
        """The entries, in order.

        Raises:
            OSError: the file cannot be read.
        """
        self.fault, self.is_torn = None, False
        with self.path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                self.fault = "this is no recording, or one of another version"
                return
            last = b""
            while True:
                at = file.tell()
                try:
                    raw = _next_block(file, last)
                    entries = [] if raw is None else _decode(raw)
                except (_Torn, _Damaged, zlib.error, msgspec.MsgspecError) as error:
                    self.is_torn = isinstance(error, _Torn)
                    self.fault = f"{error}; {self.path.stat().st_size - at} bytes from byte {at} on are left out"
                    return
                if raw is None:
                    return
                last = raw
                yield from entries

    def beginning(self) -> Beginning | None:
        """The first entry; None if the file does not get as far."""
        first = next(iter(self), None)
        return first if isinstance(first, Beginning) else None


def segments(data: Path) -> dict[str, list[tuple[str, Path]]]:
    """(trading day, file) of every segment in a data directory, by account, in the order they were recorded."""
    found: dict[str, list[tuple[str, int, Path]]] = {}
    for path in (data / FOLDER).glob(f"*/*{SUFFIX}"):
        day, _, number = path.stem.partition(".")
        if number.isdigit():
            found.setdefault(path.parent.name, []).append((day, int(number), path))
    return {account: [(day, path) for day, _, path in sorted(found[account])] for account in sorted(found)}


def packed(raw: bytes | bytearray, last: bytes | bytearray) -> bytes:
    """A block of entries as it is written, after the block that ends with `last` (nothing before the first)."""
    compressor = zlib.compressobj(_LEVEL, zdict=last[-WINDOW_BYTES:])
    payload = compressor.compress(raw) + compressor.flush()
    return _HEAD.pack(len(payload), zlib.crc32(payload)) + payload


class _Torn(Exception):
    """The file ends within the block."""


class _Damaged(Exception):
    """The block is not as it was written."""


def _next_block(file: BinaryIO, last: bytes) -> bytes | None:
    """The next block's entries; None at the end of the file."""
    head = file.read(_HEAD.size)
    if not head:
        return None
    if len(head) < _HEAD.size:
        raise _Torn("the last block is torn")
    length, checksum = _HEAD.unpack(head)
    payload = file.read(length)
    if len(payload) < length:
        raise _Torn("the last block is torn")
    if zlib.crc32(payload) != checksum:
        raise _Damaged("a block is damaged")
    return zlib.decompressobj(zdict=last[-WINDOW_BYTES:]).decompress(payload)

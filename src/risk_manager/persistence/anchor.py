"""Anchors: how long the journal was and what its last seal was, written down where the journal's keeper cannot reach.

The seals show that a journal is one of ours and whole; only an anchor shows that it is not an earlier state of itself.
"""

import hashlib
import os
from pathlib import Path

import msgspec

from risk_manager.persistence.seals import SEAL_BYTES, installation_of


class Anchor(msgspec.Struct, frozen=True):
    """One line of an anchor file.

    Attributes:
        installation: whose journal.   rows: decisions it held.   seal: of the last of them, hexadecimal.
        at: when, ISO 8601, by the guard's clock.   signature: of all this, with the journal's key, hexadecimal.
    """

    installation: str
    rows: int
    seal: str
    at: str
    signature: str


class AnchorsUnreadable(Exception):
    """A file is no anchor file; the message says where and why."""


def anchor_of(key: bytes, rows: int, seal: bytes, at: str) -> Anchor:
    """The anchor of a journal's present end."""
    installation = installation_of(key)
    return Anchor(installation, rows, seal.hex(), at, _signature(key, installation, rows, seal.hex(), at))


def is_genuine(key: bytes, anchor: Anchor) -> bool:
    """Whether the anchor was signed with the journal's key."""
    return anchor.signature == _signature(key, anchor.installation, anchor.rows, anchor.seal, anchor.at)


def append(path: Path, anchor: Anchor) -> None:
    """Add a line to an anchor file, durably; the file is made where missing, its folder is not.

    Raises:
        OSError: it cannot be written.
    """
    with path.open("ab") as file:
        file.write(msgspec.json.encode(anchor) + b"\n")
        file.flush()
        os.fsync(file.fileno())


def read(path: Path) -> tuple[Anchor, ...]:
    """The anchors of a file, oldest first; a last line that was cut off is left out.

    Raises:
        AnchorsUnreadable: a line is no anchor.   OSError: the file cannot be read.
    """
    found = []
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], start=1):
        try:
            found.append(msgspec.json.decode(line, type=Anchor))
        except msgspec.MsgspecError as error:
            raise AnchorsUnreadable(f"{path}, line {number}: {error}") from None
    return tuple(found)


def _signature(key: bytes, *fields: str | int) -> str:
    return hashlib.blake2b(msgspec.json.encode(("anchor", *fields)), key=key, digest_size=SEAL_BYTES).hexdigest()

"""Decisions read from the journal a step at a time, so that a commit never waits long for a read."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing

import msgspec
import structlog

from risk_manager.domain.decision import Decision
from risk_manager.ports.journal import TooMuchAsked

_STEP_BYTES = 256 * 1024
"""About what a step reads and decodes: a few milliseconds, in which a commit has to wait."""

_decode_decision = msgspec.json.Decoder(Decision).decode

log = structlog.get_logger("journal")


class Room:
    """What may still be read for one answer; None bounds nothing."""

    def __init__(self, most_bytes: int | None) -> None:
        self._most_bytes = most_bytes
        self._taken_bytes = 0

    def taken(self, body: bytes) -> bytes:
        """The body itself, for which there is room.

        Raises:
            TooMuchAsked: with it, more than `most_bytes` would have been read.
        """
        self._taken_bytes += len(body)
        if self._most_bytes is not None and self._taken_bytes > self._most_bytes:
            raise TooMuchAsked(f"that would be more than {self._most_bytes:,} bytes of decisions")
        return body


def some_rows(
    connection: sqlite3.Connection, query: str, *parameters: str | int
) -> tuple[list[tuple[int, bytes]], bool]:
    """The first rows (sequence and body) of a query, as many as make a step, and whether these are all."""
    rows, size = [], 0
    with closing(connection.execute(query, parameters)) as cursor:
        for row in cursor:
            rows.append(row)
            size += len(row[1])
            if size >= _STEP_BYTES:
                return rows, False
    return rows, True


def readable(bodies: Iterable[bytes]) -> Iterator[Decision]:
    """The decisions that can be read; of the others, what can be is in the derived tables."""
    for body in bodies:
        try:
            yield _decode_decision(body)
        except Exception as error:  # noqa: BLE001  # types that look at their own values raise what they like
            log.error("decision not readable", error=repr(error))

"""Short names of what decisions depend on: equal fingerprints, equal decisions."""

import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import msgspec

from risk_manager.domain.trading_day import TradingDays

CORE = ("domain", "rules", "exits", "analytics", "enforcement", "engine")
"""The rooms an engine is made of."""

_LENGTH = 16
_SOURCE = Path(__file__).parents[1]


@cache
def of_code() -> str:
    """Of the core's source files as they are installed."""
    return _of_files(path for room in CORE for path in (_SOURCE / room).rglob("*.py"))


@cache
def of_calendar() -> str:
    """Of the exchange calendar that comes with the program."""
    return _of_files((_SOURCE / "config" / "calendar").glob("*.yaml"))


def of_days(days: TradingDays) -> str:
    """Of a table of trading days, and so of the time zone data it was made from."""
    return hashlib.sha256(msgspec.msgpack.encode(days)).hexdigest()[:_LENGTH]


def _of_files(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(f"{path.relative_to(_SOURCE).as_posix()}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:_LENGTH]

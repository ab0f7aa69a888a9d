"""Bars of what the venue has seen since it started: prints, or bids where the feed carries no prints."""

from collections import deque
from datetime import UTC, date, datetime, timedelta
from enum import IntEnum
from functools import lru_cache
from zoneinfo import ZoneInfo

import msgspec

from risk_manager.simulator.emissions import Emission, PrintHappened, QuoteChanged
from risk_manager.simulator.records import SimContract
from risk_manager.simulator.server.shapes import Row, price
from risk_manager.simulator.server.times import NANOS_PER_SECOND, epoch_ns, rest_time

MAX_BARS = 20_000
SECONDS_KEPT = 100_000
"""A day and some hours of a contract that trades every second."""

_CHICAGO = ZoneInfo("America/Chicago")
_SESSION_START_HOUR = 17
_HOUR_S = 3600


class BarUnit(IntEnum):
    """Units as the venue numbers them."""

    SECOND = 1
    MINUTE = 2
    HOUR = 3
    DAY = 4
    WEEK = 5
    MONTH = 6


_UNIT_S = {BarUnit.SECOND: 1, BarUnit.MINUTE: 60, BarUnit.HOUR: _HOUR_S}


class Bar(msgspec.Struct):
    """Prices in ticks over [start_ns, end_ns); days, weeks and months follow the 17:00 Chicago session."""

    start_ns: int
    end_ns: int
    open_ticks: int
    high_ticks: int
    low_ticks: int
    close_ticks: int
    volume: int

    def add(self, later: "Bar") -> None:
        """Take a later bar of the same span in."""
        self.high_ticks = max(self.high_ticks, later.high_ticks)
        self.low_ticks = min(self.low_ticks, later.low_ticks)
        self.close_ticks = later.close_ticks
        self.volume += later.volume

    def row(self, contract: SimContract) -> Row:
        """The bar as the venue writes it."""
        return {
            "t": rest_time(self.start_ns),
            "o": price(self.open_ticks, contract),
            "h": price(self.high_ticks, contract),
            "l": price(self.low_ticks, contract),
            "c": price(self.close_ticks, contract),
            "v": self.volume,
        }


class BarStore:
    """Keeps one-second bars per contract, the newest `seconds_kept`, and joins them on request."""

    def __init__(self, seconds_kept: int = SECONDS_KEPT) -> None:
        self._seconds_kept = seconds_kept
        self._seconds: dict[str, deque[Bar]] = {}
        self._has_prints: set[str] = set()

    def receive(self, emission: Emission) -> None:
        """Count a print, or a quote of a contract that has never printed."""
        match emission:
            case PrintHappened():
                self._has_prints.add(emission.contract_id)
                self._add(emission.contract_id, emission.price_ticks, emission.size, emission.at_ns)
            case QuoteChanged() if emission.contract_id not in self._has_prints:
                if emission.top.bid_ticks is not None:
                    self._add(emission.contract_id, emission.top.bid_ticks, 0, emission.at_ns)

    def bars(self, contract_id: str, unit: BarUnit, number: int, start_ns: int, end_ns: int) -> list[Bar]:
        """Bars that start in [start_ns, end_ns], oldest first; `number` units each."""
        joined: list[Bar] = []
        for second in self._seconds.get(contract_id, ()):
            first_ns, after_ns = _span(second.start_ns, unit, number)
            if not start_ns <= first_ns <= end_ns:
                continue
            if joined and joined[-1].start_ns == first_ns:
                joined[-1].add(second)
            else:
                joined.append(msgspec.structs.replace(second, start_ns=first_ns, end_ns=after_ns))
        return joined

    def _add(self, contract_id: str, ticks: int, size: int, at_ns: int) -> None:
        kept = self._seconds.setdefault(contract_id, deque(maxlen=self._seconds_kept))
        start_ns = at_ns - at_ns % NANOS_PER_SECOND
        if not kept or kept[-1].start_ns != start_ns:
            kept.append(Bar(start_ns, start_ns + NANOS_PER_SECOND, ticks, ticks, ticks, ticks, size))
            return
        bar = kept[-1]
        bar.high_ticks, bar.low_ticks, bar.close_ticks = max(bar.high_ticks, ticks), min(bar.low_ticks, ticks), ticks
        bar.volume += size


def _span(at_ns: int, unit: BarUnit, number: int) -> tuple[int, int]:
    """Start, inclusive, and end, exclusive, of the bar an instant belongs to."""
    unit_s = _UNIT_S.get(unit)
    if unit_s is None:
        return _session_span(at_ns // (NANOS_PER_SECOND * _HOUR_S), unit, number)
    length_ns = unit_s * number * NANOS_PER_SECOND
    start_ns = at_ns - at_ns % length_ns
    return start_ns, start_ns + length_ns


@lru_cache(maxsize=256)
def _session_span(hour: int, unit: BarUnit, number: int) -> tuple[int, int]:
    """The span of the sessions an hour (since the epoch, UTC) belongs to; sessions change on the hour."""
    local = datetime.fromtimestamp(hour * _HOUR_S, UTC).astimezone(_CHICAGO)
    day = (local.replace(tzinfo=None) + timedelta(hours=24 - _SESSION_START_HOUR)).date()
    match unit:
        case BarUnit.MONTH:
            index = (day.year * 12 + day.month - 1) // number * number
            first, after = _month(index), _month(index + number)
        case _:
            days = number * (7 if unit is BarUnit.WEEK else 1)
            # Day 1 of the calendar was a Monday, so weeks start on Mondays.
            ordinal = (day.toordinal() - 1) // days * days + 1
            first, after = date.fromordinal(ordinal), date.fromordinal(ordinal + days)
    return _session_start_ns(first), _session_start_ns(after)


def _month(index: int) -> date:
    return date(index // 12, index % 12 + 1, 1)


def _session_start_ns(day: date) -> int:
    eve = day - timedelta(days=1)
    return epoch_ns(datetime(eve.year, eve.month, eve.day, _SESSION_START_HOUR, tzinfo=_CHICAGO))

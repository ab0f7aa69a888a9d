"""When the venue trades: CME's week in Chicago time, the daily pause, and the early end of order taking on Fridays."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

import msgspec

NANOS_PER_SECOND = 1_000_000_000
_CHICAGO = ZoneInfo("America/Chicago")
_FRIDAY = 4
_OPENS = time(17)
_CLOSES = time(16)
_FURTHEST_DAYS = 14


class Phase(StrEnum):
    """OPEN takes and fills orders, LAST_MINUTES only fills those it has, CLOSED does neither."""

    OPEN = "open"
    LAST_MINUTES = "last_minutes"
    CLOSED = "closed"


class TradingHours(msgspec.Struct, frozen=True):
    """Sessions from 17:00 Chicago time to 16:00 on the next weekday, which names the trading day.

    Attributes:
        last_minutes_s: how long before the end of a session no order is taken any more.
        friday_last_minutes_s: the same on Fridays, where 15:55 to 15:58 was seen.
        closed_days: trading days without a session.
        early_closes: by trading day, when its session ends instead, Chicago time.
    """

    last_minutes_s: int = 0
    friday_last_minutes_s: int = 300
    closed_days: frozenset[date] = frozenset()
    early_closes: Mapping[date, time] = {}

    def phase(self, at_ns: int) -> tuple[Phase, int]:
        """The phase at an instant, and the instant, later, at which it ends."""
        day = _trading_day(at_ns)
        session = self._session(day)
        if session is not None:
            opens_ns, stops_ns, closes_ns = session
            if opens_ns <= at_ns < stops_ns:
                return Phase.OPEN, stops_ns
            if stops_ns <= at_ns < closes_ns:
                return Phase.LAST_MINUTES, closes_ns
        return Phase.CLOSED, self._next_open_ns(day, at_ns)

    def _next_open_ns(self, day: date, at_ns: int) -> int:
        for after in range(_FURTHEST_DAYS):
            session = self._session(day + timedelta(days=after))
            if session is not None and session[0] > at_ns:
                return session[0]
        return at_ns + _FURTHEST_DAYS * 86_400 * NANOS_PER_SECOND

    def _session(self, day: date) -> tuple[int, int, int] | None:
        """Opening, end of order taking and close of a trading day, None when it has none."""
        if day.weekday() > _FRIDAY or day in self.closed_days:
            return None
        closes_ns = _instant_ns(day, self.early_closes.get(day, _CLOSES))
        last_s = self.friday_last_minutes_s if day.weekday() == _FRIDAY else self.last_minutes_s
        opens_ns = _instant_ns(day - timedelta(days=1), _OPENS)
        return opens_ns, closes_ns - last_s * NANOS_PER_SECOND, closes_ns


def next_day_ns(at_ns: int) -> int:
    """When the trading day after the one an instant belongs to begins: 17:00 in Chicago, whatever day of the week."""
    return _instant_ns(_trading_day(at_ns), _OPENS)


def _trading_day(at_ns: int) -> date:
    local = datetime.fromtimestamp(at_ns // NANOS_PER_SECOND, UTC).astimezone(_CHICAGO)
    return local.date() + timedelta(days=1) if local.time() >= _OPENS else local.date()


def _instant_ns(day: date, local: time) -> int:
    return int(datetime.combine(day, local, tzinfo=_CHICAGO).timestamp()) * NANOS_PER_SECOND

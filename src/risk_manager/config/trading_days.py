"""The table of trading days, built here because only here are time zones known.

A trading day belongs to a session date, Monday to Friday, and there is one for each. It begins when the local clock
of the configured zone shows the reset time. Which date that is follows from when the market trades: the day carries
the date on which most of it falls in Chicago. So a reset at 17:00 Chicago, 17:00 New York or 15:10 Chicago opens the
*next* date's day (Sunday evening belongs to Monday), and a reset at midnight or in the morning opens the day of its
own date.

The week's first day begins on Sunday in either case: with a midnight reset, Sunday's evening session belongs to
Monday's day, as it does for the exchange, and not to Friday's; so Monday's day is then two calendar days long, and a
Friday lockout does not reach into the new week. Friday's day lasts until Monday's begins. Holidays are ordinary days.

A local time that does not exist (clocks go forward over it) is moved forward by as much as the clocks are; of a local
time that exists twice the first counts.
"""

import re
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from risk_manager.domain.trading_day import TradingDays

FIRST_YEAR, LAST_YEAR = 2007, 2060
"""The years of all our tables of time: replays reach back, and a daemon must not outlive its calendar."""

_MARKET_ZONE = "America/Chicago"
_CLOCK_TIME = re.compile(r"([0-9]{2}):([0-9]{2})")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)
_MONDAY, _SATURDAY = 0, 5


@lru_cache(maxsize=4)  # a reloaded configuration mostly has the same day
def build_trading_days(
    reset_time: str, timezone: str, first_year: int = FIRST_YEAR, last_year: int = LAST_YEAR
) -> TradingDays:
    """The trading days of all sessions from January 1st of `first_year` to December 31st of `last_year`.

    Args:
        reset_time: `HH:MM` on the clock of `timezone`, an IANA name.
    Raises:
        ValueError: the time or the years make no sense.   zoneinfo.ZoneInfoNotFoundError: the zone is not known.
    """
    reset, zone = _time_of(reset_time), ZoneInfo(timezone)
    if not 1970 < first_year <= last_year < 2200:
        raise ValueError(f"years {first_year} to {last_year}")
    ahead = _label_ahead_of_start(reset, zone)
    starts: list[int] = []
    labels: list[str] = []
    session = date(first_year, 1, 1)
    while True:
        if session.weekday() < _SATURDAY:
            start_ns = _start_ns(session, reset, zone, ahead)
            # Some zone has left out a whole date once: a day without length is no day.
            if starts and start_ns <= starts[-1]:
                starts.pop()
                labels.pop()
            starts.append(start_ns)
            if session.year > last_year:
                return TradingDays(tuple(starts), tuple(labels))
            labels.append(session.isoformat())
        session += _DAY


def _time_of(text: str) -> time:
    match = _CLOCK_TIME.fullmatch(text)
    if match is None:
        raise ValueError(f"not a time HH:MM: {text!r}")
    return time(int(match[1]), int(match[2]))


def _label_ahead_of_start(reset: time, zone: ZoneInfo) -> timedelta:
    """Days from the local date a trading day starts on to its session date: 1, 0, or -1 far east of the market.

    Decided once, on a winter day: near the border daylight saving time would make it jump back and forth.
    """
    start = datetime.combine(date(2026, 1, 14), reset, zone)
    # The addition is meant in real hours, hence by way of UTC.
    middle = (start.astimezone(UTC) + timedelta(hours=12)).astimezone(ZoneInfo(_MARKET_ZONE))
    return middle.date() - start.date()


def _start_ns(session: date, reset: time, zone: ZoneInfo, ahead: timedelta) -> int:
    local_date = session - ahead
    if session.weekday() == _MONDAY and ahead < _DAY:
        local_date -= _DAY
    # fold is 0: the first of two; for a missing time the offset before the gap, which is later on the clock after it.
    elapsed = datetime.combine(local_date, reset, zone).astimezone(UTC) - _EPOCH
    return (elapsed.days * 86_400 + elapsed.seconds) * 1_000_000_000

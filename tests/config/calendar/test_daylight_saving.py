"""Trading days, schedules and exchange sessions over every change of the clocks from 2007 to 2040."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from risk_manager.config import build_trading_days
from risk_manager.config.calendar import build_calendar
from risk_manager.domain.calendar import Window
from risk_manager.domain.schedule import Schedule
from risk_manager.domain.zone import DAY_S
from tests.config.calendar.test_zones import CITIES, SECOND, changes, ns

HOUR_S = 3_600
Edges = list[tuple[int, int]]


def at(day: int, hour: float) -> int:
    return day * DAY_S + int(hour * HOUR_S)


DAYTIME = tuple(Window(at(day, 9.5), at(day, 16)) for day in range(5))
OVERNIGHT = tuple(Window(at(day, 18), at(day, 41)) for day in (0, 1, 2, 3, 6))
WEEK = (Window(at(6, 17), at(11, 16)),)
# From and to times that do not exist in spring, or exist twice in autumn.
SMALL_HOURS = tuple(Window(at(day, 1.5), at(day, 2.5)) for day in range(7))


@pytest.mark.parametrize("windows", [DAYTIME, OVERNIGHT, WEEK, SMALL_HOURS], ids=["day", "night", "week", "small"])
@pytest.mark.parametrize("city", CITIES)
def test_a_schedule_keeps_its_wall_times(city: str, windows: tuple[Window, ...]) -> None:
    schedule = Schedule(timezone=city, windows=windows, holidays=False)
    for change in changes(city):
        first, last = ns(change) - 5 * DAY_S * SECOND, ns(change) + 5 * DAY_S * SECOND
        assert spans(schedule, first, last) == expected(city, windows, first, last), change


def spans(schedule: Schedule, first: int, last: int) -> Edges:
    """The open intervals that begin between two instants, found from edge to edge."""
    calendar = build_calendar()
    found: Edges = []
    at_ns = first
    while at_ns < last:
        span = schedule.span_at(at_ns, calendar)
        if span.is_open and span.since_ns >= first:
            found.append((span.since_ns, span.until_ns))
        at_ns = span.until_ns
    return found


def expected(city: str, windows: tuple[Window, ...], first: int, last: int) -> Edges:
    """The same by the library's arithmetic on dates; a window that shrinks to nothing is none."""
    edges = sorted(
        (instant(city, monday, window.start_s), instant(city, monday, window.end_s))
        for monday in mondays(first, last)
        for window in windows
    )
    return [(start, end) for start, end in edges if first <= start < last and start < end]


def instant(city: str, monday: date, second: int) -> int:
    days, seconds = divmod(second, DAY_S)
    wall = datetime.combine(monday + timedelta(days=days), time()) + timedelta(seconds=seconds)
    return ns(wall.replace(tzinfo=ZoneInfo(city)).astimezone(UTC))


def mondays(first: int, last: int) -> Iterator[date]:
    day = datetime.fromtimestamp(first // SECOND, UTC).date()
    monday = day - timedelta(days=day.weekday() + 7)
    while ns(datetime.combine(monday, time(), UTC)) < last + 7 * DAY_S * SECOND:
        yield monday
        monday += timedelta(days=7)


@pytest.mark.parametrize("year", range(2024, 2028))
def test_the_exchange_opens_at_five_in_the_evening_before_and_after(year: int) -> None:
    market = build_calendar().market("ES")
    assert market is not None
    chicago = ZoneInfo("America/Chicago")
    for change in (one for one in changes("America/Chicago") if one.year == year):
        sessions = list(zip(market.sessions(ns(change) - 4 * DAY_S * SECOND), range(6), strict=False))
        for (open_ns, close_ns), _ in sessions:
            opens, closes = (datetime.fromtimestamp(one // SECOND, chicago) for one in (open_ns, close_ns))
            assert (f"{opens:%H:%M}", f"{closes:%H:%M}") == ("17:00", "16:00")
            assert close_ns - open_ns == 23 * HOUR_S * SECOND


@pytest.mark.parametrize("reset", ["17:00", "00:00", "02:30", "01:30", "08:30"])
@pytest.mark.parametrize("city", CITIES)
def test_a_trading_day_is_a_day_long_but_over_a_weekend_and_a_change(city: str, reset: str) -> None:
    days = build_trading_days(reset, city, 2007, 2040)
    lengths = {
        (end - start) // (HOUR_S * SECOND) for start, end in zip(days.starts_ns, days.starts_ns[1:], strict=False)
    }
    # An ordinary day, one a weekend or the Sunday of a Monday belongs to, and each an hour shorter or longer.
    assert lengths <= {23, 24, 25, 47, 48, 49, 71, 72, 73}
    for change in changes(city):
        around = [days.day_of(ns(change) + hours * HOUR_S * SECOND) for hours in (-30, -1, 0, 1, 30)]
        assert all(one.start_ns < one.end_ns for one in around)
        assert [one.label for one in around] == sorted(one.label for one in around)


@pytest.mark.parametrize(
    ("zone", "winter", "summer"),
    [("America/New_York", 22, 21), ("America/Chicago", 23, 22)],
)
def test_a_reset_at_five_follows_the_clock(zone: str, winter: int, summer: int) -> None:
    days = build_trading_days("17:00", zone, 2026, 2026)
    hours = {
        day.label: datetime.fromtimestamp(day.start_ns // SECOND, UTC).hour
        for day in (days.day_of(start) for start in days.starts_ns[:-1])
    }
    assert (hours["2026-03-06"], hours["2026-03-09"]) == (winter, summer)
    assert (hours["2026-10-30"], hours["2026-11-02"]) == (summer, winter)


def test_a_holiday_in_the_week_of_a_change() -> None:
    """Thanksgiving is never in such a week, but Good Friday 2024 is two days before Europe's change."""
    schedule = Schedule(timezone="Europe/Berlin", windows=DAYTIME, market="ES")
    calendar = build_calendar()
    berlin = ZoneInfo("Europe/Berlin")
    thursday = ns(datetime(2024, 3, 28, 16, tzinfo=berlin))
    assert schedule.next_open_ns(thursday, calendar) == ns(datetime(2024, 4, 1, 9, 30, tzinfo=berlin))
    assert not schedule.is_open(ns(datetime(2024, 3, 29, 10, tzinfo=berlin)), calendar)

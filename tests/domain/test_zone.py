from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_manager.domain.zone import UTC, Zone, date_of_day, day_of_date, monday_of, weekday_of

HOUR = 3_600_000_000_000
# One hour east until 10:00 UTC, two hours east until 100:00 UTC, then one hour again: a gap and a fold.
ZONE = Zone("Test/Place", (0, 10 * HOUR, 100 * HOUR), (3_600, 7_200, 3_600))


@pytest.mark.parametrize(
    ("at", "wall"), [(-5, -4), (0, 1), (9, 10), (10, 12), (99, 101), (100, 101), (500, 501)], ids=str
)
def test_shows_what_the_wall_clock_shows(at: int, wall: int) -> None:
    assert ZONE.wall_ns(at * HOUR) == wall * HOUR


def test_the_offset_changes_at_the_start_of_its_entry() -> None:
    assert ZONE.wall_ns(10 * HOUR - 1) == 11 * HOUR - 1
    assert ZONE.wall_ns(10 * HOUR) == 12 * HOUR


@pytest.mark.parametrize(
    ("wall", "at"),
    [
        (1, 0),
        (10, 9),
        (11, 10),  # does not exist: the clock jumps from 11 to 12, the time moves forward to 12
        (12, 10),
        (100, 98),
        (101, 99),  # twice: at 99 and at 100, the first counts
        (102, 101),
        (900, 899),
    ],
)
def test_finds_the_instant_of_a_wall_time(wall: int, at: int) -> None:
    assert ZONE.instant_ns(wall * HOUR) == at * HOUR


def test_moves_a_time_that_does_not_exist_by_the_jump() -> None:
    half_past = 11 * HOUR + HOUR // 2
    assert ZONE.wall_ns(ZONE.instant_ns(half_past)) == half_past + HOUR


@given(st.integers(-(10**19), 10**19))
def test_utc_shows_the_instant_itself(at_ns: int) -> None:
    assert UTC.wall_ns(at_ns) == UTC.instant_ns(at_ns) == at_ns


def test_needs_an_offset_for_each_start() -> None:
    with pytest.raises(AssertionError):
        Zone("Test/Place", (0, 1), (0,))
    with pytest.raises(AssertionError):
        Zone("Test/Place", (), ())


@given(st.dates(date(1, 1, 1), date(9999, 12, 31)))
def test_counts_days_as_the_calendar_does(day: date) -> None:
    count = (day - date(1970, 1, 1)).days
    assert day_of_date(day.isoformat()) == count
    assert date_of_day(count) == day.isoformat()
    assert weekday_of(count) == day.weekday()
    assert monday_of(count * 24 * HOUR) == count - day.weekday()


@pytest.mark.parametrize("day", ["2024-02-29", "2000-02-29", "1970-01-01", "1969-12-31", "0001-01-01"])
def test_reads_dates_that_exist(day: str) -> None:
    assert date(1970, 1, 1) + timedelta(days=day_of_date(day)) == date.fromisoformat(day)


@pytest.mark.parametrize(
    "text",
    ["2023-02-29", "1900-02-29", "2026-13-01", "2026-00-10", "2026-01-00", "2026-01-32", "0000-01-01", "2026-1-1",
     "20260101", "2026-01-01T00:00", "26-01-01", "", "\uff12026-01-01", "-026-01-01", "20a6-01-01"],
)  # fmt: skip
def test_refuses_what_is_no_date(text: str) -> None:
    with pytest.raises(ValueError, match="date"):
        day_of_date(text)

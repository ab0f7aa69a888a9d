"""Zone tables against the time zone data they are made of, second by second where clocks change."""

from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_manager.config.calendar.zones import ZoneTables, build_zone

CITIES = ["America/Chicago", "America/New_York", "Europe/London", "Europe/Berlin", "Australia/Sydney"]
ZONES = sorted(available_timezones() - {"Factory", "localtime"})
SECOND = 1_000_000_000
FIRST, LAST = datetime(2007, 1, 1, tzinfo=UTC), datetime(2060, 12, 31, tzinfo=UTC)


@cache
def changes(city: str) -> tuple[datetime, ...]:
    """The instants of 2007 to 2040 at which the clocks of a city change, found hour by hour on the days they do."""
    zone = ZoneInfo(city)
    found = []
    day = datetime(2007, 1, 1, tzinfo=UTC)
    while day.year <= 2040:
        if day.astimezone(zone).utcoffset() != (day + timedelta(days=1)).astimezone(zone).utcoffset():
            hours = [day + timedelta(hours=count) for count in range(1, 25)]
            before = day.astimezone(zone).utcoffset()
            found.append(next(hour for hour in hours if hour.astimezone(zone).utcoffset() != before))
        day += timedelta(days=1)
    return tuple(found)


@pytest.mark.parametrize("city", CITIES)
def test_has_every_change_of_the_clocks(city: str) -> None:
    assert len(changes(city)) == 68  # two in each of 34 years
    table = build_zone.__wrapped__(city)  # made anew, not one that is kept
    assert table == build_zone(city)
    in_table = [at for at in table.starts_ns[1:] if at < ns(datetime(2041, 1, 1, tzinfo=UTC))]
    assert in_table == [ns(change) for change in changes(city)]
    for change in changes(city):
        for second in (-1, 0, 1):
            assert_same(city, change + timedelta(seconds=second))


@given(st.sampled_from(ZONES), st.datetimes(FIRST.replace(tzinfo=None), LAST.replace(tzinfo=None)))
def test_shows_the_wall_time_of_every_zone(name: str, moment: datetime) -> None:
    assert_same(name, moment.replace(tzinfo=UTC, microsecond=0))


@given(st.sampled_from(ZONES), st.datetimes(FIRST.replace(tzinfo=None), LAST.replace(tzinfo=None)))
def test_finds_the_instant_of_a_wall_time_as_the_library_does(name: str, wall: datetime) -> None:
    """Which takes the first of two, and for a time that does not exist the offset before the jump."""
    wall = wall.replace(microsecond=0, fold=0)
    expected = wall.replace(tzinfo=ZoneInfo(name)).astimezone(UTC)
    assert build_zone(name).instant_ns(ns(wall.replace(tzinfo=UTC))) == ns(expected)


@pytest.mark.parametrize("city", CITIES)
def test_begins_with_the_first_year(city: str) -> None:
    assert build_zone.__wrapped__(city).starts_ns[0] == ns(FIRST)


def test_makes_each_table_once_and_none_of_what_is_no_zone() -> None:
    tables = ZoneTables()
    assert tables["Europe/Berlin"] is tables["Europe/Berlin"]
    assert tables.get("Europe/Atlantis") is None
    assert tables.get("../etc/passwd") is None
    assert set(tables) == available_timezones()
    assert len(tables) == len(available_timezones())


def assert_same(name: str, moment: datetime) -> None:
    offset = moment.astimezone(ZoneInfo(name)).utcoffset()
    assert offset is not None
    assert build_zone(name).wall_ns(ns(moment)) - ns(moment) == int(offset.total_seconds()) * SECOND, (name, moment)


def ns(moment: datetime) -> int:
    return int(moment.timestamp()) * SECOND

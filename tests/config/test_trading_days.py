from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk_manager.config.trading_days import build_trading_days
from risk_manager.domain.trading_day import TradingDays

_ZONES = sorted(available_timezones() - {"Factory", "localtime"})
_SKIPPED_A_WEEKDAY = {"Pacific/Apia", "Pacific/Fakaofo"}  # Friday, December 30th 2011 did not happen there.


def _ns(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000_000


def _start(days: TradingDays, label: str) -> str:
    start_s, rest_ns = divmod(days.starts_ns[days.labels.index(label)], 1_000_000_000)
    assert rest_ns == 0
    return datetime.fromtimestamp(start_s, UTC).strftime("%Y-%m-%d %H:%MZ")


@pytest.mark.parametrize(
    ("reset", "zone", "label", "start"),
    [
        # 17:00 Chicago is 23:00Z in winter and 22:00Z in summer; the clocks change on Sunday mornings.
        ("17:00", "America/Chicago", "2025-03-07", "2025-03-06 23:00Z"),
        ("17:00", "America/Chicago", "2025-03-10", "2025-03-09 22:00Z"),
        ("17:00", "America/Chicago", "2025-10-31", "2025-10-30 22:00Z"),
        ("17:00", "America/Chicago", "2025-11-03", "2025-11-02 23:00Z"),
        ("17:00", "America/Chicago", "2026-03-02", "2026-03-01 23:00Z"),
        # The dates of the change have been these since 2007, and are computed from the rule beyond 2037.
        ("17:00", "America/Chicago", "2007-03-12", "2007-03-11 22:00Z"),
        ("17:00", "America/Chicago", "2007-11-05", "2007-11-04 23:00Z"),
        ("17:00", "America/Chicago", "2040-03-12", "2040-03-11 22:00Z"),
        ("17:00", "America/Chicago", "2040-11-05", "2040-11-04 23:00Z"),
        # 17:00 New York is 22:00Z in winter and 21:00Z in summer.
        ("17:00", "America/New_York", "2026-01-15", "2026-01-14 22:00Z"),
        ("17:00", "America/New_York", "2026-03-06", "2026-03-05 22:00Z"),
        ("17:00", "America/New_York", "2026-03-09", "2026-03-08 21:00Z"),
        ("17:00", "America/New_York", "2026-07-15", "2026-07-14 21:00Z"),
        ("15:10", "America/Chicago", "2026-07-15", "2026-07-14 20:10Z"),
        # At noon most of a day falls on the next date, half an hour before it does not.
        ("12:00", "America/Chicago", "2026-01-14", "2026-01-13 18:00Z"),
        ("11:30", "America/Chicago", "2026-01-14", "2026-01-14 17:30Z"),
        # In the morning a day has its own date, and the week begins on Sunday.
        ("00:00", "America/New_York", "2026-01-14", "2026-01-14 05:00Z"),
        ("00:00", "America/New_York", "2026-01-12", "2026-01-11 05:00Z"),
        ("00:00", "UTC", "2026-01-14", "2026-01-14 00:00Z"),
        ("08:30", "America/Chicago", "2026-07-15", "2026-07-15 13:30Z"),
        # The same instant, 17:00 Chicago in winter, as clocks elsewhere show it, opens the same day.
        ("00:00", "Europe/Berlin", "2026-01-14", "2026-01-13 23:00Z"),
        ("08:00", "Asia/Tokyo", "2026-01-14", "2026-01-13 23:00Z"),
        ("12:00", "Pacific/Auckland", "2026-01-14", "2026-01-13 23:00Z"),
        ("13:00", "Pacific/Honolulu", "2026-01-14", "2026-01-13 23:00Z"),
        # 02:30 did not exist on March 8th 2026 and becomes 03:30; 01:30 existed twice on November 1st: the first.
        ("02:30", "America/Chicago", "2026-03-09", "2026-03-08 08:30Z"),
        ("01:30", "America/Chicago", "2026-11-02", "2026-11-01 06:30Z"),
    ],
)
def test_starts_a_day_at_the_reset_time(reset: str, zone: str, label: str, start: str) -> None:
    year = int(label[:4])
    assert _start(build_trading_days(reset, zone, year, year), label) == start


@pytest.mark.parametrize(
    ("at", "label"),
    [
        ("2026-03-01T22:59:59", "2026-02-27"),  # Sunday before the reset is still Friday's
        ("2026-03-01T23:00:00", "2026-03-02"),
        ("2026-03-02T22:59:59", "2026-03-02"),
        ("2026-03-02T23:00:00", "2026-03-03"),
        ("2026-03-06T22:59:59", "2026-03-06"),
        ("2026-03-06T23:00:00", "2026-03-06"),  # Friday evening and the weekend
        ("2026-03-08T21:59:59", "2026-03-06"),
        ("2026-03-08T22:00:00", "2026-03-09"),  # an hour earlier by UTC: daylight saving time began
    ],
)
def test_puts_an_instant_into_its_day(at: str, label: str) -> None:
    assert build_trading_days("17:00", "America/Chicago", 2026, 2026).day_of(_ns(at)).label == label


@pytest.mark.parametrize(
    ("at", "label"),
    [
        ("2026-01-09T23:00:00", "2026-01-09"),  # Friday evening in New York
        ("2026-01-11T04:59:59", "2026-01-09"),  # Saturday
        ("2026-01-11T23:00:00", "2026-01-12"),  # Sunday 18:00, the market opens: Monday's
        ("2026-01-13T04:59:59", "2026-01-12"),
        ("2026-01-13T05:00:00", "2026-01-13"),
    ],
)
def test_gives_sunday_evening_to_monday_when_the_day_begins_at_midnight(at: str, label: str) -> None:
    assert build_trading_days("00:00", "America/New_York", 2026, 2026).day_of(_ns(at)).label == label


def test_has_one_day_for_each_weekday_from_2007_to_2040() -> None:
    days = build_trading_days("17:00", "America/Chicago", 2007, 2040)
    dates = [date(2007, 1, 1) + timedelta(days=count) for count in range(34 * 366)]
    expected = [day.isoformat() for day in dates if day.weekday() < 5 and day.year <= 2040]
    assert list(days.labels) == expected
    lengths = {(end - start) // 3_600_000_000_000 for start, end in pairwise(days.starts_ns)}
    assert lengths == {24, 71, 72, 73}  # Fridays reach to Sunday, over a change of the clocks or not


def test_makes_the_weekend_of_a_clock_change_an_hour_shorter_or_longer() -> None:
    days = build_trading_days("17:00", "America/Chicago", 2025, 2025)
    hours = {
        label: (end - start) // 3_600_000_000_000
        for label, (start, end) in zip(days.labels, pairwise(days.starts_ns), strict=True)
    }
    assert (hours["2025-02-28"], hours["2025-03-07"], hours["2025-10-31"]) == (72, 71, 73)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 23), st.integers(0, 59), st.sampled_from(_ZONES), st.integers(2007, 2040))
def test_increases_strictly_with_one_day_per_weekday(hour: int, minute: int, zone: str, year: int) -> None:
    days = build_trading_days(f"{hour:02d}:{minute:02d}", zone, year, year)
    assert all(start < end for start, end in pairwise(days.starts_ns))
    weekdays = sum((date(year, 1, 1) + timedelta(days=count)).weekday() < 5 for count in range(_days_in(year)))
    assert weekdays - (zone in _SKIPPED_A_WEEKDAY) <= len(days.labels) <= weekdays
    assert list(days.labels) == sorted(set(days.labels))
    for start_ns in days.starts_ns:
        local = datetime.fromtimestamp(start_ns // 1_000_000_000, ZoneInfo(zone))
        shown_minute = local.hour * 60 + local.minute
        # Only a time that the clocks jumped over is shown differently, by no more than the jump.
        assert (shown_minute - hour * 60 - minute) % 1440 in (0, 20, 30, 60, 120, 180)


def test_leaves_out_a_date_that_did_not_happen() -> None:
    labels = build_trading_days("03:00", "Pacific/Apia", 2011, 2011).labels
    assert labels[-3:] == ("2011-12-27", "2011-12-28", "2011-12-30")


@pytest.mark.parametrize(
    ("reset", "said"),
    [
        ("5pm", "not a time HH:MM: '5pm'"),
        ("17", "HH:MM"),
        ("17:00:00", "HH:MM"),
        ("", "HH:MM"),
        ("24:00", "hour"),
        ("17:60", "minute"),
    ],
)
def test_refuses_a_time_that_is_none(reset: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        build_trading_days(reset, "America/Chicago", 2026, 2026)


def test_refuses_years_in_disorder() -> None:
    with pytest.raises(ValueError, match="years 2027 to 2026"):
        build_trading_days("17:00", "America/Chicago", 2027, 2026)


def _days_in(year: int) -> int:
    return (date(year + 1, 1, 1) - date(year, 1, 1)).days

"""How a trader writes hours, and that what is written back is read as the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_manager.domain.calendar import Window
from risk_manager.domain.schedule import EarlyClose, Schedule
from risk_manager.domain.zone import DAY_S, WEEK_S
from risk_manager.rules import Fault
from risk_manager.rules._options.schedule import read_schedule, spelled_schedule

HOURS = {"start": "09:30", "end": "16:00", "timezone": "America/New_York"}


def read(value: object) -> Schedule:
    faults: list[Fault] = []
    schedule = read_schedule(value, "schedule", faults)
    assert schedule is not None, faults
    return schedule


def refused(value: object) -> list[str]:
    faults: list[Fault] = []
    assert read_schedule(value, "schedule", faults) is None
    return [str(fault) for fault in faults]


def at(day: int, hour: float) -> int:
    return day * DAY_S + int(hour * 3_600)


@pytest.mark.parametrize(
    ("value", "windows"),
    [
        (HOURS, [(at(day, 9.5), at(day, 16)) for day in range(5)]),
        ({**HOURS, "days": [0, "sat"]}, [(at(0, 9.5), at(0, 16)), (at(5, 9.5), at(5, 16))]),
        ({**HOURS, "end": "24:00", "days": [0]}, [(at(0, 9.5), at(0, 24))]),
        ({**HOURS, "end": "16:00:30", "days": [0]}, [(at(0, 9.5), at(0, 16) + 30)]),
        # An end not later than the start is on the next day, and such sessions start from Sunday to Thursday.
        ({**HOURS, "start": "18:00", "end": "17:00"}, [(at(day, 18), at(day, 41)) for day in (0, 1, 2, 3, 6)]),
        ({**HOURS, "end": "09:30", "days": [4]}, [(at(4, 9.5), at(5, 9.5))]),
        ({**HOURS, "start": "Sun 17:00", "end": "Friday 16:00"}, [(at(6, 17), at(11, 16))]),
        ({**HOURS, "start": "Sun 17:00", "end": "sun 17:00"}, [(at(6, 17), at(13, 17))]),
        (
            {"windows": [{"start": "13:00", "end": "15:00", "days": [1]}, {"start": "mon 09:00", "end": "mon 11:00"}],
             "tz": "Europe/Berlin"},
            [(at(0, 9), at(0, 11)), (at(1, 13), at(1, 15))],
        ),
    ],
)  # fmt: skip
def test_reads_windows(value: object, windows: list[tuple[int, int]]) -> None:
    assert [(window.start_s, window.end_s) for window in read(value).windows] == windows


def test_reads_the_rest() -> None:
    written = {**HOURS, "market": "gc", "respect_holidays": False, "closed": ["2026-07-03", "2026-07-02"],
               "early_close": [{"date": "2026-07-01", "time": "12:00"}]}  # fmt: skip
    schedule = read(written)
    assert (schedule.market, schedule.holidays) == ("GC", False)
    assert schedule.closed_days == (20636, 20637)
    assert schedule.early_closes == (EarlyClose(20635, 12 * 3_600),)


def test_the_exchanges_hours_have_a_word() -> None:
    assert read("exchange") == read({}) == Schedule()
    assert read({"market": "6E"}).windows == ()


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (None, "schedule: must be exchange, or a mapping"),
        ({**HOURS, "days": [7]}, "schedule.days: holds 7, which is no weekday; Monday is 0 and Sunday is 6"),
        ({**HOURS, "days": [-1]}, "schedule.days: holds -1, which is no weekday (0 to 6)"),
        ({**HOURS, "days": [True]}, "schedule.days: holds True"),
        ({**HOURS, "days": ["funday"]}, "schedule.days: is no weekday"),
        ({**HOURS, "days": "mon"}, "schedule.days: must be a list"),
        ({**HOURS, "start": "9:30"}, "schedule.start: must be a quoted 24-hour time"),
        ({**HOURS, "start": "24:00"}, "schedule.start: is no time of day"),
        ({**HOURS, "end": "16:60"}, "schedule.end: is no time of day"),
        ({**HOURS, "end": 1020}, "schedule.end: must be a quoted 24-hour time"),
        ({"start": "09:30", "timezone": "UTC"}, "schedule.end: is missing"),
        ({"start": "09:30", "end": "10:00"}, "schedule.timezone: is missing"),
        ({**HOURS, "start": "Mon 09:30"}, "schedule.end: and start must both name a weekday"),
        ({**HOURS, "start": "Mon 09:30", "end": "Mon 10:00", "days": [0]}, "schedule.end: names a weekday already"),
        ({**HOURS, "timezone": "CST"}, "schedule.timezone: CST does not follow daylight saving time"),
        ({**HOURS, "timezone": "../secret"}, "schedule.timezone: must be an IANA name"),
        ({**HOURS, "tz": "UTC"}, "schedule.tz: is said twice, also as timezone"),
        ({**HOURS, "windows": [HOURS]}, "schedule.windows: cannot stand beside start, end"),
        ({"windows": [], "timezone": "UTC"}, "schedule.windows: must be a list of windows"),
        ({"windows": ["09:30-16:00"], "timezone": "UTC"}, "schedule.windows[0]: must be a mapping"),
        ({"windows": [{"start": "09:30", "end": "10:00", "zone": 1}]}, "schedule.windows[0].zone: is not known"),
        ({**HOURS, "hours": 3}, "schedule.hours: is not known; a schedule has windows, start, end, days"),
        ({**HOURS, "holidays": "no"}, "schedule.holidays: must be true or false"),
        ({**HOURS, "closed": "2026-07-03"}, "schedule.closed: must be a list of dates"),
        ({**HOURS, "closed": ["07/03/2026"]}, "schedule.closed: must be a date"),
        ({**HOURS, "early_close": ["2026-07-03"]}, "schedule.early_close: must be a list such as"),
        ({**HOURS, "early_close": [{"date": "2026-07-03", "time": "mon 09:00"}]}, "must be a time without a weekday"),
        (
            {**HOURS, "early_close": [{"date": "2026-07-03", "time": t} for t in ("12:00", "13:00")]},
            "schedule.early_close: has 2026-07-03 twice",
        ),
    ],
)  # fmt: skip
def test_refuses_what_could_be_misread(value: object, fault: str) -> None:
    assert any(fault in said for said in refused(value)), refused(value)


seconds = st.integers(0, WEEK_S - 1)
windows = st.lists(
    st.builds(lambda start, length: Window(start, start + length), seconds, st.integers(1, WEEK_S)), max_size=4
)


days = st.integers(0, 30_000)
early_closes = st.dictionaries(days, st.integers(0, DAY_S - 1), max_size=3)


@given(windows, st.booleans(), st.lists(days, max_size=3), early_closes)
def test_reads_back_what_it_spells(own: list[Window], holidays: bool, closed: list[int], early: dict[int, int]) -> None:
    schedule = Schedule(
        timezone="Europe/Berlin",
        windows=tuple(sorted(set(own), key=lambda one: (one.start_s, one.end_s))),
        holidays=holidays,
        closed_days=tuple(sorted(set(closed))),
        early_closes=tuple(EarlyClose(day, early[day]) for day in sorted(early)),
    )
    assert read(spelled_schedule(schedule)) == schedule


def test_spells_the_exchanges_hours_and_none() -> None:
    assert spelled_schedule(Schedule()) == "exchange"
    assert spelled_schedule(None) is None

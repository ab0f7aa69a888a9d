"""How a trader writes hours, and that what is written back is read as the same."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_manager.domain.calendar import Window
from risk_manager.domain.schedule import EarlyClose, Schedule
from risk_manager.domain.zone import DAY_S, WEEK_S
from risk_manager.rules import Fault
from risk_manager.rules._options.schedule import read_schedule, spelled_schedule

HOURS_ALONE = {"start": "09:30", "end": "16:00"}
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
        ({**HOURS, "days": ["Thur", 6, "TUESDAY", 6]},
         [(at(1, 9.5), at(1, 16)), (at(3, 9.5), at(3, 16)), (at(6, 9.5), at(6, 16))]),
        ({**HOURS, "start": "23:59:59", "end": "00:00", "days": [0]}, [(at(1, 0) - 1, at(1, 0))]),
        ({"windows": [HOURS_ALONE, HOURS_ALONE], "tz": "Europe/Berlin"},
         [(at(day, 9.5), at(day, 16)) for day in range(5)]),
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


@pytest.mark.parametrize(
    ("market", "meant"), [("es", "ES"), ("cme_equity", "cme_equity"), ("Cme_equity", "CME_EQUITY"), ("6E", "6E")]
)
def test_a_market_is_a_product_or_a_group(market: str, meant: str) -> None:
    assert read({"market": market}).market == meant


def test_takes_dates_a_reader_has_made_objects_of() -> None:
    day = datetime.date(2026, 7, 1)
    schedule = read({"closed": (day, "2026-07-01"), "early_close": ({"date": day, "time": "12:15:30"},)})
    assert schedule == Schedule(closed_days=(20635,), early_closes=(EarlyClose(20635, 12 * 3_600 + 930),))


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Etc/GMT-5", "America/Argentina/Buenos_Aires"])
def test_takes_a_zone_by_its_form(zone: str) -> None:
    assert read({**HOURS, "timezone": zone}).timezone == zone


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


CLOSES = 'schedule.early_close: must be a list such as [{date: "2026-11-27", time: "12:15"}], not '
MOMENT = 'must be a quoted 24-hour time such as "09:30" or "Sun 17:00", not '


@pytest.mark.parametrize(
    ("value", "faults"),
    [
        (
            5,
            [
                'schedule: must be exchange, or a mapping such as {start: "09:30", end: "16:00", '
                "timezone: America/New_York}, not 5"
            ],
        ),
        (
            {"hours": 3, "tz": 5, "timezone": "UTC", "days": [7, "x"]},
            [
                "schedule.hours: is not known; a schedule has windows, start, end, days, timezone, market, holidays, "
                "closed, early_close",
                "schedule.timezone: is said twice, also as timezone",
                'schedule.start: is missing; write for example "09:30"',
                'schedule.end: is missing; write for example "09:30"',
                "schedule.days: holds 7, which is no weekday; Monday is 0 and Sunday is 6, so a list that counts from "
                "1 has to be lowered by one",
                "schedule.timezone: must be text, not 5 (quote it)",
            ],
        ),
        ({**HOURS, "allowed_days": []}, [
            "schedule.days: must be a list of weekdays such as [0, 1, 2, 3, 4] (Monday is 0), not []"
        ]),
        ({"windows": [{**HOURS_ALONE, "allowed_days": [8]}], "tz": "UTC"}, [
            "schedule.windows[0].allowed_days: holds 8, which is no weekday (0 to 6)"
        ]),
        ({**HOURS, "days": ["mo"]}, ["schedule.days: is no weekday: 'mo'"]),
        ({**HOURS, "days": ["monkey"]}, ["schedule.days: is no weekday: 'monkey'"]),
        ({**HOURS, "days": [1.5]}, ["schedule.days: holds 1.5, which is no weekday (0 to 6)"]),
        ({**HOURS, "start": "Moo 09:30"}, ["schedule.start: is no weekday: 'Moo'"]),
        ({**HOURS, "start": 930}, [f"schedule.start: {MOMENT}930"]),
        ({**HOURS, "start": "24:00"}, ["schedule.start: is no time of day: '24:00'"]),
        ({**HOURS, "end": "24:00:01"}, ["schedule.end: is no time of day: '24:00:01'"]),
        ({**HOURS, "end": "12:00:60"}, ["schedule.end: is no time of day: '12:00:60'"]),
        ({**HOURS, "end": "12:60"}, ["schedule.end: is no time of day: '12:60'"]),
        ({**HOURS, "end": "Mon 10:00"}, ["schedule.end: and start must both name a weekday, or neither"]),
        ({**HOURS, "start": "Mon 09:30", "end": "Mon 10:00", "days": [0]}, [
            "schedule.end: names a weekday already; leave out days"
        ]),
        (HOURS_ALONE, ["schedule.timezone: is missing; write for example America/New_York"]),
        ({**HOURS, "timezone": "est"}, [
            "schedule.timezone: est does not follow daylight saving time; write America/New_York"
        ]),
        ({**HOURS, "timezone": "new york"}, [
            "schedule.timezone: must be an IANA name such as America/Chicago, not 'new york'"
        ]),
        ({**HOURS, "windows": [HOURS_ALONE], "days": [1]}, [
            "schedule.windows: cannot stand beside start, end, days; put them into the list"
        ]),
        ({"windows": "09:30"}, ["schedule.windows: must be a list of windows, not '09:30'"]),
        ({"windows": []}, ["schedule.windows: must be a list of windows, not []"]),
        ({"windows": [HOURS_ALONE, 5], "tz": "UTC"}, [
            'schedule.windows[1]: must be a mapping such as {start: "09:30", end: "16:00"}, not 5'
        ]),
        ({"windows": [{**HOURS_ALONE, "zone": 1}], "tz": "UTC"}, [
            "schedule.windows[0].zone: is not known; a window has start, end, days"
        ]),
        ({"holidays": "no", "market": 5}, [
            "schedule.market: must be text, not 5 (quote it)",
            "schedule.holidays: must be true or false, not 'no'",
        ]),
        ({"closed": "2026-07-03"}, [
            'schedule.closed: must be a list of dates such as ["2026-07-03"], not \'2026-07-03\''
        ]),
        ({"closed_dates": ["07/03"]}, ['schedule.closed: must be a date such as "2026-07-03", not \'07/03\'']),
        ({"early_close": "2026-07-03"}, [f"{CLOSES}'2026-07-03'"]),
        ({"early_closes": [{"date": "2026-07-03"}]}, [f"{CLOSES}{{'date': '2026-07-03'}}"]),
        ({"early_close": [["date", "time"]]}, [f"{CLOSES}['date', 'time']"]),
        ({"early_close": [{"date": "2026-07-03", "time": "mon 09:00"}]}, [
            "schedule.early_close: must be a time without a weekday, not 'mon 09:00'"
        ]),
        ({"early_close": [{"date": "2026-07-03", "time": "24:00"}]}, [
            "schedule.early_close: is no time of day: '24:00'"
        ]),
        ({"early_close": [{"date": "2026-07-03", "time": "12:00"}] * 2}, [
            "schedule.early_close: has 2026-07-03 twice"
        ]),
    ],
)  # fmt: skip
def test_says_what_is_wrong_and_no_more(value: object, faults: list[str]) -> None:
    assert refused(value) == faults


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


def test_spells_hours_as_they_are_written() -> None:
    schedule = Schedule(
        timezone="Europe/Berlin",
        windows=(Window(at(0, 9.5), at(0, 16) + 30), Window(at(6, 17), at(11, 16))),
        market="GC",
        holidays=False,
        closed_days=(20636, 20637),
        early_closes=(EarlyClose(20635, 12 * 3_600 + 61),),
    )
    spelled = {
        "windows": [{"start": "Mon 09:30", "end": "Mon 16:00:30"}, {"start": "Sun 17:00", "end": "Fri 16:00"}],
        "timezone": "Europe/Berlin",
        "market": "GC",
        "holidays": False,
        "closed": ["2026-07-02", "2026-07-03"],
        "early_close": [{"date": "2026-07-01", "time": "12:01:01"}],
    }
    assert spelled_schedule(schedule) == spelled
    assert read(spelled) == schedule
    kept = {key: spelled[key] for key in ("timezone", "market", "holidays")}
    bare = Schedule(timezone="Europe/Berlin", market="GC", holidays=False)
    assert spelled_schedule(bare) == kept


def test_spells_the_exchanges_hours_and_none() -> None:
    assert spelled_schedule(Schedule()) == "exchange"
    assert spelled_schedule(None) is None

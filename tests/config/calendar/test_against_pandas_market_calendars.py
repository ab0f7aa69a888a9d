"""Every day of 2024 to 2027 against pandas-market-calendars, an independent table; each difference has its reason."""

import warnings
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest

from risk_manager.config.calendar import build_calendar

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its imports, not ours
    import pandas_market_calendars as pmc  # type: ignore[import-untyped]

CHICAGO = ZoneInfo("America/Chicago")
FIRST, LAST = date(2024, 1, 1), date(2027, 12, 31)
CLOSED = "closed"

NO_JOBS_REPORT = "Good Friday without a jobs report: the market does not open"
MOURNING = "day of mourning for James Carter: CME Group notice of 2024-12-30"
STRICT = "the sources differ: the earlier close is taken"
NEW_YORK_TIME = "13:45 is New York time"
CHRISTMAS_EVE = "ends at 12:45 in every other year, and by the other table 2009 to 2019"
JUNETEENTH = "farm products have not traded on Juneteenth since 2022"
LATE_OPEN = "no evening session opens on a holiday"
ALWAYS_OPEN = "around the clock since 2026-05-29"

Difference = tuple[str, str, str]

_GOOD_FRIDAYS = ("2024-03-29", "2025-04-18", "2027-03-26")
_METALS: dict[str, Difference] = {
    "2024-11-28": ("17:00-12:00", "17:00-13:30", STRICT),
    "2024-12-24": ("17:00-12:45", "17:00-16:00", CHRISTMAS_EVE),
    "2025-12-24": ("17:00-12:45", "17:00-16:00", CHRISTMAS_EVE),
    "2026-11-27": ("17:00-12:45", "17:00-13:45", NEW_YORK_TIME),
}
DIFFERENCES: dict[str, dict[str, Difference]] = {
    "cme_equity": {
        **dict.fromkeys(_GOOD_FRIDAYS, (CLOSED, "17:00-08:15", NO_JOBS_REPORT)),
        "2025-01-09": ("17:00-08:30", "17:00-16:00", MOURNING),
    },
    "cme_fx": dict.fromkeys(_GOOD_FRIDAYS, (CLOSED, "17:00-10:15", NO_JOBS_REPORT)),
    "cme_rates": {
        **dict.fromkeys(_GOOD_FRIDAYS, (CLOSED, "17:00-10:15", NO_JOBS_REPORT)),
        "2025-01-09": ("17:00-12:15", "17:00-16:00", MOURNING),
    },
    "cme_energy": _METALS,
    "cme_metals": _METALS,
    "cme_grains": {
        **dict.fromkeys(("2024-06-19", "2025-06-19", "2026-06-19", "2027-06-18"), (CLOSED, "19:00-13:20", JUNETEENTH)),
        **dict.fromkeys(("2024-07-03", "2025-07-03"), ("19:00-12:05", "19:00-13:20", STRICT)),
        **dict.fromkeys(("2024-12-24", "2025-12-24", "2026-12-24"), ("19:00-12:05", "19:00-13:20", STRICT)),
        **dict.fromkeys(
            ("2024-11-29", "2025-11-28", "2026-11-27", "2027-11-26"), ("08:30-12:05", "19:00-13:20", LATE_OPEN)
        ),
        **dict.fromkeys(
            ("2024-01-02", "2024-07-05", "2024-12-26", "2025-01-02", "2025-12-26", "2026-01-02"),
            ("08:30-13:20", "19:00-13:20", LATE_OPEN),
        ),
        "2025-01-09": ("19:00-12:15", "19:00-13:20", MOURNING),
    },
    "cme_livestock": {
        **dict.fromkeys(("2024-06-19", "2025-06-19", "2026-06-19", "2027-06-18"), (CLOSED, "08:30-13:05", JUNETEENTH)),
        **dict.fromkeys(("2024-07-03", "2025-07-03"), ("08:30-12:05", "08:30-13:05", STRICT)),
        "2025-01-09": ("08:30-12:15", "08:30-13:05", MOURNING),
    },
    "cme_crypto": {
        **dict.fromkeys(_GOOD_FRIDAYS[:2], (CLOSED, "17:00-10:15", NO_JOBS_REPORT)),
        "2024-11-28": ("17:00-12:00", "17:00-16:00", STRICT),
    },
}

ORACLES = {
    "cme_equity": "CME Globex Equity",
    "cme_fx": "CMEGlobex_FX",
    "cme_rates": "CME Globex Interest Rate Products",
    "cme_energy": "CMEGlobex_CL",
    "cme_metals": "CMEGlobex_GC",
    "cme_grains": "CMEGlobex_Grains",
    "cme_livestock": "CMEGlobex_Livestock",
    "cme_crypto": "CME Globex Crypto",
}


def test_has_an_oracle_for_every_group() -> None:
    assert set(ORACLES) == set(build_calendar().markets) == set(DIFFERENCES)


@pytest.mark.parametrize("group", [group for group in ORACLES if group != "cme_crypto"])
def test_agrees_on_every_day_but_those_explained(group: str) -> None:
    differences = {
        day: (ours(group).get(day, CLOSED), theirs(group).get(day, CLOSED))
        for day in dates(FIRST, LAST)
        if ours(group).get(day, CLOSED) != theirs(group).get(day, CLOSED)
    }
    assert differences == {day: (own, other) for day, (own, other, _) in DIFFERENCES[group].items()}


def test_agrees_about_crypto_until_it_trades_around_the_clock() -> None:
    last = date(2026, 5, 29)
    differences = {
        day: (ours("cme_crypto").get(day, CLOSED), theirs("cme_crypto").get(day, CLOSED))
        for day in dates(FIRST, last)
        if ours("cme_crypto").get(day, CLOSED) != theirs("cme_crypto").get(day, CLOSED)
    }
    assert differences == {day: (own, other) for day, (own, other, _) in DIFFERENCES["cme_crypto"].items()}
    # From then on the other table is out of date, and says so by closing for the weekend.
    assert theirs("cme_crypto").get("2026-06-06", CLOSED) == CLOSED, ALWAYS_OPEN


@cache
def ours(group: str) -> dict[str, str]:
    """First open and last close of the sessions that end on each day, on the wall in Chicago."""
    market = build_calendar().markets[group]
    last_ns = int(datetime(2028, 1, 1, tzinfo=CHICAGO).timestamp()) * 1_000_000_000
    at_ns = int(datetime(2023, 12, 28, tzinfo=CHICAGO).timestamp()) * 1_000_000_000
    found: dict[str, tuple[datetime, datetime]] = {}
    while at_ns < last_ns:
        open_ns, close_ns = next(iter(market.sessions(at_ns)))
        opens, closes = local(open_ns), local(close_ns)
        found[closes.date().isoformat()] = (found.get(closes.date().isoformat(), (opens,))[0], closes)
        at_ns = close_ns
    return {day: f"{opens:%H:%M}-{closes:%H:%M}" for day, (opens, closes) in found.items()}


@cache
def theirs(group: str) -> dict[str, str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = pmc.get_calendar(ORACLES[group]).schedule(FIRST.isoformat(), LAST.isoformat(), tz="America/Chicago")
    return {
        day.date().isoformat(): f"{opens:%H:%M}-{closes:%H:%M}"
        for day, opens, closes in zip(table.index, table.market_open, table.market_close, strict=True)
    }


def local(at_ns: int) -> datetime:
    return datetime.fromtimestamp(at_ns // 1_000_000_000, UTC).astimezone(CHICAGO)


def dates(first: date, last: date) -> Iterator[str]:
    day = first
    while day <= last:
        yield day.isoformat()
        day += timedelta(days=1)

"""A trader's hours in UTC, with a market that has a closure; times are hours from Monday, 1970-01-05."""

import pytest

from risk_manager.domain.calendar import HORIZON_WEEKS, Calendar, Market, Span, Week, Window
from risk_manager.domain.schedule import EarlyClose, Schedule
from risk_manager.domain.zone import UTC, Zone

HOUR_S = 3_600
HOUR = HOUR_S * 1_000_000_000
MONDAY_DAY = 4
BASE = MONDAY_DAY * 24 * HOUR
DAYS = tuple(Window((24 * day + 9) * HOUR_S, (24 * day + 17) * HOUR_S) for day in range(5))
ALWAYS = (Window(0, 7 * 24 * HOUR_S),)

# The market trades every day from 8 to 20, but on Tuesday it closes at 12.
MARKET = Market(
    "test",
    UTC,
    (Week(0, tuple(Window((24 * day + 8) * HOUR_S, (24 * day + 20) * HOUR_S) for day in range(7))),),
    (BASE + 36 * HOUR,),
    (BASE + 44 * HOUR,),
    0,
    1 << 62,
)
CALENDAR = Calendar({"East": Zone("East", (0,), (2 * HOUR_S,))}, {"test": MARKET}, {"ES": "test"})


def schedule(**settings: object) -> Schedule:
    return Schedule(**{"timezone": "UTC", "windows": DAYS, **settings})  # type: ignore[arg-type]  # each field's own


def spans(one: Schedule, hours: int, market: str | None = None) -> list[tuple[int, int]]:
    """The open spans of so many hours, from edge to edge."""
    found = []
    at_ns = BASE
    while at_ns < BASE + hours * HOUR:
        span = one.span_at(at_ns, CALENDAR, market)
        assert one.next_edge_ns(at_ns, CALENDAR, market) == span.until_ns > at_ns
        assert one.is_open(at_ns, CALENDAR, market) is span.is_open
        if span.is_open:
            assert (span.since_ns - BASE) % HOUR == (span.until_ns - BASE) % HOUR == 0
            found.append(((span.since_ns - BASE) // HOUR, (span.until_ns - BASE) // HOUR))
            assert one.next_open_ns(at_ns, CALENDAR, market) == at_ns
        else:
            assert one.next_open_ns(at_ns, CALENDAR, market) == span.until_ns
        at_ns = span.until_ns
    return found


def test_ends_where_the_market_closes_early() -> None:
    assert spans(schedule(), 60) == [(9, 17), (33, 36), (57, 65)]


def test_ignores_holidays_where_told_or_where_the_product_is_unknown() -> None:
    assert spans(schedule(holidays=False), 60) == [(9, 17), (33, 41), (57, 65)]
    assert spans(schedule(market="QQZ"), 60) == [(9, 17), (33, 41), (57, 65)]
    assert spans(schedule(market="QQZ"), 60, "ES") == [(9, 17), (33, 36), (57, 65)]


def test_without_windows_the_market_decides() -> None:
    assert spans(schedule(windows=()), 60) == [(8, 20), (32, 36), (56, 68)]


def test_reads_its_windows_on_its_own_clock() -> None:
    assert spans(schedule(timezone="East", holidays=False), 40) == [(7, 15), (31, 39)]


def test_joins_windows_that_touch() -> None:
    touching = (Window(0, 9 * HOUR_S), Window(5 * HOUR_S, 7 * HOUR_S), Window(9 * HOUR_S, 12 * HOUR_S))
    assert spans(schedule(windows=touching), 24) == [(0, 12)]


def test_closes_on_dates_from_midnight_to_midnight() -> None:
    nights = (Window(20 * HOUR_S, 30 * HOUR_S), Window(44 * HOUR_S, 54 * HOUR_S))
    closed = schedule(windows=nights, holidays=False, closed_days=(MONDAY_DAY + 1,))
    assert spans(closed, 60) == [(20, 24), (48, 54)]


@pytest.mark.parametrize(("hour", "expected"), [(12, (9, 12)), (17, (9, 17)), (20, (9, 17)), (9, None)])
def test_ends_early_on_dates(hour: int, expected: tuple[int, int] | None) -> None:
    early = schedule(early_closes=(EarlyClose(MONDAY_DAY, hour * HOUR_S),))
    assert spans(early, 30)[:1] == ([] if expected is None else [expected])


def test_an_early_close_leaves_the_next_day_alone() -> None:
    early = schedule(windows=ALWAYS, holidays=False, early_closes=(EarlyClose(MONDAY_DAY, 12 * HOUR_S),))
    assert early.span_at(BASE + 11 * HOUR, CALENDAR).until_ns == BASE + 12 * HOUR
    assert early.next_open_ns(BASE + 12 * HOUR, CALENDAR) == BASE + 24 * HOUR


def test_what_never_changes_is_asked_again_far_ahead() -> None:
    always = schedule(windows=ALWAYS, holidays=False).span_at(BASE, CALENDAR)
    assert always.is_open
    assert always.until_ns == BASE + HORIZON_WEEKS * 7 * 24 * HOUR
    never = schedule(closed_days=tuple(range(MONDAY_DAY - 7, 400)))
    assert never.span_at(BASE, CALENDAR) == Span(False, BASE, BASE + HORIZON_WEEKS * 7 * 24 * HOUR)
    assert never.next_open_ns(BASE, CALENDAR) is None


@pytest.mark.parametrize(
    ("settings", "market", "missing"),
    [
        ({}, None, None),
        ({"timezone": "West"}, None, "time zone West unknown"),
        ({"market": "QQZ"}, None, None),
        ({"market": "QQZ", "windows": ()}, None, "no sessions known of QQZ"),
        ({"market": "QQZ", "windows": ()}, "ES", None),
        ({"windows": ()}, "QQZ", "no sessions known of QQZ"),
    ],
)
def test_says_what_the_calendar_lacks(settings: dict[str, object], market: str | None, missing: str | None) -> None:
    one = schedule(**settings)
    assert one.lacks(CALENDAR, market) == missing
    if missing is not None:
        with pytest.raises(LookupError, match=missing):
            one.is_open(BASE, CALENDAR, market)


def test_windows_stand_in_order() -> None:
    with pytest.raises(AssertionError):
        schedule(windows=DAYS[::-1])

"""A market's sessions: its week, what deviates from it, and where the data ends. Times are hours from a Monday."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_manager.domain.calendar import (
    EMPTY,
    HORIZON_WEEKS,
    Calendar,
    Market,
    Span,
    Week,
    Window,
    in_order,
    joined,
    span_at,
    windows_from,
)
from risk_manager.domain.zone import UTC, WEEK_S

HOUR_S = 3_600
HOUR = HOUR_S * 1_000_000_000
DAY = 24 * HOUR
MONDAY_DAY = 4  # 1970-01-05
BASE = MONDAY_DAY * DAY


def window(start_hour: int, end_hour: int) -> Window:
    return Window(start_hour * HOUR_S, end_hour * HOUR_S)


def market(*weeks: Week, closures: tuple[tuple[int, int], ...] = ()) -> Market:
    starts, ends = (tuple(BASE + hours[side] * HOUR for hours in closures) for side in (0, 1))
    return Market("test", UTC, weeks, starts, ends, BASE, BASE + 100 * DAY)


# Monday 9-17, Tuesday 9-17, and from Sunday 22 to Monday 6.
WEEK = Week(0, (window(9, 17), window(24 + 9, 24 + 17), window(6 * 24 + 22, 7 * 24 + 6)))


def hours(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    return [((start - BASE) // HOUR, (end - BASE) // HOUR) for start, end in spans]


def first(place: Market, at_hour: int, count: int) -> list[tuple[int, int]]:
    found = []
    for session in place.sessions(BASE + at_hour * HOUR):
        found.append(session)
        if len(found) == count:
            break
    return hours(found)


def test_repeats_its_week() -> None:
    assert first(market(WEEK), 0, 5) == [(-2, 6), (9, 17), (33, 41), (166, 174), (177, 185)]


@pytest.mark.parametrize(("at_hour", "start"), [(5, -2), (6, 9), (16, 9), (17, 33), (41, 166)])
def test_leaves_out_the_sessions_that_have_ended(at_hour: int, start: int) -> None:
    assert first(market(WEEK), at_hour, 1)[0][0] == start


def test_takes_closures_out() -> None:
    place = market(WEEK, closures=((0, 6), (12, 13), (15, 20), (33, 41)))
    assert first(place, -2, 5) == [(-2, 0), (9, 12), (13, 15), (166, 174), (177, 185)]


def test_changes_its_week_with_the_first_window_of_a_day() -> None:
    tuesday = MONDAY_DAY + 1
    weeks = (
        Week(tuesday - 1, (window(24, 25),)),  # the first one holds before its day too
        Week(tuesday, (window(24, 26),)),
        Week(tuesday + 7, (window(24, 27),)),
    )
    assert first(market(*weeks), -7 * 24, 4) == [(-144, -143), (24, 26), (192, 195), (360, 363)]


def test_changes_its_week_on_a_day() -> None:
    later = Week(MONDAY_DAY + 1, (window(24 + 20, 24 + 21),))
    assert first(market(WEEK, later), 0, 4) == [(-2, 6), (9, 17), (44, 45), (212, 213)]


@pytest.mark.parametrize(
    ("at_hour", "expected"), [(8, (False, 8, 9)), (9, (True, 9, 17)), (16, (True, 9, 17)), (17, (False, 17, 33))]
)
def test_says_whether_it_trades(at_hour: int, expected: tuple[bool, int, int]) -> None:
    is_open, since, until = expected
    span = market(WEEK).span_at(BASE + at_hour * HOUR)
    assert span == Span(is_open, BASE + since * HOUR, BASE + until * HOUR)


def test_knows_where_its_data_ends() -> None:
    place = market(WEEK)
    assert [place.is_known(BASE + at) for at in (-1, 0, 100 * DAY - 1, 100 * DAY)] == [False, True, True, False]


def test_windows_stand_in_order() -> None:
    with pytest.raises(AssertionError):
        Week(0, (window(9, 10), window(1, 2)))
    assert in_order((window(1, 2), window(1, 3), window(2, 3)))


@pytest.mark.parametrize(
    ("at_hour", "first"),
    [(64, (9, 17)), (65, (33, 41)), (88, (33, 41)), (89, (177, 185)), (15, (9, 17)), (-80, (-135, -127))],
)
def test_windows_repeat_from_two_days_before_up_to_the_horizon(at_hour: int, first: tuple[int, int]) -> None:
    walls = list(windows_from((window(9, 17), window(33, 41)), BASE + at_hour * HOUR))
    assert hours(walls[:1]) == [first]
    weeks = HORIZON_WEEKS - (at_hour < 0)
    assert hours(walls[-1:]) == [(33 + 168 * (weeks - 1), 41 + 168 * (weeks - 1))]


@pytest.mark.parametrize(("start", "end"), [(5, 5), (6, 5), (-1, 5), (7 * 24, 7 * 24 + 1), (0, 7 * 24 + 1)])
def test_a_window_is_at_most_a_week_long(start: int, end: int) -> None:
    with pytest.raises(AssertionError):
        window(start, end)
    assert window(24, 8 * 24).end_s == 24 * HOUR_S + WEEK_S


# -- joining -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("intervals", "from_ns", "expected"),
    [
        ([], 0, []),
        ([(1, 3), (3, 5), (4, 6), (8, 9)], 0, [(1, 6), (8, 9)]),
        ([(1, 9), (2, 3), (9, 10)], 0, [(1, 10)]),
        ([(1, 3), (5, 7)], 3, [(5, 7)]),
        ([(1, 3), (5, 7)], 2, [(1, 3), (5, 7)]),
        ([(1, 5), (5, 7)], 5, [(5, 7)]),
        ([(4, 4), (5, 7)], 0, [(5, 7)]),
    ],
)
def test_joins_what_touches(intervals: list[tuple[int, int]], from_ns: int, expected: list[tuple[int, int]]) -> None:
    assert list(joined(iter(intervals), from_ns)) == expected


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 12))), st.integers(0, 60))
def test_joined_intervals_hold_the_same_instants(pieces: list[tuple[int, int]], from_ns: int) -> None:
    intervals = sorted((start, start + length) for start, length in pieces)
    result = list(joined(iter(intervals), from_ns))
    instants = {at for start, end in intervals for at in range(start, end) if at >= from_ns}
    assert {at for start, end in result for at in range(start, end) if at >= from_ns} == instants
    assert all(one[1] < other[0] for one, other in pairwise(result))
    span = span_at(iter(intervals), from_ns)
    assert span.is_open is (from_ns in instants)


def test_nothing_ahead_is_asked_again_after_the_horizon() -> None:
    assert span_at(iter(()), 5) == Span(False, 5, 5 + HORIZON_WEEKS * 7 * DAY)


# -- looking up --------------------------------------------------------------------------------------------------------


def test_finds_a_market_by_product_alias_and_group() -> None:
    place = market(WEEK)
    calendar = Calendar(markets={"test": place}, group_by_root={"ES": "test", "EP": "test", "ZZ": "gone"})
    assert calendar.market("ES") is calendar.market("ep") is calendar.market("test") is place
    assert (calendar.market("NQ"), calendar.market("ZZ")) == (None, None)


def test_an_empty_calendar_knows_utc_only() -> None:
    assert EMPTY.zone("UTC") is UTC
    assert EMPTY.zone("America/Chicago") is None
    assert EMPTY.market("ES") is None

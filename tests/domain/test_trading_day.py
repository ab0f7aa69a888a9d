"""Every instant belongs to exactly one trading day."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_manager.domain.trading_day import TradingDay, TradingDays

DAYS = TradingDays((100, 200, 350), ("mon", "tue"))


@pytest.mark.parametrize(
    ("at_ns", "expected"),
    [
        (0, TradingDay("mon", 100, 200)),  # before the table
        (100, TradingDay("mon", 100, 200)),
        (199, TradingDay("mon", 100, 200)),
        (200, TradingDay("tue", 200, 350)),  # the start is inclusive, the end is not
        (349, TradingDay("tue", 200, 350)),
        (350, TradingDay("tue", 200, 350)),  # after the table
        (10**18, TradingDay("tue", 200, 350)),
    ],
)
def test_finds_the_day(at_ns: int, expected: TradingDay) -> None:
    assert DAYS.day_of(at_ns) == expected


@given(st.lists(st.integers(0, 1000), min_size=2, max_size=20, unique=True).map(sorted), st.integers(0, 1000))
def test_puts_every_instant_of_the_table_between_start_and_end(starts: list[int], at_ns: int) -> None:
    days = TradingDays(tuple(starts), tuple(str(count) for count in range(len(starts) - 1)))
    day = days.day_of(at_ns)
    if starts[0] <= at_ns < starts[-1]:
        assert day.start_ns <= at_ns < day.end_ns


WEEK = TradingDays((100, 200, 300, 400, 500), ("01", "02", "03", "04"))


@pytest.mark.parametrize(
    ("day", "starts_ns", "labels"),
    [
        # One of its own changes nothing.
        (TradingDay("02", 200, 300), (100, 200, 300, 400, 500), ("01", "02", "03", "04")),
        # The next date begins where the carried day ends, whether it would have begun before or after that.
        (TradingDay("02", 250, 350), (100, 250, 350, 400, 500), ("01", "02", "03", "04")),
        (TradingDay("02", 150, 250), (100, 150, 250, 400, 500), ("01", "02", "03", "04")),
        (TradingDay("02", 200, 299), (100, 200, 299, 400, 500), ("01", "02", "03", "04")),
        (TradingDay("02", 200, 301), (100, 200, 301, 400, 500), ("01", "02", "03", "04")),
        (TradingDay("02", 199, 300), (100, 199, 300, 400, 500), ("01", "02", "03", "04")),
        (TradingDay("02", 201, 300), (100, 201, 300, 400, 500), ("01", "02", "03", "04")),
        # A day that holds several of ours, as over a weekend.
        (TradingDay("02", 190, 420), (100, 190, 420, 500), ("01", "02", "04")),
        # At the ends of the table, and beyond them.
        (TradingDay("01", 50, 150), (50, 150, 300, 400, 500), ("01", "02", "03", "04")),
        (TradingDay("04", 450, 550), (100, 200, 300, 450, 550), ("01", "02", "03", "04")),
        (TradingDay("00", 10, 20), (10, 20, 200, 300, 400, 500), ("00", "01", "02", "03", "04")),
        (TradingDay("09", 900, 999), (100, 200, 300, 400, 900, 999), ("01", "02", "03", "04", "09")),
    ],
)
def test_carries_a_day_of_another_table(day: TradingDay, starts_ns: tuple[int, ...], labels: tuple[str, ...]) -> None:
    assert WEEK.carrying([day]) == TradingDays(starts_ns, labels)
    assert WEEK.carrying([day]).day_of(day.end_ns - 1) == day


def test_of_two_carried_days_that_overlap_the_later_ending_one_is_kept() -> None:
    earlier, later = TradingDay("02", 150, 250), TradingDay("02", 180, 280)
    for days in ([earlier, later], [later, earlier]):
        assert WEEK.carrying(days).day_of(200) == later


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 900), st.integers(1, 200)), max_size=4))
def test_a_table_that_carries_days_is_one_all_the_same(drawn: list[tuple[int, int, int]]) -> None:
    days = WEEK.carrying(TradingDay(f"{label:02d}", start, start + length) for label, start, length in drawn)
    assert list(days.starts_ns) == sorted(set(days.starts_ns))
    assert list(days.labels) == sorted(set(days.labels))


def test_needs_a_label_for_each_day() -> None:
    with pytest.raises(AssertionError):
        TradingDays((1, 2), ())
    with pytest.raises(AssertionError):
        TradingDays((1,), ())

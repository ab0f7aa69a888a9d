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


def test_needs_a_label_for_each_day() -> None:
    with pytest.raises(AssertionError):
        TradingDays((1, 2), ())
    with pytest.raises(AssertionError):
        TradingDays((1,), ())

"""What is made of a bar."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_manager.domain.order import Side
from risk_manager.simulator.feeds import FeedPrint, FeedQuote
from risk_manager.simulator.feeds.bar_path import Bar, bar_items

START_NS = 1_000_000_000_000
MINUTE_NS = 60_000_000_000


@st.composite
def bars(draw: st.DrawFn) -> Bar:
    low = draw(st.integers(-50, 50))
    high = low + draw(st.integers(0, 60))
    within = st.integers(low, high)
    volume = draw(st.none() | st.integers(0, 500))
    return Bar("ES", START_NS, draw(within), high, low, draw(within), volume)


@pytest.mark.parametrize(
    ("bar", "path"),
    [
        (Bar("ES", 0, 100, 102, 99, 101, 60), [100, 99, 100, 101, 102, 101]),
        (Bar("ES", 0, 101, 102, 99, 100, 60), [101, 102, 101, 100, 99, 100]),
        (Bar("ES", 0, 100, 101, 99, 100, 60), [100, 99, 100, 101, 100]),
        (Bar("ES", 0, 100, 100, 100, 100, 60), [100]),
    ],
)
def test_visits_the_adverse_extreme_first(bar: Bar, path: list[int]) -> None:
    assert [item.price_ticks for item in bar_items(bar, MINUTE_NS) if isinstance(item, FeedPrint)] == path


def test_rises_at_the_ask_and_falls_at_the_bid() -> None:
    items = list(bar_items(Bar("ES", 0, 100, 101, 99, 101, 40), 4_000))

    assert items == [
        FeedQuote("ES", 100, 101, 0, 0, 0),
        FeedPrint("ES", 100, 10, Side.SELL, 0),
        FeedQuote("ES", 99, 100, 0, 0, 1_000),
        FeedPrint("ES", 99, 10, Side.SELL, 1_000),
        FeedQuote("ES", 99, 100, 0, 0, 2_000),
        FeedPrint("ES", 100, 10, Side.BUY, 2_000),
        FeedQuote("ES", 100, 101, 0, 0, 3_000),
        FeedPrint("ES", 101, 10, Side.BUY, 3_000),
    ]


def test_goes_a_long_way_in_few_steps() -> None:
    bar = Bar("ES", 0, 0, 1_000, 0, 1_000, None)

    prices = [item.price_ticks for item in bar_items(bar, MINUTE_NS, most_steps=4) if isinstance(item, FeedPrint)]

    assert prices == [0, 250, 500, 750, 1_000]


def test_without_volume_only_quotes_move() -> None:
    assert not [item for item in bar_items(Bar("ES", 0, 1, 3, 0, 2, 0), MINUTE_NS) if isinstance(item, FeedPrint)]


@given(bars())
def test_stays_within_the_bar_and_its_time(bar: Bar) -> None:
    items = list(bar_items(bar, MINUTE_NS))
    prints = [item for item in items if isinstance(item, FeedPrint)]
    prices = [item.price_ticks for item in prints]
    times = [item.at_ns for item in items]

    assert times == sorted(times)
    assert START_NS == times[0] <= times[-1] < START_NS + MINUTE_NS
    if bar.volume != 0:
        assert (prices[0], prices[-1]) == (bar.open_ticks, bar.close_ticks)
        assert (min(prices), max(prices)) == (bar.low_ticks, bar.high_ticks)
    if bar.volume is not None and bar.volume >= 4:
        assert sum(item.size for item in prints) == bar.volume

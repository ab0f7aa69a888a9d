"""Feeds made from feeds."""

from itertools import count

from risk_manager.simulator.feeds import FeedItem, FeedPrint
from risk_manager.simulator.feeds.streams import merged, shifted


def prints(name: str, *times_ns: int) -> list[FeedItem]:
    return [FeedPrint(name, 100, 1, None, at_ns) for at_ns in times_ns]


def order(items: list[FeedItem]) -> list[tuple[str, int]]:
    return [(item.contract_id, item.at_ns) for item in items]


def test_merges_in_order_of_time_and_ends_with_the_main_feed() -> None:
    endless = (FeedPrint("b", 100, 1, None, at_ns) for at_ns in count(2, 3))

    mixed = list(merged(prints("a", 1, 5, 9), endless, prints("c", 4, 4, 8, 30)))

    assert order(mixed) == [("a", 1), ("b", 2), ("c", 4), ("c", 4), ("a", 5), ("b", 5), ("b", 8), ("c", 8), ("a", 9)]


def test_a_feed_alone_stays_as_it_is() -> None:
    assert list(merged(prints("a", 1, 1, 2))) == prints("a", 1, 1, 2)


def test_shifts_the_clock_to_a_start() -> None:
    assert list(shifted(prints("a", 100, 103), 1_000)) == prints("a", 1_000, 1_003)
    assert list(shifted([], 1_000)) == []

"""Feeds made from feeds."""

from collections.abc import Iterator
from itertools import chain

import msgspec

from risk_manager.simulator.feeds import Feed, FeedItem


def merged(main: Feed, *others: Feed) -> Iterator[FeedItem]:
    """One stream in time order that ends with `main`; at equal instants `main` first, then the others as given."""
    waiting = [iter(feed) for feed in others]
    heads = [next(feed, None) for feed in waiting]
    for item in main:
        while True:
            due = [(head.at_ns, index) for index, head in enumerate(heads) if head and head.at_ns < item.at_ns]
            if not due:
                break
            _, index = min(due)
            head = heads[index]
            assert head is not None, index
            yield head
            heads[index] = next(waiting[index], None)
        yield item


def shifted(feed: Feed, start_ns: int) -> Iterator[FeedItem]:
    """The same stream with its clock moved so that the first item happens at `start_ns`."""
    items = iter(feed)
    first = next(items, None)
    if first is None:
        return
    by_ns = start_ns - first.at_ns
    for item in chain([first], items):
        yield msgspec.structs.replace(item, at_ns=item.at_ns + by_ns)

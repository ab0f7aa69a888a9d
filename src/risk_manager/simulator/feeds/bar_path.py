"""What happened inside a bar, as far as four prices tell: open, adverse extreme, favourable extreme, close.

The adverse extreme is the one against the bar's own direction and comes first: an up bar (close >= open) visits its
low, then its high; a down bar its high, then its low. Between these corners the price walks in equal steps, so that
stops and limits inside the bar meet a price near theirs and not only the extremes. On the way up buyers lift the ask
(ask = price), on the way down sellers hit the bid (bid = price). The bar's volume is spread evenly over the steps; a
bar of volume 0 moves quotes and prints nothing.
"""

from collections.abc import Iterator

import msgspec

from risk_manager.domain.order import Side
from risk_manager.simulator.feeds import FeedItem, FeedPrint, FeedQuote


class Bar(msgspec.Struct, frozen=True, gc=False):
    """A bar in ticks; `volume` is None where the file has no such column (then every step prints one contract)."""

    contract_id: str
    start_ns: int
    open_ticks: int
    high_ticks: int
    low_ticks: int
    close_ticks: int
    volume: int | None


def bar_items(bar: Bar, interval_ns: int, *, spread_ticks: int = 1, most_steps: int = 12) -> Iterator[FeedItem]:
    """The bar's quotes and prints, from its start to before `start_ns + interval_ns`.

    Args:
        most_steps: on each of the three legs; fewer where the leg is shorter or the volume would not go round.
    """
    points = _points(bar, most_steps)
    if bar.volume is not None and 0 < bar.volume < len(points):
        points = _points(bar, 1)
    count = len(points)
    for index, (price, is_up) in enumerate(points):
        at_ns = bar.start_ns + interval_ns * index // count
        bid = price - spread_ticks if is_up else price
        yield FeedQuote(bar.contract_id, bid, bid + spread_ticks, 0, 0, at_ns)
        size = _share(bar.volume, index, count)
        if size:
            yield FeedPrint(bar.contract_id, price, size, Side.BUY if is_up else Side.SELL, at_ns)


def _points(bar: Bar, most_steps: int) -> list[tuple[int, bool]]:
    """Prices in order and whether each was reached going up; repetitions of a price left out."""
    corners = (bar.low_ticks, bar.high_ticks) if bar.close_ticks >= bar.open_ticks else (bar.high_ticks, bar.low_ticks)
    points = [(bar.open_ticks, corners[0] == bar.high_ticks)]
    for corner in (*corners, bar.close_ticks):
        start = points[-1][0]
        steps = min(abs(corner - start), most_steps)
        # Whole ticks by rounding toward the start; the last step lands on the corner exactly.
        way = [start + (corner - start) * step // steps for step in range(1, steps + 1)]
        points += [(price, corner > start) for price in way]
    return points


def _share(volume: int | None, index: int, count: int) -> int:
    if volume is None:
        return 1
    if 0 < volume < count:
        return 1
    return volume * (index + 1) // count - volume * index // count

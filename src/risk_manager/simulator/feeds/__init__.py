"""Market data for the simulator: recorded tapes and an invented market, all as one stream of quotes and prints.

A feed is an iterable of `FeedQuote` and `FeedPrint` whose `at_ns` never falls. Tapes can be read again from the start;
a bare iterator serves as a feed too, once.
"""

from collections.abc import Iterable

import msgspec

from risk_manager.domain.order import Side


class FeedQuote(msgspec.Struct, frozen=True, gc=False, tag="quote"):
    """The best prices of a contract changed: bid below ask, or equal where the source shows a locked market.

    Attributes:
        bid_size, ask_size: contracts at the best price, 0 where the source does not say.
        at_ns: the recording's own time, UTC epoch nanoseconds.
    """

    contract_id: str
    bid_ticks: int
    ask_ticks: int
    bid_size: int
    ask_size: int
    at_ns: int


class FeedPrint(msgspec.Struct, frozen=True, gc=False, tag="print"):
    """Others traded.

    Attributes:
        size: contracts, > 0.
        aggressor: who crossed the spread; None in an auction or where the source does not say.
        at_ns: the recording's own time, UTC epoch nanoseconds.
    """

    contract_id: str
    price_ticks: int
    size: int
    aggressor: Side | None
    at_ns: int


FeedItem = FeedQuote | FeedPrint
Feed = Iterable[FeedItem]


class TapeError(Exception):
    """A recording cannot be used; the message says what is wrong, where, and what to do."""


def ticks_of_nanos(price_nanos: int, tick_size_nanos: int) -> int:
    """A price in 1e-9 units as a whole number of ticks.

    Raises:
        ValueError: the price lies between two ticks.
    """
    ticks, rest = divmod(price_nanos, tick_size_nanos)
    if rest:
        raise ValueError(f"{price_nanos} e-9 is not a multiple of the tick size {tick_size_nanos} e-9")
    return ticks

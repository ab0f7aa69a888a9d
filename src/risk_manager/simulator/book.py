"""One contract's market: the top of book, what rests in it, and at which price an order would fill.

- A resting limit fills at its own price once the opposite quote touches or crosses it (buy: ask <= limit); a limit that
  is marketable when it arrives fills at the quote. Prints do not fill limits.
- A stop triggers when the side it would take touches its price (sell: bid <= stop, buy: ask >= stop) or when a print is
  at or through it, and then fills at the quote, however far that is.
- A trailing stop follows the last print at its fixed distance, only ever toward the market, and triggers like a stop.
"""

import msgspec

from risk_manager.domain.order import OrderType, Side
from risk_manager.simulator.emissions import QuoteChanged
from risk_manager.simulator.records import SimContract, SimOrder, Top

LIMIT_LIKE = frozenset({OrderType.LIMIT, OrderType.JOIN_BID, OrderType.JOIN_ASK})
STOP_LIKE = frozenset({OrderType.STOP, OrderType.TRAILING_STOP})


class Book:
    """Mutable; sizes are contracts, prices ticks. `resting` is in order of arrival, which is the order of matching."""

    __slots__ = (
        "ask_size",
        "ask_ticks",
        "at_ns",
        "bid_size",
        "bid_ticks",
        "contract",
        "high_ticks",
        "is_halted",
        "is_shut",
        "last_ticks",
        "low_ticks",
        "open_ticks",
        "resting",
        "triggered",
        "volume",
    )

    def __init__(self, contract: SimContract) -> None:
        self.contract = contract
        self.bid_ticks: int | None = None
        self.ask_ticks: int | None = None
        self.last_ticks: int | None = None
        self.open_ticks: int | None = None
        self.high_ticks: int | None = None
        self.low_ticks: int | None = None
        self.volume: int | None = None
        self.bid_size = 0
        self.ask_size = 0
        self.at_ns = 0
        self.is_halted = False
        # Outside the venue's hours; a halt is of one contract, and both may be.
        self.is_shut = False
        self.resting: dict[int, SimOrder] = {}
        # Stops whose price was reached: from then on they take the quote like a market order.
        self.triggered: set[int] = set()

    def top(self) -> Top:
        """The merged quote as a value."""
        return Top(
            contract_id=self.contract.id,
            bid_ticks=self.bid_ticks,
            ask_ticks=self.ask_ticks,
            last_ticks=self.last_ticks,
            open_ticks=self.open_ticks,
            high_ticks=self.high_ticks,
            low_ticks=self.low_ticks,
            volume=self.volume,
            bid_size=self.bid_size,
            ask_size=self.ask_size,
            at_ns=self.at_ns,
        )

    def print(self, price_ticks: int, size: int, at_ns: int) -> tuple[str, ...]:
        """Fold a print; return the names of the members that changed."""
        changed = []
        if self.last_ticks != price_ticks:
            self.last_ticks = price_ticks
            changed.append("last_ticks")
        if self.open_ticks is None:
            self.open_ticks = price_ticks
            changed.append("open_ticks")
        if self.high_ticks is None or price_ticks > self.high_ticks:
            self.high_ticks = price_ticks
            changed.append("high_ticks")
        if self.low_ticks is None or price_ticks < self.low_ticks:
            self.low_ticks = price_ticks
            changed.append("low_ticks")
        self.volume = size if self.volume is None else self.volume + size
        self.at_ns = at_ns
        return (*changed, "volume")

    def changed(self, names: tuple[str, ...]) -> QuoteChanged:
        return QuoteChanged(self.contract.id, self.top(), names, self.at_ns)

    def taking_ticks(self, side: Side) -> int | None:
        """The quote a taker pays: ask for a buy, bid for a sell; None without one."""
        return self.ask_ticks if side is Side.BUY else self.bid_ticks

    def fill_ticks(self, order: SimOrder) -> int | None:
        """The price a resting order fills at on the present quote; None while it must wait."""
        quote = self.taking_ticks(order.side)
        if quote is None or self.is_halted or self.is_shut:
            return None
        if order.type is OrderType.MARKET or order.id in self.triggered:
            return quote
        if order.type in STOP_LIKE:
            return quote if order.stop_ticks is not None and _is_reached(order.side, quote, order.stop_ticks) else None
        limit = order.limit_ticks
        return limit if limit is not None and is_marketable(order.side, quote, limit) else None

    def arrival_ticks(self, order: SimOrder) -> int | None:
        """The price an order fills at that has just come in or been moved: a marketable limit gets the quote."""
        ticks = self.fill_ticks(order)
        return self.taking_ticks(order.side) if ticks is not None and order.type in LIMIT_LIKE else ticks

    def is_triggered_by_print(self, order: SimOrder) -> bool:
        """Whether the last print is at or through a stop's price."""
        if order.type not in STOP_LIKE or order.stop_ticks is None or self.last_ticks is None:
            return False
        return _is_reached(order.side, self.last_ticks, order.stop_ticks)

    def trailed_ticks(self, order: SimOrder) -> int | None:
        """A trailing stop's level after the last print, if the print moves it; else None."""
        if order.type is not OrderType.TRAILING_STOP or order.trail_ticks is None or self.last_ticks is None:
            return None
        level = trail_level_ticks(order.side, self.last_ticks, order.trail_ticks)
        assert order.stop_ticks is not None, order
        is_closer = level < order.stop_ticks if order.side is Side.BUY else level > order.stop_ticks
        return level if is_closer else None

    def amended(
        self,
        order: SimOrder,
        *,
        size: int | None,
        limit_ticks: int | None,
        stop_ticks: int | None,
        trail_ticks: int | None,
    ) -> SimOrder:
        """The order with the members that are not None changed; prices its type does not have are ignored."""
        if size is not None:
            order = msgspec.structs.replace(order, size=size)
        if order.type in LIMIT_LIKE and limit_ticks is not None:
            return msgspec.structs.replace(order, limit_ticks=limit_ticks)
        if order.type is OrderType.STOP and stop_ticks is not None:
            return msgspec.structs.replace(order, stop_ticks=stop_ticks)
        if order.type is OrderType.TRAILING_STOP and trail_ticks is not None and self.last_ticks is not None:
            level = trail_level_ticks(order.side, self.last_ticks, trail_ticks)
            return msgspec.structs.replace(order, trail_ticks=trail_ticks, stop_ticks=level)
        return order


def is_marketable(side: Side, quote_ticks: int, limit_ticks: int) -> bool:
    """Whether a limit touches or crosses the quote on the other side."""
    return quote_ticks <= limit_ticks if side is Side.BUY else quote_ticks >= limit_ticks


def trail_level_ticks(side: Side, last_ticks: int, trail_ticks: int) -> int:
    """Where a trailing stop stands: below the last price for a sell, above for a buy; any sign of the distance."""
    return last_ticks + side.sign * abs(trail_ticks)


def is_wrong_side(side: Side, quote_ticks: int | None, stop_ticks: int) -> bool:
    """Whether a stop's price is already reached by the quote it would take, so that it cannot rest."""
    return quote_ticks is not None and _is_reached(side, quote_ticks, stop_ticks)


def _is_reached(side: Side, price_ticks: int, stop_ticks: int) -> bool:
    return price_ticks >= stop_ticks if side is Side.BUY else price_ticks <= stop_ticks

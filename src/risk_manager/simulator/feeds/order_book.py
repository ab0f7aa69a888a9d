"""The book of one contract rebuilt from single orders: what a market-by-order recording leaves to the reader.

Prices are whatever integers the recording uses; only their order matters here. The semantics are those of Databento's
`mbo` schema ("State management of resting orders"): cancels may be partial, an unknown order that is modified counts as
added, and trades and fills leave the book alone because the cancel that follows them carries the change.
"""

from heapq import heappop, heappush

import msgspec


class Best(msgspec.Struct, frozen=True, gc=False):
    """The best bid and offer with the contracts resting there."""

    bid: int
    ask: int
    bid_size: int
    ask_size: int


class _Levels:
    """Total size by price of one side; a heap with lazy removal finds the best price."""

    def __init__(self, sign: int) -> None:
        self._sign = sign
        self._sizes: dict[int, int] = {}
        self._heap: list[int] = []

    def change(self, price: int, by: int) -> None:
        size = self._sizes.get(price, 0) + by
        assert size >= 0, (price, by, size)
        if size == 0:
            del self._sizes[price]
            return
        if price not in self._sizes:
            heappush(self._heap, price * self._sign)
        self._sizes[price] = size

    def best(self) -> tuple[int, int] | None:
        """The best price and its size; None on an empty side."""
        while self._heap:
            price = self._heap[0] * self._sign
            size = self._sizes.get(price)
            if size is not None:
                return price, size
            heappop(self._heap)
        return None


class OrderBook:
    """Resting orders by id, and the two sides they add up to."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget every order."""
        self._orders: dict[int, tuple[_Levels, int, int]] = {}
        self._bids = _Levels(-1)
        self._asks = _Levels(1)

    def __len__(self) -> int:
        return len(self._orders)

    def add(self, order_id: int, *, is_bid: bool, price: int, size: int) -> None:
        """Rest an order; one known under this id (it was modified) takes the new price and size, 0 removes it."""
        self._remove(order_id)
        if size == 0:
            return
        side = self._bids if is_bid else self._asks
        self._orders[order_id] = (side, price, size)
        side.change(price, size)

    def cancel(self, order_id: int, size: int) -> None:
        """Take `size` off an order, and the order away when nothing is left; an unknown id changes nothing."""
        known = self._orders.get(order_id)
        if known is None:
            return
        side, price, resting = known
        self._remove(order_id)
        if resting > size:
            self._orders[order_id] = (side, price, resting - size)
            side.change(price, resting - size)

    def best(self) -> Best | None:
        """The best bid and offer; None while a side is empty or the sides cross or lock."""
        bid, ask = self._bids.best(), self._asks.best()
        if bid is None or ask is None or bid[0] >= ask[0]:
            return None
        return Best(bid[0], ask[0], bid[1], ask[1])

    def _remove(self, order_id: int) -> None:
        known = self._orders.pop(order_id, None)
        if known is not None:
            side, price, size = known
            side.change(price, -size)

"""An account's orders that can still fill, folded from what the stream and the snapshots say of them."""

from collections.abc import Iterable

from risk_manager.domain.order import Order
from risk_manager.engine.lag import SNAPSHOT_LAG_NS

ORDER_TIME_STEP_NS = 1_000
"""REST rounds update times to microseconds, the stream has 100 ns; within a step two times are equal."""


class WorkingOrders:
    """Attributes: by_id: the orders; changed in place, never replaced."""

    def __init__(self) -> None:
        self.by_id: dict[str, Order] = {}
        self.received_ns: dict[str, int] = {}
        self.done: dict[str, int] = {}

    def take(self, order: Order, received_ns: int) -> None:
        """Note what an order is said to be; one that has ended once stays ended."""
        if order.id in self.done:
            return
        if order.status.is_terminal:
            self.done[order.id] = order.updated_ns
            self._drop(order.id)
            return
        known = self.by_id.get(order.id)
        if known is None or not _is_outdated(order, known):
            self.by_id[order.id] = order
            self.received_ns[order.id] = received_ns

    def drop_missing(self, listed: Iterable[Order], requested_ns: int) -> None:
        """Drop what a list asked for at `requested_ns` (local time) lacks, unless it may be too young for it."""
        ids = {order.id for order in listed}
        for order_id in [order_id for order_id in self.by_id if order_id not in ids]:
            if self.received_ns[order_id] < requested_ns - SNAPSHOT_LAG_NS:
                self._drop(order_id)

    def forget_ended(self, before_ns: int) -> None:
        """Forget what ended before an instant of the venue."""
        self.done = {order_id: at_ns for order_id, at_ns in self.done.items() if at_ns >= before_ns}

    def shift(self, by_ns: int) -> None:
        """Move every local time."""
        self.received_ns = {order_id: at_ns + by_ns for order_id, at_ns in self.received_ns.items()}

    def load(self, orders: Iterable[Order], received_ns: dict[str, int], done: dict[str, int]) -> None:
        """Become what an image remembers."""
        self.by_id.clear()
        self.by_id.update((order.id, order) for order in orders)
        self.received_ns, self.done = received_ns, done

    def _drop(self, order_id: str) -> None:
        self.by_id.pop(order_id, None)
        self.received_ns.pop(order_id, None)


def _is_outdated(order: Order, known: Order) -> bool:
    """Whether `order` describes a state before `known`; at one instant the state with more filled is the later one.

    One whose time could not be read is taken for the later one as well, unless less of it is filled: where only
    snapshots show an order, it would never change otherwise.
    """
    if order.updated_ns == 0 or abs(order.updated_ns - known.updated_ns) <= ORDER_TIME_STEP_NS:
        return order.filled < known.filled
    return order.updated_ns < known.updated_ns

"""An instruction resting at, or on its way through, the venue."""

from enum import StrEnum

import msgspec


class Side(StrEnum):
    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell: how a fill moves net contracts."""
        return 1 if self is Side.BUY else -1


class OrderType(StrEnum):
    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"
    TRAILING_STOP = "trailing_stop"
    JOIN_BID = "join_bid"
    JOIN_ASK = "join_ask"
    UNKNOWN = "unknown"


class OrderStatus(StrEnum):
    """WORKING rests and can fill; PENDING is on its way; SUSPENDED waits for its parent; UNKNOWN counts as working."""

    WORKING = "working"
    PENDING = "pending"
    SUSPENDED = "suspended"
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    UNKNOWN = "unknown"

    @property
    def is_terminal(self) -> bool:
        return self in _TERMINAL


_TERMINAL = frozenset({OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.EXPIRED, OrderStatus.REJECTED})


class Order(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """An order as the venue last described it.

    Attributes:
        size: contracts ordered, > 0.   filled: contracts executed so far.
        limit_ticks, stop_ticks: prices in ticks of the contract; None where it has none or the tick size is unknown.
        created_ns: the venue's creation time; 0 where it cannot be read.
        updated_ns: the venue's time of this state; orders of one id are ranked by it. 0 where it cannot be read.
        tag: the sender's own mark, unique per account at the venue; where this run of the guard placed it,
            the id of the action.
    """

    id: str
    contract_id: str
    side: Side
    type: OrderType
    status: OrderStatus
    size: int
    filled: int = 0
    limit_ticks: int | None = None
    stop_ticks: int | None = None
    created_ns: int = 0
    updated_ns: int = 0
    tag: str | None = None
    parent_id: str | None = None

    @property
    def remaining(self) -> int:
        """Contracts that may still fill, never negative."""
        return self.size - self.filled if self.size > self.filled else 0

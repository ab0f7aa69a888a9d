"""Which working orders would add exposure if they filled."""

from collections.abc import Mapping

from risk_manager.domain.order import Order, OrderStatus, OrderType

_STOPS = frozenset({OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP})


def net_after_fill(order: Order, net_contracts: int) -> int:
    """Signed contracts held once the rest of `order` has filled."""
    return net_contracts + order.side.sign * order.remaining


def is_opening(order: Order, net_contracts: int) -> bool:
    """Whether a fill would raise |position| or flip it; the excess part of an oversized stop counts."""
    if order.remaining == 0:
        return False
    return order.side.sign * net_contracts >= 0 or order.remaining > abs(net_contracts)


def is_protective_stop(order: Order, net_contracts: int) -> bool:
    """Whether the order is a stop on the closing side of an open position, of whatever size."""
    return order.type in _STOPS and order.side.sign * net_contracts < 0


def leaves_with_parent(order: Order, orders: Mapping[str, Order]) -> bool:
    """Whether the venue removes the order itself when its entry goes: a suspended child of a working order."""
    return order.status is OrderStatus.SUSPENDED and order.parent_id in orders

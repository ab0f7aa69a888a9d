"""Which working orders would add exposure if they filled."""

from collections.abc import Mapping

from risk_manager.domain.order import Order, OrderStatus


def net_after_fill(order: Order, net_contracts: int) -> int:
    """Signed contracts held once the rest of `order` has filled."""
    return net_contracts + order.side.sign * order.remaining


def is_opening(order: Order, net_contracts: int) -> bool:
    """Whether a fill would raise |position| or flip it; the excess part of an oversized stop counts."""
    if order.remaining == 0:
        return False
    return order.side.sign * net_contracts >= 0 or order.remaining > abs(net_contracts)


def leaves_with_parent(order: Order, orders: Mapping[str, Order]) -> bool:
    """Whether the venue removes the order itself when its entry goes: a suspended child of a working order."""
    return order.status is OrderStatus.SUSPENDED and order.parent_id in orders

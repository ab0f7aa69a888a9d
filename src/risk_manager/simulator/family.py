"""Native brackets: the children an entry brings, and what each becomes when another of the family fills."""

from collections.abc import Callable

import msgspec

from risk_manager.domain.order import OrderStatus, OrderType, Side
from risk_manager.simulator.book import STOP_LIKE
from risk_manager.simulator.records import PlaceOrder, SimOrder


def children_of(entry: SimOrder, request: PlaceOrder, next_order_id: Callable[[], int]) -> tuple[SimOrder, ...]:
    """The suspended children, the stop before the profit: ids follow the entry's, no prices yet."""
    stop_loss = take_profit = None
    if request.stop_loss_ticks is not None:
        stop_type = OrderType.TRAILING_STOP if request.stop_loss_is_trailing else OrderType.STOP
        stop_loss = _child(entry, next_order_id(), stop_type, request.stop_loss_ticks, "SL", None)
    if request.take_profit_ticks is not None:
        linked_id = None if stop_loss is None else stop_loss.id
        take_profit = _child(entry, next_order_id(), OrderType.LIMIT, request.take_profit_ticks, "TP", linked_id)
    return tuple(child for child in (stop_loss, take_profit) if child is not None)


def _child(
    entry: SimOrder, order_id: int, order_type: OrderType, offset_ticks: int, suffix: str, linked_id: int | None
) -> SimOrder:
    return SimOrder(
        id=order_id,
        account_id=entry.account_id,
        contract_id=entry.contract_id,
        created_ns=entry.created_ns,
        updated_ns=entry.updated_ns,
        status=OrderStatus.SUSPENDED,
        type=order_type,
        side=Side.SELL if entry.side is Side.BUY else Side.BUY,
        size=entry.size,
        tag=None if entry.tag is None else f"{entry.tag}-{suffix}",
        trail_ticks=offset_ticks,
        parent_id=entry.id,
        linked_id=linked_id,
    )


def activated(child: SimOrder, fill_ticks: int, size: int) -> SimOrder:
    """A suspended child at work: priced at the entry's fill plus its offset, sized like what the entry filled."""
    assert child.trail_ticks is not None, child
    price = fill_ticks + child.trail_ticks
    is_stop = child.type in STOP_LIKE
    return msgspec.structs.replace(
        child,
        status=OrderStatus.WORKING,
        size=size,
        stop_ticks=price if is_stop else None,
        limit_ticks=None if is_stop else price,
    )

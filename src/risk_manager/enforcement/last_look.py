"""Whether an action is still right when its turn comes.

Between the decision and the moment a request leaves lie a commit, whatever else has arrived meanwhile, and, when the
venue's call budget is used up, seconds. A stop for a position that was turned round in that time would open another.
"""

from collections.abc import Callable

from risk_manager.domain.actions import Action, CancelOrder, ModifyOrder, PlaceStop, PlaceTarget
from risk_manager.domain.order import Order, Side
from risk_manager.enforcement.opening import is_opening, is_protective_stop
from risk_manager.enforcement.protection import Seen


def is_still_due(action: Action, seen: Seen, is_unwanted: Callable[[Order], bool]) -> bool:
    """False for more contracts than would rest against the position as it is now, and for an order that is gone.

    So it is for a stop that protects what is held now, unless `is_unwanted` says so: the entry of a bracket may have
    filled while its cancel waited. Closes and reductions are always due, for the venue knows best what they are about;
    so is what makes an order smaller.
    """
    match action:
        case PlaceStop() | PlaceTarget():
            return _is_against(seen, action.contract_id, action.side, action.size)
        case ModifyOrder():
            order = seen.orders.get(action.order_id)
            if order is None or action.size is None or action.size <= order.size:
                return order is not None
            return _is_against(seen, action.contract_id, order.side, action.size - order.filled)
        case CancelOrder():
            order = seen.orders.get(action.order_id)
            return order is not None and (not _protects(order, seen) or is_unwanted(order))
        case _:
            return True


def _is_against(seen: Seen, contract_id: str, side: Side, size: int) -> bool:
    holding = seen.holdings.get(contract_id)
    return holding is not None and side.sign * holding.net_contracts <= -size


def _protects(order: Order, seen: Seen) -> bool:
    holding = seen.holdings.get(order.contract_id)
    net = 0 if holding is None else holding.net_contracts
    return is_protective_stop(order, net) and not is_opening(order, net)

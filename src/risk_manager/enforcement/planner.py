"""The planner: from what is demanded and what is, to the next venue actions.

Level-triggered: it remembers nothing but what is in flight and may be asked at any time, any number of times. Order
per contract (reliability 3.4): cancel opening orders, close, then cancel the protective orders, which open a position
once there is none. They go with the venue's answer to the close: that the position is gone may be told much later.
"""

from collections.abc import Iterable

import msgspec

from risk_manager.domain.account import AccountView, HoldingView
from risk_manager.domain.actions import Action, CancelOrder, ClosePosition, ReducePosition
from risk_manager.domain.intent import Goal
from risk_manager.domain.order import Order, OrderType
from risk_manager.enforcement.in_flight import InFlight, close_target, order_target, reduce_target
from risk_manager.enforcement.lattice import Demanded, Merged, merge
from risk_manager.enforcement.opening import is_opening
from risk_manager.enforcement.protection import is_own


class Plan(msgspec.Struct, frozen=True):
    """What to send now, and when (local time) to plan again though nothing happens; None if only events matter."""

    actions: tuple[Action, ...]
    wake_ns: int | None


class ActionIds:
    """Derives action ids from the decision's own id: `<decision>.<index>`."""

    def __init__(self, decision_id: str) -> None:
        self._decision_id = decision_id
        self._used = 0

    def next(self) -> str:
        self._used += 1
        return f"{self._decision_id}.{self._used}"


def plan(
    goals: Iterable[tuple[str, Goal]], account: AccountView, in_flight: InFlight, ids: ActionIds, now_ns: int
) -> Plan:
    """The next actions towards all goals, given as (intent id, goal), oldest first; notes them as sent.

    A close goes before the cancels it no longer waits for, so that hundreds of orders cannot starve it.
    """
    merged = merge(goals, account)
    in_flight.age(now_ns)
    orders = unwanted_orders(merged, account, in_flight, now_ns)
    in_flight.forget(_wanted(merged, orders), now_ns)
    wakes: list[int] = []
    cancels: list[CancelOrder] = []
    for order, intent_id in orders.values():
        free_ns = max(in_flight.free_at_ns(order_target(order.id), 0, now_ns), _fills_by_ns(order, account, in_flight))
        if free_ns > now_ns:
            wakes.append(free_ns)
            continue
        cancel = CancelOrder(ids.next(), intent_id, order.contract_id, order.id, is_urgent=is_own(order, account.id))
        in_flight.sent(cancel, 0, now_ns)
        cancels.append(cancel)
    shrinks: list[ClosePosition | ReducePosition] = []
    for contract_id, demanded in sorted(merged.sizes.items()):
        holding = account.holdings[contract_id]
        free_ns = _free_at_ns(holding, demanded, merged, in_flight, now_ns)
        if free_ns > now_ns:
            wakes.append(free_ns)
            continue
        action = _shrink(contract_id, demanded, account, in_flight, ids)
        if action is not None:
            in_flight.sent(action, _net_before(action, holding), now_ns)
            shrinks.append(action)
    return Plan((*shrinks, *cancels), min(wakes, default=None))


def unwanted_orders(
    merged: Merged, account: AccountView, in_flight: InFlight, now_ns: int
) -> dict[str, tuple[Order, str]]:
    """(order, intent id) by order id of everything that has to go now, what protects a closed position included."""
    return merged.cancels | _left_behind(merged, account, in_flight, now_ns)


def _fills_by_ns(order: Order, account: AccountView, in_flight: InFlight) -> int:
    """Local time by which a market order that could still fill would have; 0 for every other order."""
    if order.type is not OrderType.MARKET:
        return 0
    left_ns = order.created_ns + in_flight.pacing.market_order_ns - account.now_ns
    return account.received_ns + left_ns if left_ns > 0 else 0


def _left_behind(
    merged: Merged, account: AccountView, in_flight: InFlight, now_ns: int
) -> dict[str, tuple[Order, str]]:
    """(order, intent id) by order id of what protects positions whose close the venue has answered."""
    gone = {
        contract_id: demanded.intent_id
        for contract_id, demanded in merged.sizes.items()
        if demanded.most == 0
        and in_flight.is_close_answered(contract_id, account.holdings[contract_id].net_contracts, now_ns)
    }
    return {
        order.id: (order, gone[order.contract_id])
        for order in (account.orders.values() if gone else ())
        if order.contract_id in gone
        and order.type is not OrderType.MARKET  # what the close itself became, perhaps
        and not is_opening(order, account.holdings[order.contract_id].net_contracts)
    }


def _wanted(merged: Merged, orders: Iterable[str]) -> set[str]:
    wanted = {order_target(order_id) for order_id in orders}
    wanted |= {close_target(contract_id) for contract_id in merged.sizes}
    return wanted | {reduce_target(contract_id) for contract_id in merged.sizes}


def _shrink(
    contract_id: str, demanded: Demanded, account: AccountView, in_flight: InFlight, ids: ActionIds
) -> ClosePosition | ReducePosition | None:
    """The action that brings the position down; None while what is certainly held is not too much."""
    if _is_close(contract_id, demanded, in_flight):
        return ClosePosition(ids.next(), demanded.intent_id, contract_id)
    size = account.holdings[contract_id].certain_contracts - demanded.most
    return ReducePosition(ids.next(), demanded.intent_id, contract_id, size) if size > 0 else None


def _net_before(action: ClosePosition | ReducePosition, holding: HoldingView) -> int:
    """What the action's effect is told by. A reduction counts from what is certain: from more, a part would do."""
    net = holding.net_contracts
    if isinstance(action, ClosePosition):
        return net
    return holding.certain_contracts if net > 0 else -holding.certain_contracts


def _is_close(contract_id: str, demanded: Demanded, in_flight: InFlight) -> bool:
    return demanded.most == 0 or in_flight.unknowns(reduce_target(contract_id)) >= in_flight.pacing.unknowns_most


def _free_at_ns(holding: HoldingView, demanded: Demanded, merged: Merged, in_flight: InFlight, now_ns: int) -> int:
    """Local time from which the position may be closed or reduced; 0 for at once."""
    contract_id, net, quoted_ns = holding.contract_id, holding.net_contracts, holding.quote_received_ns
    free_ns = in_flight.free_at_ns(close_target(contract_id), net, now_ns, quoted_ns)
    if demanded.most > 0:
        # Also the close that takes a reduction's place: one executed late must not meet a flat position.
        free_ns = max(free_ns, in_flight.free_at_ns(reduce_target(contract_id), net, now_ns, quoted_ns))
    return max(free_ns, _openers_done_ns(contract_id, merged, in_flight, now_ns))


def _openers_done_ns(contract_id: str, merged: Merged, in_flight: InFlight, now_ns: int) -> int:
    """Local time until which a close waits for the cancels of this contract's opening orders; 0 for not at all.

    It waits while one is unanswered, but for the whole of an episode no longer than `openers_ns`, however many new
    orders come in the meantime.
    """
    openers = [order.id for order, _ in merged.cancels.values() if order.contract_id == contract_id]
    if len(openers) > in_flight.pacing.openers_most:
        return 0
    if not any(in_flight.is_pending(order_target(order_id)) for order_id in openers):
        return 0
    return in_flight.waiting_since_ns(contract_id, now_ns) + in_flight.pacing.openers_ns

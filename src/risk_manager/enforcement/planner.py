"""The planner: from what is demanded and what is, to the next venue actions.

Level-triggered: it remembers nothing but what is in flight and may be asked at any time, any number of times. Order
per contract (reliability 3.4): cancel opening orders, close, then cancel the protective orders, which the flat
position has turned into opening ones.
"""

from collections.abc import Iterable

import msgspec

from risk_manager.domain.account import AccountView
from risk_manager.domain.actions import Action, CancelOrder, ClosePosition, ReducePosition
from risk_manager.domain.intent import Goal
from risk_manager.domain.order import Order
from risk_manager.enforcement.in_flight import InFlight
from risk_manager.enforcement.lattice import Demanded, Merged, merge


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
    """The next actions towards all goals, given as (intent id, goal), oldest first; notes them as sent."""
    merged = merge(goals, account)
    in_flight.age(now_ns)
    in_flight.forget({f"order:{key}" for key in merged.cancels} | {f"position:{key}" for key in merged.sizes}, now_ns)
    cancels: list[CancelOrder] = []
    actions: list[Action] = []
    wakes: list[int] = []
    for order, intent_id in merged.cancels.values():
        free_ns = in_flight.free_at_ns(f"order:{order.id}", 0)
        if free_ns <= now_ns:
            cancels.append(CancelOrder(ids.next(), intent_id, order.contract_id, order.id))
        else:
            wakes.append(free_ns)
    for contract_id, demanded in sorted(merged.sizes.items()):
        net = account.holdings[contract_id].net_contracts
        free_ns = max(
            in_flight.free_at_ns(f"position:{contract_id}", net),
            _openers_done_ns(contract_id, merged, cancels, in_flight, now_ns),
        )
        if free_ns <= now_ns:
            action = _shrink(contract_id, net, demanded, in_flight, ids)
            in_flight.sent(action, net, now_ns)
            actions.append(action)
        else:
            wakes.append(free_ns)
    for cancel in cancels:
        in_flight.sent(cancel, 0, now_ns)
    return Plan((*cancels, *actions), min(wakes, default=None))


def _shrink(
    contract_id: str, net: int, demanded: Demanded, in_flight: InFlight, ids: ActionIds
) -> ClosePosition | ReducePosition:
    entry = in_flight.entries.get(f"position:{contract_id}")
    unknowns = entry.unknowns if entry else 0
    if demanded.most == 0 or unknowns >= in_flight.pacing.unknowns_most:
        return ClosePosition(ids.next(), demanded.intent_id, contract_id)
    return ReducePosition(ids.next(), demanded.intent_id, contract_id, abs(net) - demanded.most)


def _openers_done_ns(
    contract_id: str, merged: Merged, cancels: list[CancelOrder], in_flight: InFlight, now_ns: int
) -> int:
    """Local time until which a close waits for the cancels of this contract's opening orders; 0 for not at all.

    It waits only while a first wave of cancels is unanswered, and never longer than `openers_ns` after it was sent.
    """
    openers = [order for order, _ in merged.cancels.values() if order.contract_id == contract_id]
    if not openers or len(openers) > in_flight.pacing.openers_most:
        return 0
    just_sent = {cancel.order_id for cancel in cancels}
    return max((_answer_due_ns(order, just_sent, in_flight, now_ns) for order in openers), default=0)


def _answer_due_ns(order: Order, just_sent: set[str], in_flight: InFlight, now_ns: int) -> int:
    entry = in_flight.entries.get(f"order:{order.id}")
    if order.id in just_sent:
        # A repeated cancel does not hold the close up again.
        return now_ns + in_flight.pacing.openers_ns if entry is None else 0
    if entry is not None and in_flight.is_pending(f"order:{order.id}"):
        return entry.sent_ns + in_flight.pacing.openers_ns
    return 0

"""Protective orders on their way: one call per contract at a time, and none repeated while its fate is unknown.

| what was sent | outcome  | the next one may follow                                                                  |
|---------------|----------|------------------------------------------------------------------------------------------|
| anything      | none yet | never; unknown after `lost_ns`                                                           |
| anything      | refused  | after a wait that doubles up to `protect_refused_most_ns`                                |
| an order      | accepted | when the order was seen, known by its tag; else as unknown                               |
| an order      | unknown  | when the order was seen; else after `settle_ns` and two snapshots that show no such order |
| a change      | accepted | when it was seen; else after `effect_ns`: it names a price and a size, not a step        |
| a change      | unknown  | likewise                                                                                 |

Where less rests than before and no order was cancelled, something has filled, and the position may not show it yet: for
`protect_fill_ns`, and until the account was read once more, nothing is added.
"""

from collections.abc import Container, Iterable
from typing import Any

import msgspec
from msgspec.structs import replace

from risk_manager.domain.account import AccountView
from risk_manager.domain.actions import ModifyOrder, PlaceStop, PlaceTarget
from risk_manager.domain.events import ActionAccepted, ActionRejected, Outcome
from risk_manager.domain.intent import Goal, Protected
from risk_manager.domain.order import Order, Side
from risk_manager.enforcement.in_flight import Stage
from risk_manager.enforcement.lattice import Merged
from risk_manager.enforcement.pacing import Pacing
from risk_manager.enforcement.planner import ActionIds, Plan
from risk_manager.enforcement.protection import Change, Protecting, coverage, next_change

_LONG_AGO_NS = -(1 << 62)


class Call(msgspec.Struct, frozen=True, gc=False):
    """A contract's last protective action.

    Attributes:
        sent_ns, outcome_ns: local time; equal while there is no outcome.
        has_effect: the order was seen as asked for, or is known to be gone.
        refusals: in a row.   agreeing: snapshots in a row, read after the outcome, that show the position as known.
    """

    action: Protecting
    sent_ns: int
    outcome_ns: int
    stage: Stage = Stage.SENT
    has_effect: bool = False
    refusals: int = 0
    agreeing: int = 0

    @property
    def is_placing(self) -> bool:
        return not isinstance(self.action, ModifyOrder)


class Hold(msgspec.Struct, frozen=True, gc=False):
    """A contract in which something seems to have filled, since when (local time), and whether it was read since."""

    since_ns: int
    has_read: bool = False


class CallMemory(msgspec.Struct):
    """All a `ProtectionCalls` remembers.

    Attributes:
        calls: the last call by contract id.
        stops_ns, targets_ns: by contract id, when (local time) the price of one was last set in the present position.
        covers: by contract id, the contracts that stops and other closing orders covered when last looked at.
        positions: by contract id, the id and side of the position they did that for.
        holds: contracts to which nothing may be added.
        cancelled: contracts of which an order ended without a fill since then.
    """

    calls: dict[str, Call] = {}
    stops_ns: dict[str, int] = {}
    targets_ns: dict[str, int] = {}
    covers: dict[str, tuple[int, int]] = {}
    positions: dict[str, tuple[str, int]] = {}
    holds: dict[str, Hold] = {}
    cancelled: list[str] = []


class ProtectionCalls:
    """The registry of protective orders on their way, one per contract."""

    def __init__(self, pacing: Pacing, memory: CallMemory | None = None) -> None:
        self._pacing = pacing
        self.memory = memory if memory is not None else CallMemory()

    def __bool__(self) -> bool:
        """Whether anything is under way or in doubt."""
        return bool(self.memory.calls)

    # -- what happened ------------------------------------------------------------------------------------------

    def sent(self, action: Protecting, now_ns: int) -> None:
        before = self.memory.calls.get(action.contract_id)
        refusals = before.refusals if before is not None else 0
        self.memory.calls[action.contract_id] = Call(action, now_ns, now_ns, refusals=refusals)
        if isinstance(action, PlaceStop) or (isinstance(action, ModifyOrder) and action.stop_ticks is not None):
            self.memory.stops_ns[action.contract_id] = now_ns
        elif isinstance(action, PlaceTarget) or action.limit_ticks is not None:
            self.memory.targets_ns[action.contract_id] = now_ns

    def learned(self, outcome: Outcome) -> None:
        """Note an outcome; one that belongs to no present call is of no interest any more."""
        for call in self.memory.calls.values():
            if call.action.id != outcome.action_id:
                continue
            stage, refusals = Stage.UNKNOWN, call.refusals
            if isinstance(outcome, ActionAccepted):
                stage, refusals = Stage.ACCEPTED, 0
            elif isinstance(outcome, ActionRejected):
                stage, refusals = Stage.REFUSED, call.refusals + 1
            self._put(replace(call, stage=stage, refusals=refusals, outcome_ns=outcome.received_ns, agreeing=0))
            return

    def lost_touch(self, now_ns: int) -> None:
        """Whatever has no outcome yet will not get one: the process or the link behind it is gone."""
        for call in list(self.memory.calls.values()):
            if call.stage is Stage.SENT:
                self._put(replace(call, stage=Stage.UNKNOWN, outcome_ns=now_ns, agreeing=0))

    def saw_order(self, order: Order) -> None:
        """Note the state of an order, also its last one."""
        if order.status.is_terminal and order.filled == 0:
            self.memory.cancelled.append(order.contract_id)
        call = self.memory.calls.get(order.contract_id)
        if call is not None and not call.has_effect and _shows_effect(call, order):
            self._put(replace(call, has_effect=True))

    def saw_snapshot(self, requested_ns: int, differing: Container[str]) -> None:
        """Take in a readable snapshot; `differing` are the contracts it shows otherwise than the guard knows them."""
        for contract_id, call in list(self.memory.calls.items()):
            if call.stage is not Stage.SENT and requested_ns >= call.outcome_ns:
                self._put(replace(call, agreeing=0 if contract_id in differing else call.agreeing + 1))
        for contract_id, hold in self.memory.holds.items():
            if requested_ns >= hold.since_ns:
                self.memory.holds[contract_id] = replace(hold, has_read=True)

    def suspect(self, contract_id: str, intent_id: str) -> None:
        """Assume an order on its way that this registry does not remember."""
        if contract_id not in self.memory.calls:
            self._put(Call(PlaceStop("", intent_id, contract_id, Side.SELL, 0, 0), 0, 0))

    def shift(self, by_ns: int) -> None:
        """Move every local time: the local clock has been set."""
        memory = self.memory
        memory.stops_ns = {contract_id: at_ns + by_ns for contract_id, at_ns in memory.stops_ns.items()}
        memory.targets_ns = {contract_id: at_ns + by_ns for contract_id, at_ns in memory.targets_ns.items()}
        memory.holds = {key: replace(hold, since_ns=hold.since_ns + by_ns) for key, hold in memory.holds.items()}
        for call in list(memory.calls.values()):
            self._put(replace(call, sent_ns=call.sent_ns + by_ns, outcome_ns=call.outcome_ns + by_ns))

    def tidy(self, account: AccountView, wanted: Container[str], now_ns: int) -> None:
        """Take in what the orders show, let unanswered calls age, and drop what is over.

        Args:
            wanted: ids of the contracts that need a change.
        """
        orders, memory = account.orders, self.memory
        for order in orders.values():
            self.saw_order(order)
        for kept in self._of_positions:
            for contract_id in [contract_id for contract_id in kept if contract_id not in account.holdings]:
                del kept[contract_id]
        memory.cancelled.clear()
        for contract_id, call in list(self.memory.calls.items()):
            if call.stage is Stage.SENT and now_ns >= call.sent_ns + self._pacing.lost_ns:
                call = replace(call, stage=Stage.UNKNOWN, outcome_ns=now_ns, agreeing=0)
                self._put(call)
            is_moved_order_gone = isinstance(call.action, ModifyOrder) and call.action.order_id not in orders
            if is_moved_order_gone and not call.has_effect:
                call = replace(call, has_effect=True)
                self._put(call)
            if self._is_over(call, now_ns, is_wanted=contract_id in wanted):
                del self.memory.calls[contract_id]

    def covered(self, goal: Protected, cover: tuple[int, int], now_ns: int) -> None:
        """Note what covers a position now; less than before without a cancel is a fill."""
        contract_id = goal.contract_id
        position_id, side = self.memory.positions.get(contract_id, (goal.position_id, goal.side))
        if side != goal.side or (position_id and goal.position_id and position_id != goal.position_id):
            # Turned round, or closed and opened anew: what covered the one says nothing of the other.
            for kept in self._of_positions:
                kept.pop(contract_id, None)
            position_id = ""
        self.memory.positions[contract_id] = goal.position_id or position_id, goal.side
        before = self.memory.covers.get(contract_id, cover)
        self.memory.covers[contract_id] = cover
        is_less = cover[0] < before[0] or cover[1] < before[1]
        if is_less and contract_id not in self.memory.cancelled:
            self.memory.holds[contract_id] = Hold(now_ns)

    # -- what may be done ---------------------------------------------------------------------------------------

    def is_unsettled(self, contract_id: str) -> bool:
        """Whether an order may still appear that nobody has seen yet."""
        call = self.memory.calls.get(contract_id)
        return call is not None and call.is_placing and not call.has_effect and call.stage is not Stage.REFUSED

    def free_at_ns(self, contract_id: str, now_ns: int, *, is_urgent: bool = False) -> int:
        """Local time from which the contract's orders may be changed or joined by another; 0 for at once.

        An urgent change waits for what is under way, but for no pause.
        """
        call = self.memory.calls.get(contract_id)
        if call is None:
            return 0
        if call.stage is Stage.SENT:
            return call.sent_ns + self._pacing.lost_ns
        if call.stage is Stage.REFUSED:
            wait_ns = self._pacing.repeat_ns << min(call.refusals - 1, 10)
            return call.outcome_ns + min(wait_ns, self._pacing.protect_refused_most_ns)
        if call.has_effect:
            return 0 if is_urgent else call.sent_ns + self._pacing.repeat_ns
        return self._settled_at_ns(call, now_ns) if call.is_placing else call.outcome_ns + self._pacing.effect_ns

    def adding_from_ns(self, contract_id: str, now_ns: int) -> int:
        """Local time from which more may rest in the contract; 0 for at once."""
        hold = self.memory.holds.get(contract_id)
        if hold is None:
            return 0
        over_ns = hold.since_ns + self._pacing.protect_fill_ns
        # Without a look at the account the wait has no end yet: ask again when it may have come.
        return over_ns if hold.has_read else max(over_ns, now_ns + self._pacing.proof_ns)

    def priced_ns(self, contract_id: str, *, is_stop: bool) -> int:
        """Local time at which the price of the position's stop or target was last set; long ago if it never was."""
        times_ns = self.memory.stops_ns if is_stop else self.memory.targets_ns
        return times_ns.get(contract_id, _LONG_AGO_NS)

    def doubtful_from_ns(self) -> int | None:
        """Local time from which a snapshot is worth a call, to see what came of an action; None if of none."""
        holds = self.memory.holds.values()
        times = [hold.since_ns + self._pacing.doubt_ns for hold in holds if not hold.has_read]
        for call in self.memory.calls.values():
            if call.has_effect or call.agreeing >= 2:
                continue
            if call.stage is Stage.UNKNOWN:
                times.append(call.outcome_ns)
            elif call.stage is Stage.ACCEPTED:
                times.append(call.outcome_ns + self._pacing.effect_ns)
        return min(times, default=None)

    # -- inside -------------------------------------------------------------------------------------------------

    @property
    def _of_positions(self) -> tuple[dict[str, Any], ...]:
        """What is remembered by contract id for as long as a position is held."""
        memory = self.memory
        return memory.stops_ns, memory.targets_ns, memory.covers, memory.positions, memory.holds

    def _put(self, call: Call) -> None:
        self.memory.calls[call.action.contract_id] = call

    def _settled_at_ns(self, call: Call, now_ns: int) -> int:
        settled_ns = call.outcome_ns + self._pacing.settle_ns
        # Without two agreeing snapshots the wait has no end yet: look again when the next one may have come.
        return settled_ns if call.agreeing >= 2 else max(settled_ns, now_ns + self._pacing.proof_ns)

    def _is_over(self, call: Call, now_ns: int, *, is_wanted: bool) -> bool:
        """Whether nothing is to be waited for any more. A refused call that is still wanted goes on counting."""
        if call.stage is Stage.SENT or (call.stage is Stage.REFUSED and is_wanted):
            return False
        return now_ns >= self.free_at_ns(call.action.contract_id, now_ns)


def _shows_effect(call: Call, order: Order) -> bool:
    """Whether an order's state is what the call asked for."""
    action = call.action
    if not isinstance(action, ModifyOrder):
        return order.tag == action.id
    if order.id != action.order_id:
        return False
    is_as_asked = (
        action.stop_ticks in (None, order.stop_ticks)
        and action.limit_ticks in (None, order.limit_ticks)
        and action.size in (None, order.size)
    )
    return order.status.is_terminal or is_as_asked


def plan_protection(
    goals: Iterable[tuple[str, Goal]],
    merged: Merged,
    account: AccountView,
    calls: ProtectionCalls,
    ids: ActionIds,
    now_ns: int,
    *,
    is_observing: bool = False,
) -> Plan:
    """The next protective actions, noted as sent.

    A contract that is being closed or reduced, or whose orders are being cancelled, gets none. Where the account is
    only observed, an order is made smaller before it could turn the position round, and nothing else is done.
    """
    ending = {*merged.sizes, *(order.contract_id for order, _ in merged.cancels.values())}
    changes = []
    for intent_id, goal in goals:
        if not isinstance(goal, Protected):
            continue
        if goal.contract_id in account.holdings:
            calls.covered(goal, coverage(goal, account.orders), now_ns)
        change = next_change(goal, account) if goal.contract_id not in ending else None
        if change is not None and (change.is_urgent or not is_observing):
            changes.append((intent_id, goal, change))
    calls.tidy(account, {goal.contract_id for _, goal, _ in changes}, now_ns)
    actions: list[Protecting] = []
    wakes: list[int] = []
    for intent_id, goal, change in changes:
        ready, wake_ns = _ready(change, goal, calls, now_ns)
        if wake_ns > now_ns:
            wakes.append(wake_ns)
        if ready is None:
            continue
        action = ready.action(ids.next(), intent_id, goal)
        calls.sent(action, now_ns)
        actions.append(action)
    return Plan(tuple(actions), min(wakes, default=None))


def _ready(change: Change, goal: Protected, calls: ProtectionCalls, now_ns: int) -> tuple[Change | None, int]:
    """What of a change may be sent now, None if nothing; and when (local time) the rest may."""
    contract_id = goal.contract_id
    free_ns = calls.free_at_ns(contract_id, now_ns, is_urgent=change.is_urgent)
    priced_ns = sized_ns = free_ns
    if change.ticks is not None:
        priced_ns = max(free_ns, calls.priced_ns(contract_id, is_stop=change.is_stop) + goal.update_ns)
    if change.is_adding:
        sized_ns = max(free_ns, calls.adding_from_ns(contract_id, now_ns))
    latest_ns = max(priced_ns, sized_ns)
    if latest_ns <= now_ns:
        return change, 0
    if change.order is not None and change.ticks is not None and change.size is not None and free_ns <= now_ns:
        if sized_ns <= now_ns:
            return replace(change, ticks=None), latest_ns
        if priced_ns <= now_ns:
            return replace(change, size=None), latest_ns
    return None, latest_ns

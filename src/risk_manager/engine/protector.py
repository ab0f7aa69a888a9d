"""The stops and targets the guard keeps for positions: from a rule's wish to orders at the venue.

A protection is an intent like any other, open as long as its position: its goal follows what the rule says, it is
reached when the venue shows the orders, and it is proven when the position and the orders are gone.
"""

from typing import Protocol

import msgspec
from msgspec.structs import replace

from risk_manager.domain.finding import Breach, Protect, Unit, Warning
from risk_manager.domain.intent import Goal, Intent, Protected
from risk_manager.domain.scope import Scope
from risk_manager.enforcement.lattice import is_met, merge
from risk_manager.enforcement.pacing import Pacing
from risk_manager.enforcement.protection import goal_of, is_as_wanted, is_own, joined
from risk_manager.enforcement.protection_calls import CallMemory, ProtectionCalls, plan_protection
from risk_manager.engine.account import AccountState
from risk_manager.engine.open_intent import IntentKey, OpenIntent
from risk_manager.engine.step import Step

PROTECTION = "PROTECTION"
"""Code of an intent that keeps a position's stop and target at the venue."""

FROZEN = "PROTECTION_FROZEN"
"""Code of the warning that nobody moves a position's stop and target any more: the account is only observed now."""

ORPHANS = "orphans"
"""Stands for the rule where an order of the guard's own is found without a position and without an intent."""


class Intents(Protocol):
    """Where intents are kept."""

    @property
    def works(self) -> dict[IntentKey, OpenIntent]: ...
    def open(self, step: Step, breach: Breach, goal: Goal) -> Intent: ...


class ProtectorMemory(msgspec.Struct):
    """All a `Protector` remembers: calls under way, and in observe mode the positions it has spoken about."""

    calls: CallMemory = msgspec.field(default_factory=CallMemory)
    observed: dict[str, str] = {}


class Protector:
    """Turns wishes into goals and goals into orders; one rule at a time has the say about a contract."""

    def __init__(
        self, account: AccountState, pacing: Pacing, intents: Intents, memory: ProtectorMemory | None = None
    ) -> None:
        self._account = account
        self._intents = intents
        self.memory = memory if memory is not None else ProtectorMemory()
        self.calls = ProtectionCalls(pacing, self.memory.calls)

    @property
    def works(self) -> list[OpenIntent]:
        """The protections being worked on."""
        return [work for work in self._intents.works.values() if isinstance(work.intent.goal, Protected)]

    def wished(self, step: Step, wish: Protect, *, is_observing: bool) -> None:
        """Take in how a rule wants a position protected; in observe mode it is recorded once for each position."""
        is_empty = wish.stop_ticks is None and wish.target_ticks is None
        if is_observing:
            if not is_empty:
                self._observe(step, wish)
            return
        work = self._of(wish.contract_id)
        if work is not None:
            self._follow(step, work.intent, wish)
        elif not is_empty:
            self._open(step, wish)

    def adopt_orphans(self, step: Step) -> None:
        """See to it that an order of the guard's own never outlives its position, whatever placed it and when."""
        for order in self._account.orders.values():
            if order.contract_id in self._account.holdings or not is_own(order, self._account.id):
                continue
            if self._of(order.contract_id) is None:
                self._open(step, Protect(ORPHANS, order.contract_id, "", order.side.sign, None, None, 0))

    def freeze(self, step: Step) -> None:
        """Say, once for each position, that the stop and target it has of the guard's stay where they are."""
        for work in self.works:
            intent = work.intent
            assert isinstance(intent.goal, Protected), intent
            contract_id, position_id = intent.goal.contract_id, intent.goal.position_id
            holding = self._account.holdings.get(contract_id)
            is_its = holding is not None and position_id in ("", holding.position_id)
            if is_its and self._is_new(contract_id, position_id):
                self.memory.observed[contract_id] = position_id
                evidence = (("intent", intent.id),)
                step.findings.append(
                    Warning(intent.rule, FROZEN, intent.measured, intent.limit, intent.unit, intent.scope, evidence)
                )

    def act(
        self, step: Step, demands: list[tuple[str, Goal]], now_ns: int, *, is_observing: bool = False
    ) -> int | None:
        """Bring stops and targets forward; what else is demanded goes before. When (local time) to be asked again.

        Where the account is only observed nothing is placed and nothing moved, only made smaller.
        """
        if not self.calls and not self.works:
            return None
        merged = merge(demands, self._account)
        planned = plan_protection(
            demands, merged, self._account, self.calls, step.action_ids, now_ns, is_observing=is_observing
        )
        step.actions.extend(planned.actions)
        return planned.wake_ns

    def is_reached(self, goal: Protected) -> bool:
        """Whether the account shows the orders as demanded, or shows them gone with the position."""
        is_shown = is_as_wanted(goal, self._account) and is_met(goal, self._account)
        return is_shown and not self.calls.is_unsettled(goal.contract_id)

    def _of(self, contract_id: str) -> OpenIntent | None:
        return next((work for work in self.works if work.intent.scope.contract_id == contract_id), None)

    def _follow(self, step: Step, intent: Intent, wish: Protect) -> None:
        assert isinstance(intent.goal, Protected), intent
        goal = joined(intent.goal, goal_of(wish, self._account.id))
        if goal == intent.goal or intent.rule not in (wish.rule, ORPHANS):
            return
        if (goal.stop_ticks, goal.target_ticks) != (intent.goal.stop_ticks, intent.goal.target_ticks):
            step.findings.append(wish)
        intent = step.intents[intent.id] = replace(intent, goal=goal)
        self._intents.works[intent.rule, intent.code, intent.scope] = OpenIntent(intent)

    def _observe(self, step: Step, wish: Protect) -> None:
        self.freeze(step)
        if self._is_new(wish.contract_id, wish.position_id):
            self._open(step, wish)
        known = self.memory.observed.get(wish.contract_id)
        self.memory.observed[wish.contract_id] = wish.position_id or known or ""

    def _is_new(self, contract_id: str, position_id: str) -> bool:
        """Whether nothing has been said in observe mode about this position yet; an empty id may be any."""
        known = self.memory.observed.get(contract_id)
        return known is None or bool(known and position_id and position_id != known)

    def _open(self, step: Step, wish: Protect) -> None:
        step.findings.append(wish)
        level = wish.stop_ticks if wish.stop_ticks is not None else wish.target_ticks or 0
        scope = Scope(contract_id=wish.contract_id)
        breach = Breach(wish.rule, PROTECTION, level, level, Unit.TICKS, scope, evidence=wish.evidence)
        self._intents.open(step, breach, goal_of(wish, self._account.id))

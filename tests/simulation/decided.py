"""What the durable decisions add up to: enforcements under way, and what they demand."""

from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING

from risk_manager.domain.actions import ClosePosition, ReducePosition
from risk_manager.domain.decision import Decision
from risk_manager.domain.intent import Intent, IntentState, Protected, SizesAtMost
from risk_manager.domain.order import OrderType
from risk_manager.domain.scope import Scope
from risk_manager.enforcement.lattice import size_limit
from risk_manager.enforcement.opening import is_opening, leaves_with_parent
from risk_manager.runtime.guard import Guard

if TYPE_CHECKING:
    from tests.simulation.books import Asked, Filled

IntentKey = tuple[str, str, Scope]
MOST_OPENERS = 8
"""With more orders in the way than these a close does not wait for all of them to be canceled."""


class Decided:
    """Args: fail: told the invariant and what is wrong.   is_excused: whether something may explain what is seen."""

    def __init__(self, fail: Callable[[str, str], None], is_excused: Callable[[], bool]) -> None:
        self._fail = fail
        self._is_excused = is_excused
        self._open: dict[int, dict[IntentKey, Intent]] = defaultdict(dict)
        self._in_the_way: dict[tuple[int, str], set[int]] = {}
        self._doomed: dict[int, dict[int, int]] = defaultdict(dict)

    def durable(self, decision: Decision, guard: Guard | None) -> None:
        """Fold a decision that has reached the disk."""
        account = int(decision.account_id)
        works = self._open[account]
        for intent in decision.intents:
            self._fold(works, intent)
        for action in decision.actions:
            if isinstance(action, ReducePosition) and guard is not None:
                self._check_severity(works, action, guard)
            elif isinstance(action, ClosePosition) and guard is not None:
                self._note_openers(account, action.contract_id, guard)

    def _fold(self, works: dict[IntentKey, Intent], intent: Intent) -> None:
        """I8: one enforcement of a breach at a time, over every restart."""
        key = intent.rule, intent.code, intent.scope
        known = works.get(key)
        if known is not None and known.id != intent.id:
            self._fail("I8", f"{intent.id} while {known.id} of {key} is open")
        if intent.state is IntentState.OPEN:
            works[key] = intent
        else:
            works.pop(key, None)
            if not works:
                # What it demands is so: an order whose cancel was refused may rest on where only size is limited.
                self._doomed.pop(int(intent.account_id), None)

    def _check_severity(self, works: dict[IntentKey, Intent], action: ReducePosition, guard: Guard) -> None:
        """I19: nothing is merely made smaller that has to be closed."""
        model, contract_id = guard.engine.account, action.contract_id
        holding = model.holdings.get(contract_id)
        if holding is None:
            return
        for intent in works.values():
            if isinstance(intent.goal, SizesAtMost):
                continue
            if size_limit(intent.goal, contract_id, holding.net_contracts, model) == 0:
                self._fail("I19", f"{action} although {intent.id} demands {intent.goal}")

    def _note_openers(self, account: int, contract_id: str, guard: Guard) -> None:
        """Which orders the guard knew to be in the way when it decided to close.

        A child that waits for its entry is not: it fills after that alone, which is in the way itself, or is not.
        """
        model = guard.engine.account
        holding = model.holdings.get(contract_id)
        net = 0 if holding is None else holding.net_contracts
        openers = {
            int(order.id)
            for order in model.orders.values()
            if order.contract_id == contract_id
            and order.type is not OrderType.MARKET
            and is_opening(order, net)
            and not leaves_with_parent(order, model.orders)
        }
        self._in_the_way[account, contract_id] = openers if len(openers) <= MOST_OPENERS else set()

    def asked(self, asked: "Asked") -> None:
        if asked.kind == "close" and asked.refusal is None and asked.sender.startswith("guard"):
            openers = self._in_the_way.pop((asked.account_id, asked.contract_id), set())
            self._doomed[asked.account_id] |= dict.fromkeys(openers, asked.at_ns)

    def filled(self, filled: "Filled") -> None:
        """I7: what was in the way of a close does not fill after it, until all enforcement of the account is done."""
        fill = filled.fill
        closed_ns = self._doomed[fill.account_id].get(fill.order_id)
        if closed_ns is not None and fill.at_ns > closed_ns and not self._is_excused():
            self._fail("I7", f"order {fill.order_id} was in the way of a close at {closed_ns}: {filled}")

    def booted(self, guard: Guard) -> None:
        """I9: a run goes on with the enforcements that the one before it has written down."""
        works = self._open[int(guard.account_id)].values()
        written = {intent.id for intent in works if not isinstance(intent.goal, Protected)}
        held = {intent.id for intent in guard.engine.enforcer.open_intents}
        if guard._minimal is None and held != written:
            self._fail("I9", f"{guard.account_id} begins with {sorted(held)}, written down are {sorted(written)}")

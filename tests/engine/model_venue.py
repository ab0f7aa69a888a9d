"""A tiny venue that carries the guard's actions out, as unkindly as a script says, on simulated time."""

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto

import msgspec

from risk_manager.domain.actions import Action, CancelOrder, ClosePosition, ReducePosition, TakeSnapshot
from risk_manager.domain.decision import Decision
from risk_manager.domain.events import ActionAccepted, ActionRejected, ActionUnknown, Event, Refusal
from risk_manager.domain.order import OrderStatus
from risk_manager.engine import Engine, EngineSettings
from risk_manager.rules._base import Rule
from risk_manager.testing.events import DAYS, ES, MNQ, NQ, SECOND_NS, Scenario

MS = 1_000_000
PRICE = 5000
BY_ID = {contract.id: contract for contract in (ES, NQ, MNQ)}


class Fate(Enum):
    """What becomes of one action."""

    DONE = auto()
    REFUSED = auto()
    SHED = auto()
    UNKNOWN_DONE = auto()
    UNKNOWN_NOT_DONE = auto()
    UNKNOWN_LATE = auto()
    SILENT_DONE = auto()


LATE_NS = 4 * SECOND_NS
"""How late a timed-out request may still be executed; less than the guard's settle time."""


@dataclass
class Script:
    """Fates of the actions and delays of the events, in turn; when used up, everything is done at once."""

    fates: list[Fate] = field(default_factory=list)
    delays_ms: list[int] = field(default_factory=list)
    repeats: list[bool] = field(default_factory=list)

    def fate(self) -> Fate:
        return self.fates.pop(0) if self.fates else Fate.DONE

    def delay_ns(self) -> int:
        return MS * (self.delays_ms.pop(0) if self.delays_ms else 1)

    def is_repeated(self) -> bool:
        return self.repeats.pop(0) if self.repeats else False


class World:
    """One account, its venue and its guard.

    Attributes:
        shrinks: (contract id, net before, net after) of every position the guard's actions moved.
        oversized: reductions that asked for more than was open, which a less careful venue would have turned round.
    """

    def __init__(self, rules: tuple[Rule, ...], script: Script, *, poll_s: float = 3) -> None:
        self.scenario = Scenario(step_ns=1)
        self.settings = EngineSettings(self.scenario.account_id, DAYS, rules)
        self.engine = Engine(self.settings)
        self.script = script
        self.decisions: list[Decision] = []
        self.received: list[Event] = []
        self.shrinks: list[tuple[str, int, int]] = []
        self.oversized: list[ReducePosition] = []
        self.sent: list[tuple[int, Action]] = []
        self._poll_ns = int(poll_s * SECOND_NS)
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        self._timer_ns: int | None = None
        self._take(self.scenario.snapshot())
        self._poll()

    @property
    def now_ns(self) -> int:
        return self.scenario.now_ns

    def net(self, contract_id: str) -> int:
        position = self.scenario.positions.get(contract_id)
        return position.net_contracts if position is not None else 0

    # -- the trader ---------------------------------------------------------------------------------------------

    def happens(self, events: Event | Iterable[Event]) -> None:
        """Let events of the venue reach the guard, each in its own time."""
        for event in (events,) if isinstance(events, msgspec.Struct) else events:
            self._deliver(event)
            if self.script.is_repeated():
                self._deliver(event)

    def trades(self, contract_id: str, contracts: int) -> None:
        product = BY_ID[contract_id]
        move = self.scenario.buys if contracts > 0 else self.scenario.sells
        self.happens(move(product, abs(contracts), PRICE))

    # -- time ---------------------------------------------------------------------------------------------------

    def run(self, seconds: float) -> None:
        end_ns = self.now_ns + int(seconds * SECOND_NS)
        while True:
            due_ns = self.engine.next_deadline_ns()
            timer_ns = max(due_ns, self.now_ns + MS) if due_ns is not None else end_ns + 1
            next_ns = self._queue[0][0] if self._queue else end_ns + 1
            if min(timer_ns, next_ns) > end_ns:
                self.scenario.now_ns = end_ns
                return
            if next_ns <= timer_ns:
                self.scenario.now_ns = max(self.now_ns, next_ns)
                heapq.heappop(self._queue)[2]()
            else:
                self.scenario.now_ns = timer_ns
                self._take(self.scenario.timer())

    def _at(self, delay_ns: int, call: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._queue, (self.now_ns + delay_ns, self._count, call))

    def _deliver(self, event: Event) -> None:
        self._at(self.script.delay_ns(), lambda: self._take(msgspec.structs.replace(event, received_ns=self.now_ns)))

    def _take(self, event: Event) -> None:
        self.received.append(event)
        decision = self.engine.receive(event)
        if not decision:
            return
        self.decisions.append(decision)
        for action in decision.actions:
            self.sent.append((self.now_ns, action))
            self._execute(action)

    # -- the venue ----------------------------------------------------------------------------------------------

    def _poll(self) -> None:
        self._snapshot()
        self._at(self._poll_ns, self._poll)

    def _snapshot(self) -> None:
        requested_ns = self.now_ns

        def read() -> None:
            taken = self.scenario.snapshot()
            self._at(
                self.script.delay_ns(),
                lambda: self._take(
                    msgspec.structs.replace(
                        taken, requested_ns=requested_ns, at_ns=self.now_ns, received_ns=self.now_ns
                    )
                ),
            )

        self._at(self.script.delay_ns(), read)

    def _execute(self, action: Action) -> None:
        if isinstance(action, TakeSnapshot):
            self._snapshot()
            return
        fate = self.script.fate()
        account_id = self.scenario.account_id
        call_ns, reply_ns = self.script.delay_ns(), self.script.delay_ns()

        def answer(is_done: bool) -> None:
            event: Event
            if fate in (Fate.UNKNOWN_DONE, Fate.UNKNOWN_NOT_DONE, Fate.UNKNOWN_LATE):
                event = ActionUnknown(account_id, action.id, "timeout", 0, self.now_ns)
            elif fate is Fate.DONE and is_done:
                event = ActionAccepted(account_id, action.id, 0, self.now_ns)
            else:
                refusal = {Fate.REFUSED: Refusal.OTHER, Fate.SHED: Refusal.RATE_LIMITED}.get(fate, Refusal.NOT_FOUND)
                event = ActionRejected(account_id, action.id, refusal, "no", 0, self.now_ns)
            self._take(event)

        def arrive() -> None:
            is_done = fate in (Fate.DONE, Fate.UNKNOWN_DONE, Fate.SILENT_DONE) and self._carry_out(action)
            if fate is Fate.UNKNOWN_LATE:
                self._at(LATE_NS, lambda: self._ignore(self._carry_out(action)))
            if fate is not Fate.SILENT_DONE:
                self._at(reply_ns, lambda: answer(is_done))

        self._at(call_ns, arrive)

    def _ignore(self, is_done: bool) -> None:
        """A late execution tells nobody how it went."""

    def _carry_out(self, action: Action) -> bool:
        match action:
            case CancelOrder(order_id=order_id):
                order = self.scenario.orders.get(order_id)
                if order is None:
                    return False
                gone = [order, *(one for one in self.scenario.orders.values() if one.parent_id == order_id)]
                for one in gone:
                    product = BY_ID[one.contract_id]
                    self.happens(
                        self.scenario.order(product, one.side, one.size, order_id=one.id, status=OrderStatus.CANCELLED)
                    )
                return True
            case ClosePosition(contract_id=contract_id):
                return self._shrink(contract_id, abs(self.net(contract_id)))
            case ReducePosition(contract_id=contract_id, size=size):
                if size > abs(self.net(contract_id)):
                    self.oversized.append(action)
                    return False
                return self._shrink(contract_id, size)
        raise AssertionError(action)

    def _shrink(self, contract_id: str, size: int) -> bool:
        net = self.net(contract_id)
        if net == 0:
            return False
        self.trades(contract_id, -size if net > 0 else size)
        self.shrinks.append((contract_id, net, self.net(contract_id)))
        return True


def never_grew(world: World) -> bool:
    """Whether every position the guard moved came closer to flat, and none changed sides."""
    return all(abs(after) < abs(before) and after * before >= 0 for _, before, after in world.shrinks)


def mutations(actions: Iterable[Action]) -> Iterator[Action]:
    return (action for action in actions if not isinstance(action, TakeSnapshot))

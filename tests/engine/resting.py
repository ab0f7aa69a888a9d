"""An account whose venue carries out protective orders, as told: at once, late, silently or not at all."""

from collections.abc import Iterable
from enum import Enum, auto
from typing import Any

from msgspec.structs import replace

from risk_manager.domain.actions import (
    Action,
    CancelOrder,
    ClosePosition,
    ModifyOrder,
    PlaceStop,
    PlaceTarget,
    TakeSnapshot,
)
from risk_manager.domain.contract import Contract
from risk_manager.domain.decision import Decision
from risk_manager.domain.events import ActionAccepted, ActionRejected, ActionUnknown, Event, OrderUpdated, Refusal
from risk_manager.domain.intent import Intent
from risk_manager.domain.order import Order, OrderStatus, OrderType, Side
from risk_manager.engine import Mode
from risk_manager.rules._base import Rule
from risk_manager.testing.events import CONTRACTS, ES, Price, Scenario
from risk_manager.testing.guarded import Guarded

BY_ID = {contract.id: contract for contract in CONTRACTS}


class Fate(Enum):
    """What becomes of one protective action."""

    DONE = auto()
    REFUSED = auto()
    UNKNOWN_DONE = auto()
    UNKNOWN_NOT_DONE = auto()
    HIDDEN = auto()  # accepted and done, but nobody tells of the order until a snapshot does
    KEPT = auto()  # no answer yet; see `answer_kept`


class Resting(Guarded):
    """Attributes: fates: of the next protective actions, in turn; then everything is done at once."""

    def __init__(self, *rules: Rule, venue: Scenario | None = None, mode: Mode = Mode.ENFORCE) -> None:
        self.fates: list[Fate] = []
        self.kept: list[Action] = []
        super().__init__(*rules, venue=venue, mode=mode)

    def feed(self, *events: Event | Iterable[Event]) -> list[Decision]:
        """Hand events over one by one; what the guard sends is carried out before the next."""
        said: list[Decision] = []
        for event in events:
            for one in (event,) if hasattr(event, "account_id") else tuple(event):
                decisions = super().feed(one)
                said.extend(decisions)
                for decision in decisions:
                    for action in decision.actions:
                        said.extend(self._carry_out(action))
        return said

    # -- time and market ----------------------------------------------------------------------------------------

    def passes(self, seconds: float) -> None:
        """Let time pass, with a timer four times on the way and a snapshot at its end."""
        for _ in range(4):
            self.feed(self.venue.timer(after_s=seconds / 4))
        self.feed(self.venue.snapshot(), self.venue.timer())

    def trades_at(self, price: Price, product: Contract = ES) -> None:
        """A market without a spread; a second later."""
        self.venue.wait(1)
        self.feed(self.venue.quote(product, price))

    def long(self, size: int, price: Price = 5800, product: Contract = ES) -> None:
        self.feed(self.venue.buys(product, size, price))

    def short(self, size: int, price: Price = 5800, product: Contract = ES) -> None:
        self.feed(self.venue.sells(product, size, price))

    def fills(self, order: Order, size: int | None = None) -> None:
        """An order of the guard's or the trader's executes, wholly or so much of it."""
        price = order.stop_ticks if order.stop_ticks is not None else order.limit_ticks
        assert price is not None
        filled = order.filled + (order.remaining if size is None else size)
        status = OrderStatus.FILLED if filled == order.size else order.status
        self.tells(replace(order, filled=filled, status=status))
        product = BY_ID[order.contract_id]
        trade = self.venue.buys if order.side is Side.BUY else self.venue.sells
        self.feed(trade(product, filled - order.filled, price / 4))

    def manual(self, size: int, *, side: Side = Side.SELL, product: Contract = ES, **prices: Any) -> str:
        """An order of the trader's own."""
        event = self.venue.order(product, side, size, **prices)
        self.feed(event)
        return event.order.id

    # -- what is there ------------------------------------------------------------------------------------------

    def own(self, product: Contract = ES) -> list[tuple[str, int, float]]:
        """The guard's own orders at the venue: (kind, size left, price)."""
        found = []
        for order in self.venue.orders.values():
            if order.contract_id == product.id and order.tag is not None:
                price = order.stop_ticks if order.type is OrderType.STOP else order.limit_ticks
                assert price is not None
                found.append((order.type.value, order.remaining, price / 4))
        return sorted(found, reverse=True)

    def own_order(self, kind: OrderType = OrderType.STOP) -> Order:
        (order,) = (one for one in self.venue.orders.values() if one.tag is not None and one.type is kind)
        return order

    @property
    def protections(self) -> list[Intent]:
        return [work.intent for work in self.engine.enforcer.protector.works]

    @property
    def sent(self) -> list[Action]:
        """Everything sent but for snapshots."""
        return [action for action in self.actions if not isinstance(action, TakeSnapshot)]

    def sent_kinds(self) -> list[str]:
        return [type(action).__name__ for action in self.sent]

    # -- the venue ----------------------------------------------------------------------------------------------

    def answer_kept(self, fate: Fate) -> None:
        """Let what was kept waiting come to its end."""
        kept, self.kept = self.kept, []
        for action in kept:
            self.fates.insert(0, fate)
            self._carry_out(action)

    def _carry_out(self, action: Action) -> list[Decision]:
        if isinstance(action, TakeSnapshot):
            return self.feed(self.venue.snapshot())
        fate = self.fates.pop(0) if self.fates and not isinstance(action, CancelOrder | ClosePosition) else Fate.DONE
        account_id = self.venue.account_id
        now_ns = self.venue.now_ns
        match fate:
            case Fate.KEPT:
                self.kept.append(action)
                return []
            case Fate.REFUSED:
                return self.feed(ActionRejected(account_id, action.id, Refusal.OTHER, "no", 0, now_ns))
            case Fate.UNKNOWN_NOT_DONE:
                return self.feed(ActionUnknown(account_id, action.id, "timeout", 0, now_ns))
        orders = self._applied(action)
        answer = ActionUnknown(account_id, action.id, "timeout", 0, now_ns)
        said = self.feed(answer if fate is Fate.UNKNOWN_DONE else ActionAccepted(account_id, action.id, 0, now_ns))
        if fate in (Fate.HIDDEN, Fate.UNKNOWN_DONE):
            for order in orders:
                self.venue.orders[order.id] = order
            return said
        for order in orders:
            said += self.tells(order)
        if isinstance(action, ClosePosition) and action.contract_id in self.venue.positions:
            said += self.feed(self.venue.closes(BY_ID[action.contract_id], 5800))
        return said

    def _applied(self, action: Action) -> list[Order]:
        now_ns = self.venue._tick()
        match action:
            case PlaceStop() | PlaceTarget():
                is_stop = isinstance(action, PlaceStop)
                kind = OrderType.STOP if is_stop else OrderType.LIMIT
                order = Order(
                    self.venue._next_id(), action.contract_id, action.side, kind, OrderStatus.WORKING, action.size
                )
                order = replace(order, created_ns=now_ns, updated_ns=now_ns, tag=action.id)
                price = action.stop_ticks if isinstance(action, PlaceStop) else action.limit_ticks
                return [replace(order, stop_ticks=price) if is_stop else replace(order, limit_ticks=price)]
            case ModifyOrder():
                order = self.venue.orders[action.order_id]
                return [
                    replace(
                        order,
                        updated_ns=now_ns,
                        size=order.size if action.size is None else action.size,
                        stop_ticks=order.stop_ticks if action.stop_ticks is None else action.stop_ticks,
                        limit_ticks=order.limit_ticks if action.limit_ticks is None else action.limit_ticks,
                    )
                ]
            case CancelOrder() if action.order_id in self.venue.orders:
                order = self.venue.orders[action.order_id]
                return [replace(order, updated_ns=now_ns, status=OrderStatus.CANCELLED)]
        return []

    def tells(self, order: Order) -> list[Decision]:
        """The venue has the order so, and says so."""
        now_ns = self.venue._tick()
        order = replace(order, updated_ns=now_ns)
        self.venue.orders.pop(order.id, None)
        if not order.status.is_terminal:
            self.venue.orders[order.id] = order
        return self.feed(OrderUpdated(self.venue.account_id, order, now_ns, now_ns))

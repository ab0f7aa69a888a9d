"""What protects a position, and the next change towards the guard's own stop and target.

The guard's own orders are known by their tag, which is the id of the action that placed them; those of an earlier run,
or of another guard of the account, are treated as its own. Everything else on the closing side of a position is
somebody's own protection: it counts, and what it covers gets no order of the guard's, for two stops that fill together
would turn the position round.
"""

from collections.abc import Iterable, Mapping
from typing import Protocol

import msgspec
from msgspec.structs import replace

from risk_manager.domain.account import AccountView
from risk_manager.domain.actions import ModifyOrder, PlaceStop, PlaceTarget
from risk_manager.domain.exposure import mark_ticks
from risk_manager.domain.finding import Protect
from risk_manager.domain.intent import Protected
from risk_manager.domain.order import Order, OrderStatus, OrderType, Side

Protecting = PlaceStop | PlaceTarget | ModifyOrder
"""What the guard does to protect a position."""

_STOPS = frozenset({OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP})


class HeldContracts(Protocol):
    """Contracts held in one contract."""

    @property
    def net_contracts(self) -> int: ...


class Seen(Protocol):
    """Positions and orders, as the guard knows them or as one snapshot shows them."""

    @property
    def holdings(self) -> Mapping[str, HeldContracts]: ...
    @property
    def orders(self) -> Mapping[str, Order]: ...


class Change(msgspec.Struct, frozen=True):
    """The next thing to do about one protective order.

    Attributes:
        order: to change; None: place one of `size`.
        size: contracts of the whole order; None: as it is.   ticks: its price; None: as it is.
        is_urgent: it is larger than the position and could turn it round.
    """

    is_stop: bool
    order: Order | None
    size: int | None
    ticks: int | None
    is_urgent: bool = False

    @property
    def is_adding(self) -> bool:
        """Whether more would rest than does now."""
        return self.size is not None and not self.is_urgent

    def action(self, action_id: str, intent_id: str, goal: Protected) -> Protecting:
        """The action it is."""
        if self.order is not None:
            return ModifyOrder(
                action_id,
                intent_id,
                goal.contract_id,
                self.order.id,
                stop_ticks=self.ticks if self.is_stop else None,
                limit_ticks=None if self.is_stop else self.ticks,
                size=self.size,
                is_urgent=self.is_urgent,
            )
        assert self.size is not None, self
        assert self.ticks is not None, self
        side = Side.SELL if goal.side > 0 else Side.BUY
        kind = PlaceStop if self.is_stop else PlaceTarget
        return kind(action_id, intent_id, goal.contract_id, side, self.size, self.ticks)


def goal_of(wish: Protect, account_id: str) -> Protected:
    """The goal a rule's wish sets."""
    return Protected(
        account_id=account_id,
        contract_id=wish.contract_id,
        position_id=wish.position_id,
        side=wish.side,
        stop_ticks=wish.stop_ticks,
        target_ticks=wish.target_ticks,
        update_ns=wish.update_ns,
        moves_manual=wish.moves_manual,
    )


def joined(known: Protected, goal: Protected) -> Protected:
    """The goal that follows another: for the same position a stop is never looser than it was."""
    is_same = known.side == goal.side and (
        not (known.position_id and goal.position_id) or known.position_id == goal.position_id
    )
    if not is_same:
        return goal
    stops = [stop for stop in (known.stop_ticks, goal.stop_ticks) if stop is not None]
    stop = max(stops, key=lambda ticks: goal.side * ticks, default=None)
    return replace(goal, position_id=goal.position_id or known.position_id, stop_ticks=stop)


def is_own(order: Order, account_id: str) -> bool:
    """Whether a guard placed the order: its tag is the id of an action, `<account>-<decision>.<n>`.

    With `-` and what tells it from this run's behind it, it is another run's.
    """
    if order.tag is None or not order.tag.startswith(f"{account_id}-"):
        return False
    decision, _, rest = order.tag[len(account_id) + 1 :].partition(".")
    number = rest.partition("-")[0]
    return decision.isdecimal() and number.isdecimal()


def is_surplus(order: Order, goal: Protected, net_contracts: int, orders: Mapping[str, Order]) -> bool:
    """Whether one of the guard's own orders has to go: nothing to protect, or more of them than needed."""
    if order.contract_id != goal.contract_id or not is_own(order, goal.account_id):
        return False
    if net_contracts * goal.side <= 0 or order.side.sign * net_contracts >= 0:
        return True
    is_stop = order.type in _STOPS
    if (goal.stop_ticks if is_stop else goal.target_ticks) is None:
        return True
    around = _closing(goal, orders)
    if _others(around, goal, is_stop=is_stop) >= abs(net_contracts):
        return True
    return order.id != _own(around, goal, is_stop=is_stop)[0].id


def is_over(goal: Protected, seen: Seen) -> bool:
    """Whether the position is gone and none of the guard's own orders in the contract is left."""
    if goal.contract_id in seen.holdings:
        return False
    return not any(
        order.contract_id == goal.contract_id and order.remaining and is_own(order, goal.account_id)
        for order in seen.orders.values()
    )


def coverage(goal: Protected, orders: Mapping[str, Order]) -> tuple[int, int]:
    """Contracts that stops, and that other orders, would close, whoever placed them."""
    around = _closing(goal, orders)
    stops = sum(order.remaining for order in around if order.type in _STOPS)
    return stops, sum(order.remaining for order in around) - stops


def next_change(goal: Protected, account: AccountView) -> Change | None:
    """What to do next for the position; None if it is protected as demanded, or nothing can be done now.

    An order is only placed or enlarged for contracts that are held whichever witness is right, and only moved while
    there are any: nearer to the market, what has outlived its position could open another before it is cancelled.
    """
    holding = account.holdings.get(goal.contract_id)
    if holding is None or holding.net_contracts * goal.side <= 0:
        return None
    mark = mark_ticks(holding.quote, holding.net_contracts) if holding.quote is not None else None
    # The venue refuses a stop the market is already through.
    is_valid = goal.stop_ticks is not None and (mark is None or goal.side * (mark - goal.stop_ticks) > 0)
    stop_ticks = goal.stop_ticks if is_valid else None
    held = abs(holding.net_contracts)
    certain = holding.certain_contracts
    found = _changes(goal, _closing(goal, account.orders), held, certain, stop_ticks)
    return next((change for change in found if change.is_urgent), found[0] if found and certain else None)


def is_as_wanted(goal: Protected, account: AccountView) -> bool:
    """Whether every contract held is covered where it should be; with nothing held there is nothing to cover."""
    holding = account.holdings.get(goal.contract_id)
    if holding is None:
        return True
    held = abs(holding.net_contracts)
    is_its_side = holding.net_contracts * goal.side > 0
    return is_its_side and not _changes(goal, _closing(goal, account.orders), held, held, goal.stop_ticks)


def _changes(goal: Protected, around: list[Order], held: int, certain: int, stop_ticks: int | None) -> list[Change]:
    """All there is to do about the orders around a position; `stop_ticks` None: no stop can be set now."""
    changes: list[Change | None] = []
    if goal.stop_ticks is not None:
        changes.append(_change_of_own(goal, around, held, certain, stop_ticks, is_stop=True))
        changes.extend(_changes_of_others(goal, around, stop_ticks))
    if goal.target_ticks is not None:
        changes.append(_change_of_own(goal, around, held, certain, goal.target_ticks, is_stop=False))
    return [change for change in changes if change is not None]


def _closing(goal: Protected, orders: Mapping[str, Order]) -> list[Order]:
    """The orders of the contract on the closing side, oldest first; the leg of an unfilled entry is none yet."""
    found = (
        order
        for order in orders.values()
        if order.contract_id == goal.contract_id
        and order.remaining
        and order.side.sign * goal.side < 0
        and not _waits(order, orders)
    )
    return sorted(found, key=lambda order: (order.created_ns, order.id))


def _waits(order: Order, orders: Mapping[str, Order]) -> bool:
    entry = orders.get(order.parent_id) if order.parent_id is not None else None
    return order.status is OrderStatus.SUSPENDED and entry is not None and entry.filled == 0


def _own(orders: Iterable[Order], goal: Protected, *, is_stop: bool) -> list[Order]:
    return [order for order in orders if (order.type in _STOPS) is is_stop and is_own(order, goal.account_id)]


def _others(orders: list[Order], goal: Protected, *, is_stop: bool) -> int:
    """Contracts that orders not of the guard's making would close."""
    return sum(
        order.remaining
        for order in orders
        if (order.type in _STOPS) is is_stop
        and (is_stop or order.type is not OrderType.MARKET)
        and not is_own(order, goal.account_id)
    )


def _change_of_own(
    goal: Protected, around: list[Order], held: int, certain: int, ticks: int | None, *, is_stop: bool
) -> Change | None:
    """What the guard's own stop or target lacks; `ticks` None: its price cannot be set now."""
    others = _others(around, goal, is_stop=is_stop)
    most, least = max(0, held - others), max(0, certain - others)
    own = next(iter(_own(around, goal, is_stop=is_stop)), None)
    if own is None:
        return Change(is_stop, None, least, ticks) if least and ticks is not None else None
    if own.remaining > most:
        # At none at all it is cancelled instead.
        return Change(is_stop, own, own.filled + most, None, is_urgent=True) if most else None
    size = own.filled + least if own.remaining < least else None
    moved = _moved_ticks(own, goal, ticks, is_stop=is_stop)
    return None if size is None and moved is None else Change(is_stop, own, size, moved)


def _moved_ticks(order: Order, goal: Protected, ticks: int | None, *, is_stop: bool) -> int | None:
    """The price an order should have instead of its own; None: it may stay. A stop is only ever tightened."""
    if ticks is None:
        return None
    if not is_stop:
        return None if order.limit_ticks == ticks else ticks
    if order.stop_ticks is not None and goal.side * (ticks - order.stop_ticks) <= 0:
        return None
    return ticks


def _changes_of_others(goal: Protected, around: list[Order], ticks: int | None) -> list[Change]:
    """Somebody else's stops to be tightened, where the rule may."""
    if not goal.moves_manual:
        return []
    return [
        Change(is_stop=True, order=order, size=None, ticks=moved)
        for order in around
        if order.type is OrderType.STOP
        and order.status is OrderStatus.WORKING
        and not is_own(order, goal.account_id)
        and (moved := _moved_ticks(order, goal, ticks, is_stop=True)) is not None
    ]

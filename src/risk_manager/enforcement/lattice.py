"""Merging demands: for every contract the strictest of all goals that concern it."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

import msgspec

from risk_manager.domain.contract import Contract
from risk_manager.domain.intent import Closed, Flat, Goal, NoOpeningOrders, OrdersGone, Protected, SizesAtMost
from risk_manager.domain.order import Order, OrderStatus
from risk_manager.enforcement.opening import is_opening, is_protective_stop, leaves_with_parent, net_after_fill
from risk_manager.enforcement.protection import is_surplus

UNLIMITED = 1 << 62


class Held(Protocol):
    """Contracts held in one contract."""

    @property
    def net_contracts(self) -> int: ...
    @property
    def position_id(self) -> str: ...


class Exposed(Protocol):
    """What goals look at: the account as the guard knows it, or as one snapshot shows it."""

    @property
    def holdings(self) -> Mapping[str, Held]: ...
    @property
    def orders(self) -> Mapping[str, Order]: ...
    @property
    def contracts(self) -> Mapping[str, Contract]: ...


class Demanded(msgspec.Struct, frozen=True, gc=False):
    """The merged demand on one contract.

    Attributes:
        most: contracts that may remain, long or short.
        intent_id: of the goal that set `most` (the strictest; the first of equals).
    """

    most: int
    intent_id: str


class Merged(msgspec.Struct, frozen=True):
    """All demands on an account at once.

    Attributes:
        sizes: by contract id, only contracts held above what is allowed.
        cancels: (order, intent id) of every order that has to go, by order id.
    """

    sizes: dict[str, Demanded]
    cancels: dict[str, tuple[Order, str]]


def size_limit(goal: Goal, contract_id: str, net_contracts: int, account: Exposed) -> int:
    """Contracts the goal allows to remain of `net_contracts` held in one contract."""
    match goal:
        case Flat(scope):
            return 0 if scope.covers(contract_id, account.contracts.get(contract_id)) else UNLIMITED
        case Closed():
            return 0 if _is_meant(goal, contract_id, account) else UNLIMITED
        case SizesAtMost(targets):
            sizes = [target.size for target in targets if target.contract_id == contract_id]
            # Less than nothing would reduce by more than is held, and so open the other side.
            return max(0, min(sizes, default=UNLIMITED))
        case NoOpeningOrders(scope, allowed):
            if allowed is None or not scope.covers(contract_id, account.contracts.get(contract_id)):
                return UNLIMITED
            same_side = (h for h in allowed if h.contract_id == contract_id and h.net_contracts * net_contracts > 0)
            return max((abs(h.net_contracts) for h in same_side), default=0)
        case OrdersGone() | Protected():
            return UNLIMITED


def excess_orders(goal: Goal, account: Exposed) -> Iterator[Order]:
    """The working orders the goal cannot tolerate, in the order the account lists them."""
    for order in account.orders.values():
        if order.remaining and _is_excess(goal, order, account):
            yield order


def _is_excess(goal: Goal, order: Order, account: Exposed) -> bool:
    holding = account.holdings.get(order.contract_id)
    net = holding.net_contracts if holding else 0
    match goal:
        case OrdersGone(order_ids):
            return _is_named(order, order_ids)
        case Protected():
            return is_surplus(order, goal, net, account.orders)
        case SizesAtMost(targets, cancels):
            limits = [target.size for target in targets if target.contract_id == order.contract_id]
            is_too_much = bool(limits) and is_opening(order, net) and abs(net_after_fill(order, net)) > min(limits)
            return _is_named(order, cancels) or (is_too_much and not leaves_with_parent(order, account.orders))
        case Closed(scope, _, before_ns):
            return (
                is_opening(order, net)
                and scope.covers(order.contract_id, account.contracts.get(order.contract_id))
                and (order.created_ns <= before_ns or _is_meant(goal, order.contract_id, account))
                and not leaves_with_parent(order, account.orders)
            )
        case NoOpeningOrders() if is_protective_stop(order, net):
            # Too large for what is left, it may flip the position, and a lock then closes that; without it, what is
            # left would have no stop at all.
            return False
        case Flat(scope) | NoOpeningOrders(scope):
            return (
                is_opening(order, net)
                and scope.covers(order.contract_id, account.contracts.get(order.contract_id))
                and not leaves_with_parent(order, account.orders)
            )


def _is_meant(goal: Closed, contract_id: str, account: Exposed) -> bool:
    """Whether what is held in the contract is still one of the positions the goal is about."""
    holding = account.holdings.get(contract_id)
    if holding is None or not goal.scope.covers(contract_id, account.contracts.get(contract_id)):
        return False
    return holding.position_id in goal.position_ids


def _is_named(order: Order, order_ids: tuple[str, ...]) -> bool:
    """Whether a goal that names orders has this one cancelled; a child of a named parent leaves with it."""
    is_child = order.status is OrderStatus.SUSPENDED and order.parent_id in order_ids
    return order.id in order_ids and not is_child


def is_met(goal: Goal, account: Exposed) -> bool:
    """Whether the account already is what the goal demands."""
    return is_demanded(goal, Merged({}, {}), account)


def is_demanded(goal: Goal, merged: Merged, account: Exposed) -> bool:
    """Whether everything the goal finds wrong with the account is already part of the merged demands."""
    for contract_id, holding in account.holdings.items():
        most = size_limit(goal, contract_id, holding.net_contracts, account)
        demanded = merged.sizes.get(contract_id)
        if abs(holding.net_contracts) > most and (demanded is None or demanded.most > most):
            return False
    return all(order.id in merged.cancels for order in excess_orders(goal, account))


def merge(goals: Iterable[tuple[str, Goal]], account: Exposed) -> Merged:
    """The strictest demand per contract and per order over all (intent id, goal) pairs; earlier pairs win ties."""
    sizes: dict[str, Demanded] = {}
    cancels: dict[str, tuple[Order, str]] = {}
    for intent_id, goal in goals:
        for contract_id, holding in account.holdings.items():
            most = size_limit(goal, contract_id, holding.net_contracts, account)
            known = sizes.get(contract_id)
            if abs(holding.net_contracts) > most and (known is None or most < known.most):
                sizes[contract_id] = Demanded(most, intent_id)
        for order in excess_orders(goal, account):
            cancels.setdefault(order.id, (order, intent_id))
    return Merged(sizes, cancels)

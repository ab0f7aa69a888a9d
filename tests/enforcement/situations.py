"""Accounts in a word, for tables about what goals make of them."""

from risk_manager.domain.contract import Contract
from risk_manager.domain.finding import Breach, Unit
from risk_manager.domain.order import Order, OrderStatus, OrderType, Side
from risk_manager.domain.scope import ACCOUNT, Scope
from risk_manager.engine.account import AccountState
from risk_manager.testing.events import CONTRACTS, DAYS, ES, Scenario

MS = 1_000_000
S = 1_000 * MS


def order(
    order_id: str,
    side: Side,
    size: int,
    product: Contract = ES,
    *,
    filled: int = 0,
    status: OrderStatus = OrderStatus.WORKING,
    parent_id: str | None = None,
    created_ns: int = 0,
) -> Order:
    return Order(
        order_id,
        product.id,
        side,
        OrderType.LIMIT,
        status,
        size,
        filled,
        created_ns=created_ns,
        updated_ns=created_ns,
        parent_id=parent_id,
    )


def account(*held: tuple[Contract, int], orders: tuple[Order, ...] = ()) -> AccountState:
    """An account that holds these contracts and works these orders."""
    venue = Scenario()
    state = AccountState(venue.account_id, DAYS)
    for product, net in held:
        venue.position(product, net, 5000)
    state.on_snapshot(venue.snapshot())
    state.now_ns = state.received_ns = venue.now_ns
    state.orders.update({one.id: one for one in orders})
    assert {contract.id for contract in CONTRACTS} == set(state.contracts)
    return state


def breach(scope: Scope = ACCOUNT, **changes: object) -> Breach:
    return Breach("r", "CODE", -5, -3, Unit.CONTRACTS, scope, **changes)  # type: ignore[arg-type]

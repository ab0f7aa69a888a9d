"""No trading in certain products.

`blocked_symbols` lists what is forbidden, `allowed_symbols` what is allowed; with the latter everything else is
forbidden, and a symbol that is in both is forbidden. Upper or lower case is the same. A symbol is

- a product (`ES`): every expiry of it, under the exchange's or the venue's name (`EP`); `ES` never means `MES`;
- one contract, by name (`ESH4`) or id (`CON.F.US.EP.H24`), or the venue's product id (`F.US.EP`);
- a pattern, if it has `*`, `?` or `[`: `M*` means every product that begins with M. Patterns look at the exchange's
  product and contract names only.

A contract the venue has not described is forbidden if any part of its id may mean a forbidden product, or if there is
an `allowed_symbols` list and no part of its id is on it. If its id says nothing, the evaluation is reported as
incomplete.

An order cannot be refused beforehand, only cancelled, and a market order fills before anybody sees it. So:

- `action: cancel_order` (default) cancels orders in a forbidden product, and `close_existing` (default true) closes
  positions in it. The product is locked until the configuration no longer forbids it; other products go on. With
  `close_existing: false` a position may stay and shrink, but not grow.
- `action: alert` does nothing.

Older spellings are understood: `close_immediately`, `action: reject`.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, ClassVar

import msgspec

from risk_manager.domain.account import AccountView
from risk_manager.domain.contract import Contract
from risk_manager.domain.events import Event, FillReceived, OrderUpdated, PositionUpdated
from risk_manager.domain.finding import Breach, Finding, Gauge, Release, Skipped, Unit
from risk_manager.domain.lockout import OnLock
from risk_manager.domain.products import same_product, spelled_roots
from risk_manager.domain.scope import Scope
from risk_manager.rules._base import Demand, LockTerms, LockUntil, Remedy
from risk_manager.rules._options import Fault


class Action(StrEnum):
    CANCEL_ORDER = "cancel_order"
    ALERT = "alert"


class SymbolBlocks(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of the rule; see the module's text."""

    name: ClassVar[str] = "symbol_blocks"
    listens_to: ClassVar[frozenset[type]] = frozenset({PositionUpdated, FillReceived, OrderUpdated})
    example: ClassVar[Mapping[str, object]] = {"blocked_symbols": ["CL", "NG"]}
    aliases: ClassVar[Mapping[str, str]] = {"close_immediately": "close_existing"}

    blocked_symbols: tuple[str, ...] = ()
    allowed_symbols: tuple[str, ...] = ()
    action: Action = Action.CANCEL_ORDER
    close_existing: bool = True

    @property
    def remedy(self) -> Remedy:
        if self.action is Action.ALERT:
            return Remedy(Demand.ALERT)
        on_lock = OnLock.FLATTEN if self.close_existing else OnLock.BLOCK_NEW
        lock = LockTerms(until=LockUntil.CONDITION, on_lock=on_lock, whole_account=False)
        return Remedy(Demand.CLOSE_POSITION if self.close_existing else Demand.CANCEL_ORDERS, lock)

    def initial_state(self) -> None:
        return None

    def deadline_ns(self, state: None) -> None:
        return None

    def step(self, state: None, event: Event, account: AccountView) -> tuple[None, tuple[Finding | Skipped, ...]]:
        found: list[Finding | Skipped] = []
        scopes: dict[Scope, set[str]] = {}
        touched = {*account.holdings, *(order.contract_id for order in account.orders.values())}
        for contract_id in sorted(touched):
            contract = account.contracts.get(contract_id)
            scope = self._blocked_scope(contract_id, contract)
            if scope is not None:
                scopes.setdefault(scope, set()).add(contract_id)
            elif contract is None and not self.allowed_symbols:
                found.append(Skipped(self.name, f"contract_unknown {contract_id}"))
        found.extend(self._breach(scope, contract_ids, account) for scope, contract_ids in scopes.items())
        if account.lockouts:
            found.extend(self._releases(account))
        return None, tuple(found)

    def gauges(self, state: None, account: AccountView) -> tuple[Gauge, ...]:
        return ()

    def contradictions(self) -> tuple[Fault, ...]:
        if not self.blocked_symbols and not self.allowed_symbols:
            return (Fault("blocked_symbols", "is missing; name what is forbidden, or list allowed_symbols"),)
        return ()

    @classmethod
    def modernized(cls, options: dict[str, Any], _faults: list[Fault]) -> dict[str, Any]:
        if options.get("action") in ("reject", "reject_order"):
            # Nobody can reject: the venue has the order before we see it. Cancelling is what comes closest.
            options["action"] = Action.CANCEL_ORDER.value
        return options

    # -- matching -----------------------------------------------------------------------------------------------

    def _blocked_scope(self, contract_id: str, contract: Contract | None) -> Scope | None:
        """What is forbidden of this contract: its product, the contract alone, or None if it may be traded."""
        return _forbidden(self.blocked_symbols, self.allowed_symbols, contract_id, contract)

    def _is_blocked(self, scope: Scope, contracts: Iterable[Contract]) -> bool:
        """Whether the configuration still forbids what a lock covers."""
        if scope.contract_id is not None:
            known = next((contract for contract in contracts if contract.id == scope.contract_id), None)
            return self._blocked_scope(scope.contract_id, known) == scope
        assert scope.root is not None, scope
        same = [contract for contract in contracts if contract.root == scope.root]
        if same:
            return any(self._blocked_scope(contract.id, contract) == scope for contract in same)
        return self._blocked_scope(scope.root, None) is not None

    def _releases(self, account: AccountView) -> list[Release]:
        own = [
            lockout.scope for lockout in account.lockouts if lockout.rule == self.name and not lockout.scope.is_account
        ]
        contracts = account.contracts.values()
        return [
            Release(self.name, scope, "no longer blocked") for scope in own if not self._is_blocked(scope, contracts)
        ]

    def _breach(self, scope: Scope, contract_ids: set[str], account: AccountView) -> Breach:
        held = {key: account.holdings[key].net_contracts for key in sorted(contract_ids) if key in account.holdings}
        orders = [order.id for order in account.orders.values() if order.contract_id in contract_ids]
        return Breach(
            self.name,
            "SYMBOL_BLOCKED",
            sum(abs(net) for net in held.values()),
            0,
            Unit.CONTRACTS,
            scope,
            evidence=(
                ("symbol", str(scope)),
                *((key, f"{net:+d}") for key, net in held.items()),
                ("orders", str(len(orders))),
            ),
        )


@lru_cache(maxsize=4096)
def _forbidden(
    blocked: tuple[str, ...], allowed: tuple[str, ...], contract_id: str, contract: Contract | None
) -> Scope | None:
    """The verdict on a contract; asked for every order and fill, and always the same."""
    if contract is None:
        may_mean = spelled_roots(contract_id)
        is_blocked = any(_may_mean(symbol, may_mean, contract_id) for symbol in blocked)
        is_allowed = any(_may_mean(symbol, may_mean, contract_id) for symbol in allowed)
        is_forbidden = is_blocked or (bool(allowed) and not is_allowed)
        return Scope(contract_id=contract_id) if is_forbidden else None
    if any(_is_product(symbol, contract) for symbol in blocked):
        return Scope(root=contract.root)
    if any(_is_contract(symbol, contract) for symbol in blocked):
        return Scope(contract_id=contract_id)
    if not allowed or any(_is_product(symbol, contract) for symbol in allowed):
        return None
    if any(_is_contract(symbol, contract) for symbol in allowed):
        return None
    # With one expiry of a product allowed, its others are forbidden one by one.
    is_partly = any(_names_one_of(symbol, contract.root) for symbol in allowed)
    return Scope(contract_id=contract_id) if is_partly else Scope(root=contract.root)


def _is_pattern(symbol: str) -> bool:
    return any(sign in symbol for sign in "*?[")


def _is_product(symbol: str, contract: Contract) -> bool:
    """Whether the symbol means the contract's whole product."""
    if _is_pattern(symbol):
        return fnmatchcase(contract.root, symbol.upper())
    return contract.instrument.is_called(symbol) or symbol.upper() == contract.symbol_id.upper()


def _is_contract(symbol: str, contract: Contract) -> bool:
    """Whether the symbol means this one contract."""
    upper = symbol.upper()
    if _is_pattern(symbol):
        return fnmatchcase(contract.name.upper(), upper)
    return upper in (contract.name.upper(), contract.id.upper())


def _names_one_of(symbol: str, root: str) -> bool:
    """Whether the symbol is an expiry of the product."""
    return root in spelled_roots(symbol)


def _may_mean(symbol: str, roots: frozenset[str], contract_id: str) -> bool:
    """Whether the symbol may mean a contract of which only the id is known."""
    upper = symbol.upper()
    if _is_pattern(symbol):
        return any(fnmatchcase(root, upper) for root in roots)
    is_part_of_id = "." in upper and f".{upper}." in f".{contract_id.upper()}."
    return is_part_of_id or same_product(symbol) in roots

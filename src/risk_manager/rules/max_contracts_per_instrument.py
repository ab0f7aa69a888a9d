"""At most so many contracts of one product.

`limits` gives the number per product (`limits: {ES: 2, MNQ: 10}`); 0 forbids the product, exactly at the limit is
allowed. All expiries of a product count together, long and short alike. Upper or lower case is the same, and so are the
exchange's and the venue's name of a product: `ES` and `EP` mean one product, a micro is a product of its own.

`default_limit` holds for every product that `limits` does not name. Without it `unknown_symbol_action` decides about
them: `block` (default, nothing may be held), `allow_with_limit:N`, or `allow`. A contract the venue has not described
within ten seconds counts as such a product; until then only what breaks every limit is enforced, and the evaluation is
reported as incomplete.

`enforcement` says what happens: `reduce_to_limit` (default) closes exactly the excess, first of the expiry that grew
last; `close_all` closes the product completely and cancels its orders. There is no lock.
Older spellings are understood: `instrument_limits`, `action`.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, ClassVar

import msgspec

from risk_manager.domain.account import AccountView, HoldingView
from risk_manager.domain.contract import Contract
from risk_manager.domain.events import Event, FillReceived, PositionUpdated
from risk_manager.domain.exposure import latest_first
from risk_manager.domain.finding import AtMost, Breach, Finding, Gauge, Skipped, Unit
from risk_manager.domain.products import same_product, spelled_roots
from risk_manager.domain.scope import Scope
from risk_manager.rules._base import Demand, Remedy
from risk_manager.rules._options import Fault

UNDESCRIBED_GRACE_NS = 10_000_000_000
"""How long the venue's record of a contract may be on its way; it normally comes with the first snapshot."""


class Enforcement(StrEnum):
    REDUCE = "reduce_to_limit"
    CLOSE_ALL = "close_all"


class MaxContractsPerInstrument(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of the rule; see the module's text.

    Attributes:
        limits: contracts still allowed, by product.   default_limit: for the others; None leaves them to
            `unknown_symbol_action`.
    """

    name: ClassVar[str] = "max_contracts_per_instrument"
    listens_to: ClassVar[frozenset[type]] = frozenset({PositionUpdated, FillReceived})
    example: ClassVar[Mapping[str, object]] = {"limits": {"ES": 2, "MNQ": 10}}
    aliases: ClassVar[Mapping[str, str]] = {"instrument_limits": "limits", "action": "enforcement"}

    limits: Mapping[str, Annotated[int, msgspec.Meta(ge=0)]] = {}
    default_limit: Annotated[int, msgspec.Meta(ge=0)] | None = None
    unknown_symbol_action: str = "block"
    enforcement: Enforcement = Enforcement.REDUCE

    @property
    def remedy(self) -> Remedy:
        return Remedy(Demand.REDUCE if self.enforcement is Enforcement.REDUCE else Demand.CLOSE_POSITION)

    def initial_state(self) -> None:
        return None

    def deadline_ns(self, state: None) -> None:
        return None

    def step(self, state: None, event: Event, account: AccountView) -> tuple[None, tuple[Finding | Skipped, ...]]:
        if not account.holdings:
            return None, ()
        products: dict[str, list[HoldingView]] = {}
        for holding in account.holdings.values():
            products.setdefault(holding.root, []).append(holding)
        found: list[Finding | Skipped] = []
        for root in sorted(products):
            holdings = products[root]
            limit, is_certain = self._limit_of(holdings[0], account.now_ns)
            if not is_certain:
                found.append(Skipped(self.name, f"contract_unknown {root}"))
            held = sum(abs(holding.net_contracts) for holding in holdings)
            if limit is not None and held > limit:
                found.append(self._breach(root, holdings, held, limit))
        return None, tuple(found)

    def gauges(self, state: None, account: AccountView) -> tuple[Gauge, ...]:
        held: dict[str, int] = {}
        limits: dict[str, int] = {}
        for holding in account.holdings.values():
            limit, _ = self._limit_of(holding, account.now_ns)
            if limit is not None:
                held[holding.root] = held.get(holding.root, 0) + abs(holding.net_contracts)
                limits[holding.root] = limit
        return tuple(Gauge(f"{root} contracts", held[root], limits[root], Unit.CONTRACTS) for root in sorted(held))

    def contradictions(self) -> tuple[Fault, ...]:
        faults = []
        if not self.limits and self.default_limit is None:
            faults.append(Fault("limits", "is missing; name products, or give a default_limit for all of them"))
        try:
            _allowance(self.unknown_symbol_action)
        except ValueError:
            written = repr(self.unknown_symbol_action)
            faults.append(
                Fault("unknown_symbol_action", f"must be block, allow or allow_with_limit:N, such as 1, not {written}")
            )
        spelled: dict[str, str] = {}
        for symbol in self.limits:
            product = same_product(symbol)
            if product in spelled:
                faults.append(Fault(f"limits.{symbol}", f"names the same product as {spelled[product]}"))
            spelled[product] = symbol
        return tuple(faults)

    def _limit_of(self, holding: HoldingView, now_ns: int) -> tuple[int | None, bool]:
        """The contracts allowed (None: any number), and whether that is certain."""
        contract = holding.contract
        if contract is not None:
            # Two spellings the configuration could not know to be one product: the lower limit holds.
            named = [limit for symbol, limit in self.limits.items() if contract.instrument.is_called(symbol)]
            return (min(named), True) if named else (self._limit_of_others(), True)
        roots = spelled_roots(holding.contract_id)
        named = [limit for symbol, limit in self.limits.items() if same_product(symbol) in roots]
        if named:
            return min(named), True
        if now_ns - holding.opened_ns > UNDESCRIBED_GRACE_NS:
            return self._limit_of_others(), True
        others = self._limit_of_others()
        return (None if others is None else max([others, *self.limits.values()])), False

    def _limit_of_others(self) -> int | None:
        return self.default_limit if self.default_limit is not None else _allowance(self.unknown_symbol_action)

    def _breach(self, root: str, holdings: list[HoldingView], held: int, limit: int) -> Breach:
        contract = holdings[0].contract
        return Breach(
            self.name,
            "MAX_CONTRACTS_PER_INSTRUMENT",
            held,
            limit,
            Unit.CONTRACTS,
            Scope(root=root) if contract is not None else Scope(contract_id=root),
            targets=_reduced(holdings, held - limit),
            evidence=tuple(
                sorted((_name(one.contract, one.contract_id), f"{one.net_contracts:+d}") for one in holdings)
            ),
        )


def _name(contract: Contract | None, contract_id: str) -> str:
    return contract.name if contract is not None else contract_id


def _reduced(holdings: list[HoldingView], excess: int) -> tuple[AtMost, ...]:
    """What may remain of each expiry so that `excess` contracts go, the one that grew last first."""
    targets = []
    for holding in sorted(holdings, key=latest_first):
        if excess <= 0:
            break
        removed = min(abs(holding.net_contracts), excess)
        excess -= removed
        targets.append(AtMost(holding.contract_id, abs(holding.net_contracts) - removed))
    return tuple(targets)


def _allowance(action: str) -> int | None:
    """Contracts that `unknown_symbol_action` allows, None for any number; ValueError if it says neither."""
    if action == "block":
        return 0
    if action in ("allow", "allow_unlimited"):
        return None
    word, _, number = action.partition(":")
    if word != "allow_with_limit" or not (number.isascii() and number.isdigit()):
        raise ValueError(action)
    return int(number)

"""At most so many contracts in the whole account.

The count is compared with `limit`; exactly at the limit is allowed. A position cannot be refused beforehand, because
the venue fills orders before anybody else sees them: what is above the limit is taken off again at once.

`count_type` says what is counted:

- `net` (default): per product the signed sum over its expiries, then the sizes added up. Two expiries of ES offset each
  other, ES and NQ never do.
- `gross`: every contract counts, long or short, whatever the expiry.
- `net_account`: all longs minus all shorts of the account. Long 10 MNQ and short 10 MES count 0: know what you ask for.

`weighting: mini_equivalent` counts a micro as a tenth of a contract; the micros are the products of `micro_symbols`
(by default those whose contract is exactly a tenth of the full one). The default, `contracts`, counts them as one.

`include_working_orders: true` also counts what resting orders would add if they filled: orders on the side of the
position, any order where there is none, and an order on the other side that is larger than the position. Protective
stops and targets do not count. The newest such orders are cancelled first, positions are cut only for their own excess.

`action` says what happens:

- `reduce_to_limit` (default): exactly the excess is closed, in `reduce_order`: `offender` (default, the contract that
  grew last, then the one before it), `newest` (the position opened last) or `largest`.
- `close_position`: the first contract of that order is closed completely, then the next while the count stays above.
- `flatten`: everything is closed and every order cancelled.
- `alert`: nothing is done.

`lockout` adds a lock of the account (`true`, `reset`, `30m`, or a mapping); there is none by default.
Older spellings are understood: `max_contracts`, `close_all`, `reduce_to_limit`, `close_position`, `lockout_on_breach`.
"""

from bisect import bisect_left
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, ClassVar, NamedTuple

import msgspec

from risk_manager.domain.account import AccountView, HoldingView
from risk_manager.domain.contract import Contract
from risk_manager.domain.events import Event, FillReceived, OrderUpdated, PositionUpdated
from risk_manager.domain.finding import AtMost, Breach, Finding, Gauge, Skipped, Unit
from risk_manager.domain.order import Order, OrderStatus
from risk_manager.domain.scope import ACCOUNT
from risk_manager.rules._base import Demand, LockTerms, Remedy
from risk_manager.rules._options import ALERT_LOCKS, Fault

_TENTHS = 10
"""Counts are kept in tenths of a contract, so that a micro is a whole number of them."""

MICRO_SYMBOLS = ("MES", "MNQ", "M2K", "MYM", "MCL", "MGC", "MHG", "MNG", "M6A", "M6B", "M6E")
"""Micros that are exactly a tenth of the full contract (CME contract specifications)."""


class CountType(StrEnum):
    """What is counted; see the module's text."""

    NET = "net"
    GROSS = "gross"
    NET_ACCOUNT = "net_account"


class Weighting(StrEnum):
    CONTRACTS = "contracts"
    MINI_EQUIVALENT = "mini_equivalent"


class ReduceOrder(StrEnum):
    OFFENDER = "offender"
    NEWEST = "newest"
    LARGEST = "largest"


class Action(StrEnum):
    REDUCE = "reduce_to_limit"
    CLOSE_POSITION = "close_position"
    FLATTEN = "flatten"
    ALERT = "alert"


_DEMANDS = {
    Action.REDUCE: Demand.REDUCE,
    # Closing the offender is a reduction to nothing; so an excess of orders alone does not touch positions.
    Action.CLOSE_POSITION: Demand.REDUCE,
    Action.FLATTEN: Demand.FLATTEN,
    Action.ALERT: Demand.ALERT,
}
_LEGACY_ACTIONS = {
    "close_all": Action.FLATTEN,
    "reduce_to_limit": Action.REDUCE,
    "close_position": Action.CLOSE_POSITION,
}


class _Span(NamedTuple):
    """Net contracts of one contract at their lowest and highest, if orders fill; `tenths` is what one counts."""

    root: str
    tenths: int
    low: int
    high: int


class MaxContracts(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of the rule; see the module's text.

    Attributes:
        limit: contracts (or mini equivalents) that are still allowed.
    """

    name: ClassVar[str] = "max_contracts"
    listens_to: ClassVar[frozenset[type]] = frozenset({PositionUpdated, FillReceived, OrderUpdated})
    example: ClassVar[Mapping[str, object]] = {"limit": 5}
    aliases: ClassVar[Mapping[str, str]] = {"max_contracts": "limit"}
    elsewhere: ClassVar[Mapping[str, str]] = {
        "per_instrument": "a limit per product is the rule max_contracts_per_instrument; write default_limit there",
    }

    limit: Annotated[int, msgspec.Meta(gt=0)]
    count_type: CountType = CountType.NET
    action: Action = Action.REDUCE
    reduce_order: ReduceOrder = ReduceOrder.OFFENDER
    weighting: Weighting = Weighting.CONTRACTS
    micro_symbols: tuple[str, ...] = MICRO_SYMBOLS
    include_working_orders: bool = False
    lockout: LockTerms | None = None

    @property
    def remedy(self) -> Remedy:
        return Remedy(_DEMANDS[self.action], self.lockout)

    def initial_state(self) -> None:
        return None

    def deadline_ns(self, state: None) -> None:
        return None

    def step(self, state: None, event: Event, account: AccountView) -> tuple[None, tuple[Finding | Skipped, ...]]:
        holdings = account.holdings
        orders = self._opening_orders(account) if self.include_working_orders else []
        # No way of counting comes to more than every contract by itself.
        if not orders and sum([abs(holding.net_contracts) for holding in holdings.values()]) <= self.limit:
            return None, ()
        count = self._count(account, orders)
        if count <= self.limit * _TENTHS:
            return None, ()
        targets: tuple[AtMost, ...] = ()
        cancels: tuple[str, ...] = ()
        if _DEMANDS[self.action] is Demand.REDUCE:
            kept = self._orders_within(account, orders)
            cancels = tuple(order.id for order in orders[: len(orders) - len(kept)])
            targets = self._targets(account, self._count(account, kept) - self.limit * _TENTHS)
        breach = Breach(
            self.name,
            "MAX_CONTRACTS",
            -(-count // _TENTHS),
            self.limit,
            Unit.CONTRACTS,
            ACCOUNT,
            targets=targets,
            cancels=cancels,
            evidence=self._evidence(account, count, orders),
        )
        return None, (breach,)

    def gauges(self, state: None, account: AccountView) -> tuple[Gauge, ...]:
        orders = self._opening_orders(account) if self.include_working_orders else []
        used = -(-self._count(account, orders) // _TENTHS)
        return (Gauge("contracts in all", used, self.limit, Unit.CONTRACTS),)

    def contradictions(self) -> tuple[Fault, ...]:
        if self.action is Action.ALERT and self.lockout is not None:
            return (ALERT_LOCKS,)
        return ()

    @classmethod
    def modernized(cls, options: dict[str, Any], faults: list[Fault]) -> dict[str, Any]:
        """Turn the three booleans of older configurations into `action`; the strictest that is true wins."""
        given = {key: options.pop(key) for key in _LEGACY_ACTIONS if key in options}
        faults.extend(
            Fault(key, "must be true or false") for key, value in given.items() if not isinstance(value, bool)
        )
        chosen = [key for key in ("close_all", "reduce_to_limit", "close_position") if given.get(key) is True]
        if chosen and "action" in options:
            faults.append(Fault("action", f"is said twice, also as {chosen[0]}"))
        elif chosen:
            options["action"] = _LEGACY_ACTIONS[chosen[0]].value
        return options

    # -- counting -----------------------------------------------------------------------------------------------

    def _tenths(self, contract: Contract | None) -> int:
        """What one contract counts; one we know nothing about counts in full."""
        if self.weighting is Weighting.CONTRACTS or contract is None:
            return _TENTHS
        return 1 if any(contract.instrument.is_called(symbol) for symbol in self.micro_symbols) else _TENTHS

    def _count(self, account: AccountView, orders: list[Order]) -> int:
        """The account's count in tenths, with the worst outcome of these orders."""
        spans = self._spans(account, orders)
        if self.count_type is CountType.GROSS:
            return sum(span.tenths * max(abs(span.low), abs(span.high)) for span in spans)
        lows: dict[str, int] = {}
        highs: dict[str, int] = {}
        for span in spans:
            group = span.root if self.count_type is CountType.NET else ""
            lows[group] = lows.get(group, 0) + span.tenths * span.low
            highs[group] = highs.get(group, 0) + span.tenths * span.high
        return sum(max(abs(low), abs(highs[group])) for group, low in lows.items())

    def _spans(self, account: AccountView, orders: list[Order]) -> list[_Span]:
        low = {contract_id: holding.net_contracts for contract_id, holding in account.holdings.items()}
        high = dict(low)
        for order in orders:
            side = high if order.side.sign > 0 else low
            low.setdefault(order.contract_id, 0)
            high.setdefault(order.contract_id, 0)
            side[order.contract_id] += order.side.sign * order.remaining
        spans = []
        for contract_id in low:
            contract = account.contracts.get(contract_id)
            root = contract.root if contract is not None else contract_id
            spans.append(_Span(root, self._tenths(contract), low[contract_id], high[contract_id]))
        return spans

    def _opening_orders(self, account: AccountView) -> list[Order]:
        """Orders whose fill would add to a position or turn it, newest first; children of a bracket wait and do not."""
        found = []
        for order in account.orders.values():
            holding = account.holdings.get(order.contract_id)
            net = holding.net_contracts if holding is not None else 0
            is_closing = order.side.sign * net < 0 and order.remaining <= abs(net)
            if order.remaining and not is_closing and order.status is not OrderStatus.SUSPENDED:
                found.append(order)
        return sorted(found, key=lambda order: (-order.created_ns, order.id))

    def _orders_within(self, account: AccountView, orders: list[Order]) -> list[Order]:
        """The oldest orders the limit has room for; none if the positions alone are too many."""
        # Without an order the count is never higher, so few of the ways to drop the newest need to be counted.
        dropped = bisect_left(
            range(len(orders)), True, key=lambda newest: self._count(account, orders[newest:]) <= self.limit * _TENTHS
        )
        return orders[dropped:]

    # -- reducing -----------------------------------------------------------------------------------------------

    def _targets(self, account: AccountView, excess: int) -> tuple[AtMost, ...]:
        """What may remain of each contract that has to shrink, the first to shrink first."""
        room = self._room(account)
        targets = []
        for holding in self._in_order(account):
            if excess <= 0:
                break
            tenths = self._tenths(holding.contract)
            size = abs(holding.net_contracts)
            removed = min(size, -(-excess // tenths))
            if self.count_type is not CountType.GROSS:
                group = holding.root if self.count_type is CountType.NET else ""
                # Only the heavier side of a group may shrink, and not past the point where the other side outweighs it.
                if room[group] * holding.net_contracts <= 0:
                    continue
                removed = min(removed, -(-abs(room[group]) // tenths))
                sign = 1 if holding.net_contracts > 0 else -1
                room[group] -= sign * removed * tenths
            excess -= removed * tenths
            targets.append(AtMost(holding.contract_id, 0 if self.action is Action.CLOSE_POSITION else size - removed))
            if self.action is Action.CLOSE_POSITION:
                break
        return tuple(targets)

    def _room(self, account: AccountView) -> dict[str, int]:
        """The signed count of each group of contracts that offset one another, in tenths."""
        room: dict[str, int] = {}
        for holding in account.holdings.values():
            group = holding.root if self.count_type is CountType.NET else ""
            room[group] = room.get(group, 0) + holding.net_contracts * self._tenths(holding.contract)
        return room

    def _in_order(self, account: AccountView) -> list[HoldingView]:
        """The holdings, the first to shrink first; ties go by contract id so that a replay decides alike."""

        def rank(holding: HoldingView) -> tuple[int, int, str]:
            match self.reduce_order:
                case ReduceOrder.OFFENDER:
                    return -holding.increased_ns, -holding.opened_ns, holding.contract_id
                case ReduceOrder.NEWEST:
                    return -holding.opened_ns, -holding.increased_ns, holding.contract_id
                case ReduceOrder.LARGEST:
                    weight = abs(holding.net_contracts) * self._tenths(holding.contract)
                    return -weight, -holding.increased_ns, holding.contract_id

        return sorted(account.holdings.values(), key=rank)

    def _evidence(self, account: AccountView, count: int, orders: list[Order]) -> tuple[tuple[str, str], ...]:
        held = [
            (holding.contract.name if holding.contract is not None else contract_id, f"{holding.net_contracts:+d}")
            for contract_id, holding in account.holdings.items()
        ]
        whole, tenth = divmod(count, _TENTHS)
        counted = f"{whole}.{tenth}" if tenth else str(whole)
        working = [("opening_orders", str(len(orders)))] if orders else []
        return (("count", counted), ("count_type", self.count_type.value), *sorted(held), *working)

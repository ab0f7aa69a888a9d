"""The venue's account record, and the account as rules see it."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from risk_manager.domain.calendar import Calendar
from risk_manager.domain.contract import Contract
from risk_manager.domain.fill import Fill
from risk_manager.domain.lockout import Lockout
from risk_manager.domain.order import Order
from risk_manager.domain.quote import Quote
from risk_manager.domain.round_turn import FilledOrder, RoundTurn
from risk_manager.domain.trading_day import TradingDay


class Account(msgspec.Struct, frozen=True, gc=False):
    """The account as the venue lists it.

    Attributes:
        balance_micros: cash after realized P&L, fees and commissions; open P&L excluded.
        can_trade: False when the venue itself has blocked the account.
    """

    id: str
    name: str
    balance_micros: int
    can_trade: bool
    is_simulated: bool = True


class HoldingView(Protocol):
    """One open position with the numbers folded once by the engine. Read-only."""

    @property
    def contract_id(self) -> str: ...
    @property
    def contract(self) -> Contract | None:
        """None while the venue has not told us about the contract."""

    @property
    def root(self) -> str:
        """The product, or the contract id while the contract is unknown."""

    @property
    def position_id(self) -> str:
        """The venue's id of this position, a new one after each flat; empty until the venue has stated it."""

    @property
    def net_contracts(self) -> int:
        """Signed exposure, + long, never 0; amid a fill's burst the larger of what fills and position say."""

    @property
    def certain_contracts(self) -> int:
        """Contracts, >= 0, that are held whichever of the account's witnesses is right; a reduction counts from it."""

    @property
    def unrealized_micros(self) -> int | None:
        """Open profit at the exit side of the quote (bid for a long, ask for a short, else last); None if unpriced."""

    @property
    def value_net(self) -> int:
        """Signed contracts that are valued, + long; amid a fill's burst it may differ from `net_contracts`."""

    @property
    def value_cost(self) -> int | None:
        """What the valued contracts cost in micros, signed like them; None if that is not known."""

    @property
    def quote(self) -> Quote | None: ...
    @property
    def quote_received_ns(self) -> int:
        """When the last quote came in (local clock), 0 if none did."""

    @property
    def opened_ns(self) -> int: ...
    @property
    def increased_ns(self) -> int:
        """When |net contracts| last rose (local clock)."""

    def unrealized_at_micros(self, basis: str) -> int | None:
        """Open profit marked at `exit_side`, `mid` or `last`; None if that price is not known."""


class AccountView(Protocol):
    """The account after the event that is being handled. Read-only; one copy serves every rule."""

    @property
    def id(self) -> str: ...
    @property
    def now_ns(self) -> int:
        """The latest venue time seen, UTC epoch nanoseconds."""

    @property
    def received_ns(self) -> int:
        """The local receipt time of the event being handled."""

    @property
    def day(self) -> TradingDay:
        """The trading day `now_ns` falls in."""

    @property
    def calendar(self) -> Calendar:
        """Time zones and exchange sessions, for schedules."""

    @property
    def can_trade(self) -> bool:
        """What the venue last said; True while it has said nothing, then `balance_micros` is None too."""

    @property
    def is_listed(self) -> bool:
        """False while the venue's own list of accounts does not hold this one."""

    @property
    def balance_micros(self) -> int | None: ...
    @property
    def holdings(self) -> Mapping[str, HoldingView]:
        """Open positions by contract id; flat contracts are absent."""

    @property
    def orders(self) -> Mapping[str, Order]:
        """Orders not in a terminal state, by id."""

    @property
    def contracts(self) -> Mapping[str, Contract]: ...
    @property
    def lockouts(self) -> tuple[Lockout, ...]: ...
    @property
    def realized_micros(self) -> int:
        """The day's realized P&L, gross: the venue's figures of this trading day, voided fills left out."""

    @property
    def fees_micros(self) -> int:
        """The day's fees and commissions, >= 0."""

    @property
    def valid_fills(self) -> Sequence[Fill]:
        """The fills since the previous trading day began, voided ones left out, by venue time, then by id."""

    @property
    def filled_orders(self) -> Sequence[FilledOrder]:
        """What those fills amount to by order, by the time of each one's first fill."""

    @property
    def round_turns(self) -> Sequence[RoundTurn]:
        """The round turns those fills completed, by the time they were completed."""

    @property
    def guard_order_ids(self) -> frozenset[str]:
        """Of those orders the guard's own: what its closes and reductions became at the venue.

        Protective orders the guard rests are not among them; their fills are the trader's exits.
        """

    @property
    def fills_revision(self) -> int:
        """Another number whenever any of the four has changed; only equality means something."""

    @property
    def unrealized_micros(self) -> int:
        """Open P&L over the priced holdings (`unpriced` names the others), and the profit of what is closed already
        where the venue has yet to state it."""

    @property
    def unpriced(self) -> frozenset[str]:
        """Contract ids of holdings that cannot be valued: no quote yet, or an unknown contract."""

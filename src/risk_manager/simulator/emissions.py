"""What the simulated venue tells its listeners, in the order the real one does."""

import msgspec

from risk_manager.domain.order import Side
from risk_manager.simulator.records import SimAccount, SimFill, SimOrder, SimPosition, Top


class OrderChanged(msgspec.Struct, frozen=True):
    """An order was recorded or changed."""

    account_id: int
    order: SimOrder
    at_ns: int


class FillHappened(msgspec.Struct, frozen=True):
    """An execution; `is_resend` when a known fill is told again (its position was closed, or it was voided)."""

    account_id: int
    fill: SimFill
    is_resend: bool
    at_ns: int


class PositionChanged(msgspec.Struct, frozen=True):
    """A position opened, changed size or (`is_flat`, net 0) went flat."""

    account_id: int
    position: SimPosition
    is_flat: bool
    at_ns: int


class AccountChanged(msgspec.Struct, frozen=True):
    """The balance or the right to trade changed."""

    account_id: int
    account: SimAccount
    at_ns: int


class QuoteChanged(msgspec.Struct, frozen=True):
    """The merged quote changed; `changed` names the members of `top` that did (prices and volume, not sizes)."""

    contract_id: str
    top: Top
    changed: tuple[str, ...]
    at_ns: int


class PrintHappened(msgspec.Struct, frozen=True):
    """A market trade between others; `aggressor` is None where the feed does not say."""

    contract_id: str
    price_ticks: int
    size: int
    aggressor: Side | None
    at_ns: int


Emission = OrderChanged | FillHappened | PositionChanged | AccountChanged | QuoteChanged | PrintHappened

"""Everything that can happen to a guarded account: the closed union the engine consumes.

`at_ns` is venue time (UTC epoch nanoseconds) and 0 where the venue had no say; `received_ns` is the local clock of the
runtime, which only ever moves forward within one run.
"""

from enum import StrEnum

import msgspec

from risk_manager.domain.account import Account
from risk_manager.domain.contract import Contract
from risk_manager.domain.fill import Fill
from risk_manager.domain.order import Order
from risk_manager.domain.position import Position
from risk_manager.domain.quote import Quote


class AccountUpdated(msgspec.Struct, frozen=True, gc=False, tag="account_updated"):
    account_id: str
    account: Account
    at_ns: int
    received_ns: int


class PositionUpdated(msgspec.Struct, frozen=True, gc=False, tag="position_updated"):
    account_id: str
    position: Position
    at_ns: int
    received_ns: int


class OrderUpdated(msgspec.Struct, frozen=True, gc=False, tag="order_updated"):
    account_id: str
    order: Order
    at_ns: int
    received_ns: int


class FillReceived(msgspec.Struct, frozen=True, gc=False, tag="fill_received"):
    account_id: str
    fill: Fill
    at_ns: int
    received_ns: int


class QuoteUpdated(msgspec.Struct, frozen=True, gc=False, tag="quote_updated"):
    account_id: str
    quote: Quote
    at_ns: int
    received_ns: int


class SnapshotTaken(msgspec.Struct, frozen=True, tag="snapshot_taken"):
    """A whole account read over REST.

    Attributes:
        account, positions, orders, fills: None means the read failed or could not be trusted: unknown, never empty.
            `orders` holds every order not in a terminal state; `fills` those since `fills_since_ns`.
        contracts: records of every contract the account has touched or may trade.
        requested_ns: local time just before the first call; events received later are newer than this snapshot.
        at_ns: the venue's clock (HTTP Date), the witness for releasing lockouts.
        is_account_missing: the venue's list of accounts was read, and this one is not in it.
    """

    account_id: str
    account: Account | None
    positions: tuple[Position, ...] | None
    orders: tuple[Order, ...] | None
    fills: tuple[Fill, ...] | None
    fills_since_ns: int
    contracts: tuple[Contract, ...]
    requested_ns: int
    at_ns: int
    received_ns: int
    is_account_missing: bool = False


class Link(StrEnum):
    """A connection to the venue that can be up or down."""

    REST = "rest"
    USER_HUB = "user_hub"
    MARKET_HUB = "market_hub"


class ConnectionChanged(msgspec.Struct, frozen=True, gc=False, tag="connection_changed"):
    account_id: str
    link: Link
    is_up: bool
    reason: str
    at_ns: int
    received_ns: int


class ActionAccepted(msgspec.Struct, frozen=True, gc=False, tag="action_accepted"):
    """The venue took the request; the effect is still to be seen."""

    account_id: str
    action_id: str
    at_ns: int
    received_ns: int


class Refusal(StrEnum):
    """Why the venue did not do as asked, as far as it changes what to do next."""

    NOT_FOUND = "not_found"
    MARKET_CLOSED = "market_closed"
    RATE_LIMITED = "rate_limited"
    NOT_ALLOWED = "not_allowed"
    OTHER = "other"


class ActionRejected(msgspec.Struct, frozen=True, gc=False, tag="action_rejected"):
    """The venue definitely did not do it."""

    account_id: str
    action_id: str
    refusal: Refusal
    message: str
    at_ns: int
    received_ns: int


class ActionUnknown(msgspec.Struct, frozen=True, gc=False, tag="action_unknown"):
    """It may or may not have been done: timeout, broken reply, server error, `pending` codes."""

    account_id: str
    action_id: str
    message: str
    at_ns: int
    received_ns: int


class TimerFired(msgspec.Struct, frozen=True, gc=False, tag="timer_fired"):
    """A deadline the engine asked for has come; `at_ns` is 0: our own clock is no witness of venue time."""

    account_id: str
    at_ns: int
    received_ns: int


class RulesChanged(msgspec.Struct, frozen=True, gc=False, tag="rules_changed"):
    """New settings are in force from here on; `revision` is the hash of the accepted configuration."""

    account_id: str
    revision: str
    at_ns: int
    received_ns: int


class OperatorCommand(msgspec.Struct, frozen=True, gc=False, tag="operator_command"):
    """An administrator's order: `flatten` (close and cancel everything once)."""

    account_id: str
    command: str
    operator: str
    at_ns: int
    received_ns: int


Outcome = ActionAccepted | ActionRejected | ActionUnknown
Event = (
    AccountUpdated
    | PositionUpdated
    | OrderUpdated
    | FillReceived
    | QuoteUpdated
    | SnapshotTaken
    | ConnectionChanged
    | Outcome
    | TimerFired
    | RulesChanged
    | OperatorCommand
)

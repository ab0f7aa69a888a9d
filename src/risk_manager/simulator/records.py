"""What the simulated venue knows and is asked: frozen values, integers only, units in the names.

Prices are ticks of the contract, money is 1e-6 USD (micros), instants are UTC epoch nanoseconds. Ids are the numbers
the venue would use: accounts of 8 digits, positions from 8.25e8, fills from 3.004e9, orders from 3.423e9, rising.
"""

from enum import StrEnum

import msgspec

from risk_manager.domain.contract import Contract
from risk_manager.domain.order import OrderStatus, OrderType, Side

MICRO_TICKS = 1_000_000


class SimContract(msgspec.Struct, frozen=True):
    """A contract with what trading it costs.

    Attributes:
        fees_micros, commission_micros: per contract and side, >= 0.
        description: the venue's long name (`Micro E-mini Nasdaq-100: September 2026`).
        display_name: the name position rows carry (`MNQU26`).
    """

    contract: Contract
    fees_micros: int
    commission_micros: int
    description: str = ""
    display_name: str = ""

    @property
    def id(self) -> str:
        return self.contract.id


class BracketMode(StrEnum):
    """How an account protects its entries; POSITION_BRACKETS (the venue's default) refuses brackets on an order."""

    POSITION_BRACKETS = "position_brackets"
    AUTO_OCO = "auto_oco"


class Flaws(msgspec.Struct, frozen=True):
    """What is wrong with an order as it was written, which its whole numbers cannot show; the venue's text for each.

    Attributes:
        side: a side that does not exist.
        price: a price between two ticks, or a trail that has no last price to be measured from.
        bracket: a child of a type it cannot have.
    """

    side: str | None = None
    price: str | None = None
    bracket: str | None = None


NO_FLAWS = Flaws()


class PlaceOrder(msgspec.Struct, frozen=True):
    """A request to place an order. Prices a type does not use are ignored, as the venue does.

    Attributes:
        trail_ticks: distance of a trailing stop, > 0.
        tag: the sender's mark, unique in the account for ever; None for none.
        stop_loss_ticks, take_profit_ticks: signed offset from the entry's fill price (long: loss < 0, profit > 0;
            short the reverse); None for no bracket.
        flaws: found when the request was put in whole numbers; the venue objects to them in its own order.
    """

    contract_id: str
    type: OrderType
    side: Side
    size: int
    limit_ticks: int | None = None
    stop_ticks: int | None = None
    trail_ticks: int | None = None
    tag: str | None = None
    stop_loss_ticks: int | None = None
    stop_loss_is_trailing: bool = False
    take_profit_ticks: int | None = None
    flaws: Flaws = NO_FLAWS

    @property
    def has_bracket(self) -> bool:
        return self.stop_loss_ticks is not None or self.take_profit_ticks is not None


class RefusalCode(StrEnum):
    """Why a request was refused; the server maps each to the number its endpoint uses."""

    ACCOUNT_NOT_FOUND = "account_not_found"
    REJECTED = "rejected"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    VIOLATION = "violation"
    OUTSIDE_HOURS = "outside_hours"
    CONTRACT_NOT_FOUND = "contract_not_found"
    CONTRACT_NOT_ACTIVE = "contract_not_active"
    ACCOUNT_REJECTED = "account_rejected"
    ORDER_NOT_FOUND = "order_not_found"
    POSITION_NOT_FOUND = "position_not_found"
    INVALID_SIZE = "invalid_size"


class Refused(msgspec.Struct, frozen=True):
    """A request the venue did not carry out.

    Attributes:
        message: the venue's text, None where it gives none.
        order_id: the rejected order's id, where one was recorded.
    """

    code: RefusalCode
    message: str | None = None
    order_id: int | None = None


class SizeLimits(msgspec.Struct, frozen=True):
    """How much the venue lets an account order and hold; None sets no limit. Reducing a position is never limited.

    Attributes:
        order_contracts: the largest order.
        position_contracts: the largest position in one contract that an order may lead to.
        margin_micros: what every contract held or ordered must be backed by in the balance.
    """

    order_contracts: int | None = None
    position_contracts: int | None = None
    margin_micros: int | None = None


class SimAccount(msgspec.Struct, frozen=True):
    """An account. `balance_micros` is cash: realized P&L minus costs, open P&L left out.

    Attributes:
        can_trade: False refuses placing; cancelling and closing still work unless the venue's manners say otherwise.
        block_reason: the word in the refusal's text while `can_trade` is False; without one there is no text.
        block_code: what such a refusal is; the real venue's is not known.
        is_follower: copies a leader; may not cancel by API.
        is_closed: replaced by another; to its user it does not exist.
    """

    id: int
    user: str
    name: str
    balance_micros: int
    can_trade: bool
    is_visible: bool
    is_simulated: bool
    is_follower: bool
    bracket_mode: BracketMode
    block_reason: str = ""
    block_code: RefusalCode = RefusalCode.VIOLATION
    size_limits: SizeLimits = SizeLimits()
    is_closed: bool = False


class SimOrder(msgspec.Struct, frozen=True):
    """An order in any state.

    Attributes:
        updated_ns: venue time of this state; strictly rising over the states of one order, by at least 1 us.
        filled: contracts executed so far.
        filled_cost_ticks: sum of price x size over the fills, so the average fill price stays exact.
        limit_ticks: also set on JOIN_BID and JOIN_ASK once they rest.
        stop_ticks: of a trailing stop, its present level.
        trail_ticks: distance of a trailing stop; on bracket children the signed offset they were placed with.
        parent_id: the entry, on bracket children.   linked_id: the stop's id, on the profit child only.
    """

    id: int
    account_id: int
    contract_id: str
    created_ns: int
    updated_ns: int
    status: OrderStatus
    type: OrderType
    side: Side
    size: int
    limit_ticks: int | None = None
    stop_ticks: int | None = None
    filled: int = 0
    filled_cost_ticks: int = 0
    tag: str | None = None
    trail_ticks: int | None = None
    parent_id: int | None = None
    linked_id: int | None = None

    @property
    def remaining(self) -> int:
        return self.size - self.filled

    @property
    def filled_price_micro_ticks(self) -> int | None:
        """The average fill price in 1e-6 ticks, half away from zero; None before the first fill."""
        return None if self.filled == 0 else divide_rounded(self.filled_cost_ticks * MICRO_TICKS, self.filled)


class SimPosition(msgspec.Struct, frozen=True):
    """The netted holding of one account in one contract.

    Attributes:
        id: new each time the contract is opened from flat.   created_ns: venue time of that opening.
        net_contracts: signed, + long; 0 only in the emission that reports it flat.
        cost_micro_ticks: signed sum of the entry prices still held, in 1e-6 ticks (long 2 at 100 and 101 is
            201_000_000; short the negative); 0 when flat.
        average_micro_ticks: cost / net, > 0 for positive prices; when flat, the average just before.
        realized_micros: gross profit of the closing fills since it was opened.
    """

    id: int
    account_id: int
    contract_id: str
    created_ns: int
    net_contracts: int
    cost_micro_ticks: int
    average_micro_ticks: int
    realized_micros: int


class SimFill(msgspec.Struct, frozen=True):
    """One execution of one order.

    Attributes:
        pnl_micros: gross profit of a closing fill; None on a fill that opens or adds (a half turn).
        fees_micros, commission_micros: of the whole fill, >= 0.
        is_voided: the venue took it back; it counts for nothing.
    """

    id: int
    account_id: int
    contract_id: str
    order_id: int
    at_ns: int
    price_ticks: int
    pnl_micros: int | None
    fees_micros: int
    commission_micros: int
    side: Side
    size: int
    is_voided: bool = False

    @property
    def signed_size(self) -> int:
        return self.side.sign * self.size


class Top(msgspec.Struct, frozen=True):
    """The merged quote of a contract; None where the member was never seen.

    Attributes:
        open_ticks, high_ticks, low_ticks, volume: over all prints seen.
        at_ns: venue time of the newest member, 0 before the first.
    """

    contract_id: str
    bid_ticks: int | None
    ask_ticks: int | None
    last_ticks: int | None
    open_ticks: int | None
    high_ticks: int | None
    low_ticks: int | None
    volume: int | None
    bid_size: int
    ask_size: int
    at_ns: int


def divide_rounded(numerator: int, denominator: int) -> int:
    """Nearest integer to the quotient, halves away from zero: the same size for a long and the mirrored short."""
    sign = 1 if (numerator >= 0) == (denominator > 0) else -1
    numerator, denominator = abs(numerator), abs(denominator)
    return sign * ((2 * numerator + denominator) // (2 * denominator))

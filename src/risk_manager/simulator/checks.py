"""What the venue objects to before it takes an order or a change, in the order it looks."""

from collections.abc import Set as AbstractSet

from risk_manager.domain.order import OrderType, Side
from risk_manager.simulator import messages
from risk_manager.simulator.book import LIMIT_LIKE, Book, is_wrong_side
from risk_manager.simulator.messages import rejected
from risk_manager.simulator.records import (
    BracketMode,
    PlaceOrder,
    RefusalCode,
    Refused,
    SimAccount,
    SimOrder,
)

MIN_STOP_LOSS_TICKS = 4
MAX_TRAIL_TICKS = 1000

_PLACEABLE = frozenset({OrderType.MARKET, OrderType.STOP, OrderType.TRAILING_STOP}) | LIMIT_LIKE


def family_tags(order: PlaceOrder) -> tuple[str, ...]:
    """Every tag an order and its bracket children would carry."""
    if order.tag is None:
        return ()
    tags = [order.tag]
    if order.stop_loss_ticks is not None:
        tags.append(f"{order.tag}-SL")
    if order.take_profit_ticks is not None:
        tags.append(f"{order.tag}-TP")
    return tuple(tags)


def blocked(account: SimAccount) -> Refused | None:
    """The refusal of an account that may not trade, whatever it asks for; None if it may."""
    if account.can_trade:
        return None
    return Refused(account.block_code, messages.locked_out(account.block_reason) if account.block_reason else None)


def shape(account: SimAccount, used_tags: AbstractSet[str], book: Book, order: PlaceOrder) -> Refused | None:
    """The first objection to how an order is made; None if there is none."""
    if order.type not in _PLACEABLE:
        return rejected(messages.INVALID_TYPE)
    if order.flaws.side is not None:
        return rejected(order.flaws.side)
    if order.size <= 0:
        return rejected(messages.INVALID_SIZE)
    if any(tag in used_tags for tag in family_tags(order)):
        return rejected(messages.TAG_IN_USE)
    message = order.flaws.price or _price_objection(book, order)
    message = message or order.flaws.bracket or _bracket_objection(account, order)
    return None if message is None else rejected(message)


def limits(account: SimAccount, net_contracts: int, order: PlaceOrder) -> Refused | None:
    """The objection to how large an order is for its account; None if it fits, or makes the position smaller."""
    after = abs(net_contracts + order.side.sign * order.size)
    if after < abs(net_contracts):
        return None
    allowed = account.size_limits
    if allowed.margin_micros is not None and after * allowed.margin_micros > account.balance_micros:
        return Refused(RefusalCode.INSUFFICIENT_FUNDS, messages.MARGIN_TOO_SMALL)
    if allowed.order_contracts is not None and order.size > allowed.order_contracts:
        return rejected(messages.ORDER_TOO_LARGE)
    if allowed.position_contracts is not None and after > allowed.position_contracts:
        return rejected(messages.POSITION_TOO_LARGE)
    return None


def _price_objection(book: Book, order: PlaceOrder) -> str | None:
    match order.type:
        case OrderType.LIMIT:
            return messages.LIMIT_NOT_SET if order.limit_ticks is None else None
        case OrderType.STOP:
            if order.stop_ticks is None:
                return messages.STOP_NOT_SET
            is_wrong = is_wrong_side(order.side, book.taking_ticks(order.side), order.stop_ticks)
            return messages.PRICE_OUTSIDE_RANGE if is_wrong else None
        case OrderType.TRAILING_STOP:
            return _trail_objection(book, order.trail_ticks)
        case OrderType.JOIN_BID:
            return messages.INVALID_SYMBOL if book.bid_ticks is None else None
        case OrderType.JOIN_ASK:
            return messages.INVALID_SYMBOL if book.ask_ticks is None else None
        case _:
            return messages.INVALID_SYMBOL if book.taking_ticks(order.side) is None else None


def _trail_objection(book: Book, trail_ticks: int | None) -> str | None:
    if trail_ticks is None or trail_ticks <= 0:
        return messages.TRAIL_NOT_SET
    if book.last_ticks is None:
        return messages.CANNOT_TRAIL
    return messages.TRAIL_TOO_FAR if trail_ticks > MAX_TRAIL_TICKS else None


def _bracket_objection(account: SimAccount, order: PlaceOrder) -> str | None:
    if not order.has_bracket:
        return None
    if account.bracket_mode is BracketMode.POSITION_BRACKETS:
        return messages.BRACKETS_IN_POSITION_MODE
    loss, profit = order.stop_loss_ticks, order.take_profit_ticks
    if loss is not None:
        if order.side is Side.BUY and loss >= 0:
            return messages.stop_loss_positive(loss)
        if -order.side.sign * loss < MIN_STOP_LOSS_TICKS:
            return messages.stop_loss_near(loss)
    if profit is not None and order.side.sign * profit <= 0:
        is_long = order.side is Side.BUY
        return messages.take_profit_negative(profit) if is_long else messages.take_profit_positive(profit)
    return None


def modifying(
    book: Book, order: SimOrder, *, size: int | None, stop_ticks: int | None, trail_ticks: int | None
) -> Refused | None:
    """The first objection to changing a live order; None if it may change. Prices its type has not are ignored."""
    if size is not None and size <= order.filled:
        return rejected(messages.INVALID_SIZE)
    quote = book.taking_ticks(order.side)
    if order.type is OrderType.STOP and stop_ticks is not None and is_wrong_side(order.side, quote, stop_ticks):
        return rejected(messages.PRICE_OUTSIDE_RANGE)
    if order.type is OrderType.TRAILING_STOP and trail_ticks is not None:
        # The venue caps the distance on placing only, so a price sent as a distance can open a huge trail here.
        if trail_ticks <= 0:
            return rejected(messages.TRAIL_NOT_SET)
        if book.last_ticks is None:
            return rejected(messages.CANNOT_TRAIL)
    return None

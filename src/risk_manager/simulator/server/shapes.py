"""What the venue's JSON looks like: exact numbers, integer enums, key order as captured.

Over REST every member is there and may be null; on the stream null members are left out. Numbers are written from
integers, never through a float, in minimal form.
"""

from collections.abc import Callable, Collection
from functools import lru_cache

import msgspec

from risk_manager.domain.order import OrderStatus, OrderType, Side
from risk_manager.simulator.emissions import PrintHappened
from risk_manager.simulator.records import SimAccount, SimContract, SimFill, SimOrder, SimPosition, Top
from risk_manager.simulator.server.rest_settings import RestSettings
from risk_manager.simulator.server.times import milli_time, rest_time, stream_time

Row = dict[str, object]
Stamp = Callable[[int], str]

SIDES = {Side.BUY: 0, Side.SELL: 1}
ORDER_TYPES = {
    OrderType.UNKNOWN: 0,
    OrderType.LIMIT: 1,
    OrderType.MARKET: 2,
    OrderType.STOP_LIMIT: 3,
    OrderType.STOP: 4,
    OrderType.TRAILING_STOP: 5,
    OrderType.JOIN_BID: 6,
    OrderType.JOIN_ASK: 7,
}
ORDER_STATUSES = {
    OrderStatus.UNKNOWN: 0,
    OrderStatus.WORKING: 1,
    OrderStatus.FILLED: 2,
    OrderStatus.CANCELLED: 3,
    OrderStatus.EXPIRED: 4,
    OrderStatus.REJECTED: 5,
    OrderStatus.PENDING: 6,
    OrderStatus.SUSPENDED: 8,
}
FLAT, LONG, SHORT = 0, 1, 2
UPDATE, DELETE = 1, 2
CREATE = 0
_ID_MEMBERS = frozenset({"id", "orderId", "accountId", "parentOrderId", "linkedOrderId"})

_NANO_DIGITS = 9
_MICRO_TICK_DIGITS = 15
_MICRO_DIGITS = 6


def decimal_text(value: int, digits: int) -> str:
    """`value` / 10^digits as the shortest exact decimal: 29398500 with 3 digits is `29398.5`."""
    whole, fraction = divmod(abs(value), 10**digits)
    sign = "-" if value < 0 else ""
    if fraction == 0:
        return f"{sign}{whole}"
    return f"{sign}{whole}.{fraction:0{digits}d}".rstrip("0")


@lru_cache(maxsize=8192)
def number(value: int, digits: int) -> msgspec.Raw:
    """`decimal_text` as a JSON number."""
    return msgspec.Raw(decimal_text(value, digits).encode("ascii"))


def money(micros: int) -> msgspec.Raw:
    """Dollars."""
    return number(micros, _MICRO_DIGITS)


def price(ticks: int | None, contract: SimContract) -> msgspec.Raw | None:
    """The price of a whole number of ticks; None stays None."""
    return None if ticks is None else number(ticks * contract.contract.instrument.tick_size_nanos, _NANO_DIGITS)


def average_price(micro_ticks: int | None, contract: SimContract) -> msgspec.Raw | None:
    """A price in 1e-6 ticks."""
    if micro_ticks is None:
        return None
    return number(micro_ticks * contract.contract.instrument.tick_size_nanos, _MICRO_TICK_DIGITS)


def without_nulls(row: Row) -> Row:
    """The row as the stream sends it."""
    return {key: value for key, value in row.items() if value is not None}


def account_row(account: SimAccount) -> Row:
    """An account, the same over REST and on the stream."""
    return {
        "id": account.id,
        "name": account.name,
        "balance": money(account.balance_micros),
        "canTrade": account.can_trade,
        "isVisible": account.is_visible,
        "simulated": account.is_simulated,
    }


def contract_row(contract: SimContract) -> Row:
    """A contract of the catalogue."""
    listing = contract.contract
    return {
        "id": listing.id,
        "name": listing.name,
        "description": contract.description or listing.name,
        "tickSize": number(listing.instrument.tick_size_nanos, _NANO_DIGITS),
        "tickValue": money(listing.instrument.tick_value_micros),
        "activeContract": listing.is_active,
        "symbolId": listing.symbol_id,
    }


def order_row(order: SimOrder, contract: SimContract, stamp: Stamp = rest_time) -> Row:
    """An order with its nulls; `trailPrice` reads back as the distance in price units."""
    return {
        "id": order.id,
        "accountId": order.account_id,
        "contractId": order.contract_id,
        "symbolId": contract.contract.symbol_id,
        "creationTimestamp": stamp(order.created_ns),
        "updateTimestamp": stamp(order.updated_ns),
        "status": ORDER_STATUSES[order.status],
        "type": ORDER_TYPES[order.type],
        "side": SIDES[order.side],
        "size": order.size,
        "limitPrice": price(order.limit_ticks, contract),
        "stopPrice": price(order.stop_ticks, contract),
        "fillVolume": order.filled,
        "filledPrice": average_price(order.filled_price_micro_ticks, contract),
        "customTag": order.tag,
        "trailDistance": order.trail_ticks,
        "trailPrice": price(order.trail_ticks, contract),
        "parentOrderId": order.parent_id,
        "linkedOrderId": order.linked_id,
    }


def position_row(position: SimPosition, contract: SimContract, stamp: Stamp = rest_time) -> Row:
    """A position: size is a magnitude, the direction is the type."""
    net = position.net_contracts
    return {
        "id": position.id,
        "accountId": position.account_id,
        "contractId": position.contract_id,
        "contractDisplayName": contract.display_name or contract.contract.name,
        "creationTimestamp": stamp(position.created_ns),
        "type": FLAT if net == 0 else LONG if net > 0 else SHORT,
        "size": abs(net),
        "averagePrice": average_price(position.average_micro_ticks, contract),
    }


def fill_row(fill: SimFill, contract: SimContract, stamp: Stamp = rest_time) -> Row:
    """A fill, which the venue calls a trade."""
    return {
        "id": fill.id,
        "accountId": fill.account_id,
        "contractId": fill.contract_id,
        "creationTimestamp": stamp(fill.at_ns),
        "price": price(fill.price_ticks, contract),
        "profitAndLoss": None if fill.pnl_micros is None else money(fill.pnl_micros),
        "fees": money(fill.fees_micros),
        "commissions": money(fill.commission_micros),
        "side": SIDES[fill.side],
        "size": fill.size,
        "voided": fill.is_voided,
        "orderId": fill.order_id,
    }


def respelled(row: Row, settings: RestSettings) -> Row:
    """A REST reply in the spelling that was asked for."""
    if not settings.pads_decimals and not settings.writes_ids_as_text:
        return row
    return {key: _respelled(key, value, settings) for key, value in row.items()}


def _respelled(key: str, value: object, settings: RestSettings) -> object:
    match value:
        case dict():
            return {inner: _respelled(inner, each, settings) for inner, each in value.items()}
        case list():
            return [_respelled(key, each, settings) for each in value]
        case msgspec.Raw() if settings.pads_decimals:
            whole, _, fraction = bytes(value).partition(b".")
            return msgspec.Raw(whole + b"." + fraction.ljust(_NANO_DIGITS, b"0"))
        case int() if settings.writes_ids_as_text and key in _ID_MEMBERS:
            return str(value)
        case _:
            return value


def enveloped(action: int, row: Row) -> Row:
    """A user event: what happened to the row, and the row without its nulls."""
    return {"action": action, "data": without_nulls(row)}


def quote_payload(top: Top, contract: SimContract, changed: Collection[str] | None) -> Row:
    """A quote with the changed members only; None writes all that are known, as the first quote after subscribing.

    `change` is measured from the open of the session, the only reference the simulator has.
    """
    is_full = changed is None

    def member(name: str, ticks: int | None) -> msgspec.Raw | None:
        return price(ticks, contract) if changed is None or name in changed else None

    moved = _change_ticks(top) if is_full or "last_ticks" in (changed or ()) else None
    row: Row = {
        "symbol": contract.contract.symbol_id,
        "symbolName": f"/{contract.contract.symbol_id.rpartition('.')[2]}" if is_full else None,
        "lastPrice": member("last_ticks", top.last_ticks),
        "bestBid": member("bid_ticks", top.bid_ticks),
        "bestAsk": member("ask_ticks", top.ask_ticks),
        "change": price(moved, contract),
        "changePercent": _percent(moved, top.open_ticks),
        "open": member("open_ticks", top.open_ticks),
        "high": member("high_ticks", top.high_ticks),
        "low": member("low_ticks", top.low_ticks),
        "volume": top.volume if changed is None or "volume" in changed else None,
        "lastUpdated": stream_time(top.at_ns),
        "timestamp": milli_time(top.at_ns),
    }
    return without_nulls(row)


def _change_ticks(top: Top) -> int | None:
    if top.last_ticks is None or top.open_ticks is None:
        return None
    return top.last_ticks - top.open_ticks


def _percent(moved: int | None, reference: int | None) -> msgspec.Raw | None:
    """Hundredths of a percent, rounded down; absent without a reference price."""
    return None if moved is None or not reference else number(moved * 10_000 // reference, 2)


def print_row(print_: PrintHappened, contract: SimContract) -> Row:
    """A print, which the venue calls a trade; a print of unknown aggressor is written as a buy."""
    return {
        "symbolId": contract.contract.symbol_id,
        "price": price(print_.price_ticks, contract),
        "timestamp": milli_time(print_.at_ns),
        "type": SIDES[print_.aggressor or Side.BUY],
        "volume": print_.size,
        "contractId": print_.contract_id,
    }

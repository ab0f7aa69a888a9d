"""The order operations: placing, changing, cancelling and reading orders."""

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

import msgspec

from risk_manager.domain.order import OrderStatus, OrderType, Side
from risk_manager.simulator import messages
from risk_manager.simulator.exchange import Exchange
from risk_manager.simulator.records import (
    Flaws,
    PlaceOrder,
    RefusalCode,
    Refused,
    SimContract,
    SimOrder,
)
from risk_manager.simulator.server import binding, replies, shapes
from risk_manager.simulator.server.operations import Call, Operation, owned
from risk_manager.simulator.server.replies import failure, refusal, success
from risk_manager.simulator.server.rest_settings import RestSettings
from risk_manager.simulator.server.shapes import Row

_TYPES = {number: type_ for type_, number in shapes.ORDER_TYPES.items()}
_SIDES = {number: side for side, number in shapes.SIDES.items()}
# Names as the venue spells them in its texts.
_TYPE_NAMES = ("Unknown", "Limit", "Market", "StopLimit", "Stop", "TrailingStop", "JoinBid", "JoinAsk")
_STOP, _TRAILING_STOP, _LIMIT = 4, 5, 1
# Which price of an order a request sets; the others are ignored.
_PRICE_OF = {
    OrderType.LIMIT: "limit_ticks",
    OrderType.STOP: "stop_ticks",
    OrderType.TRAILING_STOP: "trail_ticks",
}
_BY_ID, _DESCENDING = 1, 1
_NANO = 9


class Malformed(Exception):
    """A fault of an order that the exchange cannot see, such as a price between two ticks; carries the text."""


def ticks_of(price: Decimal | None, contract: SimContract, complaint: str) -> int | None:
    """A price in ticks; None stays None.

    Raises:
        Malformed: the price is not a whole number of ticks; carries `complaint`.
    """
    if price is None:
        return None
    ticks, rest = divmod(price.scaleb(_NANO), contract.contract.instrument.tick_size_nanos)
    if rest:
        raise Malformed(complaint)
    return int(ticks)


class OrderOperations:
    """Everything below `Order/`."""

    def __init__(self, exchange: Exchange, settings: RestSettings) -> None:
        self._exchange = exchange
        self._settings = settings

    def table(self) -> tuple[Operation, ...]:
        """The operations."""
        account, order = binding.int32("accountId"), binding.int64("orderId")
        prices = tuple(binding.decimal(name).optional() for name in ("limitPrice", "stopPrice", "trailPrice"))
        bracket = (binding.int32("ticks"), binding.int32("type"))
        place = (
            account,
            binding.string("contractId"),
            *map(binding.int32, ("type", "side", "size")),
            *prices,
            binding.string("customTag").optional(),
            binding.nested("stopLossBracket", *bracket).optional(),
            binding.nested("takeProfitBracket", *bracket).optional(),
        )
        window = (binding.instant("startTimestamp"), binding.instant("endTimestamp").optional())
        return (
            Operation("Order/place", place, self._place, ("orderId",)),
            Operation("Order/modify", (account, order, binding.int32("size").optional(), *prices), self._modify),
            Operation("Order/cancel", (account, order), self._cancel),
            Operation("Order/search", (account, *window), self._search, ("orders",)),
            Operation("Order/searchOpen", (account,), self._search_open, ("orders",)),
            Operation("Order/searchById", (account, order), self._by_id, ("order",)),
            Operation("Order/v2/query", _query_members(), self._query, ("orders", "totalCount")),
        )

    def _place(self, call: Call) -> Row:
        account = owned(self._exchange, call)
        if account is None:
            return refusal(Refused(RefusalCode.ACCOUNT_NOT_FOUND), replies.PLACE, orderId=None)
        order = _bare_order(call.values)
        contract = self._exchange.contract(order.contract_id)
        if contract is not None:
            order = self._priced(order, call.values, contract)
        placed = self._exchange.place(account.id, order, call.at_ns)
        if isinstance(placed, int):
            return success(orderId=placed)
        return refusal(placed, replies.PLACE, orderId=placed.order_id)

    def _priced(self, bare: PlaceOrder, values: dict[str, Any], contract: SimContract) -> PlaceOrder:
        """The order with the price its type uses, and with what the exchange cannot see is wrong with it."""
        side = None if values["side"] in _SIDES else messages.INVALID_SIDE
        bracket = _bracket_flaw(values["stopLossBracket"], values["takeProfitBracket"])
        try:
            ticks = self._price_ticks(bare.type, values, contract)
        except Malformed as fault:
            return msgspec.structs.replace(bare, flaws=Flaws(side, str(fault), bracket))
        prices = {_PRICE_OF[bare.type]: ticks} if bare.type in _PRICE_OF else {}
        if side is None and bracket is None:
            return msgspec.structs.replace(bare, **prices)
        return msgspec.structs.replace(bare, flaws=Flaws(side, None, bracket), **prices)

    def _price_ticks(self, type_: OrderType, values: dict[str, Any], contract: SimContract) -> int | None:
        match type_:
            case OrderType.LIMIT:
                return ticks_of(values["limitPrice"], contract, messages.MISALIGNED_LIMIT)
            case OrderType.STOP:
                return ticks_of(values["stopPrice"], contract, messages.MISALIGNED_STOP)
            case OrderType.TRAILING_STOP:
                return self._trail_ticks(values["trailPrice"], contract)
            case _:
                return None

    def _trail_ticks(self, trail: Decimal | None, contract: SimContract) -> int | None:
        """The distance the venue fixes: from the last price to the level sent."""
        level = ticks_of(trail, contract, messages.MISALIGNED_TRAIL)
        if level is None:
            return None
        last = self._exchange.top(contract.id).last_ticks
        if last is None:
            raise Malformed(messages.CANNOT_TRAIL)
        return abs(last - level)

    def _modify(self, call: Call) -> Row:
        values = call.values
        account = owned(self._exchange, call)
        if account is None:
            return refusal(Refused(RefusalCode.ACCOUNT_NOT_FOUND), replies.MODIFY)
        order = self._exchange.order(account.id, values["orderId"])
        if order is None:
            return refusal(Refused(RefusalCode.ORDER_NOT_FOUND), replies.MODIFY)
        if order.status.is_terminal:
            return failure(self._settings.modify_done_code)
        name = _PRICE_OF.get(_type_to_change(order.type))
        try:
            ticks = self._price_ticks(_type_to_change(order.type), values, self._exchange.contracts[order.contract_id])
        except Malformed as fault:
            return refusal(messages.rejected(str(fault)), replies.MODIFY)
        prices = {} if name is None else {name: ticks}
        refused = self._exchange.modify(account.id, order.id, call.at_ns, size=values["size"], **prices)
        return success() if refused is None else refusal(refused, replies.MODIFY)

    def _cancel(self, call: Call) -> Row:
        account = owned(self._exchange, call)
        if account is None:
            return refusal(Refused(RefusalCode.ACCOUNT_NOT_FOUND), replies.CANCEL)
        refused = self._exchange.cancel(account.id, call.values["orderId"], call.at_ns)
        if refused is None:
            return success()
        if refused.code is RefusalCode.ORDER_NOT_FOUND and self._exchange.order(account.id, call.values["orderId"]):
            return failure(self._settings.cancel_done_code)
        return refusal(refused, replies.CANCEL)

    def _search(self, call: Call) -> Row:
        start_ns, end_ns = call.values["startTimestamp"], call.values["endTimestamp"]
        return self._listing(
            call, lambda order: start_ns <= order.created_ns and (end_ns is None or order.created_ns <= end_ns)
        )

    def _search_open(self, call: Call) -> Row:
        """Open orders only: Suspended bracket children are hidden, as at the venue."""
        return self._listing(call, lambda order: order.status is OrderStatus.WORKING)

    def _listing(self, call: Call, is_wanted: Callable[[SimOrder], bool]) -> Row:
        account = owned(self._exchange, call)
        if account is None:
            return failure(replies.ACCOUNT_NOT_FOUND, orders=None)
        return success(orders=self._rows(order for order in self._exchange.orders(account.id) if is_wanted(order)))

    def _by_id(self, call: Call) -> Row:
        account = owned(self._exchange, call)
        order = None if account is None else self._exchange.order(account.id, call.values["orderId"])
        if order is None:
            return failure(replies.ORDER_NOT_FOUND, order=None)
        return success(order=self._rows([order])[0])

    def _query(self, call: Call) -> Row:
        values, wanted = call.values, call.values["filter"]
        rows, offset = self._page(values)
        account = owned(self._exchange, Call(call.session, wanted, call.at_ns))
        if account is None:
            return failure(replies.ACCOUNT_NOT_FOUND, orders=None, totalCount=None)
        hits = [order for order in self._exchange.orders(account.id) if _passes(order, wanted)]
        is_by_id = values["sortBy"] == _BY_ID
        hits.sort(
            key=lambda order: (0 if is_by_id else order.created_ns, order.id),
            reverse=values["sortDirection"] == _DESCENDING,
        )
        total = len(hits) if values["includeTotalCount"] else None
        return success(orders=self._rows(hits[offset : offset + rows]), totalCount=total)

    def _page(self, values: dict[str, Any]) -> tuple[int, int]:
        """How many orders a query wants and after how many.

        Raises:
            Unbindable: a page or an order that does not exist.
        """
        most, offset = self._settings.query_page_most, values["pageOffset"] or 0
        rows = min(self._settings.query_page_rows, most) if values["pageSize"] is None else values["pageSize"]
        errors = {
            name: [f"The value '{values[name]}' is not valid."]
            for name in ("sortBy", "sortDirection")
            if values[name] not in (None, 0, 1)
        }
        if not 1 <= rows <= most:
            errors["pageSize"] = [f"The field pageSize must be between 1 and {most}."]
        if offset < 0:
            errors["pageOffset"] = ["The field pageOffset must not be negative."]
        if errors:
            raise binding.Unbindable(errors)
        return rows, offset * rows if self._settings.page_offset_counts_pages else offset

    def _rows(self, orders: Iterable[SimOrder]) -> list[Row]:
        contracts = self._exchange.contracts
        return [shapes.order_row(order, contracts[order.contract_id]) for order in orders]


def _type_name(number: int) -> str:
    return _TYPE_NAMES[number] if 0 <= number < len(_TYPE_NAMES) else str(number)


def _bracket_flaw(loss: dict[str, int] | None, profit: dict[str, int] | None) -> str | None:
    if loss is not None and loss["type"] not in (_STOP, _TRAILING_STOP):
        return messages.stop_loss_type(_type_name(loss["type"]))
    if profit is not None and profit["type"] != _LIMIT:
        return messages.take_profit_type(_type_name(profit["type"]))
    return None


def _type_to_change(type_: OrderType) -> OrderType:
    """Orders that joined the quote rest as limits and are moved like them."""
    return OrderType.LIMIT if type_ in (OrderType.JOIN_BID, OrderType.JOIN_ASK) else type_


def _query_members() -> tuple[binding.Member, ...]:
    wanted = binding.nested(
        "filter",
        binding.int32("accountId"),
        binding.integers("statuses").optional(),
        binding.string("contractId").optional(),
        binding.instant("createdAfter").optional(),
        binding.instant("createdBefore").optional(),
    )
    pages = tuple(binding.int32(name).optional() for name in ("pageSize", "pageOffset", "sortBy", "sortDirection"))
    return (wanted, *pages, binding.boolean("includeTotalCount").optional())


def _passes(order: SimOrder, wanted: dict[str, Any]) -> bool:
    statuses, contract_id = wanted["statuses"], wanted["contractId"]
    after_ns, before_ns = wanted["createdAfter"], wanted["createdBefore"]
    return (
        (not statuses or shapes.ORDER_STATUSES[order.status] in statuses)
        and (contract_id is None or order.contract_id == contract_id)
        and (after_ns is None or order.created_ns >= after_ns)
        and (before_ns is None or order.created_ns <= before_ns)
    )


def _bare_order(values: dict[str, Any]) -> PlaceOrder:
    """The order without its price."""
    loss, profit = values["stopLossBracket"], values["takeProfitBracket"]
    return PlaceOrder(
        contract_id=values["contractId"],
        type=_TYPES.get(values["type"], OrderType.UNKNOWN),
        side=_SIDES.get(values["side"], Side.BUY),
        size=values["size"],
        tag=values["customTag"],
        stop_loss_ticks=None if loss is None else loss["ticks"],
        stop_loss_is_trailing=loss is not None and loss["type"] == _TRAILING_STOP,
        take_profit_ticks=None if profit is None else profit["ticks"],
    )

"""One venue record in, one domain value out. Unknown members are passed over and counted once, unknown enum values are
UNKNOWN (and count as working), what an order or position can do without is left out and noted where it cannot be
read, and everything else that cannot be trusted raises BadRecord."""

from collections.abc import Callable
from decimal import Decimal

from risk_manager.domain.account import Account
from risk_manager.domain.contract import Contract
from risk_manager.domain.fill import Fill
from risk_manager.domain.instrument import MICROS_PER_USD, NANOS_PER_UNIT
from risk_manager.domain.order import Order, OrderStatus, OrderType, Side
from risk_manager.domain.position import Position
from risk_manager.venues.projectx import wire
from risk_manager.venues.projectx.problems import Problems
from risk_manager.venues.projectx.tags import Tags
from risk_manager.venues.projectx.wire import BadRecord, Fields

STATUSES = {
    1: OrderStatus.WORKING,
    2: OrderStatus.FILLED,
    3: OrderStatus.CANCELLED,
    4: OrderStatus.EXPIRED,
    5: OrderStatus.REJECTED,
    6: OrderStatus.PENDING,
    # PendingCancellation: it can still fill until the venue says Cancelled.
    7: OrderStatus.WORKING,
    8: OrderStatus.SUSPENDED,
}
TYPES = {
    1: OrderType.LIMIT,
    2: OrderType.MARKET,
    3: OrderType.STOP_LIMIT,
    4: OrderType.STOP,
    5: OrderType.TRAILING_STOP,
    6: OrderType.JOIN_BID,
    7: OrderType.JOIN_ASK,
}
_SIDES = {0: Side.BUY, 1: Side.SELL}
_DIRECTIONS = {1: 1, 2: -1}
_DELETED = 2

ACCOUNT_KEYS = frozenset("id name balance canTrade isVisible simulated".split())
ORDER_KEYS = frozenset(
    "id accountId contractId symbolId creationTimestamp updateTimestamp status type side size limitPrice stopPrice"
    " fillVolume filledPrice customTag trailDistance trailPrice parentOrderId linkedOrderId".split()
)
POSITION_KEYS = frozenset(
    "id accountId contractId contractDisplayName creationTimestamp type size averagePrice".split()
)
FILL_KEYS = frozenset(
    "id accountId contractId creationTimestamp price profitAndLoss fees commissions side size voided orderId".split()
)

_OFF_GRID_ONE_IN = 1000
"""A price may miss the grid by a thousandth of a tick: what a float or a rounded decimal loses, never a wrong price."""

_UNREADABLE_TAG = "?"
"""Whose order it is cannot be told then, but that it bears a mark can: what a close of ours becomes bears none."""


class Reader:
    """Turns records into domain values, with the contract's arithmetic where it is known.

    Args:
        tags: of the run that places orders; None where none are placed.
    """

    def __init__(self, problems: Problems, tags: Tags | None = None) -> None:
        self._problems = problems
        self._tags = tags

    def account(self, fields: Fields) -> Account:
        self._drift("account", fields, ACCOUNT_KEYS)
        return Account(
            id=wire.read_id(fields, "id"),
            name=wire.read_text(fields, "name"),
            balance_micros=micros(wire.read_decimal(fields, "balance")),
            can_trade=wire.read_flag(fields, "canTrade"),
            is_simulated=wire.read_flag(fields, "simulated", default=True),
        )

    def position(self, fields: Fields, contract: Contract | None, action: int | None = None) -> Position:
        """The position; flat when the venue deleted it, or says so by its type or by its size."""
        self._drift("position", fields, POSITION_KEYS)
        size, code = wire.read_size(fields, "size"), wire.read_code(fields, "type")
        if action == _DELETED or size == 0 or code == 0:
            net = 0
        elif code in _DIRECTIONS:
            net = size * _DIRECTIONS[code]
        else:
            raise BadRecord(f"a position of unknown type {code}")
        average = None if net == 0 else wire.read_decimal(fields, "averagePrice")
        return Position(
            contract_id=wire.read_text(fields, "contractId"),
            net_contracts=net,
            cost_micros=_cost_micros(average, net, contract),
            id=wire.read_id(fields, "id"),
            opened_ns=self._or_unknown(wire.read_stamp_ns, fields, "creationTimestamp", 0),
        )

    def order(self, fields: Fields, contract: Contract | None) -> Order:
        """The order, without a price that is off the grid, or a price, stamp or parent that cannot be read.

        One odd member must not hide the order, and with it every other of its list.
        """
        self._drift("order", fields, ORDER_KEYS)
        size = wire.read_size(fields, "size")
        if size == 0:
            raise BadRecord("an order of size 0")
        created_ns = self._or_unknown(wire.read_stamp_ns, fields, "creationTimestamp", 0)
        is_stamped = fields.get("updateTimestamp") is not None
        tag = self._or_unknown(wire.read_optional_text, fields, "customTag", _UNREADABLE_TAG)
        # 0 is how a database writes "none".
        is_child = fields.get("parentOrderId") not in (0, "0")
        return Order(
            id=wire.read_id(fields, "id"),
            contract_id=wire.read_text(fields, "contractId"),
            side=_side(fields),
            type=TYPES.get(wire.read_code(fields, "type") or 0, OrderType.UNKNOWN),
            status=STATUSES.get(wire.read_code(fields, "status") or 0, OrderStatus.UNKNOWN),
            size=size,
            filled=0 if fields.get("fillVolume") is None else wire.read_size(fields, "fillVolume"),
            limit_ticks=self._price_ticks(fields, "limitPrice", contract),
            stop_ticks=self._price_ticks(fields, "stopPrice", contract),
            created_ns=created_ns,
            updated_ns=self._or_unknown(wire.read_stamp_ns, fields, "updateTimestamp", 0) if is_stamped else created_ns,
            tag=tag if tag is None or self._tags is None else self._tags.read(tag),
            parent_id=self._or_unknown(wire.read_optional_id, fields, "parentOrderId", None) if is_child else None,
        )

    def fill(self, fields: Fields, contract: Contract | None) -> Fill:
        self._drift("fill", fields, FILL_KEYS)
        size = wire.read_size(fields, "size")
        if size == 0:
            raise BadRecord("a fill of size 0")
        pnl = wire.read_optional_decimal(fields, "profitAndLoss")
        charged = [wire.read_optional_decimal(fields, key) or Decimal(0) for key in ("fees", "commissions")]
        if wire.read_optional_decimal(fields, "price") is None:
            raise BadRecord("price is missing")
        at_ns = wire.read_stamp_ns(fields, "creationTimestamp")
        if at_ns == 0:
            raise BadRecord("creationTimestamp is missing: the fill would belong to no trading day")
        return Fill(
            id=wire.read_id(fields, "id"),
            order_id=wire.read_id(fields, "orderId"),
            contract_id=wire.read_text(fields, "contractId"),
            side=_side(fields),
            size=size,
            price_ticks=self._price_ticks(fields, "price", contract),
            at_ns=at_ns,
            pnl_micros=None if pnl is None else micros(pnl),
            fees_micros=max(0, micros(charged[0] + charged[1])),
            is_voided=wire.read_flag(fields, "voided", default=False),
        )

    def drift_in_quote(self, fields: Fields) -> None:
        self._drift("quote", fields, wire.QUOTE_KEYS)

    def _price_ticks(self, fields: Fields, key: str, contract: Contract | None) -> int | None:
        price = self._or_unknown(wire.read_optional_decimal, fields, key, None)
        if price is None or contract is None:
            return None
        ticks = ticks_of(price, contract.instrument.tick_size_nanos)
        if ticks is None:
            self._problems.note("off_grid_price", f"{key} {price} of {contract.id}")
        return ticks

    def _or_unknown[T, U](self, read: Callable[[Fields, str], T], fields: Fields, key: str, unknown: U) -> T | U:
        """A member, or `unknown` where it cannot be read, which is noted."""
        try:
            return read(fields, key)
        except BadRecord as error:
            self._problems.note("unreadable_member", str(error))
            return unknown

    def _drift(self, kind: str, fields: Fields, known: frozenset[str]) -> None:
        if not fields.keys() <= known:
            for key in fields.keys() - known:
                self._problems.note_once("unknown_member", f"{kind}.{key}"[:80])


def micros(usd: Decimal) -> int:
    """Dollars in 1e-6 USD, exact for up to six fractional digits, else rounded half to even."""
    return round(usd * MICROS_PER_USD)


def ticks_of(price: Decimal, tick_size_nanos: int) -> int | None:
    """A price in ticks, exactly; None if it does not lie on the grid."""
    numerator, denominator = price.as_integer_ratio()
    unit = denominator * tick_size_nanos
    ticks = (2 * numerator * NANOS_PER_UNIT + unit) // (2 * unit)
    miss = abs(numerator * NANOS_PER_UNIT - ticks * unit)
    return ticks if miss * _OFF_GRID_ONE_IN < unit else None


def _cost_micros(average: Decimal | None, net_contracts: int, contract: Contract | None) -> int | None:
    """Average price x net contracts in 1e-6 USD; the average itself need not lie on the grid.

    The venue prints an average like a third of a tick with a few digits. Where the product is a whole number of ticks
    but for such a rest, it is taken for that number: at the limit, a millionth of a dollar decides. None where it
    cannot be told: without a contract, and for an average of 0, which is how the venue writes "none yet" elsewhere.
    """
    if average is None:
        return 0
    if contract is None or average == 0:
        return None
    numerator, denominator = average.as_integer_ratio()
    instrument = contract.instrument
    value = numerator * NANOS_PER_UNIT * net_contracts * instrument.tick_value_micros
    unit = denominator * instrument.tick_size_nanos
    cost_micros = (2 * value + unit) // (2 * unit)
    tick_micros = instrument.tick_value_micros
    whole = (2 * cost_micros + tick_micros) // (2 * tick_micros) * tick_micros
    return whole if abs(cost_micros - whole) * _OFF_GRID_ONE_IN < tick_micros else cost_micros


def _side(fields: Fields) -> Side:
    code = wire.read_code(fields, "side")
    side = None if code is None else _SIDES.get(code)
    if side is None:
        raise BadRecord(f"side is neither 0 nor 1: {str(fields.get('side'))[:20]}")
    return side

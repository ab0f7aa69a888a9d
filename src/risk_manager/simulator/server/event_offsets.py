"""How long after an execution each of its events leaves the venue.

The distances are those captured at the real venue in 2026 (practice and combine accounts, medians of few). What was
never seen, partial fills and entries that are no market orders, takes the distances of what is nearest.
"""

import msgspec

from risk_manager.domain.order import OrderStatus, OrderType
from risk_manager.simulator.book import LIMIT_LIKE, STOP_LIKE
from risk_manager.simulator.emissions import AccountChanged, FillHappened, OrderChanged, PositionChanged
from risk_manager.simulator.matching import is_told_first
from risk_manager.simulator.records import SimOrder
from risk_manager.simulator.view import ExchangeView

UserEmission = OrderChanged | FillHappened | PositionChanged | AccountChanged

REJECTED_MS = 4
"""From an order's record to its rejection."""

FAMILY_MS = (0, 1, 2)
"""Of the stop, the entry and the profit when a bracket is recorded."""


class Offsets(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds after an order was taken, or after its price was reached; in the order the exchange tells it in.

    Attributes:
        order_ms: the order's own change.
        fill_ms, again_ms: its fills, and opening fills told again.
        cancel_ms: members of its family that are cancelled or made smaller by it.
        profit_ms, stop_ms: children that wake or grow.
        echoes_ms: the account told again, after it was told first.
    """

    order_ms: int = 0
    fill_ms: int = 0
    again_ms: int = 0
    position_ms: int = 0
    account_ms: int = 0
    cancel_ms: int = 17
    profit_ms: int = 0
    stop_ms: int = 0
    echoes_ms: tuple[int, ...] = (46, 377, 377)


MARKET_ENTRY = Offsets(fill_ms=10, order_ms=11, position_ms=17, account_ms=23)
MARKET_CLOSE = Offsets(fill_ms=5, again_ms=6, order_ms=7, position_ms=9, account_ms=15)
LIMIT = Offsets(order_ms=0, fill_ms=1, again_ms=1, position_ms=9, account_ms=17, echoes_ms=(51, 2983, 2983))
STOP = Offsets(fill_ms=0, again_ms=9, order_ms=11, position_ms=13, account_ms=14, echoes_ms=(29, 311, 311))
BRACKET_ENTRY = Offsets(order_ms=8, fill_ms=8, position_ms=14, account_ms=18, profit_ms=26, stop_ms=27)
BRACKET_FILL = Offsets(order_ms=0, fill_ms=0, position_ms=6, account_ms=10, profit_ms=18, stop_ms=19)
BRACKET_EXIT = Offsets(order_ms=0, fill_ms=1, again_ms=1, position_ms=9, account_ms=14, echoes_ms=(886,))


class Execution:
    """An execution that is being told.

    Attributes:
        latest_s: the longest any of its events has had to wait so far.
        is_settled: the account was told, and with it all that the execution itself changed.
    """

    __slots__ = ("at_ns", "is_settled", "latest_s", "offsets", "order")

    def __init__(self, order: SimOrder, offsets: Offsets, at_ns: int) -> None:
        self.order = order
        self.offsets = offsets
        self.at_ns = at_ns
        self.latest_s = 0.0
        self.is_settled = False


class Moment(msgspec.Struct, frozen=True):
    """When an event leaves: so many milliseconds after its execution, or (None) after whatever else caused it."""

    execution: Execution | None
    offset_ms: int

    @property
    def echoes_ms(self) -> tuple[int, ...]:
        """After how many milliseconds more an account event is repeated."""
        return (Offsets() if self.execution is None else self.execution.offsets).echoes_ms


class EventOffsets:
    """Tells of each emission which execution it belongs to; give it all of them, in order."""

    def __init__(self, exchange: ExchangeView) -> None:
        self._exchange = exchange
        self._executions: dict[int, Execution] = {}

    def of(self, emission: UserEmission) -> Moment:
        """When the event of an emission leaves."""
        execution = self._executions.get(emission.account_id)
        if execution is not None and execution.at_ns != emission.at_ns:
            # Everything an execution leads to is told in its own instant.
            del self._executions[emission.account_id]
            execution = None
        match emission:
            case OrderChanged():
                return self._order(emission, execution)
            case FillHappened():
                return self._fill(emission, execution)
            case PositionChanged():
                return Moment(execution, 0 if execution is None else execution.offsets.position_ms)
            case AccountChanged():
                if execution is None:
                    return Moment(None, 0)
                execution.is_settled = True
                return Moment(execution, execution.offsets.account_ms)

    def _order(self, emission: OrderChanged, execution: Execution | None) -> Moment:
        order = emission.order
        stop_ms, entry_ms, profit_ms = FAMILY_MS
        match order.status:
            case OrderStatus.PENDING:
                return Moment(None, entry_ms if self._has_children(order) else 0)
            case OrderStatus.SUSPENDED:
                return Moment(None, stop_ms if order.type in STOP_LIKE else profit_ms)
            case OrderStatus.REJECTED:
                return Moment(None, REJECTED_MS)
            case OrderStatus.FILLED | OrderStatus.WORKING if order.filled:
                return self._executed(emission, execution)
            case _:
                return _followed(order, execution)

    def _executed(self, emission: OrderChanged, execution: Execution | None) -> Moment:
        order = emission.order
        if execution is None or execution.is_settled or execution.order.id != order.id:
            if not is_told_first(order, has_children=self._has_children(order)):
                # Nothing was filled: somebody changed an order that is filled in part.
                return Moment(None, 0)
            execution = self._begin(order, emission.at_ns, is_closing=False)
        return Moment(execution, execution.offsets.order_ms)

    def _fill(self, emission: FillHappened, execution: Execution | None) -> Moment:
        fill = emission.fill
        if emission.is_resend:
            return Moment(execution, 0 if execution is None else execution.offsets.again_ms)
        if execution is None or execution.is_settled or execution.order.id != fill.order_id:
            order = self._exchange.order(emission.account_id, fill.order_id)
            assert order is not None, fill
            execution = self._begin(order, emission.at_ns, is_closing=fill.pnl_micros is not None)
        return Moment(execution, execution.offsets.fill_ms)

    def _begin(self, order: SimOrder, at_ns: int, *, is_closing: bool) -> Execution:
        execution = Execution(order, self._offsets(order, is_closing=is_closing), at_ns)
        self._executions[order.account_id] = execution
        return execution

    def _offsets(self, order: SimOrder, *, is_closing: bool) -> Offsets:
        if self._has_children(order):
            return BRACKET_ENTRY if order.type is OrderType.MARKET else BRACKET_FILL
        if order.parent_id is not None:
            return BRACKET_EXIT
        if order.type in LIMIT_LIKE:
            return LIMIT
        if order.type in STOP_LIKE:
            return STOP
        return MARKET_CLOSE if is_closing else MARKET_ENTRY

    def _has_children(self, order: SimOrder) -> bool:
        return self._exchange.has_children(order.account_id, order.id)


def _followed(order: SimOrder, execution: Execution | None) -> Moment:
    """When a change leaves that filled nothing: that of a relative of the order executed, or any."""
    if execution is None:
        return Moment(None, 0)
    offsets, executed = execution.offsets, execution.order
    if order.parent_id == executed.id and order.status is OrderStatus.WORKING:
        return Moment(execution, offsets.stop_ms if order.type in STOP_LIKE else offsets.profit_ms)
    if order.parent_id is not None or order.id == executed.parent_id:
        return Moment(execution, offsets.cancel_ms)
    return Moment(None, 0)

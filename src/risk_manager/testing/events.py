"""A venue's side of the story, in events: for tests of rules, exits and the engine.

A `Scenario` keeps what a venue would keep (netted positions, working orders, fills, a clock that only moves forward)
and returns the events the venue would send. Prices are written as traders write them (`5800.25`), on the tick.

    venue = Scenario()
    engine.receive(venue.snapshot())
    for event in venue.buys(ES, 2, 5800.25):
        engine.receive(event)
"""

from fractions import Fraction

import msgspec

from risk_manager.domain.account import Account
from risk_manager.domain.contract import Contract
from risk_manager.domain.events import (
    AccountUpdated,
    Event,
    FillReceived,
    OrderUpdated,
    PositionUpdated,
    QuoteUpdated,
    RulesChanged,
    SnapshotTaken,
    TimerFired,
)
from risk_manager.domain.fill import Fill
from risk_manager.domain.instrument import MICROS_PER_USD, NANOS_PER_UNIT, Instrument
from risk_manager.domain.order import Order, OrderStatus, OrderType, Side
from risk_manager.domain.position import Position
from risk_manager.domain.quote import Quote
from risk_manager.domain.trading_day import TradingDays

SECOND_NS = 1_000_000_000
HOUR_NS = 3600 * SECOND_NS
DAY_NS = 24 * HOUR_NS
START_NS = 1_736_953_200 * SECOND_NS
"""2025-01-15 15:00 UTC, a Wednesday: 09:00 in Chicago, eight hours before the trading day ends."""

_FIRST_DAY_NS = 1_736_722_800 * SECOND_NS
DAYS = TradingDays(
    tuple(_FIRST_DAY_NS + count * DAY_NS for count in range(6)),
    ("2025-01-13", "2025-01-14", "2025-01-15", "2025-01-16", "2025-01-17"),
)
"""The trading days of that week, from 17:00 to 17:00 in Chicago (UTC-6)."""

Price = int | float | str


def contract(root: str, tick_size: str, tick_value: str, *aliases: str, expiry: str = "H25") -> Contract:
    """A contract record as the venue would list it; the venue's own root is the first alias, or the root."""
    instrument = Instrument(
        root, int(Fraction(tick_size) * NANOS_PER_UNIT), int(Fraction(tick_value) * MICROS_PER_USD), aliases
    )
    venue_root = aliases[0] if aliases else root
    name = f"{root}{expiry[0]}{expiry[-1]}"
    return Contract(f"CON.F.US.{venue_root}.{expiry}", name, f"F.US.{venue_root}", instrument)


ES = contract("ES", "0.25", "12.50", "EP")
ES_JUNE = contract("ES", "0.25", "12.50", "EP", expiry="M25")
MES = contract("MES", "0.25", "1.25")
NQ = contract("NQ", "0.25", "5", "ENQ")
MNQ = contract("MNQ", "0.25", "0.50")
CL = contract("CL", "0.01", "10", "CLE")
CONTRACTS = (ES, ES_JUNE, MES, NQ, MNQ, CL)


def ticks(product: Contract, price: Price) -> int:
    """A price in ticks of the contract; it must be on the tick."""
    count = Fraction(str(price)) * NANOS_PER_UNIT / product.instrument.tick_size_nanos
    assert count.denominator == 1, f"{price} is not on the tick of {product.name}"
    return int(count)


def micros(dollars: Price) -> int:
    """Dollars in micros, exact."""
    amount = Fraction(str(dollars)) * MICROS_PER_USD
    assert amount.denominator == 1, f"{dollars} is finer than a micro"
    return int(amount)


class Scenario:
    """One account at an imaginary venue.

    Attributes:
        now_ns: the venue's and the local clock at once.   step_ns: how far each event moves it.
        contracts: what snapshots describe; take one out to have a contract nobody knows.
    """

    def __init__(self, account_id: str = "1001", *, start_ns: int = START_NS, step_ns: int = 1_000_000) -> None:
        self.account_id = account_id
        self.now_ns = start_ns
        self.step_ns = step_ns
        self.balance_micros = 50_000 * MICROS_PER_USD
        self.can_trade = True
        self.contracts: tuple[Contract, ...] = CONTRACTS
        self.positions: dict[str, Position] = {}
        self.orders: dict[str, Order] = {}
        self.fills: dict[str, Fill] = {}
        self._count = 0

    # -- time ---------------------------------------------------------------------------------------------------

    def wait(self, seconds: float) -> None:
        """Let time pass without an event."""
        self.now_ns += int(seconds * SECOND_NS)

    def timer(self, after_s: float = 0) -> TimerFired:
        """A deadline of the engine, some seconds from now."""
        self.wait(after_s)
        return TimerFired(self.account_id, 0, self._tick())

    def _tick(self) -> int:
        self.now_ns += self.step_ns
        return self.now_ns

    def _next_id(self) -> str:
        self._count += 1
        return str(self._count)

    # -- market -------------------------------------------------------------------------------------------------

    def quote(
        self, product: Contract, bid: Price | None, ask: Price | None = None, last: Price | None = None
    ) -> QuoteUpdated:
        """A quote; without an ask the bid is on both sides. Give last alone for a market without a book."""
        ask = bid if ask is None else ask
        bid_ticks, ask_ticks, last_ticks = (
            None if price is None else ticks(product, price) for price in (bid, ask, last)
        )
        now_ns = self._tick()
        quote = Quote(product.id, bid_ticks, ask_ticks, last_ticks, now_ns)
        return QuoteUpdated(self.account_id, quote, now_ns, now_ns)

    # -- the trader ---------------------------------------------------------------------------------------------

    def buys(self, product: Contract, size: int, price: Price, *, fees: Price = 0) -> tuple[Event, ...]:
        """A buy that fills at once: its fills (two when it reverses the position), then the position."""
        return self._executes(product, Side.BUY, size, price, micros(fees))

    def sells(self, product: Contract, size: int, price: Price, *, fees: Price = 0) -> tuple[Event, ...]:
        """A sell that fills at once; see `buys`."""
        return self._executes(product, Side.SELL, size, price, micros(fees))

    def closes(self, product: Contract, price: Price) -> tuple[Event, ...]:
        """The end of the whole position, at a price."""
        net = self.positions[product.id].net_contracts
        return self.sells(product, net, price) if net > 0 else self.buys(product, -net, price)

    def result(self, dollars: Price, *, fees: Price = 0, product: Contract = MES) -> tuple[FillReceived, FillReceived]:
        """One contract in and out within an instant, with this profit or loss and no position event in between."""
        opening = self._fill(product, Side.BUY, 1, 1000, None, 0)
        return opening, self._fill(product, Side.SELL, 1, 1000, micros(dollars), micros(fees))

    def voided(self, *events: FillReceived) -> tuple[FillReceived, ...]:
        """The venue takes fills back."""
        void = [msgspec.structs.replace(event.fill, is_voided=True) for event in events]
        self.fills.update({fill.id: fill for fill in void})
        return tuple(FillReceived(self.account_id, fill, fill.at_ns, self._tick()) for fill in void)

    def position(self, product: Contract, net_contracts: int, price: Price = 0) -> PositionUpdated:
        """The venue states a position, entered at an average price."""
        cost = Fraction(str(price)) * NANOS_PER_UNIT / product.instrument.tick_size_nanos
        cost_micros = int(cost * net_contracts * product.instrument.tick_value_micros)
        now_ns = self._tick()
        known = self.positions.pop(product.id, None)
        stated = Position(
            product.id,
            net_contracts,
            cost_micros,
            known.id if known is not None else self._next_id(),
            known.opened_ns if known is not None else now_ns,
        )
        if net_contracts:
            self.positions[product.id] = stated
        return PositionUpdated(self.account_id, stated, now_ns, now_ns)

    def order(
        self,
        product: Contract,
        side: Side,
        size: int,
        *,
        stop: Price | None = None,
        limit: Price | None = None,
        order_id: str | None = None,
        parent_id: str | None = None,
        status: OrderStatus = OrderStatus.WORKING,
        filled: int = 0,
    ) -> OrderUpdated:
        """An order in a state; give `order_id` for the next state of a known one."""
        now_ns = self._tick()
        kind = OrderType.STOP if stop is not None else OrderType.LIMIT if limit is not None else OrderType.MARKET
        key = order_id if order_id is not None else self._next_id()
        known = self.orders.pop(key, None)
        order = Order(
            key,
            product.id,
            side,
            kind,
            status,
            size,
            filled,
            limit_ticks=None if limit is None else ticks(product, limit),
            stop_ticks=None if stop is None else ticks(product, stop),
            created_ns=known.created_ns if known is not None else now_ns,
            updated_ns=now_ns,
            parent_id=parent_id,
        )
        if not status.is_terminal:
            self.orders[key] = order
        return OrderUpdated(self.account_id, order, now_ns, now_ns)

    # -- account ------------------------------------------------------------------------------------------------

    def account(self) -> AccountUpdated:
        now_ns = self._tick()
        return AccountUpdated(self.account_id, self._record(), now_ns, now_ns)

    def snapshot(self) -> SnapshotTaken:
        """The whole account as the venue knows it now."""
        requested_ns = self._tick()
        now_ns = self._tick()
        return SnapshotTaken(
            self.account_id,
            self._record(),
            tuple(self.positions.values()),
            tuple(self.orders.values()),
            tuple(self.fills.values()),
            0,
            self.contracts,
            requested_ns,
            now_ns,
            now_ns,
        )

    def rules_changed(self, revision: str = "2") -> RulesChanged:
        return RulesChanged(self.account_id, revision, 0, self._tick())

    def _record(self) -> Account:
        return Account(self.account_id, f"PRACTICE-{self.account_id}", self.balance_micros, self.can_trade)

    # -- inside -------------------------------------------------------------------------------------------------

    def _executes(self, product: Contract, side: Side, size: int, price: Price, fees: int) -> tuple[Event, ...]:
        known = self.positions.get(product.id)
        net = known.net_contracts if known is not None else 0
        cost = known.cost_micros or 0 if known is not None else 0
        at = ticks(product, price)
        closed = min(size, abs(net)) if net * side.sign < 0 else 0
        fills: list[Event] = []
        if closed:
            value = -side.sign * closed * at * product.instrument.tick_value_micros
            freed = cost * closed // abs(net)
            cost -= freed
            fills.append(self._fill(product, side, closed, at, value - freed, fees if closed == size else 0))
        if size > closed:
            cost += side.sign * (size - closed) * at * product.instrument.tick_value_micros
            fills.append(self._fill(product, side, size - closed, at, None, fees))
        now_ns = self._tick()
        after = net + side.sign * size
        is_same = known is not None and after * net > 0
        position = Position(
            product.id,
            after,
            cost,
            known.id if known is not None and is_same else self._next_id(),
            known.opened_ns if known is not None and is_same else now_ns,
        )
        self.positions.pop(product.id, None)
        if after:
            self.positions[product.id] = position
        return (*fills, PositionUpdated(self.account_id, position, now_ns, now_ns))

    def _fill(
        self,
        product: Contract,
        side: Side,
        size: int,
        price_ticks: int | None,
        pnl_micros: int | None,
        fees_micros: int,
    ) -> FillReceived:
        now_ns = self._tick()
        key = self._next_id()
        fill = Fill(key, f"o{key}", product.id, side, size, price_ticks, now_ns, pnl_micros, fees_micros)
        self.fills[key] = fill
        self.balance_micros += (pnl_micros or 0) - fees_micros
        return FillReceived(self.account_id, fill, now_ns, now_ns)

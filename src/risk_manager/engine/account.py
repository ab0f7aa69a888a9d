"""The account folded from its events: the read-only view every rule gets, and the numbers it shows."""

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from risk_manager.domain.account import Account
from risk_manager.domain.actions import ClosePosition, ReducePosition
from risk_manager.domain.calendar import EMPTY, Calendar
from risk_manager.domain.contract import Contract
from risk_manager.domain.events import (
    AccountUpdated,
    ActionAccepted,
    ActionRejected,
    FillReceived,
    OrderUpdated,
    Outcome,
    PositionUpdated,
    QuoteUpdated,
    SnapshotTaken,
)
from risk_manager.domain.fill import Fill
from risk_manager.domain.lockout import Lockout
from risk_manager.domain.order import Order, Side
from risk_manager.domain.position import Position
from risk_manager.domain.quote import Quote
from risk_manager.domain.round_turn import FilledOrder, RoundTurn
from risk_manager.domain.trading_day import TradingDay, TradingDays
from risk_manager.engine.book import Book
from risk_manager.engine.lag import SNAPSHOT_LAG_NS
from risk_manager.engine.ledger import Ledger, LedgerImage
from risk_manager.engine.own_orders import SKEW_NS, UNANSWERED_NS, OwnClose
from risk_manager.engine.told_fills import ToldFills
from risk_manager.engine.working_orders import WorkingOrders


class AccountImage(msgspec.Struct):
    """Everything an `AccountState` remembers, for the engine's snapshot."""

    id: str
    now_ns: int
    received_ns: int
    day: TradingDay
    record: Account | None
    books: list[Book]
    holding_ids: list[str]
    orders: list[Order]
    order_received_ns: dict[str, int]
    done: dict[str, int]
    quotes: dict[str, QuoteUpdated]
    contracts: list[Contract]
    fills: list[Fill]
    floor_ns: int
    has_positions: bool
    has_fills: bool
    is_stream_broken: bool
    ledger: LedgerImage
    is_listed: bool
    fill_received_ns: dict[str, int] = {}


class AccountState:
    """Implements `AccountView`. Fold one event at a time; a day change through `turn_day`."""

    def __init__(self, account_id: str, days: TradingDays, calendar: Calendar = EMPTY) -> None:
        self.id = account_id
        self.calendar = calendar
        self.now_ns = 0
        self.received_ns = 0
        self.day = days.day_of(0)
        self.record: Account | None = None
        self.holdings: dict[str, Book] = {}
        self._orders = WorkingOrders()
        self.orders = self._orders.by_id
        self.contracts: dict[str, Contract] = {}
        self.lockouts: tuple[Lockout, ...] = ()
        self.realized_micros = 0
        self.fees_micros = 0
        # Of the holdings, and what their books, of flat contracts too, have closed without a stated profit.
        self.unrealized_micros = 0
        self.unpriced: frozenset[str] = frozenset()
        self.has_positions = False
        self.has_fills = False
        self.is_listed = True
        self._books: dict[str, Book] = {}
        self._quotes: dict[str, QuoteUpdated] = {}
        self._fills = ToldFills()
        self._ledger = Ledger()
        self._is_stream_broken = False

    @property
    def can_trade(self) -> bool:
        return self.record is None or self.record.can_trade

    @property
    def balance_micros(self) -> int | None:
        return self.record.balance_micros if self.record is not None else None

    @property
    def is_synced(self) -> bool:
        """Whether a snapshot has shown positions and fills; before that nothing can be called flat."""
        return self.has_positions and self.has_fills

    @property
    def fills(self) -> tuple[Fill, ...]:
        """The day's fills, voided ones included, oldest first."""
        today = (fill for fill in self._fills.by_id.values() if self._is_today(fill))
        return tuple(sorted(today, key=lambda fill: (fill.at_ns, fill.id)))

    @property
    def valid_fills(self) -> Sequence[Fill]:
        return self._ledger.fills

    @property
    def filled_orders(self) -> Sequence[FilledOrder]:
        return self._ledger.orders

    @property
    def round_turns(self) -> Sequence[RoundTurn]:
        return self._ledger.turns

    @property
    def guard_order_ids(self) -> frozenset[str]:
        return self._ledger.own.ids

    @property
    def fills_revision(self) -> int:
        return self._ledger.revision

    def quote_of(self, contract_id: str) -> Quote | None:
        """The last quote of a contract, held or not."""
        book = self.holdings.get(contract_id)
        known = book.quoted if book is not None else self._quotes.get(contract_id)
        return known.quote if known is not None else None

    # -- folding ------------------------------------------------------------------------------------------------

    def on_quote(self, event: QuoteUpdated) -> Book | None:
        """Mark the position to a quote and say which it is; None if none is held."""
        quote = event.quote
        contract_id = quote.contract_id
        book = self.holdings.get(contract_id)
        if book is None:
            self._quotes[contract_id] = event
            return None
        book.quoted = event
        net, cost, before = book.value_net, book.value_cost, book.unrealized_micros
        mark = quote.bid_ticks if net > 0 else quote.ask_ticks
        if mark is None or before is None or cost is None:
            self._revalue(book)
            return book
        now = mark * net * book.tick_value_micros - cost
        if now != before:
            book.unrealized_micros = now
            self.unrealized_micros += now - before
        return book

    def on_account(self, event: AccountUpdated) -> None:
        self.record = event.account

    def on_position(self, event: PositionUpdated) -> None:
        book = self._book(event.position.contract_id)
        book.state(event.position, event.received_ns)
        self._hold(book)

    def on_fill(self, event: FillReceived) -> None:
        is_late = self._is_late(event.fill) and self._book(event.fill.contract_id).contains(event.fill)
        moves = (self.has_fills or not self.has_positions) and not is_late
        book = self._take_fill(event.fill, event.received_ns, moves=moves)
        if book is not None and not is_late:
            book.moved_ns = event.received_ns

    def on_order(self, event: OrderUpdated) -> None:
        self._take_order(event.order, event.received_ns)

    def on_snapshot(self, event: SnapshotTaken) -> None:
        for contract in event.contracts:
            self._learn(contract)
        if event.account is not None:
            self.record, self.is_listed = event.account, True
        elif event.is_account_missing:
            self.is_listed = False
        contained: Counter[str] = Counter()
        if event.fills is not None:
            known = self._fills.by_id
            news = [fill for fill in event.fills if known.get(fill.id) != fill]
            for fill in sorted(news, key=lambda fill: (fill.at_ns, fill.id)):
                is_late = fill.id not in known and self._book(fill.contract_id).contains(fill)
                moves = self.has_fills and not is_late
                if is_late:
                    contained[fill.contract_id] += fill.side.sign * fill.size
                self._take_fill(fill, event.received_ns, moves=moves, requested_ns=event.requested_ns)
            self.has_fills = True
        if event.positions is not None:
            is_first = not self.has_positions
            self._reconcile_positions(event.positions, event, contained)
            self.has_positions, self._is_stream_broken = True, False
            if event.fills is not None:
                self._settle_ledger(event.requested_ns, is_first=is_first)
        if event.orders is not None:
            self._orders.drop_missing(event.orders, event.requested_ns)
            for order in event.orders:
                self._take_order(order, event.received_ns)

    def closes(self, action: ClosePosition | ReducePosition) -> None:
        """Note a close or reduction that is being sent: an order it becomes is the guard's own, not the trader's."""
        holding = self.holdings.get(action.contract_id)
        if holding is None:
            return
        net = holding.net_contracts
        self._ledger.asked(
            OwnClose(
                action.id,
                action.contract_id,
                Side.SELL if net > 0 else Side.BUY,
                action.size if isinstance(action, ReducePosition) else abs(net),
                self.now_ns - SKEW_NS,
                self.now_ns + UNANSWERED_NS,
            ),
            self.orders,
        )

    def on_outcome(self, outcome: Outcome) -> None:
        """Note what the venue says to an action; whether it was done is still unknown after ActionUnknown."""
        if isinstance(outcome, ActionAccepted | ActionRejected):
            is_refused = isinstance(outcome, ActionRejected)
            self._ledger.answered(outcome.action_id, self.now_ns, is_refused=is_refused)

    def executed_contracts(self, action: ReducePosition) -> int:
        """Contracts that have filled of what a reduction, sent a short while ago, became."""
        return self._ledger.own.executed_contracts(action.contract_id, action.id)

    def lost_stream(self) -> None:
        """Events may have been missed: the next snapshot is the truth wherever the stream has long been silent."""
        self._is_stream_broken = True

    def shift(self, by_ns: int) -> None:
        """Move every local time: the local clock has been set."""
        for book in self._books.values():
            book.shift(by_ns)
        self._orders.shift(by_ns)
        self._fills.shift(by_ns)
        self._quotes = {
            key: msgspec.structs.replace(event, received_ns=event.received_ns + by_ns)
            for key, event in self._quotes.items()
        }

    def turn_day(self, day: TradingDay) -> None:
        """Start a trading day: its numbers begin with the fills that already carry its time."""
        previous = self.day
        self.day = day
        floor_ns = min(previous.start_ns, day.start_ns) if previous.start_ns else 0
        self._fills.drop_before(floor_ns)
        self._orders.forget_ended(floor_ns)
        self._ledger.drop_before(floor_ns)
        self._sum_day()

    # -- what is in doubt ---------------------------------------------------------------------------------------

    def doubtful_since_ns(self) -> int | None:
        """Local time since which some position is unsettled or contradicted by a snapshot; None if none is."""
        since: int | None = None
        for book in self._books.values():
            if book.unsettled_ns is not None and (since is None or book.unsettled_ns < since):
                since = book.unsettled_ns
            if book.contradiction is not None and (since is None or book.contradicted_ns < since):
                since = book.contradicted_ns
        return since

    def unknown_contracts(self) -> bool:
        """Whether a position or order names a contract the venue has not described."""
        held = any(book.contract is None for book in self.holdings.values())
        return held or any(order.contract_id not in self.contracts for order in self.orders.values())

    # -- inside -------------------------------------------------------------------------------------------------

    def _is_today(self, fill: Fill) -> bool:
        return self.day.start_ns <= fill.at_ns < self.day.end_ns

    def _is_late(self, fill: Fill) -> bool:
        """Whether a fill nobody told of comes long after it happened: the venue tells an opening one again with the
        closing one, to whoever missed it, too.
        """
        return fill.id not in self._fills.by_id and fill.at_ns < self.now_ns - SNAPSHOT_LAG_NS

    def _sum_day(self) -> None:
        valid = [fill for fill in self._fills.by_id.values() if not fill.is_voided and self._is_today(fill)]
        self.realized_micros = sum(fill.pnl_micros or 0 for fill in valid)
        self.fees_micros = sum(fill.fees_micros for fill in valid)

    def _book(self, contract_id: str) -> Book:
        book = self._books.get(contract_id)
        if book is None:
            book = self._books[contract_id] = Book(contract_id)
            contract = self.contracts.get(contract_id)
            if contract is not None:
                book.learn(contract)
        return book

    def _learn(self, contract: Contract) -> None:
        known = self.contracts.get(contract.id)
        if known is contract or known == contract:
            return
        self.contracts[contract.id] = contract
        book = self._books.get(contract.id)
        if book is not None:
            book.learn(contract)
            self._revalue(book)

    def _hold(self, book: Book) -> None:
        """List the book among the holdings while it has exposure, and value it."""
        contract_id = book.contract_id
        if book.net_contracts != 0:
            if contract_id not in self.holdings:
                self.holdings[contract_id] = book
                book.quoted = self._quotes.pop(contract_id, None)
        elif self.holdings.pop(contract_id, None) is not None and book.quoted is not None:
            self._quotes[contract_id] = book.quoted
        self._revalue(book)

    def _revalue(self, book: Book) -> None:
        before = book.unrealized_micros or 0
        book.unrealized_micros = book.unrealized_at_micros("exit_side") if book.value_net else 0
        self.unrealized_micros += (book.unrealized_micros or 0) - before
        is_unpriced = book.unrealized_micros is None
        if is_unpriced != (book.contract_id in self.unpriced):
            self.unpriced = self.unpriced ^ {book.contract_id}

    def _take_fill(self, fill: Fill, received_ns: int, *, moves: bool, requested_ns: int | None = None) -> Book | None:
        """Book a fill once per id; the book comes back if that was news.

        Args:
            moves: the positions the guard knows do not contain the fill yet.
            requested_ns: local time at which the list it is read from was asked for; None: the stream told it.
        """
        known = self._fills.by_id.get(fill.id)
        taken = self._fills.take(fill, received_ns, requested_ns)
        if taken is None:
            return None
        fill = taken
        self._sum_fill(known, -1)
        self._sum_fill(fill, 1)
        self._ledger.put(fill, known, self.now_ns)
        book = self._book(fill.contract_id)
        if moves:
            pending = book.pending_micros
            _tell(book, fill, known, received_ns)
            self.unrealized_micros += book.pending_micros - pending
        self._hold(book)
        return book

    def _sum_fill(self, fill: Fill | None, sign: int) -> None:
        if fill is not None and not fill.is_voided and self._is_today(fill):
            self.realized_micros += sign * (fill.pnl_micros or 0)
            self.fees_micros += sign * fill.fees_micros

    def _take_order(self, order: Order, received_ns: int) -> None:
        self._ledger.saw_order(order, self.now_ns)
        self._orders.take(order, received_ns)

    def _reconcile_positions(
        self, positions: tuple[Position, ...], event: SnapshotTaken, contained: Mapping[str, int]
    ) -> None:
        """Args: contained: by contract, the size of fills that were taken for part of what was adopted before."""
        requested_ns, received_ns = event.requested_ns, event.received_ns
        stated = {position.contract_id: position for position in positions}
        for contract_id in sorted(self._books.keys() | stated.keys()):
            book = self._book(contract_id)
            position = stated.get(contract_id, Position(contract_id, 0, 0, book.position_id, book.opened_ns))
            if self._is_older(book, position, requested_ns):
                continue
            net = position.net_contracts
            is_repeated = net == book.contradiction and requested_ns >= book.contradicted_ns
            # Where that was wrong, the fill of the same answer is the second witness.
            filled = (book.filled_net, book.filled_net + contained.get(contract_id, 0))
            is_confirmed = net in filled or (net == book.venue_net and book.is_venue_ahead)
            if is_repeated or is_confirmed or self._is_silent(book, requested_ns):
                book.adopt(position, event.at_ns, received_ns)
            elif net != book.contradiction:
                book.contradiction, book.contradicted_ns = net, received_ns
            self._hold(book)

    def _is_silent(self, book: Book, requested_ns: int) -> bool:
        """Whether a snapshot needs no second one: the stream is new or was interrupted, and has long said nothing."""
        if not self.has_positions:
            return True
        return self._is_stream_broken and book.moved_ns < requested_ns - SNAPSHOT_LAG_NS

    def _is_older(self, book: Book, position: Position, requested_ns: int) -> bool:
        """Whether the stream knows better than a snapshot: it moved later, or so shortly before that the read lags."""
        if not self.has_positions:
            return False
        net = position.net_contracts
        if book.unsettled_ns is None:
            may_lag = net != book.venue_net
        else:
            # Fills of which the venue's statement is still missing are not given up for a smaller position.
            may_lag = not book.is_venue_ahead and net != book.filled_net and abs(net) < abs(book.net_contracts)
        return book.moved_ns >= requested_ns - (SNAPSHOT_LAG_NS if may_lag else 0)

    def _settle_ledger(self, requested_ns: int, *, is_first: bool) -> None:
        """Have the ledger account for what is held, where no event since makes the snapshot's lists doubtful."""
        for contract_id, book in sorted(self._books.items()):
            if book.unsettled_ns is None and book.contradiction is None and book.moved_ns < requested_ns:
                self._ledger.settle(contract_id, book.venue_net, self.now_ns, is_first=is_first)
                # Agreement on the contracts says nothing about the profit: a fill that states it may still be under
                # way when two others have settled the position. Read after that, the list of fills has it, if any has.
                if is_first or book.moved_ns < requested_ns - SNAPSHOT_LAG_NS:
                    self.unrealized_micros -= book.pending_micros
                    book.forget_pending()

    # -- image --------------------------------------------------------------------------------------------------

    def image(self) -> AccountImage:
        return AccountImage(
            id=self.id,
            now_ns=self.now_ns,
            received_ns=self.received_ns,
            day=self.day,
            record=self.record,
            books=list(self._books.values()),
            holding_ids=list(self.holdings),
            orders=list(self.orders.values()),
            order_received_ns=self._orders.received_ns,
            done=self._orders.done,
            quotes=self._quotes,
            contracts=list(self.contracts.values()),
            fills=list(self._fills.by_id.values()),
            floor_ns=self._fills.floor_ns,
            has_positions=self.has_positions,
            has_fills=self.has_fills,
            is_stream_broken=self._is_stream_broken,
            ledger=self._ledger.image(),
            is_listed=self.is_listed,
            fill_received_ns=self._fills.received_ns,
        )

    def load(self, image: AccountImage) -> None:
        """Become what the image remembers; the image is not to be used afterwards."""
        self.now_ns, self.received_ns, self.day = image.now_ns, image.received_ns, image.day
        self.record = image.record
        self._books = {book.contract_id: book for book in image.books}
        self.holdings = {contract_id: self._books[contract_id] for contract_id in image.holding_ids}
        self._orders.load(image.orders, image.order_received_ns, image.done)
        self._quotes = image.quotes
        self.contracts = {contract.id: contract for contract in image.contracts}
        self._fills.load(image.fills, image.fill_received_ns, image.floor_ns)
        self.has_positions, self.has_fills = image.has_positions, image.has_fills
        self._is_stream_broken, self.is_listed = image.is_stream_broken, image.is_listed
        self._ledger.load(image.ledger, image.fills)
        self.unrealized_micros = sum((book.unrealized_micros or 0) + book.pending_micros for book in image.books)
        unpriced = (book.contract_id for book in self._books.values() if book.unrealized_micros is None)
        self.unpriced = frozenset(unpriced)
        self._sum_day()


def _tell(book: Book, fill: Fill, known: Fill | None, received_ns: int) -> None:
    """Tell a book of a fill, or of what has become of the one known so far."""
    if known is None:
        if not fill.is_voided:
            book.fill(fill, received_ns)
    elif fill.is_voided:
        if not known.is_voided:
            book.unfill(known, received_ns)
    elif known.pnl_micros is None:
        book.state_profit(fill)

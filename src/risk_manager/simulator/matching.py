"""How orders come in, fill and leave: the moving part of the exchange.

Order of emissions, as captured from the venue: a market or stop order tells its fill before its own change, a limit or
a member of a bracket family its change before the fill; then opening fills told again, positions, the account; last,
children that wake up (the profit, then the stop) or a sibling that is cancelled.
"""

import itertools
import random
from collections import deque
from collections.abc import Callable, Iterable, Mapping

import msgspec

from risk_manager.domain.order import OrderStatus, OrderType
from risk_manager.simulator.book import LIMIT_LIKE, STOP_LIKE, Book, trail_level_ticks
from risk_manager.simulator.checks import family_tags
from risk_manager.simulator.emissions import AccountChanged, Emission, FillHappened, OrderChanged, PositionChanged
from risk_manager.simulator.family import activated, children_of
from risk_manager.simulator.ledger import Booked, Ledger
from risk_manager.simulator.records import PlaceOrder, Refused, SimAccount, SimOrder

FIRST_ORDER_ID = 3_423_000_001

# States of one order are told apart by their update time; a microsecond survives the venue's rounding over REST.
_UPDATE_STEP_NS = 1_000

_RESTING = frozenset({OrderStatus.WORKING, OrderStatus.PENDING})


class AccountState:
    """Everything one account owns; `orders` rises by id, `children` names the bracket children of an entry."""

    __slots__ = ("children", "ledger", "orders", "record", "tags")

    def __init__(self, record: SimAccount, ledger: Ledger) -> None:
        self.record = record
        self.ledger = ledger
        self.orders: dict[int, SimOrder] = {}
        self.children: dict[int, tuple[int, ...]] = {}
        self.tags: set[str] = set()

    def room(self, order: SimOrder) -> int:
        """How many contracts an order may take before it would open or flip the position."""
        net = self.ledger.net_contracts(order.contract_id)
        return abs(net) if net * order.side.sign < 0 else 0


class Matcher:
    """Executes orders against the books.

    Args:
        accounts: all accounts by id; shared with the exchange.
        emit: called with every emission, in order.
        chance: how large the parts are.
        flat_cancels_children: bracket children do not outlive the position they protect.

    Attributes:
        fills_in_parts: an execution takes a random part of what an order has left; the rest waits for the next quote.
    """

    def __init__(
        self,
        accounts: Mapping[int, AccountState],
        emit: Callable[[Emission], None],
        chance: random.Random,
        *,
        fills_in_parts: bool = False,
        flat_cancels_children: bool = False,
    ) -> None:
        self._flat_cancels_children = flat_cancels_children
        self._accounts = accounts
        self._emit = emit
        self._chance = chance
        self.fills_in_parts = fills_in_parts
        self._order_ids = itertools.count(FIRST_ORDER_ID)
        # Orders of the close calls: they never take more than the position still has, so they cannot flip it.
        self._closing: set[int] = set()
        self.fill_owners: dict[int, AccountState] = {}

    def accept(
        self,
        account: AccountState,
        book: Book,
        request: PlaceOrder,
        at_ns: int,
        *,
        is_closing: bool = False,
        is_late: bool = False,
    ) -> int:
        """Take a checked order in, with its children, and fill what is marketable; return its id.

        A late one is only recorded: `enter` it later.
        """
        entry = _with_prices(self._order(account, request, request.tag, at_ns), book)
        if request.type is not OrderType.MARKET:
            entry = msgspec.structs.replace(entry, status=OrderStatus.WORKING)
        children = children_of(entry, request, self._order_ids.__next__)
        account.tags.update(family_tags(request))
        for order in (entry, *children):
            account.orders[order.id] = order
        if children:
            account.children[entry.id] = tuple(child.id for child in children)
        if is_closing:
            self._closing.add(entry.id)
        # Captured: the stop is told first, then the entry, then the profit.
        stops = [child for child in children if child.type in STOP_LIKE]
        profits = [child for child in children if child.type not in STOP_LIKE]
        for order in (*stops, entry, *profits):
            self._emit(OrderChanged(account.record.id, order, at_ns))
        if not is_late:
            self.enter(account, book, entry.id, at_ns)
        return entry.id

    def enter(self, account: AccountState, book: Book, order_id: int, at_ns: int) -> None:
        """Let a recorded order into the book, unless it is done already."""
        order = account.orders[order_id]
        if not order.status.is_terminal:
            book.resting[order_id] = order
            self.arrive(account, book, order_id, at_ns)

    def reject(self, account: AccountState, book: Book, request: PlaceOrder, refused: Refused, at_ns: int) -> Refused:
        """Record an order as rejected, burning its tags; return the refusal with the order's id."""
        # A tag that is taken stays with the order that has it: a search by tag must find that one.
        tag = None if request.tag in account.tags else request.tag
        order = self._order(account, request, tag, at_ns)
        account.tags.update(family_tags(request))
        account.orders[order.id] = order
        self._emit(OrderChanged(account.record.id, order, at_ns))
        self.change(account, book, msgspec.structs.replace(order, status=OrderStatus.REJECTED), at_ns)
        return Refused(refused.code, refused.message, order.id)

    def change(self, account: AccountState, book: Book, order: SimOrder, at_ns: int) -> None:
        """Store an order's new state and tell it."""
        self._emit(OrderChanged(account.record.id, self._store(account, book, order, at_ns), at_ns))

    def cancel(self, account: AccountState, book: Book, order: SimOrder, at_ns: int) -> None:
        """Cancel a live order; an entry without a fill takes its children along."""
        self.change(account, book, msgspec.structs.replace(order, status=OrderStatus.CANCELLED), at_ns)
        if order.filled:
            return
        for child_id in account.children.get(order.id, ()):
            child = account.orders[child_id]
            if not child.status.is_terminal:
                self.change(account, book, msgspec.structs.replace(child, status=OrderStatus.CANCELLED), at_ns)

    def match(self, book: Book, at_ns: int, order_ids: Iterable[int] | None = None) -> None:
        """Fill what the present quote makes marketable, of all resting orders in order of arrival or of those named.

        Each takes part once; children woken by an entry come after it.
        """
        queue = deque(book.resting if order_ids is None else order_ids)
        while queue:
            order = book.resting.get(queue.popleft())
            if order is None:
                continue
            ticks = book.fill_ticks(order)
            if ticks is not None:
                queue.extend(self._execute(book, order, ticks, at_ns))

    def arrive(self, account: AccountState, book: Book, order_id: int, at_ns: int) -> None:
        """Match an order that is new or was moved; a marketable limit gets the quote instead of its own price."""
        order = account.orders[order_id]
        ticks = book.arrival_ticks(order)
        if ticks is not None:
            self.match(book, at_ns, self._execute(book, order, ticks, at_ns))

    def follow_print(self, book: Book, at_ns: int) -> None:
        """Trigger the stops the last print reached and pull trailing stops after it.

        A stop just pulled waits for the next quote: a feed tells a print before the quote it leads to, and the stale
        one would trigger it wrongly.
        """
        reached = []
        for order in list(book.resting.values()):
            if order.type not in STOP_LIKE or order.id in book.triggered:
                continue
            if book.is_triggered_by_print(order):
                book.triggered.add(order.id)
                reached.append(order.id)
            elif (level := book.trailed_ticks(order)) is not None:
                new = msgspec.structs.replace(order, stop_ticks=level)
                self.change(self._accounts[order.account_id], book, new, at_ns)
        self.match(book, at_ns, reached)

    def tell_fills(self, account: AccountState, booked: Booked, at_ns: int) -> None:
        """Tell new fills, then the known ones to be told again."""
        for fill in booked.fills:
            self._emit(FillHappened(account.record.id, fill, False, at_ns))
        for fill in booked.resent:
            self._emit(FillHappened(account.record.id, fill, True, at_ns))

    def settle_cash(self, account: AccountState, booked: Booked, at_ns: int) -> None:
        """Move the balance, then tell the positions and the account."""
        balance_micros = account.record.balance_micros + booked.cash_micros
        account.record = msgspec.structs.replace(account.record, balance_micros=balance_micros)
        for position in booked.positions:
            self._emit(PositionChanged(account.record.id, position, position.net_contracts == 0, at_ns))
        self._emit(AccountChanged(account.record.id, account.record, at_ns))

    def drop_idle_closers(self, account: AccountState, book: Book, at_ns: int) -> None:
        """Cancel what is left of close orders whose position is gone."""
        for order_id in sorted(self._closing):
            order = account.orders.get(order_id)
            if order is not None and order.contract_id == book.contract.id and account.room(order) == 0:
                self.cancel(account, book, order, at_ns)

    def expire(self, book: Book, at_ns: int) -> None:
        """End everything that rests in a book, and the children that wait for it."""
        resting = set(book.resting)
        waiting = [
            (account, child_id)
            for account in self._accounts.values()
            for parent_id, children in account.children.items()
            if parent_id in resting
            for child_id in children
        ]
        waiting.extend((self._accounts[order.account_id], order.id) for order in book.resting.values())
        for account, order_id in sorted(waiting, key=lambda each: each[1]):
            order = account.orders[order_id]
            if not order.status.is_terminal:
                self.change(account, book, msgspec.structs.replace(order, status=OrderStatus.EXPIRED), at_ns)

    def _drop_children(self, account: AccountState, book: Book, at_ns: int) -> None:
        for order in list(book.resting.values()):
            if order.account_id == account.record.id and order.parent_id is not None:
                self.cancel(account, book, order, at_ns)

    def _order(self, account: AccountState, request: PlaceOrder, tag: str | None, at_ns: int) -> SimOrder:
        return SimOrder(
            id=next(self._order_ids),
            account_id=account.record.id,
            contract_id=request.contract_id,
            created_ns=at_ns,
            updated_ns=at_ns,
            status=OrderStatus.PENDING,
            type=request.type,
            side=request.side,
            size=request.size,
            limit_ticks=request.limit_ticks,
            stop_ticks=request.stop_ticks,
            trail_ticks=request.trail_ticks,
            tag=tag,
        )

    def _store(self, account: AccountState, book: Book, order: SimOrder, at_ns: int) -> SimOrder:
        order = msgspec.structs.replace(order, updated_ns=max(at_ns, order.updated_ns + _UPDATE_STEP_NS))
        account.orders[order.id] = order
        if order.status in _RESTING:
            book.resting[order.id] = order
        elif order.status.is_terminal:
            book.resting.pop(order.id, None)
            book.triggered.discard(order.id)
            self._closing.discard(order.id)
        return order

    def _execute(self, book: Book, order: SimOrder, price_ticks: int, at_ns: int) -> list[int]:
        """Fill an order, or a part of it, at a price; return the ids of the children that woke or grew."""
        account = self._accounts[order.account_id]
        if order.type in STOP_LIKE:
            book.triggered.add(order.id)
        size = self._portion(account, order)
        booked = account.ledger.book(book.contract, order.id, order.side, size, price_ticks, at_ns)
        for fill in booked.fills:
            self.fill_owners[fill.id] = account
        filled = order.filled + size
        order = msgspec.structs.replace(
            order,
            filled=filled,
            filled_cost_ticks=order.filled_cost_ticks + price_ticks * size,
            status=OrderStatus.FILLED if filled == order.size else OrderStatus.WORKING,
        )
        order = self._store(account, book, order, at_ns)
        told = OrderChanged(account.record.id, order, at_ns)
        is_first = is_told_first(order, has_children=order.id in account.children)
        if is_first:
            self._emit(told)
        self.tell_fills(account, booked, at_ns)
        if not is_first:
            self._emit(told)
        self.settle_cash(account, booked, at_ns)
        self._settle_sibling(account, book, order, size, at_ns)
        if self._flat_cancels_children and account.ledger.net_contracts(order.contract_id) == 0:
            self._drop_children(account, book, at_ns)
        self.drop_idle_closers(account, book, at_ns)
        return self._wake_children(account, book, order, price_ticks, size, at_ns)

    def _portion(self, account: AccountState, order: SimOrder) -> int:
        size = order.remaining
        if order.id in self._closing:
            size = min(size, account.room(order))
        assert size > 0, order
        return self._chance.randint(1, size) if self.fills_in_parts else size

    def _wake_children(
        self, account: AccountState, book: Book, entry: SimOrder, price_ticks: int, size: int, at_ns: int
    ) -> list[int]:
        """After an entry's fill: suspended children go to work at that fill's price, working ones grow by its size."""
        woken = []
        for child_id in reversed(account.children.get(entry.id, ())):
            child = account.orders[child_id]
            if child.status is OrderStatus.SUSPENDED:
                child = activated(child, price_ticks, size)
            elif child.status is OrderStatus.WORKING:
                child = msgspec.structs.replace(child, size=child.size + size)
            else:
                continue
            self.change(account, book, child, at_ns)
            woken.append(child_id)
        return woken

    def _settle_sibling(self, account: AccountState, book: Book, leg: SimOrder, size: int, at_ns: int) -> None:
        """After a child's fill: its sibling is cancelled, or shrinks by a partial fill.

        An entry that still waits for more is cancelled with it: what it would fill then had no protection.
        """
        if leg.parent_id is None:
            return
        for sibling_id in account.children[leg.parent_id]:
            sibling = account.orders[sibling_id]
            if sibling_id == leg.id or sibling.status.is_terminal:
                continue
            if leg.status is OrderStatus.FILLED or sibling.remaining <= size:
                self.cancel(account, book, sibling, at_ns)
            else:
                self.change(account, book, msgspec.structs.replace(sibling, size=sibling.size - size), at_ns)
        entry = account.orders[leg.parent_id]
        if leg.status is OrderStatus.FILLED and not entry.status.is_terminal:
            self.cancel(account, book, entry, at_ns)


def is_told_first(order: SimOrder, *, has_children: bool) -> bool:
    """Whether an order's own change is told before its fill."""
    return order.type in LIMIT_LIKE or order.parent_id is not None or has_children


def _with_prices(order: SimOrder, book: Book) -> SimOrder:
    """The order with the prices its type has: the joined quote, the trail's first level, nothing that is ignored."""
    limit_ticks = stop_ticks = trail_ticks = None
    match order.type:
        case OrderType.LIMIT:
            limit_ticks = order.limit_ticks
        case OrderType.JOIN_BID:
            limit_ticks = book.bid_ticks
        case OrderType.JOIN_ASK:
            limit_ticks = book.ask_ticks
        case OrderType.STOP:
            stop_ticks = order.stop_ticks
        case OrderType.TRAILING_STOP:
            assert book.last_ticks is not None, order
            assert order.trail_ticks is not None, order
            trail_ticks = order.trail_ticks
            stop_ticks = trail_level_ticks(order.side, book.last_ticks, trail_ticks)
        case _:
            pass
    return msgspec.structs.replace(order, limit_ticks=limit_ticks, stop_ticks=stop_ticks, trail_ticks=trail_ticks)

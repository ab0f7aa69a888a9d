"""The simulated venue: accounts, orders and matching as a deterministic machine.

No I/O, no clock and no randomness but a seeded generator for partial fills: the same calls give the same emissions.
Time comes in as `at_ns` and never goes back; an earlier instant counts as the latest one seen. Listeners are called
inside the call that caused the emission and must not call back into the exchange. How prices are matched is told in
`book`, the order of emissions in `matching`, how money is counted in `ledger`, what is objected to in `checks`.
"""

import itertools
import random
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

import msgspec

from risk_manager.domain.order import OrderType, Side
from risk_manager.simulator import checks, messages
from risk_manager.simulator.book import LIMIT_LIKE, Book, trail_level_ticks
from risk_manager.simulator.emissions import AccountChanged, Emission, PrintHappened
from risk_manager.simulator.ledger import Ledger
from risk_manager.simulator.matching import AccountState, Matcher
from risk_manager.simulator.records import (
    BracketMode,
    PlaceOrder,
    RefusalCode,
    Refused,
    SimAccount,
    SimContract,
    SimFill,
    SimOrder,
    SimPosition,
    Top,
)

FIRST_ACCOUNT_ID = 20_000_001
FIRST_POSITION_ID = 825_000_001
FIRST_FILL_ID = 3_004_000_001


class Exchange:
    """One venue with its contracts, accounts and market.

    Args:
        contracts: what is listed; an order in anything else is refused.
        partial_fills: each execution takes a random part of what an order has left, and the rest waits for the next
            quote; the order stays WORKING with `filled` growing.
        seed: of that randomness.
    """

    def __init__(self, contracts: Iterable[SimContract], *, partial_fills: bool = False, seed: int = 0) -> None:
        self.now_ns = 0
        self._books = {each.id: Book(each) for each in contracts}
        self.contracts: Mapping[str, SimContract] = MappingProxyType(
            {key: book.contract for key, book in self._books.items()}
        )
        self._accounts: dict[int, AccountState] = {}
        self._listeners: list[Callable[[Emission], None]] = []
        self._matcher = Matcher(self._accounts, self._emit, random.Random(seed) if partial_fills else None)
        self._account_ids = itertools.count(FIRST_ACCOUNT_ID)
        self._position_ids = itertools.count(FIRST_POSITION_ID)
        self._fill_ids = itertools.count(FIRST_FILL_ID)

    # The world

    def open_account(
        self,
        *,
        user: str,
        name: str,
        balance_micros: int,
        bracket_mode: BracketMode = BracketMode.AUTO_OCO,
        is_simulated: bool = True,
        is_follower: bool = False,
    ) -> int:
        """Open an account and return its id. Emits nothing: an account is found by asking."""
        record = SimAccount(
            id=next(self._account_ids),
            user=user,
            name=name,
            balance_micros=balance_micros,
            can_trade=True,
            is_visible=True,
            is_simulated=is_simulated,
            is_follower=is_follower,
            bracket_mode=bracket_mode,
        )
        ledger = Ledger(record.id, self._fill_ids.__next__, self._position_ids.__next__)
        self._accounts[record.id] = AccountState(record, ledger)
        return record.id

    def set_can_trade(self, account_id: int, can_trade: bool, at_ns: int, *, reason: str = "Personal") -> None:
        """Block or free an account, as the venue's own risk rules do; what it holds and has resting stays."""
        account = self._accounts[account_id]
        block_reason = "" if can_trade else reason
        record = msgspec.structs.replace(account.record, can_trade=can_trade, block_reason=block_reason)
        self._change_account(account, record, at_ns)

    def set_visible(self, account_id: int, is_visible: bool, at_ns: int) -> None:
        """Show or hide an account in lists of active accounts (a failed one disappears there)."""
        account = self._accounts[account_id]
        self._change_account(account, msgspec.structs.replace(account.record, is_visible=is_visible), at_ns)

    def set_halted(self, contract_id: str, is_halted: bool, at_ns: int) -> None:
        """Halt a contract or let it trade again: while halted nothing fills and no order is taken."""
        book = self._books[contract_id]
        at_ns = self._advance(at_ns)
        book.is_halted = is_halted
        self._matcher.match(book, at_ns)

    def void_fill(self, fill_id: int, at_ns: int) -> None:
        """Take an execution back, as if it had never happened; its order stays as it is. Twice is once.

        Raises:
            KeyError: no such fill.
        """
        account = self._matcher.fill_owners[fill_id]
        fill = account.ledger.fills[fill_id]
        if fill.is_voided:
            return
        at_ns = self._advance(at_ns)
        booked = account.ledger.void(fill_id, self.contracts[fill.contract_id], at_ns)
        self._matcher.tell_fills(account, booked, at_ns)
        self._matcher.settle_cash(account, booked, at_ns)
        self._matcher.drop_idle_closers(account, self._books[fill.contract_id], at_ns)

    # The market

    def quote(
        self, contract_id: str, bid_ticks: int, ask_ticks: int, at_ns: int, *, bid_size: int = 0, ask_size: int = 0
    ) -> None:
        """Set the top of book; resting orders that it makes marketable fill, in order of arrival.

        Raises:
            KeyError: the contract is not listed.
        """
        book = self._books[contract_id]
        if at_ns > self.now_ns:
            self.now_ns = at_ns
        is_bid_new = book.bid_ticks != bid_ticks
        is_ask_new = book.ask_ticks != ask_ticks
        book.bid_ticks = bid_ticks
        book.ask_ticks = ask_ticks
        book.bid_size = bid_size
        book.ask_size = ask_size
        book.at_ns = self.now_ns
        if self._listeners and (is_bid_new or is_ask_new):
            self._emit(book.changed(("bid_ticks",) * is_bid_new + ("ask_ticks",) * is_ask_new))
        if book.resting:
            self._matcher.match(book, self.now_ns)

    def print(self, contract_id: str, price_ticks: int, size: int, aggressor: Side | None, at_ns: int) -> None:
        """Record a market trade between others: it moves last and volume, pulls trailing stops, triggers stops.

        Raises:
            KeyError: the contract is not listed.
        """
        book = self._books[contract_id]
        at_ns = self._advance(at_ns)
        changed = book.print(price_ticks, size, at_ns)
        if self._listeners:
            self._emit(PrintHappened(contract_id, price_ticks, size, aggressor, at_ns))
            self._emit(book.changed(changed))
        if book.resting and not book.is_halted:
            self._matcher.follow_print(book, at_ns)

    # Requests

    def place(self, account_id: int, order: PlaceOrder, at_ns: int) -> int | Refused:
        """Take an order and return its id; a refusal for its content is recorded as a rejected order with an id.

        With a bracket the children's ids follow the entry's: the stop first.
        """
        at_ns = self._advance(at_ns)
        account = self._accounts.get(account_id)
        if account is None:
            return Refused(RefusalCode.ACCOUNT_NOT_FOUND)
        book = self._books.get(order.contract_id)
        if book is None:
            return Refused(RefusalCode.CONTRACT_NOT_FOUND)
        if not book.contract.contract.is_active:
            return Refused(RefusalCode.CONTRACT_NOT_ACTIVE)
        refused = checks.placing(account.record, account.tags, book, order)
        if refused is not None:
            return self._matcher.reject(account, book, order, refused, at_ns)
        return self._matcher.accept(account, book, order, at_ns)

    def refuse(self, account_id: int, order: PlaceOrder, refused: Refused, at_ns: int) -> Refused:
        """Record an order that the border refuses (a misaligned price, an injected fault): PENDING, then REJECTED.

        Returns the refusal with the rejected order's id; without a record for an unknown account or contract.
        """
        at_ns = self._advance(at_ns)
        account = self._accounts.get(account_id)
        if account is None:
            return Refused(RefusalCode.ACCOUNT_NOT_FOUND)
        book = self._books.get(order.contract_id)
        if book is None:
            return Refused(RefusalCode.CONTRACT_NOT_FOUND)
        return self._matcher.reject(account, book, order, refused, at_ns)

    def modify(
        self,
        account_id: int,
        order_id: int,
        at_ns: int,
        *,
        size: int | None = None,
        limit_ticks: int | None = None,
        stop_ticks: int | None = None,
        trail_ticks: int | None = None,
    ) -> None | Refused:
        """Change a live order; None leaves a member as it is, and prices its type does not have are ignored.

        The price of a still suspended bracket child changes only until the entry fills: then it is computed anew.
        """
        at_ns = self._advance(at_ns)
        found = self._live_order(account_id, order_id)
        if isinstance(found, Refused):
            return found
        account, book, order = found
        refused = checks.modifying(book, order, size=size, stop_ticks=stop_ticks, trail_ticks=trail_ticks)
        if refused is not None:
            return refused
        if size is not None:
            order = msgspec.structs.replace(order, size=size)
        if order.type in LIMIT_LIKE and limit_ticks is not None:
            order = msgspec.structs.replace(order, limit_ticks=limit_ticks)
        elif order.type is OrderType.STOP and stop_ticks is not None:
            order = msgspec.structs.replace(order, stop_ticks=stop_ticks)
        elif order.type is OrderType.TRAILING_STOP and trail_ticks is not None and book.last_ticks is not None:
            level = trail_level_ticks(order.side, book.last_ticks, trail_ticks)
            order = msgspec.structs.replace(order, trail_ticks=trail_ticks, stop_ticks=level)
        self._matcher.change(account, book, order, at_ns)
        if order.id in book.resting:
            self._matcher.arrive(account, book, order.id, at_ns)
        return None

    def cancel(self, account_id: int, order_id: int, at_ns: int) -> None | Refused:
        """Cancel a live order; an entry without a fill takes its children along, a child leaves its sibling."""
        at_ns = self._advance(at_ns)
        account = self._accounts.get(account_id)
        if account is not None and account.record.is_follower:
            return Refused(RefusalCode.ACCOUNT_REJECTED, messages.FOLLOWER_CANNOT_CANCEL)
        if account is not None and not account.record.is_simulated:
            return Refused(RefusalCode.ACCOUNT_REJECTED, messages.LIVE_NOT_SUPPORTED)
        found = self._live_order(account_id, order_id)
        if isinstance(found, Refused):
            return found
        self._matcher.cancel(*found, at_ns)
        return None

    def close_contract(self, account_id: int, contract_id: str, at_ns: int) -> None | Refused:
        """Close a position by a market order of the venue's own; resting orders stay. Works on a blocked account."""
        return self._close(account_id, contract_id, None, at_ns)

    def partial_close(self, account_id: int, contract_id: str, size: int, at_ns: int) -> None | Refused:
        """Close `size` contracts of a position, 0 < size <= what is open."""
        return self._close(account_id, contract_id, size, at_ns)

    # Reads

    def accounts(self, user: str) -> list[SimAccount]:
        """A user's accounts by id, hidden ones too."""
        return [each.record for each in self._accounts.values() if each.record.user == user]

    def account(self, account_id: int) -> SimAccount | None:
        """The account, None if there is none."""
        account = self._accounts.get(account_id)
        return None if account is None else account.record

    def orders(self, account_id: int) -> list[SimOrder]:
        """All orders of an account in any state, by id; empty for an unknown account."""
        account = self._accounts.get(account_id)
        return [] if account is None else list(account.orders.values())

    def order(self, account_id: int, order_id: int) -> SimOrder | None:
        """One order of an account, None if it has no such order."""
        account = self._accounts.get(account_id)
        return None if account is None else account.orders.get(order_id)

    def positions(self, account_id: int) -> list[SimPosition]:
        """The open positions by id; empty for an unknown account."""
        account = self._accounts.get(account_id)
        return [] if account is None else account.ledger.positions()

    def position(self, account_id: int, contract_id: str) -> SimPosition | None:
        """The open position in a contract, None when flat."""
        account = self._accounts.get(account_id)
        return None if account is None else account.ledger.position(contract_id)

    def fills(self, account_id: int, since_ns: int = 0, until_ns: int | None = None) -> list[SimFill]:
        """Fills by id with `since_ns` <= time <= `until_ns` (None: no end), voided ones too."""
        account = self._accounts.get(account_id)
        if account is None:
            return []
        fills = account.ledger.fills.values()
        return [fill for fill in fills if fill.at_ns >= since_ns and (until_ns is None or fill.at_ns <= until_ns)]

    def top(self, contract_id: str) -> Top:
        """The merged quote. Raises KeyError if the contract is not listed."""
        return self._books[contract_id].top()

    def contract(self, contract_id: str) -> SimContract | None:
        """The contract, None if it is not listed."""
        return self.contracts.get(contract_id)

    def subscribe(self, listener: Callable[[Emission], None]) -> Callable[[], None]:
        """Tell `listener` everything from now on; call what comes back to stop."""
        self._listeners.append(listener)

        def unsubscribe() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return unsubscribe

    # Inside

    def _close(self, account_id: int, contract_id: str, size: int | None, at_ns: int) -> None | Refused:
        at_ns = self._advance(at_ns)
        account = self._accounts.get(account_id)
        if account is None:
            return Refused(RefusalCode.ACCOUNT_NOT_FOUND)
        if not account.record.is_simulated:
            return Refused(RefusalCode.ACCOUNT_REJECTED, messages.LIVE_NOT_SUPPORTED)
        book = self._books.get(contract_id)
        if book is None:
            return Refused(RefusalCode.CONTRACT_NOT_FOUND)
        if not book.contract.contract.is_active:
            return Refused(RefusalCode.CONTRACT_NOT_ACTIVE)
        net = account.ledger.net_contracts(contract_id)
        if net == 0:
            return Refused(RefusalCode.POSITION_NOT_FOUND)
        if size is not None and not 0 < size <= abs(net):
            return Refused(RefusalCode.INVALID_SIZE)
        side = Side.SELL if net > 0 else Side.BUY
        request = PlaceOrder(contract_id, OrderType.MARKET, side, abs(net) if size is None else size)
        if book.is_halted or book.taking_ticks(side) is None:
            # A partial close gives no text in either case; a full one gives what a market order would get.
            text = messages.TRADING_UNAVAILABLE if book.is_halted else messages.INVALID_SYMBOL
            refused = messages.rejected(text if size is None else None)
            return self._matcher.reject(account, book, request, refused, at_ns)
        self._matcher.accept(account, book, request, at_ns, is_closing=True)
        return None

    def _live_order(self, account_id: int, order_id: int) -> tuple[AccountState, Book, SimOrder] | Refused:
        account = self._accounts.get(account_id)
        if account is None:
            return Refused(RefusalCode.ACCOUNT_NOT_FOUND)
        order = account.orders.get(order_id)
        if order is None or order.status.is_terminal:
            return Refused(RefusalCode.ORDER_NOT_FOUND)
        return account, self._books[order.contract_id], order

    def _change_account(self, account: AccountState, record: SimAccount, at_ns: int) -> None:
        at_ns = self._advance(at_ns)
        if record != account.record:
            account.record = record
            self._emit(AccountChanged(record.id, record, at_ns))

    def _advance(self, at_ns: int) -> int:
        """Move time to `at_ns`, never back; return the present."""
        if at_ns > self.now_ns:
            self.now_ns = at_ns
        return self.now_ns

    def _emit(self, emission: Emission) -> None:
        for listener in tuple(self._listeners):
            listener(emission)

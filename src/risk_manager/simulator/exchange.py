"""The simulated venue: accounts, orders and matching as a deterministic machine.

No I/O, no clock and no randomness but a seeded generator for partial fills: the same calls give the same emissions.
Time comes in as `at_ns` and never goes back; an earlier instant counts as the latest one seen. Listeners are called
inside the call that caused the emission and must not call back into the exchange. How prices are matched is told in
`book`, the order of emissions in `matching`, how money is counted in `ledger`, what is objected to in `gate`.
"""

import itertools
import random
from collections.abc import Callable, Iterable

import msgspec

from risk_manager.domain.order import OrderType, Side
from risk_manager.simulator import checks, messages
from risk_manager.simulator.agenda import Agenda
from risk_manager.simulator.book import Book
from risk_manager.simulator.emissions import AccountChanged, Emission, PrintHappened
from risk_manager.simulator.gate import Gate
from risk_manager.simulator.hours import Phase, TradingHours, next_day_ns
from risk_manager.simulator.ledger import Ledger
from risk_manager.simulator.loss_limits import Breach, LossLimits, Surveillance
from risk_manager.simulator.manners import Manners
from risk_manager.simulator.matching import AccountState, Matcher
from risk_manager.simulator.records import (
    BracketMode,
    PlaceOrder,
    RefusalCode,
    Refused,
    SimAccount,
    SimContract,
    SimOrder,
    SizeLimits,
)
from risk_manager.simulator.trading_status import TradingStatus
from risk_manager.simulator.view import ExchangeView

FIRST_ACCOUNT_ID = 20_000_001
FIRST_POSITION_ID = 825_000_001
FIRST_FILL_ID = 3_004_000_001

# Refused so early that the venue makes no order of the request.
_UNRECORDED = frozenset({RefusalCode.CONTRACT_NOT_FOUND, RefusalCode.CONTRACT_NOT_ACTIVE, RefusalCode.ACCOUNT_REJECTED})


class Exchange(ExchangeView):
    """One venue with its contracts, accounts and market.

    Args:
        contracts: what is listed; an order in anything else is refused.
        partial_fills: each execution takes a random part of what an order has left, and the rest waits for the next
            quote; the order stays WORKING with `filled` growing.
        seed: of that randomness.
        hours: when orders are taken and filled; None is always.

    Attributes:
        fill_delay_ns: an order taken from now on reaches the market so much later; until then it is only recorded.
    """

    def __init__(
        self,
        contracts: Iterable[SimContract],
        *,
        partial_fills: bool = False,
        seed: int = 0,
        hours: TradingHours | None = None,
        manners: Manners | None = None,
    ) -> None:
        super().__init__(contracts)
        self.now_ns = 0
        self.fill_delay_ns = 0
        self._partial_fills = partial_fills
        self._agenda = Agenda()
        self._manners = manners or Manners()
        self._lockouts: dict[int, int] = {}
        self._listeners: list[Callable[[Emission], None]] = []
        self._matcher = Matcher(
            self._accounts,
            self._emit,
            random.Random(seed),
            fills_in_parts=partial_fills,
            flat_cancels_children=self._manners.flat_cancels_children,
        )
        self._status = TradingStatus(self._books, self._agenda, self._matcher.match, self._end_session, hours)
        self._gate = Gate(self._status, self._manners)
        self._surveillance = Surveillance(self._accounts, self._books, self._agenda, self._stop_at_limit)
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
        size_limits: SizeLimits | None = None,
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
            size_limits=size_limits or SizeLimits(),
        )
        ledger = Ledger(record.id, self._fill_ids.__next__, self._position_ids.__next__)
        self._accounts[record.id] = AccountState(record, ledger)
        return record.id

    def list_contract(self, contract: SimContract) -> None:
        """List a contract, or change one that is listed: at a roll the old month ceases to be the active one."""
        book = self._books.setdefault(contract.id, Book(contract))
        book.contract = self._listed[contract.id] = contract
        self._status.admit(book)

    def set_can_trade(
        self,
        account_id: int,
        can_trade: bool,
        at_ns: int,
        *,
        reason: str = "Personal",
        code: RefusalCode = RefusalCode.VIOLATION,
    ) -> None:
        """Block or free an account, as the venue's own risk rules do; what it holds and has resting stays.

        Args:
            reason: the word in the text of the refusals; without one there is no text.
            code: what the refusals are: a violation, a rejected account or a rejected order.
        """
        at_ns = self._advance(at_ns)
        self._lockouts.pop(account_id, None)
        account = self._accounts[account_id]
        block_reason = "" if can_trade else reason
        record = msgspec.structs.replace(
            account.record, can_trade=can_trade, block_reason=block_reason, block_code=code
        )
        self._change_account(account, record, at_ns)

    def lock_out(
        self,
        account_id: int,
        at_ns: int,
        until_ns: int,
        *,
        reason: str = "Personal",
        code: RefusalCode = RefusalCode.VIOLATION,
    ) -> None:
        """Block an account until an instant, as the lock-out in the venue's own settings does; exits stay possible."""
        self.set_can_trade(account_id, False, at_ns, reason=reason, code=code)
        self._lockouts[account_id] = until_ns
        self._agenda.add(until_ns, lambda now_ns: self._end_lockout(account_id, until_ns, now_ns))

    def limit_losses(self, account_id: int, limits: LossLimits, at_ns: int) -> None:
        """Have the venue stop an account out once it has lost so much, from now on; no limit at all ends that."""
        self._surveillance.watch(account_id, limits, self._advance(at_ns))

    def loss_limits(self, account_id: int) -> LossLimits:
        """The limits an account is held to."""
        return self._surveillance.limits(account_id)

    def stop_out(self, account_id: int, breach: Breach, at_ns: int, *, code: RefusalCode | None = None) -> None:
        """Liquidate and block an account as if it had reached a limit: until 17:00 in Chicago, or (maximum) for good.

        Args:
            code: what placing is refused as from then on; None is by the venue's manners.
        """
        at_ns = self._advance(at_ns)
        code = code or RefusalCode(self._manners.stop_out_code)
        self.liquidate(account_id, at_ns)
        if breach is Breach.DAILY:
            self.lock_out(account_id, at_ns, next_day_ns(at_ns), reason="DailyLossLimit", code=code)
        else:
            self.set_can_trade(account_id, False, at_ns, reason="", code=code)

    def liquidate(self, account_id: int, at_ns: int) -> None:
        """Cancel an account's orders and close its positions by market orders it did not send.

        What cannot fill now (a halt, no quote) fills as soon as it can.
        """
        at_ns = self._advance(at_ns)
        account = self._accounts[account_id]
        for order in list(account.orders.values()):
            if not account.orders[order.id].status.is_terminal:
                self._matcher.cancel(account, self._books[order.contract_id], account.orders[order.id], at_ns)
        for position in account.ledger.positions():
            self._take(account, _closing(position.contract_id, position.net_contracts), at_ns, is_closing=True)

    def replace_account(self, account_id: int, name: str, balance_micros: int, at_ns: int) -> int:
        """End an account and open one like it in its place, as after a reset; return the new id.

        The old one is emptied and stays in the books for good, but its user finds it no more.
        """
        at_ns = self._advance(at_ns)
        self.liquidate(account_id, at_ns)
        old = self._accounts[account_id]
        record = msgspec.structs.replace(old.record, can_trade=False, is_visible=False, is_closed=True)
        self._change_account(old, record, at_ns)
        return self.open_account(
            user=record.user,
            name=name,
            balance_micros=balance_micros,
            bracket_mode=record.bracket_mode,
            is_simulated=record.is_simulated,
            is_follower=record.is_follower,
            size_limits=record.size_limits,
        )

    def set_visible(self, account_id: int, is_visible: bool, at_ns: int) -> None:
        """Show or hide an account in lists of active accounts (a failed one disappears there)."""
        account = self._accounts[account_id]
        self._change_account(account, msgspec.structs.replace(account.record, is_visible=is_visible), at_ns)

    def set_up_account(self, account_id: int, is_follower: bool, bracket_mode: BracketMode) -> None:
        """Change how an account is set up, as its user does on the venue's pages; nothing is sent of it."""
        account = self._accounts[account_id]
        account.record = msgspec.structs.replace(account.record, is_follower=is_follower, bracket_mode=bracket_mode)

    def set_halted(self, contract_id: str, is_halted: bool, at_ns: int) -> None:
        """Halt a contract or let it trade again: while halted nothing fills and no order is taken."""
        self._status.set_halted(contract_id, is_halted, self._advance(at_ns))

    def pause(self, contract_id: str, at_ns: int, until_ns: int) -> None:
        """Halt a contract for some seconds, as the exchange does when prices move too fast."""
        self._status.pause(contract_id, self._advance(at_ns), until_ns)

    def curb_session(self, phase: Phase, is_curbed: bool, at_ns: int) -> None:
        """Be in a phase of the session early, whatever the hours say, or let the hours decide again."""
        self._status.curb(phase, is_curbed, self._advance(at_ns))

    def fill_in_parts(self, is_partial: bool | None) -> None:
        """Let each execution take a random part of what an order has left, or all of it; None is as at first."""
        self._matcher.fills_in_parts = self._partial_fills if is_partial is None else is_partial

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
            if self._agenda.next_ns <= at_ns:
                self._keep_agenda(at_ns)
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
        if not self._surveillance.is_idle:
            self._surveillance.check()

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
        if book.resting and not book.is_halted and not book.is_shut:
            self._matcher.follow_print(book, at_ns)

    # Requests

    def place(self, account_id: int, order: PlaceOrder, at_ns: int) -> int | Refused:
        """Take an order and return its id; a refusal for its content is recorded as a rejected order with an id.

        Looked at in the venue's order: the account, whether it may trade, the contract, the order itself, the hours,
        and last whether it is too large. With a bracket the children's ids follow the entry's: the stop first.
        """
        at_ns = self._advance(at_ns)
        account = self._accounts.get(account_id)
        if account is None:
            return Refused(RefusalCode.ACCOUNT_NOT_FOUND)
        book = self._books.get(order.contract_id)
        refused = self._gate.to_place(account, book, order)
        if book is not None and refused is None:
            return self._take(account, order, at_ns)
        assert refused is not None, order
        if book is None or refused.code in _UNRECORDED:
            return refused
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
        order = book.amended(order, size=size, limit_ticks=limit_ticks, stop_ticks=stop_ticks, trail_ticks=trail_ticks)
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
        if account is not None and (refused := self._gate.to_leave(account.record)) is not None:
            return refused
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
        if (refused := self._gate.to_leave(account.record)) is not None:
            return refused
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
        request = _closing(contract_id, net, size)
        refused = self._gate.to_trade(book)
        if refused is None and book.taking_ticks(request.side) is None:
            refused = messages.rejected(messages.INVALID_SYMBOL)
        if refused is not None:
            # A partial close gives no text in either case; a full one gives what a market order would get.
            refused = refused if size is None else messages.rejected(None)
            return self._matcher.reject(account, book, request, refused, at_ns)
        self._take(account, request, at_ns, is_closing=not self._manners.closes_may_flip)
        return None

    def _take(self, account: AccountState, order: PlaceOrder, at_ns: int, *, is_closing: bool = False) -> int:
        book, is_late = self._books[order.contract_id], self.fill_delay_ns > 0
        order_id = self._matcher.accept(account, book, order, at_ns, is_closing=is_closing, is_late=is_late)
        if is_late:
            due_ns = at_ns + self.fill_delay_ns
            self._agenda.add(due_ns, lambda now_ns: self._matcher.enter(account, book, order_id, now_ns))
        return order_id

    def _end_session(self, book: Book, at_ns: int) -> None:
        if self._manners.orders_expire:
            self._matcher.expire(book, at_ns)

    def _end_lockout(self, account_id: int, until_ns: int, at_ns: int) -> None:
        if self._lockouts.get(account_id) == until_ns:
            self.set_can_trade(account_id, True, at_ns)

    def _stop_at_limit(self, account_id: int, breach: Breach) -> None:
        self.stop_out(account_id, breach, self.now_ns)

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
        """Move time to `at_ns`, never back, doing what falls due on the way; return the present."""
        if at_ns > self.now_ns:
            if self._agenda.next_ns <= at_ns:
                self._keep_agenda(at_ns)
            self.now_ns = at_ns
        return self.now_ns

    def _keep_agenda(self, until_ns: int) -> None:
        self._agenda.target_ns = until_ns
        while self._agenda.next_ns <= until_ns:
            due_ns, act = self._agenda.take()
            self.now_ns = max(self.now_ns, due_ns)
            act(self.now_ns)

    def _emit(self, emission: Emission) -> None:
        for listener in tuple(self._listeners):
            listener(emission)


def _closing(contract_id: str, net_contracts: int, size: int | None = None) -> PlaceOrder:
    """The venue's own market order against a position; None closes all of it."""
    side = Side.SELL if net_contracts > 0 else Side.BUY
    return PlaceOrder(contract_id, OrderType.MARKET, side, abs(net_contracts) if size is None else size)

"""Who may place, trade and leave: what the venue objects to, in the order it looks."""

from risk_manager.simulator import checks, messages
from risk_manager.simulator.book import Book
from risk_manager.simulator.manners import Manners
from risk_manager.simulator.matching import AccountState
from risk_manager.simulator.records import PlaceOrder, RefusalCode, Refused, SimAccount
from risk_manager.simulator.trading_status import TradingStatus


class Gate:
    """Judges requests; None lets one pass."""

    def __init__(self, status: TradingStatus, manners: Manners) -> None:
        self._status = status
        self._manners = manners

    def to_place(self, account: AccountState, book: Book | None, order: PlaceOrder) -> Refused | None:
        """The first objection to a new order: to the account, its contract (None: not listed) or the order itself."""
        refused = self._to_begin(account.record)
        if refused is not None:
            return refused
        if book is None:
            return Refused(RefusalCode.CONTRACT_NOT_FOUND)
        if not book.contract.contract.is_active:
            return Refused(RefusalCode.CONTRACT_NOT_ACTIVE)
        return (
            checks.shape(account.record, account.tags, book, order)
            or self.to_trade(book)
            or checks.limits(account.record, account.ledger.net_contracts(order.contract_id), order)
        )

    def to_trade(self, book: Book) -> Refused | None:
        """The objection to any order in a contract that does not trade."""
        return None if self._status.is_taking(book) else self._manners.closed

    def to_leave(self, account: SimAccount) -> Refused | None:
        """The objection to cancelling and closing on a blocked account."""
        if account.can_trade or not self._manners.lockout_blocks_exits:
            return None
        return Refused(RefusalCode.ACCOUNT_REJECTED, messages.locked_out(account.block_reason))

    def _to_begin(self, account: SimAccount) -> Refused | None:
        if account.is_follower and not self._manners.follower_may_place:
            return Refused(RefusalCode.ACCOUNT_REJECTED)
        return checks.blocked(account)

"""What can be asked of the simulated venue."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from risk_manager.simulator.book import Book
from risk_manager.simulator.matching import AccountState
from risk_manager.simulator.records import SimAccount, SimContract, SimFill, SimOrder, SimPosition, Top


class ExchangeView:
    """The reading half of the exchange: contracts, quotes and what accounts own. Nothing here changes anything.

    Attributes:
        contracts: everything listed, by id.
    """

    def __init__(self, contracts: Iterable[SimContract]) -> None:
        self._listed = {each.id: each for each in contracts}
        self._books = {key: Book(each) for key, each in self._listed.items()}
        self._accounts: dict[int, AccountState] = {}
        self.contracts: Mapping[str, SimContract] = MappingProxyType(self._listed)

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

    def has_children(self, account_id: int, order_id: int) -> bool:
        """Whether an order is an entry with a bracket, whatever has become of its children."""
        account = self._accounts.get(account_id)
        return account is not None and order_id in account.children

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

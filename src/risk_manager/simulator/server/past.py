"""What accounts looked like some seconds ago: the stale side of a venue that reads from a copy of its books."""

from collections import deque
from collections.abc import Callable, Iterable

import msgspec

from risk_manager.simulator.emissions import Emission
from risk_manager.simulator.exchange import FIRST_ACCOUNT_ID, Exchange
from risk_manager.simulator.records import SimAccount, SimFill, SimOrder, SimPosition, Top
from risk_manager.simulator.view import ExchangeView


class _Picture(msgspec.Struct, frozen=True):
    """An account's books at one moment of the event loop's clock."""

    at_s: float
    account: SimAccount
    orders: tuple[SimOrder, ...]
    positions: tuple[SimPosition, ...]
    fills: tuple[SimFill, ...]


class Past(ExchangeView):
    """The exchange's accounts as they were `lag_s` ago; as they were when it began, until that is long enough ago.

    Contracts and quotes are today's. An account opened later is shown as it is.
    """

    def __init__(self, exchange: Exchange, lag_s: float, clock: Callable[[], float]) -> None:
        super().__init__(())
        self.contracts = exchange.contracts
        self._exchange = exchange
        self._clock = clock
        self.lag_s = lag_s
        self._pictures: dict[int, deque[_Picture]] = {}
        self.end = exchange.subscribe(self._receive)
        account_id = FIRST_ACCOUNT_ID
        while exchange.account(account_id) is not None:
            self._keep(account_id)
            account_id += 1

    def accounts(self, user: str) -> list[SimAccount]:
        return [self.account(each.id) or each for each in self._exchange.accounts(user)]

    def account(self, account_id: int) -> SimAccount | None:
        picture = self._picture(account_id)
        return self._exchange.account(account_id) if picture is None else picture.account

    def orders(self, account_id: int) -> list[SimOrder]:
        picture = self._picture(account_id)
        return [] if picture is None else list(picture.orders)

    def order(self, account_id: int, order_id: int) -> SimOrder | None:
        return next((each for each in self.orders(account_id) if each.id == order_id), None)

    def positions(self, account_id: int) -> list[SimPosition]:
        picture = self._picture(account_id)
        return [] if picture is None else list(picture.positions)

    def position(self, account_id: int, contract_id: str) -> SimPosition | None:
        return next((each for each in self.positions(account_id) if each.contract_id == contract_id), None)

    def fills(self, account_id: int, since_ns: int = 0, until_ns: int | None = None) -> list[SimFill]:
        picture = self._picture(account_id)
        fills: Iterable[SimFill] = () if picture is None else picture.fills
        return [each for each in fills if each.at_ns >= since_ns and (until_ns is None or each.at_ns <= until_ns)]

    def top(self, contract_id: str) -> Top:
        return self._exchange.top(contract_id)

    def _receive(self, emission: Emission) -> None:
        account_id = getattr(emission, "account_id", None)
        if account_id is not None:
            self._keep(account_id)

    def _keep(self, account_id: int) -> None:
        account = self._exchange.account(account_id)
        assert account is not None, account_id
        picture = _Picture(
            self._clock(),
            account,
            tuple(self._exchange.orders(account_id)),
            tuple(self._exchange.positions(account_id)),
            tuple(self._exchange.fills(account_id)),
        )
        self._pictures.setdefault(account_id, deque()).append(picture)

    def _picture(self, account_id: int) -> _Picture | None:
        pictures = self._pictures.get(account_id)
        if pictures is None:
            return None
        while len(pictures) > 1 and pictures[1].at_s <= self._clock() - self.lag_s:
            pictures.popleft()
        return pictures[0]

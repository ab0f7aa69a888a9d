"""The venue's own loss limits on accounts: where they stand, and what is done when one is reached."""

from collections.abc import Callable, Mapping
from enum import Enum

import msgspec

from risk_manager.simulator.agenda import Agenda
from risk_manager.simulator.book import Book
from risk_manager.simulator.hours import next_day_ns
from risk_manager.simulator.ledger import open_pnl_micros
from risk_manager.simulator.matching import AccountState


class LossLimits(msgspec.Struct, frozen=True):
    """Limits the firm sets; None sets none.

    Attributes:
        maximum_loss_micros: how far balance and open profit may fall below the highest balance at the end of a day;
            once the floor has risen to the balance the account began with it stays there. For good.
        daily_loss_micros: how far below the day's first balance; until the day ends at 17:00 in Chicago.
    """

    maximum_loss_micros: int | None = None
    daily_loss_micros: int | None = None


class Breach(Enum):
    """Which limit was reached."""

    MAXIMUM = "maximum"
    DAILY = "daily"


class LossWatch:
    """The limits of one account over the days.

    Attributes:
        limits: may be changed; what they are measured from stays.
        acted_on: the limit the account was last stopped by, None if it was not today.
    """

    def __init__(self, limits: LossLimits, balance_micros: int) -> None:
        self.limits = limits
        self._first_micros = balance_micros
        self._highest_micros = balance_micros
        self._day_micros = balance_micros
        self.acted_on: Breach | None = None

    @property
    def floor_micros(self) -> int | None:
        """What balance and open profit may not fall to, None without a maximum loss."""
        if self.limits.maximum_loss_micros is None:
            return None
        return min(self._highest_micros - self.limits.maximum_loss_micros, self._first_micros)

    def roll(self, balance_micros: int) -> None:
        """A day ended with this balance."""
        self._highest_micros = max(self._highest_micros, balance_micros)
        self._day_micros = balance_micros
        self.acted_on = None

    def breach(self, equity_micros: int) -> Breach | None:
        """The limit that balance and open profit have reached; the maximum loss before the daily one."""
        floor_micros = self.floor_micros
        if floor_micros is not None and equity_micros <= floor_micros:
            return Breach.MAXIMUM
        daily_micros = self.limits.daily_loss_micros
        if daily_micros is not None and equity_micros <= self._day_micros - daily_micros:
            return Breach.DAILY
        return None


class Surveillance:
    """Watches the accounts that have loss limits.

    Args:
        accounts, books: shared with the exchange.
        act: called with an account and the limit it has reached; again only if it may trade after all.
    """

    def __init__(
        self,
        accounts: Mapping[int, AccountState],
        books: Mapping[str, Book],
        agenda: Agenda,
        act: Callable[[int, Breach], None],
    ) -> None:
        self._accounts = accounts
        self._books = books
        self._agenda = agenda
        self._act = act
        self._watches: dict[int, LossWatch] = {}

    @property
    def is_idle(self) -> bool:
        """Whether no account has limits."""
        return not self._watches

    def watch(self, account_id: int, limits: LossLimits, at_ns: int) -> None:
        """Hold an account to limits from now on, in place of those it had; without any it is watched no more."""
        known = self._watches.get(account_id)
        if limits == LossLimits():
            self._watches.pop(account_id, None)
            return
        if known is not None:
            known.limits = limits
            return
        watch = LossWatch(limits, self._accounts[account_id].record.balance_micros)
        self._watches[account_id] = watch
        self._agenda.add(next_day_ns(at_ns), lambda _: self._roll(account_id, watch))

    def limits(self, account_id: int) -> LossLimits:
        """What an account is held to."""
        watch = self._watches.get(account_id)
        return LossLimits() if watch is None else watch.limits

    def check(self) -> None:
        """Act on every account that has reached a limit at the present quotes."""
        for account_id, watch in list(self._watches.items()):
            account = self._accounts[account_id]
            breach = watch.breach(self.equity_micros(account))
            if breach is not None and (account.record.can_trade or watch.acted_on is not breach):
                watch.acted_on = breach
                self._act(account_id, breach)

    def _roll(self, account_id: int, watch: LossWatch) -> None:
        if self._watches.get(account_id) is watch:
            watch.roll(self._accounts[account_id].record.balance_micros)
            self._agenda.add(next_day_ns(self._agenda.target_ns), lambda _: self._roll(account_id, watch))

    def equity_micros(self, account: AccountState) -> int:
        """Balance and open profit, marked at the side a position would be closed at; unquoted ones count nothing."""
        equity_micros = account.record.balance_micros
        for position in account.ledger.positions():
            book = self._books[position.contract_id]
            mark = book.bid_ticks if position.net_contracts > 0 else book.ask_ticks
            if mark is not None:
                tick_value_micros = book.contract.contract.instrument.tick_value_micros
                equity_micros += open_pnl_micros(position, mark, tick_value_micros)
        return equity_micros

"""Stop when the venue itself has blocked the account.

The venue says of every account whether it may trade. When it says no the account is locked at once: on its first word
after the start, on any change, and whenever the account is read, with or without a live stream. There is nothing to
set for the lock to last: it ends when the venue allows trading again, never with the trading day, and it ends no
other lock.

`unlock_after_seconds` (default 10s) is how long the venue must have kept saying yes, by its own clock, before the
lock ends; a no in between starts over. A lock never waits. `auto_unlock_on_restore: false` (default true) keeps the
lock for the rest of the trading day in which the venue allowed trading again; then the next trading day ends it.

`close_positions` (default true) closes all positions and cancels all orders. With `false` orders that would add are
cancelled and open positions stay. The venue may refuse both while it blocks the account, and usually closes positions
itself; the guard keeps asking, slower and slower, until the account is flat.

`action: alert` only says so (default `lock`). `reason` is a text shown with the lock.

When the venue leaves the word out, or the account cannot be read, what it said last still holds; before it has said
anything the rule reports that it cannot see. An account that is gone from the venue's own list is reported as a
warning and nothing is done: what cannot be found cannot be closed.

Example: at 14:00:00 the venue says no; everything is closed. At 14:20:00 it says yes, at 14:20:04 no, at 14:21:00
yes. The first word after 14:21:10 that is still a yes ends the lock.

What it does not do: it does not watch logins or connections, which have alarms of their own. `check_on_startup`
exists for older configurations and must be true; how often the account is read is not the rule's to say.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, ClassVar

import msgspec

from risk_manager.domain.account import AccountView
from risk_manager.domain.events import AccountUpdated, Event, SnapshotTaken
from risk_manager.domain.finding import Breach, Finding, Gauge, Release, Skipped, Unit, Warning
from risk_manager.domain.lockout import LockoutKind, OnLock
from risk_manager.domain.scope import ACCOUNT
from risk_manager.rules._base import Demand, LockTerms, LockUntil, Remedy
from risk_manager.rules._options import Fault

_POLLING = "is not this rule's: the account is read at a constant rate anyway"


class Action(StrEnum):
    LOCK = "lock"
    ALERT = "alert"


class Word(msgspec.Struct, frozen=True):
    """Since when the venue has allowed trading again while the rule's own lock is active.

    Attributes:
        allowed_ns: venue time of the first word; None while there is nothing to wait for.
        day: the trading day of that word.
    """

    allowed_ns: int | None = None
    day: str = ""


class AuthLossGuard(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of the rule; see the module's text."""

    name: ClassVar[str] = "auth_loss_guard"
    listens_to: ClassVar[frozenset[type]] = frozenset({AccountUpdated})
    example: ClassVar[Mapping[str, object]] = {"close_positions": True}
    elsewhere: ClassVar[Mapping[str, str]] = {"check_interval_seconds": _POLLING, "check_interval": _POLLING}

    action: Action = Action.LOCK
    close_positions: bool = True
    auto_unlock_on_restore: bool = True
    unlock_after_ns: Annotated[int, msgspec.Meta(ge=0)] = 10_000_000_000
    reason: str = "the venue does not allow this account to trade"

    @property
    def remedy(self) -> Remedy:
        if self.action is Action.ALERT:
            return Remedy(Demand.ALERT)
        on_lock = OnLock.FLATTEN if self.close_positions else OnLock.BLOCK_NEW
        demand = Demand.FLATTEN if self.close_positions else Demand.CANCEL_ORDERS
        return Remedy(demand, LockTerms(LockUntil.CONDITION, on_lock=on_lock), LockoutKind.VENUE)

    def initial_state(self) -> Word:
        return Word()

    def deadline_ns(self, state: Word) -> None:
        # Only the venue's own word ends the lock; the account is read often enough.
        return None

    def step(self, state: Word, event: Event, account: AccountView) -> tuple[Word, tuple[Finding | Skipped, ...]]:
        if account.balance_micros is None:
            return state, (Skipped(self.name, "account_record_missing"), *self._missing(account))
        if not account.can_trade:
            return Word(), (self._breach(), *self._missing(account))
        if not any(held.rule == self.name for held in account.lockouts):
            return (state if state == Word() else Word()), self._missing(account)
        if not _is_word(event) or not account.is_listed:
            return state, self._missing(account)
        if state.allowed_ns is None:
            state = Word(account.now_ns, account.day.label)
        if self._is_over(state, event, account):
            return Word(), (Release(self.name, ACCOUNT, "the venue allows trading again"),)
        return state, ()

    def gauges(self, state: Word, account: AccountView) -> tuple[Gauge, ...]:
        return ()

    def contradictions(self) -> tuple[Fault, ...]:
        if self.action is Action.ALERT and self.close_positions is False:
            return (Fault("close_positions", "is about a lock; an alert does nothing to the account"),)
        return ()

    @classmethod
    def modernized(cls, options: dict[str, Any], faults: list[Fault]) -> dict[str, Any]:
        if options.pop("check_on_startup", True) is not True:
            faults.append(Fault("check_on_startup", "must be true: what the venue forbids is forbidden from the start"))
        if options.pop("on_missing_field", "ignore") != "ignore":
            faults.append(Fault("on_missing_field", "must be ignore: what the venue said last holds"))
        return options

    # -- inside -------------------------------------------------------------------------------------------------

    def _is_over(self, state: Word, event: Event, account: AccountView) -> bool:
        """Whether the venue has stood by its word long enough. A timer cannot tell: this takes the venue's own time."""
        assert state.allowed_ns is not None, state
        # An account event carries no time of its own; the venue's latest stamp is `now_ns`, which a snapshot renews.
        is_lasting = self.unlock_after_ns == 0 or event.at_ns >= state.allowed_ns + self.unlock_after_ns
        return is_lasting and (self.auto_unlock_on_restore or account.day.label != state.day)

    def _breach(self) -> Breach:
        return Breach(
            self.name,
            "CAN_TRADE_FALSE",
            0,
            1,
            Unit.NONE,
            ACCOUNT,
            evidence=(("can_trade", "false"), ("reason", self.reason)),
        )

    def _missing(self, account: AccountView) -> tuple[Warning, ...]:
        if account.is_listed:
            return ()
        return (Warning(self.name, "ACCOUNT_NOT_LISTED", 0, 1, Unit.NONE, ACCOUNT, (("account", account.id),)),)


def _is_word(event: Event) -> bool:
    """Whether the event carries the account's record: a light snapshot leaves it out and so says nothing."""
    return isinstance(event, AccountUpdated) or (isinstance(event, SnapshotTaken) and event.account is not None)

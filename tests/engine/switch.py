"""A rule that finds what the account's balance tells it to find: tests turn it on and off with account events."""

from collections.abc import Mapping
from typing import ClassVar

import msgspec

from risk_manager.domain.account import AccountView
from risk_manager.domain.decision import Decision
from risk_manager.domain.events import AccountUpdated, Event
from risk_manager.domain.finding import Breach, Finding, Gauge, Release, Skipped, Unit
from risk_manager.domain.lockout import OnLock
from risk_manager.domain.scope import ACCOUNT, Scope
from risk_manager.rules._base import Demand, LockTerms, LockUntil, Remedy
from risk_manager.testing.guarded import Guarded

RESET = LockTerms(LockUntil.RESET)
UNTIL_RELEASED = LockTerms(LockUntil.CONDITION)
BLOCK_NEW = LockTerms(LockUntil.RESET, on_lock=OnLock.BLOCK_NEW)


class Count(msgspec.Struct, frozen=True):
    steps: int = 0


class Switch(msgspec.Struct, frozen=True, kw_only=True):
    """Finds `found[balance]`; a balance that is not there finds nothing. Raises at `raises_at`."""

    name: ClassVar[str] = "switch"
    listens_to: ClassVar[frozenset[type]] = frozenset({AccountUpdated})

    found: Mapping[int, tuple[Finding | Skipped, ...]] = {}
    demand: Demand = Demand.FLATTEN
    lock: LockTerms | None = None
    raises_at: int | None = None
    due_ns: int | None = None

    @property
    def remedy(self) -> Remedy:
        return Remedy(self.demand, self.lock)

    def initial_state(self) -> Count:
        return Count()

    def deadline_ns(self, state: Count) -> int | None:
        return self.due_ns

    def gauges(self, state: object, account: AccountView) -> tuple[Gauge, ...]:
        return ()

    def step(self, state: Count, event: Event, account: AccountView) -> tuple[Count, tuple[Finding | Skipped, ...]]:
        if account.balance_micros == self.raises_at:
            raise ZeroDivisionError("oops")
        found = self.found.get(account.balance_micros or 0, ())
        return Count(state.steps + 1), found


class Other(Switch, frozen=True, kw_only=True):
    """The same under another name."""

    name: ClassVar[str] = "other"


def breach(scope: Scope = ACCOUNT, *, rule: str = "switch", code: str = "LIMIT", measured: int = -5) -> Breach:
    return Breach(rule, code, measured, -3, Unit.MICROS, scope)


def release(scope: Scope = ACCOUNT, *, rule: str = "switch") -> Release:
    return Release(rule, scope, "better again")


ON: Mapping[int, tuple[Finding | Skipped, ...]] = {1: (breach(),), 2: (breach(measured=-9),), 3: (release(),)}


def turn(guarded: Guarded, balance: int) -> list[Decision]:
    """Have the account's balance say what the switch finds."""
    guarded.venue.balance_micros = balance
    return guarded.feed(guarded.venue.account())

"""What an account rule is, and the remedies its configuration may choose."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, ClassVar, Protocol

import msgspec

from risk_manager.domain.account import AccountView
from risk_manager.domain.events import Event
from risk_manager.domain.finding import Finding, Gauge, Skipped
from risk_manager.domain.lockout import LockoutKind, OnLock

RULE_ERRORS = (Exception, SystemExit, GeneratorExit)
"""What is a rule's own fault when its code raises it, `sys.exit()` included. KeyboardInterrupt is the user's."""


class Demand(StrEnum):
    """What a breach asks for, weakest first; the merge takes the strictest of all that apply."""

    ALERT = "alert"
    CANCEL_ORDERS = "cancel_orders"
    REDUCE = "reduce_to_limit"
    CLOSE_POSITION = "close_position"
    FLATTEN = "flatten"


class LockUntil(StrEnum):
    """RESET ends with the trading day, DURATION after `duration_ns`, CONDITION when the rule itself releases it."""

    RESET = "reset"
    DURATION = "duration"
    CONDITION = "condition"


class LockTerms(msgspec.Struct, frozen=True, gc=False):
    """How long a breach locks, and what the lockout enforces.

    Attributes:
        duration_ns: > 0 with DURATION, else None; counted in venue time from the breach.
        whole_account: lock the account even where the breach names a product.
    """

    until: LockUntil = LockUntil.RESET
    duration_ns: int | None = None
    on_lock: OnLock = OnLock.FLATTEN
    whole_account: bool = True


class Remedy(msgspec.Struct, frozen=True, gc=False):
    """What the configuration wants done about a rule's breach."""

    demand: Demand
    lock: LockTerms | None = None
    kind: LockoutKind = LockoutKind.HARD


UNBOUNDED = 1 << 62
"""No bound: more than any money in micros or venue time."""


def remedy_of(rule: Any) -> Remedy:
    """The rule's remedy, of the types it must have.

    Raises:
        Exception: what the rule raises for its settings, or what is wrong with the remedy.
    """
    remedy = msgspec.msgpack.decode(msgspec.msgpack.encode(rule.remedy), type=Remedy)
    lock = remedy.lock
    if lock is not None and lock.until is LockUntil.DURATION and not 0 < (lock.duration_ns or 0) < UNBOUNDED:
        raise ValueError(f"a lock that ends after a duration needs one above 0, not {lock.duration_ns}")
    return remedy


class Slack(msgspec.Struct, frozen=True, gc=False):
    """How far open profit may move before a rule has to look again.

    A rule need not have a method `slack(state, account) -> Slack | None`; without one, and where it answers None, it is
    shown every quote of what is held. It is asked after a quote about which it found nothing. What it promises: while
    nothing but quotes arrives, every position has a price, and neither bound is reached, a `step` would return this
    very state and find nothing, and its gauges in money move no further than open profit does.

    Attributes:
        down_micros, up_micros: the fall, and the rise, of the open profit of all positions together that has to be
            looked at; that of one position as well. 0 or less: every quote has to be.
        until_ns: venue time from which on every quote has to be looked at.
    """

    down_micros: int = UNBOUNDED
    up_micros: int = UNBOUNDED
    until_ns: int = UNBOUNDED


def slack_of(rule: Any, state: Any, account: AccountView) -> Slack | None:
    """What the rule's method `slack` says; None if it has none."""
    measure = getattr(rule, "slack", None)
    slack: Slack | None = None if measure is None else measure(state, account)
    return slack


def quote_missing(rule: str, contract_ids: Iterable[str]) -> tuple[Skipped, ...]:
    """That a rule could not value these contracts; nothing if there are none."""
    ids = sorted(contract_ids)
    return (Skipped(rule, f"quote_missing {' '.join(ids)}"),) if ids else ()


class Rule(Protocol):
    """An account rule: frozen settings and a pure step. One rule object may serve many accounts.

    A rule's settings are a frozen `msgspec.Struct` whose field names end in their unit (`limit_micros`, `grace_ns`);
    `rules/_options.py` derives the trader's spelling from them. The module's docstring is the rule's documentation.
    """

    name: ClassVar[str]
    """Equal to the file's name."""
    listens_to: ClassVar[frozenset[type]]
    """Event types that wake the rule; SnapshotTaken, RulesChanged and TimerFired always do.

    A quote wakes it where the contract is held: no other changes the account. What waits for a time has a deadline.
    """

    @property
    def remedy(self) -> Remedy: ...

    def initial_state(self) -> Any:
        """A frozen `msgspec.Struct`, or None for a rule that remembers nothing."""

    def step(self, state: Any, event: Event, account: AccountView) -> tuple[Any, tuple[Finding | Skipped, ...]]:
        """The rule's next state and what it finds; called after the account has taken the event in.

        A breach is reported for as long as it holds: the engine recognises the repetition.
        """

    def deadline_ns(self, state: Any) -> int | None:
        """Venue time at which the rule wants to be stepped though nothing happens; None if never.

        The step at that time has to lead to a later one, or to None.
        """

    def gauges(self, state: Any, account: AccountView) -> tuple[Gauge, ...]:
        """How much of the rule's limits is used, for the screens; empty where there is nothing to measure."""

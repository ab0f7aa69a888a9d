"""What a rule has to say about an account: breached, near, or lifted."""

from enum import StrEnum

import msgspec

from risk_manager.domain.scope import Scope


class Unit(StrEnum):
    """The unit of a measured number and its limit."""

    MICROS = "micros"
    CONTRACTS = "contracts"
    ORDERS = "orders"
    TRADES = "trades"
    TICKS = "ticks"
    SECONDS = "seconds"
    BASIS_POINTS = "basis_points"
    NONE = "none"


class AtMost(msgspec.Struct, frozen=True, gc=False):
    """The most contracts, long or short, that may remain in one contract; 0 is flat."""

    contract_id: str
    size: int


class Breach(msgspec.Struct, frozen=True, tag="breach"):
    """A limit is reached.

    Attributes:
        code: stable, upper case (`DAILY_LOSS`).
        measured, limit: in `unit`, signed as a trader reads them (a loss is negative).
        scope: where the remedy applies when it closes, flattens or cancels.
        targets: what a reducing remedy must leave; empty where the rule does not reduce.
        cancels: ids of the orders a cancelling remedy removes.
        evidence: the inputs, as (name, value) pairs for the journal and the screen.
        until_ns: venue time the remedy's lockout ends at, where the rule knows it better than the lock's terms.
    """

    rule: str
    code: str
    measured: int
    limit: int
    unit: Unit
    scope: Scope
    targets: tuple[AtMost, ...] = ()
    cancels: tuple[str, ...] = ()
    evidence: tuple[tuple[str, str], ...] = ()
    until_ns: int | None = None


class Warning(msgspec.Struct, frozen=True, tag="warning"):
    """A limit is near, or a rule works on doubtful input; nothing is enforced."""

    rule: str
    code: str
    measured: int
    limit: int
    unit: Unit
    scope: Scope
    evidence: tuple[tuple[str, str], ...] = ()


class Release(msgspec.Struct, frozen=True, tag="release"):
    """The condition behind the rule's own lockout on this scope is gone."""

    rule: str
    scope: Scope
    reason: str


Finding = Breach | Warning | Release


class Gauge(msgspec.Struct, frozen=True, gc=False):
    """How much of a limit is used now, both >= 0 in `unit`; for screens, never for decisions."""

    label: str
    used: int
    limit: int
    unit: Unit


class Skipped(msgspec.Struct, frozen=True, gc=False):
    """A rule could not be evaluated, and why: counted, never silent."""

    rule: str
    reason: str

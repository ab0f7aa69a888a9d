"""What a rule has to say about an account: breached, near, lifted, or to be protected."""

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


class Loss(StrEnum):
    """A loss that closing positions still changes after it was measured.

    DAY_NET: of the trading day, with fees.   DAY_GROSS: without them.   OPEN: of what is held in the scope.
    """

    DAY_NET = "day_net"
    DAY_GROSS = "day_gross"
    OPEN = "open"


class AtMost(msgspec.Struct, frozen=True, gc=False):
    """The most contracts, long or short, that may remain in one contract; 0 is flat, and less there is not."""

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
        loss: which loss was measured, if it is one that the closing fills count into; for the record only.
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
    loss: Loss | None = None


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


class Protect(msgspec.Struct, frozen=True, tag="protect"):
    """A position is to carry protective orders; nothing is broken, and nothing is closed for it.

    Attributes:
        position_id: the venue's id of the position, empty while it has none.
        side: of the position, +1 long, -1 short; on another side nothing is placed.
        stop_ticks: where its stop belongs, tighter if need be; None: the rule wants none.
        target_ticks: where its limit order belongs; None: the rule wants none.
        update_ns: least time between two moves of one order.
        moves_manual: stops the rule did not place are moved too, to the tighter side only; else they are left alone.
    """

    rule: str
    contract_id: str
    position_id: str
    side: int
    stop_ticks: int | None
    target_ticks: int | None
    update_ns: int
    moves_manual: bool = False
    evidence: tuple[tuple[str, str], ...] = ()


Finding = Breach | Warning | Release | Protect


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

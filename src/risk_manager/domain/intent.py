"""One enforcement, from the breach that caused it to the snapshot that proved it done."""

from enum import StrEnum

import msgspec

from risk_manager.domain.finding import AtMost, Loss, Unit
from risk_manager.domain.lockout import Held
from risk_manager.domain.scope import Scope


class Flat(msgspec.Struct, frozen=True, gc=False, tag="flat"):
    """No position and no order in the scope, whoever opens it and whenever."""

    scope: Scope


class Closed(msgspec.Struct, frozen=True, tag="closed"):
    """These positions of the scope closed, and the orders around them gone; one opened later is not meant.

    Attributes:
        position_ids: the venue's ids of the positions held at the breach.
        before_ns: venue time of the breach; orders created later go only while one of the positions is still open.
    """

    scope: Scope
    position_ids: tuple[str, ...]
    before_ns: int


class SizesAtMost(msgspec.Struct, frozen=True, tag="at_most"):
    """No contract above its target, no order that could lift one above it, and the named orders gone."""

    targets: tuple[AtMost, ...]
    cancels: tuple[str, ...] = ()


class NoOpeningOrders(msgspec.Struct, frozen=True, tag="no_opening_orders"):
    """No working order in the scope whose fill would add exposure.

    With `allowed`, no contract of the scope above or on the other side of what is listed there (absent is flat);
    None leaves positions be.
    """

    scope: Scope
    allowed: tuple[Held, ...] | None = None


class OrdersGone(msgspec.Struct, frozen=True, tag="orders_gone"):
    """The named orders no longer work."""

    order_ids: tuple[str, ...]
    scope: Scope


class Protected(msgspec.Struct, frozen=True, tag="protected"):
    """A position carries the guard's stop and target, as far as it is not covered otherwise; with it, they are gone.

    Attributes:
        account_id: whose marks the guard's own orders bear.
        position_id, side, stop_ticks, target_ticks, update_ns, moves_manual: see `Protect`.
    """

    account_id: str
    contract_id: str
    position_id: str
    side: int
    stop_ticks: int | None
    target_ticks: int | None
    update_ns: int
    moves_manual: bool = False


Goal = Flat | Closed | SizesAtMost | NoOpeningOrders | OrdersGone | Protected


class IntentState(StrEnum):
    """OPEN is being worked on; VERIFIED is proven by venue snapshots; OBSERVED was only recorded (mode `observe`).

    DROPPED was under way when the account was put into that mode: nothing more is done for it, and nothing is proven.
    """

    OPEN = "open"
    VERIFIED = "verified"
    OBSERVED = "observed"
    DROPPED = "dropped"


class Intent(msgspec.Struct, frozen=True):
    """What must become true of the account, why, and how far it got.

    Attributes:
        id: `<account>-<decision sequence>-<n>`, so a replay derives the same.
        rule, code, scope: of the breach; at most one intent of a key is open.
        at_ns: venue time of the breach.   opened_ns: local receipt time of the event that showed it.
        reached_ns: local time the account first looked as demanded; None until then.
        reentries: how often it was lost again after that, while the intent was open.
        closed_ns: local time of the proof.
        measured, limit, unit, loss: of the finding.   worst: the worst measurement while open.
    """

    id: str
    account_id: str
    trading_day: str
    rule: str
    code: str
    scope: Scope
    goal: Goal
    state: IntentState
    measured: int
    limit: int
    unit: Unit
    worst: int
    at_ns: int
    opened_ns: int
    reached_ns: int | None = None
    reentries: int = 0
    closed_ns: int | None = None
    evidence: tuple[tuple[str, str], ...] = ()
    loss: Loss | None = None

    @property
    def is_lower_worse(self) -> bool:
        """Whether what was measured lies below its limit, as a loss does: the lower, the further past it."""
        return self.measured <= self.limit

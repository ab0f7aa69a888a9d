"""The engine's answer to one event."""

import msgspec

from risk_manager.domain.actions import Action
from risk_manager.domain.events import Event
from risk_manager.domain.finding import Finding, Skipped
from risk_manager.domain.intent import Intent
from risk_manager.domain.lockout import Lockout, LockoutRelease


class Decision(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one event led to; falsy when it led to nothing.

    Attributes:
        sequence: counts the decisions of an account that say something, without gaps; 0 on the empty decision.
        cause: the event; None on the empty decision.
        lockouts_set, lockouts_released: the releases come first; what is set in the same step stays.
        intents: every intent opened or changed in this step, in its new state.
        actions: what to send to the venue now, in order; those of one contract in this order, others in parallel.
        skipped: rules that could not be evaluated, reported when that changes.
    """

    sequence: int
    account_id: str
    trading_day: str
    cause: Event | None
    findings: tuple[Finding, ...] = ()
    lockouts_set: tuple[Lockout, ...] = ()
    lockouts_released: tuple[LockoutRelease, ...] = ()
    intents: tuple[Intent, ...] = ()
    actions: tuple[Action, ...] = ()
    skipped: tuple[Skipped, ...] = ()

    def __bool__(self) -> bool:
        return self.cause is not None


NOTHING = Decision(0, "", "", None)

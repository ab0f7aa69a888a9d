"""How a rule that stops trading may do so: everything at once, by a pause, or not at all."""

from enum import StrEnum

import msgspec

from risk_manager.domain.lockout import LockoutKind, OnLock
from risk_manager.rules._base import Demand, LockTerms, Remedy


class Action(StrEnum):
    """FLATTEN locks and closes, PAUSE locks against new exposure and lets positions stay, ALERT does nothing."""

    FLATTEN = "flatten"
    PAUSE = "pause"
    ALERT = "alert"


def remedy_of(action: Action, lockout: LockTerms | None, kind: LockoutKind = LockoutKind.HARD) -> Remedy:
    """What the action demands; a pause without terms lasts until the trading day ends."""
    match action:
        case Action.FLATTEN:
            return Remedy(Demand.FLATTEN, lockout, kind)
        case Action.PAUSE:
            terms = lockout if lockout is not None else LockTerms()
            return Remedy(Demand.CANCEL_ORDERS, msgspec.structs.replace(terms, on_lock=OnLock.BLOCK_NEW), kind)
        case Action.ALERT:
            return Remedy(Demand.ALERT)

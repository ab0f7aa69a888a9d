"""A standing order of the guard: no exposure here until then."""

from enum import StrEnum

import msgspec

from risk_manager.domain.scope import Scope


class LockoutKind(StrEnum):
    HARD = "hard"
    COOLDOWN = "cooldown"
    SESSION = "session"
    VENUE = "venue"
    MANUAL = "manual"


class OnLock(StrEnum):
    """What an active lockout enforces: no position and no order, or only no new exposure."""

    FLATTEN = "flatten"
    BLOCK_NEW = "block_new"


class Held(msgspec.Struct, frozen=True, gc=False):
    """Contracts held in one contract, signed, + long."""

    contract_id: str
    net_contracts: int


class Lockout(msgspec.Struct, frozen=True):
    """One lockout; several may be active, each ends by itself.

    Attributes:
        account_id, scope, rule: its key. Setting it again may only lengthen it.
        until_ns: venue time it ends at; None until the condition that set it releases it.
        set_ns: venue time it was set at; 0 before the venue had told the time: then `until_ns` counts from the first
            time it tells, and 0 is the end of that trading day.
        trading_day: the day it was set in.
        intent_id: the enforcement that set it.
        allowed: with `block_new`, what was held when it was set; it may shrink but not grow back or change sides. None
            while a fill's burst leaves open what that was; positions are let be until then.
    """

    account_id: str
    scope: Scope
    rule: str
    kind: LockoutKind
    on_lock: OnLock
    reason: str
    set_ns: int
    until_ns: int | None
    trading_day: str
    intent_id: str
    allowed: tuple[Held, ...] | None = ()

    @property
    def end_ns(self) -> int | None:
        """Venue time it ends at; None where that is not known: its condition, or the venue's first time, will tell."""
        return self.until_ns if self.set_ns else None

    def joined(self, other: "Lockout") -> "Lockout":
        """The stricter of two lockouts of one key: the later end (None is latest), flatten over block_new, the less
        that is allowed.
        """
        assert (self.account_id, self.scope, self.rule) == (other.account_id, other.scope, other.rule), other
        # The same lockout before and after the venue told the time: an end counted from then is no instant to compare.
        told = [each for each in (self, other) if each.set_ns] or [self, other]
        until = None if self.until_ns is None or other.until_ns is None else max(each.until_ns or 0 for each in told)
        on_lock = OnLock.FLATTEN if OnLock.FLATTEN in (self.on_lock, other.on_lock) else OnLock.BLOCK_NEW
        allowed = () if on_lock is OnLock.FLATTEN else _both(self.allowed, other.allowed)
        set_ns = self.set_ns or other.set_ns
        return msgspec.structs.replace(self, set_ns=set_ns, until_ns=until, on_lock=on_lock, allowed=allowed)


def _both(one: tuple[Held, ...] | None, other: tuple[Held, ...] | None) -> tuple[Held, ...] | None:
    """What both allow; one that is still open says nothing against the other."""
    if one is None or other is None:
        return other if one is None else one
    sizes = {held.contract_id: held for held in other}
    pairs = ((held, sizes[held.contract_id]) for held in one if held.contract_id in sizes)
    same_side = [pair for pair in pairs if pair[0].net_contracts * pair[1].net_contracts > 0]
    return tuple(min(pair, key=lambda held: abs(held.net_contracts)) for pair in same_side)


class LockoutRelease(msgspec.Struct, frozen=True, gc=False):
    """The end of a lockout: which, when (venue time), and why (`expired`, `rule removed`, or the rule's own reason).

    What is set under the same key in the same step takes its place.
    """

    scope: Scope
    rule: str
    at_ns: int
    reason: str

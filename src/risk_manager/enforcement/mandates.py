"""What a breach or a lockout demands of the account."""

from risk_manager.domain.account import AccountView
from risk_manager.domain.finding import Breach
from risk_manager.domain.intent import Closed, Flat, Goal, NoOpeningOrders, OrdersGone, SizesAtMost
from risk_manager.domain.lockout import Held, Lockout, OnLock
from risk_manager.domain.scope import ACCOUNT, Scope
from risk_manager.rules._base import Demand, LockTerms, LockUntil, Remedy

DAY_NS = 86_400_000_000_000


def goal_of_breach(breach: Breach, remedy: Remedy, lockout: Lockout | None, account: AccountView) -> Goal | None:
    """The goal a breach's remedy sets; None where the remedy only alerts.

    Without a lockout a remedy concerns what is there at the breach; with one, what it locks stays empty.
    """
    if remedy.demand is Demand.ALERT:
        return None
    if lockout is not None and lockout.on_lock is OnLock.FLATTEN:
        return Flat(ACCOUNT if remedy.demand is Demand.FLATTEN else lockout.scope)
    match remedy.demand:
        case Demand.CANCEL_ORDERS:
            if breach.cancels:
                return OrdersGone(breach.cancels, breach.scope)
            return goal_of_lockout(lockout) if lockout is not None else NoOpeningOrders(breach.scope)
        case Demand.REDUCE:
            return SizesAtMost(breach.targets, breach.cancels)
        case Demand.CLOSE_POSITION:
            return _closed(breach.scope, account)
        case Demand.FLATTEN:
            return _closed(ACCOUNT, account)


def _closed(scope: Scope, account: AccountView) -> Closed | Flat:
    covered = (holding for key, holding in sorted(account.holdings.items()) if scope.covers(key, holding.contract))
    position_ids = tuple(holding.position_id for holding in covered)
    # Ahead of its position event a position has no name it could be told from a later one by.
    return Closed(scope, position_ids, account.now_ns) if all(position_ids) else Flat(scope)


def goal_of_lockout(lockout: Lockout) -> Goal:
    """What must stay true while the lockout is active."""
    if lockout.on_lock is OnLock.FLATTEN:
        return Flat(lockout.scope)
    return NoOpeningOrders(lockout.scope, lockout.allowed)


def lockout_of_breach(breach: Breach, remedy: Remedy, account: AccountView, intent_id: str) -> Lockout | None:
    """The lockout a breach sets; None where its remedy has no lock terms."""
    terms = remedy.lock
    if terms is None:
        return None
    scope = ACCOUNT if terms.whole_account else breach.scope
    return Lockout(
        account_id=account.id,
        scope=scope,
        rule=breach.rule,
        kind=remedy.kind,
        on_lock=terms.on_lock,
        reason=breach.code,
        set_ns=account.now_ns,
        until_ns=_until_ns(terms, account) if breach.until_ns is None else breach.until_ns,
        trading_day=account.day.label,
        intent_id=intent_id,
        allowed=all_held(account) if terms.on_lock is OnLock.BLOCK_NEW else (),
    )


def _until_ns(terms: LockTerms, account: AccountView) -> int | None:
    match terms.until:
        case LockUntil.RESET:
            return reset_ns(account)
        case LockUntil.DURATION:
            assert terms.duration_ns is not None, terms
            return account.now_ns + terms.duration_ns
        case LockUntil.CONDITION:
            return None


def reset_ns(account: AccountView) -> int:
    """Venue time at which the trading day ends; 0 before the venue has told the time."""
    if account.now_ns == 0:
        return 0
    # Past the last day anybody entered in the table, a day is 24 hours.
    return account.day.end_ns if account.day.end_ns > account.now_ns else account.now_ns + DAY_NS


def all_held(account: AccountView) -> tuple[Held, ...]:
    """What is held now, by contract id."""
    return tuple(Held(key, holding.net_contracts) for key, holding in sorted(account.holdings.items()))


def shrunk(allowed: tuple[Held, ...], account: AccountView) -> tuple[Held, ...]:
    """What a `block_new` lockout still allows: what was held on that side, or less if it has shrunk since."""
    kept: list[Held] = []
    for before in allowed:
        holding = account.holdings.get(before.contract_id)
        if holding is not None and holding.net_contracts * before.net_contracts > 0:
            now = Held(before.contract_id, holding.net_contracts)
            kept.append(min(before, now, key=lambda held: abs(held.net_contracts)))
    return tuple(kept)

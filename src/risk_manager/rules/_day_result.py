"""What the rules about the day's money share: what they say, and what they refuse."""

from collections.abc import Iterator
from typing import Any

from risk_manager.domain.account import AccountView
from risk_manager.domain.day_budget import DayBasis, open_losses_micros
from risk_manager.rules._base import LockTerms
from risk_manager.rules._options import Fault, dollars_text
from risk_manager.rules._stopping import Action


def contradictions_of(action: Action, lockout: LockTerms | None, *, cancel_orders: bool = True) -> Iterator[Fault]:
    """What cannot be meant."""
    if not cancel_orders:
        yield Fault("cancel_orders", "must be true: a resting order would reopen what was closed")
    if action is Action.PAUSE and lockout is None:
        yield Fault("lockout", "is what a pause consists of; leave it out or give its length")


def without_close_all(options: dict[str, Any], faults: list[Fault], event: str) -> dict[str, Any]:
    """The options without one of older configurations, which may only be true.

    Args:
        event: what ends all trading.
    """
    if options.pop("close_all", True) is not True:
        faults.append(Fault("close_all", f"must be true: {event} ends all trading; choose an action instead"))
    return options


def evidence_of(account: AccountView, basis: DayBasis, *, include_fees: bool) -> tuple[tuple[str, str], ...]:
    """What the day's result consists of."""
    parts = [("basis", basis.value), ("realized", dollars_text(account.realized_micros))]
    if include_fees:
        parts.append(("fees", dollars_text(account.fees_micros)))
    if basis is DayBasis.COMPOSITE:
        parts.append(("open_losses", dollars_text(open_losses_micros(account))))
    elif basis is not DayBasis.REALIZED:
        parts.append(("unrealized", dollars_text(account.unrealized_micros)))
    return tuple(parts)

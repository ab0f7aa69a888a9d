"""What the venue does not let the guard do: a follower of another account may not cancel, for one.

It is asked for again all the same, for nothing else could end it; but the trader has to know that nothing else will.
"""

from collections.abc import Iterable

from risk_manager.domain.actions import Action
from risk_manager.domain.events import ActionAccepted, ActionRejected, Outcome, Refusal
from risk_manager.domain.finding import Unit, Warning
from risk_manager.domain.scope import ACCOUNT

NOT_ENFORCEABLE = "NOT_ENFORCEABLE"
"""Code of the warning that the venue does not allow an action."""


class Denials:
    """The kinds of action last denied."""

    def __init__(self, kinds: Iterable[str] = ()) -> None:
        self._kinds = set(kinds)

    @property
    def memory(self) -> list[str]:
        """All there is to remember."""
        return sorted(self._kinds)

    def learned(self, action: Action, outcome: Outcome) -> Warning | None:
        """What an outcome gives to say: a denial, once, and again only after the venue has allowed the kind."""
        kind = type(action).__name__
        if isinstance(outcome, ActionAccepted):
            self._kinds.discard(kind)
        if not isinstance(outcome, ActionRejected) or outcome.refusal is not Refusal.NOT_ALLOWED:
            return None
        if kind in self._kinds:
            return None
        self._kinds.add(kind)
        evidence = (("action", kind), ("venue", outcome.message))
        return Warning("enforcement", NOT_ENFORCEABLE, 0, 0, Unit.NONE, ACCOUNT, evidence)

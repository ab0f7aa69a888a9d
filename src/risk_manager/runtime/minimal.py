"""Guarding with the least that can go wrong: lockouts are enforced, rules are not judged (reliability F41).

A start that follows several crashes within a minute begins like this, and one on a journal that is not ours. Rules come
back when the guard has stayed alive for a while, or with the next start after a proper stop.
"""

from typing import Any, ClassVar

from risk_manager.domain.account import AccountView
from risk_manager.domain.events import Event
from risk_manager.domain.finding import Finding, Gauge, Skipped
from risk_manager.rules import Rule
from risk_manager.rules._base import Demand, Remedy

CRASHES = 3
"""So many starts without a proper end within a minute are no accident."""

ALIVE_NS = 600_000_000_000
"""How long a minimal guard must have lived before the rules come back."""

FAULT = "minimal guard"


class _Dormant:
    """Holds the place of a rule, so that a lockout which waits for it goes on waiting."""

    kind: ClassVar[str] = "dormant"
    name: ClassVar[str]
    listens_to: ClassVar[frozenset[type]] = frozenset()
    # Of the rule itself nothing is asked: it may be what ended every start.
    remedy: ClassVar[Remedy] = Remedy(Demand.ALERT)

    def initial_state(self) -> None:
        return None

    def step(self, state: Any, event: Event, account: AccountView) -> tuple[Any, tuple[Finding | Skipped, ...]]:
        return state, ()

    def deadline_ns(self, state: Any) -> int | None:
        return None

    def gauges(self, state: Any, account: AccountView) -> tuple[Gauge, ...]:
        return ()


def dormant(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    """Rules of the same names that find nothing."""
    return tuple(type("Dormant", (_Dormant,), {"name": rule.name})() for rule in rules)

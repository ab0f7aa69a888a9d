"""The guard made blind to one rule after the other, while its configuration has it: the books have to tell of each."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from risk_manager.rules import RULES
from tests.simulation.script import SOAKED
from tests.simulation.soak import soaked

DAYS, SEED = 2, 1


def hunt(say: Callable[[str], None]) -> int:
    """Let a short run go without one rule after the other; 1 if a breach of one was not told of."""
    missed = 0
    for rule in RULES:
        told = told_without(rule)
        missed += not told
        say(f"without {rule:36} {told[0][:100] if told else 'NOT TOLD'}")
    return min(1, missed)


def told_without(rule: str) -> list[str]:
    """What is told of a rule (I4) whose account nobody guards by it."""
    plan = min((rules for rules in SOAKED if rule in rules), key=len)
    with blinded(rule):
        world = soaked(DAYS, 1, SEED, lambda text: None, plans=(plan,))
    return [text for text in world.checks.broken if text.startswith("I4") and f" {rule} " in text]


@contextmanager
def blinded(rule: str) -> Iterator[None]:
    """The rule as it is, but for finding nothing."""

    def step(self: Any, state: Any, event: Any, account: Any) -> tuple[Any, tuple[()]]:
        return state, ()

    with mock.patch.object(RULES[rule], "step", step):
        yield

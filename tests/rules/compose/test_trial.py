"""What is tried of a rule, with the settings it has, before any event comes."""

from typing import Any, ClassVar

import msgspec
import pytest

from risk_manager.domain.lockout import OnLock
from risk_manager.rules import RULES, DailyLossRule, MaxPositionRule, all_of, any_of, build_rules, trial_faults, warned
from risk_manager.rules._base import UNBOUNDED, Demand, LockTerms, LockUntil, Remedy, remedy_of


class State(msgspec.Struct, frozen=True):
    count: int = 0


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """Answers what it is told to; an exception is raised."""

    name: ClassVar[str] = "told"
    listens_to: ClassVar[frozenset[type]] = frozenset()

    asked: Any = Remedy(Demand.FLATTEN)
    state: Any = None
    due: Any = None

    @property
    def remedy(self) -> Any:
        return _said(self.asked)

    def initial_state(self) -> Any:
        return _said(self.state)

    def deadline_ns(self, state: Any) -> Any:
        return _said(self.due)

    def step(self, state: Any, event: Any, account: Any) -> Any:
        return state, ()

    def gauges(self, state: Any, account: Any) -> Any:
        return ()


def _said(answer: Any) -> Any:
    if isinstance(answer, BaseException):
        raise answer
    return answer


def locking(**terms: Any) -> Remedy:
    return Remedy(Demand.FLATTEN, LockTerms(**terms))


@pytest.mark.parametrize(
    "rule",
    [
        Told(),
        Told(state=State(), due=5),
        Told(asked=locking(until=LockUntil.DURATION, duration_ns=1)),
        Told(asked=locking(until=LockUntil.DURATION, duration_ns=UNBOUNDED - 1)),
        warned(DailyLossRule(limit=-500), 50),
        all_of(MaxPositionRule(max_contracts=2), DailyLossRule(limit=-300)),
    ],
)
def test_finds_nothing_wrong_with_a_rule(rule: Any) -> None:
    assert trial_faults(rule) == ()


@pytest.mark.parametrize("name", RULES)
def test_finds_nothing_wrong_with_the_rules_there_are(name: str) -> None:
    (rule,) = build_rules({name: getattr(RULES[name], "example", {})})
    assert trial_faults(rule) == ()


FAILS = "fails before the first event: "


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"asked": ValueError("no such action")}, FAILS + "ValueError: no such action"),
        ({"asked": None}, FAILS + "ValidationError: Expected `object`, got `None`"),
        ({"asked": Remedy("shout")}, FAILS + "ValidationError: Invalid enum value 'shout'"),  # type: ignore[arg-type]
        ({"asked": Remedy(Demand.FLATTEN, 5)}, FAILS + "ValidationError: Expected `object | null`"),  # type: ignore[arg-type]
        ({"asked": locking(until=LockUntil.DURATION)}, "needs one above 0, not None"),
        ({"asked": locking(until=LockUntil.DURATION, duration_ns=0)}, "needs one above 0, not 0"),
        ({"asked": locking(until=LockUntil.DURATION, duration_ns=UNBOUNDED)}, "needs one above 0, not 46116860184"),
        ({"state": ZeroDivisionError()}, FAILS + "ZeroDivisionError"),
        ({"state": SystemExit(3)}, FAILS + "SystemExit: 3"),
        ({"due": GeneratorExit()}, FAILS + "GeneratorExit"),
        ({"state": object()}, FAILS + "TypeError: Encoding objects of type object is unsupported"),
        ({"state": 7}, "needs a state that is a frozen msgspec.Struct, or None"),
        ({"due": 1.5}, "needs a deadline in whole nanoseconds or None, not 1.5"),
    ],
)
def test_says_what_is_wrong(settings: dict[str, Any], problem: str) -> None:
    (said,) = trial_faults(Told(**settings))
    assert problem in said


def test_looks_through_the_layers_around_a_rule() -> None:
    assert trial_faults(warned(Told(due=ZeroDivisionError()), 50)) == (FAILS + "ZeroDivisionError: ",)


def test_a_member_that_fails_fails_the_composition() -> None:
    rule = any_of(Told(asked=ValueError("no such action")), MaxPositionRule(max_contracts=2), name="mine")
    assert trial_faults(rule) == (FAILS + "ValueError: no such action",)


def test_words_in_a_remedy_are_what_they_stand_for() -> None:
    rule: Any = Told(asked=Remedy("flatten", LockTerms(on_lock="block_new")))  # type: ignore[arg-type]
    remedy = remedy_of(rule)
    assert remedy.demand is Demand.FLATTEN
    assert remedy.lock is not None
    assert remedy.lock.on_lock is OnLock.BLOCK_NEW

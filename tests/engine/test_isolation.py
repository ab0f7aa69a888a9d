"""A rule that does something wrong harms nobody but itself."""

from typing import Any, ClassVar

import msgspec
import pytest

from risk_manager.domain.account import AccountView
from risk_manager.domain.events import AccountUpdated, Event
from risk_manager.domain.finding import AtMost, Breach, Gauge, Release, Skipped, Unit, Warning
from risk_manager.domain.scope import ACCOUNT
from risk_manager.engine import Engine
from risk_manager.rules import MaxPositionRule
from risk_manager.rules._base import Demand, Remedy
from risk_manager.testing.events import ES
from risk_manager.testing.guarded import Guarded


class Steps(msgspec.Struct, frozen=True):
    count: int = 0


class Odd(msgspec.Struct, frozen=True, kw_only=True):
    """Hands back whatever it is told to; `raises` steps first raise."""

    name: ClassVar[str] = "odd"
    listens_to: ClassVar[frozenset[type]] = frozenset({AccountUpdated})

    answer: Any = (Steps(1), ())
    due: Any = None
    shown: Any = ()
    raises: bool = False

    @property
    def remedy(self) -> Remedy:
        return Remedy(Demand.FLATTEN)

    def initial_state(self) -> Steps:
        return Steps()

    def deadline_ns(self, state: Steps) -> Any:
        return self.due if state.count else None

    def gauges(self, state: Steps, account: AccountView) -> Any:
        return 1 // 0 if self.shown is None else self.shown

    def step(self, state: Steps, event: Event, account: AccountView) -> Any:
        return 1 // 0 if self.raises else self.answer


def breach(**changes: Any) -> Breach:
    return msgspec.structs.replace(Breach("odd", "ODD", 5, 3, Unit.CONTRACTS, ACCOUNT), **changes)


GARBAGE: dict[str, Any] = {
    "nothing": None,
    "no pair": 5,
    "a state alone": (Steps(1),),
    "findings that are none": (Steps(1), 5),
    "text for findings": (Steps(1), "breach"),
    "a list of text": (Steps(1), ["breach"]),
    "a float measured": (Steps(1), (breach(measured=5.0),)),
    "not a number": (Steps(1), (breach(measured=float("nan")),)),
    "a bool for a limit": (Steps(1), (breach(limit=True),)),
    "no scope": (Steps(1), (breach(scope="account"),)),
    "no unit": (Steps(1), (breach(unit="dollars"),)),
    "a loss of no kind": (Steps(1), (breach(loss="day_net"),)),
    "a float until": (Steps(1), (breach(until_ns=1.5),)),
    "a float target": (Steps(1), (breach(targets=(AtMost("ES", 0.5),)),)),  # type: ignore[arg-type]  # the point of it
    "another rule's name": (Steps(1), (breach(rule="max_contracts"),)),
    "a warning of floats": (Steps(1), (Warning("odd", "W", 1.5, 3, Unit.NONE, ACCOUNT),)),  # type: ignore[arg-type]
    "a skip without a reason": (Steps(1), (Skipped("odd", None),)),  # type: ignore[arg-type]  # the point of it
    "a release of nothing": (Steps(1), (Release("odd", None, "x"),)),  # type: ignore[arg-type]  # the point of it
}


@pytest.mark.parametrize("answer", GARBAGE.values(), ids=list(GARBAGE))
def test_answers_that_are_none_are_alarmed_and_do_nothing(answer: Any) -> None:
    guarded = Guarded(Odd(answer=answer), MaxPositionRule(max_contracts=2))
    assert [warning.code for warning in guarded.warnings] == ["RULE_FAILED"]
    guarded.feed(guarded.venue.buys(ES, 3, 5800))
    assert guarded.codes == ["MAX_CONTRACTS"]
    msgspec.json.encode(guarded.decisions)


def test_a_rule_that_keeps_raising_is_alarmed_once_and_counted_each_time() -> None:
    guarded = Guarded(Odd(raises=True), MaxPositionRule(max_contracts=2))
    for _ in range(20):
        guarded.feed(guarded.venue.account())
    assert [warning.evidence for warning in guarded.warnings] == [
        (("error", "ZeroDivisionError: integer division or modulo by zero"),)
    ]
    assert guarded.engine.failures() == {"odd": 21}
    guarded.feed(guarded.venue.buys(ES, 3, 5800))
    assert guarded.codes == ["MAX_CONTRACTS"]


def test_a_failed_step_keeps_the_state_before_it() -> None:
    guarded = Guarded(Odd(answer=(Steps(9), (breach(measured=1.5),))))
    assert guarded.engine._slots[0].state == Steps(0)


@pytest.mark.parametrize("due", [1.5, "soon", True])
def test_a_deadline_that_is_none_is_a_failure(due: Any) -> None:
    guarded = Guarded(Odd(due=due))
    assert [warning.code for warning in guarded.warnings] == ["RULE_FAILED"]
    assert guarded.engine.next_deadline_ns() is None


@pytest.mark.parametrize("shown", [None, 5, (Gauge("x", 1.5, 2, Unit.NONE),), ("gauge",)])  # type: ignore[arg-type]
def test_gauges_that_are_none_are_left_out(shown: Any) -> None:
    guarded = Guarded(Odd(shown=shown), MaxPositionRule(max_contracts=2))
    assert [gauge.label for gauge in guarded.gauges] == ["contracts in all"]


def test_a_state_that_cannot_be_written_costs_only_itself() -> None:
    guarded = Guarded(Odd(answer=(object(), ())), MaxPositionRule(max_contracts=2))
    again = Engine.restore(guarded.settings, guarded.engine.snapshot())
    assert [name for name, _ in again.gauges()] == ["max_contracts"]


def test_a_rule_that_fails_on_its_old_state_begins_afresh() -> None:
    guarded = Guarded(Odd())
    assert guarded.engine._slots[0].state == Steps(1)
    guarded.change_rules(Odd(due="soon", answer=(Steps(0), ())))
    assert guarded.engine._slots[0].state == Steps(0)
    assert guarded.engine.failures() == {"odd": 1}

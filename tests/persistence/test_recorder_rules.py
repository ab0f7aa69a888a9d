"""Rules go into a recording as they are written, and come out equal and in their order."""

import sys
import types
from typing import ClassVar

import msgspec
import pytest

from risk_manager.persistence.recorded_rules import (
    RecordedRules,
    RulesLost,
    changed_classes,
    rebuilt,
    recorded_rules,
)
from risk_manager.rules import (
    RULES,
    DailyLossRule,
    FrequencyRule,
    MaxContracts,
    Rule,
    all_of,
    build_rules,
    named,
    warned,
)

EXAMPLES = {name: getattr(rule_class, "example", {}) for name, rule_class in RULES.items()}


class Small(MaxContracts, frozen=True):
    """Somebody's own rule."""

    name: ClassVar[str] = "small"


def through_a_file(rules: tuple[Rule, ...]) -> RecordedRules:
    return msgspec.msgpack.decode(msgspec.msgpack.encode(recorded_rules(rules)), type=RecordedRules)


@pytest.mark.parametrize("name", RULES)
def test_every_rule_comes_out_equal(name: str) -> None:
    rules = build_rules({name: EXAMPLES[name]})
    assert len(rules) == 1
    assert rebuilt(through_a_file(rules), RULES) == rules


def test_composed_named_warned_and_scheduled_rules_come_out_equal_and_in_their_order() -> None:
    section: dict[str, object] = {"rule": "max_contracts", "limit": 2, "warn_at": [50]}
    section["schedule"] = {"start": "09:30", "end": "16:00", "timezone": "America/New_York"}
    scheduled = build_rules({"scalping": section})
    rules = (
        *scheduled,
        warned(DailyLossRule(limit=500), 50, 80),
        named(FrequencyRule(limits={"per_minute": 3}), "calm"),
        all_of(MaxContracts(limit=2), DailyLossRule(limit=300), name="small_when_down"),
        MaxContracts(limit=7),
    )
    assert rebuilt(through_a_file(rules), RULES) == rules


def test_says_where_a_class_is_that_does_not_come_with_the_program() -> None:
    recorded = recorded_rules((MaxContracts(limit=3), Small(limit=1)))
    assert recorded.classes == {"small": "tests.persistence.test_recorder_rules:Small"}
    assert rebuilt(through_a_file((Small(limit=1),)), RULES) == (Small(limit=1),)


def test_a_class_that_is_not_to_be_had_here_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = recorded_rules((Small(limit=1),))
    monkeypatch.setitem(sys.modules, "tests.persistence.test_recorder_rules", types.ModuleType("empty"))
    with pytest.raises(RulesLost, match=r"rule small is not known here: .*:Small cannot be imported"):
        rebuilt(recorded, RULES)


def test_options_a_rule_does_not_take_any_more_are_said() -> None:
    recorded = RecordedRules({"max_contracts": {"limit": 3, "colour": "red"}})
    with pytest.raises(RulesLost, match="max_contracts cannot be built of what was recorded"):
        rebuilt(recorded, RULES)


def test_notices_other_code_under_the_same_name() -> None:
    class Other(Small, frozen=True):
        pass

    recorded = recorded_rules((Small(limit=1),))
    assert changed_classes(recorded, {"small": Small}) == ()
    assert changed_classes(recorded, {"small": Other}) == ("small",)


def test_a_rule_that_cannot_be_spelled_stops_no_recording() -> None:
    class Odd(Small, frozen=True):
        name: ClassVar[str] = "odd"
        what: object = object()

    recorded = recorded_rules((Odd(limit=1), MaxContracts(limit=3)))
    assert list(recorded.sections) == ["max_contracts"]
    assert list(recorded.unwritable) == ["odd"]
    with pytest.raises(RulesLost, match="odd could not be written down"):
        rebuilt(recorded, RULES)

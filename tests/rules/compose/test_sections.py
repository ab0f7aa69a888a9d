"""Sections of a configuration: rules under free names, and compositions."""

from typing import Any

import pytest

from risk_manager.rules import RULES, OptionsInvalid, build_rules, kind_of, named, options_of
from risk_manager.testing.events import ES
from risk_manager.testing.guarded import Guarded

TWO = {"rule": "max_contracts", "limit": 2}
DOWN = {"rule": "daily_realized_loss", "limit": 300}


def test_takes_a_rule_twice_under_names_of_their_own() -> None:
    rules = build_rules({"max_contracts": {"limit": 5}, "scalping": {"rule": "max_contracts", "limit": 2}})
    assert [(rule.name, kind_of(type(rule))) for rule in rules] == [
        ("max_contracts", "max_contracts"),
        ("scalping", "max_contracts"),
    ]
    guarded = Guarded(*rules)
    guarded.feed(guarded.venue.buys(ES, 6, 5800))
    assert {breach.rule for breach in guarded.breaches} == {"max_contracts", "scalping"}


@pytest.mark.parametrize("rule_class", RULES.values(), ids=list(RULES))
def test_every_rule_works_under_another_name(rule_class: Any) -> None:
    (rule,) = build_rules({"mine": {"rule": rule_class.name, **getattr(rule_class, "example", {})}})
    assert (rule.name, kind_of(type(rule))) == ("mine", rule_class.name)
    assert isinstance(rule, rule_class)
    assert build_rules({"mine": options_of(rule)}) == (rule,)
    assert named(named(rule, "other"), "mine") == rule


def test_builds_compositions_within_compositions() -> None:
    (rule,) = build_rules({"mine": {"all_of": [TWO, {"any_of": [DOWN, {"not": TWO}]}], "action": "flatten"}})
    assert rule.name == "mine"
    assert rule.remedy.demand.value == "flatten"


def test_leaves_a_disabled_composition_out() -> None:
    assert build_rules({"mine": {"all_of": [TWO, DOWN], "enabled": False}}) == ()


@pytest.mark.parametrize(
    ("name", "section", "fault"),
    [
        ("mine", {"limit": 2}, "mine: is not known; there is "),
        ("max_contract", {"limit": 2}, "max_contract: is not known; did you mean max_contracts?"),
        ("max_contracts", {"rule": "symbol_blocks"}, "max_contracts.rule: must be max_contracts in a section of that"),
        ("mine", {"rule": "max_contract"}, "mine.rule: is not known; did you mean max_contracts?"),
        ("mine", {"rule": 5}, "mine.rule: is not known"),
        ("Mine", TWO, "Mine: is no name; call the section by letters a-z, digits and _"),
        ("m" * 41, TWO, "is no name"),
        ("max_contracts", {"all_of": [TWO, DOWN]}, "max_contracts: is a rule's own name"),
        ("mine", {"rule": "max_contracts"}, "mine.limit: is missing"),
        ("mine", {**TWO, "warn_at": [0]}, r"mine.warn_at[0]: must be at least 1"),
        ("mine", {**TWO, "warn_at": 80}, "mine.warn_at: must be a list"),
        ("mine", {**TWO, "warn_at": [80], "warn_at_pct": [80]}, "mine.warn_at: is said twice"),
        ("mine", {"all_of": [TWO]}, "mine.all_of: must be a list of two rules or more"),
        ("mine", {"all_of": TWO}, "mine.all_of: must be a list of two rules or more"),
        ("mine", {"all_of": [TWO, 7]}, "mine.all_of[1]: must be a mapping"),
        ("mine", {"all_of": [TWO, {"limit": 1}]}, "mine.all_of[1]: must say one of rule, all_of, any_of or not"),
        ("mine", {"all_of": [TWO, DOWN], "any_of": [TWO, DOWN]}, "not all_of and any_of"),
        ("mine", {"all_of": [TWO, {**DOWN, "limit": 0}]}, "mine.all_of[1].limit: must be above 0"),
        ("mine", {"all_of": [TWO, {**DOWN, "enabled": True}]}, "mine.all_of[1].enabled: is said of the whole section"),
        ("mine", {"all_of": [TWO, {**DOWN, "warn_at": [5]}]}, "mine.all_of[1].warn_at: is said of the whole section"),
        ("mine", {"all_of": [TWO, DOWN], "warn_at": [5]}, "mine.warn_at: is for a rule by itself"),
        ("mine", {"all_of": [TWO, DOWN], "limit": 5}, "mine.limit: is not known"),
        ("mine", {"all_of": [TWO, DOWN], "action": "close"}, "mine.action: must be one of alert, cancel_orders"),
        ("mine", {"all_of": [TWO, DOWN], "enabled": "no"}, "mine.enabled: must be true or false"),
        ("mine", {"all_of": [TWO, DOWN], "lockout": "soon"}, "mine.lockout.until: must be reset or a duration"),
        ("mine", {"any_of": [TWO, DOWN]}, "mine.action: is needed"),
        ("mine", {"not": TWO, "action": "alert", "lockout": True}, "mine.lockout: an alert does nothing"),
        ("mine", {"not": [TWO]}, "mine.not: must be a mapping"),
    ],
)
def test_says_what_is_wrong_with_a_section(name: str, section: dict[str, object], fault: str) -> None:
    with pytest.raises(OptionsInvalid) as raised:
        build_rules({name: section})
    assert fault in "\n".join(map(str, raised.value.faults))

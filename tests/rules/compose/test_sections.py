"""Sections of a configuration: rules under free names, and compositions."""

from typing import Any, ClassVar

import msgspec
import pytest

from risk_manager.rules import RULES, OptionsInvalid, build_rules, kind_of, named, options_of
from risk_manager.rules._base import Demand, LockTerms, LockUntil, Remedy
from risk_manager.rules._compose.sections import common_options, is_name, rule_of
from risk_manager.rules._options import Option
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


def test_a_composition_does_what_it_says() -> None:
    for more, demand in (({}, Demand.ALERT), ({"action": None}, Demand.ALERT), ({"action": "flatten"}, Demand.FLATTEN)):
        (rule,) = build_rules({"mine": {"not": TWO, **more}})
        assert rule.remedy == Remedy(demand)
    (locked,) = build_rules({"mine": {"not": TWO, "action": "flatten", "lockout": "30m"}})
    assert locked.remedy == Remedy(Demand.FLATTEN, LockTerms(LockUntil.DURATION, 1_800_000_000_000))


def test_calls_what_has_no_name_after_its_rules() -> None:
    (rule,) = build_rules({"mine": {"all_of": [TWO, {"any_of": [TWO, {"not": DOWN}], "action": "alert"}]}})
    members: Any = rule
    assert [one.name for one in members.members] == [
        "max_contracts",
        "any_of(max_contracts, not(daily_realized_loss))",
    ]


def test_a_name_has_forty_letters_at_most() -> None:
    assert [is_name(text) for text in ("m" * 40, "m" * 41, "a_1", "_a", "1a", "aB", "", 5)] == [
        True,
        False,
        True,
        False,
        False,
        False,
        False,
        False,
    ]


def test_describes_the_options_of_every_rule() -> None:
    assert common_options() == (
        Option("enabled", "true or false", "true"),
        Option("warn_at", "list of: whole number", "[]"),
        Option(
            "schedule",
            'exchange, or a mapping such as {start: "09:30", end: "16:00", timezone: America/New_York}',
            "none",
        ),
    )


@pytest.mark.parametrize(
    ("name", "section", "fault"),
    [
        ("mine", {"all_of": [TWO, {}]}, "mine.all_of[1]: must say one of rule, all_of, any_of or not"),
        (
            "mine",
            {"any_of": [TWO, DOWN], "rule": "leverage"},
            "mine: must say one of rule, all_of, any_of or not, not rule and any_of",
        ),
        ("max_contract", {"limit": 2}, "max_contract: is not known; did you mean max_contracts?"),
        (
            "mine",
            {"limit": 2},
            f"mine: is not known; there is {', '.join(sorted(RULES))}; "
            "a section of another name says rule: or all_of, any_of or not",
        ),
    ],
)
def test_says_no_more_than_is_wrong(name: str, section: dict[str, object], fault: str) -> None:
    with pytest.raises(OptionsInvalid) as raised:
        build_rules({name: section})
    assert list(map(str, raised.value.faults)) == [fault]
    assert (raised.value.rule, str(raised.value)) == ("rules", f"rules.{fault}")


def test_says_which_rule_is_wrong() -> None:
    for name, shown in ((None, "max_contracts"), ("mine", "mine")):
        with pytest.raises(OptionsInvalid) as raised:
            rule_of(RULES["max_contracts"], {}, name)
        assert raised.value.rule == shown


class Marked(msgspec.Struct, frozen=True, kw_only=True):
    """A rule with an option that is called as one of every rule's."""

    name: ClassVar[str] = "marked"
    listens_to: ClassVar[frozenset[type]] = frozenset()

    warn_at_pct: int


def test_an_option_of_the_rule_itself_comes_first() -> None:
    marked: Any = Marked
    rule: Any = rule_of(marked, {"warn_at_pct": 80})
    assert rule == Marked(warn_at_pct=80)


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
        ("mine", {"not": [TWO]}, "mine.not: must be a mapping such as {rule: max_contracts, limit: 2}"),
        ("mine", {"not": TWO, "lockout": "reset", "lockout_until": "1h"}, "mine.lockout: is said twice; leave out "),
    ],
)
def test_says_what_is_wrong_with_a_section(name: str, section: dict[str, object], fault: str) -> None:
    with pytest.raises(OptionsInvalid) as raised:
        build_rules({name: section})
    assert fault in "\n".join(map(str, raised.value.faults))

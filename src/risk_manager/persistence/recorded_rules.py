"""Rules as a recording holds them: in the trader's spelling, each with the place of its class."""

import importlib
from collections.abc import Mapping
from typing import Any

import msgspec

from risk_manager.rules import RULE_ERRORS, RULES, OptionsInvalid, Rule, build_rules, class_of, options_of


class RecordedRules(msgspec.Struct, frozen=True, tag="recorded_rules"):
    """The rules in force from here on.

    Attributes:
        sections: by the rules' names, in the order the engine asks them.
        classes: `module:name` of every class in them that does not come with the program, by the rule's own name.
        unwritable: rules that cannot be spelled, and why.
    """

    sections: dict[str, dict[str, Any]]
    classes: dict[str, str] = {}
    unwritable: dict[str, str] = {}


class RulesLost(Exception):
    """Recorded rules cannot be built again; the message says which and why."""


def recorded_rules(rules: tuple[Rule, ...]) -> RecordedRules:
    """The rules as they are written down; never raises."""
    sections: dict[str, dict[str, Any]] = {}
    classes: dict[str, str] = {}
    unwritable: dict[str, str] = {}
    for rule in rules:
        try:
            sections[rule.name] = msgspec.to_builtins(options_of(rule))
            classes |= {kind: _place(made) for kind, made in class_of(rule).items() if kind not in RULES}
        except RULE_ERRORS as error:  # a rule may be anybody's code
            unwritable[rule.name] = repr(error)
    return RecordedRules(sections, classes, unwritable)


def rebuilt(recorded: RecordedRules, classes: Mapping[str, type[Rule]]) -> tuple[Rule, ...]:
    """The rules again, in the recorded order.

    Args:
        classes: the rules there are by name; others are imported from where they were.

    Raises:
        RulesLost: a class is not to be had here, or does not take its options any more.
    """
    if recorded.unwritable:
        raise RulesLost(
            "; ".join(f"{name} could not be written down: {why}" for name, why in recorded.unwritable.items())
        )
    known = dict(classes)
    for kind, place in recorded.classes.items():
        if kind not in known:
            known[kind] = _imported(kind, place)
    rules: list[Rule] = []
    for name, section in recorded.sections.items():
        try:
            rules.extend(build_rules({name: section}, known))
        except OptionsInvalid as invalid:
            raise RulesLost(f"{name} cannot be built of what was recorded: {invalid}") from invalid
    return tuple(rules)


def changed_classes(recorded: RecordedRules, classes: Mapping[str, type[Rule]]) -> tuple[str, ...]:
    """Names of rules whose class is in another place now; the name of a configured file's module tells its content."""
    return tuple(kind for kind, place in recorded.classes.items() if kind in classes and _place(classes[kind]) != place)


def _place(made: type[Rule]) -> str:
    return f"{made.__module__}:{made.__qualname__}"


def _imported(kind: str, place: str) -> type[Rule]:
    module, _, name = place.partition(":")
    try:
        made: Any = importlib.import_module(module)
        for part in name.split("."):
            made = getattr(made, part)
    except RULE_ERRORS as error:
        raise RulesLost(f"the rule {kind} is not known here: {place} cannot be imported ({error})") from error
    found: type[Rule] = made
    return found

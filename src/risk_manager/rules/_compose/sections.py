"""From the sections of a configuration to rules, and back.

A section is called after its rule, or freely with `rule:` saying which one it is:

    drawdown: {limit: 2000}
    evaluation_floor: {rule: drawdown, limit: 3000, mode: static}

Or it is a composition, of rules written the same way, and freely named:

    small_when_down:
      all_of:
        - {rule: max_contracts, limit: 2}
        - {rule: daily_realized_loss, limit: 300}

Every section may say `enabled`, and `warn_at` and `schedule` besides the options of its rule.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from risk_manager.domain.schedule import Schedule
from risk_manager.rules._base import RULE_ERRORS, LockTerms, Rule
from risk_manager.rules._compose.during import during
from risk_manager.rules._compose.logic import Action, all_of, any_of, not_
from risk_manager.rules._compose.shape import core_of, is_layer, kind_of, named
from risk_manager.rules._compose.warn_at import Percent, warned
from risk_manager.rules._options import Fault, Option, OptionsInvalid, build_rule, nearest
from risk_manager.rules._options import options_of as options_of_core
from risk_manager.rules._options.fields import default_text, fields_of, meaning, read_settings, spellings
from risk_manager.rules._options.lock import gathered, spelled_lock

COMPOSITIONS = ("all_of", "any_of", "not")
MOST_NAME = 40

NAME_PATTERN = "[a-z][a-z0-9_]*"
_NAME = re.compile(NAME_PATTERN)

Classes = Mapping[str, type[Rule]]
Section = Mapping[str, object]


class Common(msgspec.Struct, frozen=True, kw_only=True):
    """The options every rule has besides its own."""

    warn_at: tuple[Percent, ...] = ()
    schedule: Schedule | None = None


class Composed(msgspec.Struct, frozen=True, kw_only=True):
    """The options of a composition besides its rules."""

    action: Action | None = None
    lockout: LockTerms | None = None
    schedule: Schedule | None = None


COMMON_ALIASES = {"warn_at_pct": "warn_at"}


def build_rules(options: Mapping[str, Section], classes: Classes) -> tuple[Rule, ...]:
    """The enabled rules in the order of their sections' names.

    A section with `enabled: false` is checked and left out. Options one rule takes from another are filled in.

    Raises:
        OptionsInvalid: with every fault of every section at once.
    """
    faults: list[Fault] = []
    rules: list[Rule] = []
    for name in sorted(options):
        rule: Rule | None = None
        try:
            rule = _Reader(classes, options, faults).section(name, options[name])
        except RULE_ERRORS as error:  # a rule of the user's own may fail at its own settings
            faults.append(Fault(name, f"cannot be built: {type(error).__name__}: {error}"))
        if rule is not None and options[name].get("enabled", True) is True:
            rules.append(rule)
    if faults:
        raise OptionsInvalid("rules", tuple(faults))
    return tuple(rules)


def rule_of(rule_class: type[Rule], options: Section, name: str | None = None) -> Rule:
    """One rule of a trader's options, the common ones included.

    Raises:
        OptionsInvalid: with every fault at once.
    """
    faults: list[Fault] = []
    common, own = _divided(rule_class, options, faults)
    rule: Rule | None = None
    try:
        rule = build_rule(rule_class, own)
    except OptionsInvalid as invalid:
        faults.extend(invalid.faults)
    settings = read_settings(fields_of(Common), common, "", faults)
    if rule is None or settings is None or faults:
        raise OptionsInvalid(name or rule_class.name, tuple(faults))
    return _layered(rule if name is None else named(rule, name), Common(**settings))


def options_of(rule: Rule) -> dict[str, object]:
    """A rule's section in the trader's spelling; `build_rules` makes an equal rule of it under the rule's name."""
    made: Any = rule
    kind = kind_of(type(rule))
    if is_layer(rule):
        return {**options_of(made.rule), **made.spelled()}
    if kind not in COMPOSITIONS:
        own = options_of_core(rule)
        return own if kind == rule.name else {"rule": kind, **own}
    rest = {key: value for key, value in made.spelled().items() if value is not None}
    if "lockout" in rest:
        rest["lockout"] = spelled_lock(made.lockout)
    members = [{"rule": kind_of(type(core_of(member))), **options_of(member)} for member in made.members]
    for member in members:
        if member["rule"] in COMPOSITIONS:
            del member["rule"]
    return {kind: members[0] if kind == "not" else members, **rest}


def is_name(text: object) -> bool:
    """Whether a section, or a rule, may be called that."""
    return isinstance(text, str) and _NAME.fullmatch(text) is not None and len(text) <= MOST_NAME


def common_fields() -> tuple[Any, ...]:
    """The settings every rule has besides its own, as `fields_of` gives them."""
    return fields_of(Common)


def common_options() -> tuple[Option, ...]:
    """The options every rule has besides its own."""
    others = (Option(spellings(field.name)[0], meaning(field), default_text(field)) for field in common_fields())
    return (Option("enabled", "true or false", "true"), *others)


def composed_fields() -> tuple[Any, ...]:
    """The settings of a composition besides its rules."""
    return fields_of(Composed)


def _divided(
    rule_class: type[Rule], options: Section, faults: list[Fault]
) -> tuple[dict[str, object], dict[str, object]]:
    """The common options under their usual names, and the rule's own. A rule's own option comes first."""
    its_own = {spelling for field in fields_of(rule_class) for spelling in spellings(field.name)}
    offered = {spelling for field in fields_of(Common) for spelling in spellings(field.name)} - its_own
    common: dict[str, object] = {}
    own: dict[str, object] = {}
    for key, value in options.items():
        usual = key if key in its_own else COMMON_ALIASES.get(key, key)
        if usual not in offered:
            own[key] = value
        elif usual in common:
            faults.append(Fault(usual, f"is said twice, also as {', '.join(COMMON_ALIASES)}"))
        else:
            common[usual] = value
    return common, own


def _layered(rule: Rule, common: Common) -> Rule:
    layered: Rule = warned(rule if common.schedule is None else during(common.schedule, rule), *common.warn_at)
    return layered


class _Reader:
    """Reads sections and notes their faults by the path they are written at."""

    def __init__(self, classes: Classes, others: Mapping[str, Section], faults: list[Fault]) -> None:
        self._classes = classes
        self._others = others
        self._faults = faults

    def section(self, name: str, options: Section) -> Rule | None:
        """The rule of one section; None if it has a fault."""
        is_composition = any(word in options for word in COMPOSITIONS)
        if name in self._classes and not is_composition:
            kind = options.get("rule", name)
            if kind != name:
                self._fault(
                    f"{name}.rule", f"must be {name} in a section of that name; call the section something else"
                )
                return None
            return self._plain(name, options, name, name)
        if "rule" not in options and not is_composition:
            message = nearest(name, list(self._classes))
            hint = "" if "did you mean" in message else f"; a section of another name says rule: or {_WORDS}"
            self._fault(name, message + hint)
            return None
        if name in self._classes or not is_name(name):
            what = "is a rule's own name" if name in self._classes else "is no name"
            self._fault(name, f"{what}; call the section by letters a-z, digits and _, at most {MOST_NAME}")
            return None
        return self._one(options, name, name)

    def _one(self, options: object, path: str, name: str | None) -> Rule | None:
        """A rule or a composition that says itself what it is."""
        if not isinstance(options, Mapping):
            self._fault(path, "must be a mapping such as {rule: max_contracts, limit: 2}")
            return None
        words = [word for word in ("rule", *COMPOSITIONS) if word in options]
        if len(words) != 1:
            self._fault(path, f"must say one of rule, {_WORDS}" + (f", not {' and '.join(words)}" if words else ""))
            return None
        if words[0] != "rule":
            return self._composition(words[0], options, path, name)
        kind = options["rule"]
        if not isinstance(kind, str) or kind not in self._classes:
            self._fault(f"{path}.rule", nearest(kind, list(self._classes)))
            return None
        return self._plain(kind, options, path, name)

    def _plain(self, kind: str, options: Section, path: str, name: str | None) -> Rule | None:
        rule_class = self._classes[kind]
        own = {key: value for key, value in options.items() if key != "rule"}
        linked = getattr(rule_class, "linked", None)
        try:
            return rule_of(rule_class, linked(own, self._others) if linked is not None else own, name)
        except OptionsInvalid as invalid:
            self._faults.extend(Fault(f"{path}.{fault.option}", fault.message) for fault in invalid.faults)
            return None

    def _composition(self, word: str, options: Section, path: str, name: str | None) -> Rule | None:
        before = len(self._faults)
        rest = {key: value for key, value in options.items() if key not in (word, "enabled")}
        if not isinstance(options.get("enabled", True), bool):
            self._fault(f"{path}.enabled", "must be true or false")
        for key in ("warn_at", *COMMON_ALIASES):
            if key in rest:
                self._fault(f"{path}.{key}", "is for a rule by itself: a composition has no gauge of its own")
                del rest[key]
        faults: list[Fault] = []
        settings = read_settings(composed_fields(), gathered(rest, faults), "", faults)
        self._faults.extend(Fault(f"{path}.{fault.option}", fault.message) for fault in faults)
        members = self._members(word, options[word], f"{path}.{word}")
        if settings is None or len(self._faults) > before:
            return None
        if word == "not":
            settings["action"] = settings.get("action") or Action.ALERT
        schedule: Schedule | None = settings.pop("schedule", None)
        makers: dict[str, Callable[..., Any]] = {"all_of": all_of, "any_of": any_of, "not": not_}
        rule = makers[word](*members, name=name or "", **settings)
        wrong = rule.contradictions() if name is not None else ()
        self._faults.extend(Fault(f"{path}.{fault.option}", fault.message) for fault in wrong)
        if wrong:
            return None
        scheduled: Rule = rule if schedule is None else during(schedule, rule)
        return scheduled

    def _members(self, word: str, written: object, path: str) -> list[Any]:
        if word == "not":
            return [self._member(written, path)]
        if not isinstance(written, list | tuple) or len(written) < 2:
            self._fault(path, "must be a list of two rules or more")
            return []
        return [self._member(one, f"{path}[{index}]") for index, one in enumerate(written)]

    def _member(self, written: object, path: str) -> Rule | None:
        if isinstance(written, Mapping):
            for key in written.keys() & {"enabled", "warn_at", *COMMON_ALIASES}:
                self._fault(f"{path}.{key}", "is said of the whole section, not of one of its rules")
        return self._one(written, path, None)

    def _fault(self, option: str, message: str) -> None:
        self._faults.append(Fault(option, message))


_WORDS = f"{', '.join(COMPOSITIONS[:-1])} or {COMPOSITIONS[-1]}"

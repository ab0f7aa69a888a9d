"""Building a rule from the options a trader wrote, and telling which options there are."""

from collections.abc import Mapping
from typing import Any

import msgspec

from risk_manager.rules._base import Rule
from risk_manager.rules._options.faults import Fault, OptionsInvalid
from risk_manager.rules._options.fields import (
    default_text,
    fields_of,
    is_lock,
    meaning,
    read_settings,
    spelled_settings,
    spellings,
)
from risk_manager.rules._options.lock import gathered

_WARNED = "belongs around the rule: warned(rule, 50, 80)"
AROUND = {
    "warn_at": _WARNED,
    "warn_at_pct": _WARNED,
    "schedule": "belongs around the rule: during(schedule, rule)",
}
"""Options every section of a configuration may have, which are no settings of the rule itself."""


class Option(msgspec.Struct, frozen=True):
    """One option of a rule, as shown to a trader: its name, what may be written, and the default."""

    name: str
    meaning: str
    default: str


def build_rule[R: Rule](rule_class: type[R], options: Mapping[str, object]) -> R:
    """The rule with these options; `enabled` is accepted and left to the caller.

    Raises:
        OptionsInvalid: with every fault at once.
    """
    faults: list[Fault] = []
    rest = _normalized(rule_class, options, faults)
    noted = list(faults)
    settings = read_settings(fields_of(rule_class), rest, "", faults)
    if settings is None or noted:
        raise OptionsInvalid(rule_class.name, tuple(faults))
    rule = rule_class(**settings)
    contradictions: tuple[Fault, ...] = getattr(rule, "contradictions", tuple)()
    if contradictions:
        raise OptionsInvalid(rule_class.name, contradictions)
    return rule


def _normalized(rule_class: type[Rule], options: Mapping[str, object], faults: list[Fault]) -> dict[str, object]:
    """The options under their own names: other spellings, flat lock options and misplaced ones sorted out."""
    aliases: Mapping[str, str] = getattr(rule_class, "aliases", {})
    elsewhere: Mapping[str, str] = getattr(rule_class, "elsewhere", {})
    its_own = {spelling for field in fields_of(rule_class) for spelling in spellings(field.name)}
    rest: dict[str, object] = {}
    for key, value in options.items():
        name = aliases.get(key, key)
        if key == "enabled":
            if not isinstance(value, bool):
                faults.append(Fault(key, "must be true or false"))
        elif key in elsewhere:
            faults.append(Fault(key, elsewhere[key]))
        elif key in AROUND and key not in its_own:
            faults.append(Fault(key, AROUND[key]))
        elif name in rest:
            written = [one for one in options if aliases.get(one, one) == name]
            faults.append(Fault(name, f"is said more than once: {', '.join(written)}"))
        else:
            rest[name] = value
    modernized = getattr(rule_class, "modernized", None)
    if modernized is not None:
        rest = modernized(rest, faults)
    if any(field.name == "lockout" and is_lock(field.type) for field in fields_of(rule_class)):
        rest = gathered(rest, faults)
    return rest


def options_of(rule: Rule) -> dict[str, object]:
    """Every option of a rule in the trader's spelling; `build_rule` makes an equal rule of them."""
    settings: Any = rule
    return spelled_settings(settings)


def describe(rule_class: type[Rule]) -> tuple[Option, ...]:
    """The rule's options in the order of its settings."""
    return tuple(
        Option(spellings(field.name)[0], meaning(field), default_text(field)) for field in fields_of(rule_class)
    )

"""Which change of a rule makes it stricter: that takes effect at once; all else waits for the next trading day.

It is decided option by option. A rule class may declare `stricter`, by field name:

- `lower`, `higher`: of a number, the stricter side; None is no limit.
- `shorter`, `longer`: the same, where None means something else, and a change from or to it waits.
- `true`, `false`: of a switch.   `more`, `fewer`: of a list of names, where an empty one means no limit.
- `any`: the option enforces nothing, so it may change at once.

What is not declared follows from the field's type and name: `limit`, `max_...`, `..._limit`, `per_...`, `grace...` are
stricter when smaller, `blocked...` when longer, a few more by `USUAL`; a remedy when it demands more or locks longer.
Anything else is not known to be stricter, and waits.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from risk_manager.domain.lockout import OnLock
from risk_manager.rules._base import RULE_ERRORS, Demand, LockTerms, LockUntil, Rule, remedy_of
from risk_manager.rules._compose.during import During, during
from risk_manager.rules._compose.sections import options_of
from risk_manager.rules._compose.shape import Layer, class_of, core_of, is_layer, named
from risk_manager.rules._compose.trial import trial_faults
from risk_manager.rules._compose.warn_at import WarnAt, warned
from risk_manager.rules._options import Fault
from risk_manager.rules._options.fields import spellings

_DEMANDS = list(Demand)
_UNTIL = [LockUntil.DURATION, LockUntil.RESET, LockUntil.CONDITION]


class Waiting(msgspec.Struct, frozen=True):
    """A change that is not in force yet.

    Attributes:
        rule: the section's name.   option: empty where the whole rule waits.
        now, then: what is in force, and what is written; in the trader's spelling.
    """

    rule: str
    option: str
    now: str
    then: str


class Tightened(NamedTuple):
    """The rules to put in force at once, and what of the change waits."""

    rules: tuple[Rule, ...]
    waiting: tuple[Waiting, ...]


def tightened(before: tuple[Rule, ...], after: tuple[Rule, ...]) -> Tightened:
    """What of `after` may replace `before` at once."""
    old = {rule.name: rule for rule in before}
    new = {rule.name: rule for rule in after}
    waiting: list[Waiting] = []
    rules: list[Rule] = []
    for name in sorted(old.keys() | new.keys()):
        if name not in old:
            rules.append(new[name])
        elif name not in new:
            waiting.append(Waiting(name, "", "in force", "removed or disabled"))
            rules.append(old[name])
        else:
            rules.append(_merged(old[name], new[name], waiting))
    return Tightened(tuple(rules), tuple(waiting))


def _merged(old: Rule, new: Rule, waiting: list[Waiting]) -> Rule:
    """The rule with whatever of the new one is stricter."""
    before, after = options_of(old), options_of(new)
    is_same_code = class_of(old) == class_of(new)
    if before == after and is_same_code:
        return new
    core: Any = core_of(old)
    if is_same_code and _is_plain(core):
        core = _merged_core(core, core_of(new), waiting)
    elif before == after:
        waiting.append(Waiting(old.name, "", "in force", "changed code"))
    else:
        waiting.append(Waiting(old.name, "", _text(before), _text(after)))
    return _layered(core, old, new, waiting)


def _is_plain(core: Any) -> bool:
    return not hasattr(core, "members")


def _merged_core(old: Any, new: Any, waiting: list[Waiting]) -> Any:
    changed = [name for name in old.__struct_fields__ if getattr(old, name) != getattr(new, name)]
    stricter = {name: getattr(new, name) for name in changed if _is_stricter(old, new, name)}
    merged = _replaced(old, stricter)
    if merged is None:
        # Halves of two settings that do not go together: the old one stays whole.
        merged, stricter = old, {}
    for name in changed:
        if name not in stricter:
            option = spellings(name)[0]
            waiting.append(Waiting(old.name, option, _option_text(old, option), _option_text(new, option)))
    return merged


def _replaced(old: Any, stricter: Mapping[str, Any]) -> Any:
    """The rule with these settings in place of its own; None where that is no rule that can be put in force."""
    try:
        merged = msgspec.structs.replace(old, **stricter)
        contradictions: tuple[Fault, ...] = getattr(merged, "contradictions", tuple)()
    except RULE_ERRORS:  # a rule of the user's own may fail at settings nobody wrote
        return None
    return None if contradictions or trial_faults(merged) else merged


def _layered(core: Any, old: Rule, new: Rule, waiting: list[Waiting]) -> Rule:
    """The core with the new warnings, which enforce nothing; always in force is stricter than any schedule."""
    before, after = _layer(old, During), _layer(new, During)
    if before is not None and after is not None:
        core = during(before.schedule, core)
    if after is not None and (before is None or before.schedule != after.schedule):
        now = None if before is None else before.spelled()["schedule"]
        waiting.append(Waiting(old.name, "schedule", _text(now), _text(after.spelled()["schedule"])))
    levels = _layer(new, WarnAt)
    rule: Rule = core
    return rule if levels is None else named(warned(rule, *levels.levels), old.name)


def _layer(rule: Any, kind: type[Layer]) -> Any:
    while is_layer(rule):
        if isinstance(rule, kind):
            return rule
        rule = rule.rule
    return None


def _is_stricter(old: Any, new: Any, field: str) -> bool:
    declared: Mapping[str, str] = getattr(type(old), "stricter", {})
    return _is_stricter_value(
        declared.get(field) or _usual(field), getattr(old, field), getattr(new, field)
    ) or _is_stricter_remedy(old, new, field)


USUAL = {
    "allowed_symbols": "fewer",
    "apply_to_existing_at_start": "true",
    "auto_unlock_on_restore": "false",
    "cancel_orders": "true",
    "close_existing": "true",
    "close_positions": "true",
    "consecutive_losses": "lower",
    "contracts_per_10k": "shorter",
    "extend": "true",
    "inclusive": "true",
    "include_working_orders": "true",
    "message": "any",
    "reason": "any",
    "require_loss_side": "true",
    "target_micros": "lower",
    "unlock_after_ns": "longer",
    "unlock_if_recovered": "false",
    "warn_after_ns": "any",
}
"""Fields that mean the same wherever they occur."""


def _usual(field: str) -> str:
    """The declaration most rules would make for a field of that name."""
    if field in USUAL:
        return USUAL[field]
    base = field.removesuffix("_micros")
    if base.startswith("grace"):
        return "shorter"
    if not base.endswith("_ns") and (base.startswith(("limit", "max_", "per_")) or base.endswith(("_limit", "max"))):
        return "shorter"
    return "more" if base.startswith("blocked") else ""


def _is_stricter_value(declared: str, old: Any, new: Any) -> bool:
    if declared == "any":
        return True
    if isinstance(old, bool) and isinstance(new, bool):
        return declared == str(new).lower()
    if isinstance(old, LockTerms | None) and isinstance(new, LockTerms | None) and (old or new):
        return is_stricter_lock(old, new)
    if isinstance(old, msgspec.Struct) and type(old) is type(new):
        changed = [name for name in old.__struct_fields__ if getattr(old, name) != getattr(new, name)]
        return all(_is_stricter(old, new, name) for name in changed)
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        same = old.keys() == new.keys()
        return same and all(old[key] == new[key] or _is_stricter_value(declared, old[key], new[key]) for key in old)
    if isinstance(old, tuple) and isinstance(new, tuple):
        return _is_stricter_list(declared, old, new)
    return _is_stricter_number(declared, old, new)


def _is_stricter_list(declared: str, old: tuple[Any, ...], new: tuple[Any, ...]) -> bool:
    if any(isinstance(item, msgspec.Struct) for item in (*old, *new)):
        return False
    if declared == "more":
        return set(old) <= set(new)
    return declared == "fewer" and bool(new) and (not old or set(new) <= set(old))


def _is_stricter_number(declared: str, old: Any, new: Any) -> bool:
    is_number = type(old) is int and type(new) is int
    if declared in ("lower", "shorter") and is_number:
        return bool(new < old)
    if declared in ("higher", "longer") and is_number:
        return bool(new > old)
    return declared in ("lower", "higher") and old is None and type(new) is int


def _is_stricter_remedy(old: Any, new: Any, field: str) -> bool:
    """Whether the option alone makes the rule demand more, and nothing less."""
    if not isinstance(getattr(old, field), StrEnum) or not hasattr(type(old), "remedy"):
        return False
    try:
        before = remedy_of(old)
        after = remedy_of(msgspec.structs.replace(old, **{field: getattr(new, field)}))
    except RULE_ERRORS:  # a rule of the user's own may fail at settings nobody wrote
        return False
    demands_more = _DEMANDS.index(after.demand) - _DEMANDS.index(before.demand)
    locks_more = after.lock == before.lock or is_stricter_lock(before.lock, after.lock)
    return before != after and demands_more >= 0 and locks_more


def is_stricter_lock(old: LockTerms | None, new: LockTerms | None) -> bool:
    """Whether the new terms lock at least as long and as hard as the old ones."""
    if old is None or new is None:
        return new is not None
    is_long = _UNTIL.index(new.until) >= _UNTIL.index(old.until)
    if old.until is new.until is LockUntil.DURATION:
        is_long = (new.duration_ns or 0) >= (old.duration_ns or 0)
    is_hard = new.on_lock is old.on_lock or new.on_lock is OnLock.FLATTEN
    return is_long and is_hard and (new.whole_account or not old.whole_account)


def _option_text(rule: Any, option: str) -> str:
    spelled = options_of(rule)
    base = option.removesuffix("_seconds")
    found = next((spelled[name] for name in (option, f"{base}_ms", base) if name in spelled), None)
    return _text(found)


def _text(value: object) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "true" if value else "false"
        case Mapping():
            return "{" + ", ".join(f"{key}: {_text(item)}" for key, item in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(_text(item) for item in value) + "]"
    return str(value)

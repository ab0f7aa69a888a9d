"""From the sections `rules` and `overrides` to each account's rules.

Every rule in `rules` must be complete by itself, disabled or not. An override changes single options for one account:
sections are merged option by option, everything else, lists included, is replaced. The merged options pass the same
checks as if they had been written out.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from risk_manager.config.calendar import zone_faults
from risk_manager.config.document import Document, KeyPath
from risk_manager.config.faults import Fault, suggestion
from risk_manager.config.limits import contradictions, doubts
from risk_manager.rules import RULES, OptionsInvalid, Rule, build_rules, trial_faults


class RuleSets(NamedTuple):
    """The enabled rules of every account, in the order the accounts were given, and what is doubtful about them."""

    by_account: tuple[tuple[Rule, ...], ...]
    warnings: tuple[str, ...]


def compose_rules(
    document: Document,
    accounts: Sequence[tuple[str, ...]],
    faults: list[Fault],
    classes: Mapping[str, type[Rule]] = RULES,
) -> RuleSets:
    """Each account's rules; where something is wrong, it is added to `faults` and the account left without rules.

    Args:
        classes: the rules there are, by name.
        accounts: per account what it may be called in `overrides`; empty if the accounts could not be read, then the
            overrides are checked all the same.
    """
    data = _section(document.data)
    overrides = _section(data.get("overrides"))
    composer = _Composer(document, _section(data.get("rules")), classes)
    keys = composer.assign(overrides, accounts) if accounts else [None, *overrides]
    by_account = tuple(composer.rules_with(key, _section(overrides.get(key or ""))) for key in keys)
    faults.extend(composer.faults)
    warnings = (
        f"{names[-1]}: {doubt}" for names, rules in zip(accounts, by_account, strict=False) for doubt in doubts(rules)
    )
    return RuleSets(by_account, tuple(warnings))


class _Composer:
    """Builds rules and collects their faults, each once however many accounts share it."""

    def __init__(self, document: Document, rules: dict[str, Any], classes: Mapping[str, type[Rule]]) -> None:
        self._classes = classes
        self.faults: list[Fault] = []
        self._document = document
        # Whatever is not a section has been reported with the file's shape.
        self._base = {name: options for name, options in rules.items() if isinstance(options, dict)}
        self._said: set[tuple[str, str]] = set()
        self._base_rules = self._build(self._base, (("rules",),))

    def assign(self, overrides: dict[str, Any], accounts: Sequence[tuple[str, ...]]) -> list[str | None]:
        """The key of `overrides` that belongs to each account; keys that belong to none are faults."""
        chosen: list[str | None] = [None] * len(accounts)
        for key in overrides:
            owners = [index for index, names in enumerate(accounts) if key in names]
            if not owners:
                known = [name for names in accounts for name in names]
                self._fault(("overrides", key), "is none of the accounts", suggestion(key, known))
            for index in owners:
                if chosen[index] is not None:
                    self._fault(("overrides", key), f"is the account {chosen[index]} again", "join the two sections")
                chosen[index] = key
        return chosen

    def rules_with(self, key: str | None, changes: dict[str, Any]) -> tuple[Rule, ...]:
        """The enabled rules with the overrides of one key; none if any of them has a fault."""
        if key is None:
            return self._base_rules
        changed = {name: options for name, options in changes.items() if isinstance(options, dict)}
        return self._build(_merged(self._base, changed), (("overrides", key), ("rules",)))

    def _build(self, options: dict[str, Any], sections: tuple[KeyPath, ...]) -> tuple[Rule, ...]:
        try:
            rules = build_rules(options, self._classes)
        except OptionsInvalid as invalid:
            for fault in invalid.faults:
                self._place(fault.option, fault.message, sections)
            return ()
        for fault in contradictions(rules):
            self._place(fault.option, fault.message, sections)
        for rule in rules:
            for problem in (*zone_faults(rule), *trial_faults(rule)):
                self._place(rule.name, problem, sections)
        return rules

    def _place(self, option: str, message: str, sections: tuple[KeyPath, ...]) -> None:
        """Report a fault where the option is written: in the account's overrides or, failing that, in the rules."""
        path = _placed(self._document, sections, _parts(option))
        is_inherited = path[0] == "rules" or not self._document.holds(path)
        if self._document.is_misread(path) or (is_inherited and (option, message) in self._said):
            return
        self._said.add((option, message))
        self.faults.append(self._document.fault(path, message, at_key=len(path) == len(sections[0]) + 1))

    def _fault(self, path: KeyPath, problem: str, instead: str) -> None:
        self.faults.append(self._document.fault(path, problem, instead, at_key=True))


def _section(value: Any) -> dict[str, Any]:
    """The value if it is a section; the other shapes are the model's faults to report."""
    return value if isinstance(value, dict) else {}


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, change in changes.items():
        before = merged.get(key)
        merged[key] = _merged(before, change) if isinstance(before, dict) and isinstance(change, dict) else change
    return merged


def _placed(document: Document, sections: tuple[KeyPath, ...], parts: KeyPath) -> KeyPath:
    """The path of an option in the first section that says something about it, else in the first that exists."""
    for length in range(len(parts), 0, -1):
        for section in sections:
            if document.holds((*section, *parts[:length])):
                return (*section, *parts)
    return (*sections[0], *parts)


def _parts(option: str) -> KeyPath:
    """`limits.ES` and `blocked_symbols[2]` taken apart."""
    parts: list[str | int] = []
    for dotted in option.split("."):
        name, *indexes = dotted.split("[")
        parts.append(name)
        parts.extend(int(index) for text in indexes if (index := text.removesuffix("]")).isdigit())
    return tuple(parts)

"""One file per account rule; modules are found by name.

`RULES` maps the names to the rule classes, `build_rules` makes rules of a trader's options. In a program the classes
under their everyday names take a trader's options: `DailyLossRule(limit=-1000, action="flatten")`.
"""

import pkgutil
from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType

from risk_manager.rules._base import Rule
from risk_manager.rules._options import (
    Fault,
    Option,
    OptionsInvalid,
    build_rule,
    describe,
    nearest,
    options_of,
)
from risk_manager.rules.daily_realized_loss import DailyRealizedLoss
from risk_manager.rules.daily_unrealized_loss import DailyUnrealizedLoss
from risk_manager.rules.max_contracts import MaxContracts
from risk_manager.rules.max_contracts_per_instrument import MaxContractsPerInstrument
from risk_manager.rules.symbol_blocks import SymbolBlocks


def _found() -> Mapping[str, type[Rule]]:
    """The rule class of every module here that does not begin with `_`, in the order of their names."""
    rules: dict[str, type[Rule]] = {}
    for name in sorted(module.name for module in pkgutil.iter_modules(__path__)):
        if name.startswith("_"):
            continue
        module = import_module(f"{__name__}.{name}")
        own = [one for one in vars(module).values() if getattr(one, "__module__", "") == module.__name__]
        classes: list[type[Rule]] = [one for one in own if hasattr(one, "step") and hasattr(one, "listens_to")]
        assert len(classes) == 1, f"{name}.py must hold one rule, not {classes}"
        assert classes[0].name == name, f"the rule in {name}.py calls itself {classes[0].name}"
        rules[name] = classes[0]
    return MappingProxyType(rules)


RULES: Mapping[str, type[Rule]] = _found()


def build_rules(options: Mapping[str, Mapping[str, object]]) -> tuple[Rule, ...]:
    """The enabled rules in the order of their names, from options by rule name.

    A rule with `enabled: false` is checked and left out. Options one rule takes from another are filled in.

    Raises:
        OptionsInvalid: with every fault of every rule at once.
    """
    faults: list[Fault] = []
    rules: list[Rule] = []
    for name in sorted(options):
        rule_class = RULES.get(name)
        if rule_class is None:
            faults.append(Fault(name, nearest(name, list(RULES))))
            continue
        own = options[name]
        linked = getattr(rule_class, "linked", None)
        try:
            rule = build_rule(rule_class, linked(dict(own), options) if linked is not None else own)
        except OptionsInvalid as invalid:
            faults.extend(Fault(f"{name}.{fault.option}", fault.message) for fault in invalid.faults)
        else:
            if own.get("enabled", True):
                rules.append(rule)
    if faults:
        raise OptionsInvalid("rules", tuple(faults))
    return tuple(rules)


def DailyLossRule(**options: object) -> DailyRealizedLoss:
    """The rule daily_realized_loss with a trader's options (`limit=-1000, action="flatten"`)."""
    return build_rule(DailyRealizedLoss, options)


def DailyUnrealizedLossRule(**options: object) -> DailyUnrealizedLoss:
    """The rule daily_unrealized_loss with a trader's options (`loss_limit=-300`)."""
    return build_rule(DailyUnrealizedLoss, options)


def MaxPositionRule(
    *, max_contracts: int, per_instrument: bool = False, **options: object
) -> MaxContracts | MaxContractsPerInstrument:
    """A limit for the account, or with `per_instrument` the same limit for each product."""
    if per_instrument:
        return build_rule(MaxContractsPerInstrument, {"default_limit": max_contracts, **options})
    return build_rule(MaxContracts, {"limit": max_contracts, **options})


def MaxContractsPerInstrumentRule(**options: object) -> MaxContractsPerInstrument:
    """The rule max_contracts_per_instrument with a trader's options (`limits={"ES": 2}`)."""
    return build_rule(MaxContractsPerInstrument, options)


def SymbolBlocksRule(**options: object) -> SymbolBlocks:
    """The rule symbol_blocks with a trader's options (`blocked_symbols=["CL"]`)."""
    return build_rule(SymbolBlocks, options)


DailyRealizedLossRule = DailyLossRule
MaxContractsRule = MaxPositionRule

__all__ = [
    "RULES",
    "DailyLossRule",
    "DailyRealizedLoss",
    "DailyRealizedLossRule",
    "DailyUnrealizedLoss",
    "DailyUnrealizedLossRule",
    "Fault",
    "MaxContracts",
    "MaxContractsPerInstrument",
    "MaxContractsPerInstrumentRule",
    "MaxContractsRule",
    "MaxPositionRule",
    "Option",
    "OptionsInvalid",
    "Rule",
    "SymbolBlocks",
    "SymbolBlocksRule",
    "build_rule",
    "build_rules",
    "describe",
    "options_of",
]

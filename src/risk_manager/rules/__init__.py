"""One file per account rule; modules are found by name.

`RULES` maps the names to the rule classes, `build_rules` makes rules of a trader's options. In a program the rules
under their everyday names take a trader's options: `DailyLossRule(limit=-1000, action="flatten")`; around them go
`warned(rule, 50, 80)`, `during(schedule, rule)`, `all_of`, `any_of`, `not_` and `named(rule, "evaluation")`.
"""

import pkgutil
from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType

from risk_manager.rules._base import RULE_ERRORS, Demand, LockTerms, LockUntil, Remedy, Rule
from risk_manager.rules._compose import (
    Waiting,
    all_of,
    any_of,
    class_of,
    core_of,
    during,
    kind_of,
    named,
    not_,
    options_of,
    schedules_of,
    sections,
    tightened,
    trial_faults,
    warned,
)
from risk_manager.rules._compose.sections import common_options
from risk_manager.rules._options import Fault, Option, OptionsInvalid, build_rule, describe
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


def build_rules(
    options: Mapping[str, Mapping[str, object]], classes: Mapping[str, type[Rule]] = RULES
) -> tuple[Rule, ...]:
    """The enabled rules in the order of their sections' names; `rules/_compose/sections.py` says how they are written.

    A section with `enabled: false` is checked and left out. Options one rule takes from another are filled in.

    Args:
        classes: the rules there are, by name.

    Raises:
        OptionsInvalid: with every fault of every section at once.
    """
    return sections.build_rules(options, classes)


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


def StopLossRule(**options: object) -> Rule:
    """The rule no_stop_loss_grace with a trader's options (`require_within_seconds=60`)."""
    return build_rule(RULES["no_stop_loss_grace"], options)


def FrequencyRule(**options: object) -> Rule:
    """The rule trade_frequency_limit with a trader's options (`limits={"per_minute": 3}`)."""
    return build_rule(RULES["trade_frequency_limit"], options)


def SessionRule(**options: object) -> Rule:
    """The rule session_block_outside with a trader's options (`start="09:30", end="16:00"`)."""
    return build_rule(RULES["session_block_outside"], options)


def DrawdownRule(**options: object) -> Rule:
    """The rule drawdown with a trader's options (`max_drawdown=2000`)."""
    return build_rule(RULES["drawdown"], options)


def VelocityRule(**options: object) -> Rule:
    """The rule velocity with a trader's options (`max_loss=200, window_seconds=60`)."""
    return build_rule(RULES["velocity"], options)


def ConcentrationRule(**options: object) -> Rule:
    """The rule concentration with a trader's options (`max_pct=60`)."""
    return build_rule(RULES["concentration"], options)


def LeverageRule(**options: object) -> Rule:
    """The rule leverage with a trader's options (`max_ratio=10`)."""
    return build_rule(RULES["leverage"], options)


DailyRealizedLossRule = DailyLossRule
MaxContractsRule = MaxPositionRule

__all__ = [
    "RULES",
    "RULE_ERRORS",
    "ConcentrationRule",
    "DailyLossRule",
    "DailyRealizedLoss",
    "DailyRealizedLossRule",
    "DailyUnrealizedLoss",
    "DailyUnrealizedLossRule",
    "Demand",
    "DrawdownRule",
    "Fault",
    "FrequencyRule",
    "LeverageRule",
    "LockTerms",
    "LockUntil",
    "MaxContracts",
    "MaxContractsPerInstrument",
    "MaxContractsPerInstrumentRule",
    "MaxContractsRule",
    "MaxPositionRule",
    "Option",
    "OptionsInvalid",
    "Remedy",
    "Rule",
    "SessionRule",
    "StopLossRule",
    "SymbolBlocks",
    "SymbolBlocksRule",
    "VelocityRule",
    "Waiting",
    "all_of",
    "any_of",
    "build_rule",
    "build_rules",
    "class_of",
    "common_options",
    "core_of",
    "describe",
    "during",
    "kind_of",
    "named",
    "not_",
    "options_of",
    "schedules_of",
    "tightened",
    "trial_faults",
    "warned",
]

"""The rules as a whole: found by name, built together, named as traders know them."""

import pytest

from risk_manager.rules import (
    RULES,
    DailyLossRule,
    DailyRealizedLoss,
    DailyRealizedLossRule,
    DailyUnrealizedLossRule,
    MaxContracts,
    MaxContractsPerInstrument,
    MaxContractsPerInstrumentRule,
    MaxContractsRule,
    MaxPositionRule,
    OptionsInvalid,
    SymbolBlocksRule,
    build_rules,
)
from risk_manager.rules._stopping import Action


def test_finds_every_module_in_the_order_of_names() -> None:
    """A frozen build may not be able to list modules: then this is what says so."""
    assert {
        "daily_realized_loss",
        "daily_unrealized_loss",
        "max_contracts",
        "max_contracts_per_instrument",
        "symbol_blocks",
    } <= RULES.keys()
    assert list(RULES) == sorted(RULES)


def test_builds_the_enabled_rules_in_the_order_of_names() -> None:
    rules = build_rules(
        {
            "symbol_blocks": {"blocked_symbols": ["CL"]},
            "max_contracts": {"limit": 5, "enabled": True},
            "daily_realized_loss": {"limit": 500, "enabled": False},
        }
    )
    assert [rule.name for rule in rules] == ["max_contracts", "symbol_blocks"]


def test_lists_the_faults_of_all_rules_even_of_disabled_ones() -> None:
    with pytest.raises(OptionsInvalid) as raised:
        build_rules(
            {
                "max_contract": {"limit": 5},
                "max_contracts": {"limit": 0, "enabled": False},
                "daily_realized_loss": {"limit": 500, "basis": "cash"},
                "symbol_blocks": {"blocked_symbols": ["CL"]},
            }
        )
    assert [str(fault) for fault in raised.value.faults] == [
        "daily_realized_loss.basis: must be one of realized, realized_plus_unrealized, composite, not 'cash'",
        "max_contract: is not known; did you mean max_contracts?",
        "max_contracts.limit: must be above 0, not 0",
    ]


def test_offers_the_rules_under_their_everyday_names() -> None:
    assert DailyLossRule(limit=-1000, action="flatten") == DailyRealizedLoss(limit_micros=1_000_000_000)
    assert DailyRealizedLossRule(limit=5, action="pause").action is Action.PAUSE
    assert MaxPositionRule(max_contracts=5, per_instrument=False) == MaxContracts(limit=5)
    assert MaxPositionRule(max_contracts=5) == MaxContractsRule(max_contracts=5)
    assert MaxPositionRule(max_contracts=5, per_instrument=True) == MaxContractsPerInstrument(default_limit=5)
    assert MaxContractsPerInstrumentRule(limits={"ES": 1}).limits == {"ES": 1}
    assert DailyUnrealizedLossRule(loss_limit=300).loss_limit_micros == 300_000_000
    assert SymbolBlocksRule(blocked_symbols=["CL"]).blocked_symbols == ("CL",)
    with pytest.raises(OptionsInvalid, match=r"max_contracts\.limit: must be above 0"):
        MaxPositionRule(max_contracts=0)

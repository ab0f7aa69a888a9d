"""To the letter: what the rules about money refuse, and where they take a limit from."""

from typing import Any

import pytest

from risk_manager.rules import RULES, OptionsInvalid, build_rule, build_rules
from risk_manager.testing.events import micros

DAY_LOSS: dict[str, object] = {"limit": 500}
DAY_PROFIT: dict[str, object] = {"target": 500}
OPEN_LOSS: dict[str, object] = {"loss_limit": 300}
OPEN_PROFIT: dict[str, object] = {"profit_target": 1000}
BREAKEVEN: dict[str, object] = {"mode": "breakeven", "breakeven_arm_profit": 200}


def rule(name: str, options: dict[str, object]) -> Any:
    return build_rule(RULES[name], options)


@pytest.mark.parametrize(
    ("name", "options", "faults"),
    [
        (
            "daily_realized_loss",
            {**DAY_LOSS, "action": "pause", "lockout": False, "cancel_orders": False},
            [
                "cancel_orders: must be true: a resting order would reopen what was closed",
                "lockout: is what a pause consists of; leave it out or give its length",
            ],
        ),
        (
            "daily_realized_loss",
            {**DAY_LOSS, "action": "alert", "unlock_if_recovered": True},
            ["unlock_if_recovered: has no lock to end when the action is alert"],
        ),
        (
            "daily_realized_loss",
            {**DAY_LOSS, "close_all": False},
            ["close_all: must be true: a daily loss ends all trading; choose an action instead"],
        ),
        (
            "daily_realized_loss",
            {**DAY_LOSS, "timezone": "UTC"},
            ["timezone: belongs to the account, not to a rule: set the trading day under the account's reset"],
        ),
        (
            "daily_realized_profit",
            {**DAY_PROFIT, "close_all": False, "reset_time": "17:00"},
            [
                "reset_time: belongs to the account, not to a rule: set the trading day under the account's reset",
                "close_all: must be true: a reached target ends all trading; choose an action instead",
            ],
        ),
        (
            "daily_realized_profit",
            {**DAY_PROFIT, "action": "pause", "lockout": False, "cancel_orders": False},
            [
                "cancel_orders: must be true: a resting order would reopen what was closed",
                "lockout: is what a pause consists of; leave it out or give its length",
            ],
        ),
        (
            "daily_unrealized_loss",
            {**OPEN_LOSS, "composite_enforcement": {"enabled": True}},
            ["composite_enforcement.realized_limit: is missing; repeat the limit of daily_realized_loss"],
        ),
        (
            "daily_unrealized_loss",
            {**OPEN_LOSS, "quote_blackout_action": "flatten"},
            ["quote_blackout_action_after_seconds: is missing; after how long without quotes?"],
        ),
        (
            "daily_unrealized_loss",
            {**OPEN_LOSS, "quote_blackout_action_after_seconds": 9},
            ["quote_blackout_action_after_seconds: must not be shorter than max_quote_age_seconds"],
        ),
        (
            "daily_unrealized_loss",
            {
                **OPEN_LOSS,
                "quote_blackout_action_after": "1m",
                "quote_blackout_action": "flatten",
                "action": "alert",
                "lockout": True,
            },
            [
                "quote_blackout_action: must be alert when the action is alert",
                "lockout: an alert does nothing to the account; choose another action to lock it",
            ],
        ),
        (
            "daily_unrealized_loss",
            {
                **OPEN_LOSS,
                "quote_blackout_action_after": "1m",
                "quote_blackout_action": "close_position",
                "action": "flatten_and_lock",
            },
            ["quote_blackout_action: must be alert or flatten when the action is flatten_and_lock"],
        ),
        ("max_unrealized_profit", {}, ["profit_target: is missing; mode profit_target needs it"]),
        (
            "max_unrealized_profit",
            {"mode": "breakeven", "profit_target": 5},
            [
                "breakeven_arm_profit: is missing; mode breakeven needs it",
                "profit_target: has no meaning in mode breakeven",
            ],
        ),
        (
            "max_unrealized_profit",
            {**OPEN_PROFIT, "breakeven_arm_profit": 5, "breakeven_offset_ticks": 1},
            [
                "breakeven_arm_profit: has no meaning in mode profit_target",
                "breakeven_offset_ticks: has no meaning in mode profit_target",
            ],
        ),
        (
            "max_unrealized_profit",
            {**OPEN_PROFIT, "action": "alert", "lockout": True, "composite_enforcement": {"enabled": True}},
            [
                "lockout: an alert does nothing to the account; choose another action to lock it",
                "composite_enforcement.profit_target: is missing; repeat the target of daily_realized_profit",
            ],
        ),
        (
            "velocity",
            {"max_loss": 5, "action": "pause", "lockout": False},
            ["lockout: is what a pause consists of; leave it out or give its length"],
        ),
    ],
)
def test_says_what_cannot_be_meant(name: str, options: dict[str, object], faults: list[str]) -> None:
    with pytest.raises(OptionsInvalid) as raised:
        rule(name, options)
    assert [str(fault) for fault in raised.value.faults] == faults


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("daily_realized_loss", {**DAY_LOSS, "action": "alert"}),
        ("daily_realized_loss", {**DAY_LOSS, "unlock_if_recovered": True}),
        ("daily_unrealized_loss", {**OPEN_LOSS, "quote_blackout_action_after_seconds": 10}),
        ("daily_unrealized_loss", {**OPEN_LOSS, "quote_blackout_action_after": "1m", "action": "flatten"}),
        (
            "daily_unrealized_loss",
            {**OPEN_LOSS, "quote_blackout_action_after": "1m", "quote_blackout_action": "close_position"},
        ),
        (
            "daily_unrealized_loss",
            {
                **OPEN_LOSS,
                "quote_blackout_action_after": "1m",
                "quote_blackout_action": "flatten",
                "action": "flatten",
            },
        ),
        (
            "daily_unrealized_loss",
            {**OPEN_LOSS, "composite_enforcement": {"enabled": True, "respect_realized_limit": False}},
        ),
        ("daily_unrealized_loss", {**OPEN_LOSS, "action": "alert"}),
        ("daily_unrealized_loss", {**OPEN_LOSS, "lockout": True}),
        (
            "max_unrealized_profit",
            {**OPEN_PROFIT, "composite_enforcement": {"enabled": True, "respect_profit_target": False}},
        ),
        ("max_unrealized_profit", {**BREAKEVEN, "breakeven_offset_ticks": 1}),
        ("max_unrealized_profit", {**OPEN_PROFIT, "action": "alert"}),
    ],
)
def test_takes_what_can_be_meant(name: str, options: dict[str, object]) -> None:
    assert rule(name, options).name == name


@pytest.mark.parametrize(
    ("name", "other", "spelling"),
    [
        ("daily_unrealized_loss", "daily_realized_loss", "limit"),
        ("daily_unrealized_loss", "daily_realized_loss", "loss_limit"),
        ("daily_unrealized_loss", "daily_realized_loss", "max_daily_loss"),
        ("max_unrealized_profit", "daily_realized_profit", "target"),
        ("max_unrealized_profit", "daily_realized_profit", "profit_target"),
        ("max_unrealized_profit", "daily_realized_profit", "daily_profit_target"),
        ("max_unrealized_profit", "daily_realized_profit", "limit"),
    ],
)
def test_takes_the_days_limit_however_it_is_spelled(name: str, other: str, spelling: str) -> None:
    own = {
        **(OPEN_LOSS if name == "daily_unrealized_loss" else OPEN_PROFIT),
        "composite_enforcement": {"enabled": True},
    }
    (linked,) = (one for one in build_rules({other: {spelling: 1200}, name: own}) if one.name == name)
    composite = linked.composite_enforcement  # type: ignore[attr-defined]  # both rules have one
    limits = {"daily_unrealized_loss": "realized_limit_micros", "max_unrealized_profit": "profit_target_micros"}
    assert getattr(composite, limits[name]) == micros(1200)

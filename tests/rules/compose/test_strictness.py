"""Which change of a rule is stricter and takes effect at once; all else waits."""

from typing import Any

import pytest

from risk_manager.domain.lockout import OnLock
from risk_manager.rules import RULES, Rule, build_rules, options_of, tightened, warned
from risk_manager.rules._base import LockTerms, LockUntil
from risk_manager.rules._compose.strictness import is_stricter_lock

Sections = dict[str, Any]

LOSS = {"daily_realized_loss": {"limit": 500}}


def changed(name: str, before: Sections, after: Sections) -> tuple[dict[str, object], list[str]]:
    """The option values in force after a change, and the options that wait."""
    (old,), (new,) = build_rules({name: before}), build_rules({name: after})
    result = tightened((old,), (new,))
    return options_of(result.rules[0]), [change.option for change in result.waiting]


@pytest.mark.parametrize(
    ("name", "before", "after", "option", "value", "waiting"),
    [
        ("daily_realized_loss", {"limit": 500}, {"limit": 499}, "limit", 499, []),
        ("daily_realized_loss", {"limit": 500}, {"limit": 501}, "limit", 500, ["limit"]),
        ("daily_realized_loss", {"limit": 500}, {"limit": 500, "action": "alert"}, "action", "flatten", ["action"]),
        ("daily_realized_loss", {"limit": 500, "action": "alert"}, {"limit": 500}, "action", "flatten", []),
        (
            "daily_realized_loss",
            {"limit": 500, "lockout": "1h"},
            {"limit": 500, "lockout": "59m"},
            "lockout",
            None,
            ["lockout"],
        ),
        ("max_contracts", {"limit": 5}, {"limit": 5, "lockout": "30m"}, "lockout", None, []),
        ("max_contracts", {"limit": 5}, {"limit": 4, "count_type": "net_account"}, "limit", 4, ["count_type"]),
        (
            "max_contracts",
            {"limit": 5},
            {"limit": 5, "include_working_orders": True},
            "include_working_orders",
            True,
            [],
        ),
        (
            "symbol_blocks",
            {"blocked_symbols": ["CL"]},
            {"blocked_symbols": ["CL", "NG"]},
            "blocked_symbols",
            ["CL", "NG"],
            [],
        ),
        (
            "symbol_blocks",
            {"blocked_symbols": ["CL", "NG"]},
            {"blocked_symbols": ["NG"]},
            "blocked_symbols",
            ["CL", "NG"],
            ["blocked_symbols"],
        ),
        ("max_contracts_per_instrument", {"limits": {"ES": 3}}, {"limits": {"ES": 2}}, "limits", {"ES": 2}, []),
        (
            "max_contracts_per_instrument",
            {"limits": {"ES": 3}},
            {"limits": {"ES": 2, "NQ": 9}},
            "limits",
            {"ES": 3},
            ["limits"],
        ),
        (
            "no_stop_loss_grace",
            {"grace_period_seconds": 60},
            {"grace_period_seconds": 30},
            "grace_period_seconds",
            30,
            [],
        ),
        (
            "no_stop_loss_grace",
            {},
            {"grace_on_removal_seconds": 600},
            "grace_on_removal_seconds",
            None,
            ["grace_on_removal_seconds"],
        ),
        (
            "trade_frequency_limit",
            {"cooldown_on_breach": {"per_minute": 90}},
            {"cooldown_on_breach": {"per_minute": 60}},
            "cooldown_on_breach",
            None,
            ["cooldown_on_breach"],
        ),
        (
            "trade_frequency_limit",
            {"limits": {"per_minute": 3}},
            {"limits": {"per_minute": 2}},
            "limits",
            {"per_minute": 2, "per_hour": None, "per_session": None},
            [],
        ),
        (
            "max_contracts_per_instrument",
            {"limits": {"ES": 3}},
            {"limits": {"ES": 3}, "default_limit": 5},
            "default_limit",
            None,
            ["default_limit"],
        ),
    ],
)
def test_decides_option_by_option(
    name: str, before: Sections, after: Sections, option: str, value: object, waiting: list[str]
) -> None:
    in_force, waits = changed(name, before, after)
    assert waits == waiting
    if value is not None:
        assert in_force[option] == value


def test_adds_a_rule_at_once_and_lets_its_removal_wait() -> None:
    (loss,), (size,) = build_rules(LOSS), build_rules({"max_contracts": {"limit": 5}})
    added = tightened((loss,), (loss, size))
    assert ([rule.name for rule in added.rules], added.waiting) == (["daily_realized_loss", "max_contracts"], ())
    removed = tightened((loss, size), (loss,))
    assert [rule.name for rule in removed.rules] == ["daily_realized_loss", "max_contracts"]
    assert [(one.rule, one.option, one.then) for one in removed.waiting] == [
        ("max_contracts", "", "removed or disabled")
    ]


def test_takes_other_warnings_at_once() -> None:
    (loss,) = build_rules(LOSS)
    for before, after in ((loss, warned(loss, 50)), (warned(loss, 50), warned(loss, 80)), (warned(loss, 50), loss)):
        assert tightened((before,), (after,)) == ((after,), ())


def test_lets_another_rule_of_the_name_wait() -> None:
    before = build_rules({"mine": {"rule": "max_contracts", "limit": 5}})
    after = build_rules({"mine": {"rule": "daily_realized_loss", "limit": 500}})
    result = tightened(before, after)
    assert result.rules == before
    assert [one.rule for one in result.waiting] == ["mine"]


def test_lets_a_changed_composition_wait() -> None:
    def mine(limit: int) -> tuple[Rule, ...]:
        members = [{"rule": "max_contracts", "limit": limit}, {"rule": "daily_realized_loss", "limit": 300}]
        return build_rules({"mine": {"all_of": members}})

    assert tightened(mine(2), mine(1)).waiting != ()
    assert tightened(mine(2), mine(2)).waiting == ()


def test_tells_what_is_in_force_and_what_is_written() -> None:
    (change,) = tightened(build_rules(LOSS), build_rules({"daily_realized_loss": {"limit": 900}})).waiting
    assert (change.rule, change.option, change.now, change.then) == ("daily_realized_loss", "limit", "500", "900")


@pytest.mark.parametrize("rule_class", RULES.values(), ids=list(RULES))
def test_changes_nothing_where_nothing_changed(rule_class: Any) -> None:
    rules = build_rules({rule_class.name: getattr(rule_class, "example", {})})
    assert tightened(rules, rules) == (rules, ())


RESET, HOUR = LockTerms(), LockTerms(LockUntil.DURATION, 3_600_000_000_000)


@pytest.mark.parametrize(
    ("old", "new", "is_stricter"),
    [
        (None, HOUR, True),
        (HOUR, None, False),
        (HOUR, RESET, True),
        (RESET, HOUR, False),
        (HOUR, LockTerms(LockUntil.DURATION, 3_600_000_000_001), True),
        (HOUR, LockTerms(LockUntil.DURATION, 3_599_000_000_000), False),
        (LockTerms(on_lock=OnLock.BLOCK_NEW), RESET, True),
        (RESET, LockTerms(on_lock=OnLock.BLOCK_NEW), False),
        (LockTerms(whole_account=False), RESET, True),
        (RESET, LockTerms(whole_account=False), False),
    ],
)
def test_compares_locks(old: LockTerms | None, new: LockTerms | None, is_stricter: bool) -> None:
    assert is_stricter_lock(old, new) is is_stricter

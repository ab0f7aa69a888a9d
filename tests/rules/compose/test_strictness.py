"""Which change of a rule is stricter and takes effect at once; all else waits."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, ClassVar

import msgspec
import pytest

from risk_manager.domain.finding import Gauge
from risk_manager.domain.lockout import OnLock
from risk_manager.rules import (
    RULES,
    DailyLossRule,
    Rule,
    Waiting,
    all_of,
    build_rules,
    named,
    options_of,
    tightened,
    warned,
)
from risk_manager.rules._base import Demand, LockTerms, LockUntil, Remedy
from risk_manager.rules._compose.strictness import is_stricter_lock
from risk_manager.rules._options import Fault

Sections = dict[str, Any]
SECOND_NS = 1_000_000_000
RESET, HOUR = LockTerms(), LockTerms(LockUntil.DURATION, 3_600_000_000_000)

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


@pytest.mark.parametrize(
    ("old", "new", "is_stricter"),
    [
        (None, HOUR, True),
        (HOUR, None, False),
        (None, None, False),
        (HOUR, HOUR, True),
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


class Does(StrEnum):
    ALERT = "alert"
    PAUSE = "pause"
    FLATTEN = "flatten"
    LOCK = "lock"
    REST = "rest"


REMEDIES = {
    Does.ALERT: Remedy(Demand.ALERT),
    Does.PAUSE: Remedy(Demand.CANCEL_ORDERS, RESET),
    Does.FLATTEN: Remedy(Demand.FLATTEN),
    Does.LOCK: Remedy(Demand.FLATTEN, RESET),
    Does.REST: Remedy(Demand.FLATTEN, HOUR),
}


class Item(msgspec.Struct, frozen=True):
    number: int


class Part(msgspec.Struct, frozen=True, kw_only=True):
    limit_micros: int = 5_000_000
    title: str = ""
    way: Does = Does.ALERT


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """A rule with an option of every kind, which finds nothing."""

    name: ClassVar[str] = "sample"
    listens_to: ClassVar[frozenset[type]] = frozenset()
    stricter: ClassVar[Mapping[str, str]] = {
        "floor": "higher",
        "cap": "lower",
        "rest_ns": "longer",
        "pause_ns": "shorter",
        "is_on": "true",
        "is_off": "false",
        "names": "more",
        "only": "fewer",
        "items": "more",
        "caps": "lower",
        "note": "any",
    }

    floor: int | None = None
    cap: int | None = None
    rest_ns: int | None = None
    pause_ns: int | None = None
    is_on: bool = False
    is_off: bool = False
    names: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    items: tuple[Item, ...] = ()
    caps: Mapping[str, int] = {}
    note: str = ""
    part: Part = Part()
    plain: int = 5
    action: Does = Does.ALERT
    lockout: LockTerms | None = None
    grace_ns: int = 0
    max_wait_ns: int = 0
    max_size: int = 0
    per_day: int = 0
    limit_of_losses: int = 0
    contracts_max: int = 0
    daily_limit_micros: int = 0
    blocked: tuple[str, ...] = ()

    @property
    def remedy(self) -> Remedy:
        return REMEDIES[self.action]

    def initial_state(self) -> None:
        return None

    def step(self, state: Any, event: Any, account: Any) -> Any:
        return state, ()

    def deadline_ns(self, state: Any) -> None:
        return None

    def gauges(self, state: Any, account: Any) -> tuple[Gauge, ...]:
        return ()


@pytest.mark.parametrize(
    ("field", "old", "new", "is_at_once"),
    [
        ("floor", 5, 6, True),
        ("floor", 5, 4, False),
        ("floor", None, 4, True),
        ("floor", 5, None, False),
        ("cap", 5, 4, True),
        ("cap", 5, 6, False),
        ("cap", None, 9, True),
        ("cap", 5, None, False),
        ("rest_ns", 5 * SECOND_NS, 6 * SECOND_NS, True),
        ("rest_ns", 5 * SECOND_NS, 4 * SECOND_NS, False),
        ("rest_ns", None, 6 * SECOND_NS, False),
        ("pause_ns", 5 * SECOND_NS, 4 * SECOND_NS, True),
        ("pause_ns", 5 * SECOND_NS, 6 * SECOND_NS, False),
        ("pause_ns", None, 4 * SECOND_NS, False),
        ("is_on", False, True, True),
        ("is_on", True, False, False),
        ("is_off", True, False, True),
        ("is_off", False, True, False),
        ("names", ("a",), ("b", "a"), True),
        ("names", ("a", "b"), ("b", "a"), True),
        ("names", (), ("a",), True),
        ("names", ("a", "b"), ("a",), False),
        ("only", ("a", "b"), ("a",), True),
        ("only", ("a", "b"), ("b", "a"), True),
        ("only", (), ("a",), True),
        ("only", ("a",), (), False),
        ("only", ("a",), ("a", "b"), False),
        ("tags", ("a", "b"), ("a",), False),
        ("tags", ("a",), ("a", "b"), False),
        ("items", (Item(1),), (Item(1), Item(2)), False),
        ("items", (), (Item(1),), False),
        ("items", (Item(1),), (), False),
        ("caps", {"a": 5, "b": 5}, {"a": 4, "b": 5}, True),
        ("caps", {"a": 5, "b": 5}, {"a": 4, "b": 6}, False),
        ("caps", {"a": 5}, {"a": 4, "b": 4}, False),
        ("note", "", "why", True),
        ("part", Part(), Part(limit_micros=4_000_000), True),
        ("part", Part(), Part(limit_micros=6_000_000), False),
        ("part", Part(), Part(limit_micros=4_000_000, title="x"), False),
        ("part", Part(), Part(way=Does.FLATTEN), False),
        ("plain", 5, 4, False),
        ("plain", 5, 6, False),
        ("action", Does.ALERT, Does.FLATTEN, True),
        ("action", Does.FLATTEN, Does.ALERT, False),
        ("action", Does.FLATTEN, Does.LOCK, True),
        ("action", Does.LOCK, Does.FLATTEN, False),
        ("action", Does.LOCK, Does.REST, False),
        ("action", Does.REST, Does.LOCK, True),
        ("action", Does.PAUSE, Does.LOCK, True),
        ("action", Does.LOCK, Does.PAUSE, False),
        ("lockout", None, HOUR, True),
        ("lockout", HOUR, None, False),
        # By the names alone.
        ("grace_ns", 5 * SECOND_NS, 4 * SECOND_NS, True),
        ("grace_ns", 5 * SECOND_NS, 6 * SECOND_NS, False),
        ("max_wait_ns", 5 * SECOND_NS, 4 * SECOND_NS, False),
        ("max_size", 5, 4, True),
        ("max_size", 5, 6, False),
        ("per_day", 5, 4, True),
        ("limit_of_losses", 5, 4, True),
        ("contracts_max", 5, 4, True),
        ("contracts_max", 5, 6, False),
        ("daily_limit_micros", 5, 4, True),
        ("blocked", ("a",), ("a", "b"), True),
        ("blocked", ("a", "b"), ("a",), False),
    ],
)
def test_goes_by_what_is_declared_of_an_option(field: str, old: object, new: object, is_at_once: bool) -> None:
    before = msgspec.structs.replace(Sample(), **{field: old})
    after = msgspec.structs.replace(Sample(), **{field: new})
    result = tightened((before,), (after,))
    assert result.rules == (after if is_at_once else before,)
    assert len(result.waiting) == (0 if is_at_once else 1)


def test_puts_a_half_in_force_and_lets_the_other_wait() -> None:
    before = Sample(cap=5, plain=5, rest_ns=1_500_000_000, part=Part(title="a"))
    after = Sample(cap=4, plain=6, rest_ns=SECOND_NS, part=Part(title="b"), tags=("x", "y"), is_on=True, note="now")
    result = tightened((named(before, "mine"),), (named(after, "mine"),))
    half = Sample(cap=4, plain=5, rest_ns=1_500_000_000, part=Part(title="a"), is_on=True, note="now")
    assert result.rules == (named(half, "mine"),)
    assert result.waiting == (
        Waiting("mine", "rest_seconds", "1500", "1"),
        Waiting("mine", "tags", "[]", "[x, y]"),
        Waiting(
            "mine",
            "part",
            "{limit: 5, title: a, way: alert}",
            "{limit: 5, title: b, way: alert}",
        ),
        Waiting("mine", "plain", "5", "6"),
    )


def test_tells_a_missing_value_and_a_switch() -> None:
    before, after = Sample(is_on=True, pause_ns=90 * SECOND_NS), Sample(is_on=False, pause_ns=None)
    assert tightened((before,), (after,)).waiting == (
        Waiting("sample", "pause_seconds", "90", "none"),
        Waiting("sample", "is_on", "true", "false"),
    )


def test_tells_a_rule_that_waits_as_a_whole() -> None:
    members = [{"rule": "max_contracts", "limit": 2}, {"rule": "daily_realized_loss", "limit": 300}]
    (before,) = build_rules({"mine": {"not": members[0]}})
    (after,) = build_rules({"mine": {"not": members[0], "action": "flatten"}})
    (change,) = tightened((before,), (after,)).waiting
    assert (change.rule, change.option) == ("mine", "")
    assert change.now.startswith("{not: {rule: max_contracts, limit: 2, ")
    assert change.now.endswith("}, action: alert}")
    assert change.then.endswith("}, action: flatten}")
    (removed,) = tightened((before,), ()).waiting
    assert removed == Waiting("mine", "", "in force", "removed or disabled")


def test_changed_code_waits_as_a_whole() -> None:
    class Changed(Sample, frozen=True):
        pass

    before = Sample(cap=4)
    result = tightened((before,), (Changed(cap=4),))
    assert result == ((before,), (Waiting("sample", "", "in force", "changed code"),))
    (change,) = tightened((before,), (Changed(cap=3),)).waiting
    assert (change.option, change.now == change.then) == ("", False)
    together = all_of(before, DailyLossRule(limit=-300), name="mine")
    result = tightened((together,), (all_of(Changed(cap=4), DailyLossRule(limit=-300), name="mine"),))
    assert result == ((together,), (Waiting("mine", "", "in force", "changed code"),))


class Paired(Sample, frozen=True):
    """A sample whose cap of 4 goes with no plain of 5."""

    def contradictions(self) -> tuple[Fault, ...]:
        return (Fault("cap", "is 4"),) if (self.cap, self.plain) == (4, 5) else ()


def test_halves_that_do_not_go_together_wait_as_a_whole() -> None:
    before = Paired(cap=6, plain=5)
    result = tightened((before,), (Paired(cap=4, plain=6, is_on=True),))
    assert result.rules == (before,)
    assert [one.option for one in result.waiting] == ["cap", "is_on", "plain"]
    assert tightened((before,), (Paired(cap=3, plain=6),)).rules == (Paired(cap=3, plain=5),)


class Touchy(Sample, frozen=True):
    """A sample that fails at a cap of 4 with a plain of 5, each time somewhere else."""

    fails_in: ClassVar[str] = "remedy"

    def fail(self, where: str) -> None:
        if (self.cap, self.plain, self.fails_in) == (4, 5, where):
            raise ZeroDivisionError

    @property
    def remedy(self) -> Remedy:
        self.fail("remedy")
        return Remedy(Demand.ALERT)

    def contradictions(self) -> tuple[Fault, ...]:
        self.fail("contradictions")
        return ()

    def initial_state(self) -> None:
        self.fail("initial_state")


@pytest.mark.parametrize("where", ["remedy", "contradictions", "initial_state"])
def test_halves_that_fail_together_wait_as_a_whole(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Touchy, "fails_in", where)
    before = Touchy(cap=6, plain=5)
    result = tightened((before,), (Touchy(cap=4, plain=6, is_on=True),))
    assert result.rules == (before,)
    assert [one.option for one in result.waiting] == ["cap", "is_on", "plain"]
    assert tightened((before,), (Touchy(cap=3, plain=6),)).rules == (Touchy(cap=3, plain=5),)


def test_an_action_that_fails_with_the_other_options_waits() -> None:
    class Moody(Sample, frozen=True):
        @property
        def remedy(self) -> Remedy:
            return {(Does.ALERT, 5): REMEDIES[Does.ALERT], (Does.LOCK, 6): REMEDIES[Does.LOCK]}[self.action, self.plain]

    before = Moody(action=Does.ALERT, plain=5)
    result = tightened((before,), (Moody(action=Does.LOCK, plain=6),))
    assert result.rules == (before,)
    assert [one.option for one in result.waiting] == ["plain", "action"]


def test_tells_a_schedule_that_waits() -> None:
    def scheduled(**hours: object) -> tuple[Rule, ...]:
        return build_rules({"max_contracts": {"limit": 2, **hours}})

    hours = {"start": "09:30", "end": "16:00", "days": [4], "timezone": "America/New_York"}
    always, morning = scheduled(), scheduled(schedule=hours)
    text = "{windows: [{start: Fri 09:30, end: Fri 16:00}], timezone: America/New_York, market: ES, holidays: true}"
    assert tightened(always, morning).waiting == (Waiting("max_contracts", "schedule", "none", text),)
    (change,) = tightened(morning, scheduled(schedule="exchange")).waiting
    assert change == Waiting("max_contracts", "schedule", text, "exchange")

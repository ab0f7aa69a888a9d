"""A warning at percents of a rule's limits, for every rule by its gauges alone."""

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec
import pytest

from risk_manager.domain.account import AccountView
from risk_manager.domain.events import AccountUpdated, Event
from risk_manager.domain.finding import Finding, Gauge, Skipped, Unit, Warning
from risk_manager.domain.scope import ACCOUNT
from risk_manager.rules import (
    DailyLossRule,
    DailyUnrealizedLossRule,
    MaxContractsPerInstrumentRule,
    MaxPositionRule,
    Rule,
    build_rules,
    named,
    options_of,
    warned,
)
from risk_manager.rules._base import Demand, Remedy, Slack
from risk_manager.rules._compose.warn_at import Kept
from risk_manager.testing.events import ES, HOUR_NS, MNQ, Scenario
from risk_manager.testing.guarded import Guarded

LOSS = DailyLossRule(limit=-500, basis="realized", include_fees=False)


class Dial(msgspec.Struct, frozen=True):
    """Shows the balance on gauges of 100, and finds nothing."""

    name: ClassVar[str] = "dial"
    listens_to: ClassVar[frozenset[type]] = frozenset({AccountUpdated})

    labels: tuple[str, ...] = ("turn",)
    breaks_at: int | None = None

    @property
    def remedy(self) -> Remedy:
        return Remedy(Demand.ALERT)

    def initial_state(self) -> None:
        return None

    def deadline_ns(self, state: None) -> None:
        return None

    def step(self, state: None, event: Event, account: AccountView) -> tuple[None, tuple[Finding | Skipped, ...]]:
        return None, ()

    def gauges(self, state: None, account: AccountView) -> tuple[Gauge, ...]:
        used = account.balance_micros or 0
        if used == self.breaks_at:
            raise ZeroDivisionError("oops")
        return tuple(Gauge(label, used, 100, Unit.NONE) for label in self.labels)


def watched(rule: Rule) -> Guarded:
    """An account whose balance, and so every dial, begins at nothing."""
    venue = Scenario()
    venue.balance_micros = 0
    return Guarded(rule, venue=venue)


def turn(guarded: Guarded, to: int) -> list[str]:
    """Codes of the warnings new with this balance."""
    before = len(guarded.warnings)
    guarded.venue.balance_micros = to
    guarded.feed(guarded.venue.account())
    return [warning.code for warning in guarded.warnings[before:]]


@pytest.mark.parametrize(
    ("balances", "codes"),
    [
        ([49, 79, 80], [[], ["DIAL_50_PCT"], ["DIAL_80_PCT"]]),
        ([80, 80, 81, 79, 80], [["DIAL_80_PCT"], [], [], [], []]),
        ([50, 80], [["DIAL_50_PCT"], ["DIAL_80_PCT"]]),
        ([99], [["DIAL_80_PCT"]]),
        ([80, 50], [["DIAL_80_PCT"], []]),
        ([100], [["DIAL_80_PCT"]]),
        ([101, 80], [[], []]),
    ],
)
def test_warns_once_for_each_level(balances: list[int], codes: list[list[str]]) -> None:
    guarded = watched(warned(Dial(), 80, 50))
    assert [turn(guarded, balance) for balance in balances] == codes


def test_warns_again_on_the_next_trading_day() -> None:
    guarded = watched(warned(Dial(), 80))
    assert turn(guarded, 80) == ["DIAL_80_PCT"]
    guarded.feed(guarded.venue.snapshot())
    guarded.venue.now_ns += 24 * HOUR_NS
    guarded.feed(guarded.venue.snapshot(), guarded.venue.snapshot())
    assert [warning.code for warning in guarded.warnings] == ["DIAL_80_PCT"] * 2


def test_names_the_gauge_where_there_are_several() -> None:
    guarded = watched(warned(Dial(labels=("one ES", "other")), 80))
    assert turn(guarded, 85) == ["DIAL_ONE_ES_80_PCT", "DIAL_OTHER_80_PCT"]


def test_a_code_holds_letters_and_digits_alone() -> None:
    guarded = watched(warned(Dial(labels=("Größe 2+", "n.a.")), 80))
    assert turn(guarded, 85) == ["DIAL_GR_E_2_80_PCT", "DIAL_N_A_80_PCT"]


def test_keeps_the_highest_level_of_the_day() -> None:
    guarded = watched(warned(Dial(), 50, 80))
    slot = guarded.engine._slots[0]
    for balance, level in ((60, 50), (85, 80), (55, 80)):
        turn(guarded, balance)
        assert (slot.state.label, slot.state.reached) == (guarded.engine.account.day.label, {"turn": level})
    known = slot.state
    turn(guarded, 56)
    assert slot.state is known
    turn(guarded, 0)
    guarded.venue.now_ns += 24 * HOUR_NS
    guarded.feed(guarded.venue.snapshot(), guarded.venue.snapshot())
    assert (slot.state.label, slot.state.reached) == (guarded.engine.account.day.label, {})
    assert slot.state.label > known.label


def test_remembers_over_a_restart_and_a_change_of_levels() -> None:
    guarded = watched(warned(Dial(), 50))
    assert turn(guarded, 60) == ["DIAL_50_PCT"]
    guarded.restart()
    assert turn(guarded, 61) == []
    guarded.change_rules(warned(Dial(), 50, 80))
    assert turn(guarded, 62) == []
    assert turn(guarded, 80) == ["DIAL_80_PCT"]


def test_says_the_numbers_and_enforces_nothing() -> None:
    guarded = Guarded(warned(LOSS, 80))
    guarded.feed(guarded.venue.result(-400))
    assert (
        guarded.warnings
        == guarded.findings
        == [
            Warning(
                "daily_realized_loss",
                "DAILY_REALIZED_LOSS_80_PCT",
                400_000_000,
                500_000_000,
                Unit.MICROS,
                ACCOUNT,
                (("gauge", "day loss"), ("level", "80%")),
            )
        ]
    )
    assert guarded.actions == []


def test_leaves_what_the_rule_does_alone() -> None:
    plain, layered = Guarded(LOSS), Guarded(warned(LOSS, 80))
    for guarded in (plain, layered):
        guarded.feed(guarded.venue.buys(ES, 1, 5800), guarded.venue.result(-500))
    assert plain.codes == layered.codes == ["DAILY_LOSS"]
    assert plain.actions == layered.actions
    assert plain.lockouts == layered.lockouts


def test_keeps_what_the_rule_finds_when_its_gauges_fail() -> None:
    guarded = watched(warned(Dial(breaks_at=7), 80))
    turn(guarded, 7)
    assert guarded.skipped == [Skipped("dial", "its gauges failed: ZeroDivisionError('oops')")]
    assert turn(guarded, 80) == ["DIAL_80_PCT"]


def test_warns_at_the_very_quote_that_reaches_the_level() -> None:
    guarded = Guarded(warned(DailyUnrealizedLossRule(loss_limit=1000), 50))
    guarded.feed(guarded.venue.quote(ES, 5800), guarded.venue.buys(ES, 1, 5800))
    guarded.feed(guarded.venue.quote(ES, 5799), guarded.venue.quote(ES, "5790.25"))
    assert guarded.warnings == []
    guarded.feed(guarded.venue.quote(ES, 5790))
    assert [(warning.measured, warning.limit) for warning in guarded.warnings] == [(500_000_000, 1_000_000_000)]


class Purse(Dial, frozen=True):
    """Shows what it is told to, and asks for quotes and for a time by its number."""

    name: ClassVar[str] = "purse"

    shown: tuple[Gauge, ...] = ()
    own: Slack | None = Slack(700, 900, 5_000)

    def initial_state(self) -> Any:
        return 3

    def deadline_ns(self, state: Any) -> Any:
        return state * 1_000

    def step(self, state: Any, event: Event, account: AccountView) -> tuple[Any, tuple[Finding | Skipped, ...]]:
        return (state, ()) if isinstance(event, AccountUpdated) else (state + 1, (Skipped(self.name, "no account"),))

    def gauges(self, state: Any, account: AccountView) -> tuple[Gauge, ...]:
        return tuple(msgspec.structs.replace(gauge, used=gauge.used + state) for gauge in self.shown)

    def slack(self, state: Any, account: AccountView) -> Slack | None:
        return None if self.own is None else msgspec.structs.replace(self.own, until_ns=self.own.until_ns + state)


def money(used: int, limit: int, label: str = "loss") -> Gauge:
    return Gauge(label, used, limit, Unit.MICROS)


@pytest.mark.parametrize(
    ("gauges", "levels", "reached", "slack"),
    [
        # The state is 3, which is added to what is used, and to the time.
        ((), (50,), {}, Slack(700, 900, 5_003)),
        ((money(7, 100),), (50, 80), {}, Slack(40, 40, 5_003)),
        ((money(7, 101),), (50,), {}, Slack(41, 41, 5_003)),
        ((money(7, 2_000),), (40,), {}, Slack(700, 790, 5_003)),
        ((money(57, 100),), (50, 80), {"loss": 50}, Slack(20, 20, 5_003)),
        ((money(87, 100),), (50, 80), {"loss": 80}, Slack(700, 900, 5_003)),
        ((money(87, 100), money(7, 100, "open")), (80,), {"loss": 80}, Slack(70, 70, 5_003)),
        ((money(7, 0), money(7, 100, "open")), (80,), {}, Slack(70, 70, 5_003)),
        ((money(-9, 1),), (80,), {}, Slack(7, 7, 5_003)),
        ((money(-3, 1_000),), (1,), {}, Slack(10, 10, 5_003)),
        ((money(7, 100), money(27, 100, "open")), (80,), {}, Slack(50, 50, 5_003)),
        ((Gauge("contracts", 1, 5, Unit.CONTRACTS),), (80,), {}, None),
        ((Gauge("contracts", 1, 5, Unit.CONTRACTS),), (80,), {"contracts": 80}, Slack(700, 900, 5_003)),
    ],
)
def test_the_slack_is_what_is_left_to_the_next_level(
    gauges: tuple[Gauge, ...], levels: tuple[int, ...], reached: dict[str, int], slack: Slack | None
) -> None:
    rule, account = warned(Purse(shown=gauges), *levels), Guarded().engine.account
    state = rule.around(3, Kept(account.day.label, reached))
    assert (state.inner, rule.own_part(state)) == (3, Kept(account.day.label, reached))
    assert rule.slack(state, account) == slack
    assert warned(Purse(shown=gauges, own=None), *levels).slack(state, account) is None


@pytest.mark.parametrize(
    ("used", "limit", "levels", "code"),
    [
        (796, 1000, (50, 80), "PURSE_50_PCT"),
        (797, 1000, (50, 80), "PURSE_80_PCT"),
        (496, 1000, (50, 80), None),
        (497, 1000, (50, 80), "PURSE_50_PCT"),
        (7, 1000, (50,), None),
        (7, 0, (50,), None),
        (-3, 0, (50,), None),
        (-2, 1, (80,), "PURSE_80_PCT"),
        (-2, 100, (1, 99), "PURSE_1_PCT"),
    ],
)
def test_goes_by_exact_percents(used: int, limit: int, levels: tuple[int, ...], code: str | None) -> None:
    """The state is 3, which is added to what is used."""
    rule, guarded = warned(Purse(shown=(money(used, limit),)), *levels), Guarded()
    _, found = rule.step(rule.around(3, None), guarded.venue.account(), guarded.engine.account)
    assert [one.code for one in found] == ([] if code is None else [code])


@pytest.mark.parametrize("first", [7, 97, 200])
def test_each_gauge_warns_by_itself(first: int) -> None:
    """One that has not risen, one that has warned before, and one beyond its limit, of which the rule itself speaks."""
    rule, guarded = warned(Purse(shown=(money(first, 100), money(87, 100, "open"))), 80), Guarded()
    account = guarded.engine.account
    state = rule.around(3, Kept(account.day.label, {"loss": 80} if first == 97 else {}))
    _, found = rule.step(state, guarded.venue.account(), account)
    assert [one.code for one in found] == ["PURSE_OPEN_80_PCT"]


def test_steps_the_rule_and_keeps_its_deadline() -> None:
    rule, guarded = warned(Purse(), 80), Guarded()
    state = rule.around(3, None)
    assert rule.deadline_ns(state) == 3_000
    state, found = rule.step(state, guarded.venue.account(), guarded.engine.account)
    assert (state.inner, found) == (3, ())
    state, found = rule.step(state, guarded.venue.snapshot(), guarded.engine.account)
    assert (state.inner, found, rule.deadline_ns(state)) == (4, (Skipped("purse", "no account"),), 4_000)


@pytest.mark.parametrize("levels", [(0,), (100,), (-1, 50)])
def test_refuses_levels_that_are_no_percents(levels: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="1 to 99"):
        warned(LOSS, *levels)


def test_takes_any_percent_between() -> None:
    assert warned(LOSS, 99, 1).levels == (1, 99)


def test_changes_nothing_without_levels() -> None:
    assert warned(LOSS) is LOSS


def test_is_spelled_as_an_option_of_the_rule() -> None:
    rule = warned(MaxPositionRule(max_contracts=5), 80, 50)
    assert options_of(rule)["warn_at"] == [50, 80]
    assert build_rules({"max_contracts": options_of(rule)}) == (rule,)
    assert build_rules({"max_contracts": {"limit": 5, "warn_at_pct": [50, 80]}}) == (rule,)


@pytest.mark.parametrize("name", ["max_contracts", "floor"])
def test_works_under_any_name(name: str) -> None:
    guarded = Guarded(named(warned(MaxPositionRule(max_contracts=5), 80), name))
    guarded.feed(guarded.venue.buys(MNQ, 4, 21000))
    assert [(one.rule, one.code) for one in guarded.warnings] == [(name, f"{name.upper()}_80_PCT")]


def test_warns_for_each_product() -> None:
    guarded = Guarded(warned(MaxContractsPerInstrumentRule(limits={"ES": 5, "MNQ": 10}), 80))
    guarded.feed(guarded.venue.buys(ES, 4, 5800), guarded.venue.buys(MNQ, 8, 21000))
    assert len({warning.code for warning in guarded.warnings}) == 2


def test_keeps_the_state_of_the_rule_when_layers_come_and_go() -> None:
    class Steps(msgspec.Struct, frozen=True):
        count: int = 0

    class Counter(Dial, frozen=True):
        name: ClassVar[str] = "counter"

        def initial_state(self) -> Any:
            return Steps()

        def step(self, state: Any, event: Event, account: AccountView) -> tuple[Any, tuple[Any, ...]]:
            return Steps(state.count + 1), ()

        def gauges(self, state: Any, account: AccountView) -> tuple[Gauge, ...]:
            return (Gauge("steps", state.count, 1000, Unit.NONE),)

    def count() -> Mapping[str, int]:
        return {gauge.label: gauge.used for gauge in guarded.gauges}

    guarded = watched(Counter())
    turn(guarded, 1)
    assert count() == {"steps": 2}
    guarded.change_rules(warned(Counter(), 50))
    assert count() == {"steps": 3}
    guarded.restart()
    assert count() == {"steps": 3}
    guarded.change_rules(Counter())
    assert count() == {"steps": 4}

"""RULE-005: take an open profit, or keep a winner from becoming a loser."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_manager.domain.actions import ClosePosition
from risk_manager.domain.contract import Contract
from risk_manager.domain.events import RulesChanged
from risk_manager.domain.scope import ACCOUNT, Scope
from risk_manager.rules import OptionsInvalid, build_rule, build_rules
from risk_manager.rules.max_unrealized_profit import MaxUnrealizedProfit
from risk_manager.testing.events import ES, ES_JUNE, MES, MNQ, NQ, Scenario, micros
from risk_manager.testing.guarded import Guarded


def target(dollars: object = 1000, **options: Any) -> MaxUnrealizedProfit:
    return build_rule(MaxUnrealizedProfit, {"profit_target": dollars, **options})


def breakeven(arm: object = 200, **options: Any) -> MaxUnrealizedProfit:
    return build_rule(MaxUnrealizedProfit, {"mode": "breakeven", "breakeven_arm_profit": arm, **options})


def holding(guarded: Guarded, *positions: tuple[Contract, int, float]) -> Guarded:
    """The account after it has taken these positions, each quoted at its entry price on both sides."""
    for product, net, price in positions:
        guarded.feed(guarded.venue.quote(product, price))
        guarded.feed((guarded.venue.buys if net > 0 else guarded.venue.sells)(product, abs(net), price))
    return guarded


def closed(guarded: Guarded) -> list[str]:
    return sorted(action.contract_id for action in guarded.actions if isinstance(action, ClosePosition))


class TestTarget:
    @pytest.mark.parametrize(
        ("product", "net", "entry", "at", "floating", "fires"),
        [
            # rules.md 1.1, the corrected arithmetic: one tick below the target, at it, one tick above
            (MNQ, 2, 21000, 21249.75, "999", False),  # A-05
            (MNQ, 2, 21000, 21250, "1000", True),
            (MNQ, 2, 21000, 21250.25, "1001", True),
            (MNQ, 2, 21000, 21500, "2000", True),
            (MNQ, 2, 21000, 21510, "2040", True),
            (ES, 1, 5800, 5848, "2400", True),  # A-06
            (MNQ, 2, 21000, 21400, "1600", True),  # A-07, A-08
            (MNQ, 2, 21000, 21410, "1640", True),
            (ES, 1, 6000, 6010, "500", False),  # A-11
            (ES, 1, 6000, 6019.75, "987.5", False),
            (ES, 1, 6000, 6020, "1000", True),
            (ES, 10, 5800, 5816, "8000", True),  # A-23
            (ES, 10, 5800, 5804, "2000", True),
            (ES, 10, 5800, 5804.25, "2125", True),
            (MNQ, 2, 21000.25, 21050, "199", False),  # A-20
            # short, the same distances
            (MNQ, -2, 21000, 20750.25, "999", False),
            (MNQ, -2, 21000, 20750, "1000", True),
            (MNQ, -2, 21000, 20749.75, "1001", True),
            (ES, -2, 5800, 5795, "500", False),  # A-30
        ],
    )
    def test_closes_the_position(
        self, product: Contract, net: int, entry: float, at: float, floating: str, fires: bool
    ) -> None:
        guarded = holding(Guarded(target()), (product, net, entry))
        guarded.feed(guarded.venue.quote(product, at))
        assert guarded.engine.account.unrealized_micros == micros(floating)
        assert [(one.code, one.measured, one.limit) for one in guarded.breaches] == (
            [("PROFIT_TARGET", micros(floating), micros(1000))] if fires else []
        )
        assert closed(guarded) == ([product.id] if fires else [])
        assert guarded.lockouts == ()

    def test_fires_only_beyond_it_when_not_inclusive(self) -> None:
        guarded = holding(Guarded(target(inclusive=False)), (MNQ, 2, 21000))
        guarded.feed(guarded.venue.quote(MNQ, 21250))
        assert guarded.findings == []
        guarded.feed(guarded.venue.quote(MNQ, 21250.25))
        assert guarded.codes == ["PROFIT_TARGET"]

    def test_counts_what_closing_brings_and_not_the_last_price(self) -> None:
        guarded = holding(Guarded(target()), (MNQ, 2, 21000))
        guarded.feed(guarded.venue.quote(MNQ, 21249.75, 21250.25, 21250.25))
        assert guarded.findings == []

    def test_closes_each_of_several_at_once(self) -> None:
        guarded = holding(Guarded(target(100)), (MNQ, 2, 21000), (MES, 4, 5800))
        guarded.feed(guarded.venue.quote(MNQ, 21025), guarded.venue.quote(MES, 5805))
        assert closed(guarded) == sorted([MNQ.id, MES.id])

    def test_leaves_the_others_alone(self) -> None:
        guarded = holding(Guarded(target()), (MNQ, 2, 21000), (ES, 1, 5800))
        guarded.feed(guarded.venue.quote(ES, 5752), guarded.venue.quote(MNQ, 21400))
        assert [one.scope for one in guarded.breaches] == [Scope(contract_id=MNQ.id)]
        assert closed(guarded) == [MNQ.id]

    def test_is_judged_at_the_start(self) -> None:
        venue = Scenario()
        venue.buys(ES, 2, 5800)
        guarded = Guarded(target(), venue=venue)
        assert [skip.reason for skip in guarded.skipped] == [f"quote_missing {ES.id}"]
        guarded.feed(venue.quote(ES, 5810))
        assert closed(guarded) == [ES.id]

    def test_is_judged_afresh_for_the_next_position(self) -> None:
        guarded = holding(Guarded(target()), (ES, 2, 5800))
        guarded.feed(guarded.venue.quote(ES, 5810), guarded.venue.closes(ES, 5810))
        for _ in range(3):
            guarded.venue.wait(2)
            guarded.feed(guarded.venue.snapshot())
        assert guarded.engine.enforcer.open_intents == ()
        guarded.forget()
        guarded.feed(guarded.venue.buys(ES, 2, 5810), guarded.venue.quote(ES, 5819.75))
        assert guarded.breaches == []
        guarded.feed(guarded.venue.quote(ES, 5820))
        assert guarded.codes == ["PROFIT_TARGET"]


class TestScope:
    """A-07: 2 MNQ up 1,600 and one ES down 2,400 are 800 down together, not 1,000 up."""

    def account(self, scope: str) -> Guarded:
        guarded = holding(Guarded(target(scope=scope)), (ES, 1, 5800), (MNQ, 2, 21000))
        guarded.feed(guarded.venue.quote(ES, 5752), guarded.venue.quote(MNQ, 21400))
        return guarded

    def test_total_counts_losers_too(self) -> None:
        guarded = self.account("total")
        assert guarded.engine.account.unrealized_micros == micros(-800)
        assert guarded.findings == []
        guarded.feed(guarded.venue.quote(MNQ, 21850))
        assert [(one.measured, one.scope) for one in guarded.breaches] == [(micros(1000), ACCOUNT)]
        assert closed(guarded) == sorted([ES.id, MNQ.id])

    def test_per_position_does_not(self) -> None:
        assert [one.measured for one in self.account("per_position").breaches] == [micros(1600)]

    def test_per_instrument_adds_the_expiries_of_a_product(self) -> None:
        guarded = holding(Guarded(target(scope="per_instrument")), (ES, 1, 5800), (ES_JUNE, 1, 5850), (NQ, 1, 21000))
        guarded.feed(guarded.venue.quote(ES, 5812), guarded.venue.quote(ES_JUNE, 5857.75))
        assert guarded.findings == []
        guarded.feed(guarded.venue.quote(ES_JUNE, 5858))
        assert [(one.measured, one.scope) for one in guarded.breaches] == [(micros(1000), Scope(root="ES"))]
        assert closed(guarded) == sorted([ES.id, ES_JUNE.id])


class TestBreakeven:
    def test_needs_a_profit_first(self) -> None:
        """An earlier program compared with exactly zero, and so fired at the entry or never."""
        guarded = holding(Guarded(breakeven()), (MNQ, 2, 21000))
        for price in (21000, 20990, 21000, 21049.75, 21000, 20900):
            guarded.feed(guarded.venue.quote(MNQ, price))
        assert guarded.findings == []

    @pytest.mark.parametrize(
        ("net", "far", "above", "at"),
        [(2, 21050, 21000.25, 21000), (-2, 20950, 20999.75, 21000), (2, 21050, 21000.25, 20999.75)],
        ids=["long", "short", "through"],
    )
    def test_fires_when_the_profit_is_gone(self, net: int, far: float, above: float, at: float) -> None:
        guarded = holding(Guarded(breakeven()), (MNQ, net, 21000))
        guarded.feed(guarded.venue.quote(MNQ, far), guarded.venue.quote(MNQ, above))
        assert guarded.findings == []
        guarded.feed(guarded.venue.quote(MNQ, at))
        assert guarded.codes == ["BREAKEVEN"]
        assert closed(guarded) == [MNQ.id]

    def test_keeps_the_offset_per_contract(self) -> None:
        guarded = holding(Guarded(breakeven(breakeven_offset_ticks=2)), (MNQ, 2, 21000))
        guarded.feed(guarded.venue.quote(MNQ, 21050), guarded.venue.quote(MNQ, 21000.75))
        assert guarded.findings == []
        guarded.feed(guarded.venue.quote(MNQ, 21000.5))
        assert [(one.measured, one.limit) for one in guarded.breaches] == [(micros(2), micros(2))]

    def test_arms_to_the_tick(self) -> None:
        guarded = holding(Guarded(breakeven()), (MNQ, 2, 21000))
        guarded.feed(guarded.venue.quote(MNQ, 21049.75), guarded.venue.quote(MNQ, 21000))
        assert guarded.findings == []
        guarded.feed(guarded.venue.quote(MNQ, 21050), guarded.venue.quote(MNQ, 21000))
        assert guarded.codes == ["BREAKEVEN"]

    def test_stays_armed_over_a_restart(self) -> None:
        guarded = holding(Guarded(breakeven()), (MNQ, 2, 21000))
        guarded.feed(guarded.venue.quote(MNQ, 21050))
        guarded.restart()
        guarded.feed(guarded.venue.snapshot(), guarded.venue.quote(MNQ, 21000))
        assert guarded.codes == ["BREAKEVEN"]

    def test_stays_armed_when_a_part_is_closed(self) -> None:
        guarded = holding(Guarded(breakeven()), (MNQ, 2, 21000))
        guarded.feed(guarded.venue.quote(MNQ, 21050), guarded.venue.sells(MNQ, 1, 21050))
        guarded.feed(guarded.venue.quote(MNQ, 21000))
        assert guarded.codes == ["BREAKEVEN"]

    def test_follows_the_average_when_contracts_are_added(self) -> None:
        guarded = holding(Guarded(breakeven()), (MNQ, 1, 21000))
        guarded.feed(guarded.venue.quote(MNQ, 21100), guarded.venue.buys(MNQ, 1, 21100))
        guarded.feed(guarded.venue.quote(MNQ, 21050.25))
        assert guarded.findings == []
        guarded.feed(guarded.venue.quote(MNQ, 21050))
        assert guarded.codes == ["BREAKEVEN"]

    @pytest.mark.parametrize("backwards", [False, True], ids=["fill first", "position first"])
    def test_has_to_be_armed_again_after_flat(self, backwards: bool) -> None:
        guarded = holding(Guarded(breakeven()), (MNQ, 2, 21000))
        guarded.feed(guarded.venue.quote(MNQ, 21050))
        for events in (guarded.venue.closes(MNQ, 21050), guarded.venue.buys(MNQ, 2, 21050)):
            guarded.feed(reversed(events) if backwards else events)
        guarded.feed(guarded.venue.quote(MNQ, 21000))
        assert guarded.findings == []

    @pytest.mark.parametrize("backwards", [False, True], ids=["fill first", "position first"])
    def test_has_to_be_armed_again_after_a_reversal(self, backwards: bool) -> None:
        guarded = holding(Guarded(breakeven()), (MNQ, 2, 21000))
        events = guarded.venue.quote(MNQ, 21050), guarded.venue.sells(MNQ, 4, 21050)
        guarded.feed(events[0], reversed(events[1]) if backwards else events[1])
        guarded.feed(guarded.venue.quote(MNQ, 21060))
        assert guarded.findings == []

    def test_knows_another_position_found_by_a_snapshot_alone(self) -> None:
        """The stream was dead while the trader closed and opened again on the same side."""
        guarded = holding(Guarded(breakeven()), (MNQ, 2, 21000))
        guarded.feed(guarded.venue.quote(MNQ, 21050))
        guarded.venue.closes(MNQ, 21050)
        guarded.venue.buys(MNQ, 2, 21050)
        for _ in range(4):
            guarded.venue.wait(5)
            guarded.feed(guarded.venue.snapshot())
        guarded.forget()
        guarded.feed(guarded.venue.quote(MNQ, 21040))
        assert guarded.breaches == []

    def test_arms_each_position_for_itself(self) -> None:
        guarded = holding(Guarded(breakeven()), (MNQ, 2, 21000), (MES, 4, 5800))
        guarded.feed(guarded.venue.quote(MNQ, 21050), guarded.venue.quote(MES, 5799))
        assert guarded.findings == []
        guarded.feed(guarded.venue.quote(MNQ, 21000))
        assert closed(guarded) == [MNQ.id]

    def test_guards_the_account_as_a_whole(self) -> None:
        guarded = holding(Guarded(breakeven(scope="total", breakeven_offset_ticks=1)), (MNQ, 2, 21000), (MES, 4, 5800))
        guarded.feed(guarded.venue.quote(MNQ, 21040), guarded.venue.quote(MES, 5806))
        assert guarded.engine.account.unrealized_micros == micros(280)
        guarded.feed(guarded.venue.quote(MES, 5792.5))
        assert guarded.findings == []
        # One tick each: 2 x 0.50 and 4 x 1.25.
        guarded.feed(guarded.venue.quote(MES, 5792.25))
        guarded.feed(guarded.venue.quote(MNQ, 21040.5))
        assert [(one.measured, one.limit) for one in guarded.breaches] == [(micros(5), micros(6))]

    def test_does_not_take_a_profit_that_was_taken_for_one_that_was_lost(self) -> None:
        guarded = holding(Guarded(breakeven(scope="total")), (MNQ, 2, 21000), (MES, 4, 5800))
        guarded.feed(guarded.venue.quote(MNQ, 21100), guarded.venue.quote(MES, 5799.75))
        guarded.feed(guarded.venue.closes(MNQ, 21100), guarded.venue.quote(MES, 5799.5))
        assert guarded.findings == []

    def test_shows_what_an_armed_profit_has_given_back(self) -> None:
        guarded = holding(Guarded(breakeven()), (MNQ, 2, 21000))
        assert [(gauge.used, gauge.limit) for gauge in guarded.gauges] == [(0, micros(200))]
        for price, used in ((21050, 0), (21100, 0), (21030, 80), (21000.25, 199)):
            guarded.feed(guarded.venue.quote(MNQ, price))
            assert [gauge.used for gauge in guarded.gauges] == [micros(used)]


class TestDayBudget:
    """Together with daily_realized_profit: what is open needs to bring only what the day still lacks."""

    def account(self, realized: int, fees: int = 0, **composite: Any) -> Guarded:
        rule = target(5000, composite_enforcement={"enabled": True, "profit_target": 1000, **composite})
        guarded = Guarded(rule)
        guarded.feed(guarded.venue.result(realized, fees=fees))
        return holding(guarded, (MNQ, 2, 21000), (MES, 4, 5800))

    def test_is_the_sum_of_all_open_positions(self) -> None:
        guarded = self.account(800)
        guarded.feed(guarded.venue.quote(MNQ, 21025), guarded.venue.quote(MES, 5804.75))
        assert guarded.findings == []
        guarded.feed(guarded.venue.quote(MES, 5805))
        assert [(one.code, one.measured, one.limit, one.scope) for one in guarded.breaches] == [
            ("DAY_BUDGET", micros(200), micros(200), ACCOUNT)
        ]
        assert closed(guarded) == sorted([MNQ.id, MES.id])

    def test_grows_with_what_was_lost(self) -> None:
        guarded = self.account(-500)
        guarded.feed(guarded.venue.quote(MNQ, 21374.75))
        assert guarded.findings == []
        guarded.feed(guarded.venue.quote(MNQ, 21375))
        assert [(one.measured, one.limit) for one in guarded.breaches] == [(micros(1500), micros(1500))]

    def test_is_left_to_the_day_rule_once_reached(self) -> None:
        guarded = self.account(1000)
        guarded.feed(guarded.venue.quote(MNQ, 21100))
        assert guarded.findings == []

    @pytest.mark.parametrize("off", [{"enabled": False}, {"respect_profit_target": False}])
    def test_can_be_switched_off(self, off: dict[str, bool]) -> None:
        guarded = self.account(800, **off)
        guarded.feed(guarded.venue.quote(MNQ, 21100))
        assert guarded.findings == []

    @pytest.mark.parametrize(("include_fees", "fires"), [(True, False), (False, True)])
    def test_counts_fees_as_the_day_does(self, include_fees: bool, fires: bool) -> None:
        guarded = self.account(800, fees=1, include_fees=include_fees)
        guarded.feed(guarded.venue.quote(MNQ, 21050))
        assert guarded.codes == (["DAY_BUDGET"] if fires else [])

    def test_takes_the_target_from_the_day_rule(self) -> None:
        rules = build_rules(
            {
                "daily_realized_profit": {"target": 1200, "include_fees": False},
                "max_unrealized_profit": {"profit_target": 500, "composite_enforcement": {"enabled": True}},
            }
        )
        rule = next(one for one in rules if isinstance(one, MaxUnrealizedProfit))
        composite = rule.composite_enforcement
        assert (composite.profit_target_micros, composite.include_fees) == (micros(1200), False)


class TestAction:
    def test_flatten_closes_the_others_too(self) -> None:
        guarded = holding(Guarded(target(action="flatten")), (MNQ, 2, 21000), (ES, 1, 5800))
        guarded.feed(guarded.venue.quote(MNQ, 21250))
        assert closed(guarded) == sorted([ES.id, MNQ.id])
        assert guarded.lockouts == ()

    def test_flatten_and_lock_also_locks(self) -> None:
        guarded = holding(Guarded(target(action="flatten_and_lock")), (MNQ, 2, 21000))
        guarded.feed(guarded.venue.quote(MNQ, 21250))
        assert len(guarded.lockouts) == 1

    def test_alert_says_so_once(self) -> None:
        guarded = holding(Guarded(target(action="alert")), (MNQ, 2, 21000))
        for price in (21250, 21251, 21252):
            guarded.feed(guarded.venue.quote(MNQ, price))
        assert (guarded.codes, guarded.actions) == (["PROFIT_TARGET"], [])


def test_enforces_a_target_that_is_lowered_while_the_position_is_open() -> None:
    guarded = holding(Guarded(target()), (MNQ, 2, 21000))
    guarded.feed(guarded.venue.quote(MNQ, 21100))
    guarded.change_rules(target(400))
    assert guarded.codes == ["PROFIT_TARGET"]


def test_warns_of_an_old_quote_when_time_alone_passes() -> None:
    guarded = holding(Guarded(target()), (MNQ, 2, 21000))
    guarded.feed(guarded.venue.timer(after_s=9))
    assert guarded.warnings == []
    guarded.feed(guarded.venue.timer(after_s=2))
    assert [one.code for one in guarded.warnings] == ["QUOTE_STALE"]


def test_keeps_accounts_apart() -> None:
    mine, other = (Guarded(target(), venue=Scenario(account_id)) for account_id in ("1001", "1002"))
    for guarded, price in ((mine, 21250), (other, 21249.75)):
        holding(guarded, (MNQ, 2, 21000)).feed(guarded.venue.quote(MNQ, price))
    assert (mine.codes, other.codes) == (["PROFIT_TARGET"], [])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "profit_target: is missing; mode profit_target needs it"),
        ({"mode": "breakeven"}, "breakeven_arm_profit: is missing; mode breakeven needs it"),
        (
            {"mode": "breakeven", "breakeven_arm_profit": 1, "profit_target": 5},
            "profit_target: has no meaning in mode breakeven",
        ),
        ({"profit_target": 5, "breakeven_arm_profit": 1}, "breakeven_arm_profit: has no meaning"),
        ({"profit_target": 5, "breakeven_offset_ticks": 1}, "breakeven_offset_ticks: has no meaning"),
        ({"profit_target": 0}, "profit_target: must be above 0"),
        ({"profit_target": 5, "target": 6}, "profit_target: is said more than once"),
        ({"profit_target": 5, "check_interval_seconds": 0}, "check_interval_seconds: must be at least 1"),
        ({"profit_target": 5, "action": "alert", "lockout": True}, "lockout: an alert does nothing"),
        ({"profit_target": 5, "composite_enforcement": {"enabled": True}}, "profit_target: is missing; repeat"),
        ({"profit_target": 5, "mode": "greedy"}, "mode: must be one of"),
    ],
)
def test_refuses_options_that_make_no_sense(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionsInvalid, match=message):
        build_rule(MaxUnrealizedProfit, options)


@given(
    st.sampled_from(["per_position", "per_instrument", "total"]),
    st.booleans(),
    st.lists(st.tuples(st.sampled_from([ES, ES_JUNE, MNQ]), st.integers(-80, 80)), max_size=20),
)
def test_finds_on_the_quick_path_what_a_full_look_would_find(
    scope: str, is_target: bool, moves: list[tuple[Contract, int]]
) -> None:
    rule = target(300, scope=scope) if is_target else breakeven(scope=scope, breakeven_offset_ticks=1)
    quick, full = Guarded(rule), Guarded(rule)
    for guarded in (quick, full):
        holding(guarded, (ES, 1, 5800), (ES_JUNE, -1, 5850), (MNQ, 2, 21000))
    for product, move in moves:
        price = {ES.id: 5800, ES_JUNE.id: 5850, MNQ.id: 21000}[product.id] + move / 4
        quick.feed(quick.venue.quote(product, price))
        full.feed(full.venue.quote(product, price))
        # Changed rules make a full look of every event.
        full.feed(RulesChanged("1001", "2", 0, full.venue.now_ns))
        assert set(quick.codes) == set(full.codes)

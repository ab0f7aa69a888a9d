"""RULE-004: cut an open loss."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_manager.domain.actions import CancelOrder, ClosePosition
from risk_manager.domain.contract import Contract
from risk_manager.domain.finding import Unit
from risk_manager.domain.order import Side
from risk_manager.domain.scope import ACCOUNT, Scope
from risk_manager.rules import DailyLossRule, DailyUnrealizedLoss, DailyUnrealizedLossRule, OptionsInvalid, build_rules
from risk_manager.testing.events import CL, DAYS, ES, ES_JUNE, MES, MNQ, NQ, Scenario, micros
from risk_manager.testing.guarded import Guarded


def rule(**options: Any) -> DailyUnrealizedLoss:
    return DailyUnrealizedLossRule(**{"loss_limit": -300, **options})


def holding(guarded: Guarded, *positions: tuple[Contract, int, float]) -> Guarded:
    """The account after it has taken these positions, each quoted at its entry price on both sides."""
    for product, net, price in positions:
        guarded.feed(guarded.venue.quote(product, price))
        guarded.feed((guarded.venue.buys if net > 0 else guarded.venue.sells)(product, abs(net), price))
    return guarded


def closed(guarded: Guarded) -> list[str]:
    return sorted(action.contract_id for action in guarded.actions if isinstance(action, ClosePosition))


@pytest.mark.parametrize(
    ("product", "net", "entry", "at", "floating", "limit"),
    [
        # rules.md 1.1, the corrected arithmetic: the price at the limit, one tick inside, one tick beyond
        (MNQ, 2, 21000, 20925.25, "-299", None),
        (MNQ, 2, 21000, 20925, "-300", 300),
        (MNQ, 2, 21000, 20924.75, "-301", 300),
        (MNQ, 2, 21000, 20700, "-1200", 300),
        (MNQ, 2, 21000, 20690, "-1240", 300),
        (ES, 1, 5800, 5792, "-400", 300),
        (MNQ, 2, 21000, 20900, "-400", 300),  # the leg by itself
        (MNQ, 2, 21000, 20800, "-800", 300),
        (MNQ, 2, 21000, 21500, "2000", None),
        (MNQ, 2, 21000, 21250, "1000", None),
        (MNQ, 2, 21000, 21510, "2040", None),
        (ES, 1, 5800, 5848, "2400", None),
        (MNQ, 2, 21000, 21400, "1600", None),
        (MNQ, 2, 21000, 21410, "1640", None),
        (ES, 1, 5800, 5752, "-2400", 300),
        (MNQ, 2, 21000, 20995, "-20", None),  # five points are twenty ticks
        (MNQ, 2, 21000, 20970, "-120", None),
        (ES, 1, 6000, 6010, "500", None),
        (MNQ, 2, 21000.25, 21050, "199", None),
        (MNQ, 2, 21000, 20700.25, "-1199", 300),
        (ES, 10, 5800, 5816, "8000", None),
        (ES, 10, 5800, 5804, "2000", None),
        (ES, 10, 5800, 5804.25, "2125", None),
        (MNQ, 3, 21000, 20950, "-300", 300),  # the first step already
        (MNQ, 3, 21000, 20900, "-600", 300),
        (MNQ, 3, 21000, 20850, "-900", 300),
        (MNQ, 3, 21000, 21002, "12", None),
        (ES, -2, 5800, 5795, "500", None),
        (MNQ, 2, 25900, 25898.25, "-7", None),
        # short, the same distances
        (MNQ, -2, 21000, 21074.75, "-299", None),
        (MNQ, -2, 21000, 21075, "-300", 300),
        (MNQ, -2, 21000, 21075.25, "-301", 300),
        (ES, -1, 5800, 5806, "-300", 300),
        (CL, 1, 75, 74.71, "-290", None),
        (CL, 1, 75, 74.70, "-300", 300),
        (MES, -10, 5800, 5806, "-300", 300),
    ],
)
def test_closes_the_position_at_the_limit(
    product: Contract, net: int, entry: float, at: float, floating: str, limit: int | None
) -> None:
    guarded = holding(Guarded(rule()), (product, net, entry))
    guarded.feed(guarded.venue.quote(product, at))
    assert guarded.engine.account.unrealized_micros == micros(floating)
    assert closed(guarded) == ([] if limit is None else [product.id])
    if limit is not None:
        (breach,) = guarded.breaches
        assert (breach.code, breach.measured, breach.limit) == ("UNREALIZED_LOSS", micros(floating), -micros(limit))
        assert (breach.unit, breach.scope) == (Unit.MICROS, Scope(contract_id=product.id))
    assert guarded.lockouts == ()


def test_fires_only_beyond_the_limit_when_not_inclusive() -> None:
    guarded = holding(Guarded(rule(inclusive=False)), (ES, 1, 5800))
    guarded.feed(guarded.venue.quote(ES, 5794))
    assert guarded.findings == []
    guarded.feed(guarded.venue.quote(ES, 5793.75))
    assert guarded.codes == ["UNREALIZED_LOSS"]


class TestScope:
    """2 MNQ down 400 and 1 ES down 400 are 800 together (A-25); 1 ES June up 500."""

    def account(self, **options: Any) -> Guarded:
        guarded = holding(Guarded(rule(**options)), (ES_JUNE, 1, 5850), (MNQ, 2, 21000), (ES, 1, 5800))
        guarded.feed(guarded.venue.quote(ES_JUNE, 5860))
        guarded.feed(guarded.venue.quote(MNQ, 20900), guarded.venue.quote(ES, 5792))
        return guarded

    def test_per_position_judges_each_by_itself(self) -> None:
        assert closed(self.account(loss_limit=401)) == []
        assert closed(self.account(loss_limit=400)) == sorted([ES.id, MNQ.id])

    def test_per_instrument_adds_the_expiries_of_a_product(self) -> None:
        assert closed(self.account(scope="per_instrument", loss_limit=400)) == [MNQ.id]
        guarded = self.account(scope="per_instrument", loss_limit=400)
        guarded.feed(guarded.venue.quote(ES_JUNE, 5850))
        assert guarded.breaches[-1].scope == Scope(root="ES")
        assert closed(guarded) == sorted([ES.id, ES_JUNE.id, MNQ.id])

    def test_total_adds_everything_and_closes_everything(self) -> None:
        assert closed(self.account(scope="total", loss_limit=301)) == []
        guarded = self.account(scope="total", loss_limit=300)
        assert guarded.breaches[0].scope == ACCOUNT
        assert closed(guarded) == sorted([ES.id, ES_JUNE.id, MNQ.id])

    def test_a_quote_of_another_expiry_changes_nothing(self) -> None:
        guarded = holding(Guarded(rule()), (ES, 1, 5800))
        guarded.feed(guarded.venue.quote(ES_JUNE, 5000))
        assert guarded.findings == []


class TestAction:
    def account(self, **options: Any) -> Guarded:
        guarded = holding(Guarded(rule(**options)), (ES, 1, 5800), (MNQ, 1, 21000))
        guarded.feed(guarded.venue.order(NQ, Side.BUY, 1, limit=20000))
        guarded.feed(guarded.venue.quote(ES, 5794))
        return guarded

    def test_close_position_leaves_the_others_alone(self) -> None:
        guarded = self.account()
        assert closed(guarded) == [ES.id]
        assert not [action for action in guarded.actions if isinstance(action, CancelOrder)]

    def test_flatten_closes_and_cancels_everything_without_a_lock(self) -> None:
        guarded = self.account(action="flatten")
        assert closed(guarded) == sorted([ES.id, MNQ.id])
        assert len([action for action in guarded.actions if isinstance(action, CancelOrder)]) == 1
        assert guarded.lockouts == ()

    def test_flatten_and_lock_locks_until_the_day_ends(self) -> None:
        assert [lockout.until_ns for lockout in self.account(action="flatten_and_lock").lockouts] == [DAYS.starts_ns[3]]

    def test_a_lockout_can_be_given_terms(self) -> None:
        (lockout,) = self.account(lockout={"duration": "15m", "whole_account": False}).lockouts
        assert lockout.until_ns == lockout.set_ns + 900_000_000_000
        assert lockout.scope == Scope(contract_id=ES.id)

    def test_alert_says_it_once_for_as_long_as_it_holds(self) -> None:
        guarded = self.account(action="alert")
        for bid in (5793, 5792, 5793):
            guarded.feed(guarded.venue.quote(ES, bid), guarded.venue.quote(MNQ, 21000))
        assert guarded.codes == ["UNREALIZED_LOSS"]
        assert guarded.actions == []
        guarded.feed(guarded.venue.quote(ES, 5800), guarded.venue.quote(ES, 5794))
        assert guarded.codes == ["UNREALIZED_LOSS", "UNREALIZED_LOSS"]


class TestPriceBasis:
    @pytest.mark.parametrize(
        ("basis", "bid", "ask", "last", "is_breach"),
        [
            ("exit_side", 5794, 5796, 5796, True),
            ("exit_side", 5794.25, 5790, 5790, False),
            ("mid", 5793, 5795, 5800, True),
            ("mid", 5793, 5795.25, 5780, False),
            ("last", 5800, 5800, 5794, True),
            ("last", 5780, 5780, 5794.25, False),
            # without the price it asks for, the side the position would leave by
            ("last", 5794, 5796, None, True),
            ("mid", None, None, 5794, True),
        ],
    )
    def test_marks_a_long_as_told(
        self, basis: str, bid: float | None, ask: float | None, last: float | None, is_breach: bool
    ) -> None:
        guarded = Guarded(rule(price_basis=basis))
        venue = guarded.venue
        guarded.feed(venue.buys(ES, 1, 5800), venue.quote(ES, bid, ask, last))
        assert guarded.codes == (["UNREALIZED_LOSS"] if is_breach else [])

    def test_marks_a_short_at_the_ask(self) -> None:
        guarded = Guarded(rule())
        guarded.feed(guarded.venue.sells(ES, 1, 5800), guarded.venue.quote(ES, 5700, 5805.75))
        assert guarded.findings == []
        guarded.feed(guarded.venue.quote(ES, 5700, 5806))
        assert guarded.codes == ["UNREALIZED_LOSS"]

    @pytest.mark.parametrize("basis", ["exit_side", "mid", "last"])
    def test_adds_up_a_total_at_that_price(self, basis: str) -> None:
        guarded = holding(Guarded(rule(price_basis=basis, scope="total")), (ES, 1, 5800), (ES_JUNE, 1, 5850))
        guarded.feed(guarded.venue.quote(ES, 5797, 5797, 5797), guarded.venue.quote(ES_JUNE, 5847.25, 5847.25, 5847.25))
        assert guarded.findings == []
        guarded.feed(guarded.venue.quote(ES_JUNE, 5847, 5847, 5847))
        assert guarded.codes == ["UNREALIZED_LOSS"]


class TestConfirm:
    def account(self) -> Guarded:
        guarded = holding(Guarded(rule(confirm_ms=500)), (ES, 1, 5800))
        guarded.feed(guarded.venue.quote(ES, 5794))
        return guarded

    def test_waits_for_the_breach_to_last(self) -> None:
        guarded = self.account()
        guarded.venue.wait(0.498)
        guarded.feed(guarded.venue.quote(ES, 5793))
        assert guarded.findings == []
        guarded.feed(guarded.venue.quote(ES, 5793))
        assert guarded.codes == ["UNREALIZED_LOSS"]

    def test_starts_over_when_the_loss_was_smaller_in_between(self) -> None:
        guarded = self.account()
        guarded.venue.wait(0.4)
        guarded.feed(guarded.venue.quote(ES, 5794.25), guarded.venue.quote(ES, 5794))
        guarded.venue.wait(0.4)
        guarded.feed(guarded.venue.quote(ES, 5794))
        assert guarded.findings == []

    def test_acts_though_no_further_quote_comes(self) -> None:
        guarded = self.account()
        due_ns = guarded.engine.next_deadline_ns()
        assert due_ns == guarded.venue.now_ns + 500_000_000
        guarded.feed(guarded.venue.timer(after_s=0.499))
        assert guarded.codes == ["UNREALIZED_LOSS"]

    def test_is_not_forgotten_over_a_restart(self) -> None:
        guarded = self.account()
        guarded.restart()
        guarded.venue.wait(0.499)
        guarded.feed(guarded.venue.quote(ES, 5794))
        assert guarded.codes == ["UNREALIZED_LOSS"]

    def test_asks_for_no_further_wake_up_once_it_has_acted(self) -> None:
        guarded = self.account()
        guarded.feed(guarded.venue.timer(after_s=0.499))
        state = guarded.engine._slots[0].state
        assert state.due_ns == guarded.venue.now_ns + 10_000_000_000


class TestQuotesThatDoNotCome:
    def test_are_reported_when_there_never_was_one(self) -> None:
        guarded = Guarded(rule())
        guarded.feed(guarded.venue.buys(ES, 1, 5800), guarded.venue.snapshot())
        assert [skip.reason for skip in guarded.skipped] == [f"quote_missing {ES.id}"]
        guarded.feed(guarded.venue.quote(ES, 5794))
        assert guarded.codes == ["UNREALIZED_LOSS"]

    def test_are_warned_about_once_while_the_last_price_stays(self) -> None:
        guarded = holding(Guarded(rule(max_quote_age_seconds=5)), (ES, 1, 5800))
        guarded.feed(guarded.venue.quote(ES, 5795))
        guarded.feed(guarded.venue.timer(after_s=4.9), guarded.venue.timer(after_s=0.05))
        assert guarded.findings == []
        guarded.feed(guarded.venue.timer(after_s=0.1), guarded.venue.timer(after_s=5), guarded.venue.snapshot())
        assert [warning.code for warning in guarded.warnings] == ["QUOTE_STALE"]
        assert guarded.engine.account.unrealized_micros == micros(-250)
        guarded.feed(guarded.venue.quote(ES, 5795), guarded.venue.timer(after_s=6))
        assert [warning.code for warning in guarded.warnings] == ["QUOTE_STALE", "QUOTE_STALE"]

    def test_are_noticed_by_the_rules_own_wake_up(self) -> None:
        guarded = holding(Guarded(rule(check_interval_seconds=3)), (ES, 1, 5800))
        guarded.feed(guarded.venue.snapshot())
        for _ in range(4):
            due_ns = guarded.engine.next_deadline_ns()
            assert due_ns is not None
            guarded.feed(guarded.venue.timer(after_s=(due_ns - guarded.venue.now_ns) / 1e9))
        assert [warning.code for warning in guarded.warnings] == ["QUOTE_STALE"]

    def test_of_other_contracts_do_not_hide_it(self) -> None:
        guarded = holding(Guarded(rule()), (ES, 1, 5800), (MNQ, 1, 21000))
        for _ in range(12):
            guarded.feed(guarded.venue.timer(after_s=1), guarded.venue.quote(MNQ, 21000))
        assert [warning.scope for warning in guarded.warnings] == [Scope(contract_id=ES.id)]

    @pytest.mark.parametrize(
        ("blackout", "codes", "expected"),
        [
            ({}, ["QUOTE_STALE"], []),
            ({"quote_blackout_action_after_seconds": 30}, ["QUOTE_STALE", "QUOTE_BLACKOUT"], []),
            (
                {"quote_blackout_action_after": "30s", "quote_blackout_action": "close_position"},
                ["QUOTE_STALE", "QUOTE_BLACKOUT"],
                [ES.id],
            ),
            (
                {"quote_blackout_action_after_seconds": 30, "quote_blackout_action": "flatten"},
                ["QUOTE_STALE", "QUOTE_BLACKOUT"],
                [ES.id, MNQ.id],
            ),
        ],
    )
    def test_lead_to_the_blackout_action(self, blackout: dict[str, Any], codes: list[str], expected: list[str]) -> None:
        guarded = holding(Guarded(rule(**blackout)), (ES, 1, 5800), (MNQ, 1, 21000))
        for _ in range(35):
            guarded.feed(guarded.venue.timer(after_s=1), guarded.venue.quote(MNQ, 21000))
            if closed(guarded):
                break
        assert [warning.code for warning in guarded.warnings] + guarded.codes == codes
        assert closed(guarded) == sorted(expected)

    def test_lead_to_the_blackout_action_for_a_position_that_never_had_one(self) -> None:
        options = {"quote_blackout_action_after_seconds": 30, "quote_blackout_action": "close_position"}
        guarded = Guarded(rule(**options))
        guarded.feed(guarded.venue.buys(ES, 1, 5800), guarded.venue.timer(after_s=29))
        assert guarded.codes == []
        guarded.feed(guarded.venue.timer(after_s=2))
        assert closed(guarded) == [ES.id]


class TestComposite:
    """The open loss may not exceed what the day has left."""

    def guarded(self, realized_limit: int = 900, **options: Any) -> Guarded:
        composite = {"enabled": True, "realized_limit": realized_limit, **options.pop("composite", {})}
        options = {"loss_limit": 200, "composite_enforcement": composite, **options}
        return Guarded(DailyLossRule(limit=-realized_limit, basis="realized"), rule(**options))

    def test_walks_a_day_of_four_losses_of_200_and_one_of_100_to_exactly_900(self) -> None:
        guarded = self.guarded()
        venue = guarded.venue
        for _ in range(4):
            holding(guarded, (ES, 1, 5800))
            guarded.feed(venue.quote(ES, 5796.25))
            assert guarded.codes == []
            guarded.feed(venue.quote(ES, 5796))
            assert guarded.codes == ["UNREALIZED_LOSS"]
            guarded.feed(venue.closes(ES, 5796))
            self.settle(guarded)
        holding(guarded, (ES, 1, 5800))
        guarded.feed(venue.quote(ES, 5798.25))
        assert guarded.codes == []
        guarded.feed(venue.quote(ES, 5798))
        (breach,) = guarded.breaches
        assert (breach.code, breach.measured, breach.limit) == ("DAY_BUDGET", micros(-100), micros(-100))
        guarded.feed(venue.closes(ES, 5798))
        assert guarded.engine.account.realized_micros == micros(-900)
        assert guarded.codes[-1] == "DAILY_LOSS"

    def settle(self, guarded: Guarded) -> None:
        for _ in range(3):
            guarded.venue.wait(2)
            guarded.feed(guarded.venue.snapshot())
        assert guarded.engine.enforcer.open_intents == ()
        guarded.forget()

    def test_compares_the_budget_with_all_positions_together(self) -> None:
        """Each is under its own limit of 200; together they would break the day."""
        guarded = self.guarded(realized_limit=300)
        holding(guarded, (ES, 1, 5800), (MNQ, 2, 21000))
        guarded.feed(guarded.venue.quote(ES, 5797), guarded.venue.quote(MNQ, 20962.75))
        assert guarded.codes == []
        guarded.feed(guarded.venue.quote(MNQ, 20962.5))
        assert [(breach.code, breach.measured) for breach in guarded.breaches] == [("DAY_BUDGET", micros(-300))]
        assert closed(guarded) == sorted([ES.id, MNQ.id])

    @pytest.mark.parametrize(("include_fees", "expected"), [(True, ["DAY_BUDGET"]), (False, [])])
    def test_counts_fees_unless_told_otherwise(self, include_fees: bool, expected: list[str]) -> None:
        guarded = self.guarded(composite={"include_fees": include_fees})
        guarded.feed(guarded.venue.result(-740, fees=10))
        holding(guarded, (ES, 1, 5800))
        guarded.feed(guarded.venue.quote(ES, 5797.25))
        assert guarded.codes == []
        guarded.feed(guarded.venue.quote(ES, 5797))
        assert guarded.codes == expected

    def test_is_off_without_respect_for_the_realized_limit(self) -> None:
        guarded = self.guarded(realized_limit=100, composite={"respect_realized_limit": False})
        holding(guarded, (ES, 1, 5800))
        guarded.feed(guarded.venue.quote(ES, 5797))
        assert guarded.codes == []

    def test_leaves_a_day_without_budget_to_the_daily_rule(self) -> None:
        guarded = self.guarded(realized_limit=100)
        holding(guarded, (ES, 1, 5800))
        guarded.feed(guarded.venue.result(-100))
        assert guarded.codes == ["DAILY_LOSS"]

    def test_takes_the_limit_from_the_daily_rule(self) -> None:
        day = {"loss_limit": -900, "include_fees": False}
        for composite in ({"enabled": True}, {"enabled": True, "realized_rule_ref": "daily_realized_loss"}):
            (_, floating) = build_rules(
                {
                    "daily_realized_loss": day,
                    "daily_unrealized_loss": {"loss_limit": 200, "composite_enforcement": composite},
                }
            )
            assert isinstance(floating, DailyUnrealizedLoss)
            assert floating.composite_enforcement.realized_limit_micros == micros(900)
            assert floating.composite_enforcement.include_fees is False

    @pytest.mark.parametrize("reference", [["daily_realized_loss"], {"a": 1}, "max_contracts", 5])
    def test_takes_no_limit_from_anything_else(self, reference: object) -> None:
        composite = {"enabled": True, "realized_rule_ref": reference}
        options = {"loss_limit": 200, "composite_enforcement": composite}
        with pytest.raises(OptionsInvalid, match="realized_rule_ref"):
            build_rules({"max_contracts": {"limit": 5}, "daily_unrealized_loss": options})


def test_judges_a_position_that_was_beyond_the_limit_at_the_start() -> None:
    venue = Scenario()
    venue.position(ES, 1, 5800)
    guarded = Guarded(rule(), venue=venue)
    guarded.feed(venue.quote(ES, 5790))
    assert closed(guarded) == [ES.id]


def test_enforces_a_limit_that_is_lowered_while_the_position_is_open() -> None:
    guarded = holding(Guarded(rule()), (ES, 1, 5800))
    guarded.feed(guarded.venue.quote(ES, 5795))
    guarded.change_rules(rule(loss_limit=250))
    assert closed(guarded) == [ES.id]


def test_starts_over_when_a_position_is_reversed() -> None:
    guarded = holding(Guarded(rule()), (ES, 1, 5800))
    guarded.feed(guarded.venue.quote(ES, 5795), guarded.venue.sells(ES, 2, 5795), guarded.venue.quote(ES, 5800.75))
    assert guarded.findings == []
    guarded.feed(guarded.venue.quote(ES, 5801))
    assert [breach.measured for breach in guarded.breaches] == [micros(-300)]


def test_follows_the_average_when_contracts_are_added() -> None:
    guarded = holding(Guarded(rule()), (ES, 1, 5800))
    guarded.feed(guarded.venue.quote(ES, 5796), guarded.venue.buys(ES, 1, 5796))
    assert guarded.findings == []
    guarded.feed(guarded.venue.quote(ES, 5795.25))
    assert guarded.findings == []
    guarded.feed(guarded.venue.quote(ES, 5795))
    assert [breach.measured for breach in guarded.breaches] == [micros(-300)]


def test_orders_one_close_however_often_the_quote_repeats() -> None:
    guarded = holding(Guarded(rule()), (ES, 1, 5800))
    event = guarded.venue.quote(ES, 5794)
    guarded.feed(event, event, event)
    assert closed(guarded) == [ES.id]
    assert guarded.codes == ["UNREALIZED_LOSS"]


@pytest.mark.parametrize(
    ("scope", "shown"),
    [
        ("per_position", [("open loss ESH5", 250), ("open loss ESM5", 0), ("open loss MNQH5", 50)]),
        ("per_instrument", [("open loss ESH5", 150), ("open loss MNQH5", 50)]),
        ("total", [("open loss", 200)]),
    ],
)
def test_shows_what_it_compares_with_the_limit(scope: str, shown: list[tuple[str, int]]) -> None:
    guarded = holding(Guarded(rule(scope=scope)), (ES, 1, 5800), (ES_JUNE, 1, 5850), (MNQ, 1, 21000))
    venue = guarded.venue
    guarded.feed(venue.quote(ES, 5795), venue.quote(ES_JUNE, 5852), venue.quote(MNQ, 20975))
    assert [(gauge.label, gauge.used) for gauge in guarded.gauges] == [(name, micros(used)) for name, used in shown]
    assert {gauge.limit for gauge in guarded.gauges} == {micros(300)}


def test_keeps_accounts_apart() -> None:
    mine, other = (Guarded(rule(), venue=Scenario(account_id)) for account_id in ("1001", "1002"))
    for guarded, bid in ((mine, 5794), (other, 5794.25)):
        holding(guarded, (ES, 1, 5800))
        guarded.feed(guarded.venue.quote(ES, bid))
    assert (mine.codes, other.codes) == (["UNREALIZED_LOSS"], [])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss_limit": 0}, "loss_limit: must be above 0"),
        ({"limit": 300}, "loss_limit: is said more than once"),
        ({"scope": "account"}, "scope: must be one of per_position, per_instrument, total"),
        ({"check_interval_seconds": 0.5}, "check_interval_seconds: must be at least 1"),
        ({"max_quote_age_seconds": 0}, "max_quote_age_seconds: must be above 0"),
        ({"confirm_ms": -1}, "confirm_ms: must be a number of milliseconds"),
        ({"confirm_ms": 5, "confirm_seconds": 1}, "is said twice"),
        ({"composite_enforcement": {"enabled": True}}, "composite_enforcement.realized_limit: is missing"),
        (
            {"composite_enforcement": {"enbled": True}},
            "composite_enforcement.enbled: is not known; did you mean enabled",
        ),
        ({"composite_enforcement": True}, "composite_enforcement: must be a mapping"),
        ({"quote_blackout_action": "flatten"}, "quote_blackout_action_after_seconds: is missing"),
        ({"quote_blackout_action_after_seconds": 5}, "must not be shorter than max_quote_age_seconds"),
        (
            {"quote_blackout_action_after": "1m", "quote_blackout_action": "close_position", "action": "flatten"},
            "must be alert or flatten when the action is flatten",
        ),
        (
            {"quote_blackout_action_after": "1m", "quote_blackout_action": "flatten", "action": "alert"},
            "must be alert when the action is alert",
        ),
        ({"action": "alert", "lockout": "reset"}, "an alert does nothing to the account"),
        ({"price_basis": "bid"}, "price_basis: must be one of exit_side, mid, last"),
    ],
)
def test_refuses_options_that_make_no_sense(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionsInvalid, match=message):
        rule(**options)


@given(
    moves=st.lists(st.tuples(st.sampled_from([ES, MNQ]), st.integers(-60, 60)), max_size=25),
    scope=st.sampled_from(["per_position", "per_instrument", "total"]),
    sign=st.sampled_from([1, -1]),
)
def test_finds_on_the_quick_path_what_a_full_look_would_find(
    moves: list[tuple[Contract, int]], scope: str, sign: int
) -> None:
    """Moves are in ticks from the entry."""
    tested = rule(scope=scope, action="alert", composite_enforcement={"enabled": True, "realized_limit": 450})
    guarded = holding(Guarded(tested), (ES, sign, 5800), (MNQ, 20 * sign, 21000))
    for product, distance in moves:
        entry = 5800 if product is ES else 21000
        guarded.feed(guarded.venue.quote(product, entry + distance / 4))
        quick = {key[:3] for key in guarded.engine._slots[0].reported}
        looked = tested.step(tested.initial_state(), guarded.venue.snapshot(), guarded.engine.account)[1]
        assert quick == {("breach", item.code, item.scope) for item in looked}  # type: ignore[union-attr]

"""RULE-003: stop the day at a loss."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_manager.domain.actions import CancelOrder, ClosePosition
from risk_manager.domain.finding import Release, Unit
from risk_manager.domain.lockout import OnLock
from risk_manager.domain.order import Side
from risk_manager.domain.scope import ACCOUNT
from risk_manager.rules import DailyLossRule, DailyRealizedLoss, OptionsInvalid
from risk_manager.testing.events import DAYS, ES, HOUR_NS, MES, MNQ, Scenario, micros
from risk_manager.testing.guarded import Guarded

DAY_END_NS = DAYS.starts_ns[3]


def rule(**options: Any) -> DailyRealizedLoss:
    return DailyLossRule(**{"limit": -500, **options})


@pytest.mark.parametrize("basis", ["realized", "realized_plus_unrealized", "composite"])
@pytest.mark.parametrize(
    ("result", "inclusive", "is_breach"),
    [
        ("-499.99", True, False),
        ("-500", True, True),
        ("-500.01", True, True),
        ("-499.99", False, False),
        ("-500", False, False),
        ("-500.01", False, True),
        ("500", True, False),
    ],
)
def test_fires_at_the_limit(basis: str, result: str, inclusive: bool, is_breach: bool) -> None:
    guarded = Guarded(rule(basis=basis, inclusive=inclusive))
    guarded.feed(guarded.venue.result(result))
    assert guarded.codes == (["DAILY_LOSS"] if is_breach else [])
    if is_breach:
        (breach,) = guarded.breaches
        assert (breach.measured, breach.limit, breach.unit) == (micros(result), micros(-500), Unit.MICROS)
        assert breach.scope == ACCOUNT


def test_locks_until_the_day_ends_and_flattens_before_anything_else_happens() -> None:
    guarded = Guarded(rule())
    venue = guarded.venue
    guarded.feed(venue.quote(ES, 5800, 5800.25), venue.buys(ES, 1, 5800.25), venue.order(ES, Side.BUY, 1, limit=5700))
    guarded.feed(venue.quote(ES, 5790.25, 5790.5))
    (decision,) = guarded.decisions
    (lockout,) = decision.lockouts_set
    assert (lockout.until_ns, lockout.on_lock) == (DAY_END_NS, OnLock.FLATTEN)
    assert [type(action) for action in decision.actions] == [CancelOrder]
    guarded.feed(venue.timer(after_s=1))
    assert [type(action) for action in guarded.actions][-1] is ClosePosition


@pytest.mark.parametrize(
    ("product", "size", "entry", "bid", "ask", "floating"),
    [
        # rules.md 1.1, the corrected arithmetic
        (MNQ, 2, 21000, 20925, 20925.25, "-300"),
        (MNQ, 2, 21000, 20700, 20700.25, "-1200"),
        (ES, 1, 5800, 5792, 5792.25, "-400"),
        (MNQ, 2, 21000, 20800, 20800.25, "-800"),
        (MNQ, 3, 21000, 20950, 20950.25, "-300"),
        (MNQ, 3, 21000, 20900, 20900.25, "-600"),
        (MNQ, 3, 21000, 20850, 20850.25, "-900"),
        (MNQ, 3, 21000, 21002, 21002.25, "12"),
        (ES, -2, 5800, 5794.75, 5795, "500"),
        (MNQ, 2, 25900, 25898.25, 25898.5, "-7"),
        (ES, -2, 5800, 5804.75, 5805, "-500"),
    ],
)
def test_measures_open_positions_where_they_could_be_closed(
    product: Any, size: int, entry: float, bid: float, ask: float, floating: str
) -> None:
    guarded = Guarded(rule())
    guarded.feed(guarded.venue.quote(product, entry, entry))
    opened = guarded.venue.buys(product, size, entry) if size > 0 else guarded.venue.sells(product, -size, entry)
    guarded.feed(opened, guarded.venue.quote(product, bid, ask))
    assert guarded.engine.account.unrealized_micros == micros(floating)
    assert [breach.measured for breach in guarded.breaches] == ([micros(floating)] if float(floating) <= -500 else [])


class TestBasis:
    def account(self, basis: str) -> Guarded:
        """-300 realized, one ES down 400, one MES up 250: -450 together."""
        guarded = Guarded(rule(basis=basis))
        venue = guarded.venue
        guarded.feed(venue.quote(ES, 5800, 5800), venue.quote(MES, 5800, 5800), venue.buys(MES, 5, 5800))
        guarded.feed(venue.quote(MES, 5810, 5810), venue.buys(ES, 1, 5800), venue.result(-300, product=MNQ))
        guarded.feed(venue.quote(ES, 5792, 5792))
        return guarded

    def test_realized_leaves_open_positions_out(self) -> None:
        guarded = self.account("realized")
        assert guarded.findings == []
        guarded.feed(guarded.venue.closes(ES, 5792))
        assert [breach.measured for breach in guarded.breaches] == [micros(-700)]

    def test_realized_plus_unrealized_counts_all_open_positions(self) -> None:
        guarded = self.account("realized_plus_unrealized")
        assert guarded.findings == []
        guarded.feed(guarded.venue.quote(ES, 5791, 5791))
        assert [breach.measured for breach in guarded.breaches] == [micros(-500)]

    def test_composite_gives_no_credit_for_an_open_profit(self) -> None:
        assert [breach.measured for breach in self.account("composite").breaches] == [micros(-700)]


def test_takes_fees_off_the_result_unless_told_otherwise() -> None:
    with_fees, without = Guarded(rule()), Guarded(rule(include_fees=False))
    for guarded in (with_fees, without):
        guarded.feed(guarded.venue.result("-495.99", fees="4"))
        assert guarded.findings == []
        guarded.feed(guarded.venue.buys(ES, 1, 5800, fees="0.01"))
    assert [breach.measured for breach in with_fees.breaches] == [micros(-500)]
    assert without.breaches == []


def test_counts_a_day_of_nothing_but_commissions() -> None:
    guarded = Guarded(rule(limit=10))
    guarded.feed(guarded.venue.buys(ES, 1, 5800, fees=5), guarded.venue.sells(ES, 1, 5800, fees=5))
    assert guarded.codes == ["DAILY_LOSS"]


def test_ignores_opening_fills_voided_fills_and_duplicates() -> None:
    guarded = Guarded(rule())
    loss = guarded.venue.result(-300)
    guarded.feed(loss, loss, loss, guarded.venue.voided(*loss), guarded.venue.result(-499))
    assert guarded.findings == []


def test_counts_fills_that_arrive_out_of_order_once_each() -> None:
    guarded = Guarded(rule())
    first, second, third = (guarded.venue.result(-200) for _ in range(3))
    guarded.feed(third, first)
    assert guarded.findings == []
    guarded.feed(second)
    assert [breach.measured for breach in guarded.breaches] == [micros(-600)]


class TestTradingDay:
    @pytest.mark.parametrize(("offset_s", "day"), [(-1, 3), (0, 4), (1, 4)])
    def test_decides_by_the_time_of_the_fill_how_long_the_lock_lasts(self, offset_s: int, day: int) -> None:
        guarded = Guarded(rule())
        guarded.venue.now_ns = DAY_END_NS + offset_s * 1_000_000_000 - guarded.venue.step_ns
        guarded.feed(guarded.venue.result(-500))
        assert [lockout.until_ns for lockout in guarded.lockouts] == [DAYS.starts_ns[day]]

    def test_starts_with_nothing_lost(self) -> None:
        guarded = Guarded(rule())
        guarded.feed(guarded.venue.result(-499))
        guarded.venue.wait(8 * 3600)
        guarded.feed(guarded.venue.result(-499))
        assert guarded.findings == []

    def test_books_a_late_fill_to_the_day_it_belongs_to(self) -> None:
        guarded = Guarded(rule())
        late = guarded.venue.result(-499)
        guarded.venue.wait(8 * 3600)
        guarded.feed(guarded.venue.result(-1), late)
        assert guarded.findings == []

    def test_ends_the_lock_by_the_venues_clock_alone(self) -> None:
        guarded = Guarded(rule())
        guarded.feed(guarded.venue.result(-500))
        guarded.feed(guarded.venue.timer(after_s=9 * 3600))
        assert [decision.lockouts_released for decision in guarded.decisions if decision.lockouts_released] == []
        guarded.feed(guarded.venue.quote(ES, 5800))
        assert [len(decision.lockouts_released) for decision in guarded.decisions][-1] == 1
        assert guarded.lockouts == ()
        assert guarded.codes == ["DAILY_LOSS"]

    def test_carries_an_open_loss_into_the_next_day(self) -> None:
        guarded = Guarded(rule(basis="realized_plus_unrealized"))
        guarded.feed(guarded.venue.quote(ES, 5800), guarded.venue.buys(ES, 1, 5800), guarded.venue.quote(ES, 5791))
        guarded.feed(guarded.venue.result(-49))
        guarded.venue.wait(8 * 3600)
        guarded.feed(guarded.venue.quote(ES, 5791))
        assert guarded.findings == []
        guarded.feed(guarded.venue.quote(ES, 5790))
        assert [breach.measured for breach in guarded.breaches] == [micros(-500)]


class TestLock:
    def locked(self, **options: Any) -> Guarded:
        guarded = Guarded(rule(**options))
        guarded.feed(guarded.venue.result(-500))
        for _ in range(3):
            guarded.venue.wait(2)
            guarded.feed(guarded.venue.snapshot())
        assert guarded.engine.enforcer.open_intents == ()
        return guarded

    def test_closes_what_is_opened_under_it(self) -> None:
        guarded = self.locked()
        guarded.forget()
        guarded.feed(guarded.venue.buys(ES, 1, 5800))
        assert ClosePosition in [type(action) for action in guarded.actions]

    def test_survives_a_restart(self) -> None:
        guarded = self.locked()
        guarded.restart()
        guarded.feed(guarded.venue.snapshot())
        assert [lockout.until_ns for lockout in guarded.lockouts] == [DAY_END_NS]

    def test_is_set_at_a_start_past_the_limit(self) -> None:
        venue = Scenario()
        venue.result(-500)
        assert len(Guarded(rule(), venue=venue).lockouts) == 1

    def test_is_not_lifted_by_a_higher_limit(self) -> None:
        guarded = self.locked()
        guarded.change_rules(rule(limit=900))
        assert len(guarded.lockouts) == 1

    def test_stays_when_the_result_recovers(self) -> None:
        guarded = Guarded(rule())
        loss = guarded.venue.result(-500)
        guarded.feed(loss, guarded.venue.voided(*loss))
        assert len(guarded.lockouts) == 1

    def test_ends_when_the_result_recovers_if_told_so(self) -> None:
        guarded = Guarded(rule(unlock_if_recovered=True))
        loss = guarded.venue.result(-500)
        guarded.feed(loss)
        assert len(guarded.lockouts) == 1
        guarded.feed(guarded.venue.voided(*loss))
        assert len(guarded.lockouts) == 0

    def test_is_released_by_the_rule_that_set_it(self) -> None:
        guarded = Guarded(rule())
        loss = guarded.venue.result(-500)
        guarded.feed(loss, guarded.venue.voided(*loss))
        found = rule(unlock_if_recovered=True).step(None, guarded.venue.timer(), guarded.engine.account)[1]
        assert found == (Release("daily_realized_loss", ACCOUNT, "recovered"),)
        assert rule().step(None, guarded.venue.timer(), guarded.engine.account)[1] == ()

    def test_does_not_end_for_a_recovery_that_only_hides_an_unpriced_position(self) -> None:
        guarded = Guarded(rule(unlock_if_recovered=True))
        loss = guarded.venue.result(-500)
        guarded.feed(loss, guarded.venue.buys(ES, 1, 5800), guarded.venue.voided(*loss))
        assert len(guarded.lockouts) == 1

    def test_lasts_as_long_as_it_says_and_is_set_again_while_the_loss_stands(self) -> None:
        guarded = self.locked(lockout_until="duration", lockout_duration="1h")
        (first,) = guarded.lockouts
        assert first.until_ns == first.set_ns + HOUR_NS
        guarded.venue.wait(3600)
        guarded.feed(guarded.venue.quote(ES, 5800))
        (again,) = guarded.lockouts
        assert again.set_ns > first.set_ns + HOUR_NS
        assert guarded.codes == ["DAILY_LOSS", "DAILY_LOSS"]
        assert [len(decision.lockouts_released) for decision in guarded.decisions][-1] == 1

    def test_is_left_out_when_switched_off_and_every_new_position_is_closed_all_the_same(self) -> None:
        guarded = self.locked(lockout=False)
        assert guarded.lockouts == ()
        guarded.feed(guarded.venue.buys(ES, 1, 5800))
        assert ClosePosition in [type(action) for action in guarded.actions]

    def test_costs_a_locked_flat_account_nothing_per_quote(self) -> None:
        guarded = self.locked()
        _, found = rule().step(None, guarded.venue.quote(ES, 5800), guarded.engine.account)
        assert found == ()

    def test_belongs_to_one_account(self) -> None:
        mine, other = (Guarded(rule(), venue=Scenario(account_id)) for account_id in ("1001", "1002"))
        mine.feed(mine.venue.result(-500))
        other.feed(other.venue.result(-499))
        assert (len(mine.lockouts), len(other.lockouts)) == (1, 0)


class TestPause:
    def test_keeps_positions_and_stops_new_ones(self) -> None:
        guarded = Guarded(rule(action="pause"))
        venue = guarded.venue
        guarded.feed(venue.quote(ES, 5800), venue.buys(ES, 1, 5800))
        guarded.feed(venue.order(ES, Side.SELL, 1, stop=5700), venue.order(ES, Side.BUY, 1, limit=5700, order_id="add"))
        guarded.feed(venue.quote(ES, 5790))
        assert [lockout.on_lock for lockout in guarded.lockouts] == [OnLock.BLOCK_NEW]
        assert [action.order_id for action in guarded.actions if isinstance(action, CancelOrder)] == ["add"]
        assert ClosePosition not in [type(action) for action in guarded.actions]

    def test_ends_when_the_position_comes_back_if_told_so(self) -> None:
        guarded = Guarded(rule(action="pause", unlock_if_recovered=True))
        venue = guarded.venue
        guarded.feed(venue.quote(ES, 5800), venue.buys(ES, 1, 5800), venue.quote(ES, 5790), venue.quote(ES, 5790.25))
        assert guarded.lockouts == ()


def test_alerts_once_and_does_nothing() -> None:
    guarded = Guarded(rule(action="alert"))
    guarded.feed(guarded.venue.result(-500), guarded.venue.buys(ES, 1, 5800), guarded.venue.snapshot())
    assert guarded.codes == ["DAILY_LOSS"]
    assert (guarded.lockouts, guarded.actions) == ((), [])


def test_judges_what_is_known_and_says_what_is_not() -> None:
    guarded = Guarded(rule())
    guarded.feed(guarded.venue.buys(MNQ, 1, 21000))
    assert [skip.reason for skip in guarded.skipped] == [f"quote_missing {MNQ.id}"]
    guarded.feed(guarded.venue.result(-500))
    assert guarded.codes == ["DAILY_LOSS"]


def test_does_not_repeat_what_it_could_not_see() -> None:
    guarded = Guarded(rule())
    guarded.feed(guarded.venue.buys(MNQ, 1, 21000), guarded.venue.quote(ES, 5800), guarded.venue.quote(ES, 5801))
    assert len(guarded.skipped) == 1
    guarded.feed(guarded.venue.quote(MNQ, 21000))
    assert len(guarded.skipped) == 1


@pytest.mark.parametrize(("basis", "used"), [("realized", 110), ("realized_plus_unrealized", 310), ("composite", 360)])
def test_shows_how_much_of_the_day_is_lost(basis: str, used: int) -> None:
    guarded = Guarded(rule(basis=basis))
    venue = guarded.venue
    guarded.feed(venue.result(-100, fees=10), venue.quote(ES, 5800), venue.quote(MNQ, 21000))
    guarded.feed(venue.buys(ES, 1, 5800), venue.buys(MNQ, 1, 21000), venue.quote(ES, 5795), venue.quote(MNQ, 21025))
    assert [(gauge.used, gauge.limit) for gauge in guarded.gauges] == [(micros(used), micros(500))]


def test_shows_nothing_used_on_a_winning_day() -> None:
    guarded = Guarded(rule())
    guarded.feed(guarded.venue.result(100))
    assert [gauge.used for gauge in guarded.gauges] == [0]


@pytest.mark.parametrize("limit", [500, -500, "500", "-500.00", 500.0])
def test_takes_the_limit_with_either_sign(limit: object) -> None:
    assert rule(limit=limit).limit_micros == micros(500)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limit": 0}, "limit: must be above 0"),
        ({"limit": -0.0}, "limit: must be above 0"),
        ({"limit": float("nan")}, "limit: must be an amount in dollars"),
        ({"limit": float("inf")}, "limit: must be an amount in dollars"),
        ({"limit": True}, "limit: must be an amount in dollars"),
        ({"limit": -500, "loss_limit": 500}, "limit: is said more than once"),
        ({"lockout_until": "permanent"}, "lockout.until: permanent is not offered"),
        ({"lockout_until": "duration"}, "needs a duration above 0"),
        ({"lockout": {"until": "reset", "duration": "5m"}}, "ends with the trading day"),
        ({"cancel_orders": False}, "cancel_orders: must be true"),
        ({"close_all": False}, "close_all: must be true"),
        ({"reset_time": "17:00"}, "reset_time: belongs to the account"),
        ({"timezone": "America/Chicago"}, "timezone: belongs to the account"),
        ({"action": "pause", "lockout": False}, "lockout: is what a pause consists of"),
        ({"action": "alert", "unlock_if_recovered": True}, "no lock to end"),
        ({"action": "reject"}, "action: must be one of flatten, pause, alert"),
    ],
)
def test_refuses_options_that_make_no_sense(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionsInvalid, match=message):
        rule(**options)


def test_understands_older_spellings() -> None:
    assert DailyLossRule(loss_limit=500, close_all=True, lockout_until="daily_reset") == rule()
    assert DailyLossRule(max_daily_loss=-500, lockout_duration="30m") == rule(lockout="30m")


@given(results=st.lists(st.integers(-70000, 30000), max_size=30), limit=st.integers(1, 100000))
def test_fires_exactly_when_the_sum_of_a_day_reaches_the_limit(results: list[int], limit: int) -> None:
    """Results and limit in cents."""
    guarded = Guarded(rule(limit=f"{limit // 100}.{limit % 100:02d}", basis="realized"))
    total = 0
    for cents in results:
        guarded.feed(guarded.venue.result(f"{'-' if cents < 0 else ''}{abs(cents) // 100}.{abs(cents) % 100:02d}"))
        total += cents
        if total <= -limit:
            assert guarded.codes == ["DAILY_LOSS"]
            return
    assert guarded.codes == []

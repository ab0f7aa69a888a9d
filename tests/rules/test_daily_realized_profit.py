"""RULE-013: lock in a good day."""

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_manager.domain.actions import CancelOrder, ClosePosition
from risk_manager.domain.events import FillReceived
from risk_manager.domain.finding import Unit
from risk_manager.domain.lockout import OnLock
from risk_manager.domain.order import Side
from risk_manager.domain.scope import ACCOUNT
from risk_manager.rules import DailyLossRule, OptionsInvalid, build_rule
from risk_manager.rules.daily_realized_profit import DailyRealizedProfit
from risk_manager.testing.events import DAYS, ES, HOUR_NS, MES, MNQ, Scenario, micros
from risk_manager.testing.guarded import Guarded

DAY_END_NS = DAYS.starts_ns[3]


def rule(**options: Any) -> DailyRealizedProfit:
    given_target = {"target", "profit_target", "daily_profit_target", "limit"} & options.keys()
    return build_rule(DailyRealizedProfit, options if given_target else {"target": 1000, **options})


@pytest.mark.parametrize("basis", ["realized", "realized_plus_unrealized", "composite"])
@pytest.mark.parametrize(
    ("result", "inclusive", "is_breach"),
    [
        ("999.99", True, False),
        ("1000", True, True),
        ("1000.01", True, True),
        ("999.99", False, False),
        ("1000", False, False),
        ("1000.01", False, True),
        ("-1000", True, False),
    ],
)
def test_fires_at_the_target(basis: str, result: str, inclusive: bool, is_breach: bool) -> None:
    guarded = Guarded(rule(basis=basis, inclusive=inclusive))
    guarded.feed(guarded.venue.result(result))
    assert guarded.codes == (["DAILY_PROFIT"] if is_breach else [])
    if is_breach:
        (breach,) = guarded.breaches
        assert (breach.measured, breach.limit, breach.unit) == (micros(result), micros(1000), Unit.MICROS)
        assert breach.scope == ACCOUNT


@pytest.mark.parametrize(
    ("net", "entry", "below", "at"),
    [(2, 5800, 5809.75, 5810), (-2, 5800, 5790.25, 5790)],
    ids=["long", "short"],
)
def test_counts_an_open_profit_to_the_tick(net: int, entry: float, below: float, at: float) -> None:
    guarded = Guarded(rule())
    venue = guarded.venue
    guarded.feed(venue.quote(ES, entry), (venue.buys if net > 0 else venue.sells)(ES, abs(net), entry))
    guarded.feed(venue.quote(ES, below))
    assert guarded.findings == []
    guarded.feed(venue.quote(ES, at))
    assert [breach.measured for breach in guarded.breaches] == [micros(1000)]
    assert ClosePosition in [type(action) for action in guarded.actions]


def test_locks_until_the_day_ends_and_flattens() -> None:
    guarded = Guarded(rule())
    venue = guarded.venue
    guarded.feed(venue.quote(ES, 5800), venue.buys(ES, 2, 5800), venue.order(ES, Side.BUY, 1, limit=5700))
    guarded.feed(venue.quote(ES, 5810))
    (decision,) = guarded.decisions
    (lockout,) = decision.lockouts_set
    assert (lockout.until_ns, lockout.on_lock) == (DAY_END_NS, OnLock.FLATTEN)
    assert [type(action) for action in decision.actions] == [CancelOrder]
    guarded.feed(venue.timer(after_s=1))
    assert [type(action) for action in guarded.actions][-1] is ClosePosition


class TestBasis:
    def account(self, basis: str) -> Guarded:
        """1,000 closed by a partial close, the rest of it 400 down, one MNQ 150 up."""
        guarded = Guarded(rule(basis=basis))
        venue = guarded.venue
        guarded.feed(venue.quote(ES, 5800), venue.quote(MNQ, 21000), venue.buys(MNQ, 1, 21000))
        guarded.feed(venue.quote(MNQ, 21075), venue.buys(ES, 1, 5800), venue.quote(ES, 5792))
        guarded.feed(venue.result(1000))
        return guarded

    @pytest.mark.parametrize(
        ("basis", "measured"), [("realized", [1000]), ("realized_plus_unrealized", []), ("composite", [])]
    )
    def test_decides_whether_an_open_loss_counts(self, basis: str, measured: list[int]) -> None:
        assert [breach.measured for breach in self.account(basis).breaches] == [micros(one) for one in measured]

    @pytest.mark.parametrize(
        ("basis", "used"), [("realized", 1000), ("realized_plus_unrealized", 750), ("composite", 600)]
    )
    def test_is_what_the_screen_shows(self, basis: str, used: int) -> None:
        assert [(gauge.used, gauge.limit) for gauge in self.account(basis).gauges] == [(micros(used), micros(1000))]

    def test_composite_gives_no_credit_for_an_open_profit(self) -> None:
        guarded = Guarded(rule(basis="composite"))
        venue = guarded.venue
        guarded.feed(venue.quote(ES, 5800), venue.buys(ES, 1, 5800), venue.quote(ES, 5840))
        assert guarded.findings == []
        guarded.feed(venue.closes(ES, 5840))
        assert [breach.measured for breach in guarded.breaches] == [micros(2000)]


def test_takes_fees_off_the_result_unless_told_otherwise() -> None:
    with_fees, without = Guarded(rule()), Guarded(rule(include_fees=False))
    for guarded in (with_fees, without):
        guarded.feed(guarded.venue.result(1000, fees="0.01"))
    assert (with_fees.codes, without.codes) == ([], ["DAILY_PROFIT"])


def test_counts_every_fill_once_in_whatever_order_they_come() -> None:
    for order in permutations(range(3)):
        guarded = Guarded(rule())
        wins = [guarded.venue.result(333) for _ in order]
        for index in order:
            guarded.feed(wins[index], wins[index])
        assert guarded.findings == []
        guarded.feed(guarded.venue.result(1))
        assert [breach.measured for breach in guarded.breaches] == [micros(1000)]


def test_does_not_count_what_the_venue_took_back() -> None:
    guarded = Guarded(rule())
    win = guarded.venue.result(600)
    guarded.feed(win, guarded.venue.voided(*win), guarded.venue.result(999))
    assert guarded.findings == []


class TestWithTheDaysLossLimit:
    """Both rules read one ledger: in an earlier program each added the fill itself, and 1,100 became 1,700."""

    def both(self) -> Guarded:
        return Guarded(DailyLossRule(limit=-500), rule(target=1600))

    def test_a_fill_counts_once(self) -> None:
        guarded = self.both()
        guarded.feed(guarded.venue.result(500), guarded.venue.result(600))
        assert guarded.engine.account.realized_micros == micros(1100)
        assert [gauge.used for gauge in guarded.gauges] == [0, micros(1100)]
        assert guarded.findings == []
        guarded.feed(guarded.venue.result(500))
        assert [(breach.rule, breach.measured) for breach in guarded.breaches] == [
            ("daily_realized_profit", micros(1600))
        ]

    def test_each_locks_for_itself(self) -> None:
        guarded = self.both()
        guarded.feed(guarded.venue.result(1600), guarded.venue.result(-2100))
        assert sorted(lockout.rule for lockout in guarded.lockouts) == ["daily_realized_loss", "daily_realized_profit"]


class TestLock:
    def locked(self, **options: Any) -> Guarded:
        guarded = Guarded(rule(**options))
        guarded.feed(guarded.venue.result(1000))
        for _ in range(3):
            guarded.venue.wait(2)
            guarded.feed(guarded.venue.snapshot())
        assert guarded.engine.enforcer.open_intents == ()
        return guarded

    def test_stays_when_later_fills_end_below_the_target(self) -> None:
        guarded = self.locked()
        guarded.feed(guarded.venue.result(-400))
        assert len(guarded.lockouts) == 1

    def test_stays_when_the_winning_fill_is_voided(self) -> None:
        guarded = Guarded(rule())
        win = guarded.venue.result(1000)
        guarded.feed(win, guarded.venue.voided(*win))
        assert len(guarded.lockouts) == 1

    def test_is_not_lifted_by_a_higher_target(self) -> None:
        guarded = self.locked()
        guarded.change_rules(rule(target=2000))
        assert len(guarded.lockouts) == 1

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

    def test_is_set_at_a_start_past_the_target(self) -> None:
        venue = Scenario()
        venue.result(1000)
        assert len(Guarded(rule(), venue=venue).lockouts) == 1

    def test_ends_with_the_day_and_the_next_begins_at_nothing(self) -> None:
        guarded = self.locked()
        guarded.venue.now_ns = DAY_END_NS - 2 * guarded.venue.step_ns
        guarded.feed(guarded.venue.quote(ES, 5800))
        assert [len(guarded.lockouts)] == [1]
        guarded.feed(guarded.venue.quote(ES, 5800))
        assert [len(guarded.lockouts)] == [0]
        guarded.forget()
        guarded.feed(guarded.venue.result(999))
        assert guarded.findings == []

    def test_lasts_as_long_as_it_says_and_is_set_again_while_the_profit_stands(self) -> None:
        guarded = self.locked(lockout_until="duration", lockout_duration="1h")
        (first,) = guarded.lockouts
        assert first.until_ns == first.set_ns + HOUR_NS
        guarded.venue.wait(3600)
        guarded.feed(guarded.venue.quote(ES, 5800))
        (again,) = guarded.lockouts
        assert again.set_ns > first.set_ns + HOUR_NS

    def test_costs_a_locked_flat_account_nothing_per_quote(self) -> None:
        guarded = self.locked()
        _, found = rule().step(None, guarded.venue.quote(ES, 5800), guarded.engine.account)
        assert found == ()

    def test_belongs_to_one_account(self) -> None:
        mine, other = (Guarded(rule(), venue=Scenario(account_id)) for account_id in ("1001", "1002"))
        mine.feed(mine.venue.result(1000))
        other.feed(other.venue.result(999))
        assert (len(mine.lockouts), len(other.lockouts)) == (1, 0)


def test_pauses_without_closing_what_is_open() -> None:
    guarded = Guarded(rule(action="pause"))
    venue = guarded.venue
    guarded.feed(venue.quote(ES, 5800), venue.buys(ES, 2, 5800), venue.quote(ES, 5810))
    assert [lockout.on_lock for lockout in guarded.lockouts] == [OnLock.BLOCK_NEW]
    assert ClosePosition not in [type(action) for action in guarded.actions]


def test_alerts_once_and_does_nothing() -> None:
    guarded = Guarded(rule(action="alert"))
    guarded.feed(guarded.venue.result(1000), guarded.venue.buys(ES, 1, 5800), guarded.venue.snapshot())
    assert guarded.codes == ["DAILY_PROFIT"]
    assert (guarded.lockouts, guarded.actions) == ((), [])


def test_shows_the_traders_own_message() -> None:
    guarded = Guarded(rule(message="Go for a walk"))
    guarded.feed(guarded.venue.result(1000, fees=0))
    (breach,) = guarded.breaches
    assert breach.evidence == (
        ("basis", "realized_plus_unrealized"),
        ("realized", "1000.00"),
        ("fees", "0.00"),
        ("unrealized", "0.00"),
        ("message", "Go for a walk"),
    )


def test_judges_what_is_known_and_says_what_is_not() -> None:
    guarded = Guarded(rule())
    guarded.feed(guarded.venue.buys(MNQ, 1, 21000))
    assert [skip.reason for skip in guarded.skipped] == [f"quote_missing {MNQ.id}"]
    guarded.feed(guarded.venue.result(1000))
    assert guarded.codes == ["DAILY_PROFIT"]


def test_misses_no_quote_where_only_closed_profit_counts() -> None:
    guarded = Guarded(rule(basis="realized"))
    guarded.feed(guarded.venue.buys(MNQ, 1, 21000))
    assert guarded.skipped == []


def test_shows_nothing_used_on_a_losing_day() -> None:
    guarded = Guarded(rule())
    guarded.feed(guarded.venue.result(-100))
    assert [gauge.used for gauge in guarded.gauges] == [0]


@pytest.mark.parametrize("name", ["target", "profit_target", "daily_profit_target", "limit"])
def test_understands_other_spellings(name: str) -> None:
    assert rule(**{name: 1000}).target_micros == micros(1000)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": 0}, "target: must be above 0"),
        ({"target": "much"}, "target: must be an amount in dollars"),
        ({"target": 1000, "profit_target": 900}, "target: is said more than once"),
        ({"lockout_until": "permanent"}, "lockout.until: permanent is not offered"),
        ({"cancel_orders": False}, "cancel_orders: must be true"),
        ({"close_all": False}, "close_all: must be true"),
        ({"timezone": "America/Chicago"}, "timezone: belongs to the account"),
        ({"action": "pause", "lockout": False}, "lockout: is what a pause consists of"),
        ({"action": "reject"}, "action: must be one of flatten, pause, alert"),
        ({"message": ""}, "message: must not be empty"),
    ],
)
def test_refuses_options_that_make_no_sense(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionsInvalid, match=message):
        rule(**options)


@given(st.lists(st.integers(-700, 700), max_size=12), st.integers(1, 2000))
def test_a_lower_target_never_ends_the_day_later(results: list[int], target: int) -> None:
    venue = Scenario()
    near, far = Guarded(rule(target=target), venue=venue), Guarded(rule(target=target + 100), venue=venue)
    for dollars in results:
        fills: tuple[FillReceived, ...] = venue.result(dollars, product=MES)
        near.feed(fills)
        far.feed(fills)
        assert len(near.lockouts) >= len(far.lockouts)

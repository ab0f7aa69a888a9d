"""What is written down for a day, days nobody saw, and what the drawdown rule remembers from step to step."""

from typing import Any

import pytest
from msgspec.structs import replace

from risk_manager.domain.finding import Release, Skipped
from risk_manager.domain.scope import ACCOUNT
from risk_manager.engine import Engine
from risk_manager.rules import build_rule
from risk_manager.rules.drawdown import Drawdown, Water
from risk_manager.testing.events import DAY_NS, ES, HOUR_NS, START_NS, Scenario, micros
from risk_manager.testing.guarded import Guarded

TRAILING: dict[str, Any] = {"max_drawdown": 2000, "starting_balance": 50_000}
INTRADAY = {**TRAILING, "mode": "intraday_trailing"}
STATIC = {**TRAILING, "mode": "static"}
TODAY = "2025-01-15"


def rule(options: dict[str, Any]) -> Drawdown:
    return build_rule(Drawdown, options)


def guarded_by(options: dict[str, Any], *, balance: int = 50_000, day: int = 15) -> Guarded:
    """At nine in Chicago on a day of January 2025, some seconds after the start."""
    venue = Scenario(start_ns=START_NS + (day - 15) * DAY_NS)
    venue.balance_micros = micros(balance)
    guarded = Guarded(rule(options), venue=venue)
    guarded.feed(venue.timer(after_s=3))
    return guarded


def remembered(guarded: Guarded) -> Water:
    (slot,) = guarded.engine._slots
    assert isinstance(slot.state, Water)
    return slot.state


def own(guarded: Guarded) -> Drawdown:
    (one,) = guarded.settings.rules
    assert isinstance(one, Drawdown)
    return one


def floor(guarded: Guarded) -> float:
    return own(guarded).floor_micros(remembered(guarded)) / 1_000_000


def closes_at(guarded: Guarded, balance: int) -> None:
    """Bring the balance there with one result, and let the trading day end."""
    venue = guarded.venue
    guarded.feed(venue.result(balance - venue.balance_micros // 1_000_000), venue.account())
    venue.wait(24 * 3600)
    guarded.feed(venue.account())


def told(guarded: Guarded, balance: int) -> None:
    """The venue shows another balance that no fill explains, long enough to be believed."""
    venue = guarded.venue
    venue.balance_micros = micros(balance)
    for _ in range(2):
        guarded.feed(venue.timer(after_s=3), venue.account())


# -- restarts and floors that are written down ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "before", "after"), [("eod_trailing", 51_000, 48_500), ("intraday_trailing", 51_000, 48_500)]
)
def test_a_restart_forgets_what_came_before_it(mode: str, before: float, after: float) -> None:
    restart = {"from_day": TODAY, "starting_balance": 50_000}
    guarded = guarded_by({**TRAILING, "mode": mode, "restarts": [restart]}, day=13)
    closes_at(guarded, 53_000)
    assert floor(guarded) == before
    guarded.venue.wait(24 * 3600)
    # The last close, of an account that is no more, is not the new one's.
    guarded.feed(guarded.venue.timer())
    told(guarded, 50_000)
    assert floor(guarded) == 48_000
    closes_at(guarded, 50_500)
    assert floor(guarded) == after
    assert (guarded.codes, guarded.warnings) == ([], [])


def test_a_restart_with_more_money_needs_no_warning_and_counts() -> None:
    guarded = guarded_by({**STATIC, "restarts": [{"from_day": TODAY, "starting_balance": 50_000}]}, day=14)
    closes_at(guarded, 48_500)
    told(guarded, 50_000)
    guarded.feed(guarded.venue.result("-1999.99"))
    assert (guarded.codes, guarded.warnings) == ([], [])
    guarded.feed(guarded.venue.result("-0.01"))
    assert guarded.codes == ["DRAWDOWN"]


def test_the_latest_restart_counts_however_they_are_written() -> None:
    restarts = [
        {"from_day": f"2025-01-{day}", "starting_balance": start} for day, start in ((15, 49_000), (14, 51_000))
    ]
    guarded = guarded_by({**STATIC, "restarts": restarts}, day=13)
    seen = [floor(guarded)]
    for _ in range(3):
        closes_at(guarded, 50_000)
        seen.append(floor(guarded))
    assert seen == [48_000, 49_000, 47_000, 47_000]


@pytest.mark.parametrize(("from_day", "expected"), [("2025-01-15", 48_000), ("2025-01-14", 49_000)])
def test_the_close_before_the_first_look_is_one_of_the_account_unless_it_restarts_today(
    from_day: str, expected: float
) -> None:
    restarts = [{"from_day": from_day, "starting_balance": 50_000}]
    assert floor(guarded_by({**TRAILING, "restarts": restarts}, balance=51_000)) == expected


def test_a_restart_written_down_during_the_day_forgets_its_peak() -> None:
    guarded = guarded_by(INTRADAY)
    venue = guarded.venue
    guarded.feed(venue.quote(ES, 5800), venue.buys(ES, 1, 5800), venue.quote(ES, 5830), venue.quote(ES, 5804))
    assert floor(guarded) == 49_500
    guarded.change_rules(rule({**INTRADAY, "restarts": [{"from_day": TODAY, "starting_balance": 50_000}]}))
    assert floor(guarded) == 48_200


def test_a_restart_taken_back_can_be_written_down_again() -> None:
    again = {**INTRADAY, "restarts": [{"from_day": TODAY, "starting_balance": 50_000}]}
    guarded = guarded_by(INTRADAY)
    venue = guarded.venue
    guarded.feed(venue.quote(ES, 5800), venue.buys(ES, 1, 5800))
    for options, expected in ((again, 48_000), (INTRADAY, 49_500), (again, 48_000)):
        guarded.change_rules(rule(options))
        assert remembered(guarded).restarts == len(options.get("restarts", []))
        guarded.feed(venue.quote(ES, 5830 if options is INTRADAY else 5800), venue.quote(ES, 5800))
        assert floor(guarded) == expected


def test_a_payout_that_is_written_down_is_no_surprise() -> None:
    guarded = guarded_by({**TRAILING, "lock_at": 50_000, "floors": [{"from_day": TODAY, "floor": 48_400}]})
    told(guarded, 48_500)
    assert (floor(guarded), guarded.warnings, guarded.codes) == (48_400, [], [])
    guarded.feed(guarded.venue.result(-100))
    assert guarded.codes == ["DRAWDOWN"]


def test_money_that_comes_as_written_down_is_no_close() -> None:
    guarded = guarded_by({**TRAILING, "floors": [{"from_day": TODAY, "floor": 0}]})
    told(guarded, 51_000)
    assert (remembered(guarded).balance, floor(guarded)) == (micros(51_000), 48_000)


def test_the_peaks_so_far_belong_to_the_balance_so_far() -> None:
    guarded = guarded_by({**INTRADAY, "floors": [{"from_day": TODAY, "floor": 0}]})
    venue = guarded.venue
    guarded.feed(venue.quote(ES, 5800), venue.buys(ES, 1, 5800), venue.quote(ES, 5830), venue.quote(ES, 5800))
    told(guarded, 51_000)
    assert floor(guarded) == 49_500
    guarded.feed(venue.quote(ES, 5831))
    assert floor(guarded) == 50_550


# -- days nobody saw --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "expected"), [("daily_trailing", 48_000), ("intraday_trailing", 49_500), ("trail_on_closed", 49_500)]
)
def test_after_days_unseen_it_waits_for_the_balance(mode: str, expected: float) -> None:
    options = {"max_drawdown": 2000, "mode": mode}
    guarded = guarded_by(options, day=13)
    venue = guarded.venue
    guarded.feed(venue.result(1500), venue.timer(after_s=3), venue.account())
    guarded.feed(venue.result(-1500), venue.timer(after_s=3), venue.account())
    assert floor(guarded) == 49_500
    guarded.forget()
    venue.wait(72 * 3600)
    guarded.feed(venue.account())
    assert (guarded.skipped, remembered(guarded).opening.low_micros) == ([], None)
    guarded.feed(venue.quote(ES, 5800), venue.buys(ES, 1, 5800))
    assert guarded.skipped == [Skipped("drawdown", "balance_unknown")]
    assert own(guarded).gauges(remembered(guarded), guarded.engine.account) == ()
    guarded.feed(venue.timer(after_s=5), venue.snapshot(), venue.timer(after_s=5), venue.snapshot())
    assert floor(guarded) == expected
    assert guarded.codes == []


def test_a_result_of_a_day_long_past_is_no_part_of_today_s_mark() -> None:
    guarded = guarded_by(INTRADAY, day=13)
    venue = guarded.venue
    guarded.feed(venue.result(1500), venue.timer(after_s=3), venue.account())
    venue.fills.clear()
    venue.balance_micros = micros(53_000)
    venue.wait(72 * 3600)
    guarded.feed(venue.snapshot(), venue.timer(after_s=3), venue.snapshot())
    assert floor(guarded) == 51_000


def test_the_close_counts_before_the_venue_has_told_it() -> None:
    guarded = guarded_by(TRAILING)
    venue = guarded.venue
    guarded.feed(venue.result(500), venue.timer(after_s=5), venue.account())
    guarded.feed(venue.quote(ES, 5800), venue.buys(ES, 1, 5800))
    venue.now_ns = START_NS + 9 * HOUR_NS
    guarded.feed(venue.quote(ES, 5800))
    assert floor(guarded) == 48_500
    slack = own(guarded).slack(remembered(guarded), guarded.engine.account)
    assert slack is not None
    assert (slack.down_micros, slack.until_ns) == (micros(2000), START_NS + 9 * HOUR_NS + 60_001_000_000)


# -- where the mark begins --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "balance", "expected"),
    [
        (STATIC, 52_000, 48_000),
        ({"max_drawdown": 2000, "mode": "static"}, 52_000, 50_000),
        ({**TRAILING, "starting_balance": 0, "frame": "profit"}, 0, -2000),
        ({**STATIC, "frame": "profit"}, 52_000, -2000),
    ],
)
def test_the_mark_begins_where_it_is_written_or_with_the_first_balance(
    options: dict[str, Any], balance: int, expected: float
) -> None:
    guarded = guarded_by(options, balance=balance, day=14)
    assert floor(guarded) == expected
    closes_at(guarded, balance - 500)
    assert floor(guarded) == expected


@pytest.mark.parametrize(
    ("mode", "expected"), [("daily_trailing", 47_700), ("trail_on_closed", 48_000), ("intraday_trailing", 48_000)]
)
@pytest.mark.parametrize("is_settled", [True, False])
def test_a_day_that_had_begun_with_a_loss(mode: str, expected: float, *, is_settled: bool) -> None:
    """Only the daily mark forgets what the day began with: it is what was seen."""
    venue = Scenario()
    venue.result(-300)
    venue.wait(60)
    guarded = Guarded(rule({"max_drawdown": 2000, "mode": mode}), venue=venue)
    if is_settled:
        guarded.feed(venue.timer(after_s=3))
    assert floor(guarded) == expected


def test_waits_for_the_venue_s_time() -> None:
    guarded = guarded_by(TRAILING)
    engine = Engine(guarded.settings)
    *_, position = guarded.venue.buys(ES, 1, 5800)
    decision = engine.receive(replace(position, at_ns=0))
    assert (decision.findings, decision.skipped) == ((), ())
    assert engine._slots[0].state == Water()


# -- what it says once, and what it looks at --------------------------------------------------------------------------


def test_a_step_that_changes_nothing_says_nothing_and_leaves_the_very_state() -> None:
    guarded = guarded_by(STATIC)
    told(guarded, 55_000)
    state = remembered(guarded)
    after, found = own(guarded).step(state, guarded.venue.timer(), guarded.engine.account)
    assert after is state
    assert found == ()


@pytest.mark.parametrize(("amount", "measured"), [(20, []), ("20.01", ["20.01"])])
def test_a_hundredth_of_the_drawdown_needs_no_warning(amount: int | str, measured: list[str]) -> None:
    guarded = guarded_by(STATIC)
    venue = guarded.venue
    venue.balance_micros += micros(amount)
    for _ in range(2):
        guarded.feed(venue.timer(after_s=3), venue.account())
    assert [one.measured for one in guarded.warnings] == [micros(one) for one in measured]


def test_what_came_and_left_again_with_more_is_one_warning_of_the_whole() -> None:
    guarded = guarded_by(STATIC)
    told(guarded, 50_500)
    told(guarded, 49_500)
    assert [one.measured for one in guarded.warnings] == [micros(500), micros(-1000)]


@pytest.mark.parametrize(("start", "room"), [(32_000, []), ("31999.99", ["20000.01"])])
def test_a_floor_ten_drawdowns_away_is_not_far(start: int | str, room: list[str]) -> None:
    guarded = guarded_by({"max_drawdown": 2000, "mode": "static", "starting_balance": start})
    assert [(one.code, one.measured) for one in guarded.warnings] == [("FLOOR_FAR", micros(one)) for one in room]


def test_an_open_profit_is_part_of_the_room() -> None:
    guarded = Guarded(venue=Scenario())
    venue = guarded.venue
    guarded.feed(venue.quote(ES, 5800), venue.buys(ES, 1, 5800), venue.quote(ES, 5810))
    guarded.change_rules(rule({"max_drawdown": 2000, "mode": "static", "starting_balance": 32_000}))
    guarded.feed(venue.timer(after_s=5), venue.snapshot())
    assert [(one.code, one.measured) for one in guarded.warnings] == [("FLOOR_FAR", micros(20_500))]


def test_a_millionth_of_a_dollar_is_not_nothing() -> None:
    guarded = guarded_by({**STATIC, "max_drawdown": 60_000})
    guarded.feed(guarded.venue.result("-49999.999999"))
    assert guarded.codes == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        # 200 gained today, of which 100 are given back; the high is 250.
        (INTRADAY, (1_850_000_000, 150_000_001)),
        ({**INTRADAY, "max_drawdown": 60_000, "frame": "profit"}, (50_100_000_000, 150_000_001)),
    ],
)
def test_it_is_not_asked_between_the_floor_and_a_new_high(options: dict[str, Any], expected: tuple[int, int]) -> None:
    guarded = guarded_by(options)
    venue = guarded.venue
    guarded.feed(venue.result(200), venue.timer(after_s=3), venue.account(), venue.quote(ES, 5800))
    guarded.feed(venue.buys(ES, 1, 5800), venue.quote(ES, 5801), venue.quote(ES, 5798))
    slack = own(guarded).slack(remembered(guarded), guarded.engine.account)
    assert slack is not None
    assert (slack.down_micros, slack.up_micros, slack.until_ns) == (*expected, START_NS + 8 * HOUR_NS)


# -- levels that an administrator changes -----------------------------------------------------------------------------

LOCKED: dict[str, Any] = {**TRAILING, "lock_at": 50_000, "lock_until_changed": True}


@pytest.mark.parametrize(
    "changed",
    [
        {"max_drawdown": 2500},
        {"lock_at": 50_001},
        {"floors": [{"from_day": "2025-01-20", "floor": 1}]},
        {"restarts": [{"from_day": "2025-01-20", "starting_balance": 1}]},
    ],
)
def test_any_changed_level_ends_the_lock(changed: dict[str, Any]) -> None:
    guarded = guarded_by(LOCKED)
    guarded.feed(guarded.venue.result(-2000), guarded.venue.result(500))
    guarded.change_rules(rule({**LOCKED, "action": "flatten"}))
    assert len(guarded.lockouts) == 1
    state, account = remembered(guarded), guarded.engine.account
    after, found = rule({**LOCKED, **changed}).step(state, guarded.venue.timer(), account)
    assert found == (Release("drawdown", ACCOUNT, "levels changed"),)
    assert after == replace(state, broken=())


def test_levels_changed_while_it_is_still_broken_end_the_lock_later() -> None:
    guarded = guarded_by(LOCKED)
    guarded.feed(guarded.venue.result(-3000))
    guarded.change_rules(rule({**LOCKED, "max_drawdown": 2500}))
    assert len(guarded.lockouts) == 1
    guarded.feed(guarded.venue.result(501))
    assert not guarded.lockouts

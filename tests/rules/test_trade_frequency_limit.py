"""RULE-006: not more than so many trades in a minute, an hour, a session."""

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_manager.domain.actions import Action, CancelOrder, ClosePosition, ReducePosition, TakeSnapshot
from risk_manager.domain.contract import Contract
from risk_manager.domain.events import ActionAccepted, FillReceived
from risk_manager.domain.fill import Fill
from risk_manager.domain.finding import Unit
from risk_manager.domain.lockout import LockoutKind, OnLock
from risk_manager.domain.order import OrderStatus, Side
from risk_manager.domain.scope import ACCOUNT
from risk_manager.rules import MaxContracts, OptionsInvalid, build_rule, options_of
from risk_manager.rules._base import Rule
from risk_manager.rules.trade_frequency_limit import Limits, TradeFrequencyLimit, Window
from risk_manager.testing.events import DAYS, ES, HOUR_NS, MNQ, NQ, SECOND_NS, START_NS, Scenario
from risk_manager.testing.guarded import Guarded

MS = 1_000_000
MINUTE_NS = 60 * SECOND_NS
DAY_END_NS = DAYS.starts_ns[3]
BUY, SELL = Side.BUY, Side.SELL


def rule(**options: Any) -> TradeFrequencyLimit:
    return build_rule(TradeFrequencyLimit, options or {"limits": {"per_minute": 3}})


class Scene(Guarded):
    """An account under the rule; times are nanoseconds after the start, and exact."""

    def __init__(self, *others: Rule, venue: Scenario | None = None, **options: Any) -> None:
        super().__init__(rule(**options), *others, venue=venue if venue is not None else Scenario(step_ns=1))

    def at(self, after_ns: int) -> None:
        """The venue's next event carries exactly this time."""
        self.venue.now_ns = START_NS + after_ns - 1

    def buys(self, *times_ns: int, product: Contract = ES) -> None:
        for after_ns in times_ns:
            self.at(after_ns)
            self.feed(self.venue.buys(product, 1, 5800))

    def quote(self, after_ns: int) -> None:
        self.at(after_ns)
        self.feed(self.venue.quote(ES, 5800))

    @property
    def calls(self) -> list[Action]:
        """What was sent to change something."""
        return [action for action in self.actions if not isinstance(action, TakeSnapshot)]

    @property
    def ends(self) -> list[int]:
        """How long after the start each lockout ends."""
        return [lock.until_ns - START_NS for lock in self.lockouts if lock.until_ns is not None]


def told(key: int, side: Side, size: int, after_ns: int, order: str | None = None) -> FillReceived:
    """A fill by itself, without the position it leads to."""
    pnl = -1 if side is SELL else None
    fill = Fill(str(key), order or f"o{key}", ES.id, side, size, 23_200, START_NS + after_ns, pnl)
    return FillReceived("1001", fill, START_NS + after_ns, START_NS + after_ns)


def seconds(*times: int) -> tuple[int, ...]:
    return tuple(time * SECOND_NS for time in times)


# -- the limit ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [BUY, SELL])
def test_allows_three_and_fires_at_the_fourth(side: Side) -> None:
    scene = Scene()
    for second in (1, 2, 3):
        scene.at(second * SECOND_NS)
        scene.feed(scene.venue.buys(ES, 1, 5800) if side is BUY else scene.venue.sells(ES, 1, 5800))
    assert scene.findings == []
    scene.at(4 * SECOND_NS)
    scene.feed(scene.venue.buys(ES, 1, 5800) if side is BUY else scene.venue.sells(ES, 1, 5800))
    (breach,) = scene.breaches
    assert (breach.code, breach.measured, breach.limit, breach.unit) == ("TRADE_FREQUENCY_MINUTE", 4, 3, Unit.ORDERS)
    assert breach.scope == ACCOUNT
    assert dict(breach.evidence) == {"count_unit": "order", "window": "60 s", "cooldown": "60 s"}
    (lock,) = scene.lockouts
    assert (lock.kind, lock.on_lock, lock.scope) == (LockoutKind.COOLDOWN, OnLock.BLOCK_NEW, ACCOUNT)
    assert scene.ends == [64 * SECOND_NS]


@pytest.mark.parametrize(
    ("times", "fires"),
    [
        (seconds(1, 21, 41, 60), True),
        ((*seconds(1, 21, 41), 61 * SECOND_NS - 1), True),  # a nanosecond short of a minute
        (seconds(1, 21, 41, 61), False),  # exactly a minute old is out
        ((*seconds(1, 21, 41), 61 * SECOND_NS + 1), False),
        (seconds(5, 5, 5, 5), True),  # of one instant, and still four
        (seconds(1, 11, 21, 71), False),
        (seconds(1, 30, 62, 63, 89), True),  # 30, 62, 63 and 89
        (seconds(1, 30, 62, 63, 90), False),
    ],
)
def test_a_minute_is_the_last_sixty_seconds(times: tuple[int, ...], *, fires: bool) -> None:
    scene = Scene()
    scene.buys(*times)
    assert scene.codes == (["TRADE_FREQUENCY_MINUTE"] if fires else [])


@pytest.mark.parametrize(
    ("limit", "length_s", "code"),
    [("per_minute", 60, "TRADE_FREQUENCY_MINUTE"), ("per_hour", 3600, "TRADE_FREQUENCY_HOUR")],
)
def test_each_window_has_its_length(limit: str, length_s: int, code: str) -> None:
    for last_s, codes in ((length_s, [code]), (length_s + 1, [])):
        scene = Scene(limits={limit: 2})
        scene.buys(*seconds(1, 2, last_s))
        assert scene.codes == codes


def test_what_is_out_of_the_window_is_not_shown_either() -> None:
    """A-17: at 70 s the last minute holds the trades of 20 s and of 70 s."""
    scene = Scene(limits={"per_minute": 3, "per_hour": 10})
    scene.buys(*seconds(1, 10, 20, 70))
    (minute, hour) = scene.gauges
    assert (minute.label, minute.used, minute.limit, minute.unit) == ("orders in a minute", 2, 3, Unit.ORDERS)
    assert (hour.label, hour.used, hour.limit) == ("orders in an hour", 4, 10)
    scene.quote(80 * SECOND_NS - 1)
    assert scene.gauges[0].used == 2
    scene.quote(80 * SECOND_NS)
    assert scene.gauges[0].used == 1


def test_does_not_fire_by_itself_when_time_passes() -> None:
    scene = Scene()
    scene.buys(*seconds(1, 2, 3))
    for second in range(4, 120, 7):
        scene.quote(second * SECOND_NS)
        scene.feed(scene.venue.snapshot(), scene.venue.timer())
    assert scene.decisions == []


# -- what is counted ---------------------------------------------------------------------------------------------------


def test_ten_contracts_in_five_parts_are_one_order() -> None:
    parts = [told(key, BUY, 2, (10 + key) * SECOND_NS, "o") for key in range(5)]
    scene = Scene(limits={"per_minute": 1})
    scene.feed(parts)
    assert scene.findings == []
    scene.feed(told(6, BUY, 1, 20 * SECOND_NS))
    assert [breach.measured for breach in scene.breaches] == [2]


def test_an_order_counts_when_it_began_to_fill() -> None:
    """Its last part comes 50 s later; a trade 61 s after the first is the only one in its minute."""
    scene = Scene(limits={"per_minute": 1})
    scene.feed(told(1, BUY, 1, SECOND_NS, "o"), told(2, BUY, 1, 51 * SECOND_NS, "o"))
    scene.feed(told(3, BUY, 1, 61 * SECOND_NS))
    assert scene.findings == []


FILLS = [
    told(1, BUY, 1, 1 * SECOND_NS, "in"),
    told(2, BUY, 2, 2 * SECOND_NS, "in"),
    told(3, BUY, 1, 3 * SECOND_NS, "more"),
    told(4, SELL, 3, 4 * SECOND_NS, "less"),
    told(5, SELL, 1, 5 * SECOND_NS, "turn"),
    told(6, SELL, 1, 6 * SECOND_NS, "turn"),
    told(7, BUY, 1, 7 * SECOND_NS, "out"),
]
"""Orders: in, more, less, turn, out. Entries: in, more, turn. Round turns: at 5 s and at 7 s."""


@pytest.mark.parametrize(
    ("count_unit", "count", "unit"),
    [("order", 5, Unit.ORDERS), ("fill", 7, Unit.TRADES), ("entry", 3, Unit.ORDERS), ("round_turn", 2, Unit.TRADES)],
)
def test_counts_what_it_is_told_to(count_unit: str, count: int, unit: Unit) -> None:
    scene = Scene(count_unit=count_unit, limits={"per_minute": count})
    scene.feed(FILLS)
    assert scene.findings == []
    assert [(gauge.used, gauge.unit) for gauge in scene.gauges] == [(count, unit)]
    if count > 1:
        scene = Scene(count_unit=count_unit, limits={"per_minute": count - 1})
        scene.feed(FILLS)
        assert [(breach.measured, breach.unit) for breach in scene.breaches] == [(count, unit)]


def test_an_order_that_turns_the_position_is_an_entry_as_soon_as_it_opens() -> None:
    """Its first part closed; the entry it becomes with the second has the time of the first."""
    scene = Scene(count_unit="entry", limits={"per_minute": 1})
    scene.feed(told(1, BUY, 1, SECOND_NS), told(2, SELL, 1, 10 * SECOND_NS, "turn"))
    assert scene.findings == []
    scene.feed(told(3, SELL, 1, 11 * SECOND_NS, "turn"))
    assert [breach.measured for breach in scene.breaches] == [2]
    assert scene.ends == [70 * SECOND_NS]


def test_all_products_count_together() -> None:
    scene = Scene()
    for second, product in enumerate((ES, NQ, MNQ, ES), 1):
        scene.buys(second * SECOND_NS, product=product)
    assert scene.codes == ["TRADE_FREQUENCY_MINUTE"]


@pytest.mark.parametrize("count_unit", ["order", "fill"])
def test_what_the_guard_closes_is_not_counted(count_unit: str) -> None:
    scene = Scene(build_rule(MaxContracts, {"limit": 1}), limits={"per_minute": 3}, count_unit=count_unit)
    scene.buys(SECOND_NS)
    for second in (2, 6):
        scene.buys(second * SECOND_NS)
        reduction = scene.actions[-1]
        assert isinstance(reduction, ReducePosition)
        scene.feed(ActionAccepted("1001", reduction.id, 0, scene.venue.now_ns), scene.venue.sells(ES, 1, 5800))
    assert scene.gauges[0].used == 3
    assert "TRADE_FREQUENCY_MINUTE" not in scene.codes
    scene.buys(10 * SECOND_NS)
    assert "TRADE_FREQUENCY_MINUTE" in scene.codes


def test_what_the_trader_closes_is_counted() -> None:
    scene = Scene()
    scene.buys(*seconds(1, 2))
    scene.feed(scene.venue.sells(ES, 1, 5800), scene.venue.sells(ES, 1, 5800))
    assert [breach.measured for breach in scene.breaches] == [4]


def test_a_round_turn_counts_whoever_ended_it() -> None:
    # One contract is allowed and two are closed completely: both turns are ended by the guard.
    guard = build_rule(MaxContracts, {"limit": 1, "action": "close_position"})
    scene = Scene(guard, limits={"per_minute": 1}, count_unit="round_turn")
    for second in (1, 12):
        scene.at(second * SECOND_NS)
        scene.feed(scene.venue.buys(ES, 2, 5800))
        close = scene.actions[-1]
        assert isinstance(close, ClosePosition)
        scene.feed(ActionAccepted("1001", close.id, 0, scene.venue.now_ns), scene.venue.closes(ES, 5800))
        scene.feed(scene.venue.snapshot(), scene.venue.snapshot())
    assert len(scene.engine.account.guard_order_ids) == 2
    assert "TRADE_FREQUENCY_MINUTE" in scene.codes


def test_a_fill_taken_back_is_not_counted() -> None:
    scene = Scene()
    scene.buys(*seconds(1, 2))
    scene.at(3 * SECOND_NS)
    fill, position = scene.venue.buys(ES, 1, 5800)
    scene.feed(fill, position)
    assert isinstance(fill, FillReceived)
    scene.feed(scene.venue.voided(fill))
    assert scene.gauges[0].used == 2
    scene.buys(4 * SECOND_NS)
    assert scene.findings == []
    scene.buys(5 * SECOND_NS)
    assert scene.codes == ["TRADE_FREQUENCY_MINUTE"]


def test_a_lock_outlives_the_trade_it_was_set_for() -> None:
    scene = Scene()
    scene.buys(*seconds(1, 2, 3))
    scene.at(4 * SECOND_NS)
    fill, position = scene.venue.buys(ES, 1, 5800)
    scene.feed(fill, position)
    assert isinstance(fill, FillReceived)
    scene.feed(scene.venue.voided(fill))
    assert scene.ends == [64 * SECOND_NS]
    assert len(scene.breaches) == 1


def test_a_trade_told_again_is_one() -> None:
    scene = Scene()
    fills = [told(key, BUY, 1, key * SECOND_NS) for key in (1, 2, 3)]
    scene.feed(fills, fills, fills[0], scene.venue.snapshot())
    assert scene.findings == []


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_it_does_not_matter_in_what_order_trades_are_told(order: tuple[int, ...]) -> None:
    fills = [told(key, BUY, 1, (10 + key) * SECOND_NS) for key in range(4)]
    scene = Scene()
    for index in order:
        assert scene.findings == []
        scene.feed(fills[index])
    assert [breach.measured for breach in scene.breaches] == [4]
    assert scene.ends == [73 * SECOND_NS]


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4), (4, 3, 2, 1, 0), (0, 1, 2, 4, 3), (3, 4, 0, 2, 1)])
def test_nor_for_the_end_of_a_burst(order: tuple[int, ...]) -> None:
    """Five orders within a second, and four would have been too many."""
    fills = [told(key, BUY, 1, 10 * SECOND_NS + 200 * MS * key) for key in range(5)]
    scene = Scene()
    scene.feed(fills[index] for index in order)
    assert scene.ends == [70 * SECOND_NS + 800 * MS]


def test_fills_of_a_snapshot_count_like_those_of_the_stream() -> None:
    scene = Scene()
    scene.buys(*seconds(1, 2))
    for second in (3, 4):
        scene.at(second * SECOND_NS)
        scene.venue.buys(ES, 1, 5800)  # nobody told
    scene.feed(scene.venue.snapshot())
    assert scene.codes == ["TRADE_FREQUENCY_MINUTE"]
    assert scene.ends == [64 * SECOND_NS]


# -- the session -------------------------------------------------------------------------------------------------------


def test_the_session_is_the_whole_trading_day_and_locks_until_it_ends() -> None:
    scene = Scene(limits={"per_session": 3})
    scene.buys(*(hour * HOUR_NS for hour in (1, 3, 5)))
    assert scene.findings == []
    scene.buys(7 * HOUR_NS)
    (breach,) = scene.breaches
    assert (breach.code, breach.measured) == ("TRADE_FREQUENCY_SESSION", 4)
    assert dict(breach.evidence)["window"] == "trading day"
    assert [lock.until_ns for lock in scene.lockouts] == [DAY_END_NS]


def test_a_new_trading_day_begins_a_new_session() -> None:
    scene = Scene(limits={"per_session": 3})
    scene.buys(*(8 * HOUR_NS - second * SECOND_NS for second in (4, 3, 2, 1)))
    assert len(scene.breaches) == 1
    scene.buys(8 * HOUR_NS)
    assert scene.lockouts == ()
    assert scene.gauges[0].used == 1
    scene.buys(*(8 * HOUR_NS + second * SECOND_NS for second in (1, 2)))
    assert len(scene.breaches) == 1
    scene.buys(8 * HOUR_NS + 3 * SECOND_NS)
    assert [breach.code for breach in scene.breaches] == ["TRADE_FREQUENCY_SESSION"] * 2
    assert scene.ends == [DAYS.starts_ns[4] - START_NS]


def test_a_new_trading_day_does_not_empty_the_last_minute() -> None:
    scene = Scene(limits={"per_minute": 3, "per_session": 50})
    scene.buys(*(8 * HOUR_NS + second * SECOND_NS for second in (-20, -10, -1, 30)))
    assert scene.codes == ["TRADE_FREQUENCY_MINUTE"]
    assert scene.ends == [8 * HOUR_NS + 90 * SECOND_NS]
    assert [gauge.used for gauge in scene.gauges] == [4, 1]


def test_a_cooldown_goes_on_into_the_new_trading_day() -> None:
    scene = Scene()
    scene.buys(*(8 * HOUR_NS - second * SECOND_NS for second in (4, 3, 2, 1)))
    scene.quote(8 * HOUR_NS + 58 * SECOND_NS)
    assert scene.ends == [8 * HOUR_NS + 59 * SECOND_NS]
    scene.quote(8 * HOUR_NS + 59 * SECOND_NS)
    assert scene.lockouts == ()


# -- several limits ----------------------------------------------------------------------------------------------------


def test_of_several_broken_limits_the_latest_end_counts() -> None:
    scene = Scene(limits={"per_minute": 3, "per_hour": 3})
    scene.buys(*seconds(1, 2, 3, 4))
    assert scene.codes == ["TRADE_FREQUENCY_MINUTE", "TRADE_FREQUENCY_HOUR"]
    assert scene.ends == [4 * SECOND_NS + 30 * MINUTE_NS]
    scene = Scene(limits={"per_minute": 3, "per_hour": 3, "per_session": 3})
    scene.buys(*seconds(1, 2, 3, 4))
    assert len(scene.codes) == 3
    assert [lock.until_ns for lock in scene.lockouts] == [DAY_END_NS]


def test_a_later_breach_of_a_shorter_limit_does_not_shorten_the_lock() -> None:
    scene = Scene(limits={"per_minute": 2, "per_hour": 4})
    scene.buys(1, *(minute * MINUTE_NS for minute in (5, 10, 15, 20)))
    assert scene.ends == [50 * MINUTE_NS]
    scene.buys(*(20 * MINUTE_NS + second * SECOND_NS for second in (10, 20)))
    assert [gauge.used for gauge in scene.gauges] == [3, 7]
    assert scene.ends == [50 * MINUTE_NS]


def test_windows_of_other_lengths() -> None:
    scene = Scene(windows=[{"seconds": 300, "max": 2, "cooldown": "15m"}, {"length": "2m", "max": 1}])
    scene.buys(*seconds(1, 122, 243))
    (breach,) = scene.breaches
    assert (breach.code, breach.measured, breach.limit) == ("TRADE_FREQUENCY_300S", 3, 2)
    assert scene.ends == [243 * SECOND_NS + 15 * MINUTE_NS]
    assert [(gauge.label, gauge.used) for gauge in scene.gauges] == [("orders in 300 s", 3), ("orders in 120 s", 1)]
    scene.buys(*seconds(244))
    assert "TRADE_FREQUENCY_120S" in scene.codes
    assert [lock.until_ns for lock in scene.lockouts] == [DAY_END_NS]


# -- the cooldown ------------------------------------------------------------------------------------------------------


def test_ends_at_its_exact_second() -> None:
    scene = Scene()
    scene.buys(*seconds(1, 2, 3, 4))
    scene.quote(64 * SECOND_NS - 1)
    assert scene.ends == [64 * SECOND_NS]
    scene.quote(64 * SECOND_NS)
    assert scene.lockouts == ()


def test_at_its_end_an_order_may_rest_again() -> None:
    scene = Scene()
    scene.buys(*seconds(1, 2, 3, 4))
    for second in (10, 20, 30):
        scene.at(second * SECOND_NS)
        scene.feed(scene.venue.snapshot())
    assert scene.engine.enforcer.open_intents == ()
    scene.at(64 * SECOND_NS)
    scene.feed(scene.venue.order(ES, BUY, 1, limit=5700))
    assert scene.calls == []


def test_one_that_lasted_until_the_trading_day_ended_is_over_with_it() -> None:
    """A guard that starts in the new day finds the trades of the old one still in the minute."""
    venue = Scenario(step_ns=1)
    for second in (4, 3, 2, 1):
        venue.now_ns = DAY_END_NS - second * SECOND_NS
        venue.buys(ES, 1, 5800)
    venue.now_ns = DAY_END_NS + 10 * SECOND_NS
    options = {"limits": {"per_minute": 3}, "cooldown_on_breach": {"per_minute": "reset"}}
    scene = Scene(venue=venue, **options)
    assert scene.gauges[0].used == 4
    assert scene.lockouts == ()


def test_has_the_length_it_is_given() -> None:
    cooldowns = {"per_minute": "90s", "per_hour": 600, "per_session": "1h"}
    for limit, length_s in (("per_minute", 90), ("per_hour", 600), ("per_session", 3600)):
        scene = Scene(limits={limit: 1}, cooldown_on_breach=cooldowns)
        scene.buys(*seconds(1, 2))
        assert scene.ends == [(2 + length_s) * SECOND_NS]


def test_trades_during_it_are_undone_and_counted_but_do_not_renew_it() -> None:
    scene = Scene()
    scene.buys(*seconds(1, 2, 3, 4))
    assert scene.calls == []
    scene.buys(20 * SECOND_NS)
    assert [(action.contract_id, action.size) for action in scene.actions if isinstance(action, ReducePosition)] == [
        (ES.id, 1)
    ]
    assert scene.gauges[0].used == 5
    assert scene.ends == [64 * SECOND_NS]


def test_trades_during_it_renew_it_on_request() -> None:
    scene = Scene(limits={"per_minute": 3}, extend=True)
    scene.buys(*seconds(1, 2, 3, 4, 20))
    assert scene.ends == [80 * SECOND_NS]
    # At 65 s only the trade of 20 s is left of the last minute: two, which is allowed.
    scene.buys(*seconds(65))
    assert scene.ends == [80 * SECOND_NS]


def test_the_next_trade_after_it_fires_again_while_the_older_ones_still_count() -> None:
    """A-17: an hour does not begin anew after half an hour of cooldown."""
    scene = Scene(limits={"per_hour": 3})
    scene.buys(*seconds(1, 2, 3, 4))
    scene.quote(1804 * SECOND_NS)
    assert scene.lockouts == ()
    scene.feed(scene.venue.snapshot(), scene.venue.timer())
    assert len(scene.breaches) == 1
    scene.buys(1900 * SECOND_NS)
    assert [breach.measured for breach in scene.breaches] == [4, 5]
    assert scene.ends == [3700 * SECOND_NS]


def test_after_it_trading_goes_on_when_the_older_ones_are_out() -> None:
    scene = Scene()
    scene.buys(*seconds(1, 2, 3, 4, 64, 65, 66))
    assert len(scene.breaches) == 1
    assert scene.lockouts == ()
    scene.buys(67 * SECOND_NS)
    assert len(scene.breaches) == 2


def test_wakes_at_the_end_and_no_more_after_it() -> None:
    scene = Scene(limits={"per_minute": 3, "per_hour": 3})
    watched = scene.settings.rules[0]
    scene.buys(*seconds(1, 2, 3, 4))
    assert watched.deadline_ns(scene.engine._slots[0].state) == START_NS + 64 * SECOND_NS
    scene.quote(64 * SECOND_NS)
    scene.feed(scene.venue.timer())
    assert watched.deadline_ns(scene.engine._slots[0].state) == START_NS + 4 * SECOND_NS + 30 * MINUTE_NS
    scene.quote(4 * SECOND_NS + 30 * MINUTE_NS)
    scene.feed(scene.venue.timer())
    assert watched.deadline_ns(scene.engine._slots[0].state) is None


def test_a_limit_that_is_taken_away_leaves_no_wake_up_behind() -> None:
    scene = Scene()
    scene.buys(*seconds(1, 2, 3, 4))
    scene.change_rules(rule(limits={"per_session": 50}))
    assert scene.ends == [64 * SECOND_NS]
    assert scene.settings.rules[0].deadline_ns(scene.engine._slots[0].state) is None


def test_a_limit_made_smaller_holds_at_once() -> None:
    scene = Scene(limits={"per_minute": 5})
    scene.buys(*seconds(1, 2, 3, 4))
    scene.at(10 * SECOND_NS)
    scene.change_rules(rule())
    assert scene.codes == ["TRADE_FREQUENCY_MINUTE"]
    assert scene.ends == [64 * SECOND_NS]


# -- restarts and accounts ---------------------------------------------------------------------------------------------


def test_counts_on_over_a_restart() -> None:
    scene = Scene()
    for second in (1, 2, 3):
        scene.buys(second * SECOND_NS)
        scene.restart()
    assert scene.findings == []
    scene.buys(4 * SECOND_NS)
    assert scene.codes == ["TRADE_FREQUENCY_MINUTE"]


def test_a_restart_does_not_change_a_cooldown() -> None:
    scene = Scene()
    scene.buys(*seconds(1, 2, 3, 4))
    scene.restart()
    scene.at(30 * SECOND_NS)
    scene.feed(scene.venue.snapshot())
    (lock,) = scene.lockouts
    assert (lock.kind, lock.on_lock) == (LockoutKind.COOLDOWN, OnLock.BLOCK_NEW)
    assert scene.ends == [64 * SECOND_NS]
    assert len(scene.breaches) == 1
    scene.quote(64 * SECOND_NS)
    assert scene.lockouts == ()


@pytest.mark.parametrize(("start_s", "ends"), [(30, [64]), (63, [64]), (64, []), (70, [])])
def test_finds_at_the_start_what_happened_before_it(start_s: int, ends: list[int]) -> None:
    venue = Scenario(step_ns=1)
    for second in (1, 2, 3, 4):
        venue.now_ns = START_NS + second * SECOND_NS - 1
        venue.buys(ES, 1, 5800)
    venue.now_ns = START_NS + start_s * SECOND_NS
    scene = Scene(venue=venue)
    assert scene.ends == [second * SECOND_NS for second in ends]


def test_keeps_accounts_apart() -> None:
    mine, other = Scene(), Scene(venue=Scenario("1002", step_ns=1))
    mine.buys(*seconds(1, 2, 3, 4))
    other.buys(*seconds(1, 2, 3))
    assert (mine.codes, other.codes) == (["TRADE_FREQUENCY_MINUTE"], [])


# -- what is done ------------------------------------------------------------------------------------------------------


def test_a_pause_cancels_what_would_add_and_keeps_the_rest() -> None:
    scene = Scene()
    scene.buys(*seconds(1, 2, 3))
    scene.feed(
        scene.venue.order(ES, BUY, 1, limit=5700, order_id="adds"),
        scene.venue.order(ES, SELL, 4, stop=5700, order_id="protects"),
    )
    scene.buys(4 * SECOND_NS)
    assert [action.order_id for action in scene.actions if isinstance(action, CancelOrder)] == ["adds"]
    scene.feed(scene.venue.order(ES, BUY, 1, limit=5700, order_id="adds", status=OrderStatus.CANCELLED))
    assert not [action for action in scene.actions if isinstance(action, ClosePosition | ReducePosition)]
    assert scene.venue.positions[ES.id].net_contracts == 4


def test_a_pause_lets_positions_be_made_smaller() -> None:
    scene = Scene()
    scene.buys(*seconds(1, 2, 3, 4))
    scene.feed(scene.venue.sells(ES, 3, 5800), scene.venue.closes(ES, 5800))
    assert scene.calls == []


def test_may_flatten() -> None:
    scene = Scene(limits={"per_minute": 3}, action="flatten")
    scene.buys(*seconds(1, 2, 3, 4))
    assert [type(action) for action in scene.actions] == [ClosePosition]
    (lock,) = scene.lockouts
    assert (lock.kind, lock.on_lock, scene.ends) == (LockoutKind.COOLDOWN, OnLock.FLATTEN, [64 * SECOND_NS])


def test_may_only_say_so() -> None:
    scene = Scene(limits={"per_minute": 3}, action="alert")
    scene.buys(*seconds(1, 2, 3, 4))
    scene.feed(scene.venue.snapshot())
    assert (scene.codes, scene.actions, scene.lockouts) == (["TRADE_FREQUENCY_MINUTE"], [], ())


# -- options -----------------------------------------------------------------------------------------------------------


def test_has_defaults() -> None:
    built = build_rule(TradeFrequencyLimit, {})
    assert (built.limits.per_minute, built.limits.per_hour, built.limits.per_session) == (3, 10, 50)
    cooldowns = built.cooldown_on_breach
    assert (cooldowns.per_minute_ns, cooldowns.per_hour_ns, cooldowns.per_session_ns) == (
        60 * SECOND_NS,
        1800 * SECOND_NS,
        None,
    )
    assert (built.count_unit, built.action, built.extend, built.windows) == ("order", "pause", False, ())


@pytest.mark.parametrize(
    ("options", "limits", "windows", "action"),
    [
        ({"per_minute": 2, "per_hour": 9}, (2, 9, None), (), "pause"),
        ({"limits": {"per_minute": 2}, "per_hour": 9}, (2, 9, None), (), "pause"),
        ({"close_positions": True}, (3, 10, 50), (), "flatten"),
        ({"close_positions": False}, (3, 10, 50), (), "pause"),
        ({"cancel_orders": True}, (3, 10, 50), (), "pause"),
        (
            {"max_trades": 30, "time_window_minutes": 60},
            (None, None, None),
            (Window(length_ns=HOUR_NS, max=30, cooldown_ns=HOUR_NS),),
            "pause",
        ),
        (
            {"windows": [{"seconds": 300, "max": 5}]},
            (None, None, None),
            (Window(length_ns=300 * SECOND_NS, max=5),),
            "pause",
        ),
    ],
)
def test_understands_older_spellings(
    options: dict[str, Any], limits: tuple[int | None, ...], windows: tuple[Window, ...], action: str
) -> None:
    built = build_rule(TradeFrequencyLimit, options)
    assert (built.limits.per_minute, built.limits.per_hour, built.limits.per_session) == limits
    assert (built.windows, built.action) == (windows, action)
    assert build_rule(TradeFrequencyLimit, options_of(built)) == built


@pytest.mark.parametrize("value", ["reset", "until_reset"])
def test_a_cooldown_may_last_until_the_reset(value: str) -> None:
    built = rule(limits={"per_minute": 1}, cooldown_on_breach={"per_minute": value})
    assert built.cooldown_on_breach.per_minute_ns is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limits": {"per_minute": 0}}, "above 0"),
        ({"limits": {"per_minute": -3}}, "above 0"),
        ({"limits": {"per_minute": 2.5}}, "whole number"),
        ({"limits": {"per_minute": True}}, "whole number"),
        ({"limits": {}}, "names no limit"),
        ({"limits": {"per_minute": 11, "per_hour": 10}}, "can never matter"),
        ({"limits": {"per_hour": 51, "per_session": 50}}, "can never matter"),
        ({"limits": {"per_minute": 51, "per_session": 50}}, "can never matter"),
        ({"limits": {"per_day": 5}}, "per_day"),
        ({"limits": {"per_minute": 2}, "per_minute": 3}, "said twice"),
        ({"windows": [{"seconds": 300, "max": 5}, {"length": "5m", "max": 6}]}, "same length"),
        ({"windows": [{"seconds": 0, "max": 5}]}, "above 0"),
        ({"windows": [{"seconds": 300}]}, "max"),
        ({"cancel_orders": False}, "must be true"),
        ({"close_positions": "yes"}, "true or false"),
        ({"close_positions": True, "action": "pause"}, "said twice"),
        ({"action": "alert", "extend": True}, "no cooldown"),
        ({"count_unit": "trades"}, "must be one of"),
        ({"max_trades": 30}, "time_window_minutes"),
        ({"max_trades": 30, "time_window_minutes": 60, "windows": []}, "said twice"),
        ({"cooldown_on_breach": {"per_minute": 0}}, "above 0"),
    ],
)
def test_refuses_options_that_make_no_sense(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionsInvalid, match=message):
        build_rule(TradeFrequencyLimit, options)


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (
            {"limits": {"per_minute": 5, "per_hour": 4}},
            "limits.per_minute: is 5 and so can never matter: per_hour is 4",
        ),
        ({"limits": {}}, "limits: names no limit; write per_minute, per_hour, per_session or windows"),
        (
            {"windows": [{"seconds": 9, "max": 1}, {"seconds": 9, "max": 2}]},
            "windows: has two of the same length; leave the weaker one out",
        ),
        ({"cancel_orders": False}, "cancel_orders: must be true: a resting order would trade during the cooldown"),
        ({"action": "alert", "extend": True}, "extend: has no cooldown to make longer when the action is alert"),
        ({"close_positions": "no"}, "close_positions: must be true or false"),
        ({"close_positions": True, "action": "pause"}, "action: is said twice, also as close_positions"),
    ],
)
def test_says_what_is_to_be_corrected(options: dict[str, Any], fault: str) -> None:
    with pytest.raises(OptionsInvalid) as refused:
        build_rule(TradeFrequencyLimit, options)
    assert [str(one) for one in refused.value.faults] == [fault]


def test_a_window_takes_the_place_of_the_usual_limits_but_not_of_written_ones() -> None:
    window = {"windows": [{"seconds": 9, "max": 1}]}
    assert build_rule(TradeFrequencyLimit, window).limits == Limits()
    written = build_rule(TradeFrequencyLimit, {**window, "limits": {"per_hour": 4}})
    assert written.limits == Limits(per_hour=4)


@pytest.mark.parametrize(
    "limits", [{"per_minute": 10, "per_hour": 10, "per_session": 10}, {"per_minute": 3, "per_hour": 10}]
)
def test_limits_may_be_equal_and_need_not_be_multiples(limits: dict[str, int]) -> None:
    """Another program asked for minute x 60 <= hour and hour x 8 <= session, and refused its own defaults."""
    assert rule(limits=limits).limits.per_minute == limits["per_minute"]


# -- in general --------------------------------------------------------------------------------------------------------


@given(times=st.lists(st.integers(0, 400), max_size=25), most=st.integers(1, 4), told_order=st.randoms())
def test_locks_until_the_right_time_whatever_happens(times: list[int], most: int, told_order: Any) -> None:
    """Against the plain definition: after each cooldown, the first trade with as many before it in its minute."""
    times = sorted(times)
    fired = end = -100
    for index, now in enumerate(times):
        if now >= end:
            if sum(now - 60 < one for one in times[: index + 1]) > most:
                fired, end = now, now + 60
        elif now <= fired + 1:
            end = now + 60
    scene = Scene(limits={"per_minute": most})
    fills = [told(key, BUY, 1, (second + 1) * SECOND_NS) for key, second in enumerate(times)]
    scene.feed(fills)
    now = times[-1] if times else 0
    assert scene.ends == ([] if end <= now else [(end + 1) * SECOND_NS])
    # All at once, as at a start, it comes to the same.
    venue = Scenario(step_ns=1)
    venue.fills = {event.fill.id: event.fill for event in fills}
    venue.now_ns = START_NS + (now + 1) * SECOND_NS - 2
    told_order.shuffle(fills)
    assert Scene(venue=venue, limits={"per_minute": most}).ends == scene.ends

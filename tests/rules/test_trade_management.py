"""RULE-012: stops and targets placed and moved for the trader."""

from typing import Any

import pytest
from msgspec.structs import replace

from risk_manager.domain.actions import CancelOrder, ModifyOrder, PlaceStop
from risk_manager.domain.finding import Breach, Protect
from risk_manager.domain.order import OrderStatus, OrderType, Side
from risk_manager.engine import Mode
from risk_manager.rules import OptionsInvalid, build_rule, options_of
from risk_manager.rules.no_stop_loss_grace import NoStopLossGrace
from risk_manager.rules.trade_management import TradeManagement
from risk_manager.testing.events import ES, ES_JUNE, MNQ, Scenario
from tests.engine.resting import Resting

STOP = {"enabled": True, "ticks": 40}
"""Ten points of ES."""
TARGET = {"enabled": True, "ticks": 80}
BREAKEVEN = {"enabled": True, "profit_trigger_ticks": 20, "offset_ticks": 4}
TRAIL = {"enabled": True, "activation_ticks": 40, "trail_distance_ticks": 20}


def rule(**options: Any) -> TradeManagement:
    return build_rule(TradeManagement, options)


def managed(**options: Any) -> Resting:
    return Resting(rule(**options))


@pytest.mark.parametrize(("sign", "stop", "target"), [(1, 5790, 5820), (-1, 5810, 5780)])
def test_a_new_position_gets_its_stop_and_target(sign: int, stop: float, target: float) -> None:
    scene = managed(auto_stop_loss=STOP, auto_take_profit=TARGET)
    if sign > 0:
        scene.long(2)
    else:
        scene.short(2)
    scene.passes(1)
    assert scene.own() == [("stop", 2, stop), ("limit", 2, target)]
    assert all(order.side is (Side.SELL if sign > 0 else Side.BUY) for order in scene.venue.orders.values())
    assert not any(isinstance(finding, Breach) for finding in scene.findings)


def test_every_part_is_off_until_it_is_switched_on() -> None:
    scene = managed(auto_take_profit=TARGET, auto_stop_loss={"ticks": 40})
    scene.long(1)
    assert scene.own() == [("limit", 1, 5820)]


def test_uses_the_micro_s_tick_as_the_example_says() -> None:
    scene = managed(auto_stop_loss={"enabled": True, "ticks": 10}, auto_breakeven={"enabled": True})
    scene.long(2, 21000, MNQ)
    assert scene.own(MNQ) == [("stop", 2, 20997.5)]
    scene.trades_at(21002.25, MNQ)
    assert scene.own(MNQ) == [("stop", 2, 20997.5)]
    scene.trades_at(21002.5, MNQ)
    assert scene.own(MNQ) == [("stop", 2, 21000)]
    scene.feed(scene.venue.sells(MNQ, 1, 21003))
    assert scene.own(MNQ) == [("stop", 1, 21000)]
    scene.feed(scene.venue.sells(MNQ, 1, 21003))
    assert scene.own(MNQ) == []


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("moves", "expected"), [((4.75,), -10), ((5,), 1), ((5, -8), 1), ((6, 4), 1)])
def test_breakeven_at_the_trigger_and_not_a_tick_before(sign: int, moves: tuple[float, ...], expected: float) -> None:
    scene = managed(auto_stop_loss=STOP, auto_breakeven=BREAKEVEN)
    if sign > 0:
        scene.long(1)
    else:
        scene.short(1)
    for move in moves:
        scene.trades_at(5800 + sign * move)
    ((_, _, stop),) = scene.own()
    assert stop == 5800 + sign * expected


@pytest.mark.parametrize("sign", [1, -1])
def test_trails_and_never_goes_back(sign: int) -> None:
    scene = managed(trailing_stop=TRAIL)
    if sign > 0:
        scene.long(1)
    else:
        scene.short(1)
    seen = []
    for move in (9.75, 10, 12, 11, 8, 12.25):
        scene.trades_at(5800 + sign * move)
        seen.append([sign * (stop - 5800) for _, _, stop in scene.own()])
    assert seen == [[], [5], [7], [7], [7], [7.25]]


def test_moves_at_most_once_a_second_and_then_to_the_latest() -> None:
    scene = managed(trailing_stop=TRAIL)
    scene.long(1)
    scene.trades_at(5810)
    for move in range(1, 9):
        scene.venue.wait(0.1)
        scene.feed(scene.venue.quote(ES, 5810 + move))
    assert scene.own() == [("stop", 1, 5805)]
    due_ns = scene.engine.next_deadline_ns()
    assert due_ns is not None
    scene.venue.now_ns = due_ns
    scene.feed(scene.venue.timer())
    assert scene.own() == [("stop", 1, 5813)]
    moves = [action for action in scene.sent if isinstance(action, ModifyOrder)]
    assert len(moves) == 1


def test_moves_in_steps() -> None:
    scene = managed(trailing_stop={**TRAIL, "min_step_ticks": 8})
    scene.long(1)
    for price in (5810, 5811, 5811.75, 5812):
        scene.trades_at(price)
    assert [action.stop_ticks for action in scene.sent if isinstance(action, ModifyOrder)] == [5807 * 4]


def test_size_follows_the_position() -> None:
    scene = managed(auto_stop_loss=STOP, auto_take_profit=TARGET)
    scene.long(1)
    scene.passes(2)
    scene.long(2, 5806)
    scene.passes(2)
    # The average is 5804: the stop follows it up to 5794, the target to 5824.
    assert scene.own() == [("stop", 3, 5794), ("limit", 3, 5824)]
    scene.feed(scene.venue.sells(ES, 2, 5806))
    scene.passes(2)
    assert scene.own() == [("stop", 1, 5794), ("limit", 1, 5824)]


def test_adding_lower_does_not_loosen_the_stop() -> None:
    scene = managed(auto_stop_loss=STOP)
    scene.long(1)
    scene.passes(2)
    scene.long(1, 5796)
    scene.passes(2)
    assert scene.own() == [("stop", 2, 5790)]


def test_between_two_ticks_the_stop_loses_less() -> None:
    scene = managed(auto_stop_loss=STOP)
    scene.long(1)
    scene.passes(2)
    scene.long(1, 5800.25)
    scene.passes(2)
    assert scene.own() == [("stop", 2, 5790.25)]


def test_a_partly_filled_stop_stays_as_large_as_what_is_left() -> None:
    scene = managed(auto_stop_loss=STOP, auto_take_profit=TARGET)
    scene.long(3)
    scene.passes(2)
    scene.fills(scene.own_order(), 1)
    scene.passes(2)
    assert scene.own() == [("stop", 2, 5790), ("limit", 2, 5820)]


@pytest.mark.parametrize("kind", [OrderType.STOP, OrderType.LIMIT])
def test_when_one_has_filled_the_other_goes_and_the_end_is_proven(kind: OrderType) -> None:
    scene = managed(auto_stop_loss=STOP, auto_take_profit=TARGET)
    scene.long(2)
    scene.passes(2)
    scene.fills(scene.own_order(kind))
    assert scene.own() == []
    assert len(scene.protections) == 1
    for _ in range(3):
        scene.passes(3)
    assert scene.protections == []
    assert scene.venue.positions == {}
    assert sum(isinstance(action, CancelOrder) for action in scene.sent) == 1


def test_a_position_turned_round_gets_a_stop_on_its_own_side() -> None:
    scene = managed(auto_stop_loss=STOP)
    scene.long(1)
    scene.passes(2)
    scene.feed(scene.venue.sells(ES, 3, 5802))
    for _ in range(3):
        scene.passes(1)
    assert scene.own() == [("stop", 2, 5812)]
    assert scene.own_order().side is Side.BUY


def test_a_second_position_begins_afresh() -> None:
    scene = managed(auto_stop_loss=STOP, trailing_stop=TRAIL)
    scene.long(1)
    scene.trades_at(5812)
    assert scene.own() == [("stop", 1, 5807)]
    scene.feed(scene.venue.closes(ES, 5812))
    scene.passes(5)
    scene.long(1, 5812)
    scene.passes(2)
    assert scene.own() == [("stop", 1, 5802)]


def test_each_expiry_for_itself() -> None:
    scene = managed(auto_stop_loss=STOP)
    scene.long(1)
    scene.long(2, 5850, ES_JUNE)
    scene.passes(1)
    assert scene.own() == [("stop", 1, 5790)]
    assert scene.own(ES_JUNE) == [("stop", 2, 5840)]


# -- other people's orders --------------------------------------------------------------------------------------


def test_a_stop_of_the_trader_s_is_left_alone() -> None:
    scene = managed(auto_stop_loss=STOP, auto_breakeven=BREAKEVEN)
    venue = scene.venue
    manual = venue.order(ES, Side.SELL, 2, stop=5780)
    scene.feed(manual, venue.buys(ES, 2, 5800))
    scene.trades_at(5806)
    scene.passes(2)
    assert scene.own() == []
    assert scene.sent == []
    assert venue.orders[manual.order.id].stop_ticks == 5780 * 4


def test_what_the_trader_s_stop_leaves_bare_is_covered() -> None:
    scene = managed(auto_stop_loss=STOP)
    scene.feed(scene.venue.order(ES, Side.SELL, 1, stop=5780))
    scene.long(3)
    assert scene.own() == [("stop", 2, 5790)]


@pytest.mark.parametrize(("size", "left"), [(1, [("stop", 1, 5790)]), (2, []), (3, [])])
def test_a_stop_placed_by_hand_afterwards_takes_the_place_of_the_guard_s(size: int, left: list[Any]) -> None:
    scene = managed(auto_stop_loss=STOP)
    scene.long(2)
    scene.manual(size, stop=5785)
    scene.passes(1)
    assert scene.own() == left


def test_a_stop_taken_away_by_hand_is_made_up_for() -> None:
    scene = managed(auto_stop_loss=STOP)
    scene.long(2)
    order_id = scene.manual(2, stop=5785)
    scene.passes(2)
    scene.feed(scene.venue.order(ES, Side.SELL, 2, stop=5785, order_id=order_id, status=OrderStatus.CANCELLED))
    assert scene.own() == [("stop", 2, 5790)]


def test_the_guard_s_own_stop_comes_back_when_cancelled_but_not_more_than_once_a_second() -> None:
    scene = managed(auto_stop_loss=STOP)
    scene.long(1)
    for _ in range(3):
        order = scene.own_order()
        scene.tells(replace(order, status=OrderStatus.CANCELLED))
        assert scene.own() == []
        scene.passes(0.5)
        assert scene.own() == []
        scene.passes(0.6)
        assert scene.own() == [("stop", 1, 5790)]


@pytest.mark.parametrize("options", [{"adopt_existing_stop": True}, {"respect_manual_stops": False}])
def test_may_move_the_trader_s_stop_to_the_tighter_side(options: dict[str, Any]) -> None:
    scene = managed(auto_stop_loss=STOP, auto_breakeven=BREAKEVEN, **options)
    loose = scene.venue.order(ES, Side.SELL, 1, stop=5780)
    tight = scene.venue.order(ES, Side.SELL, 1, stop=5798)
    scene.feed(loose, tight)
    scene.long(2)
    scene.passes(2)
    assert scene.own() == []
    assert scene.venue.orders[loose.order.id].stop_ticks == 5790 * 4
    assert scene.venue.orders[tight.order.id].stop_ticks == 5798 * 4
    scene.trades_at(5806)
    scene.passes(3)
    assert {order.stop_ticks for order in scene.venue.orders.values()} == {5801 * 4}


def test_the_legs_of_a_bracket_count_from_the_fill_of_its_entry_on() -> None:
    """Two stops that fill together would turn the position round."""
    scene = managed(auto_stop_loss=STOP)
    venue = scene.venue
    entry = venue.order(ES, Side.BUY, 1, limit=5800, order_id="entry")
    leg = venue.order(ES, Side.SELL, 1, stop=5795, order_id="leg", parent_id="entry", status=OrderStatus.SUSPENDED)
    scene.feed(entry, leg)
    scene.feed(venue.order(ES, Side.BUY, 1, limit=5800, order_id="entry", status=OrderStatus.FILLED, filled=1))
    scene.long(1)
    assert scene.own() == []
    scene.feed(venue.order(ES, Side.SELL, 1, stop=5795, order_id="leg", parent_id="entry"))
    scene.passes(2)
    assert scene.own() == []


def test_the_legs_of_a_bracket_that_waits_do_not_count() -> None:
    scene = managed(auto_stop_loss=STOP)
    venue = scene.venue
    scene.feed(
        venue.order(ES, Side.BUY, 1, limit=5750, order_id="entry"),
        venue.order(ES, Side.SELL, 1, stop=5745, parent_id="entry", status=OrderStatus.SUSPENDED),
    )
    scene.long(1)
    assert scene.own() == [("stop", 1, 5790)]


def test_a_limit_order_of_the_trader_s_is_the_target() -> None:
    scene = managed(auto_take_profit=TARGET)
    scene.feed(scene.venue.order(ES, Side.SELL, 1, limit=5815))
    scene.long(3)
    assert scene.own() == [("limit", 2, 5820)]


# -- markets and beginnings -------------------------------------------------------------------------------------


def test_a_stop_the_market_is_through_is_not_sent_and_that_is_said() -> None:
    venue = Scenario()
    venue.position(ES, 1, 5800)
    scene = Resting(rule(auto_stop_loss=STOP), venue=venue)
    (placed,) = scene.sent
    assert isinstance(placed, PlaceStop)
    other = Resting(venue=Scenario())
    other.long(1)
    other.trades_at(5789)
    other.change_rules(rule(auto_stop_loss=STOP))
    other.passes(3)
    assert other.sent == []
    assert [skip.reason for skip in other.skipped] == [f"market_beyond_stop {ES.id}"]
    other.trades_at(5791)
    other.passes(3)
    assert other.own() == [("stop", 1, 5790)]


def test_a_position_found_in_profit_is_taken_as_it_is() -> None:
    scene = Resting(venue=Scenario())
    scene.long(1)
    scene.trades_at(5812)
    scene.change_rules(rule(auto_stop_loss=STOP, auto_breakeven=BREAKEVEN, trailing_stop=TRAIL))
    scene.passes(1)
    assert scene.own() == [("stop", 1, 5807)]


def test_says_when_the_entry_price_is_not_known() -> None:
    venue = Scenario()
    venue.contracts = ()
    scene = Resting(rule(auto_stop_loss=STOP), venue=venue)
    scene.long(1)
    assert scene.sent == []
    assert [skip.reason for skip in scene.skipped] == [f"entry_unknown {ES.id}"]
    venue.contracts = (ES,)
    scene.passes(3)
    assert scene.own() == [("stop", 1, 5790)]


def test_goes_on_over_a_restart() -> None:
    scene = managed(auto_stop_loss=STOP, auto_breakeven=BREAKEVEN, trailing_stop=TRAIL)
    scene.long(2)
    scene.trades_at(5814)
    assert scene.own() == [("stop", 2, 5809)]
    scene.restart()
    scene.forget()
    scene.trades_at(5811)
    scene.passes(3)
    assert scene.sent == []
    scene.trades_at(5815)
    assert scene.own() == [("stop", 2, 5810)]
    scene.feed(scene.venue.closes(ES, 5815))
    assert scene.own() == []


def test_shorter_distances_hold_at_once_and_longer_ones_from_the_next_position_on() -> None:
    scene = managed(auto_stop_loss=STOP)
    scene.long(1)
    scene.passes(2)
    scene.change_rules(rule(auto_stop_loss={"enabled": True, "ticks": 60}))
    scene.passes(3)
    assert scene.own() == [("stop", 1, 5790)]
    scene.change_rules(rule(auto_stop_loss={"enabled": True, "ticks": 20}))
    scene.passes(3)
    assert scene.own() == [("stop", 1, 5795)]


def test_switched_off_its_stop_stays_until_the_position_is_gone() -> None:
    scene = managed(auto_stop_loss=STOP)
    scene.long(1)
    scene.change_rules()
    scene.passes(3)
    assert scene.own() == [("stop", 1, 5790)]
    scene.feed(scene.venue.closes(ES, 5801))
    assert scene.own() == []


def test_observing_it_speaks_once_of_each_position_and_sends_nothing() -> None:
    scene = Resting(rule(auto_stop_loss=STOP, trailing_stop=TRAIL), mode=Mode.OBSERVE)
    for _ in range(2):
        scene.long(1)
        scene.trades_at(5812)
        scene.passes(3)
        scene.feed(scene.venue.closes(ES, 5812))
        scene.passes(3)
    assert scene.sent == []
    assert [type(finding) for finding in scene.findings] == [Protect, Protect]


def test_quotes_that_change_nothing_say_nothing() -> None:
    scene = managed(auto_stop_loss=STOP, trailing_stop=TRAIL)
    scene.long(1)
    scene.passes(2)
    scene.forget()
    for price in (5801, 5799, 5805, 5809.75, 5795):
        scene.trades_at(price)
    assert scene.decisions == []


def test_two_accounts_do_not_share_a_watermark() -> None:
    shared = rule(trailing_stop=TRAIL)
    first, second = Resting(shared), Resting(shared, venue=Scenario("1002"))
    for scene in (first, second):
        scene.long(1)
    first.trades_at(5812)
    second.trades_at(5801)
    assert (first.own(), second.own()) == ([("stop", 1, 5807)], [])


def test_places_the_stop_before_the_rule_that_demands_one_looks() -> None:
    """RULE-008 only verifies what RULE-012 has done."""
    verifying = build_rule(NoStopLossGrace, {"grace_period_seconds": 1, "warn_after_ms": 500})
    scene = Resting(verifying, rule(auto_stop_loss=STOP))
    scene.long(2)
    assert scene.own() == [("stop", 2, 5790)]
    for _ in range(5):
        scene.passes(2)
    assert (scene.codes, scene.warnings) == ([], [])


def test_has_no_gauges() -> None:
    assert managed(auto_stop_loss=STOP).gauges == []


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"auto_stop_loss": {"ticks": 10}},
        {"auto_stop_loss": {"enabled": True, "ticks": 0}},
        {"auto_breakeven": {"enabled": True, "profit_trigger_ticks": 4, "offset_ticks": 4}},
        {"auto_breakeven": {"enabled": True, "offset_ticks": -1}},
        {"trailing_stop": {"enabled": True, "update_frequency": "500ms"}},
        {"trailing_stop": {"enabled": True, "trail_distance_ticks": 0}},
        {"trailing_stop": {"enabled": True, "distance": 5}},
        {"auto_stop_loss": STOP, "adopt_existing_stop": True, "respect_manual_stops": True},
        {"auto_stop_loss": STOP, "action": "flatten"},
    ],
)
def test_refuses_options_that_make_no_sense(options: dict[str, Any]) -> None:
    with pytest.raises(OptionsInvalid):
        rule(**options)


def test_adopting_is_not_respecting() -> None:
    built = rule(auto_stop_loss=STOP, adopt_existing_stop=True)
    assert not built.respect_manual_stops
    assert build_rule(TradeManagement, options_of(built)) == built


def test_the_defaults() -> None:
    built = rule(
        auto_stop_loss={"enabled": True},
        auto_take_profit={"enabled": True},
        auto_breakeven={"enabled": True},
        trailing_stop={"enabled": True},
    )
    assert (built.auto_stop_loss.ticks, built.auto_take_profit.ticks) == (10, 20)
    assert (built.auto_breakeven.profit_trigger_ticks, built.auto_breakeven.offset_ticks) == (10, 0)
    trail = built.trailing_stop
    assert (trail.activation_ticks, trail.trail_distance_ticks, trail.min_step_ticks) == (20, 10, 1)
    assert trail.update_frequency_ns == 1_000_000_000

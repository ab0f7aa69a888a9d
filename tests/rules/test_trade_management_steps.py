"""RULE-012, step by step: what it remembers of each position, what it says, and from when on it wants to look again."""

from typing import Any

import pytest
from msgspec.structs import replace

from risk_manager.domain.events import Event, PositionUpdated
from risk_manager.domain.finding import Protect, Skipped
from risk_manager.domain.order import Side
from risk_manager.engine import Mode
from risk_manager.exits._base import StopState
from risk_manager.exits.breakeven import BreakevenState
from risk_manager.exits.trailing_stop import TrailState
from risk_manager.rules import OptionsInvalid, build_rule
from risk_manager.rules._base import Slack
from risk_manager.rules.trade_management import Managed, Management, TradeManagement
from risk_manager.testing.events import ES, MNQ, START_NS, Scenario
from risk_manager.testing.guarded import Guarded

STOP = {"enabled": True, "ticks": 40}
TARGET = {"enabled": True, "ticks": 80}
BREAKEVEN = {"enabled": True, "profit_trigger_ticks": 20, "offset_ticks": 4}
TRAIL = {"enabled": True, "activation_ticks": 40, "trail_distance_ticks": 20}
ALL: dict[str, Any] = {
    "auto_stop_loss": STOP,
    "auto_take_profit": TARGET,
    "auto_breakeven": BREAKEVEN,
    "trailing_stop": TRAIL,
}
COST = 290_000_000_000
"""Of one ES at 5800, which is 23,200 ticks."""


def rule(**options: Any) -> TradeManagement:
    return build_rule(TradeManagement, options)


def watched(*, venue: Scenario | None = None, **options: Any) -> Guarded:
    """An account that only the test moves: nothing is sent, and every event takes a millisecond."""
    return Guarded(rule(**options), venue=venue, mode=Mode.OBSERVE)


def ms(count: int) -> int:
    return START_NS + count * 1_000_000


def remembered(guarded: Guarded) -> Management:
    (slot,) = guarded.engine._slots
    assert isinstance(slot.state, Management)
    return slot.state


def said(guarded: Guarded, event: Event | None = None) -> tuple[Any, ...]:
    """What the rule says to an event, or now."""
    (own,) = guarded.settings.rules
    _, found = own.step(remembered(guarded), event or guarded.venue.timer(), guarded.engine.account)
    return found


def slack(guarded: Guarded) -> Slack | None:
    (own,) = guarded.settings.rules
    assert isinstance(own, TradeManagement)
    return own.slack(remembered(guarded), guarded.engine.account)


def begun(guarded: Guarded, sign: int = 1, size: int = 1) -> Managed:
    """A position at 5800, met at that price; its fill comes in the fourth millisecond."""
    venue = guarded.venue
    guarded.feed(venue.quote(ES, 5800))
    guarded.feed(venue.buys(ES, size, 5800) if sign > 0 else venue.sells(ES, size, 5800))
    return remembered(guarded).positions[ES.id]


@pytest.mark.parametrize("sign", [1, -1])
def test_a_position_from_its_opening_to_its_trail(sign: int) -> None:
    guarded = watched(**ALL)
    venue = guarded.venue
    opened = Managed(
        "2",
        2 * sign,
        2 * sign * COST,
        stop=StopState(23_200 - 40 * sign, ms(4)),
        trail=TrailState(23_200),
        wake_ticks=23_200 + 20 * sign,
        told_stop=23_200 - 40 * sign,
        told_target=23_200 + 80 * sign,
        told_by="stop_loss",
        told_ns=ms(4),
    )
    assert begun(guarded, sign, 2) == opened
    assert slack(guarded) == Slack(up_micros=500_000_000)  # 20 ticks of 12.50 for two
    venue.now_ns = ms(1007)
    guarded.feed(venue.quote(ES, 5800 + 6 * sign))
    at_breakeven = replace(
        opened,
        breakeven=BreakevenState(is_reached=True, stop=StopState(23_200 + 4 * sign, ms(1008))),
        trail=TrailState(23_200 + 24 * sign),
        wake_ticks=23_200 + 40 * sign,
        told_stop=23_200 + 4 * sign,
        told_by="breakeven",
        told_ns=ms(1008),
    )
    assert remembered(guarded) == Management({ES.id: at_breakeven})
    venue.now_ns = ms(2010)
    guarded.feed(venue.quote(ES, 5800 + 12 * sign))
    trailed = replace(
        at_breakeven,
        trail=TrailState(23_200 + 48 * sign, StopState(23_200 + 28 * sign, ms(2011))),
        wake_ticks=23_200 + 49 * sign,
        told_stop=23_200 + 28 * sign,
        told_by="trailing_stop",
        told_ns=ms(2011),
    )
    assert remembered(guarded) == Management({ES.id: trailed})
    venue.wait(60)
    guarded.feed(venue.quote(ES, 5800 + 8 * sign), venue.snapshot())
    assert remembered(guarded) == Management({ES.id: trailed})
    assert said(guarded) == (
        Protect(
            "trade_management",
            ES.id,
            "2",
            sign,
            23_200 + 28 * sign,
            23_200 + 80 * sign,
            1_000_000_000,
            evidence=(("stop_by", "trailing_stop"),),
        ),
    )


@pytest.mark.parametrize(
    ("options", "expected", "evidence"),
    [
        (
            {"auto_stop_loss": STOP},
            {"stop": StopState(23_160, ms(4)), "told_stop": 23_160, "told_by": "stop_loss", "told_ns": ms(4)},
            (("stop_by", "stop_loss"),),
        ),
        ({"auto_take_profit": TARGET}, {"told_target": 23_280, "told_ns": ms(4)}, ()),
        ({"auto_breakeven": BREAKEVEN}, {"wake_ticks": 23_220}, ()),
        ({"trailing_stop": TRAIL}, {"trail": TrailState(23_200), "wake_ticks": 23_240}, ()),
    ],
)
def test_what_is_off_remembers_nothing(
    options: dict[str, Any], expected: dict[str, Any], evidence: tuple[tuple[str, str], ...]
) -> None:
    guarded = watched(**options)
    assert begun(guarded) == Managed("2", 1, COST, **expected)
    guarded.feed(guarded.venue.timer(after_s=5), guarded.venue.snapshot())
    assert remembered(guarded) == Management({ES.id: Managed("2", 1, COST, **expected)})
    stop, target = expected.get("told_stop"), expected.get("told_target")
    assert said(guarded) == (
        Protect("trade_management", ES.id, "2", 1, stop, target, 1_000_000_000, evidence=evidence),
    )


def test_a_position_met_without_a_price_has_its_stop_all_the_same() -> None:
    guarded = watched(auto_stop_loss=STOP, trailing_stop=TRAIL)
    guarded.feed(guarded.venue.buys(ES, 1, 5800))
    (state,) = remembered(guarded).positions.values()
    assert (state.stop, state.trail) == (StopState(23_160, ms(3)), TrailState())
    assert slack(guarded) is None


def test_what_is_added_moves_the_stop_from_then_on_and_is_told_a_second_after_the_last() -> None:
    guarded = watched(auto_stop_loss=STOP)
    first = begun(guarded)
    venue = guarded.venue
    guarded.feed(venue.buys(ES, 1, 5802))
    moved = replace(first, net_contracts=2, cost_micros=2 * COST + 100_000_000, stop=StopState(23_164, ms(6)))
    assert remembered(guarded) == Management({ES.id: replace(moved, is_waiting=True)})
    assert guarded.engine.next_deadline_ns() == ms(1004)
    venue.now_ns = ms(1002)
    guarded.feed(venue.timer())
    assert remembered(guarded) == Management({ES.id: replace(moved, is_waiting=True)})
    guarded.feed(venue.timer())
    assert remembered(guarded) == Management({ES.id: replace(moved, told_stop=23_164, told_ns=ms(1004))})


def test_a_target_that_is_back_where_it_was_need_not_be_told() -> None:
    guarded = watched(auto_take_profit=TARGET)
    first = begun(guarded)
    guarded.feed(guarded.venue.buys(ES, 1, 5804))
    assert remembered(guarded).positions[ES.id].is_waiting
    guarded.feed(guarded.venue.buys(ES, 1, 5796))
    assert remembered(guarded) == Management({ES.id: replace(first, net_contracts=3, cost_micros=3 * COST)})
    assert guarded.engine.next_deadline_ns() is None


def test_within_the_second_a_quote_is_remembered_and_not_told() -> None:
    guarded = watched(trailing_stop=TRAIL)
    begun(guarded)
    guarded.feed(guarded.venue.quote(ES, 5810))
    quote = guarded.venue.quote(ES, 5811)
    guarded.feed(quote)
    state = remembered(guarded).positions[ES.id]
    assert (state.trail.stop, state.told_stop, state.is_waiting) == (StopState(23_224, ms(7)), 23_220, True)
    assert said(guarded, guarded.venue.quote(ES, 5812)) == ()


def test_a_part_switched_off_leaves_its_stop_where_it_was_told() -> None:
    guarded = watched(auto_stop_loss=STOP, auto_take_profit=TARGET, auto_breakeven=BREAKEVEN)
    begun(guarded)
    guarded.venue.wait(2)
    guarded.feed(guarded.venue.quote(ES, 5805), guarded.venue.timer(after_s=2))
    guarded.change_rules(rule(auto_stop_loss=STOP, auto_take_profit={"enabled": True, "ticks": 60}))
    (state,) = remembered(guarded).positions.values()
    assert (state.told_stop, state.told_by, state.told_target) == (23_204, "breakeven", 23_260)
    guarded.feed(guarded.venue.timer(after_s=2))
    guarded.change_rules(rule(auto_take_profit={"enabled": True, "ticks": 50}))
    (state,) = remembered(guarded).positions.values()
    assert (state.told_stop, state.told_by, state.told_target) == (23_204, "breakeven", 23_250)


def test_a_quote_that_changes_nothing_leaves_the_very_state() -> None:
    guarded = watched(trailing_stop=TRAIL)
    begun(guarded)
    guarded.feed(guarded.venue.quote(ES, 5810))
    # Where it began to trail has moved away: the stop stays, though the price is past the next step.
    guarded.change_rules(rule(trailing_stop={**TRAIL, "activation_ticks": 400}))
    guarded.feed(guarded.venue.quote(ES, 5811))
    before = remembered(guarded)
    guarded.feed(guarded.venue.quote(ES, 5811))
    assert remembered(guarded) is before
    assert guarded.warnings == []


def test_a_quote_of_what_is_gone_says_nothing() -> None:
    guarded = watched(**ALL)
    begun(guarded)
    before = remembered(guarded)
    guarded.feed(guarded.venue.closes(ES, 5800))
    (own,) = guarded.settings.rules
    assert own.step(before, guarded.venue.quote(ES, 5820), guarded.engine.account) == (before, ())


# -- the same position or another -------------------------------------------------------------------------------


def test_turned_round_in_one_message_it_is_another_position() -> None:
    guarded = watched(auto_stop_loss=STOP)
    venue = guarded.venue
    guarded.feed(venue.position(ES, 1, 5800), venue.position(ES, -2, 5804))
    (state,) = remembered(guarded).positions.values()
    assert (state.net_contracts, state.stop.stop_ticks, state.told_stop) == (-2, 23_256, 23_256)


def test_another_name_is_another_position() -> None:
    guarded = watched(auto_stop_loss=STOP)
    venue = guarded.venue
    guarded.feed(venue.position(ES, 1, 5800))
    venue.positions.clear()
    guarded.feed(venue.position(ES, 1, 5796))
    (state,) = remembered(guarded).positions.values()
    assert (state.position_id, state.stop.stop_ticks, state.told_stop) == ("2", 23_144, 23_144)


# -- what cannot be done ----------------------------------------------------------------------------------------


def test_what_it_costs_may_be_unknown_for_a_while() -> None:
    """What was told stays; the other positions are looked at as ever."""
    guarded = watched(auto_take_profit=TARGET)
    first = begun(guarded)
    venue = guarded.venue
    guarded.feed(venue.buys(ES, 1, 5804))
    second = replace(first, net_contracts=2, cost_micros=2 * COST + 200_000_000)
    assert remembered(guarded) == Management({ES.id: replace(second, is_waiting=True)})
    unknown = replace(venue.positions[ES.id], cost_micros=None)
    at_ns = venue.timer().received_ns
    guarded.feed(PositionUpdated("1001", unknown, at_ns, at_ns), venue.buys(MNQ, 1, 21_000))
    state = remembered(guarded)
    assert state.skips == (f"entry_unknown {ES.id}",)
    assert state.positions[ES.id] == second
    assert state.positions[MNQ.id].told_target == 84_080
    assert guarded.engine.next_deadline_ns() is None


@pytest.mark.parametrize(
    ("price", "reasons"),
    [("5790.25", []), (5790, [f"market_beyond_stop {ES.id}"]), (5789, [f"market_beyond_stop {ES.id}"])],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_a_stop_is_placed_where_the_market_is_not_through_it(sign: int, price: str | int, reasons: list[str]) -> None:
    guarded = watched(auto_stop_loss=STOP)
    begun(guarded, sign)
    guarded.feed(guarded.venue.quote(ES, 5800 + sign * (float(price) - 5800)), guarded.venue.snapshot())
    assert [one.reason for one in said(guarded) if isinstance(one, Skipped)] == reasons


@pytest.mark.parametrize(
    ("side", "product", "prices", "is_placed"),
    [
        (Side.SELL, ES, {"stop": 5785}, True),
        (Side.SELL, ES, {"limit": 5815}, False),
        (Side.BUY, ES, {"stop": 5815}, False),
        (Side.SELL, MNQ, {"stop": 20_900}, False),
    ],
)
def test_a_stop_that_rests_beyond_the_market_will_do(
    side: Side, product: Any, prices: dict[str, Any], is_placed: bool
) -> None:
    guarded = watched(auto_stop_loss=STOP)
    begun(guarded)
    venue = guarded.venue
    guarded.feed(venue.order(product, side, 1, **prices), venue.quote(ES, 5789), venue.snapshot())
    assert remembered(guarded).skips == (() if is_placed else (f"market_beyond_stop {ES.id}",))


@pytest.mark.parametrize("is_described", [True, False])
def test_nothing_is_left_of_a_position_that_is_gone(*, is_described: bool) -> None:
    venue = Scenario()
    if not is_described:
        venue.contracts = ()
    guarded = watched(venue=venue, auto_stop_loss=STOP)
    guarded.feed(venue.buys(ES, 1, 5800))
    assert remembered(guarded) != Management()
    guarded.feed(venue.closes(ES, 5800))
    assert remembered(guarded) == Management()


def test_nothing_is_left_of_a_position_the_venue_states_as_flat() -> None:
    guarded = watched(auto_stop_loss=STOP)
    guarded.feed(guarded.venue.position(ES, 1, 5800))
    assert remembered(guarded).positions.keys() == {ES.id}
    guarded.feed(guarded.venue.position(ES, 0))
    assert remembered(guarded) == Management()


def test_what_cannot_be_done_is_said_for_as_long_as_it_holds() -> None:
    guarded = watched(auto_stop_loss=STOP)
    begun(guarded)
    quote = guarded.venue.quote(ES, 5789)
    guarded.feed(quote, guarded.venue.snapshot())
    assert said(guarded, quote) == (Skipped("trade_management", f"market_beyond_stop {ES.id}"),)


def test_a_quote_without_a_price_is_no_price() -> None:
    guarded = watched(**ALL)
    begun(guarded)
    before = remembered(guarded)
    guarded.feed(guarded.venue.quote(ES, None))
    assert remembered(guarded) is before
    assert guarded.warnings == []


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (
            {"auto_stop_loss": {"ticks": 10}},
            "auto_stop_loss.enabled: nothing is switched on; give auto_stop_loss, auto_take_profit, auto_breakeven or"
            " trailing_stop an enabled: true",
        ),
        (
            {"auto_breakeven": {"enabled": True, "profit_trigger_ticks": 4, "offset_ticks": 4}},
            "auto_breakeven.offset_ticks: must be below profit_trigger_ticks",
        ),
        (
            {"auto_stop_loss": STOP, "adopt_existing_stop": True, "respect_manual_stops": True},
            "adopt_existing_stop: moves stops that respect_manual_stops: true leaves alone",
        ),
    ],
)
def test_says_which_option_is_to_be_corrected(options: dict[str, Any], fault: str) -> None:
    with pytest.raises(OptionsInvalid) as refused:
        rule(**options)
    assert str(refused.value) == f"trade_management.{fault}"


# -- when to look again -----------------------------------------------------------------------------------------


def test_without_a_part_that_moves_no_price_has_to_be_looked_at() -> None:
    guarded = watched(auto_stop_loss=STOP, auto_take_profit=TARGET)
    begun(guarded)
    assert slack(guarded) == Slack()


def test_the_nearest_of_all_positions_has_to_be_looked_at() -> None:
    guarded = watched(auto_breakeven=BREAKEVEN)
    begun(guarded)
    venue = guarded.venue
    guarded.feed(venue.quote(MNQ, 21_000), venue.sells(MNQ, 3, 21_000))
    # 20 ticks of an ES are 250 dollars, and of three MNQ 30; one of these is already gained.
    guarded.feed(venue.quote(MNQ, "20999.75"))
    assert slack(guarded) == Slack(up_micros=28_500_000)
    guarded.feed(venue.quote(MNQ, 20_995))
    assert slack(guarded) == Slack(up_micros=250_000_000)


def test_a_position_behind_one_that_has_reached_its_trigger_counts() -> None:
    guarded = watched(auto_breakeven=BREAKEVEN)
    begun(guarded)
    venue = guarded.venue
    guarded.feed(venue.quote(ES, 5806), venue.quote(MNQ, 21_000), venue.buys(MNQ, 1, 21_000))
    assert slack(guarded) == Slack(up_micros=10_000_000)

"""Protective orders from wish to proof: never twice, never larger than the position, never in the way of a close."""

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from risk_manager.domain.actions import CancelOrder, ClosePosition, ModifyOrder, PlaceStop, PlaceTarget, ReducePosition
from risk_manager.domain.events import ConnectionChanged, Link, OperatorCommand, OrderUpdated
from risk_manager.domain.finding import Protect
from risk_manager.domain.intent import IntentState, Protected
from risk_manager.domain.order import Order, OrderStatus, OrderType, Side
from risk_manager.engine import Engine, Mode
from risk_manager.engine.slot import RULE_FAILED
from risk_manager.rules import build_rules
from risk_manager.testing.events import ES, SECOND_NS
from tests.engine.resting import Fate, Resting

STOP = {"trade_management": {"auto_stop_loss": {"enabled": True, "ticks": 40}}}
TRAIL = {
    "trade_management": {
        "auto_stop_loss": {"enabled": True, "ticks": 40},
        "auto_take_profit": {"enabled": True, "ticks": 200},
        "trailing_stop": {"enabled": True, "activation_ticks": 8, "trail_distance_ticks": 20},
    }
}


def scene(options: dict[str, Any] = STOP, **others: Any) -> Resting:
    return Resting(*build_rules({**options, **others}))


def placed(resting: Resting) -> int:
    return sum(isinstance(action, PlaceStop) for action in resting.sent)


# -- the life of an intent --------------------------------------------------------------------------------------


def test_an_intent_lives_as_long_as_its_position() -> None:
    resting = scene()
    resting.long(2)
    (intent,) = resting.protections
    assert (intent.rule, intent.code, intent.state) == ("trade_management", "PROTECTION", IntentState.OPEN)
    assert resting.engine.enforcer.open_intents == ()
    for _ in range(5):
        resting.passes(3)
    (intent,) = resting.protections
    assert intent.reached_ns is not None
    resting.feed(resting.venue.closes(ES, 5801))
    resting.passes(3)
    resting.passes(3)
    assert resting.protections == []
    (last,) = resting.decisions[-1].intents
    assert (last.id, last.state) == (intent.id, IntentState.VERIFIED)


def test_it_is_reached_only_when_the_venue_shows_the_stop() -> None:
    resting = scene()
    resting.fates = [Fate.HIDDEN]
    resting.long(1)
    (intent,) = resting.protections
    assert intent.reached_ns is None
    resting.passes(1)
    (intent,) = resting.protections
    assert intent.reached_ns is not None
    assert placed(resting) == 1


def test_every_change_of_the_goal_is_told_and_never_a_looser_one() -> None:
    resting = scene(TRAIL)
    resting.long(1)
    for price in (5802, 5805, 5803, 5806):
        resting.trades_at(price)
    stops = [finding.stop_ticks for finding in resting.findings if isinstance(finding, Protect)]
    assert stops == sorted(set(stops))  # type: ignore[type-var]  # there is an automatic stop
    assert len({intent.id for decision in resting.decisions for intent in decision.intents}) == 1


def test_keeping_a_stop_costs_no_snapshots() -> None:
    resting = scene(TRAIL)
    resting.long(1)
    resting.passes(3)
    resting.forget()
    for price in range(5803, 5823):
        resting.trades_at(price)
    assert {type(action) for action in resting.actions} == {ModifyOrder}


# -- nothing twice ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fate", [Fate.UNKNOWN_DONE, Fate.HIDDEN])
def test_an_order_that_was_placed_unseen_is_found_by_its_mark(fate: Fate) -> None:
    resting = scene()
    resting.fates = [fate]
    resting.long(1)
    for _ in range(6):
        resting.passes(3)
    assert placed(resting) == 1
    assert resting.own() == [("stop", 1, 5790)]


def test_an_order_of_unknown_fate_is_only_placed_again_when_it_can_no_longer_come() -> None:
    resting = scene()
    resting.fates = [Fate.UNKNOWN_NOT_DONE]
    resting.long(1)
    for _ in range(13):
        resting.passes(0.5)
    assert placed(resting) == 1
    for _ in range(4):
        resting.passes(0.5)
    assert placed(resting) == 2
    assert resting.own() == [("stop", 1, 5790)]


def test_an_order_of_unknown_fate_waits_for_the_venue_to_be_read() -> None:
    resting = scene()
    resting.fates = [Fate.UNKNOWN_NOT_DONE]
    # The venue is not heard of any more: no snapshot answers.
    resting._carry_out = lambda action: []  # type: ignore[method-assign]  # deaf from here on
    resting.long(1)
    for _ in range(30):
        resting.venue.wait(1)
        resting.feed(resting.venue.timer())
    assert placed(resting) == 1


def test_one_call_at_a_time() -> None:
    resting = scene(TRAIL)
    resting.fates = [Fate.KEPT]
    resting.long(2)
    for price in (5803, 5804, 5805):
        resting.trades_at(price)
        resting.feed(resting.venue.timer())
    assert resting.sent_kinds() == ["PlaceStop"]
    resting.answer_kept(Fate.DONE)
    resting.passes(2)
    assert resting.own() == [("stop", 2, 5800), ("limit", 2, 5850)]


def test_an_answer_that_never_comes_counts_as_unknown() -> None:
    resting = scene()
    resting.fates = [Fate.KEPT]
    resting.long(1)
    for _ in range(16):
        resting.passes(1)
    assert placed(resting) == 1
    for _ in range(4):
        resting.passes(1)
    assert placed(resting) == 2


def test_refusals_are_met_with_patience() -> None:
    resting = scene()
    resting.fates = [Fate.REFUSED] * 100
    resting.long(1)
    for _ in range(60):
        resting.passes(1)
    assert 6 <= placed(resting) <= 14
    resting.fates = []
    for _ in range(16):
        resting.passes(1)
    assert resting.own() == [("stop", 1, 5790)]


def test_a_change_of_unknown_fate_is_repeated_for_it_names_a_price() -> None:
    resting = scene(TRAIL)
    resting.long(1)
    resting.passes(2)
    resting.fates = [Fate.UNKNOWN_NOT_DONE]
    resting.trades_at(5804)
    resting.passes(1)
    assert ("stop", 1, 5799) not in resting.own()
    resting.passes(2)
    assert ("stop", 1, 5799) in resting.own()


@pytest.mark.parametrize("is_behind", [True, False])
def test_after_a_crash_an_order_that_may_be_on_its_way_is_waited_for(*, is_behind: bool) -> None:
    resting = scene()
    saved = resting.engine.snapshot()
    resting.fates = [Fate.UNKNOWN_NOT_DONE]
    resting.long(1)
    sequence = resting.decisions[-1].sequence
    intents = tuple(resting.protections)
    snapshot = saved if is_behind else resting.engine.snapshot()
    resting.engine = Engine.restore(resting.settings, snapshot, sequence=sequence, lockouts=(), intents=intents)
    down = ConnectionChanged(resting.venue.account_id, Link.REST, False, "starting", 0, resting.venue.now_ns)
    resting.feed(down, resting.venue.snapshot())
    for _ in range(5):
        resting.passes(1)
    assert placed(resting) == 1
    for _ in range(20):
        resting.passes(1)
    assert resting.own() == [("stop", 1, 5790)]
    assert placed(resting) == 2


def test_after_a_crash_its_own_order_is_known_again() -> None:
    resting = scene()
    saved = resting.engine.snapshot()
    resting.long(1)
    resting.engine = Engine.restore(
        resting.settings,
        saved,
        sequence=resting.decisions[-1].sequence,
        lockouts=(),
        intents=tuple(resting.protections),
    )
    resting.feed(resting.venue.snapshot())
    for _ in range(15):
        resting.passes(1)
    assert placed(resting) == 1


# -- a fill is told by the order before the position ------------------------------------------------------------


def tell_filled(resting: Resting, filled: int) -> Order:
    """The order's part of a fill; the position still shows nothing of it."""
    order = resting.own_order()
    status = OrderStatus.FILLED if filled == order.size else OrderStatus.WORKING
    event = OrderUpdated(
        resting.venue.account_id,
        replace(order, filled=filled, status=status, updated_ns=resting.venue.now_ns + 1),
        resting.venue.now_ns + 1,
        resting.venue.now_ns + 1,
    )
    resting.venue.orders.pop(order.id)
    if filled < order.size:
        resting.venue.orders[order.id] = event.order
    resting.feed(event)
    return order


@pytest.mark.parametrize("filled", [1, 2])
def test_nothing_takes_the_place_of_what_has_just_filled(filled: int) -> None:
    resting = scene()
    resting.long(2)
    resting.passes(3)
    resting.forget()
    tell_filled(resting, filled)
    resting.feed(resting.venue.timer(after_s=0.5))
    assert resting.sent == []
    resting.feed(resting.venue.sells(ES, filled, 5790))
    resting.passes(3)
    assert resting.sent == []
    assert resting.own() == ([("stop", 1, 5790)] if filled == 1 else [])


def test_a_stop_that_vanished_is_made_up_for_after_another_look() -> None:
    resting = scene()
    resting.long(1)
    resting.passes(3)
    order = resting.own_order()
    del resting.venue.orders[order.id]
    for _ in range(5):
        resting.passes(1)
    assert resting.own() == [("stop", 1, 5790)]
    assert placed(resting) == 2


# -- what goes before -------------------------------------------------------------------------------------------


def test_a_flatten_closes_first_and_takes_the_protection_along() -> None:
    resting = scene(TRAIL)
    resting.long(2)
    resting.passes(3)
    resting.forget()
    command = OperatorCommand(resting.venue.account_id, "flatten", "pat", resting.venue.now_ns, resting.venue.now_ns)
    resting.feed(command)
    kinds = resting.sent_kinds()
    assert kinds == ["ClosePosition", "CancelOrder", "CancelOrder"]
    assert all(action.is_urgent for action in resting.sent if isinstance(action, CancelOrder)), "its own go first"
    for _ in range(4):
        resting.passes(3)
    assert (resting.own(), resting.protections) == ([], [])
    assert set(resting.sent_kinds()) == {"ClosePosition", "CancelOrder"}


def test_nothing_is_placed_while_a_position_is_being_closed() -> None:
    resting = scene(daily_realized_loss={"limit": 100, "basis": "realized"})
    resting.feed(resting.venue.result(-100))
    assert [lockout.rule for lockout in resting.lockouts] == ["daily_realized_loss"]
    resting.long(3)
    for _ in range(4):
        resting.passes(1)
    assert {type(action) for action in resting.sent} == {ClosePosition}
    assert resting.own() == []


def test_a_close_that_does_not_get_through_is_not_joined_by_stops() -> None:
    resting = scene(daily_realized_loss={"limit": 100, "basis": "realized"})
    resting.feed(resting.venue.result(-100))
    resting._carry_out = lambda action: []  # type: ignore[method-assign]  # nothing is done any more
    resting.long(3)
    for _ in range(20):
        resting.venue.wait(1)
        resting.feed(resting.venue.timer(), resting.venue.snapshot())
    assert {type(action) for action in resting.sent} == {ClosePosition}


def test_what_is_being_reduced_is_protected_at_its_final_size() -> None:
    resting = scene(max_contracts={"limit": 2})
    resting.long(5)
    sizes = [action.size for action in resting.sent if isinstance(action, ReducePosition | PlaceStop)]
    assert isinstance(resting.sent[0], ReducePosition)
    resting.feed(resting.venue.sells(ES, 3, 5800))
    for _ in range(3):
        resting.passes(1)
    assert resting.own() == [("stop", 2, 5790)]
    assert sizes == [3]


# -- what must not stay -----------------------------------------------------------------------------------------


def test_an_order_that_comes_after_its_position_has_gone_is_cancelled() -> None:
    resting = scene()
    resting.fates = [Fate.KEPT]
    resting.long(1)
    resting.feed(resting.venue.closes(ES, 5801))
    assert len(resting.protections) == 1
    resting.passes(3)
    resting.passes(3)
    assert len(resting.protections) == 1
    resting.answer_kept(Fate.DONE)
    assert resting.own() == []
    assert any(isinstance(action, CancelOrder) for action in resting.sent)
    for _ in range(10):
        resting.passes(1)
    assert resting.protections == []


def test_an_order_that_nobody_remembers_is_cancelled_all_the_same() -> None:
    resting = scene()
    stray = resting.venue.order(ES, Side.SELL, 1, stop=5790)
    stray = replace(stray, order=replace(stray.order, tag=f"{resting.venue.account_id}-7.1"))
    resting.venue.orders[stray.order.id] = stray.order
    resting.feed(stray)
    assert resting.own() == []
    (intent,) = resting.protections
    assert intent.rule == "orphans"
    for _ in range(3):
        resting.passes(3)
    assert resting.protections == []


@pytest.mark.parametrize("tag", [None, "1001-7", "1001-7.", "1001-x.1", "10017.1", "2001-7.1", "scalper-7.1"])
def test_orders_of_others_are_not_the_guard_s(tag: str | None) -> None:
    resting = scene()
    event = resting.venue.order(ES, Side.SELL, 1, stop=5790)
    resting.feed(replace(event, order=replace(event.order, tag=tag)))
    assert resting.sent == []


def test_two_stops_of_its_own_are_one_too_many() -> None:
    resting = scene()
    resting.long(2)
    twin = replace(resting.own_order(), id="twin", tag=f"{resting.venue.account_id}-999.1")
    resting.tells(twin)
    assert resting.own() == [("stop", 2, 5790)]


def test_only_one_rule_has_the_say_about_a_contract() -> None:
    other = {"rule": "trade_management", "auto_stop_loss": {"enabled": True, "ticks": 8}}
    resting = Resting(*build_rules({**STOP, "second": other}))
    resting.long(1)
    for _ in range(3):
        resting.passes(2)
    assert len(resting.own()) == 1
    assert len(resting.protections) == 1


class Misbehaving:
    """A rule that wishes on behalf of another."""

    name = "misbehaving"
    listens_to: frozenset[type] = frozenset()

    def __init__(self, **changes: object) -> None:
        self.wish = replace(Protect(self.name, ES.id, "", 1, 100, None, SECOND_NS), **changes)
        self.remedy = build_rules(STOP)[0].remedy

    def initial_state(self) -> None:
        return None

    def deadline_ns(self, state: None) -> None:
        return None

    def gauges(self, state: None, account: object) -> tuple[()]:
        return ()

    def step(self, state: None, event: object, account: object) -> tuple[None, tuple[Protect]]:
        return None, (self.wish,)


@pytest.mark.parametrize("changes", [{"rule": "trade_management"}, {"side": 0}, {"stop_ticks": 1.5}])
def test_a_wish_that_makes_no_sense_is_a_failure_of_its_rule(changes: dict[str, object]) -> None:
    resting = Resting(Misbehaving(**changes))  # type: ignore[arg-type]  # near enough to a rule
    assert [warning.code for warning in resting.warnings] == [RULE_FAILED]
    assert resting.protections == []


# -- whatever happens -------------------------------------------------------------------------------------------

moves = st.lists(
    st.one_of(
        st.tuples(st.just("trade"), st.integers(-3, 3).filter(bool)),
        st.tuples(st.just("price"), st.integers(5780, 5820)),
        st.tuples(st.just("wait"), st.integers(1, 12)),
        st.tuples(st.just("manual"), st.integers(1, 3)),
        st.tuples(st.just("cancel"), st.integers(0, 3)),
        st.tuples(st.just("fill"), st.integers(0, 3)),
        st.tuples(st.just("restart"), st.just(0)),
    ),
    max_size=14,
)
fates = st.lists(st.sampled_from(list(Fate)), max_size=10)


class Checked(Resting):
    """Looks at every protective action at the moment it is sent."""

    def _carry_out(self, action: Any) -> Any:
        if isinstance(action, PlaceStop | PlaceTarget | ModifyOrder):
            self._check(action)
        return super()._carry_out(action)

    def _check(self, action: PlaceStop | PlaceTarget | ModifyOrder) -> None:
        position = self.venue.positions.get(action.contract_id)
        assert position is not None
        size = abs(position.net_contracts)
        if isinstance(action, ModifyOrder):
            order = self.venue.orders[action.order_id]
            assert order.side.sign * position.net_contracts < 0
            assert action.size is None or 0 < action.size - order.filled <= size
            if action.stop_ticks is not None:
                assert order.stop_ticks is not None
                # Tighter; or the same, where the call before was done and its answer lost.
                assert order.side.sign * (action.stop_ticks - order.stop_ticks) <= 0
        else:
            assert action.side.sign * position.net_contracts < 0
            kind = OrderType.STOP if isinstance(action, PlaceStop) else OrderType.LIMIT
            around = (one for one in self.venue.orders.values() if one.type is kind and one.side is action.side)
            resting = sum(one.remaining for one in around)
            assert 0 < action.size <= size - resting


@settings(max_examples=60, deadline=None)
@given(moves=moves, fates=fates)
@example(
    # The fill that closes the position comes while the target is still to be moved, and before the position is told.
    moves=[("trade", -1), ("manual", 1), ("fill", 1), ("price", 5780), ("manual", 1), ("cancel", 1)],
    fates=[],
)
def test_protection_never_adds_exposure_and_ends_with_the_position(
    moves: list[tuple[str, int]], fates: list[Fate]
) -> None:
    resting = Checked(*build_rules(TRAIL))
    resting.fates = list(fates)
    price = 5800.0
    for move, number in moves:
        match move:
            case "trade" if number > 0:
                resting.long(number, price)
            case "trade":
                resting.short(-number, price)
            case "price":
                price = float(number)
                resting.trades_at(price)
            case "wait":
                resting.passes(number)
            case "manual":
                side = Side.SELL if resting.venue.positions else Side.BUY
                resting.manual(number, side=side, stop=5785 if side is Side.SELL else 5815)
            case "cancel" | "fill" if len(resting.venue.orders) > number:
                order = list(resting.venue.orders.values())[number]
                if move == "cancel":
                    resting.tells(replace(order, status=OrderStatus.CANCELLED))
                else:
                    resting.fills(order)
            case "restart":
                resting.restart()
        resting.passes(0.1)
    resting.fates = []
    resting.kept = []
    if resting.venue.positions:
        resting.feed(resting.venue.closes(ES, price))
    for _ in range(30):
        resting.passes(1)
    assert resting.own() == []
    assert resting.protections == []


# -- observed after it was enforced -----------------------------------------------------------------------------


def observed(resting: Resting) -> None:
    """Start again in mode observe, as from the journal."""
    resting.settings = replace(resting.settings, mode=Mode.OBSERVE)
    resting.engine = Engine.restore(
        resting.settings,
        resting.engine.snapshot(),
        sequence=resting.engine.sequence,
        lockouts=(),
        intents=tuple(resting.protections),
    )
    resting.forget()
    venue = resting.venue
    resting.feed(ConnectionChanged("1001", Link.REST, False, "starting", 0, venue.now_ns + 1), venue.snapshot())
    resting.passes(3)


def test_its_own_orders_go_with_their_position_though_the_account_is_only_observed() -> None:
    resting = scene(TRAIL)
    resting.long(2)
    resting.passes(2)
    observed(resting)
    assert (resting.sent, [each.code for each in resting.warnings]) == ([], ["PROTECTION_FROZEN"])
    resting.feed(resting.venue.closes(ES, 5801))
    for _ in range(3):
        resting.passes(3)
    assert (resting.sent_kinds(), resting.own()) == (["CancelOrder", "CancelOrder"], [])
    assert resting.protections == []
    states = [intent.state for decision in resting.decisions for intent in decision.intents]
    assert states[-1] is IntentState.VERIFIED


def test_its_own_orders_never_become_larger_than_the_position_though_the_account_is_only_observed() -> None:
    resting = scene()
    resting.long(3)
    observed(resting)
    resting.feed(resting.venue.sells(ES, 2, 5801))
    resting.passes(3)
    assert (resting.sent_kinds(), resting.own()) == (["ModifyOrder"], [("stop", 1, 5790)])
    resting.feed(resting.venue.sells(ES, 2, 5801))  # short now: the stop would add to it
    resting.passes(3)
    assert (resting.sent_kinds(), resting.own()) == (["ModifyOrder", "CancelOrder"], [])


def test_nothing_is_placed_or_moved_where_the_account_is_only_observed() -> None:
    resting = scene(TRAIL)
    resting.long(1)
    resting.passes(2)
    before = resting.own()
    observed(resting)
    for price in (5803, 5810, 5820):
        resting.trades_at(price)
    resting.feed(resting.venue.buys(ES, 1, 5820))
    resting.passes(3)
    assert (resting.sent, resting.own()) == ([], before)
    observed(resting)
    assert (resting.sent, resting.warnings) == ([], []), "said once for a position"


def test_the_goal_is_journaled_with_its_kind() -> None:
    resting = scene()
    resting.long(1)
    (intent,) = resting.protections
    assert isinstance(intent.goal, Protected)
    assert (intent.goal.side, intent.goal.stop_ticks, intent.goal.target_ticks) == (1, 5790 * 4, None)

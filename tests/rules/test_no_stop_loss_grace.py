"""RULE-008: every position carries a stop, or is closed after a grace period."""

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from risk_manager.domain.actions import Action, CancelOrder, ClosePosition
from risk_manager.domain.contract import Contract
from risk_manager.domain.events import OrderUpdated
from risk_manager.domain.finding import Unit
from risk_manager.domain.order import OrderStatus, OrderType, Side
from risk_manager.domain.scope import ACCOUNT, Scope
from risk_manager.rules import OptionsInvalid, build_rule, options_of
from risk_manager.rules.no_stop_loss_grace import Clock, NoStopLossGrace, Watches, _counted, _resized
from risk_manager.testing.events import DAY_NS, ES, ES_JUNE, MNQ, SECOND_NS, START_NS, Scenario
from risk_manager.testing.guarded import Guarded

GRACE_S = 30


def rule(**options: Any) -> NoStopLossGrace:
    return build_rule(NoStopLossGrace, {"grace_period_seconds": GRACE_S, **options})


class Scene(Guarded):
    """An account under the rule; `at` moves to so many seconds after the start and has the venue read."""

    def __init__(self, venue: Scenario | None = None, **options: Any) -> None:
        super().__init__(rule(**options), venue=venue if venue is not None else Scenario(step_ns=1))

    def at(self, seconds: float) -> None:
        self.till(seconds)
        self.feed(self.venue.snapshot())

    def till(self, seconds: float) -> None:
        """Let the time come, and a deadline pass, without a word from the venue."""
        self.venue.now_ns = START_NS + int(seconds * SECOND_NS)
        self.feed(self.venue.timer())

    def long(self, size: int = 1, product: Contract = ES) -> None:
        self.feed(self.venue.buys(product, size, 5800))

    def stop(self, size: int = 1, side: Side = Side.SELL, stop: float = 5790, **order: Any) -> str:
        product = order.pop("product", ES)
        event = self.venue.order(product, side, size, stop=stop, **order)
        self.feed(event)
        return event.order.id

    def ends(self, order_id: str, status: OrderStatus = OrderStatus.CANCELLED) -> None:
        order = self.venue.orders[order_id]
        self.feed(self.venue.order(ES, order.side, order.size, stop=5790, order_id=order_id, status=status))

    def sends(self, event: OrderUpdated, **changes: Any) -> None:
        """An order as the scenario cannot say it."""
        order = replace(event.order, **changes)
        self.venue.orders[order.id] = order
        self.feed(replace(event, order=order))

    @property
    def closed(self) -> list[str]:
        return [action.contract_id for action in self.actions if isinstance(action, ClosePosition)]


def last(actions: Iterable[Action], kind: type) -> list[Action]:
    return [action for action in actions if isinstance(action, kind)]


@pytest.mark.parametrize("sign", [1, -1])
def test_closes_strictly_after_the_grace(sign: int) -> None:
    scene = Scene()
    scene.feed(scene.venue.buys(ES, 2, 5800) if sign > 0 else scene.venue.sells(ES, 2, 5800))
    opened_ns = scene.venue.positions[ES.id].opened_ns
    scene.at((opened_ns - START_NS) / SECOND_NS + GRACE_S - 0.001)
    assert scene.findings == []
    scene.at((opened_ns - START_NS) / SECOND_NS + GRACE_S + 0.001)
    (breach,) = scene.breaches
    assert (breach.code, breach.measured, breach.limit, breach.unit) == ("NO_STOP_LOSS", 31, 30, Unit.SECONDS)
    assert breach.scope == Scope(contract_id=ES.id)
    assert scene.closed == [ES.id]
    assert scene.lockouts == ()


def test_allows_exactly_the_grace() -> None:
    scene = Scene()
    scene.long()
    (slot,) = scene.engine._slots
    due_ns = slot.state.positions[ES.id].clocks[0].since_ns + GRACE_S * SECOND_NS
    scene.venue.now_ns = due_ns - 2
    scene.feed(scene.venue.snapshot())
    assert scene.engine.account.now_ns == due_ns
    assert scene.findings == []
    scene.feed(scene.venue.snapshot())
    assert scene.codes == ["NO_STOP_LOSS"]


@pytest.mark.parametrize(("stop_at", "is_closed"), [(1, False), (29.9, False), (31, True)])
def test_a_stop_must_come_within_the_grace(stop_at: float, *, is_closed: bool) -> None:
    scene = Scene()
    scene.long()
    if stop_at > GRACE_S:
        scene.at(30.5)
    scene.till(stop_at)
    scene.stop()
    scene.at(40)
    assert bool(scene.closed) == is_closed


def test_a_deadline_alone_closes_nothing_until_the_venue_lists_its_orders() -> None:
    """A stop placed on the venue's own screen may be heard of late, or never by an event."""
    scene = Scene()
    scene.long()
    scene.till(31)
    scene.till(33)
    assert scene.findings == []
    scene.venue.order(ES, Side.SELL, 1, stop=5790)  # placed at the venue; nobody told us
    scene.at(34)
    assert scene.findings == []


def test_a_list_read_before_the_deadline_or_unreadable_proves_nothing() -> None:
    scene = Scene()
    scene.long()
    early = scene.venue.snapshot()
    scene.till(31)
    scene.feed(replace(early, received_ns=scene.venue.now_ns))
    scene.feed(replace(scene.venue.snapshot(), orders=None))
    assert scene.findings == []
    scene.feed(scene.venue.snapshot())
    assert scene.codes == ["NO_STOP_LOSS"]


@pytest.mark.parametrize(
    ("changes", "counts"),
    [
        ({}, True),
        ({"status": OrderStatus.PENDING}, True),
        ({"type": OrderType.STOP_LIMIT}, True),
        ({"type": OrderType.TRAILING_STOP, "stop_ticks": None}, True),
        ({"stop_ticks": 23_200}, True),  # at breakeven
        ({"stop_ticks": 23_280}, True),  # in profit
        ({"type": OrderType.LIMIT}, False),
        ({"type": OrderType.MARKET}, False),
        ({"side": Side.BUY}, False),
        ({"contract_id": ES_JUNE.id}, False),
        ({"contract_id": MNQ.id}, False),
        ({"status": OrderStatus.SUSPENDED}, False),
        ({"status": OrderStatus.UNKNOWN}, False),
        ({"size": 2}, False),
        ({"filled": 1}, False),
    ],
)
def test_what_counts_as_a_stop(changes: dict[str, Any], *, counts: bool) -> None:
    scene = Scene()
    scene.long(3)
    scene.sends(scene.venue.order(ES, Side.SELL, 3, stop=5790), **changes)
    scene.at(31)
    assert (scene.codes == []) == counts


@pytest.mark.parametrize(("stop", "counts"), [(5799.75, True), (5800, False), (5800.25, False)])
@pytest.mark.parametrize("sign", [1, -1])
def test_may_have_to_be_on_the_losing_side(stop: float, sign: int, *, counts: bool) -> None:
    scene = Scene(require_loss_side=True)
    scene.feed(scene.venue.buys(ES, 1, 5800) if sign > 0 else scene.venue.sells(ES, 1, 5800))
    price = stop if sign > 0 else 11_600 - stop
    scene.stop(side=Side.SELL if sign > 0 else Side.BUY, stop=price)
    scene.at(31)
    assert (scene.codes == []) == counts


def test_says_when_it_cannot_tell_the_losing_side() -> None:
    venue = Scenario(step_ns=1)
    venue.contracts = ()
    scene = Scene(venue, require_loss_side=True)
    scene.long()
    scene.stop()
    scene.at(31)
    assert [skip.reason for skip in scene.skipped] == [f"entry_unknown {ES.id}"]
    assert scene.findings == []


def test_accepts_only_the_types_it_is_told() -> None:
    scene = Scene(accept_types=["stop_limit", "trailing"])
    scene.long()
    scene.stop()
    scene.at(31)
    assert scene.codes == ["NO_STOP_LOSS"]


@pytest.mark.parametrize(("coverage", "codes"), [("full", ["NO_STOP_LOSS"]), ("any", [])])
def test_covers_the_whole_position_or_any_of_it(coverage: str, codes: list[str]) -> None:
    scene = Scene(coverage=coverage)
    scene.long(3)
    scene.stop(1)
    scene.at(31)
    assert scene.codes == codes


def test_adds_up_several_stops() -> None:
    scene = Scene()
    scene.long(3)
    scene.stop(1)
    scene.stop(2, stop=5785)
    scene.at(31)
    assert scene.findings == []


def test_a_lost_stop_has_a_grace_of_its_own() -> None:
    scene = Scene(grace_on_removal_seconds=10)
    scene.long()
    order_id = scene.stop()
    scene.till(100)
    scene.ends(order_id)
    scene.at(109.9)
    assert scene.findings == []
    scene.at(110.1)
    assert scene.closed == [ES.id]


@pytest.mark.parametrize("status", [OrderStatus.CANCELLED, OrderStatus.REJECTED, OrderStatus.EXPIRED])
def test_losing_the_stop_rearms_with_the_same_grace_by_default(status: OrderStatus) -> None:
    scene = Scene()
    scene.long()
    order_id = scene.stop()
    scene.till(100)
    scene.ends(order_id, status)
    scene.at(129.9)
    assert scene.findings == []
    scene.at(130.1)
    assert scene.closed == [ES.id]


def test_replacing_a_stop_is_no_removal() -> None:
    scene = Scene(grace_on_removal_seconds=2)
    scene.long()
    order_id = scene.stop()
    for second in range(100, 160, 5):
        scene.till(second)
        scene.ends(order_id)
        scene.at(second + 1.9)
        order_id = scene.stop()
        scene.at(second + 4)
    assert scene.findings == []


def test_moving_a_stop_is_no_removal() -> None:
    scene = Scene()
    scene.long()
    order_id = scene.stop()
    scene.till(20)
    scene.stop(stop=5795, order_id=order_id)
    scene.at(51)
    assert scene.findings == []


def test_a_smaller_stop_starts_a_clock_for_what_it_no_longer_covers() -> None:
    scene = Scene()
    scene.long(3)
    order_id = scene.stop(3)
    scene.till(50)
    scene.stop(2, order_id=order_id)
    scene.at(79.9)
    assert scene.findings == []
    scene.at(80.1)
    assert scene.closed == [ES.id]


def test_what_is_added_has_its_own_clock_and_renews_no_other() -> None:
    scene = Scene()
    scene.long()
    scene.till(20)
    scene.long()
    scene.at(30.1)
    assert scene.closed == [ES.id]


def test_what_is_added_to_a_covered_position_needs_a_stop_too() -> None:
    scene = Scene()
    scene.long()
    scene.stop()
    scene.till(20)
    scene.long()
    scene.at(49.9)
    assert scene.findings == []
    scene.at(50.1)
    assert scene.closed == [ES.id]


def test_adding_and_taking_off_buys_no_time() -> None:
    scene = Scene()
    scene.long()
    for second in (10, 20, 28):
        scene.till(second)
        scene.long()
        scene.feed(scene.venue.sells(ES, 1, 5800))
    scene.at(30.1)
    assert scene.closed == [ES.id]


def test_a_partly_filled_stop_still_covers_what_is_left() -> None:
    scene = Scene(grace_on_removal_seconds=2)
    scene.long(3)
    order_id = scene.stop(3)
    scene.feed(scene.venue.order(ES, Side.SELL, 3, stop=5790, order_id=order_id, filled=1))
    scene.feed(scene.venue.sells(ES, 1, 5790))
    scene.at(40)
    assert scene.findings == []


def test_closing_a_part_leaves_a_stop_that_is_large_enough() -> None:
    scene = Scene()
    scene.long(3)
    scene.stop(2)
    scene.till(10)
    scene.feed(scene.venue.sells(ES, 1, 5805))
    scene.at(31)
    assert scene.findings == []


@pytest.mark.parametrize("closing", [2, 1])
def test_a_position_turned_round_or_opened_again_is_a_new_one(closing: int) -> None:
    scene = Scene()
    scene.long()
    scene.stop()
    scene.till(25)
    scene.feed(scene.venue.sells(ES, closing, 5795))
    if closing == 1:
        scene.feed(scene.venue.sells(ES, 1, 5795))
    scene.at(54.9)
    assert scene.findings == []
    scene.at(55.1)
    assert scene.codes == ["NO_STOP_LOSS"]
    scene.at(56)  # the old stop would add now, so its cancel goes first
    assert scene.closed == [ES.id]


def test_two_expiries_are_watched_apart() -> None:
    scene = Scene()
    scene.long()
    scene.long(product=ES_JUNE)
    scene.stop(product=ES_JUNE)
    scene.at(31)
    assert scene.closed == [ES.id]


def test_a_position_closed_in_time_is_forgotten() -> None:
    scene = Scene()
    scene.long()
    scene.till(29.9)
    scene.feed(scene.venue.closes(ES, 5801))
    scene.at(31)
    assert scene.findings == []
    assert scene.engine._slots[0].state.positions == {}


def test_a_position_found_at_the_start_has_the_full_grace_from_then() -> None:
    venue = Scenario(start_ns=START_NS - 600 * SECOND_NS, step_ns=1)
    venue.buys(ES, 1, 5800)
    venue.now_ns = START_NS
    scene = Scene(venue)
    scene.at(29.9)
    assert scene.findings == []
    scene.at(30.1)
    assert scene.closed == [ES.id]


def test_a_position_found_at_the_start_may_be_left_alone_until_it_is_turned_round() -> None:
    venue = Scenario(start_ns=START_NS - 600 * SECOND_NS, step_ns=1)
    venue.buys(ES, 1, 5800)
    venue.now_ns = START_NS
    scene = Scene(venue, apply_to_existing_at_start=False)
    scene.at(60)
    assert scene.findings == []
    assert [gauge.used for gauge in scene.gauges] == [0]
    scene.feed(scene.venue.sells(ES, 2, 5800))
    scene.at(91)
    assert scene.closed == [ES.id]


def test_a_rule_switched_on_gives_the_full_grace_from_then() -> None:
    guarded = Guarded(venue=Scenario(step_ns=1))
    guarded.feed(guarded.venue.buys(ES, 1, 5800))
    guarded.venue.wait(600)
    guarded.feed(guarded.venue.quote(ES, 5800))
    guarded.change_rules(rule())
    guarded.venue.wait(29.9)
    guarded.feed(guarded.venue.snapshot())
    assert guarded.findings == []
    guarded.venue.wait(0.2)
    guarded.feed(guarded.venue.snapshot())
    assert guarded.codes == ["NO_STOP_LOSS"]


def test_a_shorter_grace_holds_at_once() -> None:
    scene = Scene()
    scene.long()
    scene.at(20)
    scene.change_rules(rule(grace_period_seconds=15))
    assert scene.findings == []
    scene.at(20.5)
    assert scene.closed == [ES.id]


def test_the_clock_goes_on_over_a_restart() -> None:
    scene = Scene()
    scene.long()
    scene.till(29)
    scene.restart()
    scene.at(29.9)
    assert scene.findings == []
    scene.at(30.1)
    assert scene.closed == [ES.id]


def test_an_outage_ends_with_the_next_list_of_orders() -> None:
    scene = Scene()
    scene.long()
    for second in range(30, 300, 30):
        scene.till(second)
        scene.feed(replace(scene.venue.snapshot(), positions=None, orders=None))
    assert scene.findings == []
    scene.at(301)
    assert scene.closed == [ES.id]


def test_a_position_first_seen_in_a_snapshot_has_the_full_grace() -> None:
    """It was opened while nobody could see it."""
    scene = Scene()
    scene.at(1)
    scene.venue.buys(ES, 1, 5800)
    scene.venue.now_ns = START_NS + 200 * SECOND_NS
    scene.feed(scene.venue.snapshot())
    scene.at(229.9)
    assert scene.findings == []
    scene.at(230.1)
    assert scene.closed == [ES.id]


def test_counts_beyond_a_day() -> None:
    scene = Scene(grace_period_seconds=86_400 + 30)
    scene.long()
    scene.venue.now_ns = START_NS + DAY_NS + 29 * SECOND_NS
    scene.feed(scene.venue.quote(ES, 5800), scene.venue.snapshot())
    assert scene.findings == []
    scene.at(86_400 + 31)
    assert scene.breaches[0].measured == 86_431


def test_local_clocks_play_no_part() -> None:
    """Ours runs an hour ahead of the venue's."""
    scene = Scene()
    ahead_ns = 3600 * SECOND_NS
    for event in scene.venue.buys(ES, 1, 5800):
        scene.feed(replace(event, received_ns=event.received_ns + ahead_ns))
    scene.venue.wait(29)
    late = scene.venue.snapshot()
    scene.feed(replace(late, requested_ns=late.requested_ns + ahead_ns, received_ns=late.received_ns + ahead_ns))
    assert scene.findings == []


def test_warns_first() -> None:
    scene = Scene(warn_after_seconds=10)
    scene.long(2)
    scene.till(10.1)
    (warning,) = scene.warnings
    assert (warning.code, warning.measured, warning.limit, warning.unit) == ("NO_STOP_LOSS_YET", 10, 30, Unit.SECONDS)
    assert dict(warning.evidence) == {"position": "2", "without_stop": "2", "stops": "none"}
    scene.till(20)
    assert len(scene.findings) == 1
    scene.at(31)
    assert scene.codes == ["NO_STOP_LOSS"]


def test_wakes_for_the_warning_and_for_the_deadline() -> None:
    scene = Scene(warn_after_seconds=10)
    scene.long()
    since_ns = scene.venue.positions[ES.id].opened_ns
    watched = rule(warn_after_seconds=10)

    def due_s() -> float | None:
        due_ns = watched.deadline_ns(scene.engine._slots[0].state)
        return None if due_ns is None else (due_ns - since_ns) // SECOND_NS

    assert due_s() == 10
    scene.till(10.1)
    assert due_s() == 30
    scene.till(30.1)
    assert due_s() is None


def test_gauges_show_the_oldest_clock() -> None:
    scene = Scene()
    (gauge,) = scene.gauges
    assert (gauge.label, gauge.used, gauge.limit, gauge.unit) == ("without a stop", 0, 30, Unit.SECONDS)
    scene.long()
    scene.till(12.5)
    assert scene.gauges[0].used == 12
    scene.stop()
    assert scene.gauges[0].used == 0


def test_a_close_that_fails_is_tried_again() -> None:
    scene = Scene()
    scene.long()
    scene.at(31)
    assert len(scene.closed) == 1
    for second in range(32, 60):
        scene.at(second)
    assert len(scene.closed) == 3  # an unanswered call is given ten seconds
    assert scene.codes == ["NO_STOP_LOSS"]


def test_what_is_left_of_the_orders_goes_with_the_position() -> None:
    """An orphaned stop would open a position the other way round."""
    scene = Scene()
    scene.long(3)
    stop_id = scene.stop(1)
    target = scene.venue.order(ES, Side.SELL, 2, limit=5820)
    other = scene.venue.order(MNQ, Side.BUY, 1, limit=20_000)
    scene.feed(target, other)
    scene.at(31)
    assert last(scene.actions, CancelOrder) == []
    scene.feed(scene.venue.closes(ES, 5799))
    gone = {action.order_id for action in scene.actions if isinstance(action, CancelOrder)}
    assert gone == {stop_id, target.order.id}


def test_may_flatten_the_account() -> None:
    scene = Scene(action="flatten")
    scene.long(2, MNQ)
    scene.stop(2, product=MNQ, stop=5700)
    scene.long()
    scene.at(31)
    assert set(scene.closed) == {ES.id, MNQ.id}
    (intent,) = scene.engine.enforcer.open_intents
    assert intent.goal.scope == ACCOUNT  # type: ignore[union-attr]  # a flatten closes a scope


def test_may_only_say_so() -> None:
    scene = Scene(action="alert")
    scene.long()
    scene.at(31)
    assert (scene.codes, scene.closed) == (["NO_STOP_LOSS"], [])


def test_two_accounts_do_not_share_a_clock() -> None:
    shared = rule()
    first, second = Guarded(shared), Guarded(shared, venue=Scenario("1002"))
    first.feed(first.venue.buys(ES, 1, 5800))
    for guarded in (first, second):
        guarded.venue.wait(31)
        guarded.feed(guarded.venue.snapshot())
    assert (first.codes, second.codes) == (["NO_STOP_LOSS"], [])


@pytest.mark.parametrize(
    ("options", "grace_s", "warn_s"),
    [
        ({}, 30, None),
        ({"grace_period_seconds": 300, "require_within_seconds": 60}, 300, 60),
        ({"grace_period_ms": 300_000, "require_within_seconds": 60}, 300, 60),
        ({"grace_period": "5m", "require_within_seconds": 60}, 300, 60),
        ({"require_within_seconds": 60}, 60, None),
        ({"grace_period": "2m"}, 120, None),
        ({"grace_seconds": 10}, 10, None),
    ],
)
def test_reads_the_older_spellings(options: dict[str, Any], grace_s: int, warn_s: int | None) -> None:
    built = build_rule(NoStopLossGrace, options)
    assert built.grace_period_ns == grace_s * SECOND_NS
    assert built.warn_after_ns == (None if warn_s is None else warn_s * SECOND_NS)
    assert build_rule(NoStopLossGrace, options_of(built)) == built


@pytest.mark.parametrize(
    "options",
    [
        {"grace_period_seconds": 0},
        {"grace_period_seconds": 30, "warn_after_seconds": 30},
        {"grace_on_removal_seconds": 1},
        {"accept_types": []},
        {"accept_types": ["limit"]},
        {"coverage": "half"},
        {"action": "place_stop"},
        {"grace_period_seconds": 60, "warn_after_seconds": 10, "require_within_seconds": 20},
        {"lockout": True},
    ],
)
def test_refuses_options_that_make_no_sense(options: dict[str, Any]) -> None:
    with pytest.raises(OptionsInvalid):
        build_rule(NoStopLossGrace, options)


@given(moves=st.lists(st.tuples(st.integers(-4, 4), st.integers(0, 8)), max_size=30))
def test_the_clocks_always_count_exactly_what_is_bare(moves: list[tuple[int, int]]) -> None:
    clocks: tuple[Clock, ...] = ()
    size = 0
    for now_ns, (grown, covered) in enumerate(moves):
        grown = max(grown, -size)
        size += grown
        bare = max(0, size - covered)
        clocks = _counted(_resized(clocks, grown, now_ns), bare, now_ns)
        assert sum(clock.contracts for clock in clocks) == bare
        assert all(clock.contracts > 0 for clock in clocks)
        assert list(clocks) == sorted(clocks, key=lambda clock: clock.since_ns)


def test_remembers_nothing_before_it_has_seen_the_account() -> None:
    assert rule().initial_state() == Watches()

"""Protective orders on their way: the table in the module's text, row by row."""

import pytest
from msgspec.structs import replace

from risk_manager.domain.actions import ModifyOrder, PlaceStop
from risk_manager.domain.events import ActionAccepted, ActionRejected, ActionUnknown, Outcome, Refusal
from risk_manager.domain.intent import Protected
from risk_manager.domain.order import Order, OrderStatus, OrderType, Side
from risk_manager.enforcement.pacing import Pacing
from risk_manager.enforcement.protection_calls import ProtectionCalls
from risk_manager.testing.events import ES
from tests.enforcement.situations import MS, S, account

PLACE = PlaceStop("1001-1.1", "i", ES.id, Side.SELL, 2, 100)
MOVE = ModifyOrder("1001-2.1", "i", ES.id, "7", 104, None)
LONG = Protected("1001", ES.id, "pos-1", 1, 100, None, 0)
RESTING = Order("7", ES.id, Side.SELL, OrderType.STOP, OrderStatus.WORKING, 2, stop_ticks=100, tag="1001-1.1")


def outcome(kind: str, action_id: str, at_ns: int) -> Outcome:
    match kind:
        case "accepted":
            return ActionAccepted("1001", action_id, 0, at_ns)
        case "refused":
            return ActionRejected("1001", action_id, Refusal.OTHER, "no", 0, at_ns)
        case _:
            return ActionUnknown("1001", action_id, "timeout", 0, at_ns)


@pytest.mark.parametrize(
    ("action", "kind", "is_seen", "snapshots", "free_ns"),
    [
        (PLACE, None, False, 0, 10 * S),
        (PLACE, "accepted", True, 0, 250 * MS),
        (PLACE, "unknown", True, 0, 250 * MS),
        (PLACE, "accepted", False, 2, 7 * S + 100 * MS),
        (PLACE, "unknown", False, 2, 7 * S + 100 * MS),
        (PLACE, "unknown", False, 1, 9 * S + 400 * MS),  # not before it has been read twice
        (PLACE, "refused", False, 0, 350 * MS),
        (MOVE, "accepted", True, 0, 250 * MS),
        (MOVE, "accepted", False, 0, 2 * S + 100 * MS),
        (MOVE, "unknown", False, 0, 2 * S + 100 * MS),
    ],
)
def test_when_the_next_may_follow(
    action: PlaceStop | ModifyOrder, kind: str | None, snapshots: int, free_ns: int, *, is_seen: bool
) -> None:
    calls = ProtectionCalls(Pacing())
    calls.sent(action, 0)
    if kind is not None:
        calls.learned(outcome(kind, action.id, 100 * MS))
    if is_seen:
        calls.saw_order(RESTING if action is PLACE else replace(RESTING, stop_ticks=104))
    for count in range(snapshots):
        calls.saw_snapshot((count + 1) * S, frozenset())
    assert calls.free_at_ns(ES.id, 9 * S if snapshots == 1 else 0) == free_ns


def test_refusals_double_the_wait_up_to_a_limit() -> None:
    calls = ProtectionCalls(Pacing())
    waits = []
    for _ in range(9):
        calls.sent(PLACE, 0)
        calls.learned(outcome("refused", PLACE.id, 0))
        waits.append(calls.free_at_ns(ES.id, 0) // MS)
    assert waits == [250, 500, 1000, 2000, 4000, 8000, 15_000, 15_000, 15_000]


def test_an_urgent_change_skips_the_pause_but_not_what_is_under_way() -> None:
    calls = ProtectionCalls(Pacing())
    calls.sent(PLACE, 0)
    assert calls.free_at_ns(ES.id, 0, is_urgent=True) == 10 * S
    calls.learned(outcome("accepted", PLACE.id, 1))
    calls.saw_order(RESTING)
    assert calls.free_at_ns(ES.id, 2, is_urgent=True) == 0


@pytest.mark.parametrize(
    ("order", "has_effect"),
    [
        (RESTING, False),
        (replace(RESTING, stop_ticks=104), True),
        (replace(RESTING, status=OrderStatus.FILLED), True),
        (replace(RESTING, id="8", stop_ticks=104), False),
    ],
)
def test_knows_when_a_change_has_come_to_pass(order: Order, *, has_effect: bool) -> None:
    calls = ProtectionCalls(Pacing())
    calls.sent(MOVE, 0)
    calls.saw_order(order)
    assert calls.memory.calls[ES.id].has_effect is has_effect


@pytest.mark.parametrize(
    ("tag", "has_effect"),
    [
        ("1001-1.1", True),
        ("1001-1.1-ffffffff", False),  # an equal id of another run
        ("1001-1.1-", False),  # or of one before there were marks
        ("1001-1.2", False),
        (None, False),
    ],
)
def test_knows_the_order_of_an_attempt_by_its_whole_tag(tag: str | None, *, has_effect: bool) -> None:
    calls = ProtectionCalls(Pacing())
    calls.sent(PLACE, 0)
    calls.learned(outcome("unknown", PLACE.id, 1))
    calls.saw_order(replace(RESTING, tag=tag))
    assert calls.memory.calls[ES.id].has_effect is has_effect
    assert calls.is_unsettled(ES.id) is not has_effect


def test_an_order_may_appear_until_it_is_seen_refused_or_settled() -> None:
    calls = ProtectionCalls(Pacing())
    calls.sent(PLACE, 0)
    assert calls.is_unsettled(ES.id)
    calls.lost_touch(5)
    assert calls.is_unsettled(ES.id)
    calls.saw_snapshot(1 * S, frozenset())
    calls.saw_snapshot(2 * S, {ES.id})
    calls.tidy(account(), (), 8 * S)
    assert calls.is_unsettled(ES.id)
    calls.saw_snapshot(8 * S, frozenset())
    calls.saw_snapshot(9 * S, frozenset())
    calls.tidy(account(), (), 9 * S)
    assert not calls.is_unsettled(ES.id)
    assert not calls


def test_less_than_before_is_a_fill_unless_something_was_cancelled() -> None:
    calls = ProtectionCalls(Pacing())
    calls.covered(LONG, (2, 2), 0)
    calls.covered(LONG, (2, 2), 1)
    assert calls.adding_from_ns(ES.id, 1) == 0
    calls.covered(LONG, (1, 2), 10)
    assert calls.doubtful_from_ns() == 10 + 250 * MS
    assert calls.adding_from_ns(ES.id, 10) == 10 + S
    assert calls.adding_from_ns(ES.id, 5 * S) == 5 * S + 400 * MS
    calls.saw_snapshot(11, frozenset())
    assert calls.adding_from_ns(ES.id, 5 * S) == 10 + S
    assert calls.doubtful_from_ns() is None

    calls = ProtectionCalls(Pacing())
    calls.covered(LONG, (2, 0), 0)
    calls.saw_order(replace(RESTING, status=OrderStatus.CANCELLED))
    calls.covered(LONG, (0, 0), 1)
    assert calls.adding_from_ns(ES.id, 1) == 0


def test_forgets_a_position_that_is_gone() -> None:
    calls = ProtectionCalls(Pacing())
    calls.sent(PLACE, 0)
    calls.learned(outcome("accepted", PLACE.id, 1))
    calls.saw_order(RESTING)
    calls.covered(LONG, (2, 0), 1)
    calls.covered(LONG, (1, 0), 2)
    calls.tidy(account((ES, 1)), (), S)
    assert (calls.priced_ns(ES.id, is_stop=True), list(calls.memory.holds)) == (0, [ES.id])
    calls.tidy(account(), (), S)
    assert [calls.memory.stops_ns, calls.memory.covers, calls.memory.holds] == [{}, {}, {}]
    assert calls.priced_ns(ES.id, is_stop=True) < -S


@pytest.mark.parametrize(
    ("goal", "is_another"),
    [
        (LONG, False),
        (replace(LONG, position_id=""), False),  # not told yet which it is
        (replace(LONG, position_id="pos-2"), True),
        (replace(LONG, position_id="", side=-1), True),
    ],
)
def test_what_covered_another_position_says_nothing_of_this_one(goal: Protected, *, is_another: bool) -> None:
    """Turned round, what it had lies on the other side: that is no fill, and a stop for it need not wait for a look."""
    calls = ProtectionCalls(Pacing())
    calls.covered(LONG, (2, 0), 1)
    calls.covered(goal, (0, 0), 2)
    assert (calls.adding_from_ns(ES.id, 2) == 0) is is_another
    calls.covered(goal, (2, 0), 3)
    calls.covered(goal, (1, 0), 4)
    assert calls.adding_from_ns(ES.id, 4) > 0


def test_learns_which_position_it_is_from_the_first_that_says_so() -> None:
    calls = ProtectionCalls(Pacing())
    for position_id, cover in (("", 2), ("pos-1", 2), ("", 2), ("pos-2", 0)):
        calls.covered(replace(LONG, position_id=position_id), (cover, 0), 1)
    assert calls.adding_from_ns(ES.id, 2) == 0


def test_moves_its_times_with_the_local_clock() -> None:
    calls = ProtectionCalls(Pacing())
    calls.sent(PLACE, 10 * S)
    calls.covered(LONG, (2, 0), 10 * S)
    calls.covered(LONG, (1, 0), 10 * S)
    calls.shift(-4 * S)
    assert calls.free_at_ns(ES.id, 6 * S) == 16 * S
    assert calls.priced_ns(ES.id, is_stop=True) == 6 * S
    assert calls.memory.holds[ES.id].since_ns == 6 * S

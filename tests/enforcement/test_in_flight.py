"""What was sent is not sent again before its time: one table per stage."""

import msgspec
import pytest

from risk_manager.domain.actions import Action, CancelOrder, ClosePosition, ReducePosition, TakeSnapshot
from risk_manager.domain.events import ActionAccepted, ActionRejected, ActionUnknown, Outcome, Refusal
from risk_manager.enforcement.in_flight import InFlight, Stage, target_of
from risk_manager.enforcement.pacing import Pacing
from tests.enforcement.situations import MS, S

CANCEL = CancelOrder("a", "i", "ES", "7")
CLOSE = ClosePosition("a", "i", "ES")
REDUCE = ReducePosition("a", "i", "ES", 3)
SNAPSHOT = TakeSnapshot("a", "proof", False)
SENT_NS = 100 * S
NET = 5


def accepted(at_ns: int, action_id: str = "a") -> Outcome:
    return ActionAccepted("1", action_id, 0, at_ns)


def refused(at_ns: int, refusal: Refusal = Refusal.OTHER, action_id: str = "a") -> Outcome:
    return ActionRejected("1", action_id, refusal, "no", 0, at_ns)


def unknown(at_ns: int, action_id: str = "a") -> Outcome:
    return ActionUnknown("1", action_id, "timeout", 0, at_ns)


def registry(action: Action, *outcomes: Outcome) -> InFlight:
    in_flight = InFlight(Pacing())
    in_flight.sent(action, NET, SENT_NS)
    for outcome in outcomes:
        in_flight.learned(outcome)
    return in_flight


def test_keeps_apart_what_must_not_wait_for_each_other() -> None:
    assert [target_of(action) for action in (CANCEL, CLOSE, REDUCE, SNAPSHOT)] == [
        "order:7",
        "close:ES",
        "reduce:ES",
        "snapshot",
    ]


@pytest.mark.parametrize("action", [CANCEL, CLOSE, REDUCE, SNAPSHOT])
def test_does_not_repeat_what_has_no_outcome(action: Action) -> None:
    in_flight = registry(action)
    target = target_of(action)
    assert in_flight.is_pending(target)
    assert in_flight.free_at_ns(target, NET, SENT_NS) == SENT_NS + 10 * S
    in_flight.age(SENT_NS + 10 * S - 1)
    assert in_flight.entries[target].stage is Stage.SENT
    in_flight.age(SENT_NS + 10 * S)
    assert in_flight.entries[target].stage is Stage.UNKNOWN


@pytest.mark.parametrize(
    ("action", "net_now", "free_after_ns"),
    [
        (CANCEL, NET, 50 * MS + 2 * S),
        (CLOSE, NET, 50 * MS + 2 * S),  # the venue said yes, but nothing has moved
        (CLOSE, 2, 250 * MS),  # a part was closed: the rest again, on the fresh position
        (REDUCE, 2, 250 * MS),  # done in full
        (REDUCE, 0, 250 * MS),
    ],
)
def test_waits_for_the_effect_of_what_was_accepted(action: Action, net_now: int, free_after_ns: int) -> None:
    in_flight = registry(action, accepted(SENT_NS + 50 * MS))
    assert in_flight.free_at_ns(target_of(action), net_now, SENT_NS + 60 * MS) == SENT_NS + free_after_ns


@pytest.mark.parametrize(("executed", "free_after_ns"), [(2, 50 * MS + 7 * S), (3, 250 * MS), (4, 250 * MS)])
def test_takes_what_has_filled_in_full_for_done(executed: int, free_after_ns: int) -> None:
    """Whatever is held: somebody else may have added as much."""
    in_flight = registry(REDUCE, accepted(SENT_NS + 50 * MS))
    in_flight.saw_snapshot(SENT_NS + 60 * MS, ())
    in_flight.saw_snapshot(SENT_NS + 70 * MS, ())
    in_flight.saw_executed(lambda action: executed)
    assert in_flight.free_at_ns(target_of(REDUCE), NET + 1, SENT_NS + 80 * MS) == SENT_NS + free_after_ns


@pytest.mark.parametrize("outcome", [(), (refused(SENT_NS),), (unknown(SENT_NS),)])
def test_only_what_was_accepted_is_done_by_its_fills(outcome: tuple[Outcome, ...]) -> None:
    in_flight = registry(REDUCE, *outcome)
    in_flight.saw_executed(lambda action: action.size)
    assert not in_flight.entries[target_of(REDUCE)].has_effect


@pytest.mark.parametrize("net_now", [5, 4, 3, 6])
@pytest.mark.parametrize("outcome", [accepted(SENT_NS), unknown(SENT_NS)])
def test_does_not_repeat_a_size_that_has_not_shown_in_full(net_now: int, outcome: Outcome) -> None:
    """The rest of it may still be working: only time and two agreeing snapshots say otherwise."""
    in_flight = registry(REDUCE, outcome)
    for snapshots, now_ns in ((0, SENT_NS + 60 * S), (1, SENT_NS + 61 * S)):
        if snapshots:
            in_flight.saw_snapshot(SENT_NS + snapshots, frozenset())
        assert in_flight.free_at_ns("reduce:ES", net_now, now_ns) > now_ns
    in_flight.saw_snapshot(SENT_NS + 2, frozenset())
    assert in_flight.free_at_ns("reduce:ES", net_now, SENT_NS + 61 * S) == SENT_NS + 7 * S


def test_counts_agreeing_snapshots_in_a_row_only() -> None:
    in_flight = registry(REDUCE, unknown(SENT_NS))
    in_flight.saw_snapshot(SENT_NS + 1, frozenset())
    in_flight.saw_snapshot(SENT_NS + 2, frozenset({"ES"}))
    in_flight.saw_snapshot(SENT_NS + 3, frozenset({"NQ"}))
    assert in_flight.entries["reduce:ES"].agreeing == 1
    in_flight.saw_snapshot(SENT_NS - 1, frozenset())
    assert in_flight.entries["reduce:ES"].agreeing == 1, "read before the outcome"


@pytest.mark.parametrize(
    ("refusals", "refusal", "wait_ns"),
    [
        (1, Refusal.OTHER, 250 * MS),
        (2, Refusal.OTHER, 500 * MS),
        (3, Refusal.NOT_FOUND, 1 * S),
        (4, Refusal.NOT_ALLOWED, 2 * S),
        (40, Refusal.OTHER, 2 * S),  # for ever, but never slower
        (1, Refusal.MARKET_CLOSED, 1 * S),
        (9, Refusal.RATE_LIMITED, 1 * S),
    ],
)
@pytest.mark.parametrize("action", [CANCEL, CLOSE, REDUCE])
def test_tries_again_after_a_refusal(action: Action, refusals: int, refusal: Refusal, wait_ns: int) -> None:
    in_flight = registry(action)
    for _ in range(refusals):
        in_flight.sent(action, NET, SENT_NS)
        in_flight.learned(refused(SENT_NS, refusal))
    assert in_flight.free_at_ns(target_of(action), NET, SENT_NS) == SENT_NS + wait_ns


@pytest.mark.parametrize(
    ("refusals", "wait_ns"), [(1, 250 * MS), (4, 2 * S), (5, 4 * S), (7, 16 * S), (8, 30 * S), (99, 30 * S)]
)
@pytest.mark.parametrize("action", [CANCEL, CLOSE, REDUCE])
def test_tries_what_is_not_found_less_and_less_often_until_a_snapshot_is_read(
    action: Action, refusals: int, wait_ns: int
) -> None:
    in_flight = registry(action)
    for _ in range(refusals):
        in_flight.sent(action, NET, SENT_NS)
        in_flight.learned(refused(SENT_NS, Refusal.NOT_FOUND))
    target = target_of(action)
    assert in_flight.free_at_ns(target, NET, SENT_NS) == SENT_NS + wait_ns
    assert in_flight.free_at_ns(target, NET + 1, SENT_NS) == SENT_NS + min(wait_ns, 2 * S), (
        "the position is another one"
    )
    in_flight.saw_snapshot(SENT_NS - 1, frozenset())
    assert in_flight.free_at_ns(target, NET, SENT_NS) == SENT_NS + wait_ns, "read before the refusal"
    in_flight.saw_snapshot(SENT_NS, frozenset())
    assert in_flight.free_at_ns(target, NET, SENT_NS) == SENT_NS + min(wait_ns, 2 * S)


@pytest.mark.parametrize("action", [CLOSE, REDUCE])
@pytest.mark.parametrize(
    ("refusals", "tries_after_s"),
    [(1, 1), (10, 1), (11, 2), (20, 2), (21, 5), (30, 5), (31, 10), (4000, 10)],
)
def test_tries_a_closed_market_less_and_less_often(action: Action, refusals: int, tries_after_s: int) -> None:
    in_flight = in_closed_market(action, refusals)
    target, before_ns, at_ns = target_of(action), SENT_NS - 1, SENT_NS + tries_after_s * S
    assert in_flight.free_at_ns(target, NET, at_ns - 1, before_ns) == at_ns
    assert in_flight.free_at_ns(target, NET, at_ns, before_ns) <= at_ns


def test_looks_every_second_whether_a_closed_market_is_quoted_again() -> None:
    in_flight = in_closed_market(CLOSE, 31)
    asked = [in_flight.free_at_ns("close:ES", NET, SENT_NS + second * S, SENT_NS) for second in range(10)]
    assert asked == [SENT_NS + (second + 1) * S for second in range(10)]
    assert in_flight.free_at_ns("close:ES", NET, SENT_NS + 3 * S, SENT_NS + 1) == SENT_NS + 1 * S
    assert in_flight.free_at_ns("close:ES", NET, SENT_NS + 3 * S) == SENT_NS + 1 * S


def in_closed_market(action: Action, refusals: int) -> InFlight:
    in_flight = registry(action)
    for _ in range(refusals):
        in_flight.sent(action, NET, SENT_NS)
        in_flight.learned(refused(SENT_NS, Refusal.MARKET_CLOSED))
    return in_flight


@pytest.mark.parametrize("action", [CANCEL, CLOSE])
def test_repeats_size_free_unknowns_soon(action: Action) -> None:
    in_flight = registry(action, unknown(SENT_NS + 1 * S))
    assert in_flight.free_at_ns(target_of(action), NET, SENT_NS) == SENT_NS + 1 * S + 250 * MS


def test_counts_unknowns_over_repetitions_until_one_is_accepted() -> None:
    in_flight = registry(REDUCE, unknown(SENT_NS))
    in_flight.sent(msgspec.structs.replace(REDUCE, id="b"), NET, SENT_NS)
    in_flight.learned(unknown(SENT_NS, "b"))
    assert in_flight.unknowns("reduce:ES") == 2
    in_flight.learned(unknown(SENT_NS, "a"))
    assert in_flight.unknowns("reduce:ES") == 2, "an old action's outcome is of no interest"
    in_flight.sent(msgspec.structs.replace(REDUCE, id="c"), NET, SENT_NS)
    in_flight.learned(accepted(SENT_NS, "c"))
    assert in_flight.unknowns("reduce:ES") == 0


def test_takes_the_loss_of_the_link_for_an_unknown_outcome() -> None:
    in_flight = registry(REDUCE)
    in_flight.sent(msgspec.structs.replace(CLOSE, id="b"), NET, SENT_NS)
    in_flight.learned(accepted(SENT_NS, "b"))
    in_flight.lost_touch(SENT_NS + 5)
    stages = {target: entry.stage for target, entry in in_flight.entries.items()}
    assert stages == {"reduce:ES": Stage.UNKNOWN, "close:ES": Stage.ACCEPTED}
    in_flight.learned(accepted(SENT_NS + 6))
    stages = {target: entry.stage for target, entry in in_flight.entries.items()}
    assert stages["reduce:ES"] is Stage.ACCEPTED, "a late outcome is still one"


@pytest.mark.parametrize(
    ("action", "outcome", "kept_for_ns"),
    [
        (CANCEL, accepted(SENT_NS), 250 * MS),
        (CLOSE, accepted(SENT_NS), 250 * MS),  # paces the next close of a trader who opens again at once
        (CLOSE, unknown(SENT_NS), 250 * MS),
        (REDUCE, accepted(SENT_NS), 250 * MS),
        (REDUCE, refused(SENT_NS), 250 * MS),
        (REDUCE, unknown(SENT_NS), 7 * S),  # may be executed late
    ],
)
def test_forgets_what_is_over(action: Action, outcome: Outcome, kept_for_ns: int) -> None:
    in_flight = registry(action, outcome)
    in_flight.forget(frozenset(), SENT_NS + kept_for_ns - 1)
    assert list(in_flight.entries) == [target_of(action)]
    in_flight.forget(frozenset({target_of(action)}), SENT_NS + kept_for_ns)
    assert list(in_flight.entries) == [target_of(action)]
    in_flight.forget(frozenset(), SENT_NS + kept_for_ns)
    assert in_flight.entries == {}


def test_keeps_what_awaits_its_outcome() -> None:
    in_flight = registry(CLOSE)
    in_flight.forget(frozenset(), SENT_NS + 5 * S)
    assert in_flight.is_pending("close:ES")


def test_remembers_that_a_close_worked_though_the_position_is_back() -> None:
    in_flight = registry(CLOSE)
    in_flight.forget(frozenset(), SENT_NS + 20 * MS)
    in_flight.learned(accepted(SENT_NS + 40 * MS))
    assert in_flight.free_at_ns("close:ES", NET, SENT_NS + 50 * MS) == SENT_NS + 250 * MS


@pytest.mark.parametrize(
    ("action", "outcomes", "expected"),
    [
        (CLOSE, [], None),
        (CLOSE, [accepted(SENT_NS)], None),
        (REDUCE, [accepted(SENT_NS)], SENT_NS + 2 * S),
        (REDUCE, [unknown(SENT_NS)], SENT_NS),
        (CANCEL, [unknown(SENT_NS + 5)], SENT_NS + 5),
        (CLOSE, [refused(SENT_NS, Refusal.NOT_FOUND)], SENT_NS),
        (CLOSE, [refused(SENT_NS, Refusal.MARKET_CLOSED)], None),
        (SNAPSHOT, [unknown(SENT_NS)], None),
    ],
)
def test_wants_a_snapshot_where_an_outcome_leaves_a_doubt(
    action: Action, outcomes: list[Outcome], expected: int | None
) -> None:
    in_flight = registry(action, *outcomes)
    assert in_flight.doubtful_from_ns() == expected
    in_flight.saw_snapshot(SENT_NS + 10, frozenset())
    in_flight.saw_snapshot(SENT_NS + 20, frozenset())
    assert in_flight.doubtful_from_ns() is None


def test_asks_for_one_snapshot_at_a_time() -> None:
    in_flight = registry(SNAPSHOT)
    in_flight.snapshot_answered(SENT_NS - 1)
    assert in_flight.is_pending("snapshot"), "one requested before is not the answer"
    in_flight.snapshot_answered(SENT_NS)
    assert in_flight.free_at_ns("snapshot", 0, SENT_NS) == SENT_NS + 400 * MS
    assert in_flight.acted_ns == 0, "reading changes nothing"


def test_moves_all_its_times_with_the_clock() -> None:
    in_flight = registry(CLOSE, accepted(SENT_NS + 1))
    in_flight.waiting_since_ns("NQ", SENT_NS)
    in_flight.shift(-50 * S)
    entry = in_flight.entries["close:ES"]
    assert (entry.sent_ns, entry.outcome_ns, in_flight.acted_ns) == (50 * S, 50 * S + 1, 50 * S + 1)
    assert in_flight.waiting_since_ns("NQ", SENT_NS) == 50 * S


def test_assumes_a_reduction_it_may_have_forgotten() -> None:
    in_flight = InFlight(Pacing())
    in_flight.suspect("ES", "i")
    in_flight.age(SENT_NS)
    assert in_flight.entries["reduce:ES"].stage is Stage.UNKNOWN
    assert in_flight.free_at_ns("reduce:ES", NET, SENT_NS) >= SENT_NS + 7 * S

"""A goal is proven by two snapshots that show it, read after the last action and apart from each other."""

import pytest

from risk_manager.domain.order import OrderStatus, Side
from risk_manager.domain.position import Position
from risk_manager.enforcement.pacing import Pacing
from risk_manager.enforcement.proof import Proof, Shown, after_snapshot, looked, next_snapshot_ns, shifted
from risk_manager.testing.events import ES, NQ
from tests.enforcement.situations import MS, account, order

PACING = Pacing()


@pytest.mark.parametrize(
    ("before", "is_met", "after"),
    [
        (Proof(), False, Proof()),
        (Proof(), True, Proof(7)),
        (Proof(5), True, Proof(5)),
        (Proof(5, 6), True, Proof(5, 6)),
        (Proof(5, 6), False, Proof()),  # lost again: from nothing
    ],
)
def test_notes_when_a_goal_is_reached_and_lost(before: Proof, is_met: bool, after: Proof) -> None:
    assert looked(before, is_met, 7) == after


@pytest.mark.parametrize(
    ("before", "is_shown", "requested_ms", "acted_ms", "after", "is_complete"),
    [
        (Proof(), True, 500, 0, Proof(), False),
        (Proof(100 * MS), True, 99, 0, Proof(100 * MS), False),  # read before the goal was reached
        (Proof(100 * MS), True, 100, 0, Proof(100 * MS, 100 * MS), False),
        (Proof(100 * MS), True, 149, 150, Proof(100 * MS), False),  # read before the last outcome
        (Proof(100 * MS), True, 150, 150, Proof(100 * MS, 150 * MS), False),
        (Proof(100 * MS, 150 * MS), True, 549, 0, Proof(100 * MS, 150 * MS), False),  # too soon after the first
        (Proof(100 * MS, 150 * MS), True, 550, 0, Proof(100 * MS, 150 * MS), True),
        (Proof(100 * MS, 150 * MS), True, 700, 600, Proof(100 * MS, 700 * MS), False),  # acted since: a new first one
        (Proof(100 * MS, 150 * MS), False, 550, 0, Proof(100 * MS), False),  # a snapshot that shows otherwise
    ],
)
def test_counts_two_snapshots(
    before: Proof, is_shown: bool, requested_ms: int, acted_ms: int, after: Proof, is_complete: bool
) -> None:
    assert after_snapshot(before, is_shown, requested_ms * MS, acted_ms * MS, PACING) == (after, is_complete)


@pytest.mark.parametrize(
    ("proof", "acted_ms", "expected_ms"),
    [
        (Proof(), 50, None),
        (Proof(100 * MS), 50, 100),
        (Proof(100 * MS), 150, 150),
        (Proof(100 * MS, 160 * MS), 150, 560),
        (Proof(100 * MS, 160 * MS), 170, 170),
    ],
)
def test_asks_for_the_snapshot_that_would_help(proof: Proof, acted_ms: int, expected_ms: int | None) -> None:
    due_ns = next_snapshot_ns(proof, acted_ms * MS, PACING)
    assert due_ns == (None if expected_ms is None else expected_ms * MS)


def test_moves_with_the_clock() -> None:
    assert shifted(Proof(5, 6), 10) == Proof(15, 16)
    assert shifted(Proof(), 10) == Proof()


def test_compares_a_snapshot_with_what_is_known() -> None:
    state = account((ES, 2), (NQ, 1))
    gone = order("x", Side.BUY, 1, status=OrderStatus.CANCELLED)
    shown = Shown.of((Position(ES.id, 3, 0, "p", 0), Position(NQ.id, 0, 0, "q", 0)), (gone,), state.contracts)
    assert shown.differing(state) == {ES.id, NQ.id}
    assert shown.orders == {}
    assert list(shown.holdings) == [ES.id]

"""Levels merged, and what a price does to them."""

import pytest

from risk_manager.domain.finding import Skipped
from risk_manager.exits._base import Deadline, Distance, Levels, Marked, MoveOnce, Stop, Target, Trail, View
from risk_manager.exits._levels import Cause, Trigger, begun, levels_of, merge, stepped, triggered
from risk_manager.exits.stop_loss import StopLoss
from tests.exits.positions import SIDES, held


@pytest.mark.parametrize("sign", SIDES)
def test_merges_to_the_tightest_stop_nearest_target_and_earliest_deadline(sign: int) -> None:
    parts = [
        Levels(Stop(sign * 90, 1, "a"), (Target(sign * 120, 1, "a"),), Deadline(50, "a"), (Trail("a", 1, 2),)),
        Levels(Stop(sign * 95, 2, "b"), (Target(sign * 110, 2, "b", 2),), Deadline(40, "b")),
        Levels(Stop(sign * 95, 3, "c"), (Target(sign * 105, 3, "c", 2),), Deadline(40, "c")),
        Levels(ratchets=(MoveOnce("d", 3, 4),), skipped=(Skipped("d", "missing d"),)),
    ]
    merged = merge(parts, held(sign * 3, sign * 100))
    assert merged.stop == Stop(sign * 95, 2, "b")
    assert merged.deadline == Deadline(40, "b")
    assert merged.targets == (Target(sign * 105, 3, "c", 2), Target(sign * 110, 2, "b", 1))
    assert merged.ratchets == (Trail("a", 1, 2), MoveOnce("d", 3, 4))
    assert merged.skipped == (Skipped("d", "missing d"),)


def test_a_target_for_everything_leaves_nothing_to_those_behind_it() -> None:
    parts = [Levels(targets=(Target(110, 0, "all"),)), Levels(targets=(Target(120, 0, "rung", 1),))]
    assert merge(parts, held(2, 100)).targets == (Target(110, 0, "all", 2),)


LEVELS = Levels(Stop(95, 10, "stop"), (Target(105, 10, "near", 1), Target(110, 10, "far", 1)), Deadline(100, "time"))


@pytest.mark.parametrize(
    ("mark", "expected"),
    [
        (Marked.at(96, 11), None),
        (Marked.at(95, 11), Trigger(Cause.STOP, 95, 2, "stop")),
        (Marked.at(90, 11), Trigger(Cause.STOP, 95, 2, "stop")),
        (Marked.at(95, 10), None),  # the price that armed it
        (Marked.at(104, 11), None),
        (Marked.at(105, 11), Trigger(Cause.TARGET, 105, 1, "near")),
        (Marked.at(105, 10), None),
        (Marked(11, 106, 94, 100), Trigger(Cause.STOP, 95, 2, "stop")),  # both inside one bar
        (Marked.at(100, 99), None),
        (Marked.at(100, 100), Trigger(Cause.DEADLINE, None, 2, "time")),
        (Marked.at(94, 100), Trigger(Cause.STOP, 95, 2, "stop")),
    ],
)
def test_what_a_mark_triggers(mark: Marked, expected: Trigger | None) -> None:
    assert triggered(LEVELS, mark, held(2, 100)) == expected


def test_a_short_is_the_mirror_image() -> None:
    levels = Levels(Stop(105, 0, "stop"), (Target(95, 0, "target"),))
    position = held(-3, 100)
    assert triggered(levels, Marked.at(104, 1), position) is None
    assert triggered(levels, Marked(1, 106, 94, 100), position) == Trigger(Cause.STOP, 105, 3, "stop")
    assert triggered(levels, Marked(1, 104, 94, 100), position) == Trigger(Cause.TARGET, 95, 3, "target")
    assert triggered(levels, Marked.at(105, 1), position) == Trigger(Cause.STOP, 105, 3, "stop")
    assert triggered(levels, Marked.at(95, 1), position) == Trigger(Cause.TARGET, 95, 3, "target")


def test_every_exit_has_its_state() -> None:
    exits, position = (StopLoss(distance=Distance(ticks=5)),), held(1, 100)
    states = begun(exits, position)
    assert stepped(exits, states, Marked.at(101, 1), position) == states
    with pytest.raises(ValueError, match="argument"):
        stepped(exits, (*states, None), Marked.at(101, 1), position)
    with pytest.raises(ValueError, match="argument"):
        levels_of(exits, (*states, None), position, View(1))

"""The stop at the entry once there was a profit."""

import pytest

from risk_manager.exits._base import Marked, MoveOnce
from risk_manager.exits.breakeven import Breakeven
from tests.exits.positions import SIDES, Walk, held, mirrored, side


@pytest.mark.parametrize("sign", SIDES)
@pytest.mark.parametrize(("offset", "expected"), [(0, 100), (2, 102)])
def test_moves_at_the_trigger_and_not_a_tick_before(sign: int, offset: int, expected: int) -> None:
    walk = Walk(Breakeven(trigger_ticks=10, offset_ticks=offset), side(1, 100, sign))
    assert walk.to(109, sign=sign).stop is None
    assert walk.to(110, sign=sign).stop == sign * expected
    assert walk.to(60, sign=sign).stop == sign * expected


@pytest.mark.parametrize(("net", "high", "low"), [(1, 110, 99), (-1, 101, 90)])
def test_the_extreme_of_a_bar_counts_and_arms_it_with_that_bar(net: int, high: int, low: int) -> None:
    walk = Walk(Breakeven(trigger_ticks=10), held(net, 100))
    walk.mark(Marked(5, high_ticks=high, low_ticks=low, close_ticks=100))
    assert walk.levels.stop is not None
    assert walk.levels.stop.armed_ns == 5


@pytest.mark.parametrize(("net", "expected"), [(2, 101), (-2, 100)])
def test_between_two_ticks_it_is_the_one_that_loses_nothing(net: int, expected: int) -> None:
    walk = Walk(Breakeven(trigger_ticks=10), held(net, 100, 101))
    walk.to(111 if net > 0 else 90)
    assert walk.stop == expected


def test_a_worse_average_does_not_loosen_it_and_a_better_one_tightens_it() -> None:
    walk = Walk(Breakeven(trigger_ticks=10), held(1, 100)).to(110)
    assert walk.becomes(held(2, 100, 90)).stop == 100
    assert walk.becomes(held(2, 110, 110)).stop == 110


@pytest.mark.parametrize("sign", SIDES)
def test_says_beforehand_where_it_would_move(sign: int) -> None:
    one = Breakeven(trigger_ticks=10, offset_ticks=2)
    walk = Walk(one, side(1, 100, sign))
    assert walk.levels.ratchets == (MoveOnce("breakeven", mirrored(110, sign), mirrored(102, sign)),)
    assert one.wake_ticks(walk.state, walk.position) == mirrored(110, sign)
    walk.to(110, sign=sign)
    assert one.wake_ticks(walk.state, walk.position) is None


@pytest.mark.parametrize(("trigger", "offset"), [(0, 0), (10, 10), (10, -1)])
def test_refuses_what_makes_no_sense(trigger: int, offset: int) -> None:
    with pytest.raises(ValueError, match="offset_ticks"):
        Breakeven(trigger_ticks=trigger, offset_ticks=offset)

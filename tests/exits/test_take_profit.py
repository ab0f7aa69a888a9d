"""A target at a fixed distance from the average entry."""

import pytest

from risk_manager.exits._base import Distance
from risk_manager.exits.take_profit import TakeProfit
from tests.exits.positions import SIDES, Walk, held, side


@pytest.mark.parametrize("sign", SIDES)
def test_stands_at_its_distance(sign: int) -> None:
    walk = Walk(TakeProfit(distance=Distance(ticks=20)), side(2, 100, sign))
    assert walk.targets == [(sign * 120, None)]


def test_follows_the_average_and_is_armed_anew() -> None:
    walk = Walk(TakeProfit(distance=Distance(ticks=20)), held(1, 100))
    walk.becomes(held(2, 100, 90, changed_ns=7))
    (target,) = walk.levels.targets
    assert (target.price_ticks, target.armed_ns) == (115, 7)


def test_may_be_a_part_of_the_price() -> None:
    assert Walk(TakeProfit(distance=Distance(basis_points=100)), held(-1, 10_000)).targets == [(9_900, None)]


def test_cannot_move_with_the_market() -> None:
    with pytest.raises(ValueError, match="target"):
        TakeProfit(distance=Distance(atr_percent=100))

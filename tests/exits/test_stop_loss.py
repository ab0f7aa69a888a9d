"""A stop at a fixed distance from the average entry."""

import pytest

from risk_manager.exits._base import Distance
from risk_manager.exits.stop_loss import StopLoss
from tests.exits.positions import SIDES, Walk, held, side


@pytest.mark.parametrize("sign", SIDES)
def test_stands_at_its_distance_from_the_first_moment(sign: int) -> None:
    walk = Walk(StopLoss(distance=Distance(ticks=10)), side(2, 100, sign))
    assert walk.stop == sign * 90
    assert walk.to(120, 80, sign=sign).stop == sign * 90


def test_is_armed_with_its_position() -> None:
    stop = Walk(StopLoss(distance=Distance(ticks=10)), held(1, 100, changed_ns=7)).levels.stop
    assert stop is not None
    assert (stop.price_ticks, stop.armed_ns) == (90, 7)


@pytest.mark.parametrize(("sign", "expected"), [(1, 9950), (-1, 10050)])
def test_may_be_a_part_of_the_price(sign: int, expected: int) -> None:
    assert Walk(StopLoss(distance=Distance(basis_points=50)), held(sign, 10_000)).stop == expected


@pytest.mark.parametrize(
    ("prices", "may_loosen", "expected"),
    [((100, 90), False, 90), ((100, 90), True, 85), ((100, 110), False, 95), ((100, 101), False, 91)],
)
def test_adding_moves_it_only_to_the_tighter_side(prices: tuple[int, int], *, may_loosen: bool, expected: int) -> None:
    walk = Walk(StopLoss(distance=Distance(ticks=10), may_loosen=may_loosen), held(1, 100))
    walk.becomes(held(2, *prices))
    assert walk.stop == expected
    assert walk.levels.stop is not None
    assert walk.levels.stop.armed_ns == (0 if expected == 90 else 1)


def test_cannot_be_made_of_a_range() -> None:
    with pytest.raises(ValueError, match="volatility_stop"):
        StopLoss(distance=Distance(atr_percent=100))

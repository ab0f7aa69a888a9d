"""A trailing stop that tightens with the profit."""

import pytest

from risk_manager.exits.profit_schedule import ProfitSchedule, ProfitStep
from tests.exits.positions import SIDES, Walk, held, side, stops_along

STEPS = (ProfitStep(20, 15), ProfitStep(40, 10), ProfitStep(80, 5))


@pytest.mark.parametrize("sign", SIDES)
def test_tightens_with_the_profit_and_never_back(sign: int) -> None:
    walk = Walk(ProfitSchedule(steps=STEPS), side(1, 100, sign))
    prices = [119, 120, 139, 140, 145, 110, 179, 180, 150]
    expected = [None, 105, 124, 130, 135, 135, 169, 175, 175]
    assert stops_along(walk, prices, sign) == expected


def test_may_begin_at_the_entry() -> None:
    walk = Walk(ProfitSchedule(steps=(ProfitStep(0, 5), ProfitStep(10, 1))), held(1, 100))
    assert stops_along(walk, [99, 100, 110], 1) == [None, 95, 109]


def test_a_better_average_counts_from_the_best_price() -> None:
    walk = Walk(ProfitSchedule(steps=STEPS), held(1, 100))
    assert walk.to(119).stop is None
    assert walk.becomes(held(2, 100, 90)).to(100).stop == 104  # 119 was a profit of 24
    assert walk.to(134).stop == 119
    assert walk.becomes(held(3, 100, 90, 89)).to(100).stop == 124  # 134 was a profit of 41


def test_says_beforehand_how_it_would_move() -> None:
    trails = Walk(ProfitSchedule(steps=STEPS), side(1, 100, 1)).levels.ratchets
    assert [(trail.from_ticks, trail.distance_ticks) for trail in trails] == [(120, 15), (140, 10), (180, 5)]  # type: ignore[union-attr]  # a schedule only trails


@pytest.mark.parametrize(
    "steps", [(), ((20, 5), (10, 4)), ((10, 5), (10, 4)), ((10, 5), (20, 6)), ((10, 0),), ((-1, 5),)]
)
def test_refuses_what_makes_no_sense(steps: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(ValueError, match="_ticks"):
        ProfitSchedule(steps=tuple(ProfitStep(*step) for step in steps))

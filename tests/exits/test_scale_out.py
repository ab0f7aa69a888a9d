"""A ladder of targets."""

import pytest

from risk_manager.exits.scale_out import Rung, ScaleOut
from tests.exits.positions import SIDES, Walk, held, mirrored, side


@pytest.mark.parametrize("sign", SIDES)
@pytest.mark.parametrize(
    ("size", "percents", "expected"),
    [
        (3, (50, 50), [(110, 1), (120, 2)]),
        (4, (50, 25, 25), [(110, 2), (120, 1), (130, 1)]),
        (1, (50, 50), [(120, 1)]),
        (10, (33, 33), [(110, 3), (120, 3)]),
        (1, (50,), []),
        (100, (1, 99), [(110, 1), (120, 99)]),
    ],
)
def test_spreads_whole_contracts_over_the_rungs(
    sign: int, size: int, percents: tuple[int, ...], expected: list[tuple[int, int]]
) -> None:
    rungs = tuple(Rung(10 * count, percent) for count, percent in enumerate(percents, start=1))
    walk = Walk(ScaleOut(rungs=rungs), side(size, 100, sign))
    assert walk.targets == [(mirrored(price, sign), contracts) for price, contracts in expected]


LADDER = ScaleOut(rungs=(Rung(10, 50), Rung(20, 25), Rung(30, 25)))


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (4, [(110, 2), (120, 1), (130, 1)]),
        (3, [(110, 1), (120, 1), (130, 1)]),
        (2, [(120, 1), (130, 1)]),
        (1, [(130, 1)]),
    ],
)
def test_what_is_closed_counts_for_the_nearest_rungs(left: int, expected: list[tuple[int, int]]) -> None:
    walk = Walk(LADDER, held(4, 100))
    assert walk.becomes(held(left, 100)).targets == expected


def test_may_begin_a_tick_from_the_entry() -> None:
    assert Walk(ScaleOut(rungs=(Rung(1, 100),)), held(2, 100)).targets == [(101, 2)]


def test_what_is_added_makes_a_new_ladder() -> None:
    walk = Walk(LADDER, held(2, 100)).becomes(held(1, 100)).becomes(held(4, 100))
    assert walk.targets == [(110, 2), (120, 1), (130, 1)]


@pytest.mark.parametrize("rungs", [(), ((10, 50), (10, 50)), ((0, 50),), ((10, 60), (20, 41)), ((10, 0),)])
def test_refuses_what_makes_no_sense(rungs: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(ValueError, match="must"):
        ScaleOut(rungs=tuple(Rung(*rung) for rung in rungs))

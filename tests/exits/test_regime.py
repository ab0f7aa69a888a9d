"""Distances by regime."""

import pytest

from risk_manager.exits._base import OnMissing
from risk_manager.exits.regime import Band, Regime
from tests.exits.positions import SIDES, Walk, held, side

BANDS = (
    Band(from_value=0, stop_ticks=20, target_ticks=40),
    Band(from_value=10, stop_ticks=10, trail_ticks=6),
)


@pytest.mark.parametrize("sign", SIDES)
def test_takes_the_distances_of_the_band(sign: int) -> None:
    walk = Walk(Regime(feature="vol", bands=BANDS), side(1, 100, sign))
    assert walk.to(100, sign=sign, vol=9).stop == sign * 80
    assert walk.targets == [(sign * 140, None)]
    assert [target.armed_ns for target in walk.levels.targets] == [1]
    assert walk.to(100, sign=sign, vol=10).stop == sign * 94
    assert walk.targets == []


def test_a_band_may_have_the_smallest_distances_and_leave_some_out() -> None:
    bands = (Band(from_value=0, target_ticks=1), Band(from_value=10, trail_ticks=1))
    walk = Walk(Regime(feature="vol", bands=bands), held(1, 100)).to(100, vol=0)
    assert (walk.stop, walk.targets) == (None, [(101, None)])
    walk.to(112, vol=10)
    assert (walk.stop, walk.targets) == (111, [])


@pytest.mark.parametrize("bands", [BANDS, BANDS[:1]])
def test_below_the_first_band_nothing_is_set(bands: tuple[Band, ...]) -> None:
    walk = Walk(Regime(feature="vol", bands=bands), held(1, 100)).to(100, vol=-1)
    assert (walk.stop, walk.targets) == (None, [])


@pytest.mark.parametrize(("may_loosen", "after"), [(False, 90), (True, 80)])
def test_a_wilder_regime_does_not_loosen_the_stop(*, may_loosen: bool, after: int) -> None:
    walk = Walk(Regime(feature="vol", bands=BANDS, may_loosen=may_loosen), held(1, 100))
    assert walk.to(95, vol=10).stop == 90
    assert walk.to(95, vol=0).stop == after


@pytest.mark.parametrize("sign", SIDES)
def test_the_trail_counts_from_the_best_price_since_the_opening(sign: int) -> None:
    walk = Walk(Regime(feature="vol", bands=BANDS), side(1, 100, sign)).to(112, 105, sign=sign, vol=0)
    assert walk.to(105, sign=sign, vol=10).stop == sign * 106
    walk.features.clear()
    walk.to(118, sign=sign)  # the best price counts without the measure too
    assert walk.to(110, sign=sign, vol=10).stop == sign * 112


def test_a_regime_counts_once_it_is_confirmed() -> None:
    walk = Walk(Regime(feature="vol", bands=BANDS, confirm_marks=3), held(1, 100))
    assert walk.to(100, 100, vol=0).stop is None
    assert walk.to(100, vol=0).stop == 80
    assert walk.to(100, 100, vol=10).to(100, vol=0).to(100, 100, vol=10).stop == 80
    assert walk.to(100, vol=10).stop == 94


@pytest.mark.parametrize(
    ("on_missing", "skips", "due_ns"),
    [(OnMissing.HOLD, [], None), (OnMissing.ALERT, ["missing vol"], None), (OnMissing.EXIT, ["missing vol"], 2)],
)
def test_without_the_measure_it_stays_where_it_is(on_missing: OnMissing, skips: list[str], due_ns: int | None) -> None:
    walk = Walk(Regime(feature="vol", bands=BANDS, on_missing=on_missing), held(1, 100)).to(100, vol=0)
    walk.features.clear()
    walk.to(101)
    assert (walk.stop, walk.targets, walk.skips, walk.due_ns) == (80, [(140, None)], skips, due_ns)


@pytest.mark.parametrize(
    "changes",
    [
        {"bands": ()},
        {"bands": (BANDS[1], BANDS[0])},
        {"bands": (Band(from_value=0, stop_ticks=0),)},
        {"confirm_marks": 0},
    ],
)
def test_refuses_what_makes_no_sense(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must"):
        Regime(**{"feature": "vol", "bands": BANDS, **changes})  # type: ignore[arg-type]  # as a table

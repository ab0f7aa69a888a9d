"""A stop at a multiple of the average true range."""

import pytest

from risk_manager.exits._base import ATR, OnMissing
from risk_manager.exits.volatility_stop import VolatilityStop
from tests.exits.positions import SIDES, Walk, held, side


@pytest.mark.parametrize("sign", SIDES)
def test_keeps_the_range_at_the_entry(sign: int) -> None:
    walk = Walk(VolatilityStop(atr_percent=250), side(1, 100, sign))
    assert walk.stop is None
    assert walk.to(100, sign=sign, atr=4_000).stop == sign * 90
    assert walk.to(100, sign=sign, atr=1_000).stop == sign * 90


@pytest.mark.parametrize(("may_loosen", "after"), [(False, 94), (True, 88)])
def test_follows_the_present_range_but_not_back(*, may_loosen: bool, after: int) -> None:
    walk = Walk(VolatilityStop(atr_percent=200, use_entry_atr=False, may_loosen=may_loosen), held(1, 100))
    assert walk.to(100, atr=5_000).stop == 90
    assert walk.skips == []
    assert walk.to(100, atr=3_000).stop == 94
    assert walk.to(100, atr=6_000).stop == after


def test_a_better_average_moves_it() -> None:
    walk = Walk(VolatilityStop(atr_percent=200), held(1, 100)).to(100, atr=5_000)
    assert walk.becomes(held(2, 100, 110)).stop == 95
    assert walk.becomes(held(2, 100, 90)).stop == 95


def test_a_better_average_moves_it_by_the_range_of_the_moment() -> None:
    walk = Walk(VolatilityStop(atr_percent=200, use_entry_atr=False), held(1, 100)).to(100, atr=5_000)
    assert walk.to(100, atr=6_000).stop == 90
    assert walk.becomes(held(2, 100, 110)).stop == 93  # 12 below 105


def test_the_smallest_reading_is_one() -> None:
    walk = Walk(VolatilityStop(atr_percent=1, use_entry_atr=False), held(1, 100)).to(100, atr=1)
    assert (walk.stop, walk.skips) == (99, [])


@pytest.mark.parametrize(
    ("on_missing", "skips", "due_ns"),
    [(OnMissing.HOLD, [], None), (OnMissing.ALERT, ["missing atr"], None), (OnMissing.EXIT, ["missing atr"], 1)],
)
@pytest.mark.parametrize("reading", [None, 0, -1])
def test_what_it_does_without_a_reading(
    on_missing: OnMissing, skips: list[str], due_ns: int | None, reading: int | None
) -> None:
    walk = Walk(VolatilityStop(atr_percent=250, on_missing=on_missing), held(1, 100))
    if reading is not None:
        walk.features[ATR] = reading
    walk.to(100)
    assert (walk.stop, walk.skips, walk.due_ns) == (None, skips, due_ns)


def test_a_stop_once_set_needs_no_reading() -> None:
    walk = Walk(VolatilityStop(atr_percent=250, on_missing=OnMissing.EXIT), held(1, 100)).to(100, atr=4_000)
    walk.features.clear()
    assert (walk.to(95).stop, walk.skips, walk.due_ns) == (90, [], None)


def test_refuses_no_multiple() -> None:
    with pytest.raises(ValueError, match="atr_percent"):
        VolatilityStop(atr_percent=0)

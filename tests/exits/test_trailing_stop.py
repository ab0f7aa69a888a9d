"""A stop behind the best price."""

import pytest

from risk_manager.exits._base import ATR, Distance, Marked, OnMissing, Trail
from risk_manager.exits.trailing_stop import Source, TrailingStop
from tests.exits.positions import SIDES, Walk, held, mirrored, side, stops_along


@pytest.mark.parametrize("sign", SIDES)
@pytest.mark.parametrize(
    ("activation", "step", "prices", "expected"),
    [
        (0, 1, [100, 101, 99, 103], [95, 96, 96, 98]),
        (0, 1, [99, 100], [None, 95]),
        (8, 1, [107, 108, 107, 109], [None, 103, 103, 104]),
        (0, 3, [100, 101, 102, 103, 105, 106], [95, 95, 95, 98, 98, 101]),
    ],
)
def test_follows_and_never_goes_back(
    sign: int, activation: int, step: int, prices: list[int], expected: list[int | None]
) -> None:
    one = TrailingStop(distance=Distance(ticks=5), activation_ticks=activation, min_step_ticks=step)
    assert stops_along(Walk(one, side(1, 100, sign)), prices, sign) == expected


@pytest.mark.parametrize(
    ("net", "source", "expected"),
    [(1, Source.EXTREME, 115), (1, Source.CLOSE, 98), (-1, Source.EXTREME, 85), (-1, Source.CLOSE, None)],
)
def test_follows_the_extreme_or_the_close(net: int, source: Source, expected: int | None) -> None:
    walk = Walk(TrailingStop(distance=Distance(ticks=5), source=source), held(net, 100))
    walk.mark(Marked(3, high_ticks=120, low_ticks=80, close_ticks=103))
    assert walk.stop == expected


@pytest.mark.parametrize(("sign", "expected"), [(1, 9_995), (-1, 10_004)])
def test_a_part_of_the_best_price(sign: int, expected: int) -> None:
    walk = Walk(TrailingStop(distance=Distance(basis_points=10)), held(sign, 10_000))
    walk.to(10_005 if sign > 0 else 9_995)
    assert walk.stop == expected


def test_a_range_that_grows_does_not_loosen_it() -> None:
    walk = Walk(TrailingStop(distance=Distance(atr_percent=200)), held(1, 100))
    assert walk.to(110, atr=4_000).stop == 102
    assert walk.to(112, atr=8_000).stop == 102
    assert walk.to(110, atr=2_000).stop == 108  # from the best price, 112
    loose = Walk(TrailingStop(distance=Distance(atr_percent=200), may_loosen=True), held(1, 100))
    assert loose.to(110, atr=4_000).to(110, atr=8_000).stop == 94


@pytest.mark.parametrize(
    ("on_missing", "skips", "due_ns"),
    [(OnMissing.HOLD, [], None), (OnMissing.ALERT, ["missing atr"], None), (OnMissing.EXIT, ["missing atr"], 2)],
)
def test_without_the_range_it_stays_and_says_so(on_missing: OnMissing, skips: list[str], due_ns: int | None) -> None:
    walk = Walk(TrailingStop(distance=Distance(atr_percent=200), on_missing=on_missing), held(1, 100))
    walk.to(110, atr=4_000)
    del walk.features[ATR]
    walk.to(130)
    assert (walk.stop, walk.skips, walk.due_ns) == (102, skips, due_ns)


@pytest.mark.parametrize("sign", SIDES)
def test_says_beforehand_how_it_would_move(sign: int) -> None:
    one = TrailingStop(distance=Distance(ticks=5), activation_ticks=8, min_step_ticks=2)
    walk = Walk(one, side(1, 100, sign))
    assert walk.levels.ratchets == (Trail("trailing_stop", mirrored(108, sign), 5, 2),)
    assert one.wake_ticks(walk.state, walk.position) == mirrored(108, sign)
    walk.to(108, sign=sign)
    assert one.wake_ticks(walk.state, walk.position) == mirrored(110, sign)
    assert walk.to(109, sign=sign).stop == mirrored(103, sign)
    assert walk.to(110, sign=sign).stop == mirrored(105, sign)


def test_says_beforehand_what_a_part_of_the_best_price_is() -> None:
    walk = Walk(TrailingStop(distance=Distance(basis_points=100)), held(1, 10_000))
    assert walk.levels.ratchets == (Trail("trailing_stop", 10_000, 100),)
    assert walk.to(12_000).levels.ratchets == (Trail("trailing_stop", 10_000, 120),)


def test_wakes_on_any_price_where_the_distance_may_change() -> None:
    one = TrailingStop(distance=Distance(basis_points=10))
    assert one.wake_ticks(one.initial_state(held(1, 100)), held(1, 100)) is None


@pytest.mark.parametrize("changes", [{"activation_ticks": -1}, {"min_step_ticks": 0}])
def test_refuses_what_makes_no_sense(changes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least"):
        TrailingStop(distance=Distance(ticks=5), **changes)  # type: ignore[arg-type]  # numbers only

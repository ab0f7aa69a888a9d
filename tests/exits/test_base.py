"""Entry prices, distances and stops that only tighten."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_manager.exits._base import ATR, Distance, Held, Marked, StopState, is_tighter
from tests.exits.positions import held


@pytest.mark.parametrize(
    ("position", "stop", "target", "entry"),
    [
        (held(2, 100), 90, 110, 100),
        (held(2, 100, 101), 91, 110, 100),  # 90.5 and 110.5
        (held(-2, 100), 110, 90, 100),
        (held(-2, 100, 101), 110, 91, 100),  # 110.5 and 90.5
        (held(3, 100, 100, 101), 91, 110, 100),  # a third
        (held(1, -20), -30, -10, -20),  # oil in April 2020
        (held(-2, -20, -21), -11, -30, -20),
    ],
)
def test_rounds_toward_safety(position: Held, stop: int, target: int, entry: int) -> None:
    assert position.stop_ticks(-10) == stop
    assert position.target_ticks(10) == target
    assert position.entry_ticks() == entry


@given(net=st.sampled_from([-3, -2, -1, 1, 2, 3]), cost=st.integers(-10_000, 10_000), offset=st.integers(-50, 50))
def test_a_stop_is_never_looser_and_a_target_never_farther_than_said(net: int, cost: int, offset: int) -> None:
    position = Held("p", net, cost, 7, 0, 0)
    stop, target = position.stop_ticks(offset), position.target_ticks(offset)
    exact = cost + offset * position.size * 7  # in ticks x size x tick value, as a long's
    assert stop * net * 7 >= exact > (stop - position.sign) * net * 7
    assert target * net * 7 <= exact < (target + position.sign) * net * 7
    assert position.has_profit(stop, offset)
    assert not position.has_profit(stop - position.sign, offset)


def test_a_price_is_its_own_range() -> None:
    assert Marked.at(96, 11) == Marked(11, high_ticks=96, low_ticks=96, close_ticks=96, features={})
    assert Marked.at(96, 11, {ATR: 5}) == Marked(11, high_ticks=96, low_ticks=96, close_ticks=96, features={ATR: 5})


@pytest.mark.parametrize(
    ("distance", "price", "atr", "expected"),
    [
        (Distance(ticks=1), 23_200, 0, 1),
        (Distance(ticks=8), 23_200, 0, 8),
        (Distance(basis_points=50), 23_200, 0, 116),
        (Distance(basis_points=50), -3700, 0, 18),  # 18.5
        (Distance(basis_points=1), 50, 0, 1),
        (Distance(atr_percent=200), 23_200, 4_500, 9),
        (Distance(atr_percent=150), 23_200, 4_500, 6),  # 6.75
        (Distance(atr_percent=10), 23_200, 100, 1),
        (Distance(atr_percent=10), 23_200, 1, 1),
        (Distance(atr_percent=200), 23_200, 0, None),
    ],
)
def test_distances(distance: Distance, price: int, atr: int, expected: int | None) -> None:
    assert distance.ticks_from(price, {ATR: atr}) == expected


@pytest.mark.parametrize("given_", [{}, {"ticks": 1, "basis_points": 1}, {"ticks": 0}, {"atr_percent": -1}])
def test_a_distance_is_one_thing(given_: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="exactly one"):
        Distance(**given_)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_stop_only_tightens(sign: int) -> None:
    stop = StopState().moved(sign * 90, 1, sign)
    assert stop == StopState(sign * 90, 1)
    assert stop.moved(sign * 90, 2, sign) is stop
    assert stop.moved(sign * 89, 2, sign) is stop
    assert stop.moved(None, 2, sign) is stop
    assert stop.moved(sign * 91, 2, sign) == StopState(sign * 91, 2)
    assert stop.moved(sign * 89, 2, sign, may_loosen=True) == StopState(sign * 89, 2)
    assert is_tighter(sign * 91, sign * 90, sign)
    assert not is_tighter(sign * 90, sign * 90, sign)

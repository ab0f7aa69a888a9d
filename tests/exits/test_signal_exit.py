"""An end when a number says so."""

import pytest

from risk_manager.exits._base import OnMissing
from risk_manager.exits.signal_exit import SignalExit
from tests.exits.positions import SIDES, Walk, held, side


@pytest.mark.parametrize("sign", SIDES)
@pytest.mark.parametrize("threshold", [1, 3])
def test_closes_against_the_side_at_the_threshold(sign: int, threshold: int) -> None:
    walk = Walk(SignalExit(feature="score", threshold=threshold), side(1, 100, sign))
    assert walk.to(100, sign=sign, score=sign * (1 - threshold)).due_ns is None
    assert walk.to(100, sign=sign, score=sign * 9).due_ns is None
    assert walk.to(100, sign=sign, score=sign * -threshold).due_ns == 4
    assert walk.to(100, sign=sign, score=0).due_ns == 4


@pytest.mark.parametrize(
    ("on_missing", "skips", "due_ns"),
    [(OnMissing.HOLD, [], None), (OnMissing.ALERT, ["missing score"], None), (OnMissing.EXIT, ["missing score"], 1)],
)
def test_a_missing_number_says_nothing(on_missing: OnMissing, skips: list[str], due_ns: int | None) -> None:
    walk = Walk(SignalExit(feature="score", threshold=3, on_missing=on_missing), held(1, 100)).to(100)
    assert (walk.skips, walk.due_ns) == (skips, due_ns)


def test_refuses_no_threshold() -> None:
    with pytest.raises(ValueError, match="threshold"):
        SignalExit(feature="score", threshold=0)

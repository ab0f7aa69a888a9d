"""An end after a time."""

import pytest

from risk_manager.exits.time_exit import TimeExit
from tests.exits.positions import SIDES, Walk, held, side


def test_counts_from_the_opening_whatever_is_added() -> None:
    walk = Walk(TimeExit(after_ns=50), held(1, 100, opened_ns=10, changed_ns=10))
    assert walk.due_ns == 60
    assert walk.becomes(held(2, 100, opened_ns=10, changed_ns=40)).due_ns == 60
    assert Walk(TimeExit(after_ns=1), held(1, 100, opened_ns=10)).due_ns == 11


@pytest.mark.parametrize("sign", SIDES)
def test_may_spare_a_profit_as_long_as_it_lasts(sign: int) -> None:
    walk = Walk(TimeExit(after_ns=50, unless_profit_ticks=5), side(1, 100, sign))
    assert walk.to(104, sign=sign).due_ns == 50
    assert walk.to(105, sign=sign).due_ns is None
    assert walk.to(104, sign=sign).due_ns == 50


def test_refuses_no_time_at_all() -> None:
    with pytest.raises(ValueError, match="after_ns"):
        TimeExit(after_ns=0)

"""Which orders would add exposure."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_manager.domain.order import OrderStatus, Side
from risk_manager.enforcement.opening import is_opening, leaves_with_parent, net_after_fill
from tests.enforcement.situations import order

BUY, SELL = Side.BUY, Side.SELL


@pytest.mark.parametrize(
    ("net", "side", "size", "filled", "expected"),
    [
        (0, BUY, 1, 0, True),
        (0, SELL, 1, 0, True),
        (0, SELL, 1, 1, False),  # nothing of it is left
        (3, BUY, 1, 0, True),
        (3, SELL, 1, 0, False),
        (3, SELL, 3, 0, False),  # to flat
        (3, SELL, 4, 0, True),  # one past flat: the excess part of an oversized stop
        (3, SELL, 4, 1, False),
        (-3, SELL, 1, 0, True),
        (-3, BUY, 3, 0, False),
        (-3, BUY, 4, 0, True),
        (-3, BUY, 9, 6, False),
    ],
)
def test_tells_opening_orders_from_closing_ones(net: int, side: Side, size: int, filled: int, expected: bool) -> None:
    assert is_opening(order("1", side, size, filled=filled), net) is expected


@given(st.integers(-9, 9), st.sampled_from(Side), st.integers(1, 20), st.integers(0, 20))
def test_agrees_with_what_a_fill_would_do(net: int, side: Side, size: int, filled: int) -> None:
    resting = order("1", side, size, filled=filled)
    after = net_after_fill(resting, net)
    assert is_opening(resting, net) is (abs(after) > abs(net) or after * net < 0)


@pytest.mark.parametrize(
    ("status", "parent_id", "expected"),
    [
        (OrderStatus.SUSPENDED, "entry", True),
        (OrderStatus.SUSPENDED, "gone", False),
        (OrderStatus.SUSPENDED, None, False),
        (OrderStatus.WORKING, "entry", False),
    ],
)
def test_leaves_suspended_children_to_their_parent(status: OrderStatus, parent_id: str | None, expected: bool) -> None:
    entry = order("entry", BUY, 1)
    assert leaves_with_parent(order("stop", SELL, 1, status=status, parent_id=parent_id), {"entry": entry}) is expected

"""An action that had to wait goes out only if the account is still as it was meant for."""

from types import SimpleNamespace

import pytest

from risk_manager.domain.actions import (
    Action,
    CancelOrder,
    ClosePosition,
    ModifyOrder,
    PlaceStop,
    PlaceTarget,
    ReducePosition,
)
from risk_manager.domain.order import Order, OrderStatus, OrderType, Side
from risk_manager.enforcement.last_look import is_still_due

ES = "CON.F.US.EP.Z26"
STOP = PlaceStop("a", "i", ES, Side.SELL, 2, 100)
TARGET = PlaceTarget("a", "i", ES, Side.BUY, 2, 100)
LARGER = ModifyOrder("a", "i", ES, "7", None, None, 4)
SMALLER = ModifyOrder("a", "i", ES, "7", None, None, 2)
PRICED = ModifyOrder("a", "i", ES, "7", 99, None, None)
CANCEL = CancelOrder("a", "i", ES, "7")


def _is_unwanted(order: Order) -> bool:
    return False


@pytest.mark.parametrize(
    ("action", "net", "is_due"),
    [
        (STOP, 3, True),
        (STOP, 2, True),
        (STOP, 1, False),
        (STOP, 0, False),
        (STOP, -2, False),
        (TARGET, -3, True),
        (TARGET, -2, True),
        (TARGET, -1, False),
        (TARGET, 2, False),
        (LARGER, 3, True),  # one of the four has filled already
        (LARGER, 2, False),
        (LARGER, -3, False),
        (SMALLER, 0, True),  # still too much, but less than what rests
        (SMALLER, -3, True),
        (PRICED, -2, True),  # it rests there anyway, and its size is looked at elsewhere
        (CANCEL, 0, True),
        (CANCEL, -2, True),
        (CANCEL, 1, True),  # it would turn the position round
        (CANCEL, 2, False),  # it has come to protect what is held
        (ClosePosition("a", "i", ES), 0, True),
        (ReducePosition("a", "i", ES, 5), 1, True),
    ],
)
def test_depends_on_the_position_that_is_held_now(action: Action, net: int, is_due: bool) -> None:
    order = Order("7", ES, Side.SELL, OrderType.STOP, OrderStatus.WORKING, 3, filled=1, stop_ticks=100)
    holdings = {ES: SimpleNamespace(net_contracts=net)} if net else {}
    assert is_still_due(action, SimpleNamespace(holdings=holdings, orders={"7": order}), _is_unwanted) == is_due


@pytest.mark.parametrize("action", [LARGER, SMALLER, PRICED, CANCEL])
def test_leaves_an_order_alone_that_is_gone(action: Action) -> None:
    assert not is_still_due(
        action, SimpleNamespace(holdings={ES: SimpleNamespace(net_contracts=3)}, orders={}), _is_unwanted
    )


def test_takes_a_stop_away_that_is_not_wanted_with_the_position_it_protects() -> None:
    order = Order("7", ES, Side.SELL, OrderType.STOP, OrderStatus.WORKING, 3, stop_ticks=100)
    seen = SimpleNamespace(holdings={ES: SimpleNamespace(net_contracts=3)}, orders={"7": order})
    assert is_still_due(CANCEL, seen, lambda asked: asked is order)

"""The small values: arithmetic of positions and orders, and that they survive a journal line."""

import msgspec
import pytest

from risk_manager.domain.decision import NOTHING, Decision
from risk_manager.domain.events import Event, FillReceived, TimerFired
from risk_manager.domain.fill import Fill
from risk_manager.domain.instrument import Instrument
from risk_manager.domain.order import Order, OrderStatus, OrderType, Side
from risk_manager.domain.position import value_micros


@pytest.mark.parametrize(
    ("price_ticks", "net", "tick_value_micros", "expected"),
    [
        (20_000, 2, 12_500_000, 500_000_000_000),
        (20_000, -2, 12_500_000, -500_000_000_000),
        (-5, 1, 10_000_000, -50_000_000),  # crude oil has traded below zero
        (0, 7, 1, 0),
    ],
)
def test_values_a_position(price_ticks: int, net: int, tick_value_micros: int, expected: int) -> None:
    assert value_micros(price_ticks, net, tick_value_micros) == expected


@pytest.mark.parametrize(("size", "filled", "remaining"), [(3, 0, 3), (3, 2, 1), (3, 3, 0), (3, 4, 0)])
def test_counts_what_may_still_fill(size: int, filled: int, remaining: int) -> None:
    order = Order("1", "ES", Side.BUY, OrderType.LIMIT, OrderStatus.WORKING, size, filled)
    assert order.remaining == remaining


def test_knows_sides_and_ends() -> None:
    assert (Side.BUY.sign, Side.SELL.sign) == (1, -1)
    ends = {OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.EXPIRED, OrderStatus.REJECTED}
    assert {status for status in OrderStatus if status.is_terminal} == ends


def test_calls_an_instrument_by_all_its_names() -> None:
    instrument = Instrument("ES", 250_000_000, 12_500_000, ("EP",))
    assert [instrument.is_called(name) for name in ("es", "EP", "ep", "MES")] == [True, True, True, False]
    with pytest.raises(AssertionError):
        Instrument("ES", 0, 1)
    with pytest.raises(AssertionError):
        Instrument("ES", 1, 0)


def test_is_falsy_when_nothing_was_decided() -> None:
    timer = TimerFired("1", 0, 5)
    assert not NOTHING
    assert Decision(1, "1", "2025-01-15", timer)


def test_reads_back_what_it_wrote() -> None:
    event: Event = FillReceived("1", Fill("1", "2", "ES", Side.SELL, 1, None, 5), 5, 6)
    decision = Decision(1, "1", "2025-01-15", event)
    assert msgspec.json.decode(msgspec.json.encode(decision), type=Decision) == decision
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(event), type=Event) == event

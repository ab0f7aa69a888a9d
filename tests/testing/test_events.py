"""The imaginary venue behaves like one."""

import pytest

from risk_manager.domain.events import FillReceived, PositionUpdated
from risk_manager.domain.order import OrderStatus, Side
from risk_manager.testing.events import CL, ES, MNQ, Scenario, micros, ticks


def test_nets_positions_and_states_what_they_cost() -> None:
    venue = Scenario()
    venue.buys(ES, 1, 5800)
    (fill, stated) = venue.buys(ES, 1, 5810)
    assert isinstance(fill, FillReceived)
    assert fill.fill.pnl_micros is None
    assert isinstance(stated, PositionUpdated)
    assert stated.position.net_contracts == 2
    assert stated.position.cost_micros == 2 * micros(5805 * 50)


def test_books_the_profit_of_a_close_at_the_average_entry() -> None:
    venue = Scenario()
    venue.sells(MNQ, 1, 21000)
    venue.sells(MNQ, 1, 21010)
    (fill, stated) = venue.buys(MNQ, 1, 21000, fees="0.37")
    assert isinstance(fill, FillReceived)
    assert (fill.fill.pnl_micros, fill.fill.fees_micros) == (micros(10), micros("0.37"))
    assert isinstance(stated, PositionUpdated)
    assert stated.position.cost_micros == -micros(21005 * 2)
    assert venue.balance_micros == micros("50009.63")


def test_reverses_with_two_fills_and_a_new_position() -> None:
    venue = Scenario()
    (_, before) = venue.buys(CL, 1, 75)
    (closing, opening, after) = venue.sells(CL, 3, 74)
    assert isinstance(closing, FillReceived)
    assert isinstance(opening, FillReceived)
    assert (closing.fill.size, closing.fill.pnl_micros) == (1, micros(-1000))
    assert (opening.fill.size, opening.fill.pnl_micros) == (2, None)
    assert isinstance(before, PositionUpdated)
    assert isinstance(after, PositionUpdated)
    assert after.position.net_contracts == -2
    assert after.position.id != before.position.id


def test_snapshots_what_is_open_now() -> None:
    venue = Scenario()
    venue.buys(ES, 1, 5800)
    venue.closes(ES, 5801)
    venue.buys(CL, 1, 75)
    venue.order(CL, Side.SELL, 1, stop=74, order_id="stop")
    venue.order(CL, Side.BUY, 1, limit=74, order_id="gone")
    venue.order(CL, Side.BUY, 1, limit=74, order_id="gone", status=OrderStatus.CANCELLED)
    snapshot = venue.snapshot()
    assert snapshot.positions is not None
    assert snapshot.orders is not None
    assert snapshot.fills is not None
    assert [position.contract_id for position in snapshot.positions] == [CL.id]
    assert [order.id for order in snapshot.orders] == ["stop"]
    assert len(snapshot.fills) == 3


def test_moves_its_clock_with_every_event() -> None:
    venue = Scenario()
    times = [venue.quote(ES, 5800).at_ns, venue.timer(after_s=2).received_ns, venue.snapshot().at_ns]
    assert times == sorted(set(times))
    assert times[1] - times[0] == 2_001_000_000


def test_takes_prices_on_the_tick_only() -> None:
    assert (ticks(ES, 5800.25), ticks(CL, "74.70"), ticks(CL, -1.5)) == (23201, 7470, -150)
    with pytest.raises(AssertionError, match="not on the tick"):
        ticks(ES, 5800.1)

"""What the trading day has brought, and how far it may still go."""

import pytest

from risk_manager.domain.day_budget import (
    DayBasis,
    day_result_micros,
    loss_room_micros,
    open_losses_micros,
    profit_room_micros,
)
from risk_manager.testing.events import ES, MES, MNQ, NQ, micros
from risk_manager.testing.guarded import Guarded


def account(realized: int = -300, fees: int = 10) -> Guarded:
    """So much closed, one ES 400 and one NQ 100 down, five MES 250 up, one MNQ nobody quotes."""
    guarded = Guarded()
    venue = guarded.venue
    guarded.feed(venue.result(realized, fees=fees), venue.quote(ES, 5800), venue.quote(MES, 5800))
    guarded.feed(venue.buys(ES, 1, 5800), venue.buys(MES, 5, 5800), venue.buys(MNQ, 1, 21000))
    guarded.feed(venue.buys(NQ, 1, 21000), venue.quote(NQ, 20995))
    guarded.feed(venue.quote(ES, 5792), venue.quote(MES, 5810))
    return guarded


@pytest.mark.parametrize(
    ("basis", "with_fees", "without"),
    [
        (DayBasis.REALIZED, -310, -300),
        (DayBasis.REALIZED_PLUS_UNREALIZED, -560, -550),
        (DayBasis.COMPOSITE, -810, -800),
    ],
)
def test_measures_the_day(basis: DayBasis, with_fees: int, without: int) -> None:
    view = account().engine.account
    assert day_result_micros(view, basis, True) == micros(with_fees)
    assert day_result_micros(view, basis, False) == micros(without)
    assert open_losses_micros(view) == micros(-500)


@pytest.mark.parametrize(
    ("realized", "loss_room", "profit_room"),
    [(-800, 100, 1800), (-899, 1, 1899), (-900, 0, 1900), (-901, -1, 1901), (300, 1200, 700), (1000, 1900, 0)],
)
def test_leaves_room_for_what_is_open(realized: int, loss_room: int, profit_room: int) -> None:
    view = account(realized, fees=0).engine.account
    assert loss_room_micros(micros(900), view, include_fees=True) == micros(loss_room)
    assert profit_room_micros(micros(1000), view, include_fees=True) == micros(profit_room)


def test_counts_fees_into_the_room_as_told() -> None:
    view = account(-800, fees=10).engine.account
    assert loss_room_micros(micros(900), view, include_fees=True) == micros(90)
    assert loss_room_micros(micros(900), view, include_fees=False) == micros(100)
    assert profit_room_micros(micros(1000), view, include_fees=True) == micros(1810)
    assert profit_room_micros(micros(1000), view, include_fees=False) == micros(1800)

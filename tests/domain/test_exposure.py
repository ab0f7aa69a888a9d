"""What a position is worth in the market, by numbers."""

import pytest

from risk_manager.domain.account import HoldingView
from risk_manager.domain.exposure import latest_first, mark_ticks, movable_micros, notional_micros
from risk_manager.domain.quote import Quote
from risk_manager.testing.events import CL, ES, START_NS, Scenario
from risk_manager.testing.guarded import Guarded


@pytest.mark.parametrize(
    ("bid", "ask", "last", "net", "expected"),
    [
        (99, 101, 100, 2, 99),
        (99, 101, 100, -2, 101),
        (None, 101, 100, 1, 100),
        (99, None, 100, -1, 100),
        (None, None, 100, 1, 100),
        (99, None, None, -1, None),
        (0, 101, 100, 1, 0),  # a price of 0 is a price
        (-37, -36, -35, 1, -37),
    ],
)
def test_the_mark_is_what_the_position_could_be_left_at(
    bid: int | None, ask: int | None, last: int | None, net: int, expected: int | None
) -> None:
    assert mark_ticks(Quote("x", bid, ask, last, 1), net) == expected


def held(net: int = 1, *, price: str | None = "5800", is_described: bool = True) -> HoldingView:
    """A position in ES, whose tick of 0.25 is worth 12.50."""
    venue = Scenario()
    if not is_described:
        venue.contracts = ()
    guarded = Guarded(venue=venue)
    if price is not None:
        guarded.feed(venue.quote(ES, price))
    guarded.feed(venue.buys(ES, net, 5800) if net > 0 else venue.sells(ES, -net, 5800))
    return guarded.engine.account.holdings[ES.id]


def test_one_contract_s_market_value_does_not_depend_on_side_or_size() -> None:
    assert [notional_micros(held(net)) for net in (1, 3, -2)] == [290_000_000_000] * 3
    assert notional_micros(held(price="-1")) == 50_000_000


def test_without_a_price_or_a_record_there_is_no_market_value() -> None:
    assert notional_micros(held(price=None)) is None
    assert notional_micros(held(is_described=False)) is None
    without_a_bid = Guarded(venue=Scenario())
    without_a_bid.feed(without_a_bid.venue.quote(ES, None, 5800), without_a_bid.venue.buys(ES, 1, 5800))
    assert notional_micros(without_a_bid.engine.account.holdings[ES.id]) is None


def test_what_moves_is_a_part_of_the_price_in_whole_ticks_for_every_contract() -> None:
    """A sixty-fourth of 23,200 ticks is 362 and a half."""
    assert movable_micros(held(), 64) == 362 * 12_500_000
    assert movable_micros(held(-3), 64) == 362 * 3 * 12_500_000
    assert movable_micros(held(price="0.25"), 1) == 12_500_000


@pytest.mark.parametrize("price", [None, "0", "-1"])
def test_nothing_is_said_to_move_at_no_price_or_below_it(price: str | None) -> None:
    assert movable_micros(held(price=price), 4) == 0


def test_nothing_is_said_to_move_of_what_nobody_has_described() -> None:
    assert movable_micros(held(is_described=False), 4) == 0


def test_the_latest_is_what_grew_last_then_what_was_opened_last_then_by_name() -> None:
    guarded = Guarded(venue=Scenario())
    venue = guarded.venue
    guarded.feed(venue.buys(ES, 1, 5800), venue.buys(CL, 1, 70))
    holdings = guarded.engine.account.holdings
    assert [one.contract_id for one in sorted(holdings.values(), key=latest_first)] == [CL.id, ES.id]
    opened_ns = holdings[ES.id].opened_ns
    guarded.feed(venue.buys(ES, 1, 5800))
    es, cl = (guarded.engine.account.holdings[key.id] for key in (ES, CL))
    assert [one.contract_id for one in sorted((cl, es), key=latest_first)] == [ES.id, CL.id]
    assert opened_ns > START_NS
    assert latest_first(es) == (-es.increased_ns, -opened_ns, ES.id)

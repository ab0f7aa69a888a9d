"""The invented market."""

from itertools import islice, pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from risk_manager.domain.order import Side
from risk_manager.simulator.catalog import listed
from risk_manager.simulator.feeds import FeedItem, FeedPrint, FeedQuote
from risk_manager.simulator.feeds.synthetic import SyntheticMarket, SyntheticProduct

START_NS = 1_772_402_400_000_000_000
ES = SyntheticProduct(listed("ES", "H26").contract, 24_000)
MNQ = SyntheticProduct(listed("MNQ", "H26").contract, 80_000)


def some(market: SyntheticMarket, count: int = 4_000) -> list[FeedItem]:
    return list(islice(market, count))


def test_is_the_same_for_the_same_seed() -> None:
    market = SyntheticMarket([ES, MNQ], seed=5, start_ns=START_NS)

    assert some(market) == some(market) == some(SyntheticMarket([ES, MNQ], seed=5, start_ns=START_NS))
    assert some(market) != some(SyntheticMarket([ES, MNQ], seed=6, start_ns=START_NS))


def test_a_product_does_not_change_another() -> None:
    alone = some(SyntheticMarket([ES], seed=5, start_ns=START_NS), 500)
    both = [
        item
        for item in some(SyntheticMarket([MNQ, ES], seed=5, start_ns=START_NS))
        if item.contract_id == ES.contract.id
    ]

    assert both[:500] == alone


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_quotes_are_never_crossed_and_prints_lie_at_the_touch(seed: int) -> None:
    quotes: dict[str, FeedQuote] = {}
    last_ns = START_NS
    for item in islice(SyntheticMarket([ES, MNQ], seed=seed, start_ns=START_NS), 400):
        assert item.at_ns >= last_ns
        last_ns = item.at_ns
        if isinstance(item, FeedQuote):
            assert item.bid_ticks < item.ask_ticks
            quotes[item.contract_id] = item
        else:
            quote = quotes[item.contract_id]
            assert item.price_ticks == (quote.ask_ticks if item.aggressor is Side.BUY else quote.bid_ticks)
            assert item.size > 0


def test_steps_every_100_to_250_ms_with_a_spread_of_about_a_tick() -> None:
    quotes = [item for item in some(SyntheticMarket([ES], seed=5, start_ns=START_NS)) if isinstance(item, FeedQuote)]
    gaps_ms = {(after.at_ns - before.at_ns) // 1_000_000 for before, after in pairwise(quotes)}
    spreads = [quote.ask_ticks - quote.bid_ticks for quote in quotes]

    assert min(gaps_ms) >= 100
    assert max(gaps_ms) <= 250
    assert 1.0 <= sum(spreads) / len(spreads) <= 1.2


def test_prints_on_both_sides_and_bursts() -> None:
    items = some(SyntheticMarket([ES], seed=5, start_ns=START_NS))
    sides = {item.aggressor for item in items if isinstance(item, FeedPrint)}
    bids = [item.bid_ticks for item in items if isinstance(item, FeedQuote)]
    moves = [abs(after - before) for before, after in zip(bids, bids[20:], strict=False)]

    assert sides == {Side.BUY, Side.SELL}
    assert max(moves) >= 15
    assert sorted(moves)[len(moves) // 2] <= 6


def test_never_reaches_a_price_below_one_tick() -> None:
    cheap = SyntheticProduct(ES.contract, 2)

    items = some(SyntheticMarket([cheap], seed=1, start_ns=START_NS))

    assert min(item.bid_ticks for item in items if isinstance(item, FeedQuote)) >= 1

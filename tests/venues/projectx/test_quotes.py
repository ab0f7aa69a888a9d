from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_manager.domain.events import Event, QuoteUpdated
from risk_manager.venues.projectx.contracts import read_contract
from risk_manager.venues.projectx.problems import Problems
from risk_manager.venues.projectx.quotes import Quotes
from risk_manager.venues.projectx.records import Reader
from risk_manager.venues.projectx.venue_time import VenueTime
from tests.venues.projectx.fake_gateway import MNQ_RECORD, SECOND_NS, START_NS, FakeClock, wired

MNQ = read_contract(wired(MNQ_RECORD))


class Desk:
    """Quotes of one contract with two listening accounts."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.problems = Problems(lambda code, detail: None)
        self.known = {MNQ.id: MNQ}
        time = VenueTime(60)
        time.observe(START_NS, START_NS)
        self.quotes = Quotes(
            self.events.append, self.known.get, Reader(self.problems), FakeClock(), time, self.problems
        )
        self.quotes.add_listener(MNQ.id, "1")
        self.quotes.add_listener(MNQ.id, "2")

    def fast(self, body: Any) -> None:
        self.quotes.on_record(
            b'{"type":1,"target":"GatewayQuote","arguments":%b}' % msgspec.json.encode([MNQ.id, body])
        )

    def slow(self, body: Any) -> None:
        self.quotes.on_arguments(msgspec.Raw(msgspec.json.encode([MNQ.id, body])))

    def prices(self) -> tuple[int | None, int | None, int | None]:
        last = self.events[-1]
        assert isinstance(last, QuoteUpdated)
        return last.quote.bid_ticks, last.quote.ask_ticks, last.quote.last_ticks


@pytest.fixture(params=["fast", "slow"])
def way(request: pytest.FixtureRequest) -> tuple[Desk, Callable[[Any], None]]:
    desk = Desk()
    desk.fast({"volume": 1})  # a contract's first frame takes the slow way, to look for unknown members
    return desk, desk.fast if request.param == "fast" else desk.slow


Way = tuple[Desk, Callable[[Any], None]]


def test_merges_sparse_frames(way: Way) -> None:
    desk, take = way
    take({"symbol": "F.US.MNQ", "bestBid": 100.25, "timestamp": "2026-08-19T18:00:01.348+00:00"})
    assert desk.prices() == (401, None, None)
    take({"bestAsk": 100.5, "lastPrice": 0, "bestBid": None})
    assert desk.prices() == (401, 402, None)
    take({"lastPrice": 100.25, "bestBid": 100})
    assert desk.prices() == (400, 402, 401)


def test_passes_over_a_quote_that_moves_the_volume_alone(way: Way) -> None:
    desk, take = way
    take({"volume": 2, "timestamp": "2026-08-19T18:00:05.123+00:00"})
    assert desk.events == []
    take({"bestBid": 29398.5, "volume": 3})
    assert desk.prices() == (117594, None, None)
    assert not desk.problems.counts


def test_shares_one_quote_among_the_listeners(way: Way) -> None:
    desk, take = way
    take({"bestBid": 100.25, "lastUpdated": "2026-08-19T18:00:01.3938333Z"})
    first, second = desk.events
    assert isinstance(first, QuoteUpdated)
    assert isinstance(second, QuoteUpdated)
    assert (first.account_id, second.account_id) == ("1", "2")
    assert first.quote is second.quote
    assert first.at_ns == START_NS + 1_393_833_000
    assert first.received_ns == START_NS


def test_says_nothing_when_no_price_has_come(way: Way) -> None:
    desk, take = way
    take({"volume": 5, "change": 1.5, "lastPrice": 0})
    assert desk.events == []


@pytest.mark.parametrize("price", [100.1, 100.26, -100.1])
def test_drops_a_price_off_the_grid_and_keeps_the_others(way: Way, price: float) -> None:
    desk, take = way
    take({"bestBid": 100.25, "bestAsk": price})
    assert desk.prices() == (401, None, None)
    assert desk.problems.counts["off_grid_price"] == 1


@pytest.mark.parametrize("price", [1e30, -1e30, 1e300])
def test_never_takes_an_enormous_price(way: Way, price: float) -> None:
    desk, take = way
    take({"bestAsk": price})
    take({"bestBid": 100.25})
    assert desk.prices() == (401, None, None)
    assert desk.problems.counts.total() == 1


@pytest.mark.parametrize(
    "body",
    [
        [{"bestBid": 100.25}],
        {"action": 1, "data": {"bestBid": 100.25}},
        [None, {"bestBid": "100.25"}],
        {"bestBid": "100.25"},
    ],
)
def test_takes_other_shapes(way: Way, body: Any) -> None:
    desk, take = way
    take(body)
    assert desk.prices() == (401, None, None)


@pytest.mark.parametrize("way_taken", ["fast", "slow"])
def test_counts_unknown_members_once(way_taken: str) -> None:
    desk = Desk()
    for mood in ("calm", "wild"):
        (desk.fast if way_taken == "fast" else desk.slow)({"bestBid": 100.25, "mood": mood})
    assert desk.problems.counts["unknown_member"] == 1


def test_never_lets_time_run_back_or_far_ahead(way: Way) -> None:
    desk, take = way
    stamps = []
    for text in (
        "2026-08-19T18:00:05Z",
        "2026-08-19T18:00:04Z",
        "2099-01-01T00:00:00Z",
        "soon",
        "2026-08-19T18:00:59Z",
    ):
        take({"bestBid": 100.25, "timestamp": text})
        last = desk.events[-1]
        assert isinstance(last, QuoteUpdated)
        stamps.append((last.at_ns - START_NS) // SECOND_NS)
    assert stamps == [5, 5, 5, 5, 59]
    assert (desk.problems.counts["stamp_ahead"], desk.problems.counts["bad_stamp"]) == (1, 1)


def test_forgets_prices_from_before_a_gap(way: Way) -> None:
    desk, take = way
    take({"bestBid": 100.25, "bestAsk": 100.5})
    desk.quotes.forget_prices()
    take({"bestBid": 100.25})
    assert desk.prices() == (401, None, None)


def test_waits_for_the_contract(way: Way) -> None:
    desk, take = way
    del desk.known[MNQ.id]
    desk.quotes.forget_scales()
    take({"bestBid": 100.25})
    assert desk.events == []
    desk.known[MNQ.id] = MNQ
    take({"bestAsk": 100.5})
    assert desk.prices() == (None, 402, None)


@pytest.mark.parametrize("body", [5, "x", {"bestBid": []}, {"bestBid": "NaN"}, {"timestamp": 5, "bestBid": 1}])
def test_rejects_a_frame_it_cannot_read(way: Way, body: Any) -> None:
    desk, take = way
    take(body)
    assert desk.events == []
    assert desk.problems.counts["rejected_frame"] == 1


@given(st.binary(max_size=60))
def test_never_raises(junk: bytes) -> None:
    desk = Desk()
    desk.quotes.on_record(junk)
    desk.quotes.on_arguments(msgspec.Raw(junk))
    desk.fast({"bestBid": 100})
    desk.quotes.on_record(b'{"type":1,"target":"GatewayQuote","arguments":["%b",{%b}]}' % (MNQ.id.encode(), junk))
    assert desk.prices() == (400, None, None)

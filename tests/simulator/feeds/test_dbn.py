"""DBN tapes.

The recorded hour is read where `../shared/data` lies beside the checkout; everywhere, an invented hour of the same
format stands the same assertions.
"""

import sys
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import databento_dbn as dbn
import pytest

from risk_manager.domain.order import Side
from risk_manager.simulator.catalog import listed
from risk_manager.simulator.feeds import FeedItem, FeedPrint, FeedQuote, TapeError
from risk_manager.simulator.feeds.dbn import DbnTape, read_header
from risk_manager.simulator.feeds.tape import listings_on, open_tape
from tests.simulator.feeds.dbn_tapes import OPEN_NS, REAL_HOUR, invented_hour, mbo, mbp1, trade, write_tape

ES = listed("ES", "H24").contract
RECORDINGS = ["invented", *(["recorded"] if REAL_HOUR.exists() else [])]


@pytest.fixture(params=RECORDINGS, scope="module")
def hour(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if request.param == "recorded":
        return REAL_HOUR
    path = tmp_path_factory.mktemp("tape") / "invented.mbo.dbn.zst"
    return write_tape(path, "mbo", invented_hour(), is_compressed=True)


@pytest.fixture(scope="module")
def items(hour: Path) -> list[FeedItem]:
    return list(DbnTape(hour, [ES]))


def decoded(path: Path) -> list[Any]:
    """The records as the library sees them, to hold our reading against."""
    decoder = dbn.DBNDecoder(compression=dbn.Compression.from_str("zstd"))
    decoder.write(path.read_bytes())
    return [record for record in decoder.decode() if isinstance(record, dbn.MBOMsg)]


def show(records: list[Any], tmp_path: Path, schema: str = "mbo") -> list[tuple[Any, ...]]:
    """What a tape of these records shows: (bid, ask, sizes) of quotes, (price, size, aggressor) of prints."""
    tape = DbnTape(write_tape(tmp_path / "short.dbn", schema, records), [ES])
    return [
        (item.bid_ticks, item.ask_ticks, item.bid_size, item.ask_size)
        if isinstance(item, FeedQuote)
        else (item.price_ticks, item.size, item.aggressor)
        for item in tape
    ]


def test_names_its_schema_and_contract(hour: Path) -> None:
    tape = DbnTape(hour, [ES, listed("NQ", "H24").contract])

    assert (tape.schema, tape.contract_ids, tape.unknown_symbols) == ("mbo", ("CON.F.US.EP.H24",), ())


def test_never_shows_a_crossed_or_repeated_quote(items: list[FeedItem]) -> None:
    quotes = [item for item in items if isinstance(item, FeedQuote)]
    shown = [(quote.bid_ticks, quote.ask_ticks, quote.bid_size, quote.ask_size) for quote in quotes]

    assert all(quote.bid_ticks < quote.ask_ticks and quote.bid_size > 0 and quote.ask_size > 0 for quote in quotes)
    assert all(before != after for before, after in pairwise(shown))


def test_its_clock_never_falls(items: list[FeedItem]) -> None:
    assert all(before.at_ns <= after.at_ns for before, after in pairwise(items))


def test_shows_every_trade_once(hour: Path, items: list[FeedItem]) -> None:
    expected = [(record.price, record.size, record.ts_event) for record in decoded(hour) if str(record.action) == "T"]

    shown = [(item.price_ticks * 250_000_000, item.size, item.at_ns) for item in items if isinstance(item, FeedPrint)]

    assert shown == expected


def test_prints_lie_at_or_inside_the_touch_around_them(items: list[FeedItem]) -> None:
    """The rebuilt book against the trades: at least 99 % lie within the quote before or after their event."""
    inside = total = 0
    before: FeedQuote | None = None
    waiting: list[FeedPrint] = []
    for item in items:
        if isinstance(item, FeedPrint):
            waiting.append(item)
            continue
        around = [quote for quote in (before, item) if quote is not None]
        low, high = min(quote.bid_ticks for quote in around), max(quote.ask_ticks for quote in around)
        inside += sum(low <= each.price_ticks <= high for each in waiting)
        total += len(waiting)
        before, waiting = item, []

    assert total > 100
    assert inside / total >= 0.99


def test_aggressors_hit_the_side_they_trade_with(items: list[FeedItem]) -> None:
    """All but sweeps through several levels: a buyer at the ask, a seller at the bid."""
    hits = Counter[bool]()
    quote: FeedQuote | None = None
    for item in items:
        if isinstance(item, FeedQuote):
            quote = item
        elif quote is not None and item.aggressor is not None:
            hits[item.price_ticks == (quote.ask_ticks if item.aggressor is Side.BUY else quote.bid_ticks)] += 1

    assert hits[True] / hits.total() >= 0.6


def test_the_best_prices_are_those_of_the_orders(hour: Path, items: list[FeedItem]) -> None:
    """A second, naive book (every order, searched in full now and then) agrees with the one that is shown."""
    shown = {item.at_ns: item for item in items if isinstance(item, FeedQuote)}
    orders: dict[int, tuple[str, int, int]] = {}
    compared = 0
    records = decoded(hour)
    for index, (record, following) in enumerate(pairwise(records)):
        action = str(record.action)
        if action in "AM":
            orders[record.order_id] = (str(record.side), record.price, record.size)
        elif action == "C" and record.order_id in orders:
            side, price, size = orders.pop(record.order_id)
            if size > record.size:
                orders[record.order_id] = (side, price, size - record.size)
        is_moment = record.flags & dbn.F_LAST and following.ts_event != record.ts_event
        if is_moment and index >= compared * len(records) // 100 and record.ts_event in shown:
            quote = shown[record.ts_event]
            bid = max(price for side, price, _ in orders.values() if side == "B")
            ask = min(price for side, price, _ in orders.values() if side == "A")
            assert (quote.bid_ticks, quote.ask_ticks) == (bid // 250_000_000, ask // 250_000_000)
            compared += 1

    assert compared >= 50


def test_reads_an_hour_in_about_a_second(hour: Path) -> None:
    start = time.process_time()

    assert sum(1 for _ in DbnTape(hour, [ES])) > 1_000
    assert time.process_time() - start < 2.0


def test_shows_the_same_again(hour: Path, items: list[FeedItem]) -> None:
    assert list(open_tape(hour, [ES])) == items


@pytest.mark.parametrize("recording", RECORDINGS)
def test_holds_what_was_published(recording: str, tmp_path: Path) -> None:
    """The counts and prices in the README beside the recorded hour; of the invented hour, those it was made with."""
    records = invented_hour()
    path = write_tape(tmp_path / "hour.dbn.zst", "mbo", records, is_compressed=True)
    counts = Counter(str(record.action) for record in records)
    low, high = 19_200, 19_237
    if recording == "recorded":
        path = REAL_HOUR
        counts = Counter({"A": 29_216, "C": 17_999, "M": 12_233, "F": 6_371, "T": 2_973})
        low, high = 19_201, 19_247
    prints = [item for item in DbnTape(path, [ES]) if isinstance(item, FeedPrint)]

    assert Counter(str(record.action) for record in decoded(path)) == counts
    assert len(prints) == counts["T"]
    assert (min(item.price_ticks for item in prints), max(item.price_ticks for item in prints)) == (low, high)


def test_shows_nothing_before_the_first_trade(tmp_path: Path) -> None:
    records = [
        mbo("A", "B", 100, 2, 1, OPEN_NS),
        mbo("A", "A", 102, 3, 2, OPEN_NS + 1),
        mbo("A", "A", 103, 9, 3, OPEN_NS + 2),
        mbo("T", "B", 102, 1, 0, OPEN_NS + 3, flags=0),
        mbo("F", "A", 102, 1, 2, OPEN_NS + 3, flags=0),
        mbo("C", "A", 102, 1, 2, OPEN_NS + 3),
    ]

    assert show(records, tmp_path) == [(102, 1, Side.BUY), (100, 102, 2, 2)]


def test_rebuilds_the_book_by_order(tmp_path: Path) -> None:
    records = [
        mbo("A", "B", 100, 2, 1, OPEN_NS),
        mbo("A", "A", 103, 3, 2, OPEN_NS + 1),
        mbo("T", "A", 100, 1, 0, OPEN_NS + 2),
        mbo("A", "B", 101, 4, 3, OPEN_NS + 3),
        mbo("A", "B", 101, 1, 4, OPEN_NS + 4),
        mbo("M", "B", 100, 4, 3, OPEN_NS + 5),
        mbo("C", "B", 101, 1, 4, OPEN_NS + 6),
        mbo("A", "A", 110, 1, 5, OPEN_NS + 7),
        mbo("M", "A", 102, 6, 99, OPEN_NS + 8),
        mbo("C", "A", 102, 2, 99, OPEN_NS + 9),
        mbo("C", "A", 102, 2, 1234, OPEN_NS + 10),
        mbo("R", "N", 0, 0, 0, OPEN_NS + 11),
    ]

    assert show(records, tmp_path) == [
        (100, 1, Side.SELL),
        (100, 103, 2, 3),
        (101, 103, 4, 3),
        (101, 103, 5, 3),
        (101, 103, 1, 3),
        (100, 103, 6, 3),
        (100, 102, 6, 6),
        (100, 102, 6, 4),
    ]


def test_waits_for_the_last_record_of_an_event(tmp_path: Path) -> None:
    """Between them the best bid seems to be 99, although it was never a moment's market."""
    records = [
        mbo("A", "B", 100, 2, 1, OPEN_NS),
        mbo("A", "B", 99, 7, 2, OPEN_NS),
        mbo("A", "A", 101, 3, 3, OPEN_NS),
        mbo("T", "A", 100, 2, 0, OPEN_NS + 1, flags=0),
        mbo("F", "B", 100, 2, 1, OPEN_NS + 1, flags=0),
        mbo("C", "B", 100, 2, 1, OPEN_NS + 1, flags=0),
        mbo("A", "B", 100, 5, 4, OPEN_NS + 1),
    ]

    assert show(records, tmp_path) == [(100, 2, Side.SELL), (100, 101, 5, 3)]


@pytest.mark.parametrize("ask", [100, 99])
def test_hides_a_locked_or_crossed_book(ask: int, tmp_path: Path) -> None:
    records = [mbo("T", "N", 100, 1, 0, OPEN_NS), mbo("A", "B", 100, 1, 1, OPEN_NS), mbo("A", "A", ask, 1, 2, OPEN_NS)]

    assert show(records, tmp_path) == [(100, 1, None)]


def test_shows_the_level_and_the_trades_of_mbp_1(tmp_path: Path) -> None:
    records = [
        mbp1("A", "B", 100, 1, OPEN_NS, (100, 4), (101, 6)),
        mbp1("T", "B", 101, 2, OPEN_NS + 1, (100, 4), (101, 4)),
        mbp1("A", "B", 100, 1, OPEN_NS + 2, (100, 4), (101, 4)),
        mbp1("C", "A", 101, 4, OPEN_NS + 3, (100, 4), (101, 0)),
        mbp1("A", "A", 102, 4, OPEN_NS + 4, (100, 4), (102, 4)),
    ]

    assert show(records, tmp_path, "mbp-1") == [(101, 2, Side.BUY), (100, 101, 4, 4), (100, 102, 4, 4)]


def test_infers_a_touch_from_trades(tmp_path: Path) -> None:
    records = [
        trade("B", 101, 2, OPEN_NS),
        trade("A", 100, 1, OPEN_NS + 1),
        trade("N", 99, 1, OPEN_NS + 2),
        trade("N", 102, 1, OPEN_NS + 3),
    ]

    assert show(records, tmp_path, "trades") == [
        (100, 101, 0, 0),
        (101, 2, Side.BUY),
        (100, 1, Side.SELL),
        (99, 100, 0, 0),
        (99, 1, None),
        (101, 102, 0, 0),
        (102, 1, None),
    ]


def test_leaves_out_contracts_the_venue_does_not_list(tmp_path: Path) -> None:
    records = [mbo("T", "N", 100, 1, 0, OPEN_NS, instrument_id=5), mbo("T", "N", 101, 1, 0, OPEN_NS)]
    path = write_tape(tmp_path / "two.dbn", "mbo", records, symbols={"ESH4": 17_077, "ZZH4": 5})
    tape = DbnTape(path, [ES])

    assert tape.unknown_symbols == ("ZZH4",)
    assert [item.contract_id for item in tape] == [ES.id]


def test_takes_other_names_for_contracts(tmp_path: Path) -> None:
    records = [mbo("T", "N", 101, 1, 0, OPEN_NS)]
    path = write_tape(tmp_path / "continuous.dbn", "mbo", records, symbols={"ES.c.0": 17_077})

    assert DbnTape(path, [ES], names={"ES.c.0": ES.id}).contract_ids == (ES.id,)
    with pytest.raises(TapeError, match=r"none of its symbols \(ES\.c\.0\)"):
        DbnTape(path, [ES])


def test_finds_the_listings_of_a_tape(hour: Path, tmp_path: Path) -> None:
    path = write_tape(tmp_path / "many.dbn", "mbo", [], symbols={"MNQZ3": 1, "CLF24": 2, "XYZ": 3, "6EH4": 4})

    assert [listing.id for listing in listings_on(hour)] == ["CON.F.US.EP.H24"]
    assert [listing.id for listing in listings_on(path)] == [
        "CON.F.US.MNQ.Z23",
        "CON.F.US.CLE.F24",
        "CON.F.US.EU6.H24",
    ]
    assert read_header(path).symbols == ("MNQZ3", "CLF24", "XYZ", "6EH4")


def test_refuses_a_price_between_two_ticks(tmp_path: Path) -> None:
    record = trade("B", 101, 2, OPEN_NS)
    record.price += 1
    path = write_tape(tmp_path / "odd.dbn", "trades", [record])

    with pytest.raises(TapeError, match=r"odd\.dbn: record of \d+ ns: .* not a multiple"):
        list(DbnTape(path, [ES]))


def test_refuses_what_is_no_tape(tmp_path: Path) -> None:
    junk, empty, cut = tmp_path / "junk.dbn", tmp_path / "empty.dbn", tmp_path / "cut.dbn"
    junk.write_bytes(b"this is not a recording" * 10)
    empty.write_bytes(b"")
    write_tape(cut, "trades", [trade("B", 101, 2, OPEN_NS)])
    cut.write_bytes(cut.read_bytes()[:-5])

    with pytest.raises(TapeError, match="junk"):
        DbnTape(junk, [ES])
    with pytest.raises(TapeError, match="no DBN header"):
        DbnTape(empty, [ES])
    with pytest.raises(TapeError, match="No such file"):
        DbnTape(tmp_path / "absent.dbn", [ES])
    with pytest.raises(TapeError, match="middle of a record"):
        list(DbnTape(cut, [ES]))


def test_refuses_a_schema_it_cannot_show(tmp_path: Path) -> None:
    path = write_tape(tmp_path / "bars.dbn", "ohlcv-1m", [])

    with pytest.raises(TapeError, match="schema ohlcv-1m is not supported; use one of mbo, mbp-1, tbbo, trades"):
        DbnTape(path, [ES])


def test_names_the_extra_when_the_library_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_tape(tmp_path / "some.dbn", "trades", [])
    monkeypatch.setitem(sys.modules, "databento_dbn", None)

    with pytest.raises(TapeError, match=r"risk-manager\[ticks\]"):
        DbnTape(path, [ES])


def test_refuses_other_kinds_of_file(tmp_path: Path) -> None:
    with pytest.raises(TapeError, match="not a tape we read"):
        open_tape(tmp_path / "tape.parquet", [ES])

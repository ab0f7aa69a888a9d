from typing import Any

import pytest

from risk_manager.domain.instrument import Instrument
from risk_manager.venues.projectx.contracts import ContractBook, price_json, read_contract, root_of
from risk_manager.venues.projectx.wire import BadRecord
from tests.venues.projectx.fake_gateway import ES_RECORD, MNQ_RECORD, wired


@pytest.mark.parametrize(
    ("name", "root"),
    [
        ("ESH4", "ES"),
        ("MNQU26", "MNQ"),
        ("M2KU6", "M2K"),
        ("6EZ5", "6E"),
        ("ZNM26", "ZN"),
        ("GFF6", "GF"),
        ("MNGZ25", "MNG"),
        ("esh4", "ES"),
        ("BTC", "BTC"),
        ("H4", "H4"),
    ],
)
def test_takes_the_root_from_the_name(name: str, root: str) -> None:
    assert root_of(name) == root


def test_reads_a_record_with_the_ids_root_as_alias() -> None:
    contract = read_contract(wired(ES_RECORD))
    assert (contract.id, contract.name, contract.symbol_id) == ("CON.F.US.EP.U26", "ESU6", "F.US.EP")
    assert contract.instrument == Instrument("ES", 250_000_000, 12_500_000, ("EP",))
    assert read_contract(wired(MNQ_RECORD)).instrument.aliases == ()


@pytest.mark.parametrize(
    ("size", "value", "nanos", "micros"),
    [
        ("0.0000005", "6.25", 500, 6_250_000),
        ("0.00390625", "7.8125", 3_906_250, 7_812_500),
        (1, 5, 1_000_000_000, 5_000_000),
        ("0.015625000000", "15.625", 15_625_000, 15_625_000),
    ],
)
def test_keeps_every_tick_exact(size: Any, value: Any, nanos: int, micros: int) -> None:
    instrument = read_contract(wired(ES_RECORD | {"tickSize": size, "tickValue": value})).instrument
    assert (instrument.tick_size_nanos, instrument.tick_value_micros) == (nanos, micros)


@pytest.mark.parametrize(
    "change",
    [
        {"tickSize": 0},
        {"tickSize": -1},
        {"tickSize": None},
        {"tickSize": "NaN"},
        {"tickSize": "1e-12"},
        {"tickValue": "0.0000001"},
        {"id": None},
        {"id": 5},
        {"activeContract": "yes"},
    ],
)
def test_refuses_a_record_it_cannot_compute_with(change: dict[str, Any]) -> None:
    with pytest.raises(BadRecord):
        read_contract(wired(ES_RECORD | change))


def test_finds_the_listing_by_either_name() -> None:
    book = ContractBook()
    es, mnq = read_contract(wired(ES_RECORD)), read_contract(wired(MNQ_RECORD))
    old = read_contract(wired(ES_RECORD | {"id": "CON.F.US.EP.M26", "name": "ESM6", "activeContract": False}))
    book.add([old, es, mnq])
    assert book.listed("ES") == book.listed("ep") == (es,)
    assert book.listed("NQ") == ()
    assert book.get("CON.F.US.EP.M26") == old


@pytest.mark.parametrize(
    ("size", "ticks", "written"),
    [("0.25", 18_001, b"4500.25"), ("0.25", 18_000, b"4500"), ("0.0000005", 3, b"0.0000015"), ("0.1", -5, b"-0.5")],
)
def test_writes_prices_as_plain_numbers(size: str, ticks: int, written: bytes) -> None:
    assert bytes(price_json(ticks, read_contract(wired(ES_RECORD | {"tickSize": size})))) == written

"""The catalogue: the venue's ids, the traders' names, tick arithmetic and rolls."""

from datetime import UTC, datetime

import pytest

from risk_manager.simulator.catalog import (
    PRODUCTS,
    chain,
    front_contracts,
    front_month,
    listed,
    neighbor_month,
    product,
)


def ns(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 1_000_000_000


def test_lists_the_recorded_es_contract() -> None:
    es = listed("ES", "H24")
    assert es.id == "CON.F.US.EP.H24"
    assert (es.contract.name, es.contract.symbol_id, es.contract.root) == ("ESH4", "F.US.EP", "ES")
    assert (es.contract.instrument.tick_size_nanos, es.contract.instrument.tick_value_micros) == (
        250_000_000,
        12_500_000,
    )
    assert es.fees_micros + es.commission_micros == 1_400_000
    assert (es.description, es.display_name) == ("E-mini S&P 500: March 2024", "EPH24")


def test_lists_the_captured_mnq_contract() -> None:
    mnq = listed("mnq", "U26")
    assert (mnq.id, mnq.contract.name, mnq.display_name) == ("CON.F.US.MNQ.U26", "MNQU6", "MNQU26")
    assert mnq.description == "Micro E-mini Nasdaq-100: September 2026"
    assert (mnq.fees_micros, mnq.commission_micros) == (360_000, 250_000)


@pytest.mark.parametrize(
    ("symbol", "root"), [("EP", "ES"), ("ENQ", "NQ"), ("CLE", "CL"), ("mcle", "MCL"), ("GCE", "GC"), ("YM", "YM")]
)
def test_knows_products_by_either_name(symbol: str, root: str) -> None:
    assert product(symbol).instrument.root == root


@pytest.mark.parametrize(
    ("symbol", "day", "month"),
    [
        ("ES", "2024-01-02", "H24"),
        ("ES", "2024-03-06", "H24"),
        ("ES", "2024-03-07", "M24"),
        ("MNQ", "2026-08-19", "U26"),
        ("MNQ", "2025-12-30", "H26"),
        ("CL", "2026-08-14", "U26"),
        ("CL", "2026-08-15", "V26"),
        ("CL", "2026-12-20", "G27"),
        ("GC", "2026-08-19", "V26"),
        ("MGC", "2026-12-01", "G27"),
    ],
)
def test_names_the_front_month(symbol: str, day: str, month: str) -> None:
    assert front_month(symbol, ns(day)) == month


def test_lists_every_product_once_with_unique_ids() -> None:
    contracts = front_contracts(ns("2026-08-19"))
    assert len({each.id for each in contracts}) == len(PRODUCTS) == 55
    assert [each.contract.root for each in front_contracts(0, ["MES", "EP"])] == ["MES", "ES"]


@pytest.mark.parametrize(
    ("symbol", "day", "contract_id", "name", "tick_nanos", "tick_micros", "costs_micros"),
    [
        ("6J", "2026-08-19", "CON.F.US.JY6.U26", "6JU6", 500, 6_250_000, 1_400_000),
        ("ZB", "2026-08-19", "CON.F.US.USA.U26", "ZBU6", 31_250_000, 31_250_000, 1_390_000),
        ("ZT", "2026-08-19", "CON.F.US.TUA.U26", "ZTU6", 3_906_250, 7_812_500, 1_390_000),
        ("SIL", "2026-08-19", "CON.F.US.SIL.Z26", "SILZ6", 5_000_000, 5_000_000, 510_000),
        ("GMET", "2026-08-10", "CON.F.US.GMET.U26", "METU6", 500_000_000, 50_000, 610_000),
        ("LE", "2026-08-19", "CON.F.US.GLE.V26", "LEV6", 25_000_000, 10_000_000, 1_400_000),
    ],
)
def test_lists_the_venues_other_products(
    symbol: str, day: str, contract_id: str, name: str, tick_nanos: int, tick_micros: int, costs_micros: int
) -> None:
    (found,) = front_contracts(ns(day), [symbol])
    assert (found.id, found.contract.name) == (contract_id, name)
    assert found.contract.instrument.tick_size_nanos == tick_nanos
    assert found.contract.instrument.tick_value_micros == tick_micros
    assert found.fees_micros + found.commission_micros == costs_micros


@pytest.mark.parametrize(
    ("symbol", "day", "names"),
    [
        ("ES", "2024-01-02", ["ESZ3", "ESH4", "ESM4"]),
        ("MNQ", "2025-12-30", ["MNQZ5", "MNQH6", "MNQM6"]),
        ("CL", "2026-08-15", ["CLU6", "CLV6", "CLX6"]),
        ("GC", "2026-12-01", ["GCZ6", "GCG7", "GCJ7"]),
    ],
)
def test_surrounds_the_front_month_with_months_that_are_not_active(symbol: str, day: str, names: list[str]) -> None:
    found = chain(symbol, ns(day))
    assert [each.contract.name for each in found] == names
    assert [each.contract.is_active for each in found] == [False, True, False]


def test_goes_from_month_to_month_over_the_turn_of_the_year() -> None:
    assert [neighbor_month("ES", "Z26", step) for step in (-4, -1, 0, 1, 5)] == ["Z25", "U26", "Z26", "H27", "H28"]
    assert neighbor_month("ES", "Z99", 1) == "H00"
    with pytest.raises(ValueError, match="substring"):
        neighbor_month("ES", "G26", 1)


@pytest.mark.parametrize("month", ["", "H", "H4", "A24", "HH4", "h24", "H2024"])
def test_refuses_a_malformed_month(month: str) -> None:
    with pytest.raises(ValueError, match=f"^{month}$"):
        listed("ES", month)


def test_does_not_know_every_symbol() -> None:
    with pytest.raises(KeyError):
        product("ZZ")

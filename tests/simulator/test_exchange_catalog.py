"""The catalogue: the venue's ids, the traders' names, tick arithmetic and rolls."""

from datetime import UTC, datetime

import pytest

from risk_manager.simulator.catalog import PRODUCTS, front_contracts, front_month, listed, product


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
    assert len({each.id for each in contracts}) == len(PRODUCTS) == 12
    assert [each.contract.root for each in front_contracts(0, ["MES", "EP"])] == ["MES", "ES"]


@pytest.mark.parametrize("month", ["", "H", "H4", "A24", "HH4", "h24", "H2024"])
def test_refuses_a_malformed_month(month: str) -> None:
    with pytest.raises(ValueError, match=f"^{month}$"):
        listed("ES", month)


def test_does_not_know_every_symbol() -> None:
    with pytest.raises(KeyError):
        product("ZZ")

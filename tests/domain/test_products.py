"""Which names mean the same product, and which products an id may be about."""

import pytest

from risk_manager.domain.products import same_product, spelled_roots


@pytest.mark.parametrize(
    ("symbol", "product"), [("EP", "ES"), ("es", "ES"), ("ENQ", "NQ"), ("MNQ", "MNQ"), ("XYZ", "XYZ")]
)
def test_knows_two_names_of_one_product(symbol: str, product: str) -> None:
    assert same_product(symbol) == product


@pytest.mark.parametrize(
    ("contract_id", "roots"),
    [
        ("CON.F.US.EP.H24", {"EP", "ES"}),
        ("con.f.us.mnq.u26", {"MNQ"}),
        ("F.US.ENQ", {"ENQ", "NQ"}),
        ("ESH4", {"ESH4", "ES"}),
        ("MESH24", {"MESH24", "MES"}),
        ("M2KU2026", {"M2KU2026", "M2K"}),
        ("6EZ5", {"6EZ5", "6E"}),
        ("GLBX ES-H4", {"GLBX", "ES", "H4"}),
        ("", set()),
    ],
)
def test_reads_what_products_an_id_may_mean(contract_id: str, roots: set[str]) -> None:
    assert spelled_roots(contract_id) == roots

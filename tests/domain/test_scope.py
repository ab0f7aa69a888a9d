"""What part of an account a demand covers."""

import pytest

from risk_manager.domain.contract import Contract
from risk_manager.domain.scope import ACCOUNT, Scope
from risk_manager.testing.events import CL, ES, ES_JUNE, MES, NQ


@pytest.mark.parametrize(
    ("scope", "contract", "expected"),
    [
        (ACCOUNT, ES, True),
        (Scope(root="ES"), ES, True),
        (Scope(root="ES"), ES_JUNE, True),  # every expiry
        (Scope(root="ES"), MES, False),  # a micro is a product of its own
        (Scope(root="NQ"), NQ, True),  # whose id says ENQ
        (Scope(contract_id=ES.id), ES, True),
        (Scope(contract_id=ES.id), ES_JUNE, False),
    ],
)
def test_covers_contracts(scope: Scope, contract: Contract, expected: bool) -> None:
    assert scope.covers(contract.id, contract) is expected


@pytest.mark.parametrize(
    ("scope", "contract_id", "expected"),
    [
        (Scope(root="ES"), "CON.F.US.EP.M25", True),  # the venue's own root
        (Scope(root="NQ"), "CON.F.US.ENQ.M25", True),
        (Scope(root="CL"), "CON.F.US.CLE.K25", True),
        (Scope(root="MES"), "CON.F.US.MES.M25", True),  # spelled alike
        (Scope(root="ZZZ"), "CON.F.US.ZZZ.M25", True),  # of a product no table knows
        (Scope(root="ES"), "ESM5", True),
        (Scope(root="ES"), "CON.F.US.ENQ.M25", False),
        (Scope(root="ES"), "CON.F.US.MES.M25", False),
        (Scope(root="MES"), "CON.F.US.EP.M25", False),
        (Scope(root="ES"), "CON.F.US.ZZZ.M25", False),
        (Scope(root="ES"), "anything", False),
        (Scope(root="F"), "CON.F.US.EP.M25", False),  # no product, though a part of every id
        (Scope(contract_id=CL.id), CL.id, True),
        (Scope(contract_id=ES.id), ES_JUNE.id, False),
        (ACCOUNT, "anything", True),
    ],
)
def test_covers_an_undescribed_contract_by_the_product_its_id_means(
    scope: Scope, contract_id: str, expected: bool
) -> None:
    assert scope.covers(contract_id, None) is expected


def test_is_of_one_kind() -> None:
    with pytest.raises(AssertionError):
        Scope(root="ES", contract_id=ES.id)
    assert [str(scope) for scope in (ACCOUNT, Scope(root="ES"), Scope(contract_id="C"))] == ["account", "ES", "C"]

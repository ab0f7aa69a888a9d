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


def test_covers_an_undescribed_contract_by_the_root_in_its_id() -> None:
    assert Scope(root="MES").covers(MES.id, None)
    assert not Scope(root="CL").covers(MES.id, None)
    assert Scope(contract_id=CL.id).covers(CL.id, None)
    assert ACCOUNT.covers("anything", None)


def test_is_of_one_kind() -> None:
    with pytest.raises(AssertionError):
        Scope(root="ES", contract_id=ES.id)
    assert [str(scope) for scope in (ACCOUNT, Scope(root="ES"), Scope(contract_id="C"))] == ["account", "ES", "C"]

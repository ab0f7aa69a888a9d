"""What part of an account a demand or a lockout covers."""

import msgspec

from risk_manager.domain.contract import Contract
from risk_manager.domain.products import spelled_roots


class Scope(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The whole account, one product (every expiry of a root), or one contract.

    Both members None means the whole account; at most one may be set.
    """

    root: str | None = None
    contract_id: str | None = None

    def __post_init__(self) -> None:
        assert self.root is None or self.contract_id is None, self

    @property
    def is_account(self) -> bool:
        return self.root is None and self.contract_id is None

    def covers(self, contract_id: str, contract: Contract | None) -> bool:
        """Whether a position or order in this contract falls under the scope.

        `contract` is None while the venue has not told us about it; then a product scope answers by what the id may
        mean (`EP` is the venue's ES), so an unknown contract cannot slip past a block on its product.
        """
        if self.contract_id is not None:
            return self.contract_id == contract_id
        if self.root is None:
            return True
        if contract is None:
            return self.root in spelled_roots(contract_id)
        return self.root == contract.root

    def __str__(self) -> str:
        return self.root or self.contract_id or "account"


ACCOUNT = Scope()

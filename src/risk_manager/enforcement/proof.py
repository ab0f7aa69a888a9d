"""Proof that a goal is reached: two agreeing snapshots, read after the last action and apart from each other."""

from collections.abc import Iterable, Mapping

import msgspec

from risk_manager.domain.account import AccountView
from risk_manager.domain.contract import Contract
from risk_manager.domain.order import Order
from risk_manager.domain.position import Position
from risk_manager.enforcement.pacing import Pacing


class ShownHolding(msgspec.Struct, frozen=True, gc=False):
    net_contracts: int
    position_id: str


class Shown(msgspec.Struct, frozen=True):
    """The account as one snapshot shows it, whatever the guard makes of that."""

    holdings: dict[str, ShownHolding]
    orders: dict[str, Order]
    contracts: Mapping[str, Contract]

    @classmethod
    def of(cls, positions: Iterable[Position], orders: Iterable[Order], contracts: Mapping[str, Contract]) -> "Shown":
        held = {one.contract_id: ShownHolding(one.net_contracts, one.id) for one in positions if one.net_contracts}
        return cls(held, {order.id: order for order in orders if not order.status.is_terminal}, contracts)

    def differing(self, account: AccountView) -> frozenset[str]:
        """Ids of the contracts the account knows with another size."""
        shown = {contract_id: holding.net_contracts for contract_id, holding in self.holdings.items()}
        known = {contract_id: holding.net_contracts for contract_id, holding in account.holdings.items()}
        return frozenset(contract_id for contract_id, _ in shown.items() ^ known.items())


class Proof(msgspec.Struct, frozen=True, gc=False):
    """How far the proof of one intent got.

    Attributes:
        reached_ns: local time the account first looked as demanded; None if it does not.
        first_ns: when the first agreeing snapshot was requested; None before it.
    """

    reached_ns: int | None = None
    first_ns: int | None = None


def looked(proof: Proof, is_met: bool, now_ns: int) -> Proof:
    """The proof after an event: a goal lost again starts from nothing."""
    if not is_met:
        return proof if proof.reached_ns is None else Proof()
    return proof if proof.reached_ns is not None else Proof(reached_ns=now_ns)


def after_snapshot(
    proof: Proof, is_shown: bool, requested_ns: int, acted_ns: int, pacing: Pacing
) -> tuple[Proof, bool]:
    """The proof after a readable snapshot, and whether it is complete.

    Args:
        is_shown: the snapshot itself shows the goal met. One that does not makes the count start over.
        requested_ns: local time the snapshot was asked for; before the goal was reached or before the last sending
            or outcome of an action (`acted_ns`) it proves nothing.
    """
    if not is_shown:
        return Proof(proof.reached_ns), False
    if proof.reached_ns is None or requested_ns < max(proof.reached_ns, acted_ns):
        return proof, False
    if proof.first_ns is None or proof.first_ns < acted_ns:
        return Proof(proof.reached_ns, requested_ns), False
    return proof, requested_ns >= proof.first_ns + pacing.proof_ns


def next_snapshot_ns(proof: Proof, acted_ns: int, pacing: Pacing) -> int | None:
    """Local time from which a snapshot would advance the proof; None while the goal is not reached."""
    if proof.reached_ns is None:
        return None
    if proof.first_ns is None or proof.first_ns < acted_ns:
        return max(proof.reached_ns, acted_ns)
    return proof.first_ns + pacing.proof_ns


def shifted(proof: Proof, by_ns: int) -> Proof:
    """The proof with its local times moved."""
    reached_ns, first_ns = (None if at_ns is None else at_ns + by_ns for at_ns in (proof.reached_ns, proof.first_ns))
    return Proof(reached_ns, first_ns)

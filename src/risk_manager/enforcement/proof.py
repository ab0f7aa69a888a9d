"""Proof that a goal is reached: two agreeing snapshots, read after the last action and apart from each other."""

import msgspec

from risk_manager.enforcement.pacing import Pacing


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


def after_snapshot(proof: Proof, requested_ns: int, last_action_ns: int, pacing: Pacing) -> tuple[Proof, bool]:
    """The proof after a readable snapshot that shows the goal met, and whether it is complete.

    A snapshot requested before the goal was reached or before the last action's outcome proves nothing.
    """
    if proof.reached_ns is None or requested_ns < max(proof.reached_ns, last_action_ns):
        return proof, False
    if proof.first_ns is None or proof.first_ns < last_action_ns:
        return msgspec.structs.replace(proof, first_ns=requested_ns), False
    return proof, requested_ns >= proof.first_ns + pacing.proof_ns


def next_snapshot_ns(proof: Proof, last_action_ns: int, pacing: Pacing) -> int | None:
    """Local time from which a snapshot would advance the proof; None while the goal is not reached."""
    if proof.reached_ns is None:
        return None
    if proof.first_ns is None or proof.first_ns < last_action_ns:
        return max(proof.reached_ns, last_action_ns)
    return proof.first_ns + pacing.proof_ns

"""Worlds that fail for a reason that is known and not yet mended: docs/simulation.md tells each."""

OLD_DENIAL = "what the venue did not allow once counts as not allowed until the same is accepted"
AMNESIA = "an account of which no memory can be read is locked and flattened, and the check does not know it"
UNHEARD = "what is logged while the world changes rules is not heard"
LATE_SERVER = "the gateway's own restart outlasts the repair"

KNOWN: dict[int, str] = {
    515: UNHEARD,
    603: AMNESIA,
    695: LATE_SERVER,
    764: AMNESIA,
    876: OLD_DENIAL,
}
"""By seed."""

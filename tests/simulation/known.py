"""Worlds that fail for a reason that is known and not yet mended: docs/simulation.md tells each."""

FORGOTTEN_CALLS = "a restart forgets which calls of the last minute the venue still counts"
SHED_RECORDS = "account records and fills, the first reads shed, may be missed by several polls in a row"
STOP_AFTER_CLOSE = "with both streams dead a stop outlives its closed position until the next look"

KNOWN: dict[int, str] = {
    184: FORGOTTEN_CALLS,
    108: STOP_AFTER_CLOSE,
    143: SHED_RECORDS,
}
"""By seed."""

"""Worlds that are known to fail and not mended yet: docs/simulation.md tells of each."""

KNOWN: dict[int, str] = {
    7438: "a trader opens anew every 0.15 s; exposed for 5.5 seconds without a break, 5 are allowed",
    7770: "after a hundred closes and cancels in a minute the venue refuses (429) closes for four seconds",
}
"""By seed."""

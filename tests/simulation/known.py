"""Worlds that are known to fail and not mended yet: docs/simulation.md tells of each."""

KNOWN: dict[int, str] = {
    1371: "I15 the account record is the first read to be shed, so a balance may be a minute old in a crowded one",
}
"""By seed."""

"""Worlds that are known to fail and not mended yet: docs/simulation.md tells of each."""

KNOWN: dict[int, str] = {
    1778: "begins anew with the journal, logs in anew, and is refused (429) for what it and its forerunner called for",
}
"""By seed."""

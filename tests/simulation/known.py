"""Worlds that are known to fail and not mended yet: docs/simulation.md tells of each."""

KNOWN: dict[int, str] = {}
"""By seed."""

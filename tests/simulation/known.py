"""Worlds that fail for a reason that is known and not yet mended: docs/simulation.md tells each."""

KNOWN: dict[int, str] = {}
"""By seed."""

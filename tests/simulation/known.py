"""Worlds that are known to fail and not mended yet: docs/simulation.md tells of each."""

KNOWN: dict[int, str] = {
    9486: "the guard's own stop waits for its cancel behind eighteen others, and fills two seconds after the close",
}
"""By seed."""

"""Worlds that are known to fail and not mended yet: docs/simulation.md tells of each."""

MANY_TASKS = "more tasks and connections at rest than any world before; why is not known"
SIX_SECONDS = "an account that its lockout flattens is exposed for 5.9 seconds, 5 and a little are allowed"

KNOWN: dict[int, str] = {
    961: MANY_TASKS,
    972: SIX_SECONDS,
    1290: MANY_TASKS,
}
"""By seed."""

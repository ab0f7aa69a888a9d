"""The local clock."""

from typing import Protocol


class Clock(Protocol):
    """Local time that only moves forward within a run."""

    def now_ns(self) -> int:
        """UTC epoch nanoseconds, anchored at start and advanced by the monotonic clock."""

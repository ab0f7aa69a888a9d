"""The local clock."""

from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """Local time that only moves forward within a run, and wake-ups by it."""

    def now_ns(self) -> int:
        """UTC epoch nanoseconds, never earlier than the call before."""

    def call_at(self, at_ns: int, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back once when the clock has reached `at_ns`, soon if it has already; returns how to call it off."""

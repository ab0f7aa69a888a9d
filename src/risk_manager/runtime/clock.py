"""The one clock: the only module that asks the operating system for the time."""

import asyncio
import time
from collections.abc import Callable

NS_PER_S = 1_000_000_000


class SystemClock:
    """Wall time at construction, advanced by the monotonic clock: a step of the wall clock never shows."""

    def __init__(self) -> None:
        self._anchor_ns = time.time_ns() - time.monotonic_ns()

    def now_ns(self) -> int:
        """UTC epoch nanoseconds, never going back."""
        return self._anchor_ns + time.monotonic_ns()

    def call_at(self, at_ns: int, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back once on the running event loop; returns how to call it off."""
        delay_s = max(0, at_ns - self.now_ns()) / NS_PER_S
        return asyncio.get_running_loop().call_later(delay_s, callback).cancel


def stopwatch_ns() -> int:
    """A steady count of nanoseconds for measuring durations; its zero means nothing."""
    return time.perf_counter_ns()


def wall_ns() -> int:
    """The operating system's wall clock, UTC epoch nanoseconds; for display and for tokens, never for decisions."""
    return time.time_ns()

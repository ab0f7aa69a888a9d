"""How late the event loop is: whatever waits for it, the closing of a position included, is late by as much."""

import asyncio
from collections.abc import Callable

import msgspec

PERIOD_S = 0.1
LATE_S = 0.25
RECENT_S = 5.0
"""The recent value covers the last one to two of these."""


class LoopStatus(msgspec.Struct, frozen=True):
    """By how many milliseconds the event loop was late at worst: in the last seconds, and since the start."""

    recent_lag_ms: float
    worst_lag_ms: float


class LoopLag:
    """A timer that keeps looking how late it is called.

    Args:
        report: called with a text when the loop has been late by more than `LATE_S`, with None when that is past.
    """

    def __init__(self, report: Callable[[str | None], None]) -> None:
        self._report = report
        self._timer: asyncio.TimerHandle | None = None
        self._worst_s = self._current_s = self._before_s = self._turn_s = 0.0
        self._is_late = False

    @property
    def status(self) -> LoopStatus:
        recent_s = max(self._current_s, self._before_s)
        return LoopStatus(round(recent_s * 1_000, 1), round(self._worst_s * 1_000, 1))

    def start(self) -> None:
        """Measure on the running event loop until `stop`."""
        loop = asyncio.get_running_loop()
        self._turn_s = loop.time() + RECENT_S
        self._wait(loop, loop.time())

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _wait(self, loop: asyncio.AbstractEventLoop, now_s: float) -> None:
        self._timer = loop.call_at(now_s + PERIOD_S, self._look, loop, now_s + PERIOD_S)

    def _look(self, loop: asyncio.AbstractEventLoop, due_s: float) -> None:
        now_s = loop.time()
        self._wait(loop, now_s)
        if now_s >= self._turn_s:
            self._before_s, self._current_s, self._turn_s = self._current_s, 0.0, now_s + RECENT_S
        lag_s = now_s - due_s
        if lag_s > self._current_s:
            self._current_s = lag_s
            self._worst_s = max(self._worst_s, lag_s)
        is_late = self._current_s > LATE_S or self._before_s > LATE_S
        if is_late != self._is_late:
            self._is_late = is_late
            self._report(f"was {lag_s * 1_000:.0f} ms late" if is_late else None)

"""What a guard has begun and not finished: venue calls, and duties of its own."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from risk_manager.ports.clock import Clock


class UnderWay:
    """Tasks beside the guard's steps.

    Args:
        alarm: called with the exception of a task that raised one.
    """

    def __init__(self, clock: Clock, alarm: Callable[[BaseException], None]) -> None:
        self._clock = clock
        self._alarm = alarm
        self._begun_ns: dict[asyncio.Task[None], int] = {}

    def __len__(self) -> int:
        return len(self._begun_ns)

    def begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` up to its first wait at once: a request is on the wire before the event loop's next turn."""
        task = asyncio.Task(work, loop=asyncio.get_running_loop(), eager_start=True)
        if task.done():
            self._alarm_if_failed(task)
            return task
        self._begun_ns[task] = self._clock.now_ns()
        task.add_done_callback(self._begun_ns.pop)
        task.add_done_callback(self._alarm_if_failed)
        return task

    def is_stuck(self, limit_ns: int) -> bool:
        """Whether one of them has taken so long or longer."""
        oldest_ns = next(iter(self._begun_ns.values()), None)
        return oldest_ns is not None and self._clock.now_ns() - oldest_ns >= limit_ns

    async def finish(self, timeout_s: float) -> None:
        """Return when those that are under way now have ended, or when the time is up."""
        if self._begun_ns:
            await asyncio.wait(self._begun_ns, timeout=timeout_s)

    async def cancel(self) -> None:
        """End them all; returns when they have ended."""
        tasks = tuple(self._begun_ns)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _alarm_if_failed(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._alarm(error)

"""The daemon's long-lived tasks: one that ends begins again, for ever, and says so while it is new."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

import structlog

RESTART_S = 1.0
RESTART_MAX_S = 30.0
STEADY_S = 60.0
"""A task that has run so long again is as good as before: its fault is over, and its next restart is quick."""

Work = Callable[[], Coroutine[Any, Any, None]]

log = structlog.get_logger("daemon")


class Supervisor:
    """Runs tasks that must not end.

    Args:
        report: called with a task's name and what ended it; with None when it has run steadily since.
        restart_s: the pause after a first end; each further one doubles it, up to `RESTART_MAX_S`.
    """

    def __init__(self, report: Callable[[str, str | None], None], *, restart_s: float = RESTART_S) -> None:
        self._report = report
        self._restart_s = restart_s
        self._tasks: list[asyncio.Task[NoReturn]] = []

    def keep(self, name: str, work: Work) -> None:
        """Run `work` from now on, and again whenever it ends."""
        self._tasks.append(asyncio.create_task(self._keep(name, work), name=name))

    async def stop(self) -> None:
        """End the tasks; returns when they have ended."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _keep(self, name: str, work: Work) -> NoReturn:
        loop = asyncio.get_running_loop()
        pause_s = self._restart_s
        while True:
            begun_s = loop.time()
            steady = loop.call_at(begun_s + STEADY_S, self._report, name, None)
            try:
                error = await _ended(work)
            finally:
                steady.cancel()
            reason = "ended by itself" if error is None else repr(error)
            log.critical("task ended", task=name, reason=reason, exc_info=error)
            self._report(name, reason)
            if loop.time() >= begun_s + STEADY_S:
                pause_s = self._restart_s
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, RESTART_MAX_S)


async def _ended(work: Work) -> BaseException | None:
    """Run `work` to its end; the exception that ended it."""
    try:
        await work()
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        # Nobody asked for it: a library cancelled the task it was called from. That must not end it silently.
        return error
    except Exception as error:  # noqa: BLE001  # whatever it is, guarding goes on with the rest while this restarts
        return error
    return None

"""One thread that carries out calls in order, and its idle moments.

An executor would do, but its futures take a lock and a condition on each side: 60 microseconds of every commit, which
is a fifth of what the commit costs on a good disk.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

_Call = tuple[Callable[[], Any], "asyncio.Future[Any]", asyncio.AbstractEventLoop]


class Writer:
    """A daemon thread awaited from event loops."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._idle: Callable[[], None] | None = None
        Thread(target=self._work, name="journal-writer", daemon=True).start()

    def when_idle(self, work: Callable[[], None]) -> None:
        """Do `work`, which must not raise, whenever a call is done and no other is waiting."""
        self._idle = work

    async def run[Answer](self, work: Callable[[], Answer]) -> Answer:
        """What `work` returns or raises; it is carried out to its end even if the caller is cancelled."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        self._calls.put((work, future, loop))
        return await future

    def stop(self) -> None:
        """End the thread after the calls made so far."""
        self._calls.put(None)

    def _work(self) -> None:
        while (call := self._next()) is not None:
            work, future, loop = call
            try:
                answer = work()
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is raised again where the call is awaited
                _deliver(loop, future, None, error)
            else:
                _deliver(loop, future, answer, None)
            # Held until the next call, these would keep its values and tracebacks alive.
            del call, work, future, loop

    def _next(self) -> _Call | None:
        try:
            return self._calls.get_nowait()
        except Empty:
            if self._idle is not None:
                self._idle()
            return self._calls.get()


def _deliver(
    loop: asyncio.AbstractEventLoop, future: "asyncio.Future[Any]", answer: Any, error: BaseException | None
) -> None:
    def settle() -> None:
        if future.done():  # cancelled
            return
        if error is None:
            future.set_result(answer)
        else:
            future.set_exception(error)

    # A loop that has closed meanwhile has nobody left to tell.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(settle)

"""One thread that carries out calls in order, and its idle moments. Calls that give way wait until no other one does.

An executor would do, but its futures take a lock and a condition on each side, and the way back through the event loop
(a byte in a pipe, a poll, two rounds of callbacks) costs as much as the disk. So the loop first stands still for a
moment: a commit is what everything waits for anyway, and on a healthy disk it is over within that moment. It does not
sleep meanwhile, because a processor that is woken for the enforcement request costs another tenth of a millisecond.
"""

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

import structlog

_STAND_STILL_S = 0.002
"""How long a call may hold up the event loop; after that it is awaited like any other."""

_yield_processor: Callable[[], object] = getattr(os, "sched_yield", partial(time.sleep, 0))
"""Lets the writer's thread run, and with it whoever else waits for this processor."""

_IDLE_AFTER_S = 0.005
"""How long nothing must be asked before idle work begins: the steps of one enforcement come closer together."""

log = structlog.get_logger("journal")


class _Call:
    """Work on its way through the thread.

    Whoever comes second of `is_done` being set and `future` being set tells the loop; both may, and that does no harm.
    """

    __slots__ = ("answer", "error", "future", "gives_way", "is_done", "loop", "work")

    def __init__(self, work: Callable[[], Any], loop: asyncio.AbstractEventLoop, *, gives_way: bool) -> None:
        self.work = work
        self.loop = loop
        self.gives_way = gives_way
        self.answer: Any = None
        self.error: BaseException | None = None
        self.is_done = False
        self.future: asyncio.Future[None] | None = None

    def carry_out(self) -> None:
        try:
            self.answer = self.work()
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is raised again where the call is awaited
            self.error = error
        self.is_done = True
        if self.future is not None:
            # A loop that has closed meanwhile has nobody left to tell.
            with suppress(RuntimeError):
                self.loop.call_soon_threadsafe(self.wake)

    def wake(self) -> None:
        if self.future is not None and not self.future.done():
            self.future.set_result(None)

    async def wait(self) -> Any:
        # Nothing stands still for a call that gives way: what it should give way to could not be asked meanwhile.
        if self.gives_way or not self._is_done_within(_STAND_STILL_S):
            self.future = self.loop.create_future()
            if self._is_done_within(0.0):
                self.wake()
            await self.future
        if self.error is not None:
            raise self.error
        return self.answer

    def _is_done_within(self, seconds: float) -> bool:
        patience_s = self.loop.time() + seconds
        while not self.is_done and self.loop.time() < patience_s:
            _yield_processor()
        return self.is_done


class Writer:
    """A daemon thread awaited from event loops."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._giving_way: deque[_Call | None] = deque()
        self._idle: Callable[[], None] | None = None
        Thread(target=self._work, name="journal-writer", daemon=True).start()

    def when_idle(self, work: Callable[[], None]) -> None:
        """Do `work` whenever calls were done and no other came for a while; what it raises is logged."""
        self._idle = work

    async def run[Answer](self, work: Callable[[], Answer], *, gives_way: bool = False) -> Answer:
        """What `work` returns or raises; it is carried out to its end even if the caller is cancelled.

        Args:
            gives_way: to every call that does not, later ones included; among themselves they keep their order.
        """
        call = _Call(work, asyncio.get_running_loop(), gives_way=gives_way)
        self._calls.put(call)
        answer: Answer = await call.wait()
        return answer

    def stop(self, last: Callable[[], None] | None = None) -> None:
        """End the thread after the calls made so far, and after `last`."""
        if last is not None:
            self._calls.put(_Call(last, asyncio.get_running_loop(), gives_way=True))
        self._calls.put(None)

    def _work(self) -> None:
        while (call := self._next()) is not None:
            call.carry_out()
            # Held until the next call, it would keep its values and tracebacks alive.
            del call

    def _next(self) -> _Call | None:
        while True:
            try:
                call = self._calls.get_nowait() if self._giving_way else self._calls.get(timeout=_IDLE_AFTER_S)
            except Empty:
                if self._giving_way:
                    return self._giving_way.popleft()
                if self._idle is not None:
                    self._rest(self._idle)
                call = self._calls.get()
            if call is not None and not call.gives_way:
                return call
            self._giving_way.append(call)

    def _rest(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # nobody waits for it, and every later call needs the thread
            log.critical("idle work failed", error=repr(error), exc_info=error)

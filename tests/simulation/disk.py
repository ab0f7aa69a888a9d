"""The disk of the guard's machine, on virtual time: slow, failing, and cut off by a crash in the middle of a commit.

The real `Store` writes real SQLite files; only the thread between it and the event loop is replaced. A write begins,
takes effect a moment later, and is acknowledged another moment later: a crash may come before, between, or after.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from risk_manager.persistence.store import Store

IDLE_AFTER_S = 0.005


class Disk:
    """The machine's disk as one run of the program sees it.

    Attributes:
        write_s: how long a write takes, in all.   failing: whose writes it refuses.   is_gone: the program has ended.
    """

    def __init__(self, seed: object) -> None:
        self.write_s = 0.001
        self.failing: frozenset[str] = frozenset()
        self.is_gone = False
        self._random = random.Random(f"disk {seed}")

    def pause_s(self) -> float:
        return self.write_s * self._random.uniform(0.2, 0.8)

    def successor(self, seed: object) -> "Disk":
        """The same disk for the next run of the program."""
        disk = Disk(seed)
        disk.write_s, disk.failing = self.write_s, self.failing
        return disk


DISK: ContextVar[Disk] = ContextVar("disk")


class VirtualWriter:
    """Stands in for `persistence.writer.Writer`: one call after the other, and idle work when there is none."""

    name = ""

    def __init__(self) -> None:
        self._disk = DISK.get()
        self._loop = asyncio.get_running_loop()
        self._calls: deque[tuple[Callable[[], Any], asyncio.Future[Any]]] = deque()
        self._is_busy = False
        self._idle: Callable[[], None] | None = None
        self._idle_timer: asyncio.TimerHandle | None = None
        self._last: Callable[[], None] | None = None

    def when_idle(self, work: Callable[[], None]) -> None:
        self._idle = work

    async def run[Answer](self, work: Callable[[], Answer], *, gives_way: bool = False) -> Answer:
        """Calls keep their order: what gives way is read before the guarding begins, and meets nothing else."""
        future: asyncio.Future[Answer] = self._loop.create_future()
        self._calls.append((work, future))
        self._go_on()
        return await future

    def stop(self, last: Callable[[], None] | None = None) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        self._last = last
        self._end()

    def _end(self) -> None:
        if self._last is not None and not self._calls:
            self._last()
            self._last = None

    def _go_on(self) -> None:
        if self._is_busy or not self._calls:
            return
        self._is_busy = True
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        self._loop.call_later(0.0 if self._disk.is_gone else self._disk.pause_s(), self._apply)

    def _apply(self) -> None:
        work, future = self._calls[0]
        error: BaseException | None = None
        answer = None
        try:
            if self._disk.is_gone or self.name in self._disk.failing:
                _let_go(work)
                raise OSError(5, "Input/output error")
            answer = work()
        except Exception as caught:  # noqa: BLE001  # as the thread does: raised again where the call is awaited
            error = caught
        ack_s = 0.0 if self._disk.is_gone else self._disk.pause_s()
        self._loop.call_later(ack_s, self._acknowledge, future, answer, error)

    def _acknowledge(self, future: asyncio.Future[Any], answer: Any, error: BaseException | None) -> None:
        self._calls.popleft()
        self._is_busy = False
        if not future.done():
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(answer)
        self._go_on()
        self._end()
        if not self._is_busy and self._idle is not None:
            self._idle_timer = self._loop.call_later(IDLE_AFTER_S, self._do_idle)

    def _do_idle(self) -> None:
        if self._idle is not None and not self._disk.is_gone and self.name not in self._disk.failing:
            self._idle()


class JournalWriter(VirtualWriter):
    name = "journal"


class LatchWriter(VirtualWriter):
    name = "latch"


def _let_go(work: Callable[[], Any]) -> None:
    """A file is closed whatever the disk says, and when its program has ended; what is written at that time is not."""
    store = getattr(work, "__self__", None)
    if isinstance(store, Store):
        store.close()

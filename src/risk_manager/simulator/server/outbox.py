"""What is to be sent later, on the running event loop's own time."""

import asyncio
from collections.abc import Callable, Hashable
from heapq import heappop, heappush
from itertools import count


class Outbox:
    """Acts by the time they are due; those of one instant in the order they were put in.

    Of one lane nothing overtakes what was put in before it, however soon it would be due.
    """

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Hashable, Callable[[], None]]] = []
        self._numbers = count()
        # By lane: how many acts wait in it, and when the last of them is due.
        self._lanes: dict[Hashable, tuple[int, float]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._due)

    def put(self, act: Callable[[], None], delay_s: float, lane: Hashable = None) -> float:
        """Act after so many seconds, or at once if there is neither a delay nor anybody in the lane (None: no lane).

        Returns:
            The seconds after which it is done.
        """
        is_alone = lane is None or lane not in self._lanes
        if delay_s <= 0 and is_alone:
            act()
            return 0.0
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        due_s = now_s + max(delay_s, 0.0)
        if lane is not None:
            waiting, last_s = self._lanes.get(lane, (0, due_s))
            due_s = max(due_s, last_s)
            self._lanes[lane] = waiting + 1, due_s
        heappush(self._due, (due_s, next(self._numbers), lane, act))
        self._arm(loop)
        return due_s - now_s

    def clear(self) -> None:
        """Forget everything."""
        self._due.clear()
        self._lanes.clear()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._due:
            return
        due_s = self._due[0][0]
        if self._timer is not None:
            if self._timer.when() <= due_s:
                return
            self._timer.cancel()
        self._timer = loop.call_at(due_s, self._run)

    def _run(self) -> None:
        loop = asyncio.get_running_loop()
        assert self._timer is not None
        # The loop may call a little too early by its own clock.
        until_s = max(self._timer.when(), loop.time())
        self._timer = None
        try:
            while self._due and self._due[0][0] <= until_s:
                _, _, lane, act = heappop(self._due)
                if lane is not None:
                    self._leave(lane)
                act()
        finally:
            self._arm(loop)

    def _leave(self, lane: Hashable) -> None:
        waiting, last_s = self._lanes[lane]
        if waiting > 1:
            self._lanes[lane] = waiting - 1, last_s
        else:
            del self._lanes[lane]

"""A clock that runs on the simulated market's time: what it wakes, the market wakes."""

from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from itertools import count

from risk_manager.simulator.exchange import Exchange

READINGS_NS = 1_000
"""More readings than anybody takes between two steps: their number must not decide in which step a call is due."""


class MarketClock:
    """Implements `ports.clock.Clock` on an exchange's time; call `advance` after every market step.

    Between two steps the market stands still, so each reading is one nanosecond after the one before: whatever
    happened first also reads as first.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._last_ns = 0
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._numbers = count()
        self._called_off: set[int] = set()

    def now_ns(self) -> int:
        self._last_ns = max(self._exchange.now_ns, self._last_ns + 1)
        return self._last_ns

    def call_at(self, at_ns: int, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back from the first `advance` at or after `at_ns`; returns how to call it off."""
        number = next(self._numbers)
        heappush(self._due, (at_ns, number, callback))
        return lambda: self._called_off.add(number)

    def advance(self) -> None:
        """Call everything that is due, in order; what that asks for anew waits for the next advance."""
        for _ in self.advancing():
            pass

    def advancing(self) -> Iterator[None]:
        """Like `advance`, with a stop after each call, so that the world can take in what it caused before the next."""
        now_ns = self.now_ns() + READINGS_NS
        due = []
        while self._due and self._due[0][0] <= now_ns:
            due.append(heappop(self._due))
        for _, number, callback in due:
            if number in self._called_off:
                self._called_off.discard(number)
            else:
                callback()
                yield

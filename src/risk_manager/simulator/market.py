"""Drives the exchange: a feed's items one by one, traders after each, at the recording's own pace."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress

import msgspec

from risk_manager.simulator.desk import Seat
from risk_manager.simulator.exchange import Exchange
from risk_manager.simulator.feeds import Feed, FeedItem, FeedQuote

NS_PER_S = 1_000_000_000

# So many steps at most before the event loop gets a turn: at 1000x whole seconds of market fall due at once.
_STEPS_PER_TURN = 64
# Market time between the end of a tape and its next round.
_LOOP_GAP_NS = 1 * NS_PER_S


class Market:
    """One feed, one exchange, any number of traders.

    The exchange's clock is the feed's: venue time stands still between two items.

    Attributes:
        steps: items applied so far.
        now_ns: time of the last item, 0 before the first.
        is_finished: the feed has ended.
        speed: may be changed at any time; the next step follows it.
    """

    def __init__(
        self,
        exchange: Exchange,
        feed: Feed,
        seats: Sequence[Seat] = (),
        *,
        speed: float | None = 1.0,
        repeats: bool = False,
        most_idle_s: float | None = None,
        gate: Callable[[], Awaitable[None]] | None = None,
        after_step: Callable[[int], None] | None = None,
    ) -> None:
        """Take the parts; nothing happens before the first step.

        Args:
            seats: act after each step, in this order.
            speed: market seconds per second, > 0; None runs as fast as it can.
            repeats: start the feed again when it ends, on a clock that goes on; the feed must be readable twice.
            most_idle_s: wait at most so long (real time) for an item, so that nights and weekends of a tape pass.
            gate: awaited before each step: the world may catch up before the market moves on.
            after_step: called with venue time when the traders have acted.
        """
        assert speed is None or speed > 0, speed
        self._exchange = exchange
        self._feed = feed
        self._items = self._rounds() if repeats else iter(feed)
        self._seats = tuple(seats)
        self.speed = speed
        self._most_idle_s = most_idle_s
        self._gate = gate
        self._after_step = after_step
        self._next: FeedItem | None = None
        self._stopped = asyncio.Event()
        self.steps = 0
        self.now_ns = 0
        self.is_finished = False

    def step(self) -> bool:
        """Apply the next item and let the traders act; False (and nothing done) at the end of the feed."""
        item = self._peek()
        if item is None:
            return False
        self._next = None
        if isinstance(item, FeedQuote):
            self._exchange.quote(
                item.contract_id,
                item.bid_ticks,
                item.ask_ticks,
                item.at_ns,
                bid_size=item.bid_size,
                ask_size=item.ask_size,
            )
        else:
            self._exchange.print(item.contract_id, item.price_ticks, item.size, item.aggressor, item.at_ns)
        self.now_ns = item.at_ns
        self.steps += 1
        for trader, desk in self._seats:
            if not trader.is_finished:
                trader.step(desk, item.at_ns)
        if self._after_step is not None:
            self._after_step(item.at_ns)
        return True

    async def run(self) -> None:
        """Step at the feed's pace until it ends or `stop` is called.

        Overdue items follow each other without waiting and none is left out; the event loop gets its turn in between.
        """
        self._stopped.clear()
        pace = _Pace(asyncio.get_running_loop().time, self._most_idle_s)
        turn = 0
        while not self._stopped.is_set():
            item = self._peek()
            if item is None:
                return
            wait_s = pace.wait_s(item.at_ns, self.speed)
            if wait_s > 0 or turn == _STEPS_PER_TURN:
                turn = 0
                await self._pause(wait_s)
            turn += 1
            if self._gate is not None:
                await self._gate()
            if not self._stopped.is_set():
                self.step()

    def stop(self) -> None:
        """Let `run` return before its next step; running again goes on from there."""
        self._stopped.set()

    async def _pause(self, seconds: float) -> None:
        if seconds == 0:
            await asyncio.sleep(0)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopped.wait()

    def _peek(self) -> FeedItem | None:
        if self._next is None:
            self._next = next(self._items, None)
            self.is_finished = self._next is None
        return self._next

    def _rounds(self) -> Iterator[FeedItem]:
        by_ns, last_ns = 0, None
        while True:
            first_ns = None
            for item in self._feed:
                if first_ns is None:
                    first_ns = item.at_ns
                    by_ns = 0 if last_ns is None else last_ns + _LOOP_GAP_NS - first_ns
                last_ns = item.at_ns + by_ns
                yield msgspec.structs.replace(item, at_ns=last_ns)
            if first_ns is None:
                return


class _Pace:
    """When an item is due: the feed's clock against the event loop's."""

    def __init__(self, clock: Callable[[], float], most_idle_s: float | None) -> None:
        self._clock = clock
        self._most_idle_s = most_idle_s
        self._speed: float | None = None
        self._start_s = 0.0
        self._start_ns = 0

    def wait_s(self, at_ns: int, speed: float | None) -> float:
        """Seconds until an item of this time is due, 0 if it is; the first one is due at once, at any speed."""
        if speed is None:
            self._speed = None
            return 0.0
        now_s = self._clock()
        if speed != self._speed:
            self._speed, self._start_s, self._start_ns = speed, now_s, at_ns
        wait_s = self._start_s + (at_ns - self._start_ns) / NS_PER_S / speed - now_s
        if self._most_idle_s is not None and wait_s > self._most_idle_s:
            self._start_s -= wait_s - self._most_idle_s
            wait_s = self._most_idle_s
        return max(0.0, wait_s)

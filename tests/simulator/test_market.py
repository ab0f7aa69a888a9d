"""The market driver."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from itertools import pairwise
from typing import ClassVar

import pytest

from risk_manager.domain.order import Side
from risk_manager.simulator.catalog import listed
from risk_manager.simulator.desk import Desk, Seat
from risk_manager.simulator.exchange import Exchange
from risk_manager.simulator.feeds import FeedItem, FeedPrint, FeedQuote
from risk_manager.simulator.market import Market

ES = listed("ES", "H24")
START_NS = 1_703_545_200_000_000_000
MS_NS = 1_000_000


def quotes(count: int, every_ns: int = 100 * MS_NS) -> list[FeedItem]:
    return [FeedQuote(ES.id, 100 + step, 101 + step, 5, 6, START_NS + step * every_ns) for step in range(count)]


def exchange() -> Exchange:
    return Exchange([ES])


class Watcher:
    """A trader that writes down what it sees, and is finished after a while."""

    name: ClassVar[str] = "watcher"

    def __init__(self, most_steps: int = 1_000) -> None:
        self.most_steps = most_steps
        self.seen: list[tuple[int, int | None]] = []

    @property
    def is_finished(self) -> bool:
        return len(self.seen) >= self.most_steps

    def step(self, desk: Desk, now_ns: int) -> None:
        self.seen.append((now_ns - START_NS, desk.top(ES.id).bid_ticks))


def seat(venue: Exchange, trader: Watcher) -> Seat:
    account_id = venue.open_account(user="user", name="account", balance_micros=50_000_000_000)
    return Seat(trader, Desk(venue, account_id))


class TestStep:
    def test_applies_one_item_and_then_lets_the_traders_act(self) -> None:
        venue, watcher = exchange(), Watcher()
        steps: list[int] = []
        market = Market(venue, quotes(2), [seat(venue, watcher)], after_step=steps.append)

        assert market.step()
        assert (venue.now_ns, market.now_ns, market.steps) == (START_NS, START_NS, 1)
        assert watcher.seen == [(0, 100)]
        assert steps == [START_NS]
        assert market.step()
        assert watcher.seen == [(0, 100), (100 * MS_NS, 101)]

    def test_applies_prints_too(self) -> None:
        venue = exchange()

        assert Market(venue, [FeedPrint(ES.id, 100, 3, Side.BUY, START_NS)]).step()
        assert (venue.top(ES.id).last_ticks, venue.top(ES.id).volume) == (100, 3)

    def test_says_when_the_feed_has_ended(self) -> None:
        market = Market(exchange(), quotes(1))

        assert [market.step(), market.step(), market.step()] == [True, False, False]
        assert (market.is_finished, market.steps) == (True, 1)

    def test_leaves_finished_traders_alone(self) -> None:
        venue, watcher = exchange(), Watcher(most_steps=2)
        market = Market(venue, quotes(5), [seat(venue, watcher)])

        while market.step():
            pass

        assert len(watcher.seen) == 2

    def test_repeats_on_a_clock_that_goes_on(self) -> None:
        watcher, venue = Watcher(), exchange()
        market = Market(venue, quotes(2), [seat(venue, watcher)], repeats=True)

        for _ in range(5):
            assert market.step()

        assert [at_ns // MS_NS for at_ns, _ in watcher.seen] == [0, 100, 1_100, 1_200, 2_200]
        assert [bid for _, bid in watcher.seen] == [100, 101, 100, 101, 100]

    def test_an_empty_feed_does_not_repeat(self) -> None:
        assert not Market(exchange(), [], repeats=True).step()


async def timed(run: Awaitable[None]) -> float:
    start_s = asyncio.get_running_loop().time()
    await run
    return asyncio.get_running_loop().time() - start_s


class TestRun:
    async def test_keeps_the_pace_of_the_recording(self) -> None:
        market = Market(exchange(), quotes(11, 10 * MS_NS), speed=1.0)

        took_s = await timed(market.run())

        assert market.steps == 11
        assert took_s >= 0.095

    async def test_is_a_thousand_times_faster_when_asked(self) -> None:
        """A hundred seconds of market in a tenth of a second and some."""
        market = Market(exchange(), quotes(1_001), speed=1_000.0)

        took_s = await timed(market.run())

        assert market.steps == 1_001
        assert 0.095 <= took_s < 5.0

    async def test_changes_its_pace_on_the_way(self) -> None:
        """An hour lies between two items: at the first speed the second would not come in this test's lifetime."""

        def hurry(_: int) -> None:
            market.speed = None

        market = Market(exchange(), quotes(3, 3_600_000 * MS_NS), speed=1.0, after_step=hurry)
        assert await timed(market.run()) < 5.0
        assert market.steps == 3

    async def test_runs_as_fast_as_it_can(self) -> None:
        market = Market(exchange(), quotes(1_000, 3_600_000 * MS_NS), speed=None)

        assert await timed(market.run()) < 5.0
        assert (market.steps, market.is_finished) == (1_000, True)

    async def test_waits_only_so_long_over_a_night(self) -> None:
        night_ns = 12 * 3_600 * 1_000 * MS_NS
        evening = quotes(2, night_ns)
        market = Market(exchange(), [*evening, FeedPrint(ES.id, 1, 1, None, evening[-1].at_ns)], most_idle_s=0.01)

        assert await timed(market.run()) < 5.0
        assert market.steps == 3

    async def test_gives_others_a_turn_while_items_are_overdue(self) -> None:
        market = Market(exchange(), quotes(10_000), speed=None)
        seen: list[int] = []

        async def other() -> None:
            while not market.is_finished:
                seen.append(market.steps)
                await asyncio.sleep(0)

        await asyncio.gather(market.run(), other())

        assert len(seen) > 100
        assert max(after - before for before, after in pairwise(seen)) <= 64

    async def test_waits_for_the_gate_before_each_step(self) -> None:
        at_gate: list[int] = []

        async def gate() -> None:
            at_gate.append(market.steps)
            await asyncio.sleep(0)

        market = Market(exchange(), quotes(3), speed=None, gate=gate)
        await market.run()

        assert at_gate == [0, 1, 2]

    async def test_stops_at_once_even_while_it_waits(self) -> None:
        market = Market(exchange(), quotes(5, 3_600_000 * MS_NS))
        running = asyncio.create_task(market.run())
        while market.steps == 0:
            await asyncio.sleep(0)

        market.stop()

        assert await timed(running) < 5.0
        assert (market.steps, market.is_finished) == (1, False)

    async def test_a_step_is_not_taken_when_stopped_at_the_gate(self) -> None:
        async def gate() -> None:
            market.stop()

        market = Market(exchange(), quotes(5), speed=None, gate=gate)
        await market.run()

        assert market.steps == 0

    async def test_goes_on_after_a_stop_without_losing_an_item(self) -> None:
        venue, watcher = exchange(), Watcher()
        market = Market(venue, quotes(6), [seat(venue, watcher)], speed=None, after_step=lambda _: market.stop())

        for _ in range(6):
            await market.run()

        assert [bid for _, bid in watcher.seen] == [100, 101, 102, 103, 104, 105]

    async def test_a_trader_that_fails_ends_the_run(self) -> None:
        class Broken(Watcher):
            def step(self, desk: Desk, now_ns: int) -> None:
                raise RuntimeError("a bug in a trader")

        venue = exchange()

        with pytest.raises(RuntimeError, match="a bug"):
            await Market(venue, quotes(1), [seat(venue, Broken())], speed=None).run()


def test_costs_little_per_step() -> None:
    def feed() -> Iterator[FeedItem]:
        yield from quotes(20_000)

    market = Market(exchange(), feed(), speed=None)
    step: Callable[[], bool] = market.step
    start = time.process_time()

    while step():
        pass

    assert time.process_time() - start < 1.0

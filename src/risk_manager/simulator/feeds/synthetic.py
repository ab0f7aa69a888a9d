"""An invented market: seeded random walks with bursts, for any number of products at once, without end.

Each product lives on its own seeded stream, so adding a product changes nothing for the others. A product moves every
100 to 250 ms of market time; now and then a burst sets in: a run of steps that mostly go one way, by several ticks.
"""

from collections.abc import Iterable, Iterator
from heapq import heappop, heappush
from random import Random

import msgspec

from risk_manager.domain.contract import Contract
from risk_manager.domain.order import Side
from risk_manager.simulator.feeds import FeedItem, FeedPrint, FeedQuote

NS_PER_MS = 1_000_000


class SyntheticProduct(msgspec.Struct, frozen=True):
    """A product of the invented market, and the bid it starts at (in ticks)."""

    contract: Contract
    start_ticks: int


class Temper(msgspec.Struct, frozen=True):
    """How the invented market behaves; chances are per step of one product, between 0 and 1.

    Attributes:
        step_min_ms, step_max_ms: market time between two steps of a product, both inclusive.
        move_chance: that a calm step moves the price by a tick.
        burst_chance: that a calm step starts a burst.   burst_steps: its greatest length.
        burst_ticks: the largest move of one step in a burst.
        print_chance: that a step also prints.
        wide_chance: that the spread is two ticks instead of one (bursts: four times as often).
    """

    step_min_ms: int = 100
    step_max_ms: int = 250
    move_chance: float = 0.3
    burst_chance: float = 0.012
    burst_steps: int = 40
    burst_ticks: int = 3
    print_chance: float = 0.6
    wide_chance: float = 0.02


class SyntheticMarket:
    """A feed that never ends: the same seed, products and start give the same items.

    Attributes:
        contract_ids: what the market quotes, in the order given.
        start_ns: market time before the first step.
    """

    def __init__(
        self, products: Iterable[SyntheticProduct], *, seed: int, start_ns: int, temper: Temper | None = None
    ) -> None:
        self._products = tuple(products)
        assert self._products, "a market needs a product"
        self._seed = seed
        self._temper = temper or Temper()
        self.start_ns = start_ns
        self.contract_ids = tuple(product.contract.id for product in self._products)

    def __iter__(self) -> Iterator[FeedItem]:
        walks = [_Walk(product, self._seed, self._temper) for product in self._products]
        due: list[tuple[int, int]] = []
        for index, walk in enumerate(walks):
            heappush(due, (self.start_ns + walk.pause_ns(), index))
        while True:
            at_ns, index = heappop(due)
            yield from walks[index].step(at_ns)
            heappush(due, (at_ns + walks[index].pause_ns(), index))


class _Walk:
    """The price of one product."""

    def __init__(self, product: SyntheticProduct, seed: int, temper: Temper) -> None:
        self._contract_id = product.contract.id
        self._random = Random(f"{seed}/{product.contract.id}")
        self._temper = temper
        self._bid = product.start_ticks
        self._burst_left = 0
        self._burst_sign = 1

    def pause_ns(self) -> int:
        return self._random.randint(self._temper.step_min_ms, self._temper.step_max_ms) * NS_PER_MS

    def step(self, at_ns: int) -> Iterator[FeedItem]:
        moved = self._move()
        # A price of zero or less would be true of some products, but an invented market needs no such day.
        self._bid = max(1, self._bid + moved)
        draw = self._random
        is_wide = draw.random() < self._temper.wide_chance * (4 if self._burst_left else 1)
        ask = self._bid + (2 if is_wide else 1)
        yield FeedQuote(self._contract_id, self._bid, ask, draw.randint(1, 40), draw.randint(1, 40), at_ns)
        if draw.random() < self._temper.print_chance:
            buys = moved > 0 or (moved == 0 and draw.random() < 0.5)
            size = min(20, 1 + int(draw.expovariate(0.5)))
            price, aggressor = (ask, Side.BUY) if buys else (self._bid, Side.SELL)
            yield FeedPrint(self._contract_id, price, size, aggressor, at_ns)

    def _move(self) -> int:
        draw = self._random
        if self._burst_left == 0:
            if draw.random() < self._temper.burst_chance:
                self._burst_left = draw.randint(self._temper.burst_steps // 4, self._temper.burst_steps)
                self._burst_sign = draw.choice((-1, 1))
            return draw.choice((-1, 1)) if draw.random() < self._temper.move_chance else 0
        self._burst_left -= 1
        size = draw.randint(0, self._temper.burst_ticks)
        # One step in five goes against the burst, so that it looks like a market and not like a ramp.
        return size * self._burst_sign if draw.random() < 0.8 else -self._burst_sign

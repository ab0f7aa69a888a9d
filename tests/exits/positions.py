"""Positions and walks for the tests of exits: prices in ticks, one tick worth a dollar."""

from collections.abc import Iterable, Mapping
from typing import Any

from risk_manager.exits._base import Exit, ExitEvent, Held, Levels, Marked, Resized, View

SIDES = (1, -1)
TICK_MICROS = 1_000_000


def held(net: int, *prices: int, opened_ns: int = 0, changed_ns: int = 0) -> Held:
    """A position of `net` contracts; with several prices their average, one price for each contract."""
    size = abs(net)
    assert len(prices) in (1, size), prices
    total = prices[0] * size if len(prices) == 1 else sum(prices)
    sign = 1 if net > 0 else -1
    return Held("p1", net, sign * total * TICK_MICROS, TICK_MICROS, opened_ns, changed_ns)


def mirrored(price: int, sign: int) -> int:
    """The price as far above 0 as below for the other side: a table for longs serves shorts too."""
    return sign * price


def side(net: int, price: int, sign: int) -> Held:
    """A long as written, or its mirror image."""
    return held(sign * net, mirrored(price, sign))


class Walk:
    """An exit on a position: prices one after the other, a nanosecond apart."""

    def __init__(self, one: Exit, position: Held, features: Mapping[str, int] | None = None) -> None:
        self.exit = one
        self.position = position
        self.features = dict(features or {})
        self.now_ns = position.changed_ns
        self.session_end_ns: int | None = None
        self.state: Any = one.initial_state(position)

    def to(self, *prices: int, sign: int = 1, **features: int) -> "Walk":
        self.features.update(features)
        for price in prices:
            self.now_ns += 1
            self.mark(Marked.at(mirrored(price, sign), self.now_ns, self.features))
        return self

    def mark(self, mark: Marked) -> "Walk":
        return self._step(mark)

    def becomes(self, position: Held) -> "Walk":
        self.now_ns += 1
        self.position = position
        return self._step(Resized(self.now_ns))

    def _step(self, event: ExitEvent) -> "Walk":
        before, self.state = self.state, self.exit.step(self.state, event, self.position)
        assert self.state is before or self.state != before, "the same object if nothing changed"
        return self

    @property
    def levels(self) -> Levels:
        said = self.exit.levels(self.state, self.position, View(self.now_ns, self.features, self.session_end_ns))
        levels = (said.stop, *said.targets, said.deadline, *said.ratchets)
        names = {level.by for level in levels if level is not None} | {skip.rule for skip in said.skipped}
        assert names <= {self.exit.name}, "everything it says bears its name"
        return said

    @property
    def stop(self) -> int | None:
        stop = self.levels.stop
        return None if stop is None else stop.price_ticks

    @property
    def targets(self) -> list[tuple[int, int | None]]:
        return [(target.price_ticks, target.contracts) for target in self.levels.targets]

    @property
    def due_ns(self) -> int | None:
        deadline = self.levels.deadline
        return None if deadline is None else deadline.at_ns

    @property
    def skips(self) -> list[str]:
        return [skip.reason for skip in self.levels.skipped]


def stops_along(walk: Walk, prices: Iterable[int], sign: int) -> list[int | None]:
    """Where the stop is after each price, as a long's."""
    seen = []
    for price in prices:
        stop = walk.to(price, sign=sign).stop
        seen.append(None if stop is None else sign * stop)
    return seen

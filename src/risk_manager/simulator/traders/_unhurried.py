"""Slows a trader down to a person's pace: market steps come by the dozen a second, hands do not."""

from typing import ClassVar

from risk_manager.simulator.desk import Desk, Trader


class Unhurried:
    """Lets a trader act at most once in `every_ns` of market time."""

    name: ClassVar[str] = "unhurried"

    def __init__(self, trader: Trader, every_ns: int) -> None:
        self._trader = trader
        self._every_ns = every_ns
        self._acted_ns = 0

    @property
    def is_finished(self) -> bool:
        return self._trader.is_finished

    def step(self, desk: Desk, now_ns: int) -> None:
        if now_ns >= self._acted_ns + self._every_ns:
            self._acted_ns = now_ns
            self._trader.step(desk, now_ns)

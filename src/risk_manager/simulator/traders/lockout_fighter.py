"""Does not accept that the day is over: whatever is flattened it enters again, with market, limit and stop orders."""

from random import Random
from typing import ClassVar

from risk_manager.simulator.desk import Desk
from risk_manager.simulator.traders._insister import Attempt, Insister, InsisterSettings


class LockoutFighter:
    """See the module."""

    name: ClassVar[str] = "lockout_fighter"
    Settings: ClassVar = InsisterSettings

    def __init__(self, settings: InsisterSettings, *, seed: int = 0) -> None:
        ways = (Attempt.MARKET, Attempt.LIMIT, Attempt.MARKET, Attempt.STOP)
        self._insister = Insister(settings, ways, Random(f"lockout_fighter/{seed}"))

    @property
    def is_finished(self) -> bool:
        return self._insister.is_finished

    def step(self, desk: Desk, now_ns: int) -> None:
        self._insister.step(desk)


TRADER = LockoutFighter

"""Trades products it must not touch: at the market, and with limit orders resting there."""

from random import Random
from typing import ClassVar

from risk_manager.simulator.desk import Desk
from risk_manager.simulator.traders._insister import Attempt, Insister, InsisterSettings


class RuleBreaker:
    """See the module; its `contract_ids` are those of blocked products."""

    name: ClassVar[str] = "rule_breaker"
    Settings: ClassVar = InsisterSettings

    def __init__(self, settings: InsisterSettings, *, seed: int = 0) -> None:
        self._insister = Insister(settings, (Attempt.MARKET, Attempt.LIMIT), Random(f"rule_breaker/{seed}"))

    @property
    def is_finished(self) -> bool:
        return self._insister.is_finished

    def step(self, desk: Desk, now_ns: int) -> None:
        self._insister.step(desk)


TRADER = RuleBreaker

"""Lets several traders have the desk one after the other: the misbehaving day of the demo."""

from collections.abc import Sequence
from typing import ClassVar

import msgspec

from risk_manager.simulator.desk import Desk, Trader
from risk_manager.simulator.traders._insister import InsisterSettings
from risk_manager.simulator.traders.disciplined import Disciplined, DisciplinedSettings
from risk_manager.simulator.traders.doubler import Doubler, DoublerSettings
from risk_manager.simulator.traders.lockout_fighter import LockoutFighter
from risk_manager.simulator.traders.oversizer import Oversizer, OversizerSettings
from risk_manager.simulator.traders.rule_breaker import RuleBreaker


class Stage(msgspec.Struct, frozen=True):
    """A trader's turn: until it is finished, and at most so many market steps."""

    trader: Trader
    most_steps: int


class Script:
    """Runs stages in order. Between two of them it leaves every position and waits, so that none inherits anything.

    Attributes:
        stage: name of the trader whose turn it is; None after the last.
    """

    name: ClassVar[str] = "script"

    def __init__(self, stages: Sequence[Stage], *, pause_steps: int = 10) -> None:
        self._stages = tuple(stages)
        self._pause_steps = pause_steps
        self._index = 0
        self._lived_steps = 0
        self._is_over = False
        self._wait_steps = 0

    @property
    def stage(self) -> str | None:
        return None if self.is_finished else self._stages[self._index].trader.name

    @property
    def is_finished(self) -> bool:
        return self._index >= len(self._stages)

    def step(self, desk: Desk, now_ns: int) -> None:
        if self._wait_steps > 0:
            self._wait_steps -= 1
            return
        if self._is_over:
            self._tidy(desk)
            return
        stage = self._stages[self._index]
        self._lived_steps += 1
        stage.trader.step(desk, now_ns)
        self._is_over = stage.trader.is_finished or self._lived_steps >= stage.most_steps

    def _tidy(self, desk: Desk) -> None:
        for contract_id in desk.nets():
            desk.leave(contract_id)
        if not desk.nets():
            self._index += 1
            self._lived_steps, self._is_over = 0, False
            self._wait_steps = self._pause_steps


class DayPlan(msgspec.Struct, frozen=True):
    """What the misbehaving day should break, and how long each part may take.

    Attributes:
        contract_ids: what may be traded; one is enough.   blocked_ids: contracts of blocked products; may be empty.
        most_per_contract, most_contracts: the limits the oversizer exceeds.
        daily_loss_micros: the loss after which the doubler has done its part, > 0.
        doubler_size: what the doubler doubles up to; at most the per-contract limit, or it breaks that as well.
    """

    contract_ids: tuple[str, ...]
    blocked_ids: tuple[str, ...]
    most_per_contract: int
    most_contracts: int
    daily_loss_micros: int
    doubler_size: int
    calm_steps: int = 120
    oversizer_steps: int = 400
    breaker_steps: int = 250
    doubler_steps: int = 4_000
    fighter_steps: int = 300


def misbehaving_day(plan: DayPlan, *, seed: int) -> Script:
    """Calm trading, too much size, a blocked product, losses that are doubled, and the fight against the lockout."""
    size = OversizerSettings(
        contract_ids=plan.contract_ids, single_size=plan.most_per_contract + 1, total_size=plan.most_contracts + 1
    )
    blocked = InsisterSettings(contract_ids=plan.blocked_ids, attempts=4)
    losses = DoublerSettings(
        contract_ids=plan.contract_ids,
        most_contracts=plan.doubler_size,
        stop_at_loss_micros=plan.daily_loss_micros,
    )
    fight = InsisterSettings(contract_ids=plan.contract_ids)
    stages = [
        Stage(Disciplined(DisciplinedSettings(contract_ids=plan.contract_ids), seed=seed), plan.calm_steps),
        Stage(Oversizer(size, seed=seed), plan.oversizer_steps),
        Stage(RuleBreaker(blocked, seed=seed), plan.breaker_steps),
        Stage(Doubler(losses, seed=seed), plan.doubler_steps),
        Stage(LockoutFighter(fight, seed=seed), plan.fighter_steps),
    ]
    return Script([stage for stage in stages if plan.blocked_ids or stage.trader.name != RuleBreaker.name])

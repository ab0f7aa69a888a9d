"""A trailing stop that gets tighter the more the position has gained.

`steps` are pairs of a profit and a distance, both in ticks: the highest step the best profit so far has reached decides
how far behind the best price the stop is. It never moves back.

Example: `steps: [(20, 15), (40, 10), (80, 5)]`. Long at 100, best price 145: the profit of 45 is past the second step,
so the stop is at 135; at 180 it moves to 175.
"""

from typing import ClassVar

import msgspec

from risk_manager.exits._base import ExitEvent, Held, Levels, Marked, StopState, Trail, View


class ProfitStep(msgspec.Struct, frozen=True, gc=False):
    """From this profit on, this distance."""

    profit_ticks: int
    distance_ticks: int


class ScheduleState(msgspec.Struct, frozen=True, gc=False):
    """The best price so far (None: no mark yet) and the stop behind it."""

    best_ticks: int | None = None
    stop: StopState = StopState()


class ProfitSchedule(msgspec.Struct, frozen=True, kw_only=True, tag="profit_schedule"):
    """Settings; see the module's text."""

    name: ClassVar[str] = "profit_schedule"

    steps: tuple[ProfitStep, ...]

    def __post_init__(self) -> None:
        profits = [step.profit_ticks for step in self.steps]
        if not profits or profits != sorted(set(profits)) or profits[0] < 0:
            raise ValueError("steps must rise in profit_ticks, from 0 on")
        distances = [step.distance_ticks for step in self.steps]
        if distances != sorted(distances, reverse=True) or distances[-1] <= 0:
            raise ValueError("distance_ticks must not grow with the profit, and be above 0")

    def initial_state(self, position: Held) -> ScheduleState:
        return ScheduleState()

    def step(self, state: ScheduleState, event: ExitEvent, position: Held) -> ScheduleState:
        if not isinstance(event, Marked):
            return state
        sign = position.sign
        seen = event.best_ticks(sign)
        best = seen if state.best_ticks is None or sign * (seen - state.best_ticks) > 0 else state.best_ticks
        reached = [step for step in self.steps if position.has_profit(best, step.profit_ticks)]
        wanted = best - sign * reached[-1].distance_ticks if reached else None
        stop = state.stop.moved(wanted, event.at_ns, sign)
        return state if best == state.best_ticks and stop is state.stop else ScheduleState(best, stop)

    def levels(self, state: ScheduleState, position: Held, view: View) -> Levels:
        trails = tuple(
            Trail(self.name, position.stop_ticks(step.profit_ticks), step.distance_ticks) for step in self.steps
        )
        return Levels(stop=state.stop.level(self.name), ratchets=trails)

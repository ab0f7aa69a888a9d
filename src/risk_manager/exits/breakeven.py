"""Move the stop to the entry once the position has been in profit.

When closing would gain `trigger_ticks` (at the extreme of a bar too), the stop is set `offset_ticks` in profit of the
average entry. It stays there: a later worse average does not loosen it.
"""

from typing import ClassVar

import msgspec
from msgspec.structs import replace

from risk_manager.exits._base import ExitEvent, Held, Levels, Marked, MoveOnce, StopState, View


class BreakevenState(msgspec.Struct, frozen=True, gc=False):
    """Whether the profit was seen, and the stop it led to."""

    is_reached: bool = False
    stop: StopState = StopState()


class Breakeven(msgspec.Struct, frozen=True, kw_only=True, tag="breakeven"):
    """Settings; see the module's text."""

    name: ClassVar[str] = "breakeven"

    trigger_ticks: int
    offset_ticks: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.offset_ticks < self.trigger_ticks:
            raise ValueError("offset_ticks must be at least 0 and below trigger_ticks")

    def initial_state(self, position: Held) -> BreakevenState:
        return BreakevenState()

    def step(self, state: BreakevenState, event: ExitEvent, position: Held) -> BreakevenState:
        if not state.is_reached:
            if not isinstance(event, Marked):
                return state
            if not position.has_profit(event.best_ticks(position.sign), self.trigger_ticks):
                return state
            state = BreakevenState(is_reached=True)
        stop = state.stop.moved(position.stop_ticks(self.offset_ticks), event.at_ns, position.sign)
        return state if stop is state.stop else replace(state, stop=stop)

    def levels(self, state: BreakevenState, position: Held, view: View) -> Levels:
        if state.is_reached:
            return Levels(stop=state.stop.level(self.name))
        at_ticks = position.stop_ticks(self.trigger_ticks)
        move = MoveOnce(self.name, at_ticks, position.stop_ticks(self.offset_ticks))
        return Levels(ratchets=(move,))

    def wake_ticks(self, state: BreakevenState, position: Held) -> int | None:
        """The price from which on a mark would change the state; None if none would."""
        return None if state.is_reached else position.stop_ticks(self.trigger_ticks)

"""Close a position that has been held for `after_ns`, whatever it is worth; adding to it does not renew the time.

With `unless_profit_ticks` it stays if closing would gain that much at the deadline; a time later it is asked again with
every mark, so that it goes as soon as the profit is gone.
"""

from typing import ClassVar

import msgspec

from risk_manager.exits._base import Deadline, ExitEvent, Held, Levels, Marked, View


class TimeState(msgspec.Struct, frozen=True, gc=False):
    """Whether the last mark showed the profit that lets the position stay."""

    is_profitable: bool = False


class TimeExit(msgspec.Struct, frozen=True, kw_only=True, tag="time_exit"):
    """Settings; see the module's text."""

    name: ClassVar[str] = "time_exit"

    after_ns: int
    unless_profit_ticks: int | None = None

    def __post_init__(self) -> None:
        if self.after_ns <= 0:
            raise ValueError("after_ns must be above 0")

    def initial_state(self, position: Held) -> TimeState:
        return TimeState()

    def step(self, state: TimeState, event: ExitEvent, position: Held) -> TimeState:
        if self.unless_profit_ticks is None or not isinstance(event, Marked):
            return state
        is_profitable = position.has_profit(event.close_ticks, self.unless_profit_ticks)
        return state if is_profitable == state.is_profitable else TimeState(is_profitable)

    def levels(self, state: TimeState, position: Held, view: View) -> Levels:
        if state.is_profitable:
            return Levels()
        return Levels(deadline=Deadline(position.opened_ns + self.after_ns, self.name))

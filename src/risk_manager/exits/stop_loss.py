"""Close at a fixed distance from the average entry price.

The distance is ticks or a part of the entry price. When the average changes because something was added, the stop
follows only if that makes it tighter; with `may_loosen` it follows either way.
"""

from typing import ClassVar

import msgspec

from risk_manager.exits._base import Distance, ExitEvent, Held, Levels, StopState, View


class StopLoss(msgspec.Struct, frozen=True, kw_only=True, tag="stop_loss"):
    """Settings; see the module's text."""

    name: ClassVar[str] = "stop_loss"

    distance: Distance
    may_loosen: bool = False

    def __post_init__(self) -> None:
        if self.distance.atr_percent is not None:
            raise ValueError("a stop at a multiple of the average true range is a volatility_stop")

    def initial_state(self, position: Held) -> StopState:
        return StopState(self._wanted_ticks(position), position.changed_ns)

    def step(self, state: StopState, event: ExitEvent, position: Held) -> StopState:
        return state.moved(self._wanted_ticks(position), event.at_ns, position.sign, may_loosen=self.may_loosen)

    def levels(self, state: StopState, position: Held, view: View) -> Levels:
        return Levels(stop=state.level(self.name))

    def _wanted_ticks(self, position: Held) -> int:
        distance = self.distance.ticks_from(position.entry_ticks(), {})
        assert distance is not None, self
        return position.stop_ticks(-distance)

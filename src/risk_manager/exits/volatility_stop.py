"""Close at a multiple of the average true range below the average entry (above it for a short).

`atr_percent: 250` is two and a half times. `use_entry_atr` (default true) takes the first reading after the opening and
keeps it; false follows the present one, but never back unless `may_loosen` is set. Until there is a reading, and while
there is none, `on_missing` decides; a stop already set stays.
"""

from typing import ClassVar

import msgspec

from risk_manager.domain.finding import Skipped
from risk_manager.exits._base import (
    ATR,
    Deadline,
    Distance,
    ExitEvent,
    Held,
    Levels,
    Marked,
    OnMissing,
    StopState,
    View,
)


class VolatilityState(msgspec.Struct, frozen=True, gc=False):
    """The distance in force (None: no reading yet) and the stop it led to."""

    distance_ticks: int | None = None
    stop: StopState = StopState()


class VolatilityStop(msgspec.Struct, frozen=True, kw_only=True, tag="volatility_stop"):
    """Settings; see the module's text."""

    name: ClassVar[str] = "volatility_stop"

    atr_percent: int
    use_entry_atr: bool = True
    may_loosen: bool = False
    on_missing: OnMissing = OnMissing.ALERT

    def __post_init__(self) -> None:
        if self.atr_percent <= 0:
            raise ValueError("atr_percent must be above 0")

    def initial_state(self, position: Held) -> VolatilityState:
        return VolatilityState()

    def step(self, state: VolatilityState, event: ExitEvent, position: Held) -> VolatilityState:
        distance = state.distance_ticks
        if isinstance(event, Marked) and (distance is None or not self.use_entry_atr):
            present = Distance(atr_percent=self.atr_percent).ticks_from(event.close_ticks, event.features)
            distance = present if present is not None else distance
        if distance is None:
            return state
        wanted = position.stop_ticks(-distance)
        stop = state.stop.moved(wanted, event.at_ns, position.sign, may_loosen=self.may_loosen)
        is_same = distance == state.distance_ticks and stop is state.stop
        return state if is_same else VolatilityState(distance, stop)

    def levels(self, state: VolatilityState, position: Held, view: View) -> Levels:
        stop = state.stop.level(self.name)
        needs_reading = stop is None or not self.use_entry_atr
        if not needs_reading or view.features.get(ATR, 0) > 0 or self.on_missing is OnMissing.HOLD:
            return Levels(stop=stop)
        deadline = Deadline(view.now_ns, self.name) if self.on_missing is OnMissing.EXIT else None
        return Levels(stop=stop, deadline=deadline, skipped=(Skipped(self.name, f"missing {ATR}"),))

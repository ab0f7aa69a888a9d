"""Follow the best price at a distance, never back.

Once the position has gained `activation_ticks`, the stop is kept at the distance behind the best price since the
opening: ticks, a part of that price, or a multiple of the average true range. It moves in steps of at least
`min_step_ticks`. `source` is `extreme` (a bar's high or low counts) or `close` (only its close does). With an average
true range that grows, the stop stays where it is unless `may_loosen` is set; while it is missing, `on_missing` decides.
"""

from enum import StrEnum
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
    Trail,
    View,
)


class Source(StrEnum):
    EXTREME = "extreme"
    CLOSE = "close"


class TrailState(msgspec.Struct, frozen=True, gc=False):
    """The best price so far (None: no mark yet) and the stop behind it."""

    best_ticks: int | None = None
    stop: StopState = StopState()


class TrailingStop(msgspec.Struct, frozen=True, kw_only=True, tag="trailing_stop"):
    """Settings; see the module's text."""

    name: ClassVar[str] = "trailing_stop"

    distance: Distance
    activation_ticks: int = 0
    min_step_ticks: int = 1
    source: Source = Source.EXTREME
    may_loosen: bool = False
    on_missing: OnMissing = OnMissing.ALERT

    def __post_init__(self) -> None:
        if self.activation_ticks < 0 or self.min_step_ticks < 1:
            raise ValueError("activation_ticks must be at least 0 and min_step_ticks at least 1")

    def initial_state(self, position: Held) -> TrailState:
        return TrailState()

    def step(self, state: TrailState, event: ExitEvent, position: Held) -> TrailState:
        if not isinstance(event, Marked):
            return state
        sign = position.sign
        seen = event.close_ticks if self.source is Source.CLOSE else event.best_ticks(sign)
        best = seen if state.best_ticks is None or sign * (seen - state.best_ticks) > 0 else state.best_ticks
        wanted = self._wanted_ticks(best, event, position)
        stop = (
            state.stop
            if self._is_too_small_a_step(wanted, state.stop, sign)
            else state.stop.moved(wanted, event.at_ns, sign, may_loosen=self.may_loosen)
        )
        return state if best == state.best_ticks and stop is state.stop else TrailState(best, stop)

    def levels(self, state: TrailState, position: Held, view: View) -> Levels:
        base = position.entry_ticks() if state.best_ticks is None else state.best_ticks
        distance = self.distance.ticks_from(base, view.features)
        stop = state.stop.level(self.name)
        if distance is None:
            skipped = () if self.on_missing is OnMissing.HOLD else (Skipped(self.name, f"missing {ATR}"),)
            deadline = Deadline(view.now_ns, self.name) if self.on_missing is OnMissing.EXIT else None
            return Levels(stop=stop, deadline=deadline, skipped=skipped)
        trail = Trail(self.name, position.stop_ticks(self.activation_ticks), distance, self.min_step_ticks)
        return Levels(stop=stop, ratchets=(trail,))

    def wake_ticks(self, state: TrailState, position: Held) -> int | None:
        """The price from which on a mark would move the stop, for a distance in ticks; None if any mark might."""
        if self.distance.ticks is None:
            return None
        active = position.stop_ticks(self.activation_ticks)
        if state.stop.stop_ticks is None:
            return active
        return state.stop.stop_ticks + position.sign * (self.distance.ticks + self.min_step_ticks)

    def _wanted_ticks(self, best: int, event: Marked, position: Held) -> int | None:
        """Where the stop belongs; None while it is not active or cannot be told."""
        if not position.has_profit(best, self.activation_ticks):
            return None
        distance = self.distance.ticks_from(best, event.features)
        return None if distance is None else best - position.sign * distance

    def _is_too_small_a_step(self, wanted: int | None, stop: StopState, sign: int) -> bool:
        if wanted is None or stop.stop_ticks is None:
            return False
        return 0 < sign * (wanted - stop.stop_ticks) < self.min_step_ticks

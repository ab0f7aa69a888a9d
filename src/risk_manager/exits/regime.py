"""Distances that depend on the market's regime.

`feature` is the measure that tells the regime, `bands` say from which value on which distances hold, lowest first;
below the first band nothing does. A new regime counts once `confirm_marks` marks in a row show it. The stop is at
`stop_ticks` in loss of the average entry, or `trail_ticks` behind the best price since the opening where that is
tighter; a calmer or wilder regime never loosens it unless `may_loosen` is set. The target is at `target_ticks` in
profit.
"""

from typing import ClassVar

import msgspec

from risk_manager.domain.finding import Skipped
from risk_manager.exits._base import (
    Deadline,
    ExitEvent,
    Held,
    Levels,
    Marked,
    OnMissing,
    StopState,
    Target,
    View,
    is_tighter,
)


class Band(msgspec.Struct, frozen=True, kw_only=True):
    """The distances from a value of the measure on; None leaves that level out."""

    from_value: int
    stop_ticks: int | None = None
    trail_ticks: int | None = None
    target_ticks: int | None = None


class RegimeState(msgspec.Struct, frozen=True, gc=False):
    """The band in force and the one that is seen (-1: none), for how many marks, the best price and the stop."""

    band: int = -1
    seen: int = -1
    marks: int = 0
    best_ticks: int | None = None
    stop: StopState = StopState()
    target_ns: int = 0


class Regime(msgspec.Struct, frozen=True, kw_only=True, tag="regime"):
    """Settings; see the module's text."""

    name: ClassVar[str] = "regime"

    feature: str
    bands: tuple[Band, ...]
    confirm_marks: int = 1
    may_loosen: bool = False
    on_missing: OnMissing = OnMissing.ALERT

    def __post_init__(self) -> None:
        values = [band.from_value for band in self.bands]
        if not values or values != sorted(set(values)):
            raise ValueError("bands must rise in from_value")
        distances = [one for band in self.bands for one in (band.stop_ticks, band.trail_ticks, band.target_ticks)]
        if any(one is not None and one <= 0 for one in distances) or self.confirm_marks < 1:
            raise ValueError("distances must be above 0 and confirm_marks at least 1")

    def initial_state(self, position: Held) -> RegimeState:
        return RegimeState()

    def step(self, state: RegimeState, event: ExitEvent, position: Held) -> RegimeState:
        after = self._marked(state, event, position) if isinstance(event, Marked) else state
        if after.band >= 0:
            wanted = self._wanted_ticks(after, position)
            stop = after.stop.moved(wanted, event.at_ns, position.sign, may_loosen=self.may_loosen)
            after = msgspec.structs.replace(after, stop=stop)
        return state if after == state else after

    def levels(self, state: RegimeState, position: Held, view: View) -> Levels:
        target = self.bands[state.band].target_ticks if state.band >= 0 else None
        armed_ns = max(state.target_ns, position.changed_ns)
        targets = () if target is None else (Target(position.target_ticks(target), armed_ns, self.name),)
        stop = state.stop.level(self.name)
        if self.feature in view.features or self.on_missing is OnMissing.HOLD:
            return Levels(stop=stop, targets=targets)
        skipped = (Skipped(self.name, f"missing {self.feature}"),)
        deadline = Deadline(view.now_ns, self.name) if self.on_missing is OnMissing.EXIT else None
        return Levels(stop=stop, targets=targets, deadline=deadline, skipped=skipped)

    def _marked(self, state: RegimeState, mark: Marked, position: Held) -> RegimeState:
        """The state with the best price, and the regime the mark shows, counted."""
        price = mark.best_ticks(position.sign)
        best = price if state.best_ticks is None else max(state.best_ticks, price, key=lambda one: position.sign * one)
        value = mark.features.get(self.feature)
        if value is None:
            return msgspec.structs.replace(state, best_ticks=best)
        seen = sum(1 for band in self.bands if value >= band.from_value) - 1
        marks = min(state.marks + 1, self.confirm_marks) if seen == state.seen else 1
        band, target_ns = state.band, state.target_ns
        if marks >= self.confirm_marks and seen != band:
            band, target_ns = seen, mark.at_ns
        return RegimeState(band, seen, marks, best, state.stop, target_ns)

    def _wanted_ticks(self, state: RegimeState, position: Held) -> int | None:
        """The tighter of the fixed and the following stop of the band in force."""
        band = self.bands[state.band]
        fixed = None if band.stop_ticks is None else position.stop_ticks(-band.stop_ticks)
        if band.trail_ticks is None or state.best_ticks is None:
            return fixed
        trailed = state.best_ticks - position.sign * band.trail_ticks
        return trailed if fixed is None or is_tighter(trailed, fixed, position.sign) else fixed

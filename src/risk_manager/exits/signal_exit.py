"""Close when a number says so: a signal of a strategy, a score, an indicator.

A long is closed when the measure `feature` is at or below `-threshold`, a short when it is at or above `threshold`: the
signal's sign is the side it favors. A missing number says nothing, and `on_missing` decides.
"""

from typing import ClassVar

import msgspec

from risk_manager.domain.finding import Skipped
from risk_manager.exits._base import Deadline, ExitEvent, Held, Levels, Marked, OnMissing, View


class SignalState(msgspec.Struct, frozen=True, gc=False):
    """When the signal came; None if it has not."""

    at_ns: int | None = None


class SignalExit(msgspec.Struct, frozen=True, kw_only=True, tag="signal_exit"):
    """Settings; see the module's text."""

    name: ClassVar[str] = "signal_exit"

    feature: str
    threshold: int
    on_missing: OnMissing = OnMissing.ALERT

    def __post_init__(self) -> None:
        if self.threshold <= 0:
            raise ValueError("threshold must be above 0")

    def initial_state(self, position: Held) -> SignalState:
        return SignalState()

    def step(self, state: SignalState, event: ExitEvent, position: Held) -> SignalState:
        if state.at_ns is not None or not isinstance(event, Marked):
            return state
        value = event.features.get(self.feature)
        if value is None or -position.sign * value < self.threshold:
            return state
        return SignalState(event.at_ns)

    def levels(self, state: SignalState, position: Held, view: View) -> Levels:
        if state.at_ns is not None:
            # Known with that mark, so acted on after it (a decision never fills at the price it was made of).
            return Levels(deadline=Deadline(state.at_ns + 1, self.name))
        if self.feature in view.features or self.on_missing is OnMissing.HOLD:
            return Levels()
        skipped = (Skipped(self.name, f"missing {self.feature}"),)
        deadline = Deadline(view.now_ns, self.name) if self.on_missing is OnMissing.EXIT else None
        return Levels(deadline=deadline, skipped=skipped)

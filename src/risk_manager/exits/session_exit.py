"""Close a position `before_end_ns` before the session ends.

When the session ends is the host's knowledge; while nobody knows it, `on_missing` decides.
"""

from typing import ClassVar

import msgspec

from risk_manager.domain.finding import Skipped
from risk_manager.exits._base import Deadline, ExitEvent, Held, Levels, OnMissing, View


class SessionExit(msgspec.Struct, frozen=True, kw_only=True, tag="session_exit"):
    """Settings; see the module's text."""

    name: ClassVar[str] = "session_exit"

    before_end_ns: int = 0
    on_missing: OnMissing = OnMissing.ALERT

    def __post_init__(self) -> None:
        if self.before_end_ns < 0:
            raise ValueError("before_end_ns must be at least 0")

    def initial_state(self, position: Held) -> None:
        return None

    def step(self, state: None, event: ExitEvent, position: Held) -> None:
        return None

    def levels(self, state: None, position: Held, view: View) -> Levels:
        if view.session_end_ns is not None:
            return Levels(deadline=Deadline(view.session_end_ns - self.before_end_ns, self.name))
        match self.on_missing:
            case OnMissing.HOLD:
                return Levels()
            case OnMissing.ALERT:
                return Levels(skipped=(Skipped(self.name, "missing session_end"),))
            case OnMissing.EXIT:
                skipped = (Skipped(self.name, "missing session_end"),)
                return Levels(deadline=Deadline(view.now_ns, self.name), skipped=skipped)

"""The venue's call budget: a sliding window per user and kind of call."""

from collections import deque
from typing import Annotated

import msgspec


class Window(msgspec.Struct, frozen=True):
    """A budget of calls.

    Attributes:
        calls: how many calls a user may make.
        seconds: in any stretch of so many seconds.
    """

    calls: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]
    seconds: Annotated[float, msgspec.Meta(gt=0, le=86_400)]


class SlidingWindow:
    """Counts calls; refused calls do not count."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._taken: deque[float] = deque(maxlen=window.calls)

    def take(self, now_s: float) -> bool:
        """Whether one more call fits at `now_s` (any steady clock); if so it is counted."""
        while self._taken and self._taken[0] <= now_s - self._window.seconds:
            self._taken.popleft()
        if len(self._taken) >= self._window.calls:
            return False
        self._taken.append(now_s)
        return True


class CallBudget:
    """Every user's windows: one for bars, one for everything else."""

    def __init__(self, general: Window, bars: Window) -> None:
        self._general = general
        self._bars = bars
        self._windows: dict[tuple[str, bool], SlidingWindow] = {}

    def take(self, user: str, now_s: float, *, is_bars: bool) -> bool:
        """Whether `user` may call now; if so the call is counted."""
        key = (user, is_bars)
        window = self._windows.get(key)
        if window is None:
            window = self._windows[key] = SlidingWindow(self._bars if is_bars else self._general)
        return window.take(now_s)

"""Our share of the venue's call budget: 200 calls in 60 s for everything, 50 in 30 s for bars.

How the venue measures its window is not documented, so ours is a sliding one, 5 % longer, and counts a call from the
moment it is granted. Pure: time comes in as an argument and waits go out as a number.
"""

from collections import deque
from enum import Enum

_SECOND_NS = 1_000_000_000
_MARGIN_PERCENT = 105


class Lane(Enum):
    """What a call is for. Everything but READ and BARS is enforcement, or a login it depends on."""

    READ = "read"
    BARS = "bars"
    AUTH = "auth"
    ORDER = "order"
    CLOSE = "close"


_PACING_NS = {Lane.AUTH: _SECOND_NS, Lane.ORDER: _SECOND_NS, Lane.CLOSE: _SECOND_NS // 4}
"""How often a lane may call although our own count says the window is full: the venue decides then, not our count."""
_PACING_MOST_NS = {Lane.AUTH: 16 * _SECOND_NS, Lane.ORDER: 16 * _SECOND_NS, Lane.CLOSE: _SECOND_NS}
"""The same while the venue's count agrees with ours: what it refuses then only uses up the next window."""


class _Window:
    """The calls of a sliding window."""

    def __init__(self, calls: int, seconds: int) -> None:
        self.calls = calls
        self._length_ns = seconds * _SECOND_NS * _MARGIN_PERCENT // 100
        self._stamps: deque[int] = deque()

    def wait_ns(self, now_ns: int, most: int | None = None) -> int:
        """0 if fewer than `most` (default: all) calls are in the window, else the time until that is so."""
        limit = self.calls if most is None else most
        while self._stamps and self._stamps[0] + self._length_ns <= now_ns:
            self._stamps.popleft()
        surplus = len(self._stamps) - limit
        return 0 if surplus < 0 else self._stamps[surplus] + self._length_ns - now_ns

    def add(self, now_ns: int) -> None:
        self._stamps.append(now_ns)

    def __len__(self) -> int:
        return len(self._stamps)


class CallBudget:
    """Who may call now.

    Reads take at most `read_calls` of the window and never its last `reserve`, and stop while the venue says 429.
    Enforcement uses the whole window; if that is full it waits for the next slot, but no longer than its lane's pacing,
    which doubles with every refusal until there is a slot again.
    """

    def __init__(self, *, calls: int = 200, read_calls: int = 140, reserve: int = 20) -> None:
        self._all = _Window(calls, 60)
        self._reads = _Window(read_calls, 60)
        self._bars = _Window(50, 30)
        self._shared = calls - reserve
        self._reads_resume_ns = 0
        self._beyond_ns = dict.fromkeys(_PACING_NS, 0)
        self._pacing_ns = dict(_PACING_NS)

    def ask(self, lane: Lane, now_ns: int) -> int:
        """0: go, the call is counted. Above 0: nanoseconds to wait before asking again."""
        if lane is Lane.BARS:
            return self._grant(self._bars.wait_ns(now_ns), now_ns, self._bars)
        if lane is Lane.READ:
            waits = (
                self._reads_resume_ns - now_ns,
                self._reads.wait_ns(now_ns),
                self._all.wait_ns(now_ns, self._shared),
            )
            return self._grant(max(0, *waits), now_ns, self._reads, self._all)
        wait = self._all.wait_ns(now_ns)
        if wait == 0:
            self._pacing_ns[lane] = _PACING_NS[lane]
        else:
            wait = max(0, min(wait, self._beyond_ns[lane] + self._pacing_ns[lane] - now_ns))
            if wait == 0:
                self._beyond_ns[lane] = now_ns
        return self._grant(wait, now_ns, self._all)

    def refused(self, lane: Lane) -> None:
        """Note that the venue has refused a call of the lane as one too many."""
        if lane in self._pacing_ns:
            self._pacing_ns[lane] = min(2 * self._pacing_ns[lane], _PACING_MOST_NS[lane])

    def pause_reads(self, until_ns: int) -> None:
        """Let no read through before `until_ns`; an earlier pause is never shortened."""
        self._reads_resume_ns = max(self._reads_resume_ns, until_ns)

    def used(self, now_ns: int) -> int:
        """Calls of any kind but bars in the window now."""
        self._all.wait_ns(now_ns)
        return len(self._all)

    @staticmethod
    def _grant(wait_ns: int, now_ns: int, *windows: _Window) -> int:
        if wait_ns == 0:
            for window in windows:
                window.add(now_ns)
        return wait_ns

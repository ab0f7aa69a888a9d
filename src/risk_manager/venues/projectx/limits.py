"""Our share of the venue's call budget: 200 calls in 60 s for everything, 50 in 30 s for bars.

How the venue measures its window is not documented, so ours is a sliding one, 5 % longer, and counts a call from the
moment it is granted, whatever its answer; only one that certainly never left is taken back. Pure: time comes in as an
argument and waits go out as a number.
"""

from collections import deque
from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

from risk_manager.domain.actions import (
    Action,
    CancelOrder,
    ClosePosition,
    ModifyOrder,
    ReducePosition,
    TakeSnapshot,
)

_SECOND_NS = 1_000_000_000
_MARGIN_PERCENT = 105
_LOOK_EVERY_MS = 2_500
_LOOK_CALLS = 2
"""A look at an account is two calls, for positions and for orders."""
_LOOKS_CALLS = 60_000 // _LOOK_EVERY_MS * _LOOK_CALLS
_RECORDS_EVERY_MS = 30_000
_RECORDS_CALLS = 2
"""What a full snapshot reads besides: the account record and the fills."""
_BEGIN_READS = 12
_BEGIN_ORDERS = 24
"""So many are let through after a start, whatever was called before it: that is only reckoned."""
_OWN_CALLS = _LOOKS_CALLS + 60_000 // _RECORDS_EVERY_MS * _RECORDS_CALLS


class Lane(Enum):
    """What a call is for.

    A LOOK is two calls that are granted together, for positions and orders; a RECORD is one for the account record or
    the fills; ORDER, CLOSE and AUTH are enforcement. CLOSE is also for urgent cancels and
    changes, which are few.
    """

    PING = "ping"
    READ = "read"
    RECORD = "record"
    LOOK = "look"
    BARS = "bars"
    AUTH = "auth"
    ORDER = "order"
    CLOSE = "close"


def lanes_of(action: Action) -> tuple[Lane, ...]:
    """The lanes an action takes."""
    match action:
        case TakeSnapshot(full=True):
            return Lane.LOOK, Lane.RECORD, Lane.RECORD
        case TakeSnapshot():
            return (Lane.LOOK,)
        case ClosePosition() | ReducePosition() | CancelOrder(is_urgent=True) | ModifyOrder(is_urgent=True):
            return (Lane.CLOSE,)
        case _:
            return (Lane.ORDER,)


class _Pacing(NamedTuple):
    """How often a lane may call though our own count says its share is used up: the venue decides then, not our count.

    Attributes:
        usual_ns: at first.   least_ns: while the venue takes such calls.
        most_ns: while it refuses them too: that only uses up the next window.
    """

    usual_ns: int
    least_ns: int
    most_ns: int


_PACING = {
    Lane.AUTH: _Pacing(_SECOND_NS, _SECOND_NS, 16 * _SECOND_NS),
    Lane.CLOSE: _Pacing(_SECOND_NS // 4, _SECOND_NS // 4, _SECOND_NS),
    Lane.ORDER: _Pacing(4 * _SECOND_NS, _SECOND_NS, 8 * _SECOND_NS),
}


class _Window:
    """The calls of a sliding window."""

    def __init__(self, calls: int, length_ms: int) -> None:
        self.calls = calls
        self._length_ns = length_ms * 1_000_000 * _MARGIN_PERCENT // 100
        self._stamps: deque[int] = deque()

    def wait_ns(self, now_ns: int, most: int | None = None) -> int:
        """0 if fewer than `most` (default: all) calls are in the window, else the time until that is so."""
        limit = self.calls if most is None else most
        surplus = self.count(now_ns) - limit
        return 0 if surplus < 0 else self._stamps[surplus] + self._length_ns - now_ns

    def count(self, now_ns: int) -> int:
        """The calls in the window."""
        while self._stamps and self._stamps[0] + self._length_ns <= now_ns:
            self._stamps.popleft()
        return len(self._stamps)

    def add(self, now_ns: int) -> None:
        self._stamps.append(now_ns)

    def remove(self, at_ns: int) -> bool:
        """Take a call back; False if there is none of that instant."""
        if at_ns not in self._stamps:
            return False
        self._stamps.remove(at_ns)
        return True


class CallBudget:
    """Who may call now.

    A part is for looks alone: one in 2.5 s, whatever else goes on, that neither polling nor enforcement can use up, and
    that goes on while the venue says 429. Another is for records: two in 30 s. The rest is shared, and who can wait
    longest stops first: pings when half of `read_calls` are used, reads and further records at all of them, then
    further looks, then orders; at a 429 all but enforcement. What is left is for closes and logins. If a lane of
    enforcement has used up its share it waits for the next slot, but no longer than its pacing, which doubles with
    every refusal and halves when the venue takes one beyond: after a burst the last order that could open a position
    must not work on for a minute. What was refused before that is then no longer counted: the venue does not, or it
    would have had no room.

    Calls of an earlier run, as far as they are known, leave less of what is shared to reads and orders, though never
    nothing. Closes and logins do not wait for them.
    """

    def __init__(self, *, calls: int = 200, read_calls: int = 60) -> None:
        self._settings = calls, read_calls
        self._looks = _Window(_LOOK_CALLS, _LOOK_EVERY_MS)
        self._records = _Window(_RECORDS_CALLS, _RECORDS_EVERY_MS)
        self._rest = _Window(calls - _OWN_CALLS, 60_000)
        self._earlier = _Window(0, 60_000)
        self._bars = _Window(50, 30_000)
        left = self._rest.calls
        self._most = {Lane.PING: read_calls // 2, Lane.READ: read_calls, Lane.LOOK: left - 60, Lane.ORDER: left - 8}
        self._reads_resume_ns = 0
        self._beyond_ns = dict.fromkeys(_PACING, 0)
        self._pacing_ns = {lane: pacing.usual_ns for lane, pacing in _PACING.items()}
        self._beyond: set[Lane] = set()
        self._refused_ns: deque[int] = deque(maxlen=calls)

    def ask(self, lane: Lane, now_ns: int) -> int:
        """0: go, the call (the two of a look) is counted. Above 0: nanoseconds to wait before asking again."""
        match lane:
            case Lane.BARS:
                return _grant(self._bars.wait_ns(now_ns), now_ns, self._bars)
            case Lane.PING | Lane.READ:
                return self._ask_to_read(lane, 1, now_ns)
            case Lane.RECORD:
                wait_ns = max(self._reads_resume_ns - now_ns, self._records.wait_ns(now_ns))
                wait_ns = _grant(max(0, wait_ns), now_ns, self._records)
                return wait_ns and min(wait_ns, self._ask_to_read(Lane.READ, 1, now_ns))
            case Lane.LOOK:
                wait_ns = _grant(self._looks.wait_ns(now_ns, 1), now_ns, *_LOOK_CALLS * (self._looks,))
                return wait_ns and min(wait_ns, self._ask_to_read(lane, _LOOK_CALLS, now_ns))
            case Lane.ORDER:
                most = max(_BEGIN_ORDERS, self._most[lane] - self._earlier.count(now_ns))
                return _grant(self._wait_beyond_ns(lane, most, now_ns), now_ns, self._rest)
            case Lane.AUTH | Lane.CLOSE:
                return _grant(self._wait_beyond_ns(lane, self._rest.calls, now_ns), now_ns, self._rest)

    def recall(self, calls: Iterable[tuple[Lane, int]]) -> None:
        """Take in what an earlier run wanted to call for and when, by our clock: as much as it was let."""
        total, read_calls = self._settings
        before = CallBudget(calls=total, read_calls=read_calls)
        for lane, at_ns in sorted(calls, key=lambda call: call[1]):
            before.ask(lane, at_ns)
        self._earlier = before._rest

    def give_back(self, lane: Lane, at_ns: int) -> None:
        """Take back one call that was granted at `at_ns`: it certainly never left."""
        own = {Lane.BARS: self._bars, Lane.LOOK: self._looks, Lane.RECORD: self._records}.get(lane)
        if (own is None or not own.remove(at_ns)) and lane is not Lane.BARS:
            self._rest.remove(at_ns)
            if lane in self._beyond and self._beyond_ns[lane] == at_ns:
                # Its turn is for the next one.
                self._beyond.remove(lane)
                self._beyond_ns[lane] = 0

    def refused(self, lane: Lane, at_ns: int) -> None:
        """Note that the venue has refused a call of the lane, granted at `at_ns`, as one too many."""
        if lane in self._pacing_ns:
            self._refused_ns.append(at_ns)
            self._pacing_ns[lane] = min(2 * self._pacing_ns[lane], _PACING[lane].most_ns)
        if lane is Lane.CLOSE:
            # Whatever cancels take now is what the next close lacks.
            self._pacing_ns[Lane.ORDER] = _PACING[Lane.ORDER].most_ns

    def taken(self, lane: Lane) -> None:
        """Note that the venue has taken a call of the lane: after one beyond the share, that it has room."""
        if lane in self._beyond:
            self._beyond.remove(lane)
            while self._refused_ns:
                self._rest.remove(self._refused_ns.popleft())
            self._pacing_ns[lane] = max(self._pacing_ns[lane] // 2, _PACING[lane].least_ns)
            if lane is Lane.CLOSE:
                # There is room again, for what a refused close had slowed as well.
                self._pacing_ns[Lane.ORDER] = min(self._pacing_ns[Lane.ORDER], _PACING[Lane.ORDER].usual_ns)

    def pause_reads(self, until_ns: int) -> None:
        """Let no reads but looks through before `until_ns`; an earlier pause is never shortened."""
        self._reads_resume_ns = max(self._reads_resume_ns, until_ns)

    def _ask_to_read(self, lane: Lane, calls: int, now_ns: int) -> int:
        left = max(_BEGIN_READS, self._most[Lane.LOOK] - self._earlier.count(now_ns))
        wait_ns = self._rest.wait_ns(now_ns, min(self._most[lane], left) - calls + 1)
        wait_ns = max(self._reads_resume_ns - now_ns, wait_ns)
        return _grant(max(0, wait_ns), now_ns, *calls * (self._rest,))

    def _wait_beyond_ns(self, lane: Lane, most: int, now_ns: int) -> int:
        wait_ns = self._rest.wait_ns(now_ns, most)
        if wait_ns == 0:
            self._pacing_ns[lane] = _PACING[lane].usual_ns
            self._beyond.discard(lane)
            return 0
        wait_ns = max(0, min(wait_ns, self._beyond_ns[lane] + self._pacing_ns[lane] - now_ns))
        if wait_ns == 0:
            self._beyond_ns[lane] = now_ns
            self._beyond.add(lane)
        return wait_ns


def _grant(wait_ns: int, now_ns: int, *windows: _Window) -> int:
    if wait_ns == 0:
        for window in windows:
            window.add(now_ns)
    return wait_ns

"""What the venue has promised to do later, on its own time."""

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

NEVER_NS = 2**63 - 1

Act = Callable[[int], None]


class Agenda:
    """Acts by the instant they are due; those of one instant run in the order they were added.

    Attributes:
        next_ns: when the first is due, `NEVER_NS` when nothing is.
        target_ns: the instant time is on its way to while acts run.
    """

    __slots__ = ("_due", "_numbers", "next_ns", "target_ns")

    def __init__(self) -> None:
        self._due: list[tuple[int, int, Act]] = []
        self._numbers = count()
        self.next_ns = NEVER_NS
        self.target_ns = 0

    def add(self, at_ns: int, act: Act) -> None:
        """Have `act` called with its instant once that is reached."""
        heappush(self._due, (at_ns, next(self._numbers), act))
        self.next_ns = self._due[0][0]

    def take(self) -> tuple[int, Act]:
        """The first act with its instant; it is off the agenda. There must be one."""
        at_ns, _, act = heappop(self._due)
        self.next_ns = self._due[0][0] if self._due else NEVER_NS
        return at_ns, act

"""A bad line: some events of a hub are lost, some come twice, some or all come late.

Chance comes from a seed, so that a run repeats.
"""

import random

import msgspec


class BadLine(msgspec.Struct, frozen=True, kw_only=True):
    """How bad a hub's line is; the shares are of all events, from 0 to 1.

    Attributes:
        lost, doubled, late: shares of events; what is doubled may also be late, copy by copy.
        late_s: the longest delay of a late copy. Other copies overtake it.
        behind_s: how much later everything comes, in its order.
    """

    lost: float = 0.0
    doubled: float = 0.0
    late: float = 0.0
    late_s: float = 0.0
    behind_s: float = 0.0


class Distortion:
    """Decides for one event after another what becomes of it.

    Attributes:
        line: may be changed; chance goes on where it was.
    """

    def __init__(self, line: BadLine, seed: int) -> None:
        self.line = line
        self._random = random.Random(seed)

    def copies_s(self) -> tuple[float, ...]:
        """After how many seconds each copy of the next event is sent; empty when it is lost."""
        # Always the same number of draws for an event, so that changing one share does not change the others' choices.
        is_lost, is_doubled = self._happens(self.line.lost), self._happens(self.line.doubled)
        first_s, second_s = self._delay_s(), self._delay_s()
        if is_lost:
            return ()
        return (first_s, second_s) if is_doubled else (first_s,)

    def _happens(self, share: float) -> bool:
        return self._random.random() < share

    def _delay_s(self) -> float:
        is_late, delay_s = self._happens(self.line.late), self._random.random() * self.line.late_s
        return delay_s if is_late else 0.0

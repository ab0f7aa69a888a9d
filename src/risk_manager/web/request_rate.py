"""How many requests may come in a second."""

from collections.abc import Callable


class RequestRate:
    """Lets so many requests through in a second, all clients together; after a pause as many at once."""

    def __init__(self, most_per_s: int, now_s: Callable[[], float]) -> None:
        self._most_per_s = most_per_s
        self._now_s = now_s
        self._left = float(most_per_s)
        self._counted_s = now_s()

    def lets_through(self) -> bool:
        """Whether one more may be answered now; it is counted if so."""
        now_s = self._now_s()
        self._left = min(self._most_per_s, self._left + (now_s - self._counted_s) * self._most_per_s)
        self._counted_s = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True

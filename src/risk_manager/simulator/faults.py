"""Faults a test can order from the simulated gateway: what goes wrong next, as plain values."""

from collections import defaultdict, deque

import msgspec


class Failure(msgspec.Struct, frozen=True):
    """How one call fails.

    Attributes:
        status: HTTP status of the reply, body empty; None cuts the connection without a reply.
        is_executed: the request is carried out before it fails, so that the caller cannot know.
    """

    status: int | None = None
    is_executed: bool = False


class Faults:
    """The faults waiting to happen. Paths are given as `Order/place` or `/hubs/user`, in any case."""

    def __init__(self) -> None:
        self._queued: defaultdict[str, deque[Failure]] = defaultdict(deque)

    def fail_next(self, path: str, failure: Failure, count: int = 1) -> None:
        """Let the next `count` calls of `path` fail, after those already ordered."""
        self._queued[_key(path)].extend([failure] * count)

    def take(self, path: str) -> Failure | None:
        """The failure of a call happening now, None when it may succeed; it is used up."""
        waiting = self._queued.get(_key(path))
        return waiting.popleft() if waiting else None

    def clear(self) -> None:
        """Let everything succeed again."""
        self._queued.clear()


def _key(path: str) -> str:
    return path.lower().strip("/").removeprefix("api/")

"""Faults a test can order from the simulated gateway: what goes wrong next, as plain values."""

from collections import defaultdict, deque

import msgspec

EVERY_CALL = "*"
"""In place of a path: any call of the REST API."""


class Failure(msgspec.Struct, frozen=True):
    """How one call fails.

    Attributes:
        status: HTTP status of the reply; None cuts the connection without a reply.
        is_executed: the request is carried out before it fails, so that the caller cannot know.
        retry_after_s: the header of that name, on a 429 or a 503.
        body: what the reply carries, as the HTML of a proxy that has lost the venue.
    """

    status: int | None = None
    is_executed: bool = False
    retry_after_s: int | None = None
    body: bytes = b""
    content_type: str = "text/html"


class Answer(msgspec.Struct, frozen=True):
    """What the venue itself answers one REST call in place of the truth, with HTTP 200 and its usual envelope.

    The caller must still be let in: without a token it is a 401, over the budget a 429.

    Attributes:
        code: the endpoint's own error code; 0 claims success.
        is_executed: the request is carried out all the same, and for code 0 an answer keeps what it brought.
        drops_payload: lists, tokens and records are null in any case.
        most_rows: a list is cut after so many rows.
    """

    code: int
    message: str | None = None
    is_executed: bool = False
    drops_payload: bool = False
    most_rows: int | None = None


class Faults:
    """The faults waiting to happen. Paths are given as `Order/place`, `/hubs/user` or `EVERY_CALL`, in any case.

    What was ordered for one path comes before what was ordered for all, and what was counted before what lasts.
    """

    def __init__(self) -> None:
        self._queued: defaultdict[str, deque[Failure | Answer]] = defaultdict(deque)
        self._lasting: dict[str, dict[str, Failure | Answer]] = defaultdict(dict)

    def fail_next(self, path: str, failure: Failure | Answer, count: int = 1) -> None:
        """Let the next `count` calls of `path` fail, after those already ordered."""
        self._queued[_key(path)].extend([failure] * count)

    def fail_always(self, path: str, failure: Failure | Answer, name: str = "") -> None:
        """Let all calls of `path` fail until `relent`; of several names the one ordered last counts."""
        self._lasting[_key(path)].pop(name, None)
        self._lasting[_key(path)][name] = failure

    def relent(self, path: str, name: str = "") -> None:
        """End what `fail_always` began under this name."""
        self._lasting[_key(path)].pop(name, None)

    def take(self, path: str) -> Failure | Answer | None:
        """The failure of a call happening now, None when it may succeed; a counted one is used up."""
        key = _key(path)
        keys = (key,) if key.startswith("hubs/") else (key, EVERY_CALL)
        for each in keys:
            if waiting := self._queued.get(each):
                return waiting.popleft()
        for each in keys:
            if lasting := self._lasting.get(each):
                return next(reversed(lasting.values()))
        return None

    def counted(self) -> dict[str, int]:
        """How many calls are still to fail, by path in lower case."""
        return {path: len(waiting) for path, waiting in self._queued.items() if waiting}

    def clear(self) -> None:
        """Let everything succeed again."""
        self._queued.clear()
        self._lasting.clear()


def _key(path: str) -> str:
    return path.lower().strip("/").removeprefix("api/")

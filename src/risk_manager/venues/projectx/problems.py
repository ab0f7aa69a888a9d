"""What was odd about the venue's messages: every case counted, the log spared from storms."""

from collections import Counter
from collections.abc import Callable

import structlog

Report = Callable[[str, str], None]
"""Called with a stable code and a detail that holds no secret."""

_SEEN_MAX = 4096


class Problems:
    """Counters of oddities; each code is reported on its 1st, 2nd, 4th, 8th ... occurrence."""

    def __init__(self, report: Report | None = None) -> None:
        self.counts: Counter[str] = Counter()
        self._report = report if report is not None else _log
        self._seen: set[tuple[str, str]] = set()

    def note(self, code: str, detail: str) -> None:
        """Count one case, and report it when its count is a power of two."""
        self.counts[code] += 1
        count = self.counts[code]
        if count & (count - 1) == 0:
            self._report(code, detail)

    def note_once(self, code: str, key: str) -> None:
        """Count `key` the first time it is met (an unknown member of a record, say), and never again."""
        if (code, key) in self._seen or len(self._seen) >= _SEEN_MAX:
            return
        self._seen.add((code, key))
        self.note(code, key)


def _log(code: str, detail: str) -> None:
    structlog.get_logger(__name__).warning("venue_problem", code=code, detail=detail)

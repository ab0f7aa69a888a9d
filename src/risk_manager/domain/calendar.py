"""When markets trade: the exchange's weekly sessions and what deviates from them, as integers.

The tables come from the data files in `config/calendar`; `config` reads them, the core only looks things up. A date on
which a market usually trades and this time does not, or not all day, appears here as a *closure*.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from itertools import pairwise

import msgspec

from risk_manager.domain.zone import DAY_S, SECOND_NS, UTC, WEEK_S, Zone, monday_of

HORIZON_WEEKS = 30
"""How far ahead an opening is looked for."""

WARNING_NS = 60 * DAY_S * SECOND_NS
"""How long before its data runs out a calendar begins to warn."""


class Window(msgspec.Struct, frozen=True, gc=False):
    """A weekly window on the wall, in seconds from Monday 00:00: start inclusive, end exclusive.

    The end may lie in the next week (`Sunday 17:00` to `Monday 16:00`), but the window is at most a week long.
    """

    start_s: int
    end_s: int

    def __post_init__(self) -> None:
        assert 0 <= self.start_s < WEEK_S, self
        assert self.start_s < self.end_s <= self.start_s + WEEK_S, self


class Week(msgspec.Struct, frozen=True):
    """The windows of a market's week, in the order of their starts, for windows that start on `from_day` or later."""

    from_day: int
    windows: tuple[Window, ...]

    def __post_init__(self) -> None:
        assert in_order(self.windows), self


class Span(msgspec.Struct, frozen=True, gc=False):
    """Whether something is open at an instant, since when, and up to which instant (exclusive) that is certain.

    Attributes:
        since_ns: while open its opening; while closed the instant asked about.
    """

    is_open: bool
    since_ns: int
    until_ns: int


class Market(msgspec.Struct, frozen=True):
    """One product group of an exchange.

    Attributes:
        name: of the group (`cme_equity`).   zone: of its wall clock.
        weeks: its templates, oldest first; each holds until the next one's first day.
        closure_starts_ns, closure_ends_ns: when it does not trade though the template says so; disjoint, increasing.
        known_from_ns, known_until_ns: the time the data covers; outside it usual holidays are taken for closed.
    """

    name: str
    zone: Zone
    weeks: tuple[Week, ...]
    closure_starts_ns: tuple[int, ...]
    closure_ends_ns: tuple[int, ...]
    known_from_ns: int
    known_until_ns: int

    def sessions(self, from_ns: int) -> Iterator[tuple[int, int]]:
        """The sessions (open, close) that end after an instant, up to the horizon; touching ones are not joined."""
        for start_ns, end_ns in self._usual_sessions(from_ns):
            for piece in self.without_closures(start_ns, end_ns):
                if piece[1] > from_ns:
                    yield piece

    def without_closures(self, start_ns: int, end_ns: int) -> Iterator[tuple[int, int]]:
        """What an interval leaves open after the closures are taken out."""
        index = max(bisect_right(self.closure_starts_ns, start_ns) - 1, 0)
        while index < len(self.closure_starts_ns) and self.closure_starts_ns[index] < end_ns:
            closed_ns, reopened_ns = self.closure_starts_ns[index], self.closure_ends_ns[index]
            if start_ns < closed_ns:
                yield start_ns, closed_ns
            start_ns = max(start_ns, reopened_ns)
            index += 1
        if start_ns < end_ns:
            yield start_ns, end_ns

    def is_known(self, at_ns: int) -> bool:
        """Whether the data covers the instant; otherwise the calendar is stale and read strictly."""
        return self.known_from_ns <= at_ns < self.known_until_ns

    def span_at(self, at_ns: int) -> Span:
        """Whether the market trades at an instant."""
        return span_at(self.sessions(at_ns), at_ns)

    def _usual_sessions(self, from_ns: int) -> Iterator[tuple[int, int]]:
        for index, week in enumerate(self.weeks):
            last_day = self.weeks[index + 1].from_day if index + 1 < len(self.weeks) else None
            first_ns = week.from_day * DAY_S * SECOND_NS
            for start_wall_ns, end_wall_ns in windows_from(week.windows, self.zone.wall_ns(from_ns)):
                if last_day is not None and start_wall_ns >= last_day * DAY_S * SECOND_NS:
                    break
                if start_wall_ns >= first_ns or index == 0:
                    yield self.zone.instant_ns(start_wall_ns), self.zone.instant_ns(end_wall_ns)


class Calendar(msgspec.Struct, frozen=True):
    """What rules know about time zones and exchanges.

    Attributes:
        zones: by IANA name.   markets: by group name.
        group_by_root: the group of a product, by its root and aliases in upper case.
    """

    zones: Mapping[str, Zone] = {}
    markets: Mapping[str, Market] = {}
    group_by_root: Mapping[str, str] = {}

    def zone(self, name: str) -> Zone | None:
        """The time zone, None if the calendar does not have it."""
        if name == UTC.name:
            return UTC
        try:
            return self.zones[name]
        except KeyError:
            return None

    def market(self, name: str) -> Market | None:
        """The market of a product root, or the group of that name; None if the calendar does not have it."""
        try:
            return self.markets[self.group_by_root.get(name.upper(), name)]
        except KeyError:
            return None


EMPTY = Calendar()
"""Knows UTC and nothing else."""


def in_order(windows: tuple[Window, ...]) -> bool:
    """Whether windows stand in the order of their starts, as everything that walks over them expects."""
    return all(one.start_s <= other.start_s for one, other in pairwise(windows))


def windows_from(windows: tuple[Window, ...], wall_ns: int) -> Iterator[tuple[int, int]]:
    """The windows (start, end) as wall times, by their starts, up to the horizon.

    Those that end two days before a wall time or earlier are left out: no clock is ever set that far, so they are over
    as instants, too.
    """
    monday = monday_of(wall_ns)
    oldest_s = wall_ns // SECOND_NS - 2 * DAY_S
    for week in range(-1, HORIZON_WEEKS):
        base_s = (monday + 7 * week) * DAY_S
        for window in windows:
            if base_s + window.end_s > oldest_s:
                yield (base_s + window.start_s) * SECOND_NS, (base_s + window.end_s) * SECOND_NS


def joined(intervals: Iterator[tuple[int, int]], from_ns: int) -> Iterator[tuple[int, int]]:
    """The intervals, sorted by their starts, with overlapping and touching ones made one; only those ending later."""
    start_ns = end_ns = from_ns
    for next_start_ns, next_end_ns in intervals:
        if next_end_ns <= end_ns:
            continue
        if next_start_ns > end_ns:
            if end_ns > start_ns:
                yield start_ns, end_ns
            start_ns = next_start_ns
        elif start_ns == end_ns:
            start_ns = min(start_ns, next_start_ns)
        end_ns = next_end_ns
    if end_ns > start_ns:
        yield start_ns, end_ns


def span_at(intervals: Iterator[tuple[int, int]], at_ns: int) -> Span:
    """Whether an instant lies in one of the intervals, which are sorted by their starts."""
    for start_ns, end_ns in joined(intervals, at_ns):
        if start_ns <= at_ns:
            return Span(True, start_ns, end_ns)
        return Span(False, at_ns, start_ns)
    return Span(False, at_ns, at_ns + HORIZON_WEEKS * WEEK_S * SECOND_NS)

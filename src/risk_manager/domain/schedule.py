"""Hours a trader chose: weekly windows on a wall clock, the exchange's holidays taken out."""

from collections.abc import Iterator

import msgspec

from risk_manager.domain.calendar import Calendar, Market, Span, Window, in_order, joined, span_at, windows_from
from risk_manager.domain.zone import DAY_S, SECOND_NS, Zone


class EarlyClose(msgspec.Struct, frozen=True, gc=False):
    """An earlier end on one date: the day (since 1970-01-01) and the second of it, on the schedule's wall clock."""

    day: int
    second: int


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """When something is open. All questions take venue time and the calendar the engine works with.

    Attributes:
        timezone: IANA name of the clock the windows are read on.
        windows: by their starts; none means the exchange's own sessions of the market.
        market: product root or group whose sessions and holidays count where the asker names none.
        holidays: whether times at which the market usually trades but this time does not are closed.
        closed_days: dates (days since 1970-01-01, on the wall clock) that are closed from midnight to midnight.
        early_closes: dates on which a window ends earlier.
    """

    timezone: str = "America/Chicago"
    windows: tuple[Window, ...] = ()
    market: str = "ES"
    holidays: bool = True
    closed_days: tuple[int, ...] = ()
    early_closes: tuple[EarlyClose, ...] = ()

    def __post_init__(self) -> None:
        assert in_order(self.windows), self

    def lacks(self, calendar: Calendar, market: str | None = None) -> str | None:
        """What the calendar is missing to answer, in a few words; None if it has everything.

        A window of one's own needs no market: a product without a calendar simply has no holidays.
        """
        if calendar.zone(self.timezone) is None:
            return f"time zone {self.timezone} unknown"
        if not self.windows and calendar.market(market or self.market) is None:
            return f"no sessions known of {market or self.market}"
        return None

    def is_open(self, at_ns: int, calendar: Calendar, market: str | None = None) -> bool:
        """Whether an instant lies inside: start inclusive, end exclusive.

        Raises:
            LookupError: the calendar lacks something, see `lacks`.
        """
        return self.span_at(at_ns, calendar, market).is_open

    def span_at(self, at_ns: int, calendar: Calendar, market: str | None = None) -> Span:
        """Whether it is open, and until when that stays so; raises as `is_open` does."""
        return span_at(self._pieces(at_ns, calendar, market), at_ns)

    def next_edge_ns(self, at_ns: int, calendar: Calendar, market: str | None = None) -> int:
        """The next instant, later than `at_ns`, at which the answer changes; raises as `is_open` does.

        A schedule that never changes has one far away (`HORIZON_WEEKS`), at which to ask again.
        """
        return self.span_at(at_ns, calendar, market).until_ns

    def next_open_ns(self, at_ns: int, calendar: Calendar, market: str | None = None) -> int | None:
        """The first instant from `at_ns` on that is open; None within the horizon; raises as `is_open` does."""
        for start_ns, _ in joined(self._pieces(at_ns, calendar, market), at_ns):
            return max(start_ns, at_ns)
        return None

    # -- inside -------------------------------------------------------------------------------------------------

    def _pieces(self, from_ns: int, calendar: Calendar, market: str | None) -> Iterator[tuple[int, int]]:
        """Open intervals in the order of their starts; those that end before `from_ns` do no harm."""
        missing = self.lacks(calendar, market)
        if missing is not None:
            raise LookupError(missing)
        zone = calendar.zone(self.timezone)
        assert zone is not None, missing
        place = calendar.market(market or self.market)
        if not self.windows:
            assert place is not None, missing
            intervals = place.sessions(from_ns)
        else:
            intervals = self._own(from_ns, zone, place if self.holidays else None)
        if not (self.closed_days or self.early_closes):
            return intervals
        return (piece for one in intervals for piece in self._shortened(one, zone))

    def _own(self, from_ns: int, zone: Zone, market: Market | None) -> Iterator[tuple[int, int]]:
        """The windows as instants, without the market's closures."""
        for start_wall_ns, end_wall_ns in windows_from(self.windows, zone.wall_ns(from_ns)):
            start_ns, end_ns = zone.instant_ns(start_wall_ns), zone.instant_ns(end_wall_ns)
            if market is None:
                yield start_ns, end_ns
            else:
                yield from market.without_closures(start_ns, end_ns)

    def _shortened(self, interval: tuple[int, int], zone: Zone) -> Iterator[tuple[int, int]]:
        """What the trader's own dates leave of an interval."""
        pieces = [interval]
        for cut_start_ns, cut_end_ns in self._cuts(zone):
            pieces = [part for one in pieces for part in _without(one, cut_start_ns, cut_end_ns)]
        yield from pieces

    def _cuts(self, zone: Zone) -> Iterator[tuple[int, int]]:
        for day in self.closed_days:
            yield _instant_ns(zone, day, 0), _instant_ns(zone, day + 1, 0)
        for early in self.early_closes:
            yield _instant_ns(zone, early.day, early.second), _instant_ns(zone, early.day + 1, 0)


def _instant_ns(zone: Zone, day: int, second: int) -> int:
    return zone.instant_ns((day * DAY_S + second) * SECOND_NS)


def _without(interval: tuple[int, int], cut_start_ns: int, cut_end_ns: int) -> Iterator[tuple[int, int]]:
    """The parts of an interval before and after a cut."""
    start_ns, end_ns = interval
    if start_ns < min(end_ns, cut_start_ns):
        yield start_ns, min(end_ns, cut_start_ns)
    if max(start_ns, cut_end_ns) < end_ns:
        yield max(start_ns, cut_end_ns), end_ns

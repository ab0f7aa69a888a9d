"""The trading day: what every daily number is keyed by."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable

import msgspec


class TradingDay(msgspec.Struct, frozen=True, gc=False):
    """One trading day.

    Attributes:
        label: the session date, ISO (`2026-03-02` opens at 17:00 Chicago on March 1st).
        start_ns: first instant, inclusive.   end_ns: the next day's start, exclusive.
    """

    label: str
    start_ns: int
    end_ns: int


class TradingDays(msgspec.Struct, frozen=True):
    """A table of consecutive trading days, built at the border where time zones are known.

    Attributes:
        starts_ns: strictly increasing start instants; the last one only ends the last day.
        labels: session dates, one shorter than `starts_ns`.
    """

    starts_ns: tuple[int, ...]
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        assert len(self.starts_ns) == len(self.labels) + 1 >= 2, (len(self.starts_ns), len(self.labels))

    def day_of(self, at_ns: int) -> TradingDay:
        """The trading day an instant belongs to; an instant outside the table belongs to its first or last day."""
        index = min(max(bisect_right(self.starts_ns, at_ns) - 1, 0), len(self.labels) - 1)
        return TradingDay(self.labels[index], self.starts_ns[index], self.starts_ns[index + 1])

    def carrying(self, days: Iterable[TradingDay]) -> "TradingDays":
        """These days, but with `days` of another table as they are there; of two that overlap the later ending one.

        Where a carried day ends, the next date's begins, however long before or after it does in this table.
        """
        table = self
        for day in sorted(days, key=lambda each: each.end_ns):
            if table.day_of(day.start_ns) != day:
                table = table._with(day)
        return table

    def _with(self, day: TradingDay) -> "TradingDays":
        before = min(bisect_left(self.starts_ns, day.start_ns), bisect_left(self.labels, day.label))
        # No date has two days: the rest of one is part of the next.
        after = max(bisect_right(self.starts_ns, day.end_ns) - 1, bisect_right(self.labels, day.label))
        return TradingDays(
            (*self.starts_ns[:before], day.start_ns, day.end_ns, *self.starts_ns[after + 1 :]),
            (*self.labels[:before], day.label, *self.labels[after:]),
        )

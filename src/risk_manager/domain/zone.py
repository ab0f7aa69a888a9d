"""A time zone as a table, so that wall clocks can be read by integer arithmetic alone."""

from bisect import bisect_right

import msgspec

SECOND_NS = 1_000_000_000
DAY_S = 86_400
WEEK_S = 7 * DAY_S
_EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday


class Zone(msgspec.Struct, frozen=True):
    """The offsets of one time zone.

    A wall time is counted like an instant, in ns, as if the wall clock showed UTC.

    Attributes:
        name: the IANA name.
        starts_ns: instants from which an offset holds, increasing; the first offset also holds before the first.
        offsets_s: seconds east of UTC, one for each start.
    """

    name: str
    starts_ns: tuple[int, ...]
    offsets_s: tuple[int, ...]

    def __post_init__(self) -> None:
        assert len(self.starts_ns) == len(self.offsets_s) > 0, self.name

    def wall_ns(self, at_ns: int) -> int:
        """What the wall clock shows at an instant."""
        return at_ns + self.offsets_s[max(bisect_right(self.starts_ns, at_ns) - 1, 0)] * SECOND_NS

    def instant_ns(self, wall_ns: int) -> int:
        """The instant at which the wall clock shows a time.

        Of a time that is shown twice the first counts; one that the clocks jump over is moved forward by the jump.
        """
        index = max(bisect_right(self.starts_ns, wall_ns - 2 * DAY_S * SECOND_NS) - 1, 0)
        while True:
            at_ns = wall_ns - self.offsets_s[index] * SECOND_NS
            index += 1
            if index == len(self.starts_ns) or at_ns < self.starts_ns[index]:
                return at_ns
            if wall_ns - self.offsets_s[index] * SECOND_NS < self.starts_ns[index]:
                return at_ns


UTC = Zone("UTC", (0,), (0,))


def day_of_date(text: str) -> int:
    """Days since 1970-01-01 of a date `YYYY-MM-DD`.

    Raises:
        ValueError: there is no such date, or it is written otherwise.
    """
    parts = text.split("-")
    if [len(part) for part in parts] != [4, 2, 2] or not text.isascii() or not "".join(parts).isdigit():
        raise ValueError(f"not a date YYYY-MM-DD: {text!r}")
    year, month, day = (int(part) for part in parts)
    # The civil calendar repeats every 400 years; counted from March a leap day comes last.
    if year >= 1:
        shifted = year - (month <= 2)
        era, year_of_era = divmod(shifted, 400)
        day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
        days = era * 146_097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719_468
        if date_of_day(days) == text:
            return days
    raise ValueError(f"no such date: {text!r}")


def date_of_day(days: int) -> str:
    """The date `YYYY-MM-DD` so many days after 1970-01-01."""
    era, day_of_era = divmod(days + 719_468, 146_097)
    year_of_era = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    from_march = (5 * day_of_year + 2) // 153
    month = (from_march + 2) % 12 + 1
    year = year_of_era + era * 400 + (month <= 2)
    return f"{year:04d}-{month:02d}-{day_of_year - (153 * from_march + 2) // 5 + 1:02d}"


def weekday_of(days: int) -> int:
    """Monday is 0, of a count of days since 1970-01-01."""
    return (days + _EPOCH_WEEKDAY) % 7


def monday_of(wall_ns: int) -> int:
    """Days since 1970-01-01 of the Monday of the week a wall time lies in."""
    days = wall_ns // (DAY_S * SECOND_NS)
    return days - weekday_of(days)

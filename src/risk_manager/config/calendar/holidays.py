"""The usual holidays of American exchanges, for the years no market file covers."""

from collections.abc import Iterator
from datetime import date, timedelta

_MONDAY, _THURSDAY, _SATURDAY, _SUNDAY = 0, 3, 5, 6
_DAY = timedelta(days=1)


def usual_holidays(year: int) -> list[str]:
    """The dates (ISO, in order) on which American exchanges are usually closed or close early."""
    return sorted({day.isoformat() for day in _holidays(year) if day.year == year})


def _holidays(year: int) -> Iterator[date]:
    # New Year's Day of the next year may be observed on this year's last day.
    for fixed in (date(year, 1, 1), date(year + 1, 1, 1), date(year, 6, 19), date(year, 7, 4), date(year, 12, 25)):
        yield _observed(fixed)
    yield _nth(year, 1, _MONDAY, 3)
    yield _nth(year, 2, _MONDAY, 3)
    yield _easter(year) - 2 * _DAY
    yield _nth(year, 6, _MONDAY, 1) - 7 * _DAY
    yield _nth(year, 9, _MONDAY, 1)
    thanksgiving = _nth(year, 11, _THURSDAY, 4)
    yield from (thanksgiving, thanksgiving + _DAY)
    if date(year, 12, 24).weekday() < _SATURDAY:
        yield date(year, 12, 24)


def _observed(day: date) -> date:
    """A holiday on a Saturday is observed the day before, one on a Sunday the day after."""
    return {_SATURDAY: day - _DAY, _SUNDAY: day + _DAY}.get(day.weekday(), day)


def _nth(year: int, month: int, weekday: int, count: int) -> date:
    first = date(year, month, 1)
    return first + ((weekday - first.weekday()) % 7 + 7 * (count - 1)) * _DAY


def _easter(year: int) -> date:
    """Easter Sunday: the Sunday after the first ecclesiastical full moon of spring."""
    golden, century = year % 19, year // 100
    # Days from March 21st to that full moon, corrected for leap centuries and the moon's drift.
    moon = (19 * golden + century - century // 4 - (8 * century + 13) // 25 + 15) % 30
    moon -= (moon + golden // 11) // 29
    full_moon = date(year, 3, 21) + moon * _DAY
    return full_moon + (_SUNDAY - full_moon.weekday() or 7) * _DAY

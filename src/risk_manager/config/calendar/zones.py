"""Tables of time zones, read from the time zone data of the machine."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from risk_manager.config.trading_days import FIRST_YEAR, LAST_YEAR
from risk_manager.domain.zone import SECOND_NS, Zone

_STEP_S = 14 * 86_400
"""No zone changes its clocks twice within two weeks."""


@lru_cache(maxsize=64)
def build_zone(name: str) -> Zone:
    """The offsets of a zone from `FIRST_YEAR` to `LAST_YEAR`.

    Raises:
        zoneinfo.ZoneInfoNotFoundError, ValueError: there is no such zone.
    """
    zone = ZoneInfo(name)
    start_s = _epoch_s(FIRST_YEAR)
    offset_s = _offset_s(start_s, zone)
    starts_ns, offsets_s = [start_s * SECOND_NS], [offset_s]
    for at_s in range(start_s + _STEP_S, _epoch_s(LAST_YEAR + 1), _STEP_S):
        later_s = _offset_s(at_s, zone)
        if later_s != offset_s:
            starts_ns.append(_change_s(at_s - _STEP_S, at_s, zone) * SECOND_NS)
            offsets_s.append(later_s)
            offset_s = later_s
    return Zone(name, tuple(starts_ns), tuple(offsets_s))


def _epoch_s(year: int) -> int:
    return int(datetime(year, 1, 1, tzinfo=UTC).timestamp())


def _offset_s(at_s: int, zone: ZoneInfo) -> int:
    offset = datetime.fromtimestamp(at_s, zone).utcoffset()
    assert offset is not None, zone
    return offset.days * 86_400 + offset.seconds


def _change_s(before_s: int, after_s: int, zone: ZoneInfo) -> int:
    """The first second with the offset of `after_s`, which `before_s` does not have yet."""
    old_s = _offset_s(before_s, zone)
    return before_s + bisect_left(range(before_s, after_s), True, key=lambda at_s: _offset_s(at_s, zone) != old_s)


class ZoneTables(Mapping[str, Zone]):
    """Every zone the machine knows, its table made when first asked for."""

    def __getitem__(self, name: str) -> Zone:
        try:
            return build_zone(name)
        except (OSError, ValueError, LookupError):
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(available_timezones()))

    def __len__(self) -> int:
        return len(available_timezones())

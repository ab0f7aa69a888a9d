"""The venue's clock as its HTTP Date headers show it, and the parsing of its stamps."""

from calendar import timegm
from datetime import UTC, datetime
from email.utils import parsedate_tz
from functools import lru_cache

SECOND_NS = 1_000_000_000
_NEVER_AHEAD_NS = 1 << 62
_YEARS = range(2000, 2200)
_MINUTE_NS = 60 * SECOND_NS
_STEP_NS: dict[int, int] = {2 + fraction: int(10 ** (9 - fraction)) for fraction in range(10)}


class VenueTime:
    """What time it is at the venue, carried forward from the last HTTP Date by the local monotonic clock.

    Attributes:
        lead_ns: a stamp above `received_ns + lead_ns` is further ahead of the venue's clock than is believed.
    """

    def __init__(self, lead_max_s: float) -> None:
        self._lead_max_ns = round(lead_max_s * SECOND_NS)
        self._offset_ns: int | None = None
        self.lead_ns = _NEVER_AHEAD_NS

    def observe(self, date_ns: int, received_ns: int) -> None:
        """Take in the Date header of a reply received at a local time; 0 (no header) says nothing."""
        if date_ns <= 0:
            return
        self._offset_ns = date_ns - received_ns
        self.lead_ns = self._offset_ns + self._lead_max_ns

    def now_ns(self, local_ns: int) -> int:
        """The venue's time at a local time, good to about a second; the local time itself before the first reply."""
        return local_ns if self._offset_ns is None else local_ns + self._offset_ns

    def believed_ns(self, at_ns: int, received_ns: int) -> int:
        """A venue stamp, or the venue's own clock where the stamp is implausibly ahead of it."""
        return at_ns if at_ns <= received_ns + self.lead_ns else self.now_ns(received_ns)


@lru_cache(maxsize=16)
def parse_http_date_ns(text: str | None) -> int:
    """UTC epoch nanoseconds of an HTTP Date header; 0 where it is absent or unreadable."""
    parsed = parsedate_tz(text) if text else None
    if parsed is None or parsed[0] not in _YEARS:
        return 0
    return (timegm((*parsed[:6], 0, 1, 0)) - (parsed[9] or 0)) * SECOND_NS


def parse_stamp_ns(text: str) -> int:
    """UTC epoch nanoseconds of an ISO 8601 instant with 0 to 9 fractional digits and `Z` or an offset.

    Raises:
        ValueError: not such an instant.
    """
    offset_ns = 0
    if text.endswith("+00:00"):
        instant = text[:-6]
    elif text.endswith("Z"):
        instant = text[:-1]
    else:
        instant, offset_ns = text[:-6], _offset_ns(text[-6:])
    # Seconds and fraction are read as one number: `07.965` is 7965 steps of a millisecond.
    digits = instant[17:19] + instant[20:]
    scale = _STEP_NS.get(len(digits))
    if scale is None or not digits.isdecimal() or not digits.isascii() or instant[19:20] not in ("", "."):
        raise ValueError(f"not an instant: {text[:40]!r}")
    seconds_ns = int(digits) * scale
    if seconds_ns >= _MINUTE_NS or instant.endswith("."):
        raise ValueError(f"not an instant: {text[:40]!r}")
    return _minute_ns(instant[:17]) + seconds_ns - offset_ns


def parse_stamp_rounded_ns(text: str) -> int:
    """Like `parse_stamp_ns`, rounded to microseconds and in half the time: for quotes, whose stamps rank nothing.

    Raises:
        ValueError: not such an instant.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"no time zone: {text[:40]!r}")
    # A double holds today's seconds to a quarter of a microsecond.
    return round(moment.timestamp() * 1e6) * 1000


def format_stamp(at_ns: int) -> str:
    """An instant as requests carry it: ISO 8601, UTC, microseconds, `Z`."""
    seconds, nanos = divmod(at_ns, SECOND_NS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanos // 1000:06d}Z"


@lru_cache(maxsize=64)
def _minute_ns(text: str) -> int:
    """Epoch nanoseconds of `2026-08-19T17:51:`; cached, for nearly all stamps of a session share a few minutes."""
    if len(text) != 17 or text[4] + text[7] + text[10] + text[13] + text[16] != "--T::":
        raise ValueError(f"not an instant: {text!r}")
    year, month, day = _digits(text[:4], 2199), _digits(text[5:7], 12), _digits(text[8:10], 31)
    if year not in _YEARS:
        raise ValueError(f"implausible year: {text!r}")
    minute = datetime(year, month, day, _digits(text[11:13], 23), _digits(text[14:16], 59), tzinfo=UTC)
    return timegm(minute.utctimetuple()) * SECOND_NS


def _digits(text: str, most: int) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) > most:
        raise ValueError(f"not a number up to {most}: {text!r}")
    return int(text)


@lru_cache(maxsize=16)
def _offset_ns(suffix: str) -> int:
    if len(suffix) != 6 or suffix[0] not in "+-" or suffix[3] != ":":
        raise ValueError(f"not a time zone: {suffix!r}")
    seconds = _digits(suffix[1:3], 23) * 3600 + _digits(suffix[4:6], 59) * 60
    return (seconds if suffix[0] == "+" else -seconds) * SECOND_NS

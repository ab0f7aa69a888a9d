"""Instants as this venue writes them: microseconds over REST, .NET ticks or milliseconds on the stream."""

from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from functools import lru_cache

NANOS_PER_SECOND = 1_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rest_time(at_ns: int) -> str:
    """The instant rounded to microseconds, trailing zeros cut, as a database column gives it back."""
    seconds, nanos = divmod(at_ns + 500, NANOS_PER_SECOND)
    digits = f"{nanos // 1000:06d}".rstrip("0")
    return f"{_second(seconds)}.{digits}+00:00" if digits else f"{_second(seconds)}+00:00"


def stream_time(at_ns: int) -> str:
    """The instant in steps of 100 ns: seven digits, always."""
    seconds, nanos = divmod(at_ns, NANOS_PER_SECOND)
    return f"{_second(seconds)}.{nanos // 100:07d}+00:00"


def milli_time(at_ns: int) -> str:
    """The instant in milliseconds, as market data carries it."""
    seconds, nanos = divmod(at_ns, NANOS_PER_SECOND)
    return f"{_second(seconds)}.{nanos // 1_000_000:03d}+00:00"


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).isoformat().removesuffix("+00:00")


@lru_cache(maxsize=8)
def _http_second(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)


def http_date(at_ns: int) -> str:
    """The instant as the `Date` header writes it, whole seconds."""
    return _http_second(at_ns // NANOS_PER_SECOND)


def parse_time(text: str) -> int:
    """The instant an ISO-8601 text names, in ns; microsecond precision; without an offset it is UTC.

    Raises:
        ValueError: not an ISO-8601 date and time.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return epoch_ns(moment)


def epoch_ns(moment: datetime) -> int:
    """An aware datetime in ns, microsecond precision."""
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000

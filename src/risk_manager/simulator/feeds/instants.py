"""Written instants: ISO 8601 or epoch numbers, to UTC epoch nanoseconds."""

import re
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_FRACTION = re.compile(r"(:\d{2}|\d{6})[.,](\d{1,9})(?!\d)")
_COMPACT_DIGITS = (8, 14)


def parse_instant_ns(text: str, zone: tzinfo | None = None) -> int:
    """UTC epoch nanoseconds, exact to the nanosecond.

    Epoch numbers are seconds, milliseconds, microseconds or nanoseconds by their length (10, 13, 16, 19 digits for our
    times); 8 or 14 digits are a compact date (`20231225`, `20231225230000`).

    Args:
        zone: the time zone of texts that name none.

    Raises:
        ValueError: not an instant; no time zone and none given; or a local time the clock change leaves out.
    """
    text = text.strip()
    number = _NUMBER.fullmatch(text)
    if number and (number[1] or len(text.lstrip("-")) not in _COMPACT_DIGITS):
        return _epoch_ns(text)
    fraction = _FRACTION.search(text)
    nanos = int(fraction[2].ljust(9, "0")) if fraction else 0
    plain = text[: fraction.end(1)] + text[fraction.end() :] if fraction else text
    return _seconds(_datetime(plain, text, zone)) * 1_000_000_000 + nanos


def _epoch_ns(text: str) -> int:
    digits = len(text.partition(".")[0].lstrip("-"))
    unit = 1_000_000_000 if digits <= 11 else 1_000_000 if digits <= 14 else 1_000 if digits <= 17 else 1
    return int(Decimal(text) * unit)


def _datetime(plain: str, text: str, zone: tzinfo | None) -> datetime:
    try:
        # Fourteen bare digits are common in exports but not ISO: the standard wants a separator before the time.
        moment = datetime.fromisoformat(f"{plain[:8]}T{plain[8:]}" if re.fullmatch(r"\d{14}", plain) else plain)
    except ValueError:
        raise ValueError(f"{text!r} is not a time; write ISO 8601 (2023-12-25T23:00:00Z) or epoch numbers") from None
    if moment.tzinfo is not None:
        return moment
    if zone is None:
        raise ValueError(f"{text!r} names no time zone; add one (...T23:00:00Z) or name the zone of the file")
    local = moment.replace(tzinfo=zone)
    if local.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != moment:
        raise ValueError(f"{text!r} does not exist in {zone}: the clock jumps over it")
    return local


def _seconds(moment: datetime) -> int:
    return (moment.astimezone(UTC) - _EPOCH) // timedelta(seconds=1)

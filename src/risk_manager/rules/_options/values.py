"""Single values: dollars, durations, words and whole numbers, read strictly and spelled back."""

import re
from enum import StrEnum

from risk_manager.domain.instrument import MICROS_PER_USD
from risk_manager.rules._options.faults import Refused

# The digits are spelled out: \d also matches full-width and Arabic digits.
_PLAIN = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?")
_DURATION = re.compile(r"([0-9]+)(ms|s|m|h)")
_UNIT_NS = {"ms": 1_000_000, "s": 1_000_000_000, "m": 60_000_000_000, "h": 3_600_000_000_000}
_MOST_DOLLARS = 1_000_000_000
_MOST_NS = 7 * 24 * _UNIT_NS["h"]


def shown(value: object) -> str:
    """The value as an error message may repeat it: escaped and short."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def read_bool(value: object) -> bool:
    if not isinstance(value, bool):
        raise Refused(f"must be true or false, not {shown(value)}")
    return value


def read_whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise Refused(f"must be a whole number, not {shown(value)}")
    return value


def read_text(value: object) -> str:
    if not isinstance(value, str):
        raise Refused(f"must be text, not {shown(value)} (quote it)")
    if not value or value != value.strip() or not value.isprintable():
        raise Refused(f"must not be empty, padded with spaces or hold control characters: {shown(value)}")
    return value


def read_choice(value: object, choices: type[StrEnum]) -> StrEnum:
    """The member with that value, in any case."""
    spelled = value.lower() if isinstance(value, str) else value
    for choice in choices:
        if choice.value == spelled:
            return choice
    raise Refused(f"must be one of {', '.join(choices)}, not {shown(value)}")


def read_dollars(value: object) -> int:
    """Micros of an amount in dollars, exact; anything finer than a millionth of a dollar is refused."""
    micros = _scaled(value, 6)
    if micros is None:
        raise Refused(f"must be an amount in dollars such as 500 or 499.99, not {shown(value)}")
    if abs(micros) > _MOST_DOLLARS * MICROS_PER_USD:
        raise Refused(f"is larger than any account: {shown(value)}")
    return micros


def read_duration(value: object, digits: int | None) -> int:
    """Nanoseconds of a duration text, or of a number in units of 10^digits ns (None: a bare number has no unit)."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is not None:
        ns: int | None = int(match[1]) * _UNIT_NS[match[2]]
    elif isinstance(value, str) or digits is None:
        ns = None
    else:
        ns = _scaled(value, digits)
    if ns is None or ns < 0:
        numbers = "" if digits is None else "a number of " + ("seconds" if digits == 9 else "milliseconds") + " or "
        raise Refused(f"must be {numbers}a duration such as 90s, 30m or 1h, not {shown(value)}")
    if ns % _UNIT_NS["ms"]:
        raise Refused(f"must be whole milliseconds, not {shown(value)}")
    if ns > _MOST_NS:
        raise Refused(f"must be at most seven days, not {shown(value)}")
    return ns


def _scaled(value: object, digits: int) -> int | None:
    """The plain decimal number times 10^digits; None if it is no such number or does not come out whole."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        text = value
    elif isinstance(value, int):
        text = str(value)
    elif isinstance(value, float):
        # Its shortest spelling is what the trader typed.
        text = float.__repr__(value)
    elif hasattr(value, "as_tuple"):
        # A Decimal, which the core does not import; it may carry an exponent.
        text = format(value, "f")
    else:
        return None
    match = _PLAIN.fullmatch(text)
    if match is None:
        return None
    sign, whole, fraction = match[1], match[2], (match[3] or "").rstrip("0")
    if len(fraction) > digits:
        return None
    scaled = int(whole + fraction.ljust(digits, "0"))
    return -scaled if sign else scaled


def dollars_text(micros: int) -> str:
    """An amount as a trader reads it: `-499.50`, `1000.00`; more decimals only where they are not zero."""
    sign = "-" if micros < 0 else ""
    whole, rest = divmod(abs(micros), MICROS_PER_USD)
    return f"{sign}{whole}.{f'{rest:06d}'.rstrip('0').ljust(2, '0')}"


def spelled_dollars(micros: int) -> int | str:
    """What `read_dollars` reads back: whole dollars as a number, others as text."""
    return micros // MICROS_PER_USD if micros % MICROS_PER_USD == 0 else dollars_text(micros)

"""The venue's JSON as it comes: envelopes, and members that may be absent, null, or of another type than documented.

Prices and money are read as Decimal from the digits on the wire; only quotes, by far the most frequent, take a typed
pass with floats, checked against the tick grid afterwards.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from risk_manager.venues.projectx.venue_time import parse_stamp_ns

SIZE_MAX = 1_000_000
_ID_MAX = (1 << 63) - 1
_INTEGER_DIGITS_MAX = 12
_NO_NUMBER = Decimal("NaN")
_FRACTION_DIGITS_MAX = 18
_TEXT_MAX = 500

Fields = Mapping[str, Any]


class BadRecord(ValueError):
    """A member that must be there is not, or cannot be what it claims to be."""


class QuoteBody(msgspec.Struct, gc=False, rename="camel"):
    """The members of a GatewayQuote that matter here; each is absent when it has not changed."""

    last_price: float | None = None
    best_bid: float | None = None
    best_ask: float | None = None
    timestamp: str | None = None
    last_updated: str | None = None


class QuoteRecord(msgspec.Struct, gc=False):
    """A whole GatewayQuote invocation, decoded in one pass."""

    arguments: tuple[str, QuoteBody]


def _number(text: str) -> Decimal:
    try:
        return Decimal(text)
    except ArithmeticError:
        # An exponent no decimal can have spoils its own member, not the whole record.
        return _NO_NUMBER


decode_quote_record = msgspec.json.Decoder(QuoteRecord).decode
decode_any = msgspec.json.Decoder(float_hook=_number).decode
encode_body = msgspec.json.Encoder().encode

QUOTE_KEYS = frozenset(
    "symbol symbolName lastPrice bestBid bestAsk change changePercent open high low volume lastUpdated timestamp"
    " contract contractId".split()
)


def unwrap(arguments: object) -> Iterator[tuple[int | None, Fields]]:
    """The records of an event with the action they came under: bare, in an `{action, data}` envelope, in lists, padded
    with nulls.

    Raises:
        BadRecord: something else is among them.
    """
    match arguments:
        case None:
            return
        case list():
            for argument in arguments:
                yield from unwrap(argument)
        case dict() if "data" in arguments and arguments.keys() <= {"action", "data"}:
            action = arguments.get("action")
            for _, record in unwrap(arguments["data"]):
                yield action if isinstance(action, int) else None, record
        case dict():
            yield None, arguments
        case _:
            raise BadRecord(f"a record is an object, not {type(arguments).__name__}")


def read_id(fields: Fields, key: str) -> str:
    """A numeric id as text: the venue sends numbers, and strings now and then."""
    found = read_optional_id(fields, key)
    if found is None:
        raise BadRecord(f"{key} is missing")
    return found


def read_optional_id(fields: Fields, key: str) -> str | None:
    value = fields.get(key)
    if value is None:
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 19:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= _ID_MAX:
        raise BadRecord(f"{key} is no id: {_shown(value)}")
    return str(value)


def read_text(fields: Fields, key: str) -> str:
    found = read_optional_text(fields, key)
    if not found:
        raise BadRecord(f"{key} is missing")
    return found


def read_optional_text(fields: Fields, key: str) -> str | None:
    value = fields.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > _TEXT_MAX:
        raise BadRecord(f"{key} is no text: {_shown(value)}")
    return value


def read_decimal(fields: Fields, key: str) -> Decimal:
    found = read_optional_decimal(fields, key)
    if found is None:
        raise BadRecord(f"{key} is missing")
    return found


def read_optional_decimal(fields: Fields, key: str) -> Decimal | None:
    """A finite number of sane magnitude and precision, exactly as written; number or string."""
    value = fields.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal) or len(str(value)) > 60:
        raise BadRecord(f"{key} is no number: {_shown(value)}")
    try:
        number = Decimal(value)
    except ArithmeticError:
        raise BadRecord(f"{key} is no number: {_shown(value)}") from None
    # The digits are counted before anything is computed: 1E-999999 and 1E+9999999 are finite, and ruinous, or an error,
    # to do arithmetic with.
    exponent = number.as_tuple().exponent
    is_sane = isinstance(exponent, int) and exponent >= -_FRACTION_DIGITS_MAX
    if not is_sane or number.adjusted() >= _INTEGER_DIGITS_MAX:
        raise BadRecord(f"{key} is out of range: {_shown(value)}")
    return number


def read_size(fields: Fields, key: str) -> int:
    """A count of contracts, 0 and above."""
    number = read_decimal(fields, key)
    if number != int(number) or not 0 <= number <= SIZE_MAX:
        raise BadRecord(f"{key} is no size: {_shown(number)}")
    return int(number)


def read_code(fields: Fields, key: str) -> int | None:
    """An enum's integer; None where it is absent or anything else, for the caller's UNKNOWN."""
    value = fields.get(key)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 6:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def read_flag(fields: Fields, key: str, default: bool | None = None) -> bool:
    value = fields.get(key, default)
    if value is None and default is not None:
        return default
    if not isinstance(value, bool):
        raise BadRecord(f"{key} is neither true nor false: {_shown(value)}")
    return value


def read_stamp_ns(fields: Fields, key: str) -> int:
    """An instant in UTC epoch nanoseconds; 0 where it is absent."""
    value = fields.get(key)
    if value is None:
        return 0
    if not isinstance(value, str):
        raise BadRecord(f"{key} is no instant: {_shown(value)}")
    try:
        return parse_stamp_ns(value)
    except ValueError as error:
        raise BadRecord(f"{key}: {error}") from None


def _shown(value: object) -> str:
    try:
        return repr(value)[:40]
    except ValueError:
        # Python refuses to print integers of thousands of digits.
        return f"<{type(value).__name__}>"

"""Bad values in good JSON: what a bug of the venue, or of something in between, could put into a payload."""

from enum import StrEnum

import msgspec

from risk_manager.simulator.server.shapes import Row
from risk_manager.simulator.server.signalr import SEPARATOR

ENVELOPE = frozenset({"success", "errorCode", "errorMessage"})
_DEPTH = 200
_NAN = msgspec.Raw(b"NaN")
_HUGE = msgspec.Raw(b"1e308")
_ENORMOUS = msgspec.Raw(b"1e99999999999999999999")
_NESTED = msgspec.Raw(b"[" * _DEPTH + b"]" * _DEPTH)
# Numbers that are not touched are written again digit by digit as they were.
_DECODER = msgspec.json.Decoder(float_hook=lambda text: msgspec.Raw(text.encode("ascii")))


class BadValue(StrEnum):
    """What takes the place of a value. All but the last three replace numbers only, unless a member is named."""

    NAN = "nan"
    HUGE = "huge"
    ENORMOUS = "enormous"
    NEGATIVE = "negative"
    ZERO = "zero"
    NESTED = "nested"
    WRONG_TYPE = "wrong_type"
    NULL = "null"
    MISSING = "missing"


class Poison(msgspec.Struct, frozen=True):
    """A bad value, and the one member it takes the place of; None is every member."""

    bad: BadValue
    member: str | None = None


def poisoned_reply(body: bytes, poison: Poison) -> bytes:
    """A REST reply with bad values; the envelope stays good unless it is meant by name."""
    reply: Row = _DECODER.decode(body)
    kept = ENVELOPE - {poison.member}
    good = {name: value for name, value in reply.items() if name in kept}
    rest = {name: value for name, value in reply.items() if name not in kept}
    return msgspec.json.encode({**_poisoned_members(rest, poison), **good})


def poisoned_record(record: bytes, poison: Poison) -> bytes:
    """A hub record with bad values in its arguments."""
    message: Row = _DECODER.decode(record.removesuffix(SEPARATOR))
    message["arguments"] = _poisoned(None, message.get("arguments"), poison)
    return msgspec.json.encode(message) + SEPARATOR


def _poisoned_members(row: Row, poison: Poison) -> Row:
    is_missing = poison.bad is BadValue.MISSING
    return {
        name: _poisoned(name, value, poison)
        for name, value in row.items()
        if not (is_missing and (name == poison.member or (poison.member is None and _is_leaf(value))))
    }


def _poisoned(name: str | None, value: object, poison: Poison) -> object:
    if poison.member is not None and name == poison.member:
        return _in_place_of(value, poison.bad)
    match value:
        case dict():
            return _poisoned_members(value, poison)
        case list():
            return [_poisoned(None, each, poison) for each in value]
        case _ if poison.member is not None:
            return value
    takes_any = poison.bad in (BadValue.WRONG_TYPE, BadValue.NULL)
    return _in_place_of(value, poison.bad) if takes_any or _is_number(value) else value


def _in_place_of(value: object, bad: BadValue) -> object:
    match bad:
        case BadValue.NAN:
            return _NAN
        case BadValue.HUGE:
            return _HUGE
        case BadValue.ENORMOUS:
            return _ENORMOUS
        case BadValue.NEGATIVE:
            return _negative(value)
        case BadValue.ZERO:
            return 0
        case BadValue.NESTED:
            return _NESTED
        case BadValue.WRONG_TYPE:
            return "seven" if _is_number(value) else 7
        case BadValue.NULL | BadValue.MISSING:
            return None


def _negative(value: object) -> object:
    match value:
        case msgspec.Raw():
            return msgspec.Raw(b"-" + bytes(value).lstrip(b"-"))
        case int() if not isinstance(value, bool):
            return -abs(value) or -1
        case _:
            return -1


def _is_number(value: object) -> bool:
    return isinstance(value, int | msgspec.Raw) and not isinstance(value, bool)


def _is_leaf(value: object) -> bool:
    return not isinstance(value, dict | list)

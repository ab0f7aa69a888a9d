"""Model binding: a request body becomes typed values, or the problem details ASP.NET Core answers with.

As there, member names match in any case, unknown members are ignored, and numbers may come as strings.
"""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from risk_manager.simulator.server.times import parse_time

_MOST_DIGITS = 28
# Numbers in quotes are read like numbers without: no spaces, no underscores, no digits of other scripts.
_INTEGER = re.compile(r"-?[0-9]{1,28}", re.ASCII)
_DECIMAL = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,4})?", re.ASCII)
_DECODER = msgspec.json.Decoder(float_hook=Decimal)


class Member(msgspec.Struct, frozen=True):
    """One member of a request.

    Attributes:
        read: gives the typed value; raises ValueError or TypeError when the JSON value does not fit.
        clr_type: the type's name in the server's error text.
    """

    name: str
    read: Callable[[Any], Any]
    clr_type: str
    is_required: bool = True

    def optional(self) -> "Member":
        """The same member, which may be absent or null."""
        return msgspec.structs.replace(self, is_required=False)


class Unbindable(Exception):
    """The body does not fit the request.

    Attributes:
        errors: by member, what is wrong with it.
    """

    def __init__(self, errors: Mapping[str, list[str]]) -> None:
        super().__init__(errors)
        self.errors = errors


def bind(body: bytes, members: tuple[Member, ...]) -> dict[str, Any]:
    """The values of all `members`, None where an optional one is absent or null.

    Raises:
        Unbindable: not a JSON object, or a member of the wrong type, or members missing, which are all listed.
    """
    if not members:
        return {}
    if not body:
        raise Unbindable({"": ["A non-empty request body is required."]})
    try:
        decoded = _DECODER.decode(body)
    except (msgspec.DecodeError, InvalidOperation, UnicodeDecodeError) as error:
        raise _unreadable({"$": [f"The JSON value could not be read: {error}"]}) from error
    except RecursionError as error:
        text = "The maximum configured depth of 64 has been exceeded. Cannot read next JSON array or object."
        raise _unreadable({"$": [text]}) from error
    try:
        return _bind_object(decoded, members, "$")
    except Unbindable as fault:
        # The reader stops at the first value it cannot convert; only a body read to its end is searched for gaps.
        unfit = [key for key in fault.errors if key.startswith("$")]
        if not unfit:
            raise
        raise _unreadable({unfit[0]: fault.errors[unfit[0]]}) from fault


def _unreadable(errors: dict[str, list[str]]) -> Unbindable:
    """A body that is not what it should be counts as missing altogether: ASP.NET Core adds that complaint."""
    return Unbindable({**errors, "request": ["The request field is required."]})


def _bind_object(decoded: object, members: tuple[Member, ...], path: str) -> dict[str, Any]:
    if not isinstance(decoded, dict):
        raise Unbindable({path: [f"The JSON value could not be converted to an object. Path: {path}."]})
    given = {key.lower(): value for key, value in decoded.items()}
    values: dict[str, Any] = {}
    errors: dict[str, list[str]] = {}
    for member in members:
        raw = given.get(member.name.lower())
        values[member.name] = None
        if raw is None:
            if member.is_required:
                errors[member.name] = [f"The {member.name} field is required."]
            continue
        where = f"{path}.{member.name}"
        try:
            values[member.name] = member.read(raw)
        except Unbindable as nested:
            errors.update(
                {
                    _joined(where if key.startswith("$") else where.removeprefix("$."), key): texts
                    for key, texts in nested.errors.items()
                }
            )
        except (ValueError, TypeError):
            errors[where] = [f"The JSON value could not be converted to {member.clr_type}. Path: {where}."]
    if errors:
        raise Unbindable(errors)
    return values


def _joined(outer: str, inner: str) -> str:
    inner = inner.removeprefix("$").removeprefix(".")
    return f"{outer}.{inner}" if inner else outer


def int32(name: str) -> Member:
    """A 32-bit integer."""
    return Member(name, lambda raw: _integer(raw, 31), "System.Int32")


def int64(name: str) -> Member:
    """A 64-bit integer."""
    return Member(name, lambda raw: _integer(raw, 63), "System.Int64")


def decimal(name: str) -> Member:
    """An exact decimal number, as int or Decimal."""
    return Member(name, _decimal, "System.Decimal")


def string(name: str) -> Member:
    """A text."""
    return Member(name, _string, "System.String")


def boolean(name: str) -> Member:
    """True or false."""
    return Member(name, _boolean, "System.Boolean")


def instant(name: str) -> Member:
    """An ISO-8601 date and time, as ns."""
    return Member(name, lambda raw: parse_time(_string(raw)), "System.DateTimeOffset")


def nested(name: str, *members: Member) -> Member:
    """An object with members of its own, as a dict like `bind` gives."""
    return Member(name, lambda raw: _bind_object(raw, members, "$"), "System.Object")


def integers(name: str) -> Member:
    """A list of 32-bit integers."""

    def read(raw: Any) -> list[int]:
        if not isinstance(raw, list):
            raise TypeError(raw)
        return [_integer(item, 31) for item in raw]

    return Member(name, read, "System.Collections.Generic.List`1[System.Int32]")


def _integer(raw: Any, bits: int) -> int:
    if isinstance(raw, str):
        if not _INTEGER.fullmatch(raw):
            raise ValueError(raw)
        raw = int(raw)
    if not isinstance(raw, int) or isinstance(raw, bool) or not -(2**bits) <= raw < 2**bits:
        raise ValueError(raw)
    return raw


def _decimal(raw: Any) -> Decimal:
    """Bounded like .NET's decimal, so that no text of a few characters grows into a huge integer."""
    if isinstance(raw, bool) or not isinstance(raw, (int, str, Decimal)):
        raise TypeError(raw)
    if isinstance(raw, str) and not _DECIMAL.fullmatch(raw):
        raise ValueError(raw)
    value = Decimal(raw)
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -_MOST_DIGITS or value.adjusted() > _MOST_DIGITS:
        raise ValueError(raw)
    return value


def _string(raw: Any) -> str:
    if not isinstance(raw, str):
        raise TypeError(raw)
    return raw


def _boolean(raw: Any) -> bool:
    if not isinstance(raw, bool):
        raise TypeError(raw)
    return raw

"""Where two values differ, field by field."""

from collections.abc import Iterator
from typing import Any

import msgspec


class Difference(msgspec.Struct, frozen=True):
    """One field: its path (`findings[0].limit`), and its JSON on either side; None where it is absent."""

    path: str
    journal: str | None
    replay: str | None


def differences(journal: bytes, replay: bytes) -> tuple[Difference, ...]:
    """What differs between two JSON texts, in their order; empty if only the spelling does."""
    return tuple(_walk("", msgspec.json.decode(journal), msgspec.json.decode(replay)))


class _Absent:
    pass


_ABSENT = _Absent()


def _walk(path: str, one: Any, other: Any) -> Iterator[Difference]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in dict.fromkeys([*one, *other]):
            inner = f"{path}.{key}" if path else key
            yield from _walk(inner, one.get(key, _ABSENT), other.get(key, _ABSENT))
    elif isinstance(one, list) and isinstance(other, list):
        for index in range(max(len(one), len(other))):
            pair = (side[index] if index < len(side) else _ABSENT for side in (one, other))
            yield from _walk(f"{path}[{index}]", *pair)
    elif one != other or type(one) is not type(other):
        yield Difference(path, _text(one), _text(other))


def _text(value: Any) -> str | None:
    return None if value is _ABSENT else msgspec.json.encode(value).decode()

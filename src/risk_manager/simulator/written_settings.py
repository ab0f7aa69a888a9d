"""Everything that can be set about the simulated gateway, by name, and how it is written: `name=value`.

A value is JSON, or plain text where a text is wanted. Names are those of the settings' members, with the member they
stand in before them (`rest.seed`); what they mean is taken from the docstrings of their classes.
"""

import inspect
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

import msgspec
from msgspec.inspect import (
    BoolType,
    DictType,
    FloatType,
    IntType,
    LiteralType,
    NoneType,
    StrType,
    Type,
    UnionType,
    VarTupleType,
    type_info,
)

from risk_manager.simulator.manners import Manners
from risk_manager.simulator.server import SimSettings


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What is set about a gateway: its server, and what its exchange does where the sources are silent."""

    server: SimSettings = SimSettings()
    manners: Manners = Manners()


class Setting(msgspec.Struct, frozen=True):
    """One thing that can be set.

    Attributes:
        path: where it is in `Settings`.
        default: as it would be written.
        takes: what may be written.
    """

    name: str
    path: tuple[str, ...]
    type: Any
    default: str
    takes: str
    meaning: str


class SettingsRefused(Exception):
    """Settings that cannot be used; all that is wrong is told, a line each."""


def read_settings(words: Iterable[str]) -> Settings:
    """The settings that `name=value` words make of the defaults.

    Raises:
        SettingsRefused: a name nobody knows or that comes twice, or a value it does not take.
    """
    problems: list[str] = []
    values: dict[str, object] = {}
    for word in words:
        name, equals, text = word.partition("=")
        setting = SETTINGS.get(name)
        if not equals:
            problems.append(f"{word}: write NAME=VALUE")
        elif setting is None:
            near = get_close_matches(name, SETTINGS, 1)
            problems.append(f"{word}: nothing is called {name}{f'; did you mean {near[0]}?' if near else ''}")
        elif name in values:
            problems.append(f"{word}: {name} is set twice")
        else:
            values[name] = None
            try:
                values[name] = _value(setting, text)
            except msgspec.ValidationError:
                problems.append(f"{word}: {name} takes {setting.takes}")
    if problems:
        raise SettingsRefused("\n".join(problems))
    settings = Settings()
    for name, value in values.items():
        settings = _replaced(settings, SETTINGS[name].path, value)
    return settings


def _value(setting: Setting, text: str) -> object:
    try:
        return msgspec.convert(msgspec.json.decode(text), setting.type)
    except msgspec.DecodeError:
        # Neither JSON nor, perhaps, meant to be: a text is written as it is.
        return msgspec.convert(text, setting.type)


def _replaced[Group: msgspec.Struct](group: Group, path: tuple[str, ...], value: object) -> Group:
    name, *rest = path
    inner = _replaced(getattr(group, name), tuple(rest), value) if rest else value
    return msgspec.structs.replace(group, **{name: inner})


def _settings(group: msgspec.Struct, path: tuple[str, ...]) -> Iterator[Setting]:
    meanings = _meanings(type(group))
    for field in msgspec.structs.fields(group):
        value, here = getattr(group, field.name), (*path, field.name)
        if isinstance(value, msgspec.Struct):
            yield from _settings(value, here)
        else:
            # What the server is set to needs no word in front.
            name = ".".join(here[1:] if here[0] == "server" else here)
            default = value if isinstance(value, str) else msgspec.json.encode(value).decode()
            yield Setting(name, here, field.type, default, _takes(type_info(field.type)), meanings.get(field.name, ""))


def _meanings(group: type[msgspec.Struct]) -> Mapping[str, str]:
    """What the members of a class mean, by the attributes in its docstring."""
    entries = (inspect.getdoc(group) or "").partition("Attributes:\n")[2]
    found: dict[str, str] = {}
    for line in entries.replace("\n        ", " ").splitlines():
        names, _, meaning = line.strip().partition(": ")
        found |= dict.fromkeys(names.split(", "), meaning)
    return found


def _takes(kind: Type) -> str:
    """What may be written for a type, in words."""
    match kind:
        case BoolType():
            return "true or false"
        case IntType():
            return f"a whole number{_range(kind)}"
        case FloatType():
            return f"a number{_range(kind)}"
        case StrType():
            return "a text"
        case NoneType():
            return "null"
        case LiteralType(values=values):
            *most, last = map(str, values)
            return f"{', '.join(most)} or {last}"
        case VarTupleType(item_type=item):
            return f"[{_takes(item)}, ...]"
        case DictType(key_type=key, value_type=value):
            return f"{{{_takes(key)}: {_takes(value)}, ...}}"
        case UnionType(types=types):
            return ", or ".join(_takes(each) for each in sorted(types, key=lambda each: isinstance(each, NoneType)))
    raise AssertionError(kind)


def _range(kind: IntType | FloatType) -> str:
    if kind.gt is not None:
        return f" above {kind.gt} and up to {kind.le}"
    return "" if kind.ge is None else f" from {kind.ge} to {kind.le}"


SETTINGS: Mapping[str, Setting] = {
    each.name: each for name in ("server", "manners") for each in _settings(getattr(Settings(), name), (name,))
}
"""Everything that can be set, by name, in the order of the classes."""

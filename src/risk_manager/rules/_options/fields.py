"""Reading and spelling one settings field by its type and the unit at the end of its name."""

import operator
from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec
import msgspec.inspect as types

from risk_manager.domain.schedule import Schedule
from risk_manager.rules._base import LockTerms
from risk_manager.rules._options.faults import Fault, Refused
from risk_manager.rules._options.lock import read_lock, spelled_lock
from risk_manager.rules._options.schedule import MEANING as SCHEDULE_MEANING
from risk_manager.rules._options.schedule import read_schedule, spelled_schedule
from risk_manager.rules._options.values import (
    dollars_text,
    read_bool,
    read_choice,
    read_dollars,
    read_duration,
    read_text,
    read_whole,
    shown,
    spelled_dollars,
)

FAULTY: Any = object()
"""Stands for a value that could not be read; its fault is already noted."""

_DIGITS = {"_seconds": 9, "_ms": 6, "": None}


@cache
def fields_of(settings_class: type) -> tuple[types.Field, ...]:
    """The fields of a settings class, as msgspec understands their types."""
    info = types.type_info(settings_class)
    assert isinstance(info, types.StructType), f"{settings_class} is not a msgspec.Struct"
    return info.fields


def spellings(field: str) -> tuple[str, ...]:
    """The option names of a field, the usual one first."""
    if field.endswith("_micros"):
        return (field.removesuffix("_micros"),)
    if field.endswith("_ns"):
        base = field.removesuffix("_ns")
        return (f"{base}_seconds", f"{base}_ms", base)
    return (field,)


def read_field(field: types.Field, option: str, value: object, path: str, faults: list[Fault]) -> Any:
    """The field's value in core units, or FAULTY with the reason in `faults`."""
    unit = ""
    if field.name.endswith("_micros"):
        unit = "micros"
    elif field.name.endswith("_ns"):
        unit = option.removeprefix(field.name.removesuffix("_ns")) or "text"
    return _read(field.type, unit, value, path, faults)


def is_lock(kind: types.Type) -> bool:
    inner, _ = _without_none(kind)
    return isinstance(inner, types.StructType) and inner.cls is LockTerms


def _without_none(kind: types.Type) -> tuple[types.Type, bool]:
    if not isinstance(kind, types.UnionType):
        return kind, False
    others = [one for one in kind.types if not isinstance(one, types.NoneType)]
    assert len(others) == 1, f"an option has one type, or that type and None: {kind}"
    return others[0], True


def _read(kind: types.Type, unit: str, value: object, path: str, faults: list[Fault]) -> Any:
    kind, may_be_none = _without_none(kind)
    if isinstance(kind, types.StructType) and kind.cls is LockTerms:
        before = len(faults)
        terms = read_lock(value, path, faults)
        return terms if len(faults) == before else FAULTY
    if value is None and may_be_none:
        return None
    if isinstance(kind, types.StructType) and kind.cls is Schedule:
        schedule = read_schedule(value, path, faults)
        return FAULTY if schedule is None else schedule
    match kind:
        case types.StructType():
            return _read_struct(kind, value, path, faults)
        case types.VarTupleType():
            return _read_list(kind, unit, value, path, faults)
        case types.DictType():
            return _read_mapping(kind, unit, value, path, faults)
    try:
        return _read_leaf(kind, unit, value)
    except Refused as refused:
        faults.append(Fault(path, str(refused)))
        return FAULTY


def _read_leaf(kind: types.Type, unit: str, value: object) -> Any:
    match kind:
        case types.BoolType():
            return read_bool(value)
        case types.StrType():
            return read_text(value)
        case types.EnumType():
            return kind.cls(read_choice(value, kind.cls))  # type: ignore[arg-type]  # rules use StrEnum only
        case types.IntType() if unit == "micros":
            micros = read_dollars(value)
            return _bounded(abs(micros) if _is_magnitude(kind) else micros, kind, value, 1_000_000)
        case types.IntType() if unit:
            return _bounded(read_duration(value, _DIGITS.get(unit)), kind, value, 1_000_000_000)
        case types.IntType():
            return _bounded(read_whole(value), kind, value, 1)
    raise AssertionError(f"no option can be of this type: {kind}")


def _is_magnitude(kind: types.IntType) -> bool:
    return kind.gt is not None and kind.gt >= 0


def _bounded(number: int, kind: types.IntType, value: object, scale: int) -> int:
    """The number, if it is inside the field's bounds; they are shown in the trader's unit."""
    for bound, words, is_inside in (
        (kind.gt, "above", operator.gt),
        (kind.ge, "at least", operator.ge),
        (kind.lt, "below", operator.lt),
        (kind.le, "at most", operator.le),
    ):
        if bound is not None and not is_inside(number, bound):
            shown_bound = bound // scale if bound % scale == 0 else f"{bound}/{scale}"
            raise Refused(f"must be {words} {shown_bound}, not {shown(value)}")
    return number


def _read_list(kind: types.VarTupleType, unit: str, value: object, path: str, faults: list[Fault]) -> Any:
    if not isinstance(value, list | tuple):
        faults.append(Fault(path, f"must be a list such as [{shown(value)}], not {shown(value)}"))
        return FAULTY
    items = [_read(kind.item_type, unit, item, f"{path}[{index}]", faults) for index, item in enumerate(value)]
    return FAULTY if FAULTY in items else tuple(items)


def _read_mapping(kind: types.DictType, unit: str, value: object, path: str, faults: list[Fault]) -> Any:
    if not isinstance(value, Mapping):
        faults.append(Fault(path, f"must be a mapping such as {{ES: 2}}, not {shown(value)}"))
        return FAULTY
    items: dict[Any, Any] = {}
    for key, item in value.items():
        read_key = _read(kind.key_type, "", key, f"{path}.{key}", faults)
        read_item = _read(kind.value_type, unit, item, f"{path}.{key}", faults)
        items[read_key] = read_item
    return FAULTY if FAULTY in items or FAULTY in items.values() else items


def _read_struct(kind: types.StructType, value: object, path: str, faults: list[Fault]) -> Any:
    if not isinstance(value, Mapping):
        faults.append(Fault(path, f"must be a mapping of options, not {shown(value)}"))
        return FAULTY
    settings = read_settings(kind.fields, dict(value), f"{path}.", faults)
    return FAULTY if settings is None else kind.cls(**settings)


def read_settings(
    fields: tuple[types.Field, ...], options: dict[str, object], prefix: str, faults: list[Fault]
) -> dict[str, Any] | None:
    """The settings of all fields that are given; None if any could not be read, the reasons in `faults`."""
    before = len(faults)
    settings: dict[str, Any] = {}
    for field in fields:
        given = [name for name in spellings(field.name) if name in options]
        if len(given) > 1:
            faults.append(Fault(f"{prefix}{given[0]}", f"is said twice, also as {', '.join(given[1:])}"))
        for option in given:
            settings[field.name] = read_field(field, option, options.pop(option), f"{prefix}{option}", faults)
        if not given and field.required:
            faults.append(Fault(f"{prefix}{spellings(field.name)[0]}", "is missing"))
    known = [name for field in fields for name in spellings(field.name)[:1]]
    faults.extend(Fault(f"{prefix}{key}", nearest(key, known)) for key in options)
    return settings if len(faults) == before else None


def nearest(key: object, known: list[str]) -> str:
    """The message for an option nobody knows, with the nearest known one."""
    # Imported here: it costs 5 ms and is needed for a mistake only.
    from difflib import get_close_matches

    near = get_close_matches(str(key).lower(), known, n=1)
    return f"is not known; did you mean {near[0]}?" if near else f"is not known; there is {', '.join(sorted(known))}"


def spelled_settings(settings: msgspec.Struct) -> dict[str, object]:
    """Every option of a settings object as a trader would write it."""
    spelled: dict[str, object] = {}
    for field in fields_of(type(settings)):
        value = getattr(settings, field.name)
        names = spellings(field.name)
        if field.name.endswith("_ns") and value is not None:
            whole = value % 1_000_000_000 == 0
            spelled[names[0] if whole else names[1]] = value // (1_000_000_000 if whole else 1_000_000)
        elif is_lock(field.type):
            spelled[names[0]] = spelled_lock(value)
        else:
            spelled[names[0]] = _spelled(value, is_money=field.name.endswith("_micros"))
    return spelled


def _spelled(value: object, *, is_money: bool) -> object:
    match value:
        case bool() | None:
            return value
        case int():
            return spelled_dollars(value) if is_money else value
        case str():
            return str(value)
        case tuple():
            return [_spelled(item, is_money=is_money) for item in value]
        case Mapping():
            return {str(key): _spelled(item, is_money=is_money) for key, item in value.items()}
        case Schedule():
            return spelled_schedule(value)
        case msgspec.Struct():
            return spelled_settings(value)
    raise AssertionError(f"no option can hold {value!r}")


def meaning(field: types.Field) -> str:
    """What a trader may write for the field, in a few words."""
    kind, _ = _without_none(field.type)
    if is_lock(field.type):
        return "true, false, reset, a duration, or a mapping"
    return _meaning(kind, field.name)


def _meaning(kind: types.Type, name: str) -> str:
    match kind:
        case types.BoolType():
            return "true or false"
        case types.StrType():
            return "text"
        case types.EnumType():
            return " | ".join(str(member.value) for member in kind.cls)
        case types.IntType():
            if name.endswith("_micros"):
                return "dollars, either sign" if _is_magnitude(kind) else "dollars"
            return "seconds, or 90s | 30m | 1h" if name.endswith("_ns") else "whole number"
        case types.VarTupleType():
            return f"list of: {_meaning(kind.item_type, name)}"
        case types.DictType():
            return f"mapping of name to: {_meaning(kind.value_type, name)}"
        case types.StructType(cls=cls) if cls is Schedule:
            return SCHEDULE_MEANING
        case types.StructType():
            inner = ", ".join(spellings(field.name)[0] for field in kind.fields)
            return f"mapping with {inner}"
    raise AssertionError(f"no option can be of this type: {kind}")


def default_text(field: types.Field) -> str:
    """The default as a trader would write it; `required` if there is none."""
    if field.required:
        return "required"
    value = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    if isinstance(value, int) and not isinstance(value, bool):
        if field.name.endswith("_micros"):
            return dollars_text(value)
        if field.name.endswith("_ns"):
            return f"{value // 1_000_000_000}s" if value % 1_000_000_000 == 0 else f"{value // 1_000_000}ms"
    if value is None and not is_lock(field.type):
        return "none"
    spelled = spelled_lock(value) if is_lock(field.type) else _spelled(value, is_money=False)
    return spelled if isinstance(spelled, str) else msgspec.json.encode(spelled).decode()

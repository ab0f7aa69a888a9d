"""JSON Schemas of the configuration files, made of the same classes that load them: editors complete and check by them.

They know the usual spelling of everything and the aliases of options. The loader understands more (older spellings,
words in any case) and checks more (what options mean to each other, whether a time zone exists).
"""

import json
from collections.abc import Mapping
from typing import Any

import msgspec.inspect as types

from risk_manager.config.sections import AccountsFile, RiskFile
from risk_manager.domain.schedule import Schedule
from risk_manager.rules import RULES, Rule
from risk_manager.rules._base import LockTerms
from risk_manager.rules._compose.sections import (
    COMMON_ALIASES,
    COMPOSITIONS,
    MOST_NAME,
    NAME_PATTERN,
    common_fields,
    composed_fields,
)
from risk_manager.rules._options.fields import default_text, fields_of, meaning, spellings

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_DURATION_PATTERN = "^[0-9]+(ms|s|m|h)$"
_DOLLARS_PATTERN = r"^-?[0-9]+(\.[0-9]+)?$"
_LOCK_KEYS: Schema = {
    "until": {"anyOf": [{"enum": ["reset", "daily_reset", "until_reset", "duration"]}, {"$ref": "#/$defs/duration"}]},
    "duration": {"$ref": "#/$defs/duration"},
    "duration_seconds": {"$ref": "#/$defs/seconds"},
    "duration_ms": {"$ref": "#/$defs/seconds"},
    "on_lock": {"enum": ["flatten", "block_new"]},
    "whole_account": {"type": "boolean"},
}
_MOMENT: Schema = {"type": "string", "pattern": "^([A-Za-z]{3,9} +)?[0-2][0-9]:[0-5][0-9](:[0-5][0-9])?$"}
_DATE: Schema = {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}
_DAYS: Schema = {
    "type": "array",
    "minItems": 1,
    "items": {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 6}, {"type": "string"}]},
}
_WINDOW: Schema = {"start": _MOMENT, "end": _MOMENT, "days": _DAYS}
_EARLY: Schema = {
    "type": "object",
    "properties": {"date": _DATE, "time": _MOMENT},
    "required": ["date", "time"],
    "additionalProperties": False,
}
_SCHEDULE: Schema = {
    **_WINDOW,
    "windows": {
        "type": "array",
        "minItems": 1,
        "items": {
            "type": "object",
            "properties": _WINDOW,
            "required": ["start", "end"],
            "additionalProperties": False,
        },
    },
    "timezone": {"type": "string"},
    "market": {"type": "string"},
    "holidays": {"type": "boolean"},
    "closed": {"type": "array", "items": _DATE},
    "early_close": {"type": "array", "items": _EARLY},
}
_SHARED: Schema = {
    "schedule": {
        "anyOf": [
            {"const": "exchange"},
            {"type": "object", "properties": _SCHEDULE, "additionalProperties": False},
        ]
    },
    "duration": {"type": "string", "pattern": _DURATION_PATTERN},
    "seconds": {"anyOf": [{"type": "number", "minimum": 0}, {"$ref": "#/$defs/duration"}]},
    "dollars": {"anyOf": [{"type": "number"}, {"type": "string", "pattern": _DOLLARS_PATTERN}]},
    "lockout": {
        "anyOf": [
            {"type": ["boolean", "null"]},
            {"enum": ["reset", "daily_reset", "until_reset"]},
            {"$ref": "#/$defs/duration"},
            {"type": "object", "properties": _LOCK_KEYS, "additionalProperties": False},
        ]
    },
}


def risk_schema(classes: Mapping[str, type[Rule]] = RULES) -> Schema:
    """Of `risk_config.yaml`; `classes` are the rules there are, by name."""
    schema = RiskFile.model_json_schema()
    defs: Schema = {**schema.pop("$defs"), **_SHARED}
    for name, rule_class in classes.items():
        defs[f"{name}_changes"] = _changes(rule_class)
        defs[name] = _whole(rule_class)
    defs["free"] = _freely_named(classes)
    defs["member"] = {"allOf": [{"$ref": "#/$defs/free"}, {"not": _says_any("enabled", "warn_at", *COMMON_ALIASES)}]}
    sections = schema["properties"]
    sections["rules"] = {
        **_described(sections["rules"]),
        "type": "object",
        "minProperties": 1,
        "properties": {name: {"$ref": f"#/$defs/{name}"} for name in classes},
        "patternProperties": {_not_one_of(classes): {"$ref": "#/$defs/free"}},
        "additionalProperties": False,
    }
    sections["overrides"] = {
        **_described(sections["overrides"]),
        "type": "object",
        "additionalProperties": {
            "type": "object",
            "properties": {name: {"$ref": f"#/$defs/{name}_changes"} for name in classes},
            "additionalProperties": {"type": "object"},
        },
    }
    return {"$schema": DIALECT, **schema, "title": "risk_config.yaml", "$defs": defs}


def accounts_schema() -> Schema:
    """Of `accounts.yaml`."""
    return {"$schema": DIALECT, **AccountsFile.model_json_schema(), "title": "accounts.yaml"}


def as_text(schema: Schema) -> str:
    """As in a file."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _changes(rule_class: type[Rule]) -> Schema:
    """Options of a rule, none of them required."""
    fields = fields_of(rule_class)
    own = {spelling for field in fields for spelling in spellings(field.name)}
    common = [field for field in common_fields() if field.name not in own]
    aliases: Mapping[str, str] = getattr(rule_class, "aliases", {})
    properties: Schema = {"enabled": {"type": "boolean", "default": True}, "rule": {"const": rule_class.name}}
    for field in (*fields, *common):
        properties.update(_options(field))
    older = {**aliases, **{old: new for old, new in COMMON_ALIASES.items() if old not in own}}
    properties.update({old: {**properties[new], "deprecated": True} for old, new in older.items() if new in properties})
    properties.update(_FLAT_LOCK if "lockout" in own else {})
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _whole(rule_class: type[Rule]) -> Schema:
    """A rule's section with everything that is required."""
    aliases: Mapping[str, str] = getattr(rule_class, "aliases", {})
    needed = [
        _says_any(*spellings(field.name), *(old for old, new in aliases.items() if new in spellings(field.name)))
        for field in fields_of(rule_class)
        if field.required
    ]
    return {"allOf": [{"$ref": f"#/$defs/{rule_class.name}_changes"}, *needed]}


_FLAT_LOCK: Schema = {
    "lockout_on_breach": {"type": "boolean", "deprecated": True},
    "lockout_until": {**_LOCK_KEYS["until"], "deprecated": True},
    "lockout_duration": {**_LOCK_KEYS["duration"], "deprecated": True},
    "lockout_duration_seconds": {**_LOCK_KEYS["duration_seconds"], "deprecated": True},
    "lockout_on_lock": {**_LOCK_KEYS["on_lock"], "deprecated": True},
    "on_lock": {**_LOCK_KEYS["on_lock"], "deprecated": True},
}


def _freely_named(classes: Mapping[str, type[Rule]]) -> Schema:
    """A section of another name: a rule it names, or a composition."""
    members = {"type": "array", "minItems": 2, "items": {"$ref": "#/$defs/member"}}
    own: Schema = {"all_of": members, "any_of": members, "not": {"$ref": "#/$defs/member"}}
    properties: Schema = {"enabled": {"type": "boolean", "default": True}}
    for field in composed_fields():
        properties.update(_options(field))
    properties.update(_FLAT_LOCK)
    composed = [
        {
            "if": {"required": [word]},
            "then": {"properties": {**properties, word: own[word]}, "additionalProperties": False},
        }
        for word in COMPOSITIONS
    ]
    named = [{"if": _is_rule(name), "then": {"$ref": f"#/$defs/{name}"}} for name in classes]
    return {
        "type": "object",
        "properties": {"rule": {"enum": [*classes]}},
        "oneOf": [{"required": [word]} for word in ("rule", *COMPOSITIONS)],
        "allOf": [*named, *composed],
    }


def _is_rule(name: str) -> Schema:
    return {"required": ["rule"], "properties": {"rule": {"const": name}}}


def _says_any(*options: str) -> Schema:
    return {"anyOf": [{"required": [option]} for option in options]}


def _not_one_of(names: Mapping[str, Any]) -> str:
    return f"^(?!(?:{'|'.join(names)})$){NAME_PATTERN.replace('*', f'{{0,{MOST_NAME - 1}}}')}$"


def _described(schema: Schema) -> Schema:
    return {key: value for key, value in schema.items() if key in ("description", "examples", "default")}


def _options(field: types.Field) -> Schema:
    """What may be written for a field, by each of its spellings."""
    described: Schema = {"description": f"{meaning(field)}; default {default_text(field)}"}
    found: Schema = {}
    for spelling in spellings(field.name):
        unit = "micros" if field.name.endswith("_micros") else "seconds" if field.name.endswith("_ns") else ""
        found[spelling] = {**described, **_value(field.type, unit)}
    return found


def _value(kind: types.Type, unit: str) -> Schema:
    if isinstance(kind, types.UnionType):
        inner = [one for one in kind.types if not isinstance(one, types.NoneType)]
        schema = _value(inner[0], unit)
        return schema if schema == _LOCK else {"anyOf": [schema, {"type": "null"}]}
    match kind:
        case types.StructType() if kind.cls is LockTerms:
            return _LOCK
        case types.StructType() if kind.cls is Schedule:
            return {"$ref": "#/$defs/schedule"}
        case types.StructType():
            return _struct(kind)
        case types.VarTupleType():
            return {"type": "array", "items": _value(kind.item_type, unit)}
        case types.DictType():
            return {"type": "object", "additionalProperties": _value(kind.value_type, unit)}
        case types.BoolType():
            return {"type": "boolean"}
        case types.EnumType():
            return {"enum": [str(member.value) for member in kind.cls]}
        case types.IntType():
            return _number(kind, unit)
    return {"type": "string", "minLength": 1}


_LOCK: Schema = {"$ref": "#/$defs/lockout"}


def _number(kind: types.IntType, unit: str) -> Schema:
    if unit == "micros":
        is_magnitude = kind.gt is not None and kind.gt >= 0
        schema: Schema = {"$ref": "#/$defs/dollars"}
        return {**schema, "not": {"const": 0}} if is_magnitude else schema
    if unit:
        schema = {"$ref": "#/$defs/seconds"}
        return {**schema, "not": {"const": 0}} if kind.gt == 0 else schema
    bounds = {"exclusiveMinimum": kind.gt, "minimum": kind.ge, "exclusiveMaximum": kind.lt, "maximum": kind.le}
    return {"type": "integer", **{word: bound for word, bound in bounds.items() if bound is not None}}


def _struct(kind: types.StructType) -> Schema:
    properties: Schema = {}
    for field in kind.fields:
        properties.update(_options(field))
    schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    needed = [_says_any(*spellings(field.name)) for field in kind.fields if field.required]
    return {**schema, "allOf": needed} if needed else schema

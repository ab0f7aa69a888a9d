"""From pydantic's errors to faults with a place and advice."""

from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from risk_manager.config.document import Document, KeyPath
from risk_manager.config.faults import Fault, shown, suggestion

_WRONG_TYPE = {
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "list_type": "must be a list",
    "dict_type": "must be a section with its own lines",
    "model_type": "must be a section with its own lines",
}
_BOUNDS = {
    "greater_than": ("must be above", "gt"),
    "greater_than_equal": ("must be at least", "ge"),
    "less_than": ("must be below", "lt"),
    "less_than_equal": ("must be at most", "le"),
}


def validated[Model: BaseModel](model: type[Model], document: Document, faults: list[Fault]) -> Model | None:
    """The document as a model; None if it has faults, which are added to `faults`."""
    faults.extend(document.faults)
    if document.data is None:
        if not document.faults:
            faults.append(document.fault((), "is empty"))
        return None
    try:
        checked = model.model_validate(document.data)
    except ValidationError as invalid:
        details = invalid.errors(include_url=False)
        faults.extend(_fault(model, document, one) for one in details if not document.is_misread(one["loc"]))
        return None
    return None if document.faults else checked


def _fault(model: type[BaseModel], document: Document, error: ErrorDetails) -> Fault:
    path: KeyPath = error["loc"]
    kind, value = error["type"], error["input"]
    context: dict[str, Any] = error.get("ctx", {})
    field = _field_at(model, path)
    example = f"write {field.examples[0]}" if field is not None and field.examples else ""
    if kind == "refused":
        return document.fault(path, context["problem"], context["instead"])
    if kind == "missing":
        return document.fault(path, "is missing", example or "add it")
    if kind == "extra_forbidden":
        return document.fault(
            path, "is not known", suggestion(str(path[-1]), _fields_of(model, path[:-1])), at_key=True
        )
    if kind == "too_short":
        return document.fault(path, "is empty", example)
    if kind == "literal_error":
        return document.fault(path, f"must be {context['expected']}, not {shown(value)}")
    if kind in _WRONG_TYPE:
        return document.fault(path, f"{_WRONG_TYPE[kind]}, not {_described(value)}", _type_advice(kind, value, example))
    if kind in _BOUNDS:
        words, bound = _BOUNDS[kind]
        return document.fault(path, f"{words} {context[bound]}, not {shown(value)}")
    return document.fault(path, f"{error['msg']}: {shown(value)}", example)


def _described(value: object) -> str:
    if value is None:
        return "empty"
    if isinstance(value, dict):
        return "a section"
    return "a list" if isinstance(value, list) else shown(value)


def _type_advice(kind: str, value: object, example: str) -> str:
    if kind == "int_type" and isinstance(value, str) and value.isascii() and value.isdigit():
        return f"write {value} without quotes"
    if kind == "string_type" and isinstance(value, int | float) and not isinstance(value, bool):
        return f'write "{value}" in quotes'
    return example


def _fields_of(model: type[BaseModel], path: KeyPath) -> tuple[str, ...]:
    """The keys that are known at a path."""
    if not path:
        return tuple(model.model_fields)
    field = _field_at(model, path)
    inner = None if field is None else _model_in(field.annotation)
    return () if inner is None else tuple(inner.model_fields)


def _field_at(model: type[BaseModel], path: KeyPath) -> FieldInfo | None:
    """The field a path leads to; a list's index belongs to the list's field."""
    field: FieldInfo | None = None
    inner: type[BaseModel] | None = model
    for part in path:
        if isinstance(part, int):
            continue
        field = None if inner is None else inner.model_fields.get(part)
        if field is None:
            return None
        inner = _model_in(field.annotation)
    return field


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part)) is not None), None)

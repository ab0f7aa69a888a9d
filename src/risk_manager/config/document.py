"""Reading one YAML file into plain values, each with its place, and nothing that could be misread.

YAML readers disagree about `17:00` (the number 1020 for some), `0930`, `on` and repeated keys. What two readers could
take for two things is refused here with what to write instead. Anchors, aliases, tags and several documents in a file
are refused too: a configuration needs none of them, and each has been used to hide something.
"""

import math
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionStartEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
    StreamStartEvent,
)

from risk_manager.config.faults import Fault, shown

MOST_BYTES = 64 * 1024
MOST_DEPTH = 8

KeyPath = tuple[str | int, ...]

_TIME = re.compile(r"[0-9]{1,2}:[0-9]{1,2}(:[0-9]{1,2})?")
_WHOLE = re.compile(r"[-+]?[0-9]+")
_DECIMAL = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)|[-+]?(nan|NaN|NAN|inf|Inf|INF|infinity|Infinity)")
_OTHER_BASE = re.compile(r"[-+]?0[xXoObB][0-9a-fA-F_]+")
_PLACEHOLDER = re.compile(r"\$\{|\$\(")
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
}


class Place(NamedTuple):
    """A place in a file, from 1."""

    line: int
    column: int


class Document:
    """A file's values with their places, and the faults found while reading it.

    Attributes:
        data: plain values; None if the file could not be read, said by a fault.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self.data: Any = None
        self.faults: list[Fault] = []
        self._keys: dict[KeyPath, Place] = {}
        self._values: dict[KeyPath, Place] = {(): Place(1, 1)}
        self._misread: set[KeyPath] = set()

    def holds(self, path: KeyPath) -> bool:
        """Whether the file says something at this path."""
        return path in self._values

    def is_misread(self, path: KeyPath) -> bool:
        """Whether the value at the path, or around it, has a fault already, so that its value means nothing."""
        return any(path[:length] in self._misread for length in range(len(path) + 1))

    def fault(self, path: KeyPath, problem: str, instead: str = "", *, at_key: bool = False) -> Fault:
        """A fault at a path, placed at the deepest part of it that is in the file."""
        for length in range(len(path), -1, -1):
            places = self._keys if at_key or length < len(path) else self._values
            place = places.get(path[:length]) or self._values.get(path[:length])
            if place is not None:
                return Fault(self.file, *place, dotted(path), problem, instead)
        raise AssertionError(path)

    def note_key(self, path: KeyPath, place: Place) -> None:
        self._keys[path] = place

    def note_value(self, path: KeyPath, place: Place) -> None:
        self._values[path] = place

    def note_misread(self, path: KeyPath, place: Place, problem: str, instead: str = "") -> None:
        self.faults.append(Fault(self.file, *place, dotted(path), problem, instead))
        self._misread.add(path)


def dotted(path: KeyPath) -> str:
    """A path as people write it: `accounts[0].mode`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def read_document(path: Path) -> Document:
    """A file's document; whatever is wrong with it is in its faults."""
    document = Document(path.name)
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        document.faults.append(Fault(path.name, 0, 0, "", f"is missing in {path.parent}", "copy the example beside it"))
        return document
    except OSError as error:
        document.faults.append(Fault(path.name, 0, 0, "", f"cannot be read: {error.strerror}"))
        return document
    if len(content) > MOST_BYTES:
        document.faults.append(Fault(path.name, 0, 0, "", f"is larger than {MOST_BYTES // 1024} KiB"))
        return document
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        document.faults.append(Fault(path.name, line, 1, "", "is not UTF-8 text", "save the file as UTF-8"))
        return document
    _parse(text, document)
    return document


class _Refused(Exception):
    """The file cannot be read any further; the reason is among the document's faults."""


def _parse(text: str, document: Document) -> None:
    events: Iterator[Event] = YAML(typ="safe", pure=True).parse(text)
    try:
        document.data = _Builder(events, document).document()
    except _Refused:
        document.data = None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)
        problem = "; ".join(part for part in (error.context, error.problem) if part)
        instead = "check indentation, colons, quotes and brackets up to here"
        document.faults.append(Fault(document.file, line, column, "", f"is not valid YAML: {problem}", instead))
    except (YAMLError, ValueError, OverflowError) as error:
        # The last two: escapes of characters that do not exist.
        problem = str(error).splitlines()[0] if str(error) else type(error).__name__
        document.faults.append(Fault(document.file, 0, 0, "", f"is not valid YAML: {problem}"))


class _Builder:
    """Turns the parser's events into values; stops at what makes the rest of the file meaningless."""

    def __init__(self, events: Iterator[Event], document: Document) -> None:
        self._events = events
        self._document = document

    def document(self) -> Any:
        """The value of the only document in the stream."""
        data: Any = None
        count = 0
        for event in self._events:
            match event:
                case StreamStartEvent() | StreamEndEvent() | DocumentEndEvent():
                    continue
                case DocumentStartEvent():
                    count += 1
                    if event.version is not None or event.tags:
                        self._refuse(event, (), "has a % directive", "remove it")
                    if count > 1:
                        self._refuse(event, (), "holds more than one document", "remove the line ---")
                case _:
                    data = self._value(event, (), 1)
        return data

    def _value(self, event: Event, path: KeyPath, depth: int) -> Any:
        self._document.note_value(path, _place(event))
        assert isinstance(event, NodeEvent), event
        if isinstance(event, AliasEvent) or event.anchor is not None:
            self._refuse(event, path, "anchors (&) and aliases (*) are not allowed", "write the value out, or quote it")
        assert isinstance(event, ScalarEvent | CollectionStartEvent), event
        if event.tag is not None:
            self._refuse(event, path, "tags (!) are not allowed", "write the plain value, or quote it")
        if isinstance(event, ScalarEvent):
            return self._scalar(event, path)
        if depth > MOST_DEPTH:
            self._refuse(event, path, f"is nested deeper than {MOST_DEPTH} levels")
        if isinstance(event, MappingStartEvent):
            return self._mapping(path, depth)
        assert isinstance(event, SequenceStartEvent), event
        return self._sequence(path, depth)

    def _sequence(self, path: KeyPath, depth: int) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self._events), SequenceEndEvent):
            items.append(self._value(event, (*path, len(items)), depth + 1))
        return items

    def _mapping(self, path: KeyPath, depth: int) -> dict[str, Any]:
        items: dict[str, Any] = {}
        while not isinstance(event := next(self._events), MappingEndEvent):
            key = self._key(event, path)
            inner = (*path, key)
            place = _place(event)
            value_event = next(self._events)
            value = self._value(value_event, inner, depth + 1)
            if isinstance(value_event, ScalarEvent) and value_event.style is None and not value_event.value:
                # Nothing stands there; the parser places it at whatever comes next.
                self._document.note_value(inner, place)
            if key in items:
                first = self._document.fault(inner, "", at_key=True).line
                self._document.note_misread(
                    inner, place, f"is written twice, first in line {first}", "keep one of them"
                )
                continue
            self._document.note_key(inner, place)
            items[key] = value
        return items

    def _key(self, event: Event, path: KeyPath) -> str:
        if not isinstance(event, ScalarEvent) or event.anchor is not None or event.tag is not None:
            self._refuse(event, path, "a key must be a plain word", "write key: value")
        key = str(event.value)
        problem = _text_problem(key)
        if problem is not None or key == "<<":
            self._refuse(
                event, path, f"the key {shown(key)} {problem or 'merges another mapping, which is not allowed'}"
            )
        return key

    def _scalar(self, event: ScalarEvent, path: KeyPath) -> Any:
        text = str(event.value)
        is_plain = event.style is None
        if is_plain and text in _WORDS:
            return _WORDS[text]
        problem, instead = _plain_problem(text) if is_plain else (None, "")
        if problem is None:
            problem = _text_problem(text)
        if problem is None and _PLACEHOLDER.search(text):
            problem = f"{shown(text)} looks like a variable, and variables are not replaced in configuration files"
            instead = "write the value itself; secrets belong in .env or the environment"
        if problem is not None:
            self._document.note_misread(path, _place(event), problem, instead)
            return text
        if is_plain and _WHOLE.fullmatch(text):
            return int(text)
        return float(text) if is_plain and _DECIMAL.fullmatch(text) else text

    def _refuse(self, event: Event, path: KeyPath, problem: str, instead: str = "") -> NoReturn:
        self._document.note_misread(path, _place(event), problem, instead)
        raise _Refused


def _place(event: Event) -> Place:
    mark = event.start_mark
    return Place(mark.line + 1, mark.column + 1)


def _plain_problem(text: str) -> tuple[str | None, str]:
    """What two readers could take an unquoted text for, and what to write instead."""
    if _TIME.fullmatch(text):
        return f"the time {text} is not quoted, and some programs read it as a number", f'write "{text}"'
    if _NOT_FINITE.fullmatch(text):
        return f"{text} is not a number one can compare with", "write a finite number"
    if _OTHER_BASE.fullmatch(text):
        return f"{text} is not a decimal number", "write it in decimal, or quote it"
    if _WHOLE.fullmatch(text):
        return _whole_problem(text)
    if _DECIMAL.fullmatch(text):
        number = float(text)
        if not math.isfinite(number) or Decimal(repr(number)) != Decimal(text):
            return f"{shown(text)} has more digits than can be kept exactly", "write fewer digits"
    return None, ""


def _whole_problem(text: str) -> tuple[str | None, str]:
    digits = text.lstrip("+-")
    if len(digits) > 15:
        return f"{shown(text)} is too large", "write a smaller number"
    if len(digits) > 1 and digits.startswith("0"):
        time = f'"{digits[:2]}:{digits[2:]}" for a time, ' if len(digits) == 4 else ""
        return (
            f"{text} begins with a zero, and programs disagree what that means",
            f"write {time}{int(text)} for a number",
        )
    return None, ""


def _text_problem(text: str) -> str | None:
    if not text or text != text.strip():
        return "is empty or padded with spaces"
    return None if text.isprintable() else f"{shown(text)} holds line breaks or control characters"

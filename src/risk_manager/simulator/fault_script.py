"""The fault language: what goes wrong at the simulated gateway and when, written down and read back.

A script is a small YAML document. A key is an instant (`at 12s`) or a pace (`every 5m`), a value one sentence or a
list of them. Of YAML it takes no more than that: keys, plain or quoted text, lists with dashes, comments. So every
line is understood by itself, and all faults of a script are told at once.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from risk_manager.simulator.fault_verbs import VERBS, Lasting, Verb
from risk_manager.simulator.fault_words import KINDS, NotUnderstood, duration_ms, duration_word, parts_of

MOST_STEPS = 10_000
_MOST_TIMES = 1_000_000
_NAME_WORDS = max(len(name.split()) for name in VERBS)
_COMMENT = re.compile(r"(^|\s)#.*")


class Sentence(msgspec.Struct, frozen=True):
    """One fault.

    Attributes:
        values: what stands in the places of the verb's form, None where an option was left out.
        for_ms: how long it lasts; None is a moment, or until it is stopped.
        times: how many calls it is about; None where it is not counted.
    """

    verb: str
    values: tuple[int | str | None, ...] = ()
    for_ms: int | None = None
    times: int | None = None

    def __str__(self) -> str:
        words = [self.verb]
        left = list(self.values)
        for is_optional, part in parts_of(VERBS[self.verb].form):
            if is_optional and left[0] is None:
                break
            words.append(KINDS[part].write(left.pop(0)) if part in KINDS else part)
        if self.for_ms is not None:
            words += ["for", duration_word(self.for_ms)]
        return " ".join(words) + (f", {self.times} times" if self.times is not None else "")


class Step(msgspec.Struct, frozen=True):
    """A fault with its time: at an instant after the start, or at this pace."""

    at_ms: int
    is_repeated: bool
    sentence: Sentence

    @property
    def key(self) -> str:
        return f"{'every' if self.is_repeated else 'at'} {duration_word(self.at_ms)}"


class Script(msgspec.Struct, frozen=True):
    """Faults by time: those of an instant first, each in the order they were written in."""

    steps: tuple[Step, ...] = ()

    @classmethod
    def of(cls, steps: Iterable[Step]) -> "Script":
        """The script of these steps."""
        return cls(tuple(sorted(steps, key=lambda step: (step.is_repeated, step.at_ms))))

    def __str__(self) -> str:
        """The YAML that reads back to this script; empty without a step."""
        by_key: dict[str, list[str]] = {}
        for step in self.steps:
            by_key.setdefault(step.key, []).append(str(step.sentence))
        lines = []
        for key, sentences in by_key.items():
            if len(sentences) == 1:
                lines.append(f"{key}: {sentences[0]}\n")
            else:
                lines += [f"{key}:\n", *(f"  - {each}\n" for each in sentences)]
        return "".join(lines)


class ScriptFault(msgspec.Struct, frozen=True):
    """One thing wrong with a script: in which line (None: it has none), under which key, and what."""

    line: int | None
    key: str
    problem: str

    def __str__(self) -> str:
        place = [] if self.line is None else [f"line {self.line}"]
        return ", ".join([*place, *([self.key] if self.key else [])]) + f": {self.problem}"


class ScriptRefused(Exception):
    """A script with faults; all of them are told."""

    def __init__(self, faults: Iterable[ScriptFault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(map(str, self.faults)))


def parse_sentence(text: str) -> Sentence:
    """What a sentence says.

    Raises:
        NotUnderstood: with what is wrong and what could stand there.
    """
    words = text.replace(",", " ").split()
    name = next((each for each in _beginnings(words) if each in VERBS), None)
    if name is None:
        said = repr(words[0]) if words else "nothing"
        raise NotUnderstood(f"no verb begins with {said}; there are {', '.join(VERBS)}")
    verb = VERBS[name]
    words, for_ms, times = _span(verb, words[len(name.split()) :])
    return Sentence(name, _values(verb, words), for_ms, times)


def parse_script(text: str) -> Script:
    """What a script says.

    Raises:
        ScriptRefused: with everything that is wrong.
    """
    faults: list[ScriptFault] = []
    script = _script(_lines(text, faults), faults)
    if faults:
        raise ScriptRefused(sorted(faults, key=lambda each: each.line or 0))
    return script


def script_of(document: Mapping[str, str | list[str]]) -> Script:
    """What a document says that was read already, as from JSON.

    Raises:
        ScriptRefused: with everything that is wrong.
    """
    faults: list[ScriptFault] = []
    rows: list[_Row] = []
    for key, value in document.items():
        sentences = [value] if isinstance(value, str) else value
        rows += [(None, key, None), *((None, key, each) for each in sentences)]
    script = _script(rows, faults)
    if faults:
        raise ScriptRefused(faults)
    return script


# Line number, key, and a sentence under it; None for the key itself.
_Row = tuple[int | None, str, str | None]


def _script(rows: Iterable[_Row], faults: list[ScriptFault]) -> Script:
    steps: list[Step] = []
    known: dict[tuple[bool, int], int | None] = {}
    time: tuple[bool, int] | None = None
    for line, key, text in rows:
        try:
            if text is None:
                time = None
                time = _unique_time(key, line, known)
            else:
                sentence = parse_sentence(text)
                if time is not None:
                    steps.append(Step(time[1], time[0], sentence))
        except NotUnderstood as fault:
            faults.append(ScriptFault(line, key, str(fault)))
    if len(steps) > MOST_STEPS:
        faults.append(ScriptFault(None, "", f"more than {MOST_STEPS} faults"))
    return Script.of(steps)


def _unique_time(key: str, line: int | None, known: dict[tuple[bool, int], int | None]) -> tuple[bool, int]:
    word, _, duration = key.partition(" ")
    try:
        time = word.lower() == "every", duration_ms(duration.strip())
    except NotUnderstood:
        time = False, -1
    if word.lower() not in ("at", "every") or time[1] < 0 or time == (True, 0):
        raise NotUnderstood("write `at 12s` or `every 5m`, with a time such as 200ms, 12s or 1m30s")
    if time in known:
        first = "" if known[time] is None else f", first in line {known[time]}"
        raise NotUnderstood(f"this time is written twice{first}; put the sentences into one list")
    known[time] = line
    return time


def _lines(text: str, faults: list[ScriptFault]) -> Iterator[_Row]:
    key, has_sentence, takes_list = "", True, False
    key_line = 0
    for number, raw in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        line = _COMMENT.sub("", raw).rstrip()
        if not line or (line == "---" and not key):
            continue
        name, colon, value = line.partition(":")
        is_pair = colon and not value[:1].strip() and not line.startswith((" ", "\t", "- "))
        if line.lstrip().startswith("- ") and takes_list:
            has_sentence = True
            yield number, key, _unquoted(line.lstrip()[2:])
        elif is_pair:
            if not has_sentence:
                faults.append(ScriptFault(key_line, key, "nothing is said to happen"))
            key, value = _unquoted(name), value.strip()
            key_line, has_sentence, takes_list = number, bool(value), not value
            yield number, key, None
            if value:
                yield number, key, _unquoted(value)
        else:
            faults.append(ScriptFault(number, key, "neither `time: sentence` nor `- sentence` in a list under a time"))
    if not has_sentence:
        faults.append(ScriptFault(key_line, key, "nothing is said to happen"))


def _unquoted(text: str) -> str:
    text = text.strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def _beginnings(words: list[str]) -> Iterator[str]:
    """What a sentence could mean by its verb, the longest first."""
    for count in range(min(_NAME_WORDS, len(words)), 0, -1):
        yield " ".join(words[:count]).lower()


def _span(verb: Verb, words: list[str]) -> tuple[list[str], int | None, int | None]:
    """The words before the span of a sentence, and the span."""
    for_ms = times = None
    if len(words) >= 2 and words[-2].lower() == "for":
        for_ms = _read("time", words[-1])
        words = words[:-2]
    elif len(words) >= 2 and words[-1].lower() in ("times", "time"):
        digits = words[-2]
        if not (digits.isascii() and digits.isdecimal() and len(digits) < 8 and 0 < int(digits) <= _MOST_TIMES):
            raise NotUnderstood(f"{digits!r} times: write a number from 1 to {_MOST_TIMES}")
        times = int(digits)
        words = words[:-2]
    if for_ms is not None and verb.lasting is Lasting.MOMENT:
        raise NotUnderstood(f"{verb.name!r} is done in a moment, and no time can be given; write: {verb.usage}")
    if times is not None and verb.lasting is not Lasting.CALLS:
        raise NotUnderstood(f"{verb.name!r} is not counted in times; write: {verb.usage}")
    return words, None if for_ms is None else int(for_ms), times


def _values(verb: Verb, words: list[str]) -> tuple[int | str | None, ...]:
    """The values of the words in the places of a form."""
    values: list[int | str | None] = []
    left = list(words)
    has_option: bool | None = None
    for is_optional, part in parts_of(verb.form):
        if is_optional and has_option is None:
            has_option = bool(left)
        is_place = part in KINDS
        if is_optional and not has_option:
            values += [None] * is_place
        elif not left or (not is_place and left[0].lower() != part):
            said = f" instead of {left[0]!r}" if left else ""
            wanted = f"<{part}>" if is_place else f"{part!r}"
            raise NotUnderstood(f"{wanted} is missing{said}; write: {verb.usage}")
        elif is_place:
            values.append(_read(part, left.pop(0)))
        else:
            left.pop(0)
    if left:
        raise NotUnderstood(f"{' '.join(left)!r} is too much; write: {verb.usage}")
    return tuple(values)


def _read(kind: str, word: str) -> int | str:
    try:
        return KINDS[kind].read(word)
    except NotUnderstood:
        raise NotUnderstood(f"{word!r} is not {KINDS[kind].known}") from None

"""What is wrong with a configuration: every fault of every file, said once and with its place."""

from collections.abc import Iterable

import msgspec

_SHOWN_LENGTH = 60
_WORDS = {"None": "nothing", "True": "true", "False": "false"}


class Fault(msgspec.Struct, frozen=True):
    """One thing to correct.

    Attributes:
        file: the file's name; for the environment what it is called.
        line, column: from 1; 0 where the fault has no place in a file.
        path: where in the file's structure (`accounts[0].mode`), empty for the file as a whole.
        problem: what is wrong.   instead: what to write; empty if the problem says it.
    """

    file: str
    line: int
    column: int
    path: str
    problem: str
    instead: str = ""

    def __str__(self) -> str:
        place = f"{self.file}, line {self.line}, column {self.column}" if self.line else self.file
        subject = f"{place}, {self.path}" if self.path else place
        return f"{subject}: {self.problem}{f'; {self.instead}' if self.instead else ''}"


class ConfigInvalid(Exception):
    """The configuration cannot be used; `faults` holds every reason, in the order of files and lines."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(
            sorted(set(faults), key=lambda one: (one.file, one.line, one.column, one.path, one.problem))
        )
        super().__init__(self.faults)

    def __str__(self) -> str:
        count = len(self.faults)
        head = f"The configuration has {count} fault{'' if count == 1 else 's'}:"
        return "\n".join([head, *(f"  {fault}" for fault in self.faults)])


def shown(value: object) -> str:
    """A value as a message may repeat it: as in the file, escaped, and short."""
    text = _WORDS.get(repr(value), repr(value))
    return text if len(text) <= _SHOWN_LENGTH else f"{text[: _SHOWN_LENGTH - 3]}..."


def suggestion(name: str, known: Iterable[str]) -> str:
    """What to write instead of an unknown name: the nearest known one, else all of them."""
    # Imported here: it is needed for a mistake only.
    from difflib import get_close_matches

    names = sorted(known)
    near = get_close_matches(name.lower(), [one.lower() for one in names], n=1, cutoff=0.6)
    if near:
        return f"did you mean {next(one for one in names if one.lower() == near[0])}?"
    return f"known here: {', '.join(names)}" if names else "nothing is known here"

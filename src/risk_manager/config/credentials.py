"""The venue's user name and key, from the environment or a `.env` file; never from YAML, never printed."""

import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from risk_manager.config.faults import Fault

USER_NAME = "PROJECT_X_USERNAME"
API_KEY = "PROJECT_X_API_KEY"

_FILE = ".env"
_MOST_BYTES = 64 * 1024
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Secret:
    """A text that shows itself only to who asks for it by `reveal`."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself; keep it out of logs, messages and addresses."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(hidden)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a secret is not to be copied into files or other processes")


class Credentials(msgspec.Struct, frozen=True):
    """Who logs in, and the key."""

    username: str
    api_key: Secret


def read_credentials(directory: Path, environ: Mapping[str, str], faults: list[Fault]) -> Credentials | None:
    """The credentials; None if they are incomplete, said by a fault.

    The environment comes first, then `.env` in the directory, then `.env` in its parent, each name by itself.
    """
    found: dict[str, str] = {}
    for file in (directory.resolve().parent / _FILE, directory / _FILE):
        found.update(_read_file(file, faults))
    found.update({name: environ[name] for name in (USER_NAME, API_KEY) if environ.get(name, "").strip()})
    missing = [name for name in (USER_NAME, API_KEY) if name not in found]
    if missing:
        problem = f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set"
        instead = f"set {USER_NAME} and {API_KEY} there, or in a file .env in {directory} or its parent"
        faults.append(Fault("environment", 0, 0, "", problem, instead))
        return None
    unusable = [name for name, value in found.items() if not value.isprintable() or "${" in value]
    for name in unusable:
        problem = f"{name} holds control characters or a variable, and variables are not replaced"
        faults.append(Fault("environment", 0, 0, "", problem, "write the value itself"))
    return None if unusable else Credentials(found[USER_NAME].strip(), Secret(found[API_KEY].strip()))


def _read_file(file: Path, faults: list[Fault]) -> dict[str, str]:
    """Our two names as far as the file sets them; `#` lines and other names are somebody else's."""
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        faults.append(Fault(_FILE, 0, 0, "", f"{file} cannot be read: {error.strerror}"))
        return {}
    try:
        text = content[:_MOST_BYTES].decode("utf-8-sig")
    except UnicodeDecodeError:
        faults.append(Fault(_FILE, 0, 0, "", f"{file} is not UTF-8 text", "save the file as UTF-8"))
        return {}
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.partition("=")
        name, value = name.strip(), _unquoted(value.strip())
        # The line itself is never repeated: it may hold the key.
        if not equals or not _NAME.fullmatch(name):
            faults.append(Fault(_FILE, number, 1, "", "is not a line of the form NAME=value", "remove or correct it"))
        elif name in found:
            faults.append(Fault(_FILE, number, 1, name, "is set twice", "keep one of them"))
        elif name in (USER_NAME, API_KEY) and value:
            found[name] = value
    return found


def _unquoted(value: str) -> str:
    is_quoted = len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if is_quoted else value

"""The last configuration without a fault, kept in the data directory for a start at which the files have some.

A file damaged while the guard stood still must not leave the accounts unguarded: whoever wants no guard would damage
one. What was accepted is kept as it was written, the files of the user's own rules included. Credentials are not.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import structlog

from risk_manager.config import ConfigInvalid, GuardConfig, load_config
from risk_manager.config.load import ACCOUNTS_FILE, RISK_FILE, custom_files
from risk_manager.config.places import placed
from risk_manager.persistence.whole_file import write_whole

FILE_NAME = "accepted.json"
_DATA_DIR = re.compile(rb"""^data_dir:[ \t]*["']?([^"'#\r\n]+)""", re.MULTILINE)

log = structlog.get_logger("configuration")


class _Accepted(msgspec.Struct, frozen=True):
    """The directory it was read from, and the content of each file by its place among them."""

    directory: str
    files: dict[str, bytes]


def load_and_keep(directory: Path, environ: Mapping[str, str] = os.environ) -> GuardConfig:
    """The configuration that is written; it is the last accepted one from now on, as far as the disk allows.

    Raises:
        ConfigInvalid: it has faults; what was kept stays.
    """
    config = load_config(directory, environ)
    try:
        _keep(config, directory, environ)
    except OSError as error:
        log.error("accepted configuration not kept", error=str(error))
    return config


def load_or_last(directory: Path, environ: Mapping[str, str] = os.environ) -> tuple[GuardConfig, ConfigInvalid | None]:
    """The configuration that is written; where it has faults, the last accepted one and the faults.

    Raises:
        ConfigInvalid: it has faults, and no other can be used in its place.
    """
    try:
        return load_config(directory, environ), None
    except ConfigInvalid as invalid:
        for data_dir in _data_dirs(directory, environ):
            if (kept := _kept(data_dir, directory, environ)) is not None:
                return kept, invalid
        raise


def _keep(config: GuardConfig, directory: Path, environ: Mapping[str, str]) -> None:
    accepted = _Accepted(str(directory.resolve()), _files(directory))
    content = msgspec.json.encode(accepted)
    file = config.data_dir / FILE_NAME
    if file.exists() and file.read_bytes() == content:
        return
    # Somebody may have written again since it was read: only what leads to the same is kept.
    with _unpacked(accepted) as files, suppress(ConfigInvalid):
        if load_config(directory, environ, files=files).revision == config.revision:
            write_whole(file, content)


def _files(directory: Path) -> dict[str, bytes]:
    found = {name: (directory / name).read_bytes() for name in (ACCOUNTS_FILE, RISK_FILE)}
    return found | {str(place): path.read_bytes() for place, path in custom_files(directory).items()}


def _kept(data_dir: Path, directory: Path, environ: Mapping[str, str]) -> GuardConfig | None:
    """What was accepted last for this directory; None if nothing was, or it cannot be used."""
    try:
        accepted = msgspec.json.decode((data_dir / FILE_NAME).read_bytes(), type=_Accepted)
        if accepted.directory != str(directory.resolve()):
            return None
        with _unpacked(accepted) as files:
            return load_config(directory, environ, files=files)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError, ConfigInvalid) as error:
        log.critical("the last accepted configuration cannot be used", directory=str(data_dir), error=str(error))
        return None


@contextmanager
def _unpacked(accepted: _Accepted) -> Iterator[Path]:
    with TemporaryDirectory(prefix="risk-manager-accepted-") as folder:
        for name, content in accepted.files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        yield Path(folder)


def _data_dirs(directory: Path, environ: Mapping[str, str]) -> Iterator[Path]:
    """Where what was accepted may be: `accounts.yaml` may tell even if it cannot be read as a whole, or be gone."""
    with suppress(OSError, UnicodeDecodeError):
        for written in _DATA_DIR.findall((directory / ACCOUNTS_FILE).read_bytes()):
            yield placed(directory, written.decode().strip())
    # Of the service, as systemd tells it.
    if state := environ.get("STATE_DIRECTORY"):
        yield Path(state.split(":")[0])
    yield directory / "../data"

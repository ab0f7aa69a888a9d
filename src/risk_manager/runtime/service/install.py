"""Installing the guard as a systemd service: first everything that speaks against it, then step by step."""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from risk_manager.config.document import read_document
from risk_manager.config.load import ACCOUNTS_FILE
from risk_manager.runtime.service.systemd import STATE_DIRECTORY, UNIT, UNIT_FILE, ServiceSettings, unit_text
from risk_manager.runtime.service.trust import exchangeable, unreachable

NO_LOGIN = ("nologin", "false")
HIDDEN = (Path("/home"), Path("/root"), Path("/run/user"))
"""What the unit does not let the service see."""

USERADD = f"--system --user-group --no-create-home --home-dir {STATE_DIRECTORY} --shell /usr/sbin/nologin".split()

MOST_TOLD = 5


def obstacles(settings: ServiceSettings) -> list[str]:
    """Why the guard cannot be installed safely as it is, one line each; nothing if it can."""
    if sys.platform != "linux" or shutil.which("systemctl") is None:
        return ["this is for Linux with systemd"]
    if os.geteuid() != 0:
        return ["this changes the system: call it as root"]
    return list(dict.fromkeys([*_program(settings.python), *_configuration(settings.config), *_user(settings.user)]))


def install(settings: ServiceSettings) -> Iterator[str]:
    """Install and enable the service, telling each step after it is done. Nothing is started.

    Raises:
        OSError: a file cannot be written.
        CalledProcessError: a program of the system refused.
    """
    if _known(settings.user) is None:
        _call("useradd", *USERADD, settings.user)
        yield f"user {settings.user} made, who cannot log in"
    _compile(settings.python)
    yield "compiled: the service cannot do it, and would begin more slowly each time"
    _hand_over(settings.config, settings.user)
    yield f"{settings.config} is root's, and only {settings.user} may read it"
    _write(UNIT_FILE, unit_text(settings))
    yield f"{UNIT_FILE} written"
    _call("systemctl", "daemon-reload")
    _call("systemctl", "enable", "--quiet", UNIT)
    yield "begins with the next start of the machine"


def uninstall() -> Iterator[str]:
    """End the service and remove its unit; state, configuration and user stay.

    Raises:
        OSError, CalledProcessError: as `install`.
    """
    if UNIT_FILE.exists():
        _call("systemctl", "disable", "--now", "--quiet", UNIT)
        UNIT_FILE.unlink()
        yield f"{UNIT} stopped and removed"
    _call("systemctl", "daemon-reload")
    yield f"{STATE_DIRECTORY} stays: it holds the lockouts and the record"


def _program(python: Path) -> Iterator[str]:
    for part in (python, Path(sys.prefix), Path(sysconfig.get_path("stdlib"))):
        if (closed := unreachable(part)) is not None:
            yield f"program: {closed}"
        if any(part.is_relative_to(hidden) for hidden in HIDDEN):
            yield f"program: {part} is in somebody's home, which the service does not see"
        yield from _first("program", exchangeable(part))


def _configuration(directory: Path) -> Iterator[str]:
    if any(directory.is_relative_to(hidden) for hidden in HIDDEN):
        yield f"configuration: {directory} is in somebody's home, which the service does not see"
    faults = exchangeable(directory)
    yield from _first("configuration", faults)
    if faults:
        return
    # Not loaded: that would run rules of the trader's own, as root.
    document = read_document(directory / ACCOUNTS_FILE)
    given = document.data.get("data_dir", "../data") if isinstance(document.data, dict) else None
    if document.faults or given is None:
        yield f"configuration: {directory / ACCOUNTS_FILE} cannot be used; `risk-manager doctor` says why"
    elif (directory / str(given)).resolve() != STATE_DIRECTORY:
        yield f"configuration: data_dir is {given}; the service can write in {STATE_DIRECTORY} only"


def _user(name: str) -> Iterator[str]:
    shell = _known(name)
    if shell is not None and Path(shell).name not in NO_LOGIN:
        yield f"user {name} can log in ({shell}); the service needs a user of its own"


def _known(name: str) -> str | None:
    """The login shell of a user; None if there is no such user."""
    import pwd

    try:
        return pwd.getpwnam(name).pw_shell
    except KeyError:
        return None


def _compile(python: Path) -> None:
    folders = sysconfig.get_path("stdlib"), sysconfig.get_path("purelib")
    # Here and there lies a file that is no Python of today; that one is left out, and the program says so by failing.
    subprocess.run([python, "-I", "-m", "compileall", "-q", *folders], check=False, capture_output=True)  # noqa: S603


def _hand_over(directory: Path, user: str) -> None:
    """Root owns the configuration; the service may read it, and nobody else."""
    for each in (directory, *directory.rglob("*")):
        shutil.chown(each, "root", user)
        each.chmod(0o750 if each.is_dir() else 0o640)


def _write(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(text, encoding="utf-8")
    draft.chmod(0o644)
    draft.replace(path)


def _call(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603  # our own words, no shell


def _first(of: str, faults: list[str]) -> Iterator[str]:
    yield from (f"{of}: {fault}" for fault in faults[:MOST_TOLD])
    if len(faults) > MOST_TOLD:
        yield f"{of}: and {len(faults) - MOST_TOLD} more"

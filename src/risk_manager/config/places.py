"""Paths as they are written in the configuration: relative to its directory, `~` for somebody's home."""

from contextlib import suppress
from pathlib import Path


def placed(directory: Path, written: str) -> Path:
    """Where a written path leads; below the home of a user the machine does not know, it is taken as it is written."""
    path = Path(written)
    with suppress(RuntimeError):
        path = path.expanduser()
    return directory / path


def is_homeless(written: str) -> bool:
    """Whether a path begins with a home that the machine does not know."""
    try:
        Path(written).expanduser()
    except RuntimeError:
        return True
    return False

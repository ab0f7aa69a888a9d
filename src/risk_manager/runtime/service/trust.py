"""Whose files a service may run and obey: root's alone, with no way for anybody else to exchange them."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

ROOT = 0

NEVER_READ = (".lock",)
"""uv lets everybody write to the file it locks an environment by, and nothing reads it."""


def exchangeable(path: Path, *, owner: int = ROOT, below: Path | None = None) -> list[str]:
    """Why others than the owner could change what is at a path or in it, one line each; nothing if they cannot.

    Every directory and link on the way counts: who may write there may put something else in its place.

    Args:
        owner: the user id that must own all of it.
        below: a directory that is taken for safe, with all that lies above it; None takes nothing for safe.
    """
    way = [each for each in _way_to(path) if below is None or (each != below and each.is_relative_to(below))]
    return [fault for each in (*way, *_inside(path)) if (fault := _fault(each, owner)) is not None]


def unreachable(path: Path) -> str | None:
    """The first directory on the way to a path that does not let every user through; None if all do."""
    closed = (each for each in _way_to(path) if each.is_dir() and not each.stat().st_mode & stat.S_IXOTH)
    return next((f"{each} lets no other user through" for each in closed), None)


def _way_to(path: Path) -> Iterator[Path]:
    """Every directory and link that leads to a path, and what is there."""
    seen: set[Path] = set()
    ways = [path.absolute()]
    while ways:
        way = ways.pop()
        for each in (*reversed(way.parents), way):
            if each in seen:
                continue
            seen.add(each)
            yield each
            if each.is_symlink():
                ways.append(Path(os.path.normpath(each.parent.resolve() / each.readlink())))
                ways.append(way.resolve())


def _inside(path: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(path):
        yield from (Path(folder, name) for name in (*folders, *files) if name not in NEVER_READ)


def _fault(path: Path, owner: int) -> str | None:
    try:
        found = path.lstat()
    except OSError as error:
        return f"{path}: {error.strerror}"
    if found.st_uid != owner:
        return f"{path} belongs to user {found.st_uid}"
    if not stat.S_ISLNK(found.st_mode) and found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"{path} can be written by others"
    return None

"""Whether others could exchange what the service runs and obeys."""

import os
from pathlib import Path

import pytest

from risk_manager.runtime.service.trust import exchangeable, unreachable


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with a program in it, safe as it is."""
    (tmp_path / "opt" / "bin").mkdir(parents=True)
    (tmp_path / "opt" / "bin" / "python").write_text("", encoding="utf-8")
    for each in (tmp_path, *tmp_path.rglob("*")):
        each.chmod(0o755)
    return tmp_path


def faults_of(place: Path, path: str = "opt/bin") -> list[str]:
    found = exchangeable(place / path, owner=os.getuid(), below=place)
    return [fault.removeprefix(f"{place}/") for fault in found]


def test_finds_nothing_where_only_the_owner_may_write(place: Path) -> None:
    assert faults_of(place) == []
    assert faults_of(place, "opt/bin/python") == []


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o777, 0o1777])
@pytest.mark.parametrize("name", ["opt", "opt/bin", "opt/bin/python"])
def test_finds_what_others_may_write_above_and_below(place: Path, name: str, mode: int) -> None:
    (place / name).chmod(mode)
    assert faults_of(place) == [f"{name} can be written by others"]


def test_finds_what_belongs_to_somebody_else(place: Path) -> None:
    me = os.getuid()
    assert exchangeable(place / "opt" / "bin", owner=me + 1, below=place / "opt") == [
        f"{place}/opt/bin belongs to user {me}",
        f"{place}/opt/bin/python belongs to user {me}",
    ]


def test_follows_links_all_the_way(place: Path) -> None:
    (place / "home" / "versions").mkdir(parents=True)
    (place / "home" / "versions" / "python").write_text("", encoding="utf-8")
    (place / "opt" / "bin" / "middle").symlink_to("../../home/versions/python")
    (place / "opt" / "bin" / "start").symlink_to("middle")
    for each in (place / "home", place / "home" / "versions", place / "home" / "versions" / "python"):
        each.chmod(0o755)
    assert faults_of(place, "opt/bin/start") == []
    (place / "home").chmod(0o777)
    assert faults_of(place, "opt/bin/start") == ["home can be written by others"]


def test_tells_what_is_not_there(place: Path) -> None:
    assert faults_of(place, "opt/nowhere") == ["opt/nowhere: No such file or directory"]


def test_leaves_out_what_nobody_reads(place: Path) -> None:
    lock = place / "opt" / "bin" / ".lock"
    lock.touch()
    lock.chmod(0o666)
    assert faults_of(place) == []


def test_names_the_directory_that_lets_nobody_through(place: Path) -> None:
    assert unreachable(Path("/usr/bin/env")) is None
    place.chmod(0o700)
    found = unreachable(place / "opt" / "bin" / "python")
    assert found is not None
    assert found.endswith("lets no other user through")

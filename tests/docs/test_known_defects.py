"""docs/known-defects.md: every number is there once, and every test it names exists."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from risk_manager.rules import RULES

PROJECT = Path(__file__).resolve().parents[2]
PAGE = PROJECT / "docs" / "known-defects.md"
REGRESSIONS = sorted((PROJECT / "tests" / "regressions").glob("test_*.py"))

NUMBER = re.compile(r"[RLF]-\d\d")
NOT_BUILT = re.compile(r"not built: `(\w+)(/?)`")
EVERY = {
    *(f"R-{number:02}" for number in range(1, 27)),
    *(f"L-{number:02}" for number in range(1, 74)),
    *(f"F-{number:02}" for number in range(1, 20)),
}


def rows(page: str) -> dict[str, list[str]]:
    """The cells of every row of the tables, by its number."""
    found: dict[str, list[str]] = {}
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and NUMBER.fullmatch(cells[0]):
            assert cells[0] not in found, f"{cells[0]} is there twice"
            found[cells[0]] = cells
    return found


def named_in(row: list[str]) -> list[str]:
    return re.findall(r"`(tests/[^`]+)`", row[3])


@cache
def collected(path: Path) -> frozenset[str]:
    """The tests in a file as pytest names them, without their parameters."""
    return frozenset(_named(ast.parse(path.read_text(encoding="utf-8")).body, ""))


def _named(body: list[ast.stmt], within: str) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            yield from _named(node.body, f"{within}{node.name}::")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield within + node.name


def missing(row: list[str]) -> list[str]:
    """The tests a row names that do not exist."""
    named = [(test, *test.partition("::")[::2]) for test in named_in(row)]
    return [test for test, path, name in named if not _exists(PROJECT / path) or name not in collected(PROJECT / path)]


def _exists(path: Path) -> bool:
    return path.is_file() and path.name.startswith("test_")


ROWS = rows(PAGE.read_text(encoding="utf-8"))


def test_holds_every_number_once() -> None:
    (aside,) = re.findall(r"^Out of scope .*?\n\n", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    elsewhere = NUMBER.findall(aside)
    assert len(elsewhere) == len(set(elsewhere))
    assert not ROWS.keys() & set(elsewhere)
    assert ROWS.keys() | set(elsewhere) == EVERY
    assert all(number.startswith("L") for number in elsewhere)


@pytest.mark.parametrize("number", ROWS)
def test_says_what_prevents_a_defect_and_names_a_test_that_exists(number: str) -> None:
    row = ROWS[number]
    assert len(row) == 4
    assert row[1]
    assert row[2]
    assert missing(row) == []
    assert named_in(row) or NOT_BUILT.search(row[2]), "without a test it says what is not built"


@pytest.mark.parametrize("number", [number for number, row in ROWS.items() if NOT_BUILT.search(row[2])])
def test_does_not_call_unbuilt_what_is_there(number: str) -> None:
    """Once it is there, the row names what prevents the defect, and the test."""
    for name, folder in NOT_BUILT.findall(ROWS[number][2]):
        if folder:
            assert [path.name for path in (PROJECT / "src" / "risk_manager" / name).rglob("*.py")] == ["__init__.py"]
        else:
            assert name not in RULES


@pytest.mark.parametrize("path", REGRESSIONS, ids=[path.name for path in REGRESSIONS])
def test_names_each_regression_test_where_that_says_it_belongs(path: Path) -> None:
    said = {
        (number, f"{path.relative_to(PROJECT).as_posix()}::{node.name}")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for number in NUMBER.findall(ast.get_docstring(node) or "")
    }
    named = {(number, test) for number, row in ROWS.items() for test in named_in(row) if str(path.name) in test}
    assert said == named


def test_notices_a_row_that_is_wrong() -> None:
    page = "| No. |\n|---|\n| R-01 | a | b | `tests/docs/test_known_defects.py::test_that_is_not_there` |\n"
    assert missing(rows(page)["R-01"]) == ["tests/docs/test_known_defects.py::test_that_is_not_there"]
    assert missing(["R-01", "a", "b", "`tests/gone.py::test_a`"]) == ["tests/gone.py::test_a"]
    with pytest.raises(AssertionError, match="twice"):
        rows(page + page)

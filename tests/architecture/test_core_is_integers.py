"""The core computes with integers and reaches nothing outside: no float, no true division, no files, no printing."""

import ast
from pathlib import Path

import pytest

from tests.architecture.house import CORE, SOURCE

FORBIDDEN_NAMES = {"float", "complex", "Decimal", "Fraction"}
FORBIDDEN_CALLS = {"open", "print", "input", "breakpoint", "eval", "exec"}
# Reads the numbers a trader wrote, which arrive as floats, and makes integers of them.
BORDER = SOURCE / "rules" / "_options"
CORE_FILES = sorted(path for room in CORE for path in (SOURCE / room).rglob("*.py"))


def findings(text: str) -> list[str]:
    """What is wrong with a core module, one `line: what` per finding."""
    return [found for node in ast.walk(ast.parse(text)) if (found := _finding(node))]


def _finding(node: ast.AST) -> str:
    match node:
        case ast.Constant(value=float() | complex(), lineno=line):
            return f"{line}: number {node.value!r}"
        case ast.BinOp(op=ast.Div(), lineno=line) | ast.AugAssign(op=ast.Div(), lineno=line):
            return f"{line}: true division"
        case ast.Name(id=name, lineno=line) if name in FORBIDDEN_NAMES:
            return f"{line}: name {name}"
        case ast.Call(func=ast.Name(id=name, lineno=line)) if name in FORBIDDEN_CALLS:
            return f"{line}: call of {name}"
    return ""


@pytest.mark.parametrize("path", CORE_FILES, ids=[str(path.relative_to(SOURCE)) for path in CORE_FILES])
def test_holds_in_each_core_module(path: Path) -> None:
    found = findings(path.read_text(encoding="utf-8"))
    if path.is_relative_to(BORDER):
        found = [finding for finding in found if not finding.endswith(": name float")]
    assert found == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("half = 0.5", ["1: number 0.5"]),
        ("mean = total / count", ["1: true division"]),
        ("total /= 2", ["1: true division"]),
        ("def f(x: float) -> None: ...", ["1: name float"]),
        ("print(1)", ["1: call of print"]),
        ("\nopen('state')", ["2: call of open"]),
        ("mean = total // count", []),
        ("open = 3", []),
    ],
)
def test_reports_a_planted_float_division_or_call(text: str, expected: list[str]) -> None:
    assert findings(text) == expected

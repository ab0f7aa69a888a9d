"""A guard must start fast and small: importing it pulls in none of the heavy libraries."""

import json
import subprocess
import sys

import pytest

from tests.architecture.house import CORE, SOURCE

HEAVY = {"anthropic", "databento_dbn", "matplotlib", "mcp", "numpy", "pandas", "polars", "pyarrow", "scipy"}
# The daemon's rooms bring what they need; the core brings nothing beyond msgspec.
SHELL_ONLY = {"aiohttp", "asyncio", "pydantic", "rich", "ruamel", "socket", "sqlite3", "structlog", "typer"}


def modules_of(*rooms: str) -> list[str]:
    """Every module of the rooms, as import names."""
    paths = (path for room in rooms for path in (SOURCE / room).rglob("*.py") if path.name != "__init__.py")
    inner = [".".join(path.relative_to(SOURCE.parent).with_suffix("").parts) for path in sorted(paths)]
    return [*(f"risk_manager.{room}" for room in rooms), *inner]


def imported_by(modules: list[str]) -> set[str]:
    """First names of everything in sys.modules after a fresh interpreter imported the modules."""
    program = (
        "".join(f"import {module}\n" for module in modules) + "import json, sys\nprint(json.dumps([*sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {name.partition(".")[0] for name in json.loads(done.stdout)}


@pytest.mark.parametrize("room", ["runtime", "cli"])
def test_imports_nothing_heavy(room: str) -> None:
    assert imported_by(modules_of(room)) & HEAVY == set()


def test_imports_the_core_without_the_shell() -> None:
    assert imported_by(modules_of(*CORE)) & (HEAVY | SHELL_ONLY) == set()

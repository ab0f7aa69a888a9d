"""The worked example of docs/how-to/add-a-rule.md, taken from the page and run in a copy of the source tree."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
PAGE = PROJECT / "docs" / "how-to" / "add-a-rule.md"
BLOCK = re.compile(r'^```(?P<language>\w+) title="(?P<path>[^"]+)"\n(?P<text>.*?)^```$', re.MULTILINE | re.DOTALL)
RULE = "src/risk_manager/rules/max_open_orders.py"
RULE_TEST = "tests/rules/test_max_open_orders.py"


def files_on_the_page() -> dict[str, str]:
    """The text of every code block that is a file, by its path."""
    return {match["path"]: match["text"] for match in BLOCK.finditer(PAGE.read_text(encoding="utf-8"))}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree with the example's two files planted in it."""
    root = tmp_path_factory.mktemp("project")
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PROJECT / "src", root / "src", ignore=ignore)
    (root / "tests" / "rules").mkdir(parents=True)
    for name in ("pyproject.toml", "tests/__init__.py", "tests/conftest.py"):
        shutil.copy(PROJECT / name, root / name)
    for name in ("__init__.py", "test_every_rule.py"):
        shutil.copy(PROJECT / "tests" / "rules" / name, root / "tests" / "rules" / name)
    for path in (RULE, RULE_TEST):
        (root / path).write_text(files_on_the_page()[path], encoding="utf-8")
    return root


def run(root: Path, *command: str) -> subprocess.CompletedProcess[str]:
    # PYTHONPATH comes before the installed package, so the copy is what runs.
    environment = {**os.environ, "PYTHONPATH": str(root / "src"), "NO_COLOR": "1"}
    return subprocess.run(
        [sys.executable, *command], cwd=root, env=environment, capture_output=True, text=True, check=False
    )


def test_shows_one_rule_and_one_test_file() -> None:
    assert [path for path in files_on_the_page() if path.endswith(".py")] == [RULE, RULE_TEST]


def test_passes_its_own_tests_and_those_of_every_rule(copy: Path) -> None:
    done = run(
        copy,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        RULE_TEST,
        "tests/rules/test_every_rule.py",
        "-k",
        "max_open_orders",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) >= 18, done.stdout


def test_is_found_without_touching_another_file(copy: Path) -> None:
    program = (
        "from risk_manager.rules import RULES, build_rules\n"
        "assert 'max_open_orders' in RULES, list(RULES)\n"
        "print(build_rules({'max_open_orders': {'enabled': True, 'limit': 4}})[0].limit)\n"
    )
    done = run(copy, "-c", program)
    assert (done.stdout, done.stderr) == ("4\n", "")


def test_meets_the_house_style(copy: Path) -> None:
    for step in (["format", "--check"], ["check"]):
        done = run(copy, "-m", "ruff", *step, "--no-cache", RULE, RULE_TEST)
        assert done.returncode == 0, done.stdout + done.stderr

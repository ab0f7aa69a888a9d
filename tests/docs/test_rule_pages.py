"""The rules' pages and the configuration's schemas are those the rules' classes make."""

import runpy
from pathlib import Path
from typing import Any

import pytest

from risk_manager.config.rule_page import rule_page
from risk_manager.rules import RULES

PROJECT = Path(__file__).resolve().parents[2]
FILES: dict[Path, str] = runpy.run_path(str(PROJECT / "docs" / "rules.py"))["files"]()


@pytest.mark.parametrize("path", FILES, ids=[path.name for path in FILES])
def test_are_up_to_date(path: Path) -> None:
    """If not: uv run python docs/rules.py."""
    assert path.read_text(encoding="utf-8") == FILES[path]


def test_hold_no_page_of_a_rule_that_is_gone() -> None:
    found = set((PROJECT / "docs" / "rules").iterdir())
    assert found == {path for path in FILES if path.parent.name == "rules"}


@pytest.mark.parametrize("rule_class", RULES.values(), ids=list(RULES))
def test_tell_every_option_with_its_default(rule_class: Any) -> None:
    page = rule_page(rule_class)
    text = FILES[PROJECT / "docs" / "rules" / f"{page.name}.md"]
    assert text.startswith(f"# {page.name}\n\n{page.summary}\n")
    for option in (*page.options, *page.common):
        assert f"| `{option.name}` |" in text

"""The sections on docs/how-to/combine-rules.md and custom-rules.md load as they stand there."""

import re
import shutil
from pathlib import Path

import pytest

from risk_manager.config import load_config
from risk_manager.rules import options_of
from tests.config.files import ENVIRONMENT, write

PROJECT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r'^```yaml title="(?P<title>[^"]+)"\n(?P<text>.*?)^```$', re.MULTILINE | re.DOTALL)


def blocks(page: str) -> dict[str, str]:
    text = (PROJECT / "docs" / "how-to" / page).read_text(encoding="utf-8")
    return {match["title"]: match["text"] for match in BLOCK.finditer(text)}


COMBINED = blocks("combine-rules.md")


@pytest.mark.parametrize("title", COMBINED)
def test_every_section_loads(tmp_path: Path, title: str) -> None:
    config = load_config(write(tmp_path, risk=COMBINED[title]), ENVIRONMENT)
    assert config.accounts[0].rules != ()


def test_shows_every_way_of_combining() -> None:
    assert len(COMBINED) == len(re.findall("```yaml", (PROJECT / "docs/how-to/combine-rules.md").read_text("utf-8")))
    assert {"twice", "warnings", "all_of", "any_of", "not"} <= COMBINED.keys()


def test_the_page_about_custom_rules_loads_the_example(tmp_path: Path) -> None:
    shutil.copy(PROJECT / "examples" / "no_adding_to_losers.py", tmp_path)
    (text,) = blocks("custom-rules.md").values()
    (rule,) = load_config(write(tmp_path, risk=text), ENVIRONMENT).accounts[0].rules
    assert options_of(rule)["from_loss"] == 50

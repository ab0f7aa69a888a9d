"""The page about faults names every verb, word and setting, and its examples are understood."""

import re
from pathlib import Path

import pytest

from risk_manager.simulator.fault_script import parse_script, parse_sentence
from risk_manager.simulator.fault_verbs import VERBS
from risk_manager.simulator.fault_words import KINDS
from risk_manager.simulator.written_settings import SETTINGS, read_settings

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "simulate-faults.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[str]:
    """The rows of the table below a heading."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return [line for line in section.splitlines() if line.startswith("| `")]


def test_describes_every_verb_in_its_own_words() -> None:
    described = [
        f"| `{' '.join(f'{each.name} {each.form}'.split())}` | {each.lasting} | {each.text} |"
        for each in VERBS.values()
    ]
    assert rows("Every verb") == described


def test_explains_every_word() -> None:
    assert [row.split("`")[1] for row in rows("Every word")] == [f"<{name}>" for name in KINDS]


def test_lists_every_setting() -> None:
    listed = [f"| `{each.name}` | `{each.default}` | {each.takes} | {each.meaning} |" for each in SETTINGS.values()]
    assert rows("Every setting") == listed


def test_shows_settings_that_are_understood() -> None:
    words = ["".join(word) for word in re.findall(r"--set (?:'([^']+)'|(\S+))", PAGE)]
    assert len(words) == 4
    read_settings(words)


def test_shows_a_script_that_is_understood() -> None:
    (script,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert len(parse_script(script).steps) == 5


@pytest.mark.parametrize(
    "text", re.findall(r'(?:parse_sentence\("|faults -d \')([^"\']+)|curl -d \'(halt[^\']+)', PAGE)
)
def test_shows_sentences_that_are_understood(text: tuple[str, str]) -> None:
    parse_sentence("".join(text))

"""`risk-manager rules`: which rules there are, what each does, and the schema of the configuration."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from risk_manager.cli import app
from risk_manager.rules import RULES, describe
from tests.config.files import write

EXAMPLE = Path(__file__).parents[2] / "examples" / "no_adding_to_losers.py"


def run(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "120", "NO_COLOR": "1"}).invoke(app, ["rules", *arguments])


@pytest.fixture
def with_own_rule(tmp_path: Path) -> str:
    write(tmp_path, risk="custom_rules: [mine.py]\nrules:\n  no_adding_to_losers: {from_loss: 50}\n")
    shutil.copyfile(EXAMPLE, tmp_path / "mine.py")
    return str(tmp_path)


def test_lists_every_rule_in_one_line() -> None:
    done = run("list")
    assert done.exit_code == 0
    for name in RULES:
        assert f"\n{name} " in done.output


@pytest.mark.parametrize("name", RULES)
def test_shows_a_rule_with_every_option(name: str) -> None:
    done = run("show", name.upper())
    assert done.exit_code == 0, done.output
    for option in describe(RULES[name]):
        assert f"\n{option.name} " in done.output
    assert f"\n  {name}:" in done.output


def test_suggests_the_nearest_rule() -> None:
    done = run("show", "max_contract")
    assert (done.exit_code, done.output) == (2, "rules: there is no rule 'max_contract'; did you mean max_contracts?\n")


@pytest.mark.parametrize("file", ["risk_config", "accounts"])
def test_prints_the_schema_of_a_file(file: str) -> None:
    done = run("schema", "--file", file)
    assert json.loads(done.output)["title"] == f"{file}.yaml"


def test_knows_the_own_rules_of_a_configuration(with_own_rule: str) -> None:
    assert "\nno_adding_to_losers " in run("list", "--config", with_own_rule).output
    assert "from_loss" in run("show", "no_adding_to_losers", "--config", with_own_rule).output
    rules = json.loads(run("schema", "--config", with_own_rule).output)["properties"]["rules"]["properties"]
    assert "no_adding_to_losers" in rules


def test_says_what_is_wrong_with_an_own_rule(with_own_rule: str) -> None:
    Path(with_own_rule, "mine.py").write_text("limit = 5")
    done = run("list", "--config", with_own_rule)
    assert done.exit_code == 2
    assert "mine.py holds no rule" in done.output

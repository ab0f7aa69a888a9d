"""What the schemas accept and what the loader accepts agree, on a table of cases."""

import json
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from risk_manager.config import ConfigInvalid, load_config
from risk_manager.config.document import read_document
from risk_manager.config.schema import accounts_schema, risk_schema
from risk_manager.rules import RULES
from tests.config.files import ACCOUNTS, ENVIRONMENT, RISK, write

CONFIG = Path(__file__).parents[2] / "config"
RISK_CHECK = jsonschema.Draft202012Validator(risk_schema())
ACCOUNTS_CHECK = jsonschema.Draft202012Validator(accounts_schema())

TWO, DOWN = "{rule: max_contracts, limit: 2}", "{rule: daily_realized_loss, limit: 300}"

GOOD = [
    "max_contracts: {limit: 5}",
    "max_contracts: {max_contracts: 5}",
    "max_contracts: {limit: 5, enabled: false}",
    "max_contracts: {limit: 5, rule: max_contracts}",
    "max_contracts: {limit: 5, warn_at: [50, 80]}",
    "max_contracts: {limit: 5, warn_at_pct: [80]}",
    "max_contracts: {limit: 5, lockout: true}",
    "max_contracts: {limit: 5, lockout: false}",
    "max_contracts: {limit: 5, lockout: reset}",
    "max_contracts: {limit: 5, lockout: 30m}",
    "max_contracts: {limit: 5, lockout: {duration: 30m, on_lock: block_new}}",
    "max_contracts: {limit: 5, lockout_until: daily_reset}",
    "max_contracts: {limit: 5, micro_symbols: [MES]}",
    "daily_realized_loss: {limit: -500}",
    "daily_realized_loss: {limit: 499.99}",
    'daily_realized_loss: {limit: "499.99"}',
    "daily_realized_loss: {loss_limit: 500, basis: realized}",
    "max_contracts_per_instrument: {limits: {ES: 2}}",
    "no_stop_loss_grace: {grace_period_seconds: 30}",
    "no_stop_loss_grace: {grace_period: 90s}",
    "no_stop_loss_grace: {}",
    "trade_frequency_limit: {limits: {per_minute: 3}}",
    "scalping: {rule: max_contracts, limit: 2}",
    "max_contracts: {limit: 5, schedule: exchange}",
    'max_contracts: {limit: 5, schedule: {start: "09:30", end: "16:00", timezone: America/New_York}}',
    f"mine: {{all_of: [{TWO}, {DOWN}], schedule: exchange}}",
    f"mine: {{all_of: [{TWO}, {DOWN}]}}",
    f"mine: {{any_of: [{TWO}, {DOWN}], action: flatten, lockout: 30m}}",
    f"mine: {{not: {TWO}}}",
    f"mine: {{all_of: [{TWO}, {{any_of: [{DOWN}, {{not: {TWO}}}]}}]}}",
]
BAD = [
    "max_contracts: {}",
    "max_contracts: {limit: 0}",
    "max_contracts: {limit: 2.5}",
    'max_contracts: {limit: "5"}',
    "max_contracts: {limit: true}",
    "max_contracts: {limt: 5}",
    "max_contracts: {limit: 5, enabled: 1}",
    "max_contracts: {limit: 5, rule: symbol_blocks}",
    "max_contracts: {limit: 5, warn_at: [0]}",
    "max_contracts: {limit: 5, warn_at: [100]}",
    "max_contracts: {limit: 5, warn_at: 80}",
    "max_contracts: {limit: 5, action: reject}",
    "max_contracts: {limit: 5, lockout: forever}",
    "max_contracts: {limit: 5, lockout: {length: 30m}}",
    "max_contracts: {limit: 5, schedule: mornings}",
    "max_contracts: {limit: 5, schedule: {start: 9, end: 16}}",
    "max_contracts: 5",
    "daily_realized_loss: {limit: 0}",
    "daily_realized_loss: {limit: much}",
    "daily_realized_loss: {limit: 500, basis: cash}",
    "max_contracts_per_instrument: {limits: {ES: -1}}",
    "max_contracts_per_instrument: {limits: [ES]}",
    "no_stop_loss_grace: {grace_period_seconds: -1}",
    "no_stop_loss_grace: {grace_period: soon}",
    "trade_frequency_limit: {limits: {per_year: 3}}",
    "max_contract: {limit: 5}",
    "scalping: {limit: 2}",
    "scalping: {rule: max_contract, limit: 2}",
    "Scalping: {rule: max_contracts, limit: 2}",
    "scalping: {rule: max_contracts}",
    f"mine: {{all_of: [{TWO}]}}",
    f"mine: {{all_of: [{TWO}, {DOWN}], limit: 5}}",
    f"mine: {{all_of: [{TWO}, {DOWN}], any_of: [{TWO}, {DOWN}]}}",
    f"mine: {{all_of: [{TWO}, {DOWN}], action: close_position}}",
    f"mine: {{all_of: [{TWO}, {DOWN}], warn_at: [50]}}",
    f"mine: {{all_of: [{TWO}, {{rule: max_contracts, limit: 2, enabled: true}}]}}",
    f"mine: {{all_of: [{TWO}, {{rule: max_contracts, limit: 2, warn_at: [50]}}]}}",
    f"mine: {{not: [{TWO}]}}",
]
FILES = {
    "the file of the tests": (RISK, True),
    "another reset": (RISK.replace("17:00", "16:10"), True),
    "a time that is none": (RISK.replace("17:00", "5pm"), False),
    "a key nobody knows": (f"{RISK}rule: {{}}\n", False),
    "no rules": ("reset: {}\n", False),
    "empty rules": ("rules: {}\n", False),
    "an override": (RISK.replace("limit: 250", "warn_at: [50]"), True),
    "an override nobody knows": (RISK.replace("      limit: 250", "      limt: 250"), False),
    "custom rules that are no list": (f"custom_rules: mine.py\n{RISK}", False),
}


def parsed(path: Path) -> Any:
    document = read_document(path)
    assert document.faults == []
    return json.loads(json.dumps(document.data))


def is_loaded(directory: Path) -> bool:
    try:
        load_config(directory, ENVIRONMENT)
    except ConfigInvalid:
        return False
    return True


@pytest.mark.parametrize(("section", "is_good"), [(one, True) for one in GOOD] + [(one, False) for one in BAD])
def test_agree_on_sections(tmp_path: Path, section: str, is_good: bool) -> None:
    write(tmp_path, risk=f"rules:\n  {section}\n")
    assert is_loaded(tmp_path) is is_good
    assert RISK_CHECK.is_valid(parsed(tmp_path / "risk_config.yaml")) is is_good


@pytest.mark.parametrize(("risk", "is_good"), FILES.values(), ids=list(FILES))
def test_agree_on_whole_files(tmp_path: Path, risk: str, is_good: bool) -> None:
    write(tmp_path, risk=risk)
    assert is_loaded(tmp_path) is is_good
    assert RISK_CHECK.is_valid(parsed(tmp_path / "risk_config.yaml")) is is_good


@pytest.mark.parametrize(
    ("accounts", "is_good"),
    [
        (ACCOUNTS, True),
        (ACCOUNTS.replace("mode: observe", "mode: watch"), False),
        (ACCOUNTS.replace("  - id: 123\n", "  - id: 123\n    name: PRAC\n"), False),
        (ACCOUNTS.replace("id: 123", "id: 0"), False),
        (ACCOUNTS.replace("[MNQ, ES]", "[]"), False),
        (ACCOUNTS.replace("MNQ", "mnq"), False),
        (f"{ACCOUNTS}api: {{port: 80}}\n", False),
    ],
)
def test_agree_on_accounts(tmp_path: Path, accounts: str, is_good: bool) -> None:
    write(tmp_path, accounts, "rules:\n  max_contracts: {limit: 5}\n")
    assert is_loaded(tmp_path) is is_good
    assert ACCOUNTS_CHECK.is_valid(parsed(tmp_path / "accounts.yaml")) is is_good


@pytest.mark.parametrize("rule_class", RULES.values(), ids=list(RULES))
def test_agree_on_every_rules_example(rule_class: Any) -> None:
    data = {"rules": {rule_class.name: {"enabled": True, **getattr(rule_class, "example", {})}}}
    assert [error.message for error in RISK_CHECK.iter_errors(json.loads(json.dumps(data)))] == []


@pytest.mark.parametrize("schema", [risk_schema(), accounts_schema()], ids=["risk_config", "accounts"])
def test_are_schemas(schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)


def test_the_examples_are_good_and_name_their_schema(tmp_path: Path) -> None:
    for name, check in (("risk_config", RISK_CHECK), ("accounts", ACCOUNTS_CHECK)):
        example = CONFIG / f"{name}.example.yaml"
        assert example.read_text("utf-8").startswith(f"# yaml-language-server: $schema={name}.schema.json\n")
        assert [error.message for error in check.iter_errors(parsed(example))] == []
        shutil.copyfile(example, tmp_path / f"{name}.yaml")
    load_config(tmp_path, ENVIRONMENT)


def test_the_example_shows_every_rule() -> None:
    shown = parsed(CONFIG / "risk_config.example.yaml")["rules"]
    assert {section.get("rule", name) for name, section in shown.items()} >= RULES.keys()

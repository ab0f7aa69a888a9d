"""Every command explains itself."""

import pytest
from typer.testing import CliRunner

from risk_manager.cli import app

COMMANDS = {
    (): ("demo", "doctor", "probe", "run", "sim", "trader"),
    ("demo",): ("--seconds", "--seed", "--tape", "--contract", "--headless", "--json"),
    ("doctor",): ("--config", "--json"),
    ("probe",): ("--config", "--out", "--seconds"),
    ("run",): ("--config", "--log-json", "--log-level"),
    ("sim",): ("serve", "settings"),
    ("sim", "serve"): (
        *("--tape", "--speed", "--port", "--seed", "--accounts", "--call-delay", "--trader", "--set", "--json"),
    ),
    ("trader",): ("status", "logs"),
    ("trader", "status"): ("--json", "--live", "--url"),
    ("trader", "logs"): ("--most", "--json", "--url"),
}


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_explains_every_option(command: tuple[str, ...]) -> None:
    done = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1"}).invoke(
        app, [*command, "--help"], prog_name="risk-manager"
    )

    assert done.exit_code == 0, done.output
    assert f"risk-manager {' '.join(command)}".strip() in done.output
    for word in COMMANDS[command]:
        assert word in done.output, word

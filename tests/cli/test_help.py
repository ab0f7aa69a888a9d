"""Every command explains itself."""

import pytest

from tests.e2e.processes import call

COMMANDS = {
    (): ("demo", "run", "sim", "trader"),
    ("demo",): ("--seconds", "--seed", "--tape", "--contract", "--headless", "--json"),
    ("run",): ("--config", "--log-json", "--log-level"),
    ("sim",): ("serve",),
    ("sim", "serve"): ("--tape", "--speed", "--port", "--seed", "--accounts", "--call-delay", "--trader", "--json"),
    ("trader",): ("status", "logs"),
    ("trader", "status"): ("--json", "--live", "--url"),
    ("trader", "logs"): ("--most", "--json", "--url"),
}


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_explains_every_option(command: tuple[str, ...]) -> None:
    done = call(*command, "--help")

    assert done.returncode == 0, done.stderr
    assert f"risk-manager {' '.join(command)}".strip() in done.stdout
    for word in COMMANDS[command]:
        assert word in done.stdout, word

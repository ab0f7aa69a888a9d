"""`risk-manager run` before it guards anything."""

import socket
from pathlib import Path

import pytest

from tests.config.files import ACCOUNTS, ENVIRONMENT, RISK, write
from tests.e2e.processes import call

# Known by its id, an account needs no venue to begin with; this one does not answer.
BY_ID = (
    "venue: {instruments: [MNQ], api_url: 'http://127.0.0.1:9', "
    "user_hub_url: 'http://127.0.0.1:9', market_hub_url: 'http://127.0.0.1:9'}\n"
    "accounts: [{id: 123, mode: observe}]\n"
    "data_dir: state\n"
)
RULES = "rules: {max_contracts: {limit: 5}}\n"


def test_prints_every_fault_of_a_broken_configuration(tmp_path: Path) -> None:
    accounts = ACCOUNTS.replace("mode: enforce", "mode: enforced")
    risk = RISK.replace("limit: 5", "limmit: 5").replace('time: "17:00"', "time: 17:00").replace("- 500", "- .nan")
    write(tmp_path, accounts, risk)
    done = call("run", "--config", str(tmp_path))

    assert (done.returncode, done.stdout) == (2, "")
    for fault in ("mode", "limmit", "17:00", "PROJECT_X_USERNAME"):
        assert fault in done.stderr, done.stderr
    assert "Traceback" not in done.stderr


def test_says_when_there_is_no_configuration(tmp_path: Path) -> None:
    done = call("run", "--config", str(tmp_path / "nowhere"), environ=ENVIRONMENT)

    assert done.returncode == 2
    assert "accounts.yaml" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("level", ["loud", "42"])
def test_refuses_a_log_level_there_is_not(level: str) -> None:
    done = call("run", "--log-level", level)

    assert done.returncode == 2
    assert "warning" in done.stderr


def test_says_when_the_port_of_its_api_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        write(tmp_path, f"{BY_ID}api: {{port: {port}}}\n", RULES)
        done = call("run", "--config", str(tmp_path), environ=ENVIRONMENT)

    assert done.returncode == 1
    assert f"port {port} is taken" in done.stderr
    assert "Traceback" not in done.stderr


def test_says_when_the_data_directory_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file is in the way", encoding="utf-8")
    write(tmp_path, BY_ID, RULES)
    done = call("run", "--config", str(tmp_path), environ=ENVIRONMENT)

    assert done.returncode == 1
    assert "the data directory cannot be used" in done.stderr
    assert "Traceback" not in done.stderr

"""`risk-manager doctor`, as a process against the simulated gateway."""

import json
from pathlib import Path

from tests.config.files import ENVIRONMENT, write
from tests.e2e.processes import Guarded, call, simulator

RULES = "  max_contracts: {limit: 5}\n"


def test_ends_with_0_when_the_guard_can_work(tmp_path: Path) -> None:
    with simulator("--accounts", "1") as sim:
        Guarded(sim, tmp_path, RULES)
        (tmp_path / ".env").chmod(0o600)
        done = call("doctor", "--config", str(tmp_path))

    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("ok      program ")
    assert any(line.startswith("ok      market hub ") for line in lines)
    assert lines[-1] == "18 ok, 0 warning, 0 problem, 0 skipped"
    assert sim.credentials["PROJECT_X_API_KEY"] not in done.stdout


def test_ends_with_1_and_advice_when_there_is_a_problem(tmp_path: Path) -> None:
    with simulator("--accounts", "1") as sim:
        Guarded(sim, tmp_path, RULES)
        done = call("doctor", "--config", str(tmp_path), environ={"PROJECT_X_API_KEY": "another key"})

    assert (done.returncode, done.stderr) == (1, "")
    lines = done.stdout.splitlines()
    at = next(index for index, line in enumerate(lines) if line.startswith("problem login "))
    assert lines[at].endswith("login failed: invalid credentials (code 3)")
    assert lines[at + 1].strip().startswith("-> check PROJECT_X_USERNAME")
    assert lines[at + 2] == f"skipped {'accounts':<26} needs a login"
    assert "another key" not in done.stdout


def test_tells_everything_as_json(tmp_path: Path) -> None:
    write(tmp_path, risk="rules: {max_contracts: {limmit: 5}}\n")
    done = call("doctor", "--config", str(tmp_path), "--json", environ=ENVIRONMENT)

    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert found["ok"] is False
    assert found["checks"][0].keys() == {"name", "verdict", "found", "advice"}
    problems = [check for check in found["checks"] if check["verdict"] == "problem"]
    assert {problem["name"] for problem in problems} == {"configuration"}
    assert any("limmit" in problem["found"] for problem in problems)


def test_has_no_traceback_for_a_directory_that_is_not_there(tmp_path: Path) -> None:
    done = call("doctor", "--config", str(tmp_path / "nowhere"))
    assert (done.returncode, done.stderr) == (1, "")
    assert "accounts.yaml: is missing in" in done.stdout

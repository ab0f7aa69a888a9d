"""The unit, and what is in the way of installing it."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from typer.testing import CliRunner

from risk_manager.cli import app
from risk_manager.cli.admin import _lockouts
from risk_manager.runtime.service.systemd import ServiceSettings, unit_text
from tests.cli.fake_guard import ACCOUNT, ANSWERS, answering

PLAIN = ServiceSettings(Path("/opt/risk-manager/bin/python"), Path("/etc/risk-manager"))


def lines_of(settings: ServiceSettings) -> list[str]:
    return unit_text(settings).splitlines()


def test_begins_the_guard_again_for_ever_and_when_it_hangs() -> None:
    assert {
        "Type=notify",
        "NotifyAccess=main",
        "Restart=always",
        "RestartSec=250ms",
        "StartLimitIntervalSec=0",
        "WatchdogSec=12",
        "WatchdogSignal=SIGABRT",
        "TimeoutStartSec=30",
        "TimeoutStopSec=15",
    } <= set(lines_of(PLAIN))


def test_runs_as_a_user_of_its_own_with_a_state_nobody_else_reads() -> None:
    assert {"User=risk-manager", "Group=risk-manager", "StateDirectory=risk-manager", "StateDirectoryMode=0700"} <= set(
        lines_of(PLAIN)
    )
    other = ServiceSettings(PLAIN.python, PLAIN.config, "guard")
    assert {"User=guard", "Group=guard"} <= set(lines_of(other))


def test_bounds_its_memory_and_has_room_for_files() -> None:
    assert {"MemoryMax=512M", "OOMScoreAdjust=-900", "LimitNOFILE=65536"} <= set(lines_of(PLAIN))


def test_has_every_setting_once() -> None:
    names = [line.partition("=")[0] for line in lines_of(PLAIN) if "=" in line and not line.startswith("#")]
    assert sorted(name for name in set(names) if names.count(name) > 1) == ["SystemCallFilter"]


def test_names_paths_as_systemd_reads_them() -> None:
    odd = ServiceSettings(Path('/opt/a "b" 50%/python'), Path("/etc/$HOME\\x"))
    command = next(line for line in lines_of(odd) if line.startswith("ExecStart="))
    assert command == (
        'ExecStart="/opt/a \\"b\\" 50%%/python" -I -B -X faulthandler -m risk_manager run'
        ' --config "/etc/$$HOME\\\\x" --log-json'
    )


def test_is_understood_and_found_safe_by_systemd(tmp_path: Path) -> None:
    """Where there is one: its own judge gives a plain unit 9.6, and a good one less than 2."""
    judge = shutil.which("systemd-analyze")
    if judge is None:
        return
    unit = tmp_path / "risk-manager.service"
    unit.write_text(unit_text(PLAIN), encoding="utf-8")
    done = subprocess.run(
        [judge, "security", "--offline=true", "--threshold=20", str(unit)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Unknown" not in done.stderr


def call(*arguments: str) -> tuple[int, str]:
    done = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1"}).invoke(app, ["admin", *arguments])
    return done.exit_code, done.output


def test_prints_the_unit_to_anybody() -> None:
    code, output = call("install-service", "--systemd", "--print", "--config", "/etc/elsewhere", "--user", "guard")
    assert code == 0
    assert '--config "/etc/elsewhere"' in output
    assert "User=guard" in output


def test_asks_how_it_is_to_be_installed() -> None:
    code, output = call("install-service")
    assert code == 2
    assert "--systemd" in output


def test_refuses_a_configuration_that_is_not_there(tmp_path: Path) -> None:
    code, output = call("install-service", "--systemd", "--config", str(tmp_path / "nowhere"))
    assert code == 1
    assert "install-service: " in output


@pytest.mark.parametrize("command", ["install-service", "uninstall-service"])
def test_explains_itself(command: str) -> None:
    code, output = call(command, "--help")
    assert code == 0
    assert "Needs root" in output


@pytest.mark.parametrize(
    ("answers", "status", "reasons"),
    [
        (ANSWERS, 200, ["practice is locked by daily_realized_loss until 2026-03-02T23:00:00.000Z"]),
        ({"/api/status": {"accounts": [{**ACCOUNT, "lockouts": []}]}}, 200, []),
        ({"/api/status": {"accounts": "none"}}, 200, ["does not speak like a guard"]),
        ({"/api/status": []}, 200, ["does not speak like a guard"]),
        (ANSWERS, 403, ["does not speak like a guard"]),
    ],
)
def test_is_not_removed_while_an_account_is_locked(
    answers: Mapping[str, object], status: int, reasons: list[str]
) -> None:
    with answering(answers, status) as (url, _):
        found = _lockouts(url)
    assert [reason for reason, said in zip(reasons, found, strict=True) if reason not in said] == []


def test_is_removed_when_no_guard_answers() -> None:
    with answering() as (url, _):
        pass
    assert _lockouts(url) == []

"""The guard as a process under a service manager: real signals, a real socket."""

import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.processes import Simulator, call, guarding, lockouts_of, simulator

LOCKING = "  max_contracts: {limit: 3, action: flatten, lockout: until_reset}\n"
WARNING = "  max_contracts: {limit: 3, action: alert}\n"


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with simulator() as running:
        yield running


def heard(manager: socket.socket) -> list[str]:
    """One more message, in lines."""
    return manager.recv(1_000).decode().splitlines()


def test_tells_the_service_manager_how_it_stands(
    sim: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, guarding(sim, tmp_path, LOCKING) as guarded:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "5000000")
        guarded.start()
        assert heard(manager) == ["WATCHDOG_USEC=12000000"]
        lines: list[str] = []
        while "READY=1" not in lines:
            assert not lines or lines[0] == "EXTEND_TIMEOUT_USEC=30000000"
            lines = heard(manager)
        guarded.wait_armed()
        assert heard(manager)[0] == "WATCHDOG=1"
        assert heard(manager)[0] == "WATCHDOG=1"
        assert guarded.terminate() == 0
        while lines[0] != "STOPPING=1":
            lines = heard(manager)


def test_a_configuration_with_faults_is_not_tried_again_at_once(tmp_path: Path) -> None:
    begun_s = time.monotonic()
    done = call("run", "--config", str(tmp_path), environ={"NOTIFY_SOCKET": str(tmp_path / "notify")})
    assert done.returncode == 2
    assert "accounts.yaml" in done.stderr
    assert time.monotonic() - begun_s > 5


@pytest.mark.parametrize(
    "signals",
    [[signal.SIGTERM], [signal.SIGINT], [signal.SIGTERM, signal.SIGTERM, signal.SIGINT]],
    ids=lambda signals: " ".join(each.name for each in signals),
)
def test_ends_in_good_order_and_says_what_stays(sim: Simulator, tmp_path: Path, signals: list[signal.Signals]) -> None:
    with guarding(sim, tmp_path, LOCKING) as guarded:
        guarded.start()
        guarded.wait_armed()
        sim.trade(4)
        guarded.wait(lambda account: account["lockouts"] and not account["open_intents"], "proven enforcement")
        before = lockouts_of(guarded.status())
        assert guarded.process is not None
        for number in signals:
            guarded.process.send_signal(number)
        asked_s = time.time()
        assert guarded.process.wait(timeout=15) == 0
        guarded.process = None
        assert time.time() - asked_s < 5
        assert "guard stopped" in guarded.output()
        assert "lockouts=1" in guarded.output()
        guarded.start()
        guarded.wait_armed()
        assert lockouts_of(guarded.status()) == before


def test_leaves_a_position_as_it_is_and_says_so(sim: Simulator, tmp_path: Path) -> None:
    with guarding(sim, tmp_path, WARNING) as guarded:
        guarded.start()
        guarded.wait_armed()
        sim.trade(2)
        guarded.wait(lambda account: account["positions"], "position")
        assert guarded.terminate() == 0
        assert "open_positions=1" in guarded.output()
    assert sim.nets() == {"MNQ": 2}

"""The configuration is edited while the daemon runs: real processes, real files."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.processes import Guarded, Simulator, call, guarding, simulator, wait_for

Json = dict[str, Any]


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with simulator() as running:
        yield running


def write(guarded: Guarded, rules: str) -> None:
    (guarded.folder / "risk_config.yaml").write_text(f"rules:\n{rules}", encoding="utf-8")


def limit(account: Json) -> float:
    used: float = account["limits"][0]["limit"]
    return used


def test_an_edited_limit_is_in_force_at_once_when_stricter_and_waits_when_looser(
    sim: Simulator, tmp_path: Path
) -> None:
    with guarding(sim, tmp_path, "  max_contracts: {limit: 5}\n") as guarded:
        guarded.start()
        guarded.wait_armed()
        sim.trade(4)
        guarded.wait(lambda account: account["positions"], "position")

        write(guarded, "  max_contracts: {limit: 2}\n")
        sim.wait_nets({"MNQ": 2})
        guarded.wait(lambda account: limit(account) == 2 and not account["open_intents"], "stricter limit")

        write(guarded, "  max_contracts: {limit: 0}\n")
        guarded.wait(lambda account: any("old one stays" in text for text in account["missing"]), "refused file")
        assert limit(guarded.status()) == 2

        write(guarded, "  max_contracts: {limit: 7}\n")
        guarded.wait(lambda account: account["waiting_rules"] and not account["missing"], "waiting change")
        (change,) = guarded.status()["waiting_rules"]
        assert (change["rule"], change["option"], change["now"], change["then"]) == ("max_contracts", "limit", "2", "7")
        screen = call("trader", "status", "--url", guarded.url).stdout
        assert "waits for the next trading day: max_contracts.limit, now 2, then 7" in screen

        assert guarded.terminate() == 0
        guarded.start()
        guarded.wait_armed()
        account = guarded.status()
        assert (limit(account), account["waiting_rules"]) == (2, [change])


def test_a_hangup_signal_reads_the_files_again(sim: Simulator, tmp_path: Path) -> None:
    with guarding(sim, tmp_path, "  max_contracts: {limit: 5}\n") as guarded:
        guarded.start()
        guarded.wait_armed()
        assert guarded.process is not None
        write(guarded, "  max_contracts: {limit: 3}\n")
        guarded.process.send_signal(signal.SIGHUP)
        guarded.wait(lambda account: limit(account) == 3, "limit of the file")


def test_a_configuration_broken_while_nobody_looked_leaves_no_account_unguarded(sim: Simulator, tmp_path: Path) -> None:
    with guarding(sim, tmp_path, "  max_contracts: {limit: 3}\n") as guarded:
        guarded.start()
        guarded.wait_armed()
        wait_for(lambda: (guarded.data / "accepted.json").exists() or None, "accepted configuration")
        assert guarded.terminate() == 0

        write(guarded, "  max_contracts: {limit: 0}\n")
        guarded.start()
        guarded.wait(lambda account: any("old one stays" in text for text in account["missing"]), "alarm")
        guarded.wait(lambda account: account["state"] == "degraded" and account["limits"], "guard with an alarm")
        sim.trade(5)
        sim.wait_nets({"MNQ": 3})
        assert limit(guarded.status()) == 3
        assert "risk_config.yaml, line 2, column 26, rules.max_contracts.limit: must be above 0" in guarded.output()
        assert "It is not used. The last accepted configuration is in force:" in guarded.output()

        write(guarded, "  max_contracts: {limit: 2}\n")
        sim.wait_nets({"MNQ": 2})
        guarded.wait(lambda account: limit(account) == 2 and not account["missing"], "mended configuration")
        assert guarded.terminate() == 0

        # Not even YAML; and with it goes what says where the accepted one lies, but for one line.
        accounts = tmp_path / "accounts.yaml"
        accounts.write_text("accounts: [\n" + accounts.read_text("utf-8"), encoding="utf-8")
        guarded.start()
        guarded.wait(lambda account: account["state"] == "degraded" and account["limits"], "guard with an alarm")
        sim.trade(3)
        sim.wait_nets({"MNQ": 2})
        assert guarded.terminate() == 0

"""The public Python SDK for ProjectX, which knows nothing of this project, trades on the simulated gateway."""

from pathlib import Path

import pytest

from tests.conformance.conftest import run_sdk
from tests.e2e.processes import Simulator


@pytest.mark.timeout(400)  # The first run on a machine installs the package.
def test_logs_in_subscribes_and_trades(sdk_python: Path, sim: Simulator) -> None:
    seen = run_sdk(sdk_python, sim, "PRAC-V2-100001-30000002")

    assert seen["accounts"] == ["PRAC-V2-100001-30000001", "PRAC-V2-100001-30000002"]
    assert seen["account"] == "PRAC-V2-100001-30000002"
    assert seen["contracts"] == [sim.contract("MNQ")]
    assert seen["bars"] >= 1
    assert seen["is_connected"]
    assert seen["quotes"] >= 5
    assert seen["placed"]
    assert seen["partly_closed"]
    assert seen["held"] == [[1, 2]]
    assert seen["resting"] == [[True, 18_000.0]]
    assert seen["is_modified"]
    assert seen["is_cancelled"]
    assert seen["closed"]
    assert seen["after"] == []
    assert seen["fills"] == 3
    assert seen["fills_seen"] >= 2
    assert seen["orders_seen"] >= 4
    stop, target = [4, 1, 1], [1, 1, 1]
    assert seen["bracket"] == {
        "success": True,
        "ids": 3,
        "working": [target, stop],
        "held": [1],
        "cancelled": 2,
        "left": 0,
    }

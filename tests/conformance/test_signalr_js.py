"""Microsoft's own hub client for JavaScript, which knows nothing of this project, trades on the simulated gateway."""

from pathlib import Path

import pytest

from tests.conformance.conftest import run_node
from tests.e2e.processes import Simulator


@pytest.mark.timeout(400)  # The first run on a machine installs the package.
@pytest.mark.parametrize("mode", ["skip", "negotiate"])
def test_logs_in_subscribes_and_trades(mode: str, node_folder: Path, node_path: str, sim: Simulator) -> None:
    seen = run_node(node_folder, node_path, sim, "F.US.MNQ", mode)
    mnq = sim.contract("MNQ")

    first, *rest = [quote for _, quote in map(dict.values, seen["quotes"])]
    assert {"lastPrice", "bestBid", "bestAsk", "open", "high", "low", "volume"} <= first.keys()
    assert all(quote["symbol"] == "F.US.MNQ" for quote in rest)
    assert any(quote.keys() == {"symbol", "bestBid", "bestAsk", "lastUpdated", "timestamp"} for quote in rest)
    assert {quote["id"] for quote in seen["quotes"]} == {mnq}
    assert seen["prints"][0]["prints"][0]["contractId"] == mnq

    assert [event["data"]["status"] for event in seen["orders"]] == [6, 2, 6, 2]
    assert seen["orders"][0]["data"]["id"] == seen["orderId"]
    assert "filledPrice" not in seen["orders"][0]["data"]
    assert [(each["type"], each["size"]) for each in seen["open"]] == [(1, 2)]
    assert seen["after"] == []
    opened, flat = seen["positions"]
    assert (opened["action"], opened["data"]["type"], opened["data"]["size"]) == (1, 1, 2)
    assert (flat["action"], flat["data"]["type"], flat["data"]["size"]) == (2, 0, 0)
    assert flat["data"]["averagePrice"] == opened["data"]["averagePrice"]

    opening, closing, resent = seen["fills"]
    assert "profitAndLoss" not in opening["data"]
    assert "profitAndLoss" in closing["data"]
    assert resent["data"]["id"] == opening["data"]["id"]
    # Two contracts, two sides, 0.61 each; the balance holds the gross profit less that.
    assert seen["accounts"][-1]["data"]["balance"] == pytest.approx(50_000 + closing["data"]["profitAndLoss"] - 2.44)

    assert seen["answer"] is None
    assert seen["refusal"] == "Unknown hub method 'SubscribeNonsense'"
    assert seen["states"] == ["Disconnected", "Disconnected"]

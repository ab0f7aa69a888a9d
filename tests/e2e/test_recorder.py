"""A day recorded live, with faults and a kill -9 in it, gives the same decisions when it is replayed."""

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from risk_manager.persistence.recording import segments
from tests.e2e.processes import PATIENCE_S, Guarded, call, guarding, say, simulator, stored, wait_for

RULES = (
    "  max_contracts: {limit: 3, action: reduce_to_limit}\n"
    "  daily_unrealized_loss: {loss_limit: 40}\n"
    "  velocity: {max_loss: 60, window_seconds: 20, lockout: 2s}\n"
    "  no_stop_loss_grace: {require_within_seconds: 2}\n"
)


def wait_for_decisions(guarded: Guarded, most: int) -> int:
    """Wait until the daemon has committed so many; how many there are."""

    def look() -> int | None:
        with urllib.request.urlopen(f"{guarded.url}/api/decisions?most=1", timeout=PATIENCE_S) as response:
            found = json.loads(response.read())
        count: int = found[-1]["sequence"] if found else 0
        return count if count >= most else None

    return wait_for(look, f"{most} decisions", every_s=0.1)


def recorded_days(guarded: Guarded) -> list[str]:
    return sorted({day for files in segments(guarded.data).values() for day, _ in files})


def replayed(guarded: Guarded, day: str) -> list[dict[str, Any]]:
    done = call("audit", "replay", day, "--config", str(guarded.folder), "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return [each["segment"] for each in json.loads(done.stdout)]


@pytest.mark.timeout(180)
def test_a_day_with_faults_and_a_kill_replays_to_identical_decisions(tmp_path: Path) -> None:
    with (
        simulator("--trader", "doubler", "--speed", "20", "--fault-seed", "3", "--accounts", "1") as sim,
        guarding(sim, tmp_path, RULES) as guarded,
    ):
        guarded.start()
        guarded.wait_armed()
        before = wait_for_decisions(guarded, 40)
        guarded.kill()
        guarded.start()
        guarded.wait_armed()
        wait_for_decisions(guarded, before + 40)
        beside = call("audit", "replay", recorded_days(guarded)[-1], "--config", str(tmp_path))
        assert beside.returncode == 0, beside.stdout + beside.stderr
        assert "another risk-manager is running" in beside.stderr
        assert guarded.terminate() == 0

    days = recorded_days(guarded)
    found = [each for day in days for each in replayed(guarded, day)]
    ((committed,),) = stored(guarded.data, "SELECT count(*) FROM decisions")
    events, identical = (sum(each[key] for each in found) for key in ("events", "identical"))
    missing = sum(len(each["missing"]) for each in found)
    say(f"{events} events, {identical} of {committed} decisions identical, {missing} lost with the kill")
    say(call("audit", "replay", days[-1], "--config", str(tmp_path)).stdout)
    assert [each["because"] for each in found].count("the guard started") == 2
    assert identical + missing == committed
    assert not any(each["missing"] for each in found if each["is_whole"])
    assert identical > 40, "those after the kill, and of those before it all but what it caught unwritten"
    assert [each["is_whole"] for each in found].count(False) == 1, "only the killed one"
    assert [each["notes"] for each in found] == [[]] * len(found)

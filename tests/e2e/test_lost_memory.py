"""The guard's stops when its memory is gone, and when another guard counts beside it: real processes, real gateway."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.processes import Guarded, Json, Simulator, guarding, simulator, wait_for

STOPS = "  trade_management:\n    auto_stop_loss: {enabled: true, ticks: 2000}\n"
STOP, WORKING, REJECTED = 4, 1, 5
REPEATED_S = 2.0
"""Longer than the guard waits, after a refusal or two, before it sends the same order again."""


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with simulator() as running:
        yield running


def orders(sim: Simulator) -> list[Json]:
    body = {"accountId": sim.account_ids[0], "startTimestamp": "2020-01-01T00:00:00Z"}
    found: list[Json] = sim.post("Order/search", body)["orders"]
    return found


def stops(sim: Simulator) -> list[Json]:
    """The stops that rest."""
    return [order for order in orders(sim) if order["type"] == STOP and order["status"] == WORKING]


def refused(sim: Simulator) -> list[Json]:
    return [order for order in orders(sim) if order["status"] == REJECTED]


def wait_stop(sim: Simulator, size: int) -> Json:
    """The one stop that rests, once it is of this size."""

    def look() -> Json | None:
        found = stops(sim)
        return found[0] if [order["size"] for order in found] == [size] else None

    return wait_for(look, f"stop for {size}", every_s=0.1)


def start(guarded: Guarded) -> None:
    guarded.start()
    guarded.wait_armed()


def kill_and_forget(guarded: Guarded) -> None:
    """After `kill -9`, nothing is left of what it knew."""
    guarded.kill()
    shutil.rmtree(guarded.data)


def test_a_stop_placed_before_the_memory_was_lost_is_its_own(sim: Simulator, tmp_path: Path) -> None:
    with guarding(sim, tmp_path, STOPS) as guarded:
        start(guarded)
        sim.trade(2)
        placed = wait_stop(sim, 2)
        kill_and_forget(guarded)
        start(guarded)
        sim.trade(1)
        assert wait_stop(sim, 3)["id"] == placed["id"], "made larger, no second one"
        sim.trade(-3)
        wait_for(lambda: not stops(sim) or None, "end of the stop", every_s=0.1)
        assert refused(sim) == []


def test_a_stop_placed_after_the_memory_was_lost_is_no_repetition(sim: Simulator, tmp_path: Path) -> None:
    """Every run but the first begins alike, with a position held and no stop, so its actions are numbered alike."""
    with guarding(sim, tmp_path, STOPS) as guarded:
        start(guarded)
        sim.trade(2)
        tags = [wait_stop(sim, 2)["customTag"]]
        for _ in range(3):
            kill_and_forget(guarded)
            (stop,) = stops(sim)
            sim.post("Order/cancel", {"accountId": sim.account_ids[0], "orderId": stop["id"]})
            start(guarded)
            tags.append(wait_stop(sim, 2)["customTag"])
        assert refused(sim) == []
        assert len(set(tags)) == 4
        assert len({tag.rpartition("-")[0] for tag in tags}) < 4, "no id came again, so nothing was shown"


def test_two_guards_of_one_account_agree_on_one_stop(sim: Simulator, tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "another"]
    for folder in folders:
        folder.mkdir()
    with guarding(sim, folders[0], STOPS) as one, guarding(sim, folders[1], STOPS) as another:
        for guarded in (one, another):
            guarded.start()
        for guarded in (one, another):
            guarded.wait_armed()
        sim.trade(2)
        wait_stop(sim, 2)
        sim.trade(1)
        stop = wait_stop(sim, 3)
        time.sleep(REPEATED_S)
        assert [(order["id"], order["size"]) for order in stops(sim)] == [(stop["id"], 3)]
        assert refused(sim) == []
        sim.trade(-3)
        wait_for(lambda: not stops(sim) or None, "end of the stops", every_s=0.1)
        time.sleep(REPEATED_S)
        assert (stops(sim), refused(sim), sim.nets()) == ([], [], {})

"""Storage fails and lockouts do not: real processes, a real gateway, disks that really refuse."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from risk_manager.persistence.database import FILE_NAME
from tests.e2e.disks import Full, Held, Limited, mounted
from tests.e2e.processes import (
    Guarded,
    Simulator,
    guarding,
    lockouts_of,
    say,
    simulator,
    stored,
)

RULES = """\
  max_contracts: {limit: 3, action: reduce_to_limit}
  overdone: {rule: max_contracts, limit: 6, action: flatten, lockout: until_reset}
"""
COMMIT_BOUND_MS = 500.0
"""Twice what a failing disk may cost an enforcement; this machine may be busy with something else."""

KINDS: dict[str, type[Limited | Held | Full]] = {"limited": Limited, "held": Held, "full": Full}
FULL = ["full"] if os.geteuid() == 0 else []
"""Only root can make a file system to fill."""


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with simulator() as running:
        yield running


@contextmanager
def on_a_disk(kind: str, sim: Simulator, folder: Path) -> Iterator[tuple[Guarded, Limited | Held | Full]]:
    """An armed guard whose disk refuses its next commit."""
    with ExitStack() as stack:
        if kind == "full":
            stack.enter_context(mounted(folder / "state"))
        guarded = stack.enter_context(guarding(sim, folder, RULES))
        disk = KINDS[kind](guarded)
        guarded.start()
        guarded.wait_armed()
        if kind == "limited":
            disk.refuse()
        else:
            # The log gets no room in advance when the guard starts on such a disk.
            assert guarded.terminate() == 0
            disk.refuse()
            guarded.start()
            guarded.wait(lambda account: account["state"] in ("armed", "degraded"), "guard")
        yield guarded, disk


def breach(sim: Simulator, guarded: Guarded) -> dict[str, Any]:
    """Break the rule that locks, and wait for the proof of the enforcement; its record."""
    sim.trade(8)
    sim.wait_nets({})
    guarded.wait(lambda account: account["lockouts"] and not account["open_intents"], "proven enforcement")
    found = [each for each in guarded.status()["enforcements"] if each["rule"] == "overdone"]
    assert len(found) == 1
    record: dict[str, Any] = found[0]
    return record


def faults(account: dict[str, Any]) -> set[str]:
    return {line.partition(":")[0] for line in account["missing"]}


def is_refused(account: dict[str, Any]) -> bool:
    """Whether the guard says that the disk has refused the journal; a slow one it only has to wait for."""
    return any(
        line.startswith(("journal: the disk refused", "journal: the disk is full")) for line in account["missing"]
    )


def sequences(guarded: Guarded) -> list[int]:
    return [row[0] for row in stored(guarded.data, "SELECT sequence FROM decisions ORDER BY sequence")]


@pytest.mark.parametrize("kind", ["limited", *FULL])
def test_a_breach_is_enforced_in_time_and_the_journal_is_complete_once_the_disk_returns(
    kind: str, sim: Simulator, tmp_path: Path
) -> None:
    with on_a_disk(kind, sim, tmp_path) as (guarded, disk):
        record = breach(sim, guarded)
        commit_ms = record["lock_commit_us"] / 1000
        say(f"{kind}: commit given up and latch written in {commit_ms:.1f} ms, flat in {record['time_to_flat_ms']} ms")
        assert commit_ms < COMMIT_BOUND_MS
        guarded.wait(is_refused, "fault")
        assert ("latch" in faults(guarded.status())) == (kind == "limited")
        # The log's file is refused, too, and keeps nobody from acting.
        assert ("journal unavailable, acting from memory" in guarded.output()) == (kind == "full")

        disk.recover()
        guarded.wait(lambda account: "journal" not in faults(account), "journal")
        locked, last = lockouts_of(guarded.status()), guarded.status()["last_sequence"]
        assert "journal complete again" in guarded.output()
        assert guarded.terminate() == 0
        assert sequences(guarded) == list(range(1, max(sequences(guarded)) + 1))
        assert max(sequences(guarded)) >= last
        assert stored(guarded.data, "SELECT scope, rule FROM lockouts WHERE is_active = 1") == [("account", "overdone")]
        guarded.start()
        guarded.wait_armed()
        assert lockouts_of(guarded.status()) == locked != []


@pytest.mark.parametrize("kind", ["held", *FULL])
def test_a_lockout_the_journal_never_got_survives_kill_9(kind: str, sim: Simulator, tmp_path: Path) -> None:
    with on_a_disk(kind, sim, tmp_path) as (guarded, disk):
        breach(sim, guarded)
        locked = lockouts_of(guarded.status())
        guarded.kill()
        if kind == "held":
            disk.recover()
        assert stored(guarded.data, "SELECT count(*) FROM lockouts WHERE is_active = 1") == [(0,)]

        guarded.start()
        guarded.wait_armed()
        assert lockouts_of(guarded.status()) == locked != []
        sim.trade(2)
        sim.wait_nets({})
        if kind == "full":
            guarded.wait(is_refused, "fault")
            disk.recover()
            guarded.wait(lambda account: "journal" not in faults(account), "journal")
        assert guarded.terminate() == 0
        guarded.start()
        guarded.wait_armed()
        assert lockouts_of(guarded.status()) == locked
        assert guarded.terminate() == 0
        assert stored(guarded.data, "SELECT scope, rule FROM lockouts WHERE is_active = 1") == [("account", "overdone")]


@pytest.mark.parametrize("what", ["damaged", "deleted", "another program's"])
def test_a_lockout_survives_what_happens_to_the_journal(what: str, sim: Simulator, tmp_path: Path) -> None:
    with guarding(sim, tmp_path, RULES) as guarded:
        guarded.start()
        guarded.wait_armed()
        breach(sim, guarded)
        locked = lockouts_of(guarded.status())
        # After a kill the log may hold every page that is harmed in the file.
        guarded.terminate() if what == "damaged" else guarded.kill()
        sim.trade(2)
        harm(guarded.data / FILE_NAME, what)
        guarded.start()
        sim.wait_nets({})
        guarded.wait(lambda account: account["lockouts"], "lockout")
        assert lockouts_of(guarded.status()) == locked
        is_whole = what in ("damaged", "deleted")
        guarded.wait(lambda account: ("journal" in faults(account)) != is_whole, "word of the journal")
        assert ("minimal guard" in faults(guarded.status())) == (what == "another program's")
        assert (guarded.data / "quarantine").exists() == (what == "damaged")


def harm(file: Path, what: str) -> None:
    if what == "damaged":
        file.write_bytes(b"\xa5" * file.stat().st_size)
        return
    file.unlink()
    if what == "another program's":
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("CREATE TABLE photos (name)")


def test_a_guard_that_keeps_crashing_enforces_its_lockouts_without_rules(sim: Simulator, tmp_path: Path) -> None:
    with guarding(sim, tmp_path, RULES) as guarded:
        guarded.start()
        guarded.wait_armed()
        breach(sim, guarded)
        for _ in range(2):
            guarded.kill()
            guarded.start()
            guarded.wait_armed()
            guarded.wait(lambda account: not faults(account), "rules")
        guarded.kill()
        sim.trade(2)
        guarded.start()
        sim.wait_nets({})
        guarded.wait_armed()
        guarded.wait(lambda account: faults(account) == {"minimal guard"}, "minimal guard alone")
        account = guarded.status()
        assert (account["limits"], len(account["lockouts"])) == ([], 1)
        assert guarded.terminate() == 0
        guarded.start()
        guarded.wait_armed()
        guarded.wait(lambda account: not faults(account), "rules")
        account = guarded.status()
        assert (len(account["limits"]), len(account["lockouts"])) == (2, 1)

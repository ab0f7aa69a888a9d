"""The power is cut at random instants of the journal's life."""

from pathlib import Path
from random import Random, SystemRandom

import pytest

from risk_manager.persistence import database
from tests.persistence.forgetful_disk import Disk, Operation, Recording, Sync, SyncNames, Truncate, Write
from tests.persistence.power_cuts import run


def test_a_power_cut_costs_no_acknowledged_commit_and_leaves_none_by_halves() -> None:
    seed = SystemRandom().randrange(1 << 32)
    tally = run(40, seed)
    assert tally.is_sound, f"seed {seed}: {tally}"
    assert tally.acknowledged > 40, f"seed {seed}: {tally}"


class TestTheCutsThemselves:
    """They find what they are there to find."""

    def test_find_commits_that_were_not_synced(self, monkeypatch: pytest.MonkeyPatch) -> None:
        weaker = tuple(
            ("synchronous", "NORMAL", 1) if (name, value) == ("synchronous", "FULL") else (name, value, answer)
            for name, value, answer in database._OPEN_PRAGMAS
        )
        monkeypatch.setattr(database, "_OPEN_PRAGMAS", weaker)
        assert run(40, seed=1).lost > 0

    def test_find_a_disk_that_lies(self) -> None:
        class Forgetting(Recording):
            def add(self, operation: Operation) -> None:
                if not isinstance(operation, Sync | SyncNames):
                    super().add(operation)

        tally = run(40, 1, Forgetting)
        assert tally.lost > 0
        assert tally.unreadable > tally.early


def remains(*operations: Operation, seeds: int = 200) -> set[tuple[tuple[str, bytes], ...]]:
    """Everything that may be left of these operations."""
    found = set()
    for seed in range(seeds):
        disk = Disk()
        disk.take(operations)
        found.add(tuple(sorted(disk.remains(Random(seed)).items())))
    return found


class TestDisk:
    def operations(self, *after: Operation) -> list[Operation]:
        recording = Recording()
        inode = recording.inode("a")
        assert inode == 1
        return [*recording.operations, *after]

    def test_keeps_what_was_synced_with_its_name(self) -> None:
        done = self.operations(Write(1, 0, b"xy"), Sync(1), SyncNames())
        assert remains(*done) == {(("a", b"xy"),)}

    def test_may_forget_a_name_whatever_was_synced_of_the_file(self) -> None:
        assert remains(*self.operations(Write(1, 0, b"xy"), Sync(1))) == {(), (("a", b"xy"),)}

    def test_may_lose_the_earlier_write_and_keep_the_later(self) -> None:
        done = self.operations(SyncNames(), Write(1, 0, b"x"), Write(1, 1, b"y"))
        assert {content for ((_, content),) in remains(*done)} == {b"", b"x", b"xy", b"\0y"}

    def test_may_tear_a_write_at_its_sectors(self) -> None:
        done = self.operations(SyncNames(), Write(1, 0, b"\1" * 1024), Sync(1), Write(1, 500, b"\2" * 24))
        states = {content[500:524] for ((_, content),) in remains(*done)}
        assert states == {bytes([a] * 12 + [b] * 12) for a in (1, 2) for b in (1, 2)}

    def test_may_undo_a_cut_that_was_not_synced(self) -> None:
        done = self.operations(SyncNames(), Write(1, 0, b"xyz"), Sync(1), Truncate(1, 1))
        assert {content for ((_, content),) in remains(*done)} == {b"xyz", b"x"}

    def test_leaves_no_file_of_a_name_that_was_removed_for_good(self, tmp_path: Path) -> None:
        recording = Recording()
        recording.inode("a")
        recording.add(SyncNames())
        recording.remove("a")
        assert remains(*recording.operations) == {(), (("a", b""),)}
        recording.add(SyncNames())
        assert remains(*recording.operations) == {()}

"""A start on what is left of the data directory: the lockouts stand, whatever has happened to the files."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from risk_manager.domain.lockout import Lockout
from risk_manager.domain.scope import Scope
from risk_manager.engine import EngineSettings
from risk_manager.persistence.database import FILE_NAME
from risk_manager.persistence.quarantine import StandIn
from risk_manager.ports.journal import JournalUnavailable
from risk_manager.ports.latch import Latched
from risk_manager.runtime.memory import Memory
from risk_manager.runtime.recovery import recovered
from risk_manager.testing.events import DAYS
from tests.persistence.samples import ACCOUNT_ID, NOW_NS, decision, lockout

SETTINGS = EngineSettings(ACCOUNT_ID, DAYS, ())
FIRST, SECOND = lockout("loss"), lockout("block", scope=Scope(root="MNQ"), until_ns=None)
LATCH_NAME = f"{ACCOUNT_ID}.latch"
PADDING = 60
"""So many decisions fill some pages with what can be damaged."""


async def opened(directory: Path, *, latch_dir: Path | None = None, counts_starts: bool = False) -> Memory:
    memory = await Memory.open(directory, NOW_NS, latch_dir=latch_dir, counts_starts=counts_starts)
    await memory.make_sound([ACCOUNT_ID], NOW_NS)
    return memory


async def started(directory: Path, latch_dir: Path | None = None) -> tuple[Lockout, ...]:
    """What is in force after a start, which is then stopped."""
    with capture_logs():
        memory = await opened(directory, latch_dir=latch_dir)
        engine, _ = await recovered(
            SETTINGS, memory.journal, memory.latch, lost=memory.lost_of(ACCOUNT_ID), now_ns=NOW_NS
        )
    await memory.journal.close()
    memory.end()
    return engine.account.lockouts


async def run(directory: Path, *lockouts: Lockout) -> None:
    """A run that sets these lockouts one after the other, healthy from beginning to end."""
    memory = await opened(directory)
    engine, _ = await recovered(SETTINGS, memory.journal, memory.latch, lost=memory.lost)
    held = list(engine.account.lockouts)
    for sequence, each in enumerate(lockouts, start=engine.sequence + 1):
        held.append(each)
        await memory.journal.commit(decision(sequence, lockouts_set=(each,)))
        await memory.latch.write(ACCOUNT_ID, Latched(sequence, tuple(held)))
    await memory.journal.close()
    memory.end()


def rewritten(change: Callable[[bytearray], object]) -> Callable[[Path], None]:
    def apply(directory: Path) -> None:
        content = bytearray((directory / FILE_NAME).read_bytes())
        change(content)
        (directory / FILE_NAME).write_bytes(content)

    return apply


def _zero(content: bytearray) -> None:
    content[:] = bytes(len(content))


def _cut(content: bytearray) -> None:
    del content[len(content) // 3 :]


def _flip(content: bytearray) -> None:
    for at in range(4096, len(content), 4096):
        content[at : at + 16] = b"\xa5" * 16


def _unreadable_rows(directory: Path) -> None:
    with closing(sqlite3.connect(directory / FILE_NAME, isolation_level=None)) as connection:
        connection.execute("UPDATE lockouts SET body = 'no JSON'")


DAMAGES = {
    "zeroed": rewritten(_zero),
    "cut": rewritten(_cut),
    "flipped": rewritten(_flip),
    "replaced": rewritten(lambda content: content.__setitem__(slice(None), b"not a database at all" * 500)),
    "unreadable rows": _unreadable_rows,
}
LOSSES: dict[str, Callable[[Path], None]] = {
    "emptied": rewritten(bytearray.clear),
    "deleted": lambda directory: (directory / FILE_NAME).unlink(),
}


@pytest.mark.parametrize("what", [*DAMAGES, *LOSSES])
async def test_lockouts_outlive_the_journal(what: str, tmp_path: Path) -> None:
    await run(tmp_path, FIRST, *[lockout(f"rule_{n}") for n in range(PADDING)], SECOND)
    {**DAMAGES, **LOSSES}[what](tmp_path)
    held = await started(tmp_path)
    assert {FIRST, SECOND} <= set(held)
    assert len(held) == PADDING + 2
    kept = [path.name for path in sorted((tmp_path / "quarantine").glob("*/*"))]
    assert (FILE_NAME in kept) is (what in DAMAGES)
    # The new journal has them too, and is as good as any other.
    shutil.rmtree(tmp_path / "latch")
    assert set(await started(tmp_path)) == set(held)


async def test_the_damaged_journal_is_kept_as_it_was_under_the_time_it_was_found(tmp_path: Path) -> None:
    await run(tmp_path, FIRST)
    for _ in range(2):
        DAMAGES["replaced"](tmp_path)
        damaged = (tmp_path / FILE_NAME).read_bytes()
        await started(tmp_path)
    places = sorted(path.name for path in (tmp_path / "quarantine").iterdir())
    assert places == ["20260302T000000Z", "20260302T000000Z-2"]
    assert (tmp_path / "quarantine" / places[1] / FILE_NAME).read_bytes() == damaged


async def test_yesterdays_copy_does_not_bring_yesterday_back(tmp_path: Path) -> None:
    await run(tmp_path, FIRST)
    shutil.copy(tmp_path / FILE_NAME, tmp_path / "yesterday")
    await run(tmp_path, SECOND)
    shutil.move(tmp_path / "yesterday", tmp_path / FILE_NAME)
    assert set(await started(tmp_path)) == {FIRST, SECOND}


async def test_the_journal_of_another_installation_ends_nothing(tmp_path: Path) -> None:
    await run(tmp_path / "ours", FIRST)
    await run(tmp_path / "other", SECOND)
    shutil.copy(tmp_path / "other" / FILE_NAME, tmp_path / "ours" / FILE_NAME)
    assert FIRST in await started(tmp_path / "ours")


@pytest.mark.parametrize("what", ["deleted", "torn", "key"])
async def test_lockouts_outlive_the_latch(what: str, tmp_path: Path) -> None:
    await run(tmp_path, FIRST, SECOND)
    if what == "deleted":
        shutil.rmtree(tmp_path / "latch")
    elif what == "torn":
        (tmp_path / "latch" / LATCH_NAME).write_bytes(b"torn")
    else:
        (tmp_path / "journal.key").unlink()
    assert set(await started(tmp_path)) == {FIRST, SECOND}


@pytest.mark.parametrize("journal", [*DAMAGES, *LOSSES])
@pytest.mark.parametrize("latch", ["deleted", "torn", "zeroed", "unlinked"])
async def test_who_has_lost_both_is_locked(journal: str, latch: str, tmp_path: Path) -> None:
    await run(tmp_path, FIRST)
    {**DAMAGES, **LOSSES}[journal](tmp_path)
    file = tmp_path / "latch" / LATCH_NAME
    if latch == "deleted":
        shutil.rmtree(tmp_path / "latch")
    elif latch == "unlinked":
        file.unlink()
    else:
        file.write_bytes(b"torn" if latch == "torn" else bytes(file.stat().st_size))
    assert [(each.rule, each.scope.is_account) for each in await started(tmp_path)] == [("amnesia", True)]


async def test_a_decision_that_cannot_be_read_is_no_damage_and_locks_at_most(tmp_path: Path) -> None:
    """The journal stays where it is for every account; without the latch, what the decision may have set is made up."""
    await run(tmp_path, FIRST, SECOND)
    with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as connection:
        connection.execute("UPDATE decisions SET body = 'no JSON' WHERE sequence = 2")
        connection.execute("UPDATE folded SET up_to = 1")
        connection.execute("DELETE FROM lockouts WHERE rule = 'block'")
    shutil.rmtree(tmp_path / "latch")
    assert {each.rule for each in await started(tmp_path)} == {FIRST.rule, "unreadable"}
    assert not (tmp_path / "quarantine").exists()


async def test_a_crash_amid_the_start_that_notices_the_loss_does_not_unlock(tmp_path: Path) -> None:
    """The new journal is there, the lockout is not: that the account was guarded before still shows."""
    await run(tmp_path, FIRST)
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / f"{ACCOUNT_ID}.json").write_text("{}")
    (tmp_path / FILE_NAME).unlink()
    shutil.rmtree(tmp_path / "latch")
    with capture_logs():
        await (await opened(tmp_path)).give_up(is_crash=True)
    assert [each.rule for each in await started(tmp_path)] == ["amnesia"]


async def test_a_first_start_and_an_account_added_later_are_not_locked(tmp_path: Path) -> None:
    assert await started(tmp_path / "new") == ()
    await run(tmp_path / "new", FIRST)
    memory = await opened(tmp_path / "new")
    added = EngineSettings("9057", DAYS, ())
    engine, _ = await recovered(added, memory.journal, memory.latch, lost=memory.lost)
    assert engine.account.lockouts == ()
    await memory.journal.close()
    memory.end()


class TestStandIn:
    """A journal that is not ours to move: the latch has to do."""

    async def test_enforces_from_the_latch_what_another_programs_file_stands_in_for(self, tmp_path: Path) -> None:
        await run(tmp_path, FIRST)
        (tmp_path / FILE_NAME).unlink()
        with closing(sqlite3.connect(tmp_path / FILE_NAME)) as other:
            other.execute("CREATE TABLE photos (name)")
        content = (tmp_path / FILE_NAME).read_bytes()
        with capture_logs() as logs:
            memory = await opened(tmp_path)
        assert "belongs to another program" in str(memory.fault)
        assert "only lockouts are enforced" in str(memory.minimal)
        assert [each["event"] for each in logs] == ["no journal, guarding with the latch alone"]
        await _holds(memory, FIRST)
        assert (tmp_path / FILE_NAME).read_bytes() == content

    async def test_leaves_a_newer_versions_file_alone(self, tmp_path: Path) -> None:
        await run(tmp_path, FIRST)
        with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
            connection.execute("PRAGMA user_version = 99")
        with capture_logs():
            memory = await opened(tmp_path)
        assert "newer risk-manager" in str(memory.fault)
        assert memory.minimal
        await _holds(memory, FIRST)

    async def test_judges_the_rules_while_another_program_locks_the_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await run(tmp_path, FIRST)
        with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            with capture_logs():
                memory = await opened(tmp_path)
            assert "locked by another program" in str(memory.fault)
            assert memory.minimal is None
            await _holds(memory, FIRST)

    async def test_knows_when_the_journal_can_be_opened_again(self, tmp_path: Path) -> None:
        await run(tmp_path, FIRST)
        with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            with capture_logs():
                memory = await opened(tmp_path)
            assert isinstance(memory.journal, StandIn)
            assert not await memory.journal.is_over()
        assert await memory.journal.is_over()
        await memory.journal.close()
        memory.end()

    async def test_holds_the_directory_like_a_journal(self, tmp_path: Path) -> None:
        await run(tmp_path, FIRST)
        (tmp_path / FILE_NAME).unlink()
        with closing(sqlite3.connect(tmp_path / FILE_NAME)) as other:
            other.execute("CREATE TABLE photos (name)")
        with capture_logs():
            memory = await opened(tmp_path)
            with pytest.raises(JournalUnavailable, match="another risk-manager is running"):
                await Memory.open(tmp_path, NOW_NS)
        await memory.give_up(is_crash=False)

    async def test_is_not_for_who_has_nothing_to_enforce(self, tmp_path: Path) -> None:
        with closing(sqlite3.connect(tmp_path / FILE_NAME)) as other:
            other.execute("CREATE TABLE photos (name)")
        with pytest.raises(JournalUnavailable, match="belongs to another program"):
            await Memory.open(tmp_path, NOW_NS)


async def _holds(memory: Memory, *lockouts: Lockout) -> None:
    with capture_logs():
        engine, _ = await recovered(SETTINGS, memory.journal, memory.latch, lost=memory.lost)
    assert engine.account.lockouts == lockouts
    with pytest.raises(JournalUnavailable):
        await memory.journal.commit(decision(engine.sequence + 1))
    await memory.journal.close()
    memory.end()


class TestSecondPlace:
    """The latch is kept on another disk as well."""

    @pytest.fixture
    async def places(self, tmp_path: Path) -> tuple[Path, Path]:
        """The data directory and the latch's second one after a run that set a lockout and a start that knew it."""
        data, other = tmp_path / "data", tmp_path / "other"
        other.mkdir()
        await run(data, FIRST)
        assert await started(data, other) == (FIRST,)
        return data, other

    async def test_lockouts_outlive_the_disk_with_everything_else(self, places: tuple[Path, Path]) -> None:
        data, other = places
        shutil.rmtree(data)
        assert await started(data, other) == (FIRST,)
        assert await started(data) == (FIRST,)

    async def test_lockouts_outlive_the_second_disk(self, places: tuple[Path, Path]) -> None:
        data, other = places
        shutil.rmtree(other)
        assert await started(data, other) == (FIRST,)
        other.mkdir()
        assert await started(data, other) == (FIRST,)
        shutil.rmtree(data)
        assert await started(data, other) == (FIRST,)

    async def test_who_has_lost_both_is_locked(self, places: tuple[Path, Path]) -> None:
        data, other = places
        shutil.rmtree(data)
        (other / "latch" / LATCH_NAME).write_bytes(b"torn")
        assert [each.rule for each in await started(data, other)] == ["amnesia"]

    async def test_does_in_place_of_a_journal_that_cannot_be_used(self, places: tuple[Path, Path]) -> None:
        data, other = places
        shutil.rmtree(data / "latch")
        (data / FILE_NAME).unlink()
        with closing(sqlite3.connect(data / FILE_NAME)) as foreign:
            foreign.execute("CREATE TABLE photos (name)")
        assert await started(data, other) == (FIRST,)


async def test_a_second_daemon_is_refused_and_moves_nothing(tmp_path: Path) -> None:
    memory = await opened(tmp_path)
    with pytest.raises(JournalUnavailable, match="another risk-manager is running"):
        await Memory.open(tmp_path, NOW_NS)
    assert not (tmp_path / "quarantine").exists()
    await memory.give_up(is_crash=False)


class TestCrashes:
    async def test_three_in_a_minute_make_the_next_start_minimal(self, tmp_path: Path) -> None:
        for crashes in range(3):
            memory = await opened(tmp_path, counts_starts=True)
            assert (memory.crashes, memory.minimal) == (crashes, None)
            await memory.give_up(is_crash=True)
        memory = await opened(tmp_path, counts_starts=True)
        assert memory.minimal == "3 starts within a minute ended in a crash; only lockouts are enforced"
        await memory.journal.close()
        memory.end()
        memory = await opened(tmp_path, counts_starts=True)
        assert memory.minimal is None
        await memory.give_up(is_crash=False)

    async def test_a_journal_that_cannot_be_closed_hides_nothing_and_counts_as_none(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        memory = await opened(tmp_path, counts_starts=True)

        async def refuse() -> None:
            await close()
            raise JournalUnavailable("the disk refused")

        close = memory.journal.close
        monkeypatch.setattr(memory.journal, "close", refuse)
        with capture_logs() as logs:
            await memory.give_up(is_crash=False)
        assert [each["event"] for each in logs] == ["journal not closed in good order"]
        memory = await opened(tmp_path, counts_starts=True)
        assert memory.crashes == 0
        await memory.give_up(is_crash=False)

    async def test_a_venue_that_is_away_is_none(self, tmp_path: Path) -> None:
        for _ in range(5):
            memory = await opened(tmp_path, counts_starts=True)
            assert memory.crashes == 0
            await memory.give_up(is_crash=False)

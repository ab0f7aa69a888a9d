import asyncio
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from risk_manager.domain.coverage import Cover, Gap
from risk_manager.domain.decision import Decision
from risk_manager.domain.intent import IntentState
from risk_manager.domain.lockout import OnLock
from risk_manager.domain.scope import Scope
from risk_manager.persistence.database import FILE_NAME
from risk_manager.persistence.instance_lock import InstanceLock
from risk_manager.persistence.seals import CLOSED_NAME
from risk_manager.persistence.sqlite_journal import SqliteJournal
from risk_manager.persistence.store import Store
from risk_manager.persistence.writer import Writer
from risk_manager.ports.journal import Journal, JournalConflict, JournalUnavailable, Recovered, Story, TooMuchAsked
from tests.persistence.disk_limits import no_writes_past
from tests.persistence.samples import (
    ACCOUNT_ID,
    DAY,
    NOW_NS,
    chain_link,
    decision,
    fill,
    intent,
    lockout,
    release,
    remembered,
    rich_decision,
)


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[SqliteJournal]:
    opened = await SqliteJournal.open(tmp_path)
    yield opened
    await opened.close()


async def test_fulfills_the_port(journal: SqliteJournal) -> None:
    port: Journal = journal
    assert await port.recover(ACCOUNT_ID) == Recovered(0, None, (), ())


async def test_lets_go_of_what_was_opened_for_somebody_who_has_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_opening, may_go_on, acquire = threading.Event(), threading.Event(), InstanceLock.acquire

    def slow(directory: Path, *, wait_s: float) -> InstanceLock:
        is_opening.set()
        may_go_on.wait(10)
        return acquire(directory, wait_s=wait_s)

    with monkeypatch.context() as patched:
        patched.setattr(InstanceLock, "acquire", slow)
        opening = asyncio.create_task(SqliteJournal.open(tmp_path))
        await asyncio.to_thread(is_opening.wait, 10)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
    may_go_on.set()
    again = await SqliteJournal.open(tmp_path, wait_s=5.0)
    await again.close()


async def test_gives_back_every_part_of_a_decision(journal: SqliteJournal) -> None:
    await journal.commit(rich_decision())
    assert await journal.decisions(ACCOUNT_ID) == (rich_decision(),)


async def test_remembers_lockouts_intents_and_snapshot_after_reopening(tmp_path: Path) -> None:
    journal = await SqliteJournal.open(tmp_path)
    await journal.commit(rich_decision())
    await journal.save(ACCOUNT_ID, DAY, (), b"\x00state\xff")
    await journal.close()
    journal = await SqliteJournal.open(tmp_path)
    recovered = await journal.recover(ACCOUNT_ID)
    await journal.close()
    assert recovered.sequence == 1
    assert recovered.snapshot == b"\x00state\xff"
    assert set(recovered.lockouts) == set(rich_decision().lockouts_set)
    assert recovered.open_intents == rich_decision().intents


@pytest.mark.parametrize(
    ("first_ns", "second_ns", "kept_ns"),
    [(5, 9, 9), (9, 5, 9), (None, 5, None), (5, None, None), (0, 5, 5), (-3, 0, 0)],
)
async def test_only_lengthens_an_active_lockout(
    journal: SqliteJournal, first_ns: int | None, second_ns: int | None, kept_ns: int | None
) -> None:
    await journal.commit(decision(1, lockouts_set=(lockout(until_ns=first_ns),)))
    await journal.commit(decision(2, lockouts_set=(lockout(until_ns=second_ns),)))
    assert [kept.until_ns for kept in (await journal.recover(ACCOUNT_ID)).lockouts] == [kept_ns]


async def test_keeps_flatten_when_block_new_is_set_later(journal: SqliteJournal) -> None:
    await journal.commit(decision(1, lockouts_set=(lockout(on_lock=OnLock.FLATTEN),)))
    await journal.commit(decision(2, lockouts_set=(lockout(on_lock=OnLock.BLOCK_NEW),)))
    assert (await journal.recover(ACCOUNT_ID)).lockouts[0].on_lock is OnLock.FLATTEN


async def test_forgets_a_released_lockout_and_may_set_a_shorter_one_then(journal: SqliteJournal) -> None:
    await journal.commit(decision(1, lockouts_set=(lockout(until_ns=None),)))
    await journal.commit(decision(2, lockouts_released=(release(),)))
    assert (await journal.recover(ACCOUNT_ID)).lockouts == ()
    await journal.commit(decision(3, lockouts_set=(lockout(until_ns=7),)))
    assert (await journal.recover(ACCOUNT_ID)).lockouts == (lockout(until_ns=7),)


async def test_releases_only_the_named_scope_and_rule(journal: SqliteJournal) -> None:
    es, account = lockout(scope=Scope(root="ES")), lockout()
    odd = lockout(scope=Scope(root="account"))
    other_rule = lockout("symbol_blocks")
    await journal.commit(decision(1, lockouts_set=(es, account, odd, other_rule)))
    await journal.commit(decision(2, lockouts_released=(release(),)))
    assert set((await journal.recover(ACCOUNT_ID)).lockouts) == {es, odd, other_rule}


async def test_keeps_a_lockout_set_in_the_step_that_released_its_predecessor(journal: SqliteJournal) -> None:
    await journal.commit(decision(1, lockouts_set=(lockout(until_ns=9),)))
    await journal.commit(decision(2, lockouts_released=(release(),), lockouts_set=(lockout(until_ns=5),)))
    assert (await journal.recover(ACCOUNT_ID)).lockouts == (lockout(until_ns=5),)


async def test_recovers_open_intents_only_in_their_last_state(journal: SqliteJournal) -> None:
    await journal.commit(decision(1, intents=(intent("b"), intent("a"), intent("seen", IntentState.OBSERVED))))
    await journal.commit(decision(2, intents=(intent("b", IntentState.VERIFIED),)))
    assert (await journal.recover(ACCOUNT_ID)).open_intents == (intent("a"),)


async def test_keeps_accounts_apart(journal: SqliteJournal) -> None:
    await journal.commit(rich_decision())
    await journal.commit(decision(1, account_id="2", lockouts_set=(lockout(account_id="2"),)))
    assert (await journal.recover("2")).lockouts == (lockout(account_id="2"),)
    assert (await journal.recover("2")).open_intents == ()
    assert len(await journal.decisions("2")) == 1
    assert await journal.recover("3") == Recovered(0, None, (), ())


async def test_lists_the_last_decisions_oldest_first(journal: SqliteJournal) -> None:
    for sequence in range(1, 8):
        await journal.commit(chain_link(sequence))
    assert [one.sequence for one in await journal.decisions(ACCOUNT_ID, most=3)] == [5, 6, 7]
    assert [one.sequence for one in await journal.decisions(ACCOUNT_ID, after=5)] == [6, 7]
    assert [one.sequence for one in await journal.decisions(ACCOUNT_ID, after=1, most=2)] == [6, 7]
    assert await journal.decisions(ACCOUNT_ID, after=7) == ()
    assert await journal.decisions(ACCOUNT_ID, most=0) == ()


async def test_takes_the_same_decision_twice_without_effect(journal: SqliteJournal) -> None:
    await journal.commit(decision(1, lockouts_set=(lockout(),)))
    await journal.commit(decision(2, lockouts_released=(release(),)))
    await journal.commit(decision(1, lockouts_set=(lockout(),)))
    assert (await journal.recover(ACCOUNT_ID)).lockouts == ()
    assert len(await journal.decisions(ACCOUNT_ID)) == 2


async def test_refuses_other_content_under_a_stored_sequence(journal: SqliteJournal) -> None:
    await journal.commit(decision(1))
    with pytest.raises(JournalConflict, match="decision 1 of account 9056 is stored with other content"):
        await journal.commit(decision(1, lockouts_set=(lockout(),)))
    assert (await journal.recover(ACCOUNT_ID)).lockouts == ()
    await journal.commit(decision(2))


async def test_does_not_undo_later_decisions_when_one_is_committed_late(journal: SqliteJournal) -> None:
    await journal.commit(decision(1, lockouts_set=(lockout(until_ns=3),), intents=(intent("a"),)))
    await journal.commit(
        decision(3, lockouts_released=(release(),), intents=(intent("a", IntentState.VERIFIED), intent("b")))
    )
    await journal.commit(decision(2, lockouts_set=(lockout(until_ns=9),), intents=(intent("a"),)))
    recovered = await journal.recover(ACCOUNT_ID)
    assert (recovered.sequence, recovered.lockouts, recovered.open_intents) == (3, (), (intent("b"),))


async def test_replaces_fills_by_id_and_orders_a_day_by_venue_time(journal: SqliteJournal) -> None:
    early, late = fill("20", at_ns=NOW_NS), fill("10", at_ns=NOW_NS + 1)
    await journal.save(ACCOUNT_ID, DAY, (late, early), b"1")
    await journal.save(ACCOUNT_ID, DAY, (fill("10", at_ns=NOW_NS + 1, is_voided=True),), b"2")
    await journal.save(ACCOUNT_ID, "2026-03-03", (fill("30"),), b"3")
    assert await journal.fills(ACCOUNT_ID, DAY) == (early, fill("10", at_ns=NOW_NS + 1, is_voided=True))
    assert (await journal.recover(ACCOUNT_ID)).snapshot == b"3"


async def test_commits_in_the_order_of_the_calls(journal: SqliteJournal) -> None:
    links = [chain_link(sequence) for sequence in range(1, 41)]
    await asyncio.gather(*(journal.commit(link) for link in links))
    recovered = await journal.recover(ACCOUNT_ID)
    lockouts, intents = remembered(links)
    assert (set(recovered.lockouts), list(recovered.open_intents)) == (lockouts, intents)


class WatchedWriter(Writer):
    """Writes down what it carries out, and carries it out only while its gate is open."""

    def __init__(self) -> None:
        super().__init__()
        self.did: list[str] = []
        self.gate = threading.Event()
        self.gate.set()
        self.has_begun = threading.Event()

    async def run[Answer](self, work: Callable[[], Answer], *, gives_way: bool = False) -> Answer:
        def watched() -> Answer:
            self.did.append("step" if gives_way else "call")
            self.has_begun.set()
            self.gate.wait(5)
            return work()

        return await super().run(watched, gives_way=gives_way)


def large(sequence: int) -> Decision:
    """A decision of one and the same enforcement, as long as all that is read in one step."""
    told = msgspec.structs.replace(intent(f"{ACCOUNT_ID}-1-1"), code="x" * 256 * 1024)
    return decision(sequence, intents=(told,))


@pytest.mark.parametrize("is_story", [False, True])
async def test_keeps_a_commit_waiting_for_one_step_of_the_reads_at_most(tmp_path: Path, is_story: bool) -> None:
    writer = WatchedWriter()
    journal = SqliteJournal(Store(tmp_path, wait_ms=0), InstanceLock.acquire(tmp_path, wait_s=0), writer)
    made = tuple(large(sequence) for sequence in range(1, 5))
    for each in made:
        await journal.commit(each)
    await journal.recover(ACCOUNT_ID)
    writer.did.clear()
    writer.has_begun.clear()
    writer.gate.clear()

    async def read() -> tuple[Decision, ...]:
        if not is_story:
            return await journal.decisions(ACCOUNT_ID, most=4)
        story = await journal.story(f"{ACCOUNT_ID}-1-1")
        assert story is not None
        return story.decisions

    reads = [asyncio.create_task(read()) for _ in range(3)]
    assert await asyncio.to_thread(writer.has_begun.wait, 5)
    commit = asyncio.create_task(journal.commit(decision(1, account_id="2")))
    await asyncio.sleep(0)
    writer.gate.set()
    assert await asyncio.gather(*reads) == [made] * 3
    await commit
    assert writer.did[:2] == ["step", "call"]
    assert writer.did.count("step") >= 3 * len(made)
    await journal.close()


async def test_reads_no_more_than_may_be_answered(journal: SqliteJournal) -> None:
    """Every one of these decisions is read in a step of its own."""
    made = tuple(large(sequence) for sequence in range(1, 4))
    for each in made:
        await journal.commit(each)
    length = sum(len(msgspec.json.encode(each)) for each in made)
    for most_bytes in (None, length, length + 1):
        assert await journal.decisions(ACCOUNT_ID, most_bytes=most_bytes) == made
        assert await journal.story(f"{ACCOUNT_ID}-1-1", most_bytes=most_bytes) == Story(made, None)
    for most_bytes in (0, length - 1):
        with pytest.raises(TooMuchAsked, match=f"more than {most_bytes:,} bytes of decisions"):
            await journal.decisions(ACCOUNT_ID, most_bytes=most_bytes)
        with pytest.raises(TooMuchAsked, match=f"more than {most_bytes:,} bytes of decisions"):
            await journal.story(f"{ACCOUNT_ID}-1-1", most_bytes=most_bytes)
    assert await journal.decisions(ACCOUNT_ID, most=1, most_bytes=length - 1) == made[-1:]


async def test_does_not_open_its_file_again_for_a_read_it_was_asked_for_before_it_closed(tmp_path: Path) -> None:
    writer = WatchedWriter()
    journal = SqliteJournal(Store(tmp_path, wait_ms=0), InstanceLock.acquire(tmp_path, wait_s=0), writer)
    for sequence in range(1, 5):
        await journal.commit(large(sequence))
    writer.has_begun.clear()
    writer.gate.clear()
    reads = [asyncio.create_task(journal.decisions(ACCOUNT_ID)) for _ in range(3)]
    assert await asyncio.to_thread(writer.has_begun.wait, 5)
    closing_it = asyncio.create_task(journal.close())
    await asyncio.sleep(0)
    writer.gate.set()
    for read in reads:
        with pytest.raises(JournalUnavailable, match="closed"):
            await read
    await closing_it
    assert (tmp_path / CLOSED_NAME).exists()


async def test_finishes_a_commit_whose_caller_was_cancelled(journal: SqliteJournal) -> None:
    gate = threading.Event()
    busy = asyncio.create_task(journal._writer.run(gate.wait))
    task = asyncio.create_task(journal.commit(chain_link(1)))
    await asyncio.sleep(0)
    task.cancel()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    await busy
    assert (await journal.recover(ACCOUNT_ID)).sequence == 1


async def test_says_so_when_used_after_close(tmp_path: Path) -> None:
    journal = await SqliteJournal.open(tmp_path)
    await journal.close()
    await journal.close()
    with pytest.raises(JournalUnavailable, match="closed"):
        await journal.commit(decision(1))


async def test_refuses_a_second_journal_on_the_directory(journal: SqliteJournal, tmp_path: Path) -> None:
    with pytest.raises(JournalUnavailable, match="another risk-manager is running on this data directory") as refusal:
        await SqliteJournal.open(tmp_path, wait_s=0)
    assert f"process {os.getpid()}" in str(refusal.value)
    await journal.commit(decision(1))


async def test_refuses_a_second_process_on_the_directory(journal: SqliteJournal, tmp_path: Path) -> None:
    program = (
        "import asyncio, sys; from pathlib import Path\n"
        "from risk_manager.persistence.sqlite_journal import SqliteJournal\n"
        "asyncio.run(SqliteJournal.open(Path(sys.argv[1]), wait_s=0))"
    )
    second = await asyncio.create_subprocess_exec(sys.executable, "-c", program, str(tmp_path), stderr=subprocess.PIPE)
    _, errors = await second.communicate()
    assert second.returncode == 1
    assert b"JournalUnavailable: another risk-manager is running on this data directory" in errors


async def test_keeps_other_programs_out_of_its_file(journal: SqliteJournal, tmp_path: Path) -> None:
    with (
        closing(sqlite3.connect(tmp_path / FILE_NAME, timeout=0)) as other,
        pytest.raises(sqlite3.OperationalError, match="locked"),
    ):
        other.execute("SELECT count(*) FROM decisions")


async def test_says_when_another_program_holds_the_file(tmp_path: Path) -> None:
    await (await SqliteJournal.open(tmp_path)).close()
    with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        other.execute("CREATE TABLE intruder (x)")
        with pytest.raises(JournalUnavailable, match="locked by another program"):
            await SqliteJournal.open(tmp_path, wait_s=0)
    await (await SqliteJournal.open(tmp_path, wait_s=0)).close()


async def test_works_again_once_the_disk_does(journal: SqliteJournal, tmp_path: Path) -> None:
    await journal.commit(chain_link(1))
    with no_writes_past(4096):
        for _ in range(2):
            with pytest.raises(JournalUnavailable, match="the disk refused"):
                await journal.commit(chain_link(2))
            with pytest.raises(JournalUnavailable):
                await journal.save(ACCOUNT_ID, DAY, (fill(),), b"state")
    await journal.commit(chain_link(2))
    recovered = await journal.recover(ACCOUNT_ID)
    assert (recovered.sequence, recovered.snapshot) == (2, None)
    assert set(recovered.lockouts) == remembered([chain_link(1), chain_link(2)])[0]


async def test_has_room_for_the_next_decisions_on_a_full_disk(journal: SqliteJournal, tmp_path: Path) -> None:
    with no_writes_past((tmp_path / f"{FILE_NAME}-wal").stat().st_size):
        for sequence in range(1, 21):
            await journal.commit(chain_link(sequence))
    assert (await journal.recover(ACCOUNT_ID)).sequence == 20


async def test_refuses_a_directory_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(JournalUnavailable, match="data directory cannot be used"):
        await SqliteJournal.open(tmp_path / "data")


async def test_remembers_gaps_by_their_beginning_and_the_last_hundred(tmp_path: Path) -> None:
    journal = await SqliteJournal.open(tmp_path)
    gaps = [Gap(number, number + 5, Cover.DEGRADED, f"cause {number}") for number in range(0, 1020, 10)]
    await journal.save(ACCOUNT_ID, DAY, (), b"1", (*gaps, Gap(2000, None, Cover.BLIND, "rest: gone")))
    await journal.save(ACCOUNT_ID, DAY, (), b"2", (Gap(2000, 2001, Cover.BLIND, "rest: gone"),))
    await journal.save("9", DAY, (), b"3", (Gap(7, None, Cover.BLIND, "starting"),))
    recovered = await journal.recover(ACCOUNT_ID)
    await journal.close()
    assert recovered.gaps == (*gaps[-99:], Gap(2000, 2001, Cover.BLIND, "rest: gone"))

"""The second memory of the lockouts: two slots, of which one always counts."""

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from risk_manager.domain.lockout import Held, Lockout, OnLock
from risk_manager.domain.scope import Scope
from risk_manager.persistence.latch import FOLDER, SLOT_BYTES, FileLatch, LatchFile
from risk_manager.ports.latch import Latch, Latched, LatchUnavailable
from tests.persistence.disk_limits import no_writes_past
from tests.persistence.samples import ACCOUNT_ID, NOW_NS, lockout

KEY = b"k" * 32
FIRST = Latched(1, (lockout(),))
SECOND = Latched(2, (lockout(), lockout("symbol_blocks", scope=Scope(root="MNQ"), until_ns=None)))
THIRD = Latched(7, ())


def latch_file(folder: Path, account_id: str = ACCOUNT_ID, key: bytes = KEY) -> LatchFile:
    return LatchFile(folder / "one.latch", account_id, key)


@pytest.fixture
async def latch(tmp_path: Path) -> AsyncIterator[FileLatch]:
    opened = FileLatch(tmp_path)
    yield opened
    opened.close()


async def test_fulfills_the_port_and_leaves_no_trace_by_looking(latch: FileLatch, tmp_path: Path) -> None:
    port: Latch = latch
    assert await port.read(ACCOUNT_ID) is None
    assert not port.has_trace(ACCOUNT_ID)
    assert list(tmp_path.iterdir()) == []


async def test_gives_back_what_was_written_last_by_another_run(latch: FileLatch, tmp_path: Path) -> None:
    full = msgspec.structs.replace(lockout(on_lock=OnLock.BLOCK_NEW), allowed=(Held("CON.F.US.MNQ.H26", -3),))
    for latched in (FIRST, SECOND, THIRD, Latched(8, (full,))):
        assert await latch.write(ACCOUNT_ID, latched) == 0
    await latch.write("2", FIRST)
    again = FileLatch(tmp_path)
    assert (await again.read(ACCOUNT_ID), await again.read("2")) == (Latched(8, (full,)), FIRST)
    assert (again.has_trace(ACCOUNT_ID), again.has_trace("3")) == (True, False)
    again.close()


async def test_says_when_the_disk_refuses(latch: FileLatch, tmp_path: Path) -> None:
    (tmp_path / "latch").write_text("in the way")
    with pytest.raises(LatchUnavailable, match="the disk refused"):
        await latch.write(ACCOUNT_ID, FIRST)


async def test_is_made_anew_when_somebody_takes_it_away(latch: FileLatch, tmp_path: Path) -> None:
    await latch.write(ACCOUNT_ID, FIRST)
    shutil.rmtree(tmp_path / "latch")
    await latch.write(ACCOUNT_ID, SECOND)
    assert await latch.read(ACCOUNT_ID) == SECOND


def test_goes_by_the_last_write_not_by_the_sequence(tmp_path: Path) -> None:
    """A journal that was lost begins to count anew."""
    file = latch_file(tmp_path)
    for latched in (Latched(900, ()), FIRST):
        file.write(latched)
    assert file.read() == FIRST


def test_has_its_length_from_the_beginning_and_writes_on_a_full_disk(tmp_path: Path) -> None:
    file = latch_file(tmp_path)
    file.write(FIRST)
    assert (tmp_path / "one.latch").stat().st_size == 2 * SLOT_BYTES
    with no_writes_past(2 * SLOT_BYTES):
        for latched in (SECOND, THIRD, FIRST):
            file.write(latched)
            assert file.read() == latched
    assert (tmp_path / "one.latch").stat().st_size == 2 * SLOT_BYTES


@pytest.mark.parametrize("kept_bytes", [0, 1, 20, SLOT_BYTES - 1, SLOT_BYTES, SLOT_BYTES + 1, 2 * SLOT_BYTES - 1])
def test_writes_again_into_a_file_that_was_cut_short(kept_bytes: int, tmp_path: Path) -> None:
    file = latch_file(tmp_path)
    file.write(FIRST)
    whole = (tmp_path / "one.latch").read_bytes()
    (tmp_path / "one.latch").write_bytes(whole[:kept_bytes])
    assert file.read() == (FIRST if kept_bytes > 1000 else None)
    file.write(SECOND)
    assert file.read() == SECOND
    assert (tmp_path / "one.latch").stat().st_size == 2 * SLOT_BYTES


def test_a_write_torn_at_any_byte_leaves_the_one_before(tmp_path: Path) -> None:
    path, file = tmp_path / "one.latch", latch_file(tmp_path)
    for latched in (FIRST, SECOND):
        file.write(latched)
    before = path.read_bytes()
    file.write(THIRD)
    after = path.read_bytes()
    assert before[SLOT_BYTES:] == after[SLOT_BYTES:]
    length = max(at for at in range(SLOT_BYTES) if before[at] != after[at]) + 1
    assert length > 100
    for torn in range(length):
        path.write_bytes(after[:torn] + before[torn:])
        assert file.read() == SECOND, torn
    path.write_bytes(after[:length] + before[length:])
    assert file.read() == THIRD


def test_a_flipped_bit_anywhere_in_a_slot_leaves_the_other(tmp_path: Path) -> None:
    path, file = tmp_path / "one.latch", latch_file(tmp_path)
    for latched in (FIRST, SECOND):
        file.write(latched)
    sound = path.read_bytes()
    newest = sound[SLOT_BYTES:].rstrip(b"\0")
    assert len(newest) > 500
    for at in range(len(newest)):
        flipped = bytearray(sound)
        flipped[SLOT_BYTES + at] ^= 1 << at % 8
        path.write_bytes(flipped)
        assert file.read() == FIRST, at
    file.write(THIRD)
    assert file.read() == THIRD


@pytest.mark.parametrize(("account_id", "key"), [("9057", KEY), (ACCOUNT_ID, b"K" * 32)])
def test_believes_no_file_of_another_account_or_installation(account_id: str, key: bytes, tmp_path: Path) -> None:
    latch_file(tmp_path, account_id, key).write(FIRST)
    assert latch_file(tmp_path).read() is None


@pytest.mark.parametrize("content", [b"", b"\0" * 2 * SLOT_BYTES, b"\xff" * 2 * SLOT_BYTES, b"RMLATCH1" + b"\xff" * 40])
def test_believes_nothing_else(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "one.latch").write_bytes(content)
    assert latch_file(tmp_path).read() is None


def test_keeps_the_strictest_of_more_than_it_has_room_for(tmp_path: Path) -> None:
    account_wide = lockout("daily_realized_loss", until_ns=NOW_NS)
    for_ever = lockout("symbol_blocks", scope=Scope(root="ES"), until_ns=None)
    long_reason = "r" * 1000
    others: list[Lockout] = [
        msgspec.structs.replace(lockout(f"rule_{n}", scope=Scope(root="MNQ"), until_ns=NOW_NS + n), reason=long_reason)
        for n in range(100)
    ]
    left_out = latch_file(tmp_path).write(Latched(5, (*others, for_ever, account_wide)))
    read = latch_file(tmp_path).read()
    assert read is not None
    assert read.lockouts[:3] == (account_wide, for_ever, others[99])
    assert left_out == 102 - len(read.lockouts) > 40


async def test_the_second_place_is_a_latch_of_its_own(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    latch = FileLatch(tmp_path / "one", FileLatch(tmp_path / "two"))
    assert latch.second is not None
    await latch.write(ACCOUNT_ID, FIRST)
    await latch.second.write(ACCOUNT_ID, SECOND)
    latch.close()
    shutil.rmtree(tmp_path / "one")
    again = FileLatch(tmp_path / "two")
    assert await again.read(ACCOUNT_ID) == SECOND
    again.close()


async def test_a_place_that_cannot_be_looked_into_counts_as_a_trace(tmp_path: Path) -> None:
    (tmp_path / "latch").symlink_to(tmp_path / "latch")
    latch = FileLatch(tmp_path)
    assert (latch.has_trace(ACCOUNT_ID), await latch.read(ACCOUNT_ID)) == (True, None)
    latch.close()


@pytest.mark.skipif(os.name != "posix", reason="permissions of this kind are POSIX's")
@pytest.mark.parametrize("mode", [0o770, 0o702])
async def test_the_second_place_is_not_used_where_others_may_write(tmp_path: Path, mode: int) -> None:
    latch = FileLatch(tmp_path, is_second=True)
    await latch.write(ACCOUNT_ID, SECOND)
    tmp_path.chmod(mode)
    with pytest.raises(LatchUnavailable, match="can be changed by others"):
        await latch.write(ACCOUNT_ID, SECOND)
    assert await latch.read(ACCOUNT_ID) is None
    tmp_path.chmod(0o700)
    assert await latch.read(ACCOUNT_ID) == SECOND
    latch.close()


@pytest.mark.skipif(os.name != "posix", reason="links of this kind are POSIX's")
async def test_never_writes_through_a_link(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"somebody's")
    latch = FileLatch(tmp_path)
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / f"{ACCOUNT_ID}.latch").symlink_to(other)
    (tmp_path / "journal.key.new").symlink_to(other)
    with pytest.raises(LatchUnavailable):
        await latch.write(ACCOUNT_ID, SECOND)
    assert other.read_bytes() == b"somebody's"
    latch.close()

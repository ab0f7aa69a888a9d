"""Whatever other hands do to a journal shows: to its bytes, its rows, its end, or by putting an earlier copy back."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk_manager.persistence.anchor import Anchor, AnchorsUnreadable, anchor_of, append, read
from risk_manager.persistence.database import FILE_NAME
from risk_manager.persistence.schema import MIGRATIONS
from risk_manager.persistence.seals import CLOSED_NAME, KEY_NAME, load_key
from risk_manager.persistence.store import Store
from risk_manager.persistence.verification import Verification, verify
from tests.persistence.samples import ACCOUNT_ID, DAY, chain_link, fill

DECISIONS = 12


def filled(directory: Path, *, decisions: int = DECISIONS) -> Store:
    """A journal with something in every table, still open."""
    store = Store(directory, wait_ms=0)
    for sequence in range(1, decisions + 1):
        store.commit(chain_link(sequence))
    store.tidy()
    store.save(ACCOUNT_ID, DAY, (fill("1"), fill("2")), b"snapshot", ())
    return store


def failed(found: Verification) -> set[str]:
    return {check.name for check in found.checks if check.passed is False}


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    filled(tmp_path).finish()
    return tmp_path


def changed(directory: Path, statement: str) -> None:
    """Change the journal as somebody with a database tool would, who also knows to take the closed file's hash away."""
    (directory / CLOSED_NAME).unlink(missing_ok=True)
    with closing(sqlite3.connect(directory / FILE_NAME, isolation_level=None)) as connection:
        assert connection.execute(statement).rowcount != 0


def test_finds_nothing_wrong_with_what_the_guard_wrote(closed: Path) -> None:
    found = verify(closed, anchors=[])
    assert failed(found) == {"anchor"}
    found = verify(closed)
    assert found.is_sound
    assert found.decisions == DECISIONS
    assert [check.passed for check in found.checks] == [True] * len(found.checks)


def test_reads_a_journal_in_use_without_disturbing_it(tmp_path: Path) -> None:
    store = filled(tmp_path)
    before = sorted(path.name for path in tmp_path.iterdir())
    found = verify(tmp_path)
    assert found.is_sound
    assert found.decisions == DECISIONS
    assert next(check for check in found.checks if check.name == "closed file").passed is None
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    store.commit(chain_link(DECISIONS + 1))
    assert verify(tmp_path).decisions == DECISIONS + 1
    store.finish()


def test_says_how_far_it_is(closed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("risk_manager.persistence.verification.ROWS_PER_REPORT", 5)
    told: list[tuple[int, int]] = []
    verify(closed, on_progress=lambda done, of: told.append((done, of)))
    assert told == [(5, DECISIONS), (10, DECISIONS)]


@pytest.mark.parametrize(
    ("statement", "check", "says"),
    [
        ("UPDATE decisions SET body = replace(body, '9056', '9057') WHERE rowid = 4", "chain", "decision 4 "),
        ("UPDATE decisions SET received_ns = received_ns + 1 WHERE rowid = 1", "chain", "decision 1 "),
        ("UPDATE decisions SET seal = zeroblob(32) WHERE rowid = 12", "chain", "decision 12 "),
        ("UPDATE decisions SET seal = NULL WHERE rowid = 12", "chain", "decision 12 "),
        ("DELETE FROM decisions WHERE rowid = 1", "chain", "decision 1 is missing"),
        ("DELETE FROM decisions WHERE rowid = 7", "chain", "decision 7 is missing"),
        ("DELETE FROM decisions WHERE rowid > 9", "end", "once had 12 decisions"),
        ("DELETE FROM decisions", "end", "once had 12 decisions"),
        ("DELETE FROM totals WHERE name = 'decisions'", "end", "taken away"),
        ("UPDATE totals SET rows = 11 WHERE name = 'decisions'", "end", "not written by the guard"),
        ("DELETE FROM lockouts WHERE rowid = (SELECT min(rowid) FROM lockouts)", "lockouts", "rows instead of"),
        ("UPDATE lockouts SET is_active = 0, released_ns = 1, release_reason = 'x'", "lockouts", "not as it was"),
        ("UPDATE lockouts SET until_ns = 1", "lockouts", "not as it was"),
        ("DELETE FROM totals WHERE name = 'lockouts'", "lockouts", "taken away"),
        ("UPDATE intents SET state = 'verified'", "intents", "not as it was"),
        ("UPDATE fills SET at_ns = at_ns + 1 WHERE fill_id = '2'", "fills", "not as it was"),
        ("INSERT INTO fills SELECT account_id, '3', trading_day, at_ns, body FROM fills LIMIT 1", "fills", "3 rows"),
        ("UPDATE snapshots SET body = x'00'", "snapshots", "not as it was"),
        ("UPDATE folded SET up_to = 0", "folded", "not as it was"),
        ("CREATE TRIGGER off AFTER INSERT ON lockouts BEGIN DELETE FROM lockouts; END", "schema", "off"),
        ("DROP INDEX fills_by_day", "schema", "fills_by_day"),
    ],
)
def test_names_what_was_changed(closed: Path, statement: str, check: str, says: str) -> None:
    changed(closed, statement)
    found = verify(closed)
    assert check in failed(found)
    assert says in next(each.found for each in found.checks if each.name == check)


def test_rows_that_change_places_show(closed: Path) -> None:
    changed(closed, "UPDATE decisions SET rowid = -rowid WHERE rowid IN (3, 4)")
    changed(closed, "UPDATE decisions SET rowid = 7 + rowid WHERE rowid < 0")
    assert "chain" in failed(verify(closed))


@pytest.mark.parametrize(
    "harm",
    [
        lambda folder: (folder / FILE_NAME).unlink(),
        lambda folder: (folder / FILE_NAME).write_bytes(b""),
        lambda folder: (folder / FILE_NAME).write_bytes(b"no database" * 1000),
        lambda folder: (folder / KEY_NAME).unlink(),
        lambda folder: (folder / KEY_NAME).write_bytes(bytes(32)),
        lambda folder: (folder / KEY_NAME).write_bytes(b"short"),
        lambda folder: (folder / CLOSED_NAME).write_bytes(bytes(32)),
    ],
    ids=["no file", "empty file", "another file", "no key", "another key", "damaged key", "another hash"],
)
def test_says_so_where_a_file_is_missing_or_foreign(closed: Path, harm: Callable[[Path], object]) -> None:
    harm(closed)
    assert not verify(closed).is_sound


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_changed_byte_of_a_closed_journal_shows(data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        directory = Path(folder)
        filled(directory, decisions=3).finish()
        content = bytearray((directory / FILE_NAME).read_bytes())
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] ^= data.draw(st.integers(1, 255))
        (directory / FILE_NAME).write_bytes(content)
        assert not verify(directory).is_sound


@settings(max_examples=60, deadline=None)
@given(keep=st.floats(0, 0.9999))
def test_any_cut_of_a_closed_journal_shows(keep: float) -> None:
    with TemporaryDirectory() as folder:
        directory = Path(folder)
        filled(directory, decisions=3).finish()
        content = (directory / FILE_NAME).read_bytes()
        (directory / FILE_NAME).write_bytes(content[: int(len(content) * keep)])
        assert not verify(directory).is_sound


def test_what_comes_after_a_restart_is_sealed_with_what_was_before(closed: Path) -> None:
    store = Store(closed, wait_ms=0)
    store.commit(chain_link(DECISIONS + 1))
    assert not (closed / CLOSED_NAME).exists()
    store.close()
    assert verify(closed).decisions == DECISIONS + 1
    assert verify(closed).is_sound


def test_a_decision_offered_again_and_one_the_disk_refused_leave_the_chain_whole(tmp_path: Path) -> None:
    store = filled(tmp_path)
    store.commit(chain_link(3))
    pages = store.connect().execute("PRAGMA page_count").fetchone()[0]
    store.connect().execute(f"PRAGMA max_page_count = {pages}").fetchone()
    refused = 0
    for sequence in range(DECISIONS + 1, DECISIONS + 40):
        try:
            store.commit(chain_link(sequence))
            store.save(ACCOUNT_ID, DAY, (fill(str(sequence)),), b"x" * 5000, ())
        except sqlite3.OperationalError:
            refused += 1
    assert refused > 3
    store.connect().execute("PRAGMA max_page_count = 100000").fetchone()
    store.commit(chain_link(DECISIONS + 50))
    store.save(ACCOUNT_ID, DAY, (fill("last"),), b"y", ())
    store.finish()
    assert failed(verify(tmp_path)) == set()


def test_a_disk_that_refuses_at_the_end_keeps_nobody_from_ending(tmp_path: Path) -> None:
    store = Store(tmp_path, wait_ms=0)
    for sequence in range(1, DECISIONS + 1):
        store.commit(chain_link(sequence))
    pages = store.connect().execute("PRAGMA page_count").fetchone()[0]
    store.connect().execute(f"PRAGMA max_page_count = {pages}").fetchone()
    store.finish()
    store.finish()
    assert verify(tmp_path).is_sound
    store = Store(tmp_path, wait_ms=0)
    assert store.recover(ACCOUNT_ID).sequence == DECISIONS
    store.finish()
    assert verify(tmp_path).is_sound


def test_a_hash_that_cannot_be_written_is_missing_and_not_wrong(tmp_path: Path) -> None:
    store = filled(tmp_path)
    (tmp_path / f"{CLOSED_NAME}.new").mkdir()
    store.finish()
    found = verify(tmp_path)
    assert found.is_sound
    assert next(check for check in found.checks if check.name == "closed file").passed is None


def test_seals_the_decisions_of_a_version_that_did_not(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as old:
        old.execute("PRAGMA journal_mode = WAL")
        for statements in MIGRATIONS[:3]:
            for statement in statements:
                old.execute(statement)
        for sequence in (1, 2):
            body = msgspec.json.encode(chain_link(sequence)).decode()
            old.execute("INSERT INTO decisions VALUES ('1', ?, 'day', 0, 0, 'quote', ?)", (sequence, body))
        old.execute(f"PRAGMA application_id = {0x5249534B}")
        old.execute("PRAGMA user_version = 3")
    store = Store(tmp_path, wait_ms=0)
    store.connect()
    store.finish()
    found = verify(tmp_path)
    assert found.decisions == 2
    assert found.is_sound


# -- anchors -----------------------------------------------------------------------------------------------------------


def anchored(directory: Path, store: Store) -> Anchor:
    return anchor_of(load_key(directory), store.seals.length, store.seals.last, "2026-03-02T12:00:00Z")


def test_only_an_anchor_shows_that_yesterdays_copy_was_put_back(tmp_path: Path) -> None:
    place, yesterday = tmp_path / "data", tmp_path / "yesterday"
    place.mkdir()
    store = filled(place)
    first = anchored(place, store)
    store.finish()
    shutil.copytree(place, yesterday)
    store = Store(place, wait_ms=0)
    store.commit(chain_link(DECISIONS + 1))
    second = anchored(place, store)
    store.finish()
    assert verify(place, anchors=[first, second]).is_sound
    assert verify(yesterday).is_sound
    assert verify(yesterday, anchors=[first]).is_sound
    assert failed(verify(yesterday, anchors=[first, second])) == {"anchor"}


def test_a_history_written_anew_does_not_fit_its_anchor(tmp_path: Path) -> None:
    """Even whoever has the key cannot change what was anchored before."""
    store = filled(tmp_path)
    anchor = anchored(tmp_path, store)
    store.finish()
    (tmp_path / FILE_NAME).unlink()
    store = Store(tmp_path, wait_ms=0)
    for sequence in range(1, DECISIONS + 1):
        store.commit(chain_link(sequence + 1))
    store.finish()
    assert failed(verify(tmp_path, anchors=[anchor])) == {"anchor"}


@pytest.mark.parametrize("field", ["rows", "seal", "at", "installation"])
def test_a_changed_anchor_is_not_believed(tmp_path: Path, field: str) -> None:
    store = filled(tmp_path)
    anchor = anchored(tmp_path, store)
    store.finish()
    values = {"rows": 1, "seal": "00" * 32, "at": "2027-01-01T00:00:00Z", "installation": "0" * 16}
    fields = {name: getattr(anchor, name) for name in anchor.__struct_fields__} | {field: values[field]}
    assert failed(verify(tmp_path, anchors=[Anchor(**fields)])) == {"anchor"}


def test_anchors_are_read_as_they_were_written_up_to_a_line_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "anchors"
    anchors = tuple(anchor_of(bytes(32), rows, bytes([rows] * 32), f"2026-03-0{rows}") for rows in (1, 2))
    for anchor in anchors:
        append(path, anchor)
    assert read(path) == anchors
    path.write_bytes(path.read_bytes() + b'{"installation":"')
    assert read(path) == anchors
    path.write_text("nonsense\n", encoding="utf-8")
    with pytest.raises(AnchorsUnreadable, match="line 1"):
        read(path)

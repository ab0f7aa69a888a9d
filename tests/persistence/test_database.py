import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from risk_manager.persistence.database import FILE_NAME, Unusable, open_database
from risk_manager.persistence.schema import APPLICATION_ID, MIGRATIONS


def _pragma(connection: sqlite3.Connection, name: str) -> object:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


def test_opens_with_the_durable_settings(tmp_path: Path) -> None:
    with closing(open_database(tmp_path, wait_ms=0)) as connection:
        answers = {
            name: _pragma(connection, name)
            for name in ("journal_mode", "synchronous", "locking_mode", "user_version", "application_id")
        }
        strict = connection.execute("SELECT name, strict FROM pragma_table_list WHERE schema = 'main'").fetchall()
    assert answers == {
        "journal_mode": "wal",
        "synchronous": 2,
        "locking_mode": "exclusive",
        "user_version": len(MIGRATIONS),
        "application_id": APPLICATION_ID,
    }
    assert {name: bool(flag) for name, flag in strict if not name.startswith("sqlite_")} == dict.fromkeys(
        ("decisions", "intents", "lockouts", "fills", "snapshots", "folded", "gaps", "totals", "enforcements"), True
    )


def test_needs_no_shared_memory_file(tmp_path: Path) -> None:
    for _ in range(2):
        with closing(open_database(tmp_path, wait_ms=0)) as connection:
            connection.execute("INSERT INTO snapshots VALUES (hex(randomblob(8)), 'day', x'00')")
            assert sorted(path.name for path in tmp_path.iterdir()) == [FILE_NAME, f"{FILE_NAME}-wal"]


def test_makes_the_file_readable_by_its_owner_only(tmp_path: Path) -> None:
    open_database(tmp_path, wait_ms=0).close()
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o077 == 0


def test_completes_a_creation_that_was_cut_short(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"")
    with closing(open_database(tmp_path, wait_ms=0)) as connection:
        assert _pragma(connection, "user_version") == len(MIGRATIONS)


def test_migrates_an_older_file_and_keeps_a_copy(tmp_path: Path) -> None:
    with closing(open_database(tmp_path, wait_ms=0)) as connection:
        connection.execute("INSERT INTO snapshots VALUES ('1', 'day', x'07')")
    newer = (*MIGRATIONS, ("ALTER TABLE snapshots ADD COLUMN note TEXT NOT NULL DEFAULT 'none'",))
    with closing(open_database(tmp_path, wait_ms=0, migrations=newer)) as connection:
        assert connection.execute("SELECT * FROM snapshots").fetchall() == [("1", "day", b"\x07", "none")]
        assert _pragma(connection, "user_version") == len(newer)
    with closing(sqlite3.connect(tmp_path / f"journal.v{len(MIGRATIONS)}.sqlite")) as copy:
        assert copy.execute("SELECT * FROM snapshots").fetchall() == [("1", "day", b"\x07")]


def test_takes_what_the_first_schema_folded_as_folded(tmp_path: Path) -> None:
    with closing(open_database(tmp_path, wait_ms=0, migrations=MIGRATIONS[:1])) as connection:
        connection.execute("INSERT INTO decisions VALUES ('1', 1, 'day', 0, 0, 'quote', '{}')")
    with closing(open_database(tmp_path, wait_ms=0)) as connection:
        assert connection.execute("SELECT one, up_to FROM folded").fetchall() == [(1, 1)]


def test_leaves_the_file_as_it_was_when_a_migration_fails(tmp_path: Path) -> None:
    open_database(tmp_path, wait_ms=0).close()
    broken = (*MIGRATIONS, ("CREATE TABLE half (x INTEGER) STRICT", "this is no SQL"))
    with pytest.raises(sqlite3.OperationalError):
        open_database(tmp_path, wait_ms=0, migrations=broken)
    with closing(open_database(tmp_path, wait_ms=0)) as connection:
        assert connection.execute("SELECT name FROM sqlite_schema WHERE name = 'half'").fetchall() == []


def test_refuses_a_file_of_a_newer_version(tmp_path: Path) -> None:
    open_database(tmp_path, wait_ms=0, migrations=(*MIGRATIONS, ())).close()
    with pytest.raises(Unusable, match="newer risk-manager"):
        open_database(tmp_path, wait_ms=0)


def test_refuses_the_database_of_another_program(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as other:
        other.execute("CREATE TABLE photos (name)")
    with pytest.raises(Unusable, match="belongs to another program"):
        open_database(tmp_path, wait_ms=0)


def test_refuses_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"not a database, but long enough to have a header" * 100)
    with pytest.raises(sqlite3.DatabaseError):
        open_database(tmp_path, wait_ms=0)


def test_refuses_a_damaged_file(tmp_path: Path) -> None:
    with closing(open_database(tmp_path, wait_ms=0)) as connection:
        for number in range(300):
            connection.execute("INSERT INTO snapshots VALUES (?, 'day', zeroblob(500))", (str(number),))
    damaged = bytearray((tmp_path / FILE_NAME).read_bytes())
    damaged[20 * 4096 : 26 * 4096] = b"\xa5" * (6 * 4096)
    (tmp_path / FILE_NAME).write_bytes(damaged)
    with pytest.raises((Unusable, sqlite3.DatabaseError), match=r"damaged|malformed"):
        open_database(tmp_path, wait_ms=0)

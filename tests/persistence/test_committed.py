"""What is read of a journal beside its guard: as it was written, or a word about why not, whatever the file holds."""

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from risk_manager.persistence.committed import committed_decisions
from risk_manager.persistence.database import FILE_NAME
from risk_manager.persistence.reading import Unreadable
from risk_manager.persistence.store import Store
from risk_manager.persistence.stories import stories
from tests.persistence.samples import ACCOUNT_ID, DAY, chain_link, fill


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("journal")
    store = Store(directory, wait_ms=0)
    for sequence in range(1, 13):
        store.commit(chain_link(sequence))
    store.tidy()
    store.save(ACCOUNT_ID, DAY, (fill("1"), fill("2")), b"snapshot", ())
    store.finish()
    return directory


def told(directory: Path) -> set[str]:
    """How the journal was read: whole, or with a word about it."""
    ways = set()
    for read in (lambda: committed_decisions(directory, ACCOUNT_ID, 0), lambda: stories(directory)):
        try:
            ways.add("read" if read() else "empty")
        except Unreadable:
            ways.add("unreadable")
    return ways


def test_gives_each_decision_as_it_was_written(journal: Path) -> None:
    found = committed_decisions(journal, ACCOUNT_ID, 3, 5)
    assert found == {sequence: msgspec.json.encode(chain_link(sequence)) for sequence in (4, 5)}
    assert committed_decisions(journal, "another", 0) == {}


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("'no decision'", "decision 4 in the journal is none: JSON is malformed"),
        ("'{}'", "decision 4 in the journal is none: Object missing required field `sequence`"),
        ("CAST(x'7bff7d' AS TEXT)", "cannot be read: Could not decode to UTF-8 column 'body'"),
        ("17", "decision 4 in the journal is none: Expected `object`, got `int`"),
    ],
)
def test_says_which_decision_is_none(journal: Path, tmp_path: Path, value: str, says: str) -> None:
    (tmp_path / FILE_NAME).write_bytes((journal / FILE_NAME).read_bytes())
    with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as connection:
        assert connection.execute(f"UPDATE decisions SET body = {value} WHERE sequence = 4").rowcount == 1
    with pytest.raises(Unreadable) as error:
        committed_decisions(tmp_path, ACCOUNT_ID, 0)
    assert says in str(error.value)


def test_damaged_pages_are_told_of(journal: Path, tmp_path: Path) -> None:
    whole = (journal / FILE_NAME).read_bytes()
    ways = []
    for page in range(len(whole) // 4096):
        content = bytearray(whole)
        content[page * 4096 : (page + 1) * 4096] = b"\xa5" * 4096
        (tmp_path / FILE_NAME).write_bytes(content)
        ways.append(told(tmp_path))
    assert told(journal) == {"read"}
    assert {"unreadable"} in ways


def test_damaged_bytes_are_told_of(journal: Path, tmp_path: Path) -> None:
    """Whatever is in a file, nothing but `Unreadable` comes of reading it."""
    whole = (journal / FILE_NAME).read_bytes()
    chance = random.Random(20_260_302)
    ways: set[str] = set()
    for number in range(150):
        content = bytearray(whole)
        for _ in range(1 + number % 40):
            content[chance.randrange(len(content))] = chance.randrange(256)
        (tmp_path / FILE_NAME).write_bytes(content)
        ways |= told(tmp_path)
    assert {"read", "unreadable"} <= ways

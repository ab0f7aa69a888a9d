"""`risk-manager audit verify`, `export` and `explain`, on a journal as a guard leaves it."""

import json
import sqlite3
from contextlib import closing
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from risk_manager.cli import app
from risk_manager.persistence.anchor import anchor_of, append
from risk_manager.persistence.database import FILE_NAME
from risk_manager.persistence.seals import CLOSED_NAME, load_key
from risk_manager.persistence.store import Store
from risk_manager.rules import build_rules
from risk_manager.runtime.enforcements import EnforcementLog, Timing, record_of
from risk_manager.testing.events import ES
from risk_manager.testing.guarded import Guarded

BREACH = "1001-1-1"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The data directory of an account that held two contracts where one was allowed, and was flattened."""
    guarded, log = Guarded(*build_rules({"max_contracts": {"limit": 1, "action": "flatten"}})), EnforcementLog()
    venue = guarded.venue

    def step(*events: object) -> None:
        for event in events:
            for decision in guarded.feed(event):  # type: ignore[arg-type]
                log.take(decision, Timing(300_000, 500_000), guarded.engine.account)

    step(*venue.buys(ES, 2, 5000), *venue.closes(ES, 4999))
    for _ in range(6):
        venue.wait(1)
        step(venue.snapshot())
    directory = tmp_path / "data"
    directory.mkdir()
    store = Store(directory, wait_ms=0)
    for decision in guarded.decisions:
        store.commit(decision)
    store.remember(tuple(record_of(each) for each in log.unsaved))
    append(tmp_path / "anchors", anchor_of(load_key(directory), store.seals.length, store.seals.last, "2025-01-15"))
    store.finish()
    return directory


def audit(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["audit", *map(str, arguments)])


def tamper(data: Path) -> None:
    (data / CLOSED_NAME).unlink()
    with closing(sqlite3.connect(data / FILE_NAME, isolation_level=None)) as connection:
        connection.execute("UPDATE decisions SET body = replace(body, '1001', '1002') WHERE rowid = 1")


def test_a_journal_as_it_was_written_is_said_to_be_so(data: Path) -> None:
    done = audit("verify", "--data", data, "--anchor", data.parent / "anchors")
    assert done.exit_code == 0, done.output
    for said in ("chain", "anchor", "1 anchors agree", "last seal"):
        assert said in done.stdout
    assert "FAILED" not in done.stdout
    found = json.loads(audit("verify", "--data", data, "--json").stdout)
    assert found["ok"] is True
    assert found["decisions"] > 1


def test_a_changed_journal_fails(data: Path) -> None:
    tamper(data)
    done = audit("verify", "--data", data)
    assert done.exit_code == 1
    assert "decision 1 (number 1 of account 1001) is not as it was written" in done.stdout


def test_explains_from_the_journal(data: Path) -> None:
    named, last = (audit("explain", which, "--data", data) for which in (BREACH, "last"))
    assert named.exit_code == 0, named.output
    assert named.stdout == last.stdout
    assert "max_contracts was broken on the account" in named.stdout
    assert "Measured 2 contracts, the limit is 1 contracts." in named.stdout


def test_exports_a_page_that_tells_everything_and_runs_nothing(data: Path) -> None:
    page = data.parent / "page.html"
    done = audit("export", page, "--data", data, "--day", "2025-01-15")
    assert (done.exit_code, done.stdout) == (0, f"1 enforcements written to {page}\n")
    tags: list[str] = []
    texts: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            tags.append(tag)

        def handle_data(self, data: str) -> None:
            texts.append(data)

    Reader().feed(page.read_text(encoding="utf-8"))
    assert "script" not in tags
    assert "img" not in tags
    text = "".join(texts)
    assert "max_contracts was broken on the account" in text
    assert '"sequence": 2' in text
    assert "FAILED" not in text


def test_exports_json_for_programs(data: Path) -> None:
    done = audit("export", "-", "--data", data, "--id", BREACH, "--format", "json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert [each["id"] for each in found["enforcements"]] == [BREACH]
    assert [each["sequence"] for each in found["decisions"]] == found["enforcements"][0]["steps"]


def test_a_packet_from_a_changed_journal_says_so(data: Path) -> None:
    tamper(data)
    done = audit("export", data.parent / "page.html", "--data", data)
    assert done.exit_code == 1
    assert "NOT as it was written" in done.stderr
    assert "FAILED" in (data.parent / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("verify", "--data", "nowhere"), "there is no directory nowhere"),
        (("explain", "1-1-1", "--data", "{data}"), "no such enforcement"),
        (("explain", "last", "--data", "nowhere"), "there is no journal in nowhere"),
        (("export", "{data}/out", "--data", "{data}", "--day", "2031-01-01"), "no such enforcement"),
        (("export", "{data}/no/out", "--data", "{data}"), "No such file"),
        (("verify", "--data", "{data}", "--anchor", "{data}/none"), "No such file"),
        (("verify", "--data", "{data}", "--anchor", "{data}/journal.sqlite"), "line 1"),
    ],
)
def test_says_what_cannot_be_done(data: Path, arguments: tuple[str, ...], says: str) -> None:
    done = audit(*(argument.format(data=data) for argument in arguments))
    assert done.exit_code == 2, done.output
    assert says in done.stderr
    assert "Traceback" not in done.output

"""`risk-manager audit replay`: what it prints, and how it ends."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from risk_manager.cli import app
from risk_manager.config import build_trading_days
from risk_manager.config.custom_rules import rules_of
from risk_manager.persistence.instance_lock import InstanceLock
from risk_manager.rules import MaxContracts, build_rules
from risk_manager.testing.events import DAYS, ES
from tests.config.files import ACCOUNTS, write
from tests.replay.recorded import DAY, RecordedDay, rewrite
from tests.replay.test_day import looser

EXAMPLE = Path(__file__).parents[2] / "examples" / "no_adding_to_losers.py"


@pytest.fixture
async def data(tmp_path: Path) -> Path:
    """A recorded day of a few decisions, the first of them a breach."""
    day = RecordedDay(tmp_path / "state", MaxContracts(limit=3))
    await day.feed(day.venue.snapshot(), day.venue.buys(ES, 5, 5800), day.venue.snapshot())
    await day.stop()
    return day.data


def replay(*arguments: str, day: str = DAY) -> Result:
    runner = CliRunner(env={"COLUMNS": "120", "NO_COLOR": "1"})
    return runner.invoke(app, ["audit", "replay", day, *arguments])


def test_explains_itself() -> None:
    done = replay("--help")
    for word in ("--account", "--config", "--data", "--json", "session date", "byte for byte"):
        assert word in done.output, word


def test_says_that_all_is_identical(data: Path) -> None:
    done = replay("--data", str(data))
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert lines[0] == "2025-01-15, account 1001"
    assert lines[-1].startswith("  identical: ")
    assert "decisions are byte for byte the journal's" in lines[-1]
    assert "DIFFERENT" not in done.output


def test_shows_the_first_divergence_field_by_field(data: Path) -> None:
    (path,) = (data / "recorder" / "1001").iterdir()
    rewrite(path, looser)
    done = replay("--data", str(data))
    assert done.exit_code == 1
    assert "DIFFERENT from decision 1 on" in done.output
    assert "at event 2: {" in done.output
    assert '"type":"fill_received"' in done.output
    assert "the whole decision" in done.output
    assert "replay   nothing" in done.output


def test_tells_everything_as_json(data: Path) -> None:
    done = replay("--data", str(data), "--json", "--account", "practice")
    assert done.exit_code == 0
    (found,) = json.loads(done.output)
    assert found["account"] == "1001"
    segment = found["segment"]
    assert segment["file"] == "2025-01-15.1.rec"
    assert segment["decisions"] == segment["identical"] > 0
    assert segment["divergence"] is None


def test_ends_with_2_when_there_is_nothing(data: Path, tmp_path: Path) -> None:
    for arguments, day, words in (
        (("--data", str(data)), "2025-01-20", "nothing is recorded of 2025-01-20; there are 2025-01-15"),
        (("--data", str(data), "--account", "7"), DAY, "nothing is recorded of the account 7; there are 1001"),
        (("--data", str(tmp_path / "empty")), DAY, "nothing is recorded in"),
        (("--config", str(tmp_path / "none")), DAY, "or name the data directory: --data DIR"),
    ):
        done = replay(*arguments, day=day)
        assert done.exit_code == 2, done.output
        assert words in done.output


def test_ends_with_2_when_something_cannot_be_replayed(data: Path) -> None:
    (path,) = (data / "recorder" / "1001").iterdir()
    path.write_bytes(path.read_bytes()[:40])
    done = replay("--data", str(data))
    assert done.exit_code == 2
    assert "NOT REPLAYED, or not to its end: the last block is torn" in done.output
    assert "NOT COMPLETE: 0 of 0 decisions" in done.output


def test_finds_the_data_directory_in_the_configuration_without_credentials(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PROJECT_X_USERNAME", "PROJECT_X_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    config = tmp_path / "config"
    config.mkdir()
    write(config, accounts=ACCOUNTS.replace("data_dir: state", f"data_dir: {data}"))
    done = replay("--config", str(config))
    assert done.exit_code == 0, done.output


def test_says_that_the_guard_is_running(data: Path) -> None:
    lock = InstanceLock.acquire(data, wait_s=0.0)
    try:
        done = replay("--data", str(data))
    finally:
        lock.release()
    assert done.exit_code == 0, done.output
    assert "another risk-manager is running on this data directory" in done.output
    assert "in the last second is not written yet" in done.output


def test_says_when_the_trading_days_are_not_as_they_were(data: Path) -> None:
    """The recording was made with a table of one week."""
    assert build_trading_days("17:00", "America/Chicago") != DAYS
    done = replay("--data", str(data))
    assert "note: not as recorded: the trading days of America/Chicago" in done.output


async def test_a_damaged_file_is_no_identical_day(data: Path) -> None:
    day = RecordedDay(data, MaxContracts(limit=3))
    await day.feed(day.venue.snapshot(), day.venue.quote(ES, 5800))
    day.recording._hand_over()
    await day.feed(day.venue.quote(ES, 5800))
    await day.stop()
    path = day.files()[-1]
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    done = replay("--data", str(data))
    assert done.exit_code == 2, done.output
    assert "2 events, 0 decisions, 0 identical" in done.output
    assert "NOT REPLAYED, or not to its end: a block is damaged; " in done.output
    assert "NOT COMPLETE" in done.output


async def test_takes_rules_of_ones_own_from_the_configuration(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.mkdir()
    write(config, risk="custom_rules: [mine.py]\nrules:\n  no_adding_to_losers: {from_loss: 50}\n")
    shutil.copyfile(EXAMPLE, config / "mine.py")
    day = RecordedDay(tmp_path / "state", *build_rules({"no_adding_to_losers": {"from_loss": 50}}, rules_of(config)))
    await day.feed(day.venue.snapshot(), day.venue.quote(ES, 5800), day.venue.buys(ES, 1, 5800))
    await day.feed(day.venue.quote(ES, 5795), day.venue.buys(ES, 1, 5795), day.venue.snapshot())
    await day.stop()
    assert day.engine.sequence > 0

    arguments = ("--config", str(config), "--data", str(day.data))
    done = replay(*arguments)
    assert done.exit_code == 0, done.output
    assert "the code of the rule" not in done.output
    (config / "mine.py").write_text(f"{EXAMPLE.read_text(encoding='utf-8')}\n# another line\n", encoding="utf-8")
    done = replay(*arguments)
    assert done.exit_code == 0, done.output
    assert "note: not as recorded: the code of the rule no_adding_to_losers" in done.output

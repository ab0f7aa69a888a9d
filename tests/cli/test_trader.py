"""`risk-manager trader`, as a process that asks a guard."""

import json
import time

import pytest
from typer.testing import CliRunner

from risk_manager.cli import app
from tests.cli.fake_guard import ACCOUNT, ANSWERS, DECISIONS, EXPLANATION, STATUS, answering
from tests.e2e.processes import call, free_port, say

HEAVY = {"aiohttp", "asyncio", "msgspec", "pydantic", "rich", "ruamel", "sqlite3", "structlog"}
"""What the daemon needs and a command that only asks it does not."""


def test_shows_the_status_on_a_screen() -> None:
    with answering() as (url, asked):
        done = call("trader", "status", "--url", url)

    assert (done.returncode, asked) == (0, ["/api/status"])
    for shown in ("practice", "LOCKED", "-$787.50", "-2 MNQH6", "DAILY_LOSS", "8:31:00", "market_hub", "day loss"):
        assert shown in done.stdout, done.stdout


@pytest.mark.parametrize("can_trade", [True, False])
def test_says_that_the_venue_blocks_an_account(can_trade: bool) -> None:
    told = {**STATUS, "accounts": [{**ACCOUNT, "can_trade": can_trade}]}
    with answering({**ANSWERS, "/api/status": told}) as (url, _):
        done = call("trader", "status", "--url", url)

    assert ("BLOCKED by the venue" in done.stdout) is not can_trade


def test_prints_the_status_as_the_guard_told_it() -> None:
    with answering() as (url, _):
        done = call("trader", "status", "--json", "--url", url)

    assert json.loads(done.stdout) == STATUS


def test_takes_the_address_from_the_environment() -> None:
    with answering() as (url, asked):
        assert call("trader", "status", "--json", environ={"RISK_MANAGER_URL": url}).returncode == 0

    assert asked == ["/api/status"]


def test_tells_the_decisions_in_words() -> None:
    with answering() as (url, asked):
        done = call("trader", "logs", "--most", "7", "--url", url)

    assert asked == ["/api/decisions?most=7"]
    lines = done.stdout.splitlines()
    assert [line.split()[2] for line in lines] == ["BREACH", "LOCKED", "SEND"]
    assert "-$806.56" in lines[0]
    assert "2026-03-02 23:00:00 UTC" in lines[1]
    assert "close position MNQ.H26" in lines[2]


def test_prints_the_decisions_as_lines_of_json() -> None:
    with answering() as (url, _):
        done = call("trader", "logs", "--json", "--url", url)

    assert [json.loads(line) for line in done.stdout.splitlines()] == DECISIONS


def test_explains_an_enforcement() -> None:
    with answering() as (url, asked):
        done = call("trader", "explain", "1001-12-1", "--url", url)

    assert (done.returncode, asked) == (0, ["/api/enforcements/1001-12-1"])
    for said in ("14:29:00.000 UTC  daily_realized_loss was broken", "-$806.56", "close MNQ.H26: accepted (84 ms)"):
        assert said in done.stdout, done.stdout


def test_explains_the_last_one() -> None:
    records = [{"id": "1001-9-1", "breach_ns": 1}, {"id": "1001-12-1", "breach_ns": 2}]
    status = {**STATUS, "accounts": [{"enforcements": records}]}
    with answering({**ANSWERS, "/api/status": status}) as (url, _):
        done = call("trader", "explain", "last", "--json", "--url", url)
        nothing = {**STATUS, "accounts": [{"enforcements": []}]}
    assert json.loads(done.stdout) == EXPLANATION
    with answering({"/api/status": nothing}) as (url, _):
        done = call("trader", "explain", "last", "--url", url)
    assert (done.returncode, done.stderr) == (1, "nothing has been enforced since the guard started\n")


@pytest.mark.parametrize("arguments", [("status",), ("status", "--json"), ("status", "--live"), ("logs",)])
def test_says_that_no_guard_answers(arguments: tuple[str, ...]) -> None:
    done = call("trader", *arguments, "--url", f"http://127.0.0.1:{free_port()}")

    assert (done.returncode, done.stdout) == (1, "")
    assert "no guard answers at http://127.0.0.1:" in done.stderr
    assert "risk-manager run" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "url", ["127.0.0.1:27181", "https://127.0.0.1:27181", "http://", "", "http://127.0.0.1:ninety", "http://[::1"]
)
def test_refuses_an_address_that_is_none(url: str) -> None:
    done = CliRunner().invoke(app, ["trader", "status", "--url", url])

    assert done.exit_code == 2
    assert done.stderr == f"--url: {url!r} is not of the form http://127.0.0.1:27181\n"


def test_passes_on_what_the_guard_refuses() -> None:
    with answering(status=403) as (url, _):
        done = call("trader", "status", "--url", url)

    assert done.returncode == 1
    assert "refused: 403" in done.stderr


def test_says_when_something_else_answers() -> None:
    with answering({"/api/status": "not a status"}) as (url, _):
        done = call("trader", "status", "--url", url)

    assert done.returncode == 1
    assert "does not speak like a guard" in done.stderr
    assert "Traceback" not in done.stderr


def test_asks_without_loading_what_the_daemon_needs() -> None:
    with answering() as (url, _):
        begun_s = time.monotonic()
        done = call("trader", "status", "--json", "--url", url, environ={"PYTHONPROFILEIMPORTTIME": "1"})
        say(f"status took {time.monotonic() - begun_s:.3f} s, import times included")

    assert done.returncode == 0
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "risk_manager.cli.trader" in loaded
    assert {name.partition(".")[0] for name in loaded} & HEAVY == set()
    assert {
        name for name in loaded if name.startswith("risk_manager.") and not name.startswith("risk_manager.cli")
    } == set()

"""`risk-manager sim serve`, as a process."""

import json
import socket
import subprocess
import urllib.request
from pathlib import Path

import pytest
from typer.testing import CliRunner

from risk_manager.cli import app
from risk_manager.simulator.written_settings import SETTINGS
from tests.e2e.processes import PATIENCE_S, PROJECT, call, command, environment, simulator, wait_for

BARS = "time,open,high,low,close,volume\n2023-12-26T15:00:00,4800,4803,4797,4801,500\n"


def test_plays_a_csv_tape_of_a_contract_that_is_named(tmp_path: Path) -> None:
    tape = tmp_path / "bars.csv"
    tape.write_text(BARS, encoding="utf-8")
    options = ("--tape", str(tape), "--contract", "ESH24", "--zone", "America/Chicago", "--speed", "1000")
    with simulator(*options) as sim:
        assert sim.serving["contracts"] == ["CON.F.US.EP.H24"]
        sim.trade(1, venue_root="EP")
        fill = wait_for(lambda: next(iter(sim.fills()), None), "fill")
        assert 4797 <= fill["price"] <= 4803
        assert fill["creationTimestamp"].startswith("2023-12-26T21:0")


def test_says_what_is_wrong_with_a_tape(tmp_path: Path) -> None:
    bars, junk, other = tmp_path / "bars.csv", tmp_path / "junk.dbn", tmp_path / "tape.parquet"
    bars.write_text(BARS, encoding="utf-8")
    junk.write_bytes(b"this is not a recording" * 10)
    other.write_bytes(b"")
    for file, options, advice in (
        (bars, (), "names no time zone"),
        (bars, ("--zone", "America/Chicago"), "--contract ESH24"),
        (bars, ("--zone", "Chicago"), "no time zone is called 'Chicago'"),
        (bars, ("--zone", "America/Chicago", "--contract", "DOGE"), "no listing of a product we know"),
        (junk, (), "junk.dbn"),
        (other, (), "use .dbn, .dbn.zst or .csv"),
    ):
        done = CliRunner().invoke(app, ["sim", "serve", "--tape", str(file), *options])
        assert (done.exit_code, done.stdout) == (2, "")
        assert done.stderr.startswith("sim serve: ")
        assert advice in done.stderr, done.stderr


def test_refuses_a_trader_there_is_not_and_a_port_that_is_taken() -> None:
    done = CliRunner().invoke(app, ["sim", "serve", "--trader", "genius"])
    assert done.exit_code == 2
    assert done.stderr.startswith("sim serve: no trader is called 'genius'; there are disciplined, ")

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = call("sim", "serve", "--port", str(port))
        uncontrolled = call("sim", "serve", "--control-port", str(port))
    assert refused.returncode == 2
    assert f"port {port} is taken" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert (uncontrolled.returncode, uncontrolled.stdout) == (2, "")
    assert f"('127.0.0.1', {port})" in uncontrolled.stderr
    assert "Traceback" not in uncontrolled.stderr


def test_lets_a_scripted_trader_trade_and_holds_calls_back() -> None:
    with simulator("--trader", "doubler", "--accounts", "1", "--speed", "20") as sim:
        assert len(sim.accounts) == 1
        wait_for(lambda: sim.fills() or None, "fill of the doubler", every_s=0.1)


def test_tells_all_that_is_wrong_with_faults_and_serves_nothing(tmp_path: Path) -> None:
    script = tmp_path / "faults.yaml"
    for text, told in (
        (
            "at 1s: jump\nat noon: log out\n",
            ["faults.yaml, line 1, at 1s: no verb", "faults.yaml, line 2, at noon: write"],
        ),
        (
            "at 1s: halt DOGE\nat 2s: block account 9\n",
            ["at 1s: halt DOGE: no contract", "at 2s: block account 9: no acc"],
        ),
        ("at 1s: revoke key of \xff\n", ["faults.yaml: this is not UTF-8 text"]),
    ):
        script.write_text(text, encoding="latin-1")
        done = CliRunner().invoke(app, ["sim", "serve", "--faults", str(script)])
        assert (done.exit_code, done.stdout) == (2, "")
        lines = done.stderr.splitlines()
        assert len(lines) == len(told)
        for line, begins in zip(lines, told, strict=True):
            assert line.removeprefix("sim serve: ").removeprefix(f"{tmp_path}/").startswith(begins)


def test_throws_faults_and_is_controlled(tmp_path: Path) -> None:
    script = tmp_path / "faults.yaml"
    script.write_text("at 0s: delay rest by 1ms for 50ms\n", encoding="utf-8")
    options = ("--faults", str(script), "--fault-seed", "3", "--control-port", "0", "--users", "2", "--accounts", "1")
    arguments = command("sim", "serve", "--json", *options)
    process = subprocess.Popen(
        arguments, cwd=PROJECT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        serving = json.loads(process.stdout.readline())
        assert [each["user"] for each in serving["users"]] == ["demo", "demo-2"]
        assert [each["accounts"] for each in serving["users"]] == [
            ["PRAC-V2-100001-30000001"],
            ["PRAC-V2-100002-30000002"],
        ]
        assert [each["account_ids"] for each in serving["users"]] == [[20_000_001], [20_000_002]]
        assert "delay rest by 1ms for 50ms" in process.stderr.readline()
        assert "over: delay rest by 1ms for 50ms" in process.stderr.readline()
        with urllib.request.urlopen(f"{serving['control_url']}/faults", timeout=PATIENCE_S) as response:
            waiting = json.loads(response.read())["waiting"]
        assert len(waiting) > 1_000
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE_S)


def test_leaves_the_control_api_off_and_one_user_by_default() -> None:
    with simulator() as sim:
        assert sim.serving["control_url"] is None
        assert len(sim.serving["users"]) == 1
        assert sim.serving["users"][0]["accounts"] == sim.accounts


def test_closes_the_market_when_told_to_keep_hours(tmp_path: Path) -> None:
    tape = tmp_path / "bars.csv"
    tape.write_text(BARS.replace("15:00:00", "16:30:00"), encoding="utf-8")
    options = ("--tape", str(tape), "--contract", "ESH24", "--zone", "America/Chicago")
    with simulator(*options, "--keeps-hours") as sim, pytest.raises(AssertionError, match="not in an active trading"):
        sim.trade(1, venue_root="EP")
    with simulator(*options) as sim:
        sim.trade(1, venue_root="EP")


@pytest.mark.parametrize(
    ("options", "error_code", "message"),
    [
        ((), 2, "Brackets cannot be used with Position Brackets. You must enable Auto OCO Brackets."),
        (("--auto-oco",), 0, None),
    ],
)
def test_takes_brackets_only_where_they_are_enabled(
    options: tuple[str, ...], error_code: int, message: str | None
) -> None:
    with simulator(*options) as sim:
        entry = {"accountId": sim.account_ids[0], "contractId": sim.contract("MNQ"), "type": 1, "side": 0, "size": 1}
        stop = {"stopLossBracket": {"ticks": -20, "type": 4}}
        answer = sim.ask("Order/place", entry | {"limitPrice": 20_000} | stop)
        assert (answer["errorCode"], answer["errorMessage"]) == (error_code, message)


def test_serves_with_what_is_set() -> None:
    options = ("--set", "manners.closed_text=Shut.", "--set", "rest.writes_ids_as_text=true", "--control-port", "0")
    with simulator(*options) as sim:
        control = sim.serving["control_url"]
        quote = b'{"contract": "MNQ", "bid_ticks": 99000, "ask_ticks": 99001}'
        for path, body in (("quotes", quote), ("faults", b"halt all")):
            urllib.request.urlopen(f"{control}/{path}", data=body, timeout=PATIENCE_S).close()
        entry = {"accountId": sim.account_ids[0], "contractId": sim.contract("MNQ"), "type": 2, "side": 0, "size": 1}
        answer = sim.ask("Order/place", entry)
        assert (answer["errorCode"], answer["errorMessage"]) == (2, "Shut.")
        assert isinstance(answer["orderId"], str)


def test_tells_all_that_is_wrong_with_settings_and_serves_nothing() -> None:
    options = ("--set", "event_pace=fast", "--set", "colour=red", "--set", "ping_s")
    done = CliRunner().invoke(app, ["sim", "serve", *options])
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "sim serve: --set event_pace=fast: event_pace takes a number from 0 to 1000",
        "sim serve: --set colour=red: nothing is called colour",
        "sim serve: --set ping_s: write NAME=VALUE",
    ]


def test_lists_everything_that_can_be_set() -> None:
    done = CliRunner(env={"COLUMNS": "160", "NO_COLOR": "1"}).invoke(app, ["sim", "settings"])
    assert done.exit_code == 0
    for each in SETTINGS.values():
        assert f"\n{each.name} " in done.output
    assert "a number from 0 to 1000" in done.output
    assert "[a number from 0 to 86400, ...], or null" in " ".join(done.output.split())

"""`risk-manager sim serve`, as a process."""

import socket
from pathlib import Path

from typer.testing import CliRunner

from risk_manager.cli import app
from tests.e2e.processes import call, simulator, wait_for

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
    assert refused.returncode == 2
    assert f"port {port} is taken" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_lets_a_scripted_trader_trade_and_holds_calls_back() -> None:
    with simulator("--trader", "doubler", "--accounts", "1", "--speed", "20") as sim:
        assert len(sim.accounts) == 1
        wait_for(lambda: sim.fills() or None, "fill of the doubler", every_s=0.1)

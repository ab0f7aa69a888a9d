"""The demo: what a stranger runs first, and what it claims about itself."""

import bisect
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from risk_manager.runtime.demo import CALL_LATENCY_NS, Demo, DemoOptions, DemoReport
from risk_manager.simulator.exchange import Exchange
from risk_manager.simulator.feeds import FeedQuote
from risk_manager.simulator.feeds.tape import open_recording
from tests.e2e.processes import call
from tests.simulator.feeds.dbn_tapes import REAL_HOUR, invented_hour, write_tape

QUICK_S = 0.5
FIVE = {
    "daily_realized_loss",
    "daily_unrealized_loss",
    "max_contracts",
    "max_contracts_per_instrument",
    "symbol_blocks",
}


async def played(options: DemoOptions) -> tuple[DemoReport, Exchange]:
    demo = Demo(options)
    return await demo.run(), demo.exchange


def verdict(report: DemoReport) -> tuple[int, int, int]:
    return report.missed, report.false_flattens, report.unproven


def decided(report: DemoReport) -> list[tuple[Any, ...]]:
    """What was enforced, without anything measured by a stopwatch."""
    return [(each.rule, each.code, each.scope, each.measured, each.limit) for each in report.enforcements]


def test_ends_well_and_prints_a_record_of_every_enforcement() -> None:
    done = call("demo", "--seconds", "8", "--headless", "--json")

    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert set(report["rules_fired"]) == FIVE
    assert (report["missed"], report["false_flattens"], report["unproven"]) == (0, 0, 0)
    assert 5 <= report["wall_seconds"] <= 20
    for record in report["enforcements"]:
        assert record["verified_flat"] is True, record
        assert datetime.fromisoformat(record["breach_time"]).timestamp() == pytest.approx(record["breach_ns"] / 1e9)
        assert 0 < record["detection_us"] < 1_000_000
        assert 0 < record["lock_commit_us"] < 1_000_000
        assert CALL_LATENCY_NS / 1e6 <= record["time_to_flat_ms"] < 60_000
        assert record["overshoot"] >= 0
    assert {record["rule"] for record in report["enforcements"]} == FIVE
    locked = [record for record in report["enforcements"] if record["rule"] == "daily_realized_loss"]
    assert locked[0]["has_lockout"]


async def test_equal_seeds_decide_the_same_at_any_speed() -> None:
    first, _ = await played(DemoOptions(QUICK_S))
    again, _ = await played(DemoOptions(2 * QUICK_S))
    other, _ = await played(DemoOptions(QUICK_S, seed=20))

    assert decided(first) == decided(again)
    assert (first.decisions_sha256, first.steps, first.fills) == (again.decisions_sha256, again.steps, again.fills)
    assert other.decisions_sha256 != first.decisions_sha256


@pytest.mark.parametrize("seed", [1, 2, 3, 6, 8, 22])
async def test_misses_nothing_on_other_seeds(seed: int) -> None:
    report, _ = await played(DemoOptions(QUICK_S, seed))

    assert verdict(report) == (0, 0, 0)
    assert set(report.rules_fired) == FIVE


async def test_trades_at_the_prices_of_a_recording(tmp_path: Path) -> None:
    tape = REAL_HOUR
    if not tape.exists():
        tape = write_tape(tmp_path / "hour.mbo.dbn.zst", "mbo", invented_hour(), is_compressed=True)
    report, exchange = await played(DemoOptions(2.0, tape=tape))

    assert verdict(report) == (0, 0, 0)
    assert len(report.rules_fired) >= 4
    assert report.tape == tape.name
    quotes = [item for item in open_recording(tape).tape if isinstance(item, FeedQuote)]
    times = [quote.at_ns for quote in quotes]
    (account,) = exchange.accounts("demo")
    fills = exchange.fills(account.id)
    assert len(fills) > 10
    for fill in fills:
        # A fill comes at the touch of its instant; of several quotes of one instant any may have been the one.
        last = bisect.bisect_right(times, fill.at_ns)
        first = bisect.bisect_left(times, times[last - 1]) - 1
        touches = {price for quote in quotes[max(0, first) : last] for price in (quote.bid_ticks, quote.ask_ticks)}
        assert min(touches) <= fill.price_ticks <= max(touches), fill


async def test_goes_round_on_a_recording_that_is_too_short(tmp_path: Path) -> None:
    path = tmp_path / "minute.csv"
    path.write_text(
        "time,open,high,low,close,volume\n"
        "2023-12-26T15:00:00Z,4800,4803,4797,4801,500\n"
        "2023-12-26T15:01:00Z,4801,4801.5,4795,4796,700\n"
        "2023-12-26T15:02:00Z,4796,4804,4796,4804,700\n",
        encoding="utf-8",
    )
    report, _ = await played(DemoOptions(QUICK_S, tape=path, contract="ESH24"))

    assert verdict(report) == (0, 0, 0)
    assert len(report.rules_fired) >= 4


def test_says_what_a_recording_lacks(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_text("time,open,high,low,close,volume\n2023-12-26T15:00:00Z,1,1,1,1,1\n", encoding="utf-8")
    done = call("demo", "--headless", "--tape", str(path))

    assert done.returncode == 2
    assert "--contract ESH24" in done.stderr
    assert "Traceback" not in done.stderr

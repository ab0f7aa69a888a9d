import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.day import FIVE_RULES, engine_for
from benchmarks.machine import ROOT, quantile, spread
from benchmarks.recorder import record
from risk_manager.domain.decision import Decision
from risk_manager.domain.events import Event, QuoteUpdated

SMALL = '{"frames":3000,"passes":1,"rounds":1,"breaches":3,"flattens":2,"commits":3}'


def test_measures_every_part_and_writes_it_as_json(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks", "--out", str(out), "--data-dir", str(tmp_path), "--effort", SMALL]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    report: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    assert set(report["wire"]) == {"callback", "engine", "commit", "disk"}
    assert all(found["p50_us"] <= found["p99_us"] for found in report["wire"].values())
    assert report["wire"]["commit"]["rounds"][0]["count"] == 3
    assert report["engine"]["five_rules_per_s"] > 0
    assert report["fan_out"]["first_p50_us"] <= report["fan_out"]["last_p50_us"]
    assert report["commit"]["commit_p50_us"] > 0
    assert len(report["goals"]) == 10
    assert [path.name for path in tmp_path.iterdir()] == ["figures.json"]


def test_records_a_day_whose_events_lead_to_the_same_decisions_again() -> None:
    day = record(6_000, seed=3, progress=lambda _: None)
    events = day.events()
    first, second = _decisions(events, day.account_id), _decisions(day.events(), day.account_id)
    assert first == second
    assert any(decision.actions for decision in first)
    assert sum(isinstance(event, QuoteUpdated) for event in events) > 0.95 * len(events)
    assert record(6_000, seed=3, progress=lambda _: None).items == day.items


def _decisions(events: list[Event], account_id: str) -> list[Decision]:
    engine = engine_for(account_id, FIVE_RULES)
    return [decision for event in events if (decision := engine.receive(event))]


def test_takes_quantiles_by_nearest_rank() -> None:
    ranked = [float(value) for value in range(1, 201)]
    assert (quantile(ranked, 50), quantile(ranked, 90), quantile(ranked, 99), quantile(ranked, 100)) == (
        100,
        180,
        198,
        200,
    )
    assert spread([3.0, 1.0, 2.0]).p50 == 2.0

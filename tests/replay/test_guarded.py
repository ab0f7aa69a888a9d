"""What a guard hands to its recorder replays to what it committed, rules changed on the way included."""

from itertools import count
from pathlib import Path

import msgspec

from risk_manager.engine import EngineSettings
from risk_manager.persistence.recorder import FlightRecorder
from risk_manager.persistence.recording import Segment, segments
from risk_manager.replay.segment import replay_segment
from risk_manager.rules import RULES, Rule, build_rules
from risk_manager.runtime.guard import Guard
from risk_manager.runtime.recovery import recovered
from risk_manager.runtime.rules_in_force import RulesInForce
from risk_manager.testing.events import DAYS, ES
from risk_manager.testing.ports import SECOND_NS
from tests.replay.recorded import HERE, surroundings
from tests.runtime.guard_scene import GuardScene


def at_most(contracts: int) -> tuple[Rule, ...]:
    return build_rules({"max_contracts": {"limit": contracts, "action": "reduce_to_limit"}})


async def test_a_guards_day_replays_with_the_rules_as_they_changed(tmp_path: Path) -> None:
    scene = GuardScene()
    rules = RulesInForce(tmp_path, "1001", at_most(5), RULES)
    settings = EngineSettings("1001", DAYS, rules.rules)
    engine, coverage = await recovered(settings, scene.journal)
    recorder = FlightRecorder(tmp_path, scene.clock)
    ticks = count(step=1_000)
    scene.guard = Guard(
        "practice",
        engine,
        settings,
        scene.venue,
        scene.journal,
        scene.clock,
        lambda: next(ticks),
        poll_ns=3 * SECOND_NS,
        in_force=rules,
        coverage=coverage,
        recorder=recorder.record(engine, settings, HERE),
    )
    scene.guard.start()
    await scene.feed(scene.story.snapshot(), scene.story.quote(ES, 5800), scene.story.buys(ES, 4, 5800))
    assert scene.sent() == []
    scene.guard.change_rules(at_most(3), "stricter")
    await scene.clock.pass_time(0.1)
    assert scene.sent() == ["ReducePosition"], "only the changed rules say so"
    await scene.clock.pass_time(7)
    await scene.guard.stop()
    await recorder.close()

    committed = {decision.sequence: msgspec.json.encode(decision) for decision in scene.journal.committed}
    paths = [path for _, path in segments(tmp_path)["1001"]]
    after = [beginning.sequence for path in paths if (beginning := Segment(path).beginning()) is not None]
    ends = [*after[1:], None]
    found = [
        replay_segment(Segment(path), committed, up_to, surroundings()) for path, up_to in zip(paths, ends, strict=True)
    ]
    assert [each.divergence for each in found] == [None] * len(found)
    assert sum(each.identical for each in found) == len(committed) >= 3
    assert [each.missing for each in found] == [()] * len(found)

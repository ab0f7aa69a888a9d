"""One fresh process's passes over the recorded day: `python -m benchmarks.engine_speed DAY`, one line of JSON.

The garbage collector is as in the daemon: running, and what lives at the start is frozen.
"""

import gc
import hashlib
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from benchmarks.day import ALL_RULES, FIVE_RULES, Day, Frame, Player, RuleOptions, engine_for
from benchmarks.machine import Spread, spread
from risk_manager.domain.decision import NOTHING, Decision
from risk_manager.domain.events import Event, QuoteUpdated, SnapshotTaken
from risk_manager.testing.events import ES, Scenario

WARM_UP_EVENTS = 3_000
OPEN_QUOTES = 100_000
Receive = Callable[[Event], Decision]


class Passes(msgspec.Struct, frozen=True):
    """What one process measured.

    Attributes:
        events, quotes, snapshots, held_quotes: counts; the last are quotes that met an open position.
        trivial_per_s, no_rules_per_s, five_rules_per_s: events per second through a function that does nothing,
            through an engine without rules, and with all five.
        all_rules_per_s: with all seventeen rules.
        open_position_per_s: with all seventeen, nothing but quotes of the one open position.
        streamed_per_s: with five rules, the polled snapshots left out (all but the first).
        step_us, snapshot_us: single steps of that engine, the time of two clock readings included.
        frame_us: bytes of a market hub message, from the codec to the decision.
        decisions, decisions_sha256: what the five rules said; the same in every process.
    """

    events: int
    quotes: int
    snapshots: int
    held_quotes: int
    trivial_per_s: int
    no_rules_per_s: int
    five_rules_per_s: int
    all_rules_per_s: int
    open_position_per_s: int
    streamed_per_s: int
    step_us: Spread
    snapshot_us: Spread
    frame_us: Spread
    decisions: int
    decisions_sha256: str


def main() -> None:
    day = Day.load(Path(sys.argv[1]))
    print(msgspec.json.encode(measure(day)).decode(), flush=True)


def measure(day: Day) -> Passes:
    """All passes, each with an engine of its own."""
    events = day.events()
    first = next(event for event in events if isinstance(event, SnapshotTaken))
    streamed = [event for event in events if event is first or not isinstance(event, SnapshotTaken)]
    gc.collect()
    gc.freeze()
    no_rules: RuleOptions = {}
    for rules in (no_rules, FIVE_RULES, ALL_RULES):
        _per_s(events[:WARM_UP_EVENTS], engine_for(day.account_id, rules).receive)
    trivial = _per_s(events, _nothing)
    without_rules = _per_s(events, engine_for(day.account_id, no_rules).receive)
    five_rules = _per_s(events, engine_for(day.account_id, FIVE_RULES).receive)
    all_rules = _per_s(events, engine_for(day.account_id, ALL_RULES).receive)
    without_polls = _per_s(streamed, engine_for(day.account_id, FIVE_RULES).receive)
    step_us, snapshot_us = _steps(day, events)
    held, decisions = _replay(day, events)
    return Passes(
        events=len(events),
        quotes=sum(isinstance(event, QuoteUpdated) for event in events),
        snapshots=len(events) - len(streamed) + 1,
        held_quotes=held,
        trivial_per_s=trivial,
        no_rules_per_s=without_rules,
        five_rules_per_s=five_rules,
        all_rules_per_s=all_rules,
        open_position_per_s=_open_position_per_s(day.account_id),
        streamed_per_s=without_polls,
        step_us=spread(step_us),
        snapshot_us=spread(snapshot_us),
        frame_us=spread(_frames(day)),
        decisions=len(decisions),
        decisions_sha256=hashlib.sha256(b"\n".join(map(msgspec.json.encode, decisions))).hexdigest(),
    )


def _nothing(_: Event) -> Decision:
    return NOTHING


def _per_s(events: list[Event], receive: Receive) -> int:
    begun_ns = time.perf_counter_ns()
    for event in events:
        receive(event)
    return len(events) * 1_000_000_000 // (time.perf_counter_ns() - begun_ns)


def _open_position_per_s(account_id: str) -> int:
    """Quotes of one open position, each a tick off the last, past seventeen rules."""
    venue = Scenario(account_id)
    engine = engine_for(account_id, ALL_RULES)
    for event in (venue.snapshot(), venue.quote(ES, 5800), *venue.buys(ES, 1, 5800), venue.account()):
        engine.receive(event)
    quotes: list[Event] = [venue.quote(ES, 5800 + number % 8 * 0.25) for number in range(OPEN_QUOTES)]
    found = _per_s(quotes, engine.receive)
    assert engine.account.holdings
    return found


def _steps(day: Day, events: list[Event]) -> tuple[list[float], list[float]]:
    """How long each step took, in us: all of them, and those of snapshots."""
    receive = engine_for(day.account_id, FIVE_RULES).receive
    clock = time.perf_counter_ns
    steps: list[float] = []
    snapshots: list[float] = []
    for event in events:
        begun_ns = clock()
        receive(event)
        took_us = (clock() - begun_ns) / 1000
        steps.append(took_us)
        if isinstance(event, SnapshotTaken):
            snapshots.append(took_us)
    return steps, snapshots


def _replay(day: Day, events: list[Event]) -> tuple[int, list[Decision]]:
    """Quotes that met an open position, and every decision."""
    engine = engine_for(day.account_id, FIVE_RULES)
    held, decisions = 0, []
    for event in events:
        decision = engine.receive(event)
        if decision:
            decisions.append(decision)
        held += isinstance(event, QuoteUpdated) and bool(engine.account.holdings)
    return held, decisions


def _frames(day: Day) -> list[float]:
    """From the bytes of a market message to the decision, in us."""
    receive = engine_for(day.account_id, FIVE_RULES).receive

    def deliver(event: Event) -> None:
        receive(event)

    player = Player(day.account_id, day.contracts, deliver)
    clock = time.perf_counter_ns
    took: list[float] = []
    for item in day.items:
        if not isinstance(item, Frame) or item.is_user:
            player.play(item)
            continue
        player.now_ns = item.received_ns
        begun_ns = clock()
        player.play_quote(item.data)
        took.append((clock() - begun_ns) / 1000)
    return took


if __name__ == "__main__":
    main()

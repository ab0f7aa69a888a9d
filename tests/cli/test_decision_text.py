"""Decisions in a trader's words."""

from typing import Any

import msgspec
import pytest

from risk_manager.cli.decision_text import decision_lines
from risk_manager.domain.events import PositionUpdated
from risk_manager.domain.position import Position
from risk_manager.engine import Engine, EngineSettings
from risk_manager.rules import build_rules
from risk_manager.testing.events import DAYS, ES, START_NS
from risk_manager.testing.guarded import Guarded
from tests.engine.resting import Resting


def lines(scene: Guarded) -> list[str]:
    """All that was said, without the day and the number."""
    said: list[dict[str, Any]] = [msgspec.to_builtins(decision) for decision in scene.decisions]
    return [" ".join(line.split()[2:]) for decision in said for line in decision_lines(decision)]


@pytest.fixture
def scene() -> Resting:
    stop = {"enabled": True, "ticks": 40}
    return Resting(*build_rules({"trade_management": {"auto_stop_loss": stop, "auto_take_profit": stop}}))


def test_a_protection_is_no_breach(scene: Resting) -> None:
    scene.long(2)
    scene.passes(2)
    assert lines(scene) == [
        "PROTECT trade_management EP.H25: stop at 23160 ticks, target at 23240 ticks",
        "SEND place stop EP.H25 for 2",
        "SEND place target EP.H25 for 2",
    ]
    scene.forget()
    scene.feed(scene.venue.sells(ES, 1, 5801))
    scene.passes(2)
    assert [line for line in lines(scene) if line.startswith("SEND")] == [
        "SEND move order 3 EP.H25 for 1",
        "SEND move order 4 EP.H25 for 1",
    ]
    scene.forget()
    scene.feed(scene.venue.closes(ES, 5801))
    scene.passes(3)
    scene.passes(3)
    assert lines(scene)[-1] == "ENDED trade_management: EP.H25 is closed, its stop and target are gone"


def test_a_lock_that_takes_the_place_of_another_has_the_last_word() -> None:
    guarded = Guarded(*build_rules({"symbol_blocks": {"blocked_symbols": ["ES"]}}))
    guarded.feed(guarded.venue.buys(ES, 1, 5800))
    guarded.forget()
    guarded.change_rules()
    assert [line for line in lines(guarded) if "LOCKED" in line] == [
        "UNLOCKED ES of symbol_blocks: rule removed",
        "LOCKED ES by symbol_blocks until 2025-01-15 23:00:00 UTC",
    ]


@pytest.mark.parametrize(
    ("lockout", "until"),
    [
        ("until_reset", "the end of the trading day, the venue's time not known yet"),
        ("90m", "1:30:00 after the venue first tells the time"),
    ],
)
def test_the_end_of_a_lock_from_before_the_venue_told_the_time_is_not_in_1970(lockout: str, until: str) -> None:
    """A position is told without a time of its own."""
    rules = build_rules({"max_contracts": {"limit": 3, "action": "flatten", "lockout": lockout}})
    engine = Engine(EngineSettings("1001", DAYS, rules))
    position = PositionUpdated("1001", Position(ES.id, 4, 0, "41", 0), 0, START_NS)
    first = msgspec.to_builtins(engine.receive(position))
    assert [line for line in decision_lines(first) if "LOCKED" in line] == [
        f"2025-01-13 #1     LOCKED   account by max_contracts until {until}"
    ]

"""What every enforcement took."""

from risk_manager.rules import build_rules
from risk_manager.runtime.enforcements import EnforcementLog, Timing
from risk_manager.testing.events import ES
from tests.engine.resting import Resting


def log_of(scene: Resting) -> EnforcementLog:
    log = EnforcementLog()
    for decision in scene.decisions:
        log.take(decision, Timing(1_000, 2_000), scene.engine.account)
    return log


def test_a_protection_is_no_enforcement() -> None:
    rules: dict[str, dict[str, object]] = {
        "trade_management": {"auto_stop_loss": {"enabled": True}},
        "max_contracts": {"limit": 2},
    }
    scene = Resting(*build_rules(rules))
    scene.long(2)
    scene.feed(scene.venue.closes(ES, 5801))
    for _ in range(3):
        scene.passes(3)
    assert log_of(scene).records == ()

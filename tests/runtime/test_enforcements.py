"""What every enforcement took."""

import pytest

from risk_manager.rules import build_rules
from risk_manager.runtime.enforcements import EnforcementLog, Timing
from risk_manager.testing.events import ES
from risk_manager.testing.guarded import Guarded
from tests.engine.resting import Resting


def log_of(scene: Guarded) -> EnforcementLog:
    log = EnforcementLog()
    for decision in scene.decisions:
        log.take(decision, Timing(1_000, 2_000), scene.engine.account)
    return log


def proven(scene: Guarded) -> None:
    """The venue's snapshots prove whatever is as demanded."""
    for _ in range(8):
        scene.venue.wait(1)
        scene.feed(scene.venue.snapshot())


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


DAY_LOSS = {"limit": 500, "inclusive": False}
DAY_BUDGET = {"composite_enforcement": {"enabled": True, "respect_realized_limit": True, "realized_limit": 500}}


@pytest.mark.parametrize(
    ("rule", "options", "before", "result", "bid", "measured", "overshoot"),
    [
        # Many losses, none of them a breach, are no part of a limit on one trade, or on a minute; the second minute,
        # with the close and its fees, is one by itself.
        ("cooldown_after_loss", {"loss_threshold": 100, "action": "flatten"}, 9 * [-95], -110, 5000, -110, 10),
        ("velocity", {"max_loss": 200, "window_seconds": 60, "action": "flatten"}, 9 * [-95], -210, 5000, -210, 120),
        # The close is part of the day: 400, and 300 with it, and its fees of 20 where they count.
        ("daily_realized_loss", DAY_LOSS, [-400], None, 4997, -550, 220),
        ("daily_realized_loss", {**DAY_LOSS, "include_fees": False}, [-400], None, 4997, -550, 200),
        # What an open loss ends as is what its close realizes.
        ("daily_unrealized_loss", {"loss_limit": 200}, [-400], None, 4995, -250, 100),
        ("daily_unrealized_loss", {"loss_limit": 200, "scope": "total"}, [-400], None, 4995, -250, 100),
        ("daily_unrealized_loss", {"loss_limit": 999, **DAY_BUDGET}, [-400], None, 4997, -150, 200),
        ("daily_unrealized_loss", {"loss_limit": 400}, [], None, 4990, -500, 100),
        # Equity falls below a floor, and a profit rises above its target; at either it is not past it.
        ("drawdown", {"max_drawdown": 2000}, [], None, 4950, 47_500, 500),
        ("drawdown", {"max_drawdown": 2000}, [], None, 4959, 47_950, 50),
        ("drawdown", {"max_drawdown": 2000}, [], None, 4960, 48_000, 0),
        ("daily_realized_profit", {"target": 300}, [], None, 5007, 350, 50),
        ("daily_realized_profit", {"target": 300}, [], None, 5006, 300, 0),
    ],
)
def test_tells_how_far_past_its_own_limit_it_got(
    rule: str,
    options: dict[str, object],
    before: list[int],
    result: int | None,
    bid: int,
    measured: int,
    overshoot: int,
) -> None:
    """Long one at 5000; one result more, or a quote, breaks the rule, and the position closes at 4994."""
    scene = Guarded(*build_rules({rule: options}))
    for one in before:
        scene.feed(scene.venue.result(one))
        scene.venue.wait(120)
    scene.feed(scene.venue.buys(ES, 1, 5000), scene.venue.quote(ES, bid))
    if result is not None:
        scene.feed(scene.venue.result(result))
    scene.feed(scene.venue.sells(ES, 1, 4994, fees=20))
    proven(scene)
    (record,) = log_of(scene).records
    assert (record.rule, record.measured, record.overshoot, record.unit) == (rule, measured, overshoot, "usd")


def test_tells_how_far_a_day_got_whose_positions_stay() -> None:
    """Realized are 700 of a limit of 300, but with the open 350 that it keeps the day never got so far."""
    scene = Guarded(*build_rules({"daily_realized_loss": {"limit": 300, "action": "pause"}}))
    scene.feed(scene.venue.buys(ES, 1, 5000), scene.venue.quote(ES, 5010), scene.venue.result(-700))
    scene.feed(scene.venue.quote(ES, 5007))
    proven(scene)
    (record,) = log_of(scene).records
    assert (record.verified_flat, record.measured, record.overshoot) == (True, -350.0, 50.0)

"""A break after a losing trade: what is said of it, and how far back it looks."""

from typing import Any

import pytest

from risk_manager.domain.events import RulesChanged
from risk_manager.domain.finding import Breach, Gauge, Unit
from risk_manager.domain.scope import ACCOUNT
from risk_manager.rules import OptionsInvalid
from risk_manager.rules.cooldown_after_loss import Cooling
from risk_manager.testing.events import MES, SECOND_NS, START_NS, micros
from risk_manager.testing.guarded import Guarded
from tests.rules.test_cooldown_after_loss import BUY, SELL, at, feed, rule, turn


def remembered(guarded: Guarded) -> Cooling:
    (slot,) = guarded.engine._slots
    assert isinstance(slot.state, Cooling)
    return slot.state


@pytest.mark.parametrize(("unit", "trade"), [("order", "ob"), ("fill", "b")])
def test_says_which_trade_it_was(unit: str, trade: str) -> None:
    guarded = Guarded(rule(unit=unit))
    feed(guarded, at(1, "a", BUY), at(2, "b", SELL, 1, -150))
    evidence = (
        ("unit", unit),
        ("id", trade),
        ("contract", MES.id),
        ("result", "-150.00"),
        ("cooldown_s", "300"),
    )
    until_ns = START_NS + 302 * SECOND_NS
    assert guarded.breaches == [
        Breach(
            "cooldown_after_loss",
            "COOLDOWN_AFTER_LOSS",
            micros(-150),
            micros(-100),
            Unit.MICROS,
            ACCOUNT,
            evidence=evidence,
            until_ns=until_ns,
        )
    ]
    assert remembered(guarded).breach == guarded.breaches[0]


def test_says_which_round_turn_it_was() -> None:
    guarded = Guarded(rule())
    feed(guarded, *turn(10, -150))
    (turned,) = guarded.engine.account.round_turns
    (breach,) = guarded.breaches
    assert breach.evidence[:3] == (("unit", "round_turn"), ("id", turned.id), ("contract", MES.id))


def test_shows_the_last_loss_and_the_row() -> None:
    row = {"count": 3, "cooldown": "10m"}
    guarded = Guarded(rule(consecutive_losses=row))
    loss, losses = "loss of the last round turn", "losses in a row"
    limit = micros(100)
    assert guarded.gauges == [Gauge(loss, 0, limit, Unit.MICROS), Gauge(losses, 0, 3, Unit.TRADES)]
    feed(guarded, *turn(10, -60), *turn(20, -70))
    assert guarded.gauges == [Gauge(loss, micros(70), limit, Unit.MICROS), Gauge(losses, 2, 3, Unit.TRADES)]


def test_other_rules_leave_a_break_that_runs() -> None:
    guarded = Guarded(rule())
    feed(guarded, *turn(10, -150))
    before = remembered(guarded)
    guarded.change_rules(rule(loss_thresholds=[{"loss_amount": 1000, "cooldown": "1m"}]))
    assert remembered(guarded) == before


def test_of_several_losses_read_at_once_the_break_that_ends_last_runs() -> None:
    guarded = Guarded(rule())
    events = [*turn(10, -300), *turn(20, -100)]
    guarded.venue.fills.update({event.fill.id: event.fill for event in events})
    guarded.venue.now_ns = START_NS + 30 * SECOND_NS
    guarded.feed(guarded.venue.snapshot())
    assert [(breach.measured, breach.until_ns) for breach in guarded.breaches] == [
        (micros(-300), START_NS + 1810 * SECOND_NS)
    ]
    assert guarded.warnings == []


def test_of_two_breaks_of_one_length_the_loss_is_named() -> None:
    guarded = Guarded(rule(consecutive_losses={"count": 2, "cooldown": "5m"}))
    feed(guarded, *turn(10, -20), *turn(20, -100))
    assert guarded.codes == ["COOLDOWN_AFTER_LOSS"]


def test_an_equal_end_is_no_other_break() -> None:
    guarded = Guarded(rule())
    feed(guarded, *turn(10, -150))
    before = remembered(guarded)
    own = rule()
    event = RulesChanged("1001", "2", 0, guarded.venue.now_ns)
    after, found = own.step(before, event, guarded.engine.account)
    assert (after, found) == (before, (before.breach,))


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"loss_thresholds": []}, "loss_thresholds: is empty; name a loss and its cooldown, or consecutive_losses"),
        (
            {"loss_thresholds": [{"loss_amount": 9, "cooldown": 60}, {"loss_amount": -9, "cooldown": 90}]},
            "loss_thresholds: has two cooldowns for a loss of 9.00",
        ),
        (
            {"loss_thresholds": [{"loss_amount": 9, "cooldown": 60}, {"loss_amount": 10, "cooldown": 30}]},
            "loss_thresholds: has a shorter cooldown for 10.00 than for a smaller loss",
        ),
        ({"loss_threshold": 9, "loss_thresholds": []}, "loss_threshold: is said twice, also as loss_thresholds"),
        ({"cooldown": 60}, "cooldown: belongs to a loss_threshold, or into loss_thresholds"),
        ({"cooldown_ms": 60}, "cooldown_ms: belongs to a loss_threshold, or into loss_thresholds"),
        ({"close_positions": "no"}, "close_positions: must be true or false"),
        ({"allow_trading_during_cooldown": "no"}, "allow_trading_during_cooldown: must be true or false"),
        ({"close_positions": True, "action": "pause"}, "action: is said twice, also as close_positions"),
        ({"action": "alert", "extend": True}, "extend: has no cooldown to make longer when the action is alert"),
    ],
)
def test_says_what_is_to_be_corrected(options: dict[str, Any], fault: str) -> None:
    with pytest.raises(OptionsInvalid) as refused:
        rule(**options)
    assert [str(one) for one in refused.value.faults][:1] == [fault]


def test_two_losses_may_have_the_same_break() -> None:
    tiers = [{"loss_amount": 9, "cooldown": 60}, {"loss_amount": 10, "cooldown": 60}]
    assert [tier.cooldown_ns for tier in rule(loss_thresholds=tiers).loss_thresholds] == [60 * SECOND_NS] * 2

"""What layers and compositions are made of, and how their states are taken apart and put together again."""

from typing import Any

import pytest

from risk_manager.rules import (
    DailyLossRule,
    MaxPositionRule,
    Rule,
    VelocityRule,
    all_of,
    any_of,
    build_rules,
    class_of,
    core_of,
    during,
    named,
    not_,
    schedules_of,
    warned,
)
from risk_manager.rules._compose import put_together, signature_of, taken_apart
from risk_manager.rules._compose.during import During
from risk_manager.rules._compose.logic import AllOf, AnyOf, Not
from risk_manager.rules._compose.shape import Layer, Made, is_layer
from risk_manager.rules._compose.warn_at import Kept, WarnAt
from risk_manager.rules.daily_realized_loss import DailyRealizedLoss
from risk_manager.rules.max_contracts import MaxContracts
from risk_manager.testing.guarded import Guarded

TWO = MaxPositionRule(max_contracts=2)
LOSS = DailyLossRule(limit=300)
NEW_YORK: dict[str, object] = {"start": "09:30", "end": "16:00", "timezone": "America/New_York"}


def scheduled(**options: object) -> Any:
    (rule,) = build_rules({"max_contracts": {"limit": 2, "schedule": NEW_YORK, **options}})
    return rule


@pytest.mark.parametrize(
    ("rule", "signature", "classes"),
    [
        (TWO, "max_contracts", {"max_contracts": MaxContracts}),
        (named(TWO, "scalping"), "max_contracts", {"max_contracts": MaxContracts}),
        (warned(scheduled(), 80), "max_contracts", {"max_contracts": MaxContracts}),
        (
            all_of(warned(named(LOSS, "floor"), 50), not_(TWO), name="mine"),
            "all_of(daily_realized_loss, not(max_contracts))",
            {"daily_realized_loss": DailyRealizedLoss, "max_contracts": MaxContracts},
        ),
        (
            any_of(TWO, MaxPositionRule(max_contracts=4)),
            "any_of(max_contracts, max_contracts)",
            {"max_contracts": MaxContracts},
        ),
    ],
)
def test_tells_what_a_rule_is_made_of(rule: Rule, signature: str, classes: dict[str, type]) -> None:
    assert (signature_of(rule), class_of(rule)) == (signature, classes)


def test_takes_a_state_apart_and_puts_it_together() -> None:
    rule = warned(scheduled(), 80)
    around = rule.rule.around(None, None)
    state = rule.around(around, Kept("2025-01-15", {"contracts": 80}))
    inner, kept = taken_apart(rule, state)
    assert (inner, kept) == (None, {"WarnAt": Kept("2025-01-15", {"contracts": 80}), "During": None})
    assert put_together(rule, inner, kept) == state
    assert put_together(scheduled(), inner, kept) == around
    assert put_together(core_of(rule), inner, kept) is None


def test_states_inside_a_composition_outlive_a_restart() -> None:
    fall = VelocityRule(max_loss=300)
    rule = all_of(during(scheduled().schedule, fall), warned(fall, 50), not_(fall), name="mine")
    guarded = Guarded(rule)
    guarded.feed(guarded.venue.result(-100))
    known = guarded.engine._slots[0].state
    assert [one.inner.peaks[0].result_micros for one in known.members] == [0, 0, 0]
    guarded.restart()
    assert guarded.engine._slots[0].state == known


def test_knows_a_layer() -> None:
    layered = warned(during(scheduled().schedule, LOSS), 80)
    assert is_layer(layered)
    assert not is_layer(LOSS)
    assert core_of(layered) is LOSS


def test_finds_the_schedules_of_products() -> None:
    sessions = {"global_session": NEW_YORK, "per_instrument_sessions": {"ES": {**NEW_YORK, "end": "15:00"}}}
    (rule,) = build_rules({"session_block_outside": sessions})
    assert {one.windows[0].end_s for one in schedules_of(rule)} == {16 * 3600, 15 * 3600}


def test_is_its_own_class_under_its_own_name() -> None:
    other = named(TWO, "mine")
    assert type(other) is not MaxContracts
    assert type(named(other, "max_contracts")) is MaxContracts
    assert type(named(other, "another")) is type(named(TWO, "another"))


def test_needs_settings_to_give_another_name() -> None:
    class Plain:
        name = "plain"

    plain: Any = Plain()
    assert named(plain, "plain") is plain
    with pytest.raises(TypeError, match=r"a rule's settings are a msgspec\.Struct; <.*Plain object at .*> is none"):
        named(plain, "other")


def _left_open(made: type) -> list[str]:
    return [name for name in dir(made) if getattr(getattr(made, name), "__isabstractmethod__", False)]


def test_what_is_made_of_rules_can_be_named_and_spelled() -> None:
    assert (_left_open(Made), _left_open(Layer)) == (["renamed", "spelled"], ["around", "renamed", "spelled"])
    assert [_left_open(made) for made in (AllOf, AnyOf, Not, During, WarnAt)] == [[]] * 5

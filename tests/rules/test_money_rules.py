"""To the letter: what the rules about money find and show, and how far open profit may move unseen."""

from typing import Any

import msgspec
import pytest

from risk_manager.domain.contract import Contract
from risk_manager.domain.events import FillReceived
from risk_manager.domain.finding import Breach, Gauge, Loss, Unit
from risk_manager.domain.scope import ACCOUNT, Scope
from risk_manager.rules import RULES, build_rule
from risk_manager.rules._base import UNBOUNDED, Slack
from risk_manager.rules.daily_unrealized_loss import Pending
from risk_manager.rules.max_unrealized_profit import Armed, Leg, MaxUnrealizedProfit, Watch
from risk_manager.testing.events import ES, ES_JUNE, MNQ, SECOND_NS, START_NS, Scenario, micros
from risk_manager.testing.guarded import Guarded

DAY_LOSS: dict[str, object] = {"limit": 500}
DAY_PROFIT: dict[str, object] = {"target": 500}
OPEN_LOSS: dict[str, object] = {"loss_limit": 300}
OPEN_PROFIT: dict[str, object] = {"profit_target": 1000}
BREAKEVEN: dict[str, object] = {"mode": "breakeven", "breakeven_arm_profit": 200}


def rule(name: str, options: dict[str, object]) -> Any:
    return build_rule(RULES[name], options)


# -- what is found -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "price", "breach"),
    [
        (
            "daily_realized_loss",
            {"limit": 100},
            5798,
            Breach("", "DAILY_LOSS", -micros("102.25"), -micros(100), Unit.MICROS, ACCOUNT, evidence=(
                ("basis", "realized_plus_unrealized"),
                ("realized", "0.00"),
                ("fees", "2.25"),
                ("unrealized", "-100.00"),
            ), loss=Loss.DAY_NET),
        ),
        (
            "daily_realized_profit",
            {"target": 90, "basis": "realized_plus_unrealized", "include_fees": False},
            5802,
            Breach("", "DAILY_PROFIT", micros(100), micros(90), Unit.MICROS, ACCOUNT, evidence=(
                ("basis", "realized_plus_unrealized"),
                ("realized", "0.00"),
                ("unrealized", "100.00"),
            )),
        ),
        (
            "daily_realized_profit",
            {"target": 90, "include_fees": False, "message": "well done"},
            5802,
            Breach("", "DAILY_PROFIT", micros(100), micros(90), Unit.MICROS, ACCOUNT, evidence=(
                ("basis", "realized_plus_unrealized"),
                ("realized", "0.00"),
                ("unrealized", "100.00"),
                ("message", "well done"),
            )),
        ),
        (
            "daily_unrealized_loss",
            {"loss_limit": 90},
            5798,
            Breach("", "UNREALIZED_LOSS", -micros(100), -micros(90), Unit.MICROS, Scope(contract_id=ES.id), evidence=(
                ("ESH5", "+1"),
                ("ESH5 quote", "bid 23192 ask 23192 ticks"),
            ), loss=Loss.OPEN),
        ),
        (
            "max_unrealized_profit",
            {"profit_target": 90, "scope": "total"},
            5802,
            Breach("", "PROFIT_TARGET", micros(100), micros(90), Unit.MICROS, ACCOUNT, evidence=(("positions", "1"),)),
        ),
        (
            "velocity",
            {"max_loss": 90},
            5798,
            Breach("", "VELOCITY", -micros("102.25"), -micros(90), Unit.MICROS, ACCOUNT, evidence=(
                ("window", "60 s"),
                ("from", "0.00"),
                ("to", "-102.25"),
            )),
        ),
    ],
)  # fmt: skip
def test_says_what_it_has_found(name: str, options: dict[str, object], price: float, breach: Breach) -> None:
    guarded = Guarded(rule(name, options))
    venue = guarded.venue
    guarded.feed(venue.quote(ES, 5800), venue.buys(ES, 1, 5800, fees="2.25"), venue.quote(ES, price))
    assert guarded.breaches == [msgspec.structs.replace(breach, rule=name)]


def test_says_that_quotes_are_missing() -> None:
    options = {**OPEN_LOSS, "quote_blackout_action_after": "12s", "quote_blackout_action": "close_position"}
    guarded = scene("daily_unrealized_loss", options)
    venue = guarded.venue
    venue.now_ns += 12 * SECOND_NS - venue.step_ns
    guarded.feed(venue.timer())
    assert guarded.breaches == [], "it is allowed to be that old"
    guarded.feed(venue.timer())
    assert guarded.breaches == [
        Breach("daily_unrealized_loss", "QUOTE_BLACKOUT", 0, 0, Unit.NONE, Scope(contract_id=ES.id), evidence=(
            ("contract", ES.id),
            ("quote_age_s", "12"),
            ("allowed_s", "12"),
        ))
    ]  # fmt: skip


def test_a_position_without_a_quote_counts_nothing() -> None:
    """In a total that is at its limit to the micro."""
    guarded = Guarded(rule("daily_unrealized_loss", {"loss_limit": 100, "scope": "total"}))
    venue = guarded.venue
    guarded.feed(venue.buys(MNQ, 1, 21000), venue.quote(ES, 5800), venue.buys(ES, 1, 5800), venue.quote(ES, 5798))
    assert [breach.measured for breach in guarded.breaches] == [-micros(100)]


def test_the_last_micro_of_a_days_budget_may_be_lost() -> None:
    guarded = Guarded(rule("daily_unrealized_loss", {**OPEN_LOSS, **BUDGET_LOSS}))
    venue = guarded.venue
    guarded.feed(venue.result("-149.999999"), venue.quote(ES, 5800), venue.buys(ES, 1, 5800))
    assert guarded.codes == []
    guarded.feed(venue.quote(ES, "5799.75"))
    assert [(one.code, one.limit) for one in guarded.breaches] == [("DAY_BUDGET", -1)]


def test_the_last_micro_of_a_days_target_is_to_be_had() -> None:
    guarded = Guarded(rule("max_unrealized_profit", {**OPEN_PROFIT, **BUDGET_PROFIT}))
    venue = guarded.venue
    guarded.feed(venue.result("149.999999"), venue.quote(ES, 5800), venue.buys(ES, 1, 5800))
    assert guarded.codes == []
    guarded.feed(venue.quote(ES, "5800.25"))
    assert [(one.code, one.limit) for one in guarded.breaches] == [("DAY_BUDGET", 1)]


# -- what is shown -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "sign", "gauge"),
    [
        ("daily_realized_loss", DAY_LOSS, -1, Gauge("day loss", micros("122.75"), micros(500), Unit.MICROS)),
        (
            "daily_realized_loss",
            {**DAY_LOSS, "include_fees": False},
            -1,
            Gauge("day loss", micros("120.50"), micros(500), Unit.MICROS),
        ),
        ("daily_realized_profit", DAY_PROFIT, 1, Gauge("day profit", micros("118.25"), micros(500), Unit.MICROS)),
        (
            "daily_realized_profit",
            {**DAY_PROFIT, "include_fees": False},
            1,
            Gauge("day profit", micros("120.50"), micros(500), Unit.MICROS),
        ),
        ("velocity", {"max_loss": 300}, -1, Gauge("loss in 60 s", micros("122.75"), micros(300), Unit.MICROS)),
        (
            "velocity",
            {"max_loss": 300, "include_fees": False, "window_seconds": 90},
            -1,
            Gauge("loss in 90 s", micros("120.50"), micros(300), Unit.MICROS),
        ),
    ],
)
def test_shows_what_is_closed(name: str, options: dict[str, object], sign: int, gauge: Gauge) -> None:
    guarded = Guarded(rule(name, options))
    guarded.feed(guarded.venue.result(sign * 120.5, fees="2.25"))
    assert guarded.gauges == [gauge]


@pytest.mark.parametrize(
    ("name", "options", "gauges"),
    [
        (
            "daily_unrealized_loss",
            OPEN_LOSS,
            [
                Gauge("open loss ESH5", 0, micros(300), Unit.MICROS),
                Gauge("open loss MNQH5", micros(50), micros(300), Unit.MICROS),
            ],
        ),
        ("daily_unrealized_loss", {**OPEN_LOSS, "scope": "total"}, [Gauge("open loss", 0, micros(300), Unit.MICROS)]),
        (
            "max_unrealized_profit",
            OPEN_PROFIT,
            [
                Gauge("open profit ESH5", micros(250), micros(1000), Unit.MICROS),
                Gauge("open profit MNQH5", 0, micros(1000), Unit.MICROS),
            ],
        ),
        (
            "max_unrealized_profit",
            {**OPEN_PROFIT, "scope": "total"},
            [Gauge("open profit", micros(200), micros(1000), Unit.MICROS)],
        ),
        (
            "max_unrealized_profit",
            {**BREAKEVEN, "breakeven_offset_ticks": 2},
            [
                Gauge("back to breakeven ESH5", 0, micros(200), Unit.MICROS),
                Gauge("back to breakeven MNQH5", 0, micros(200), Unit.MICROS),
            ],
        ),
    ],
)
def test_shows_what_is_open(name: str, options: dict[str, object], gauges: list[Gauge]) -> None:
    guarded = Guarded(rule(name, options))
    venue = guarded.venue
    guarded.feed(venue.quote(ES, 5800), venue.buys(ES, 1, 5800), venue.quote(MNQ, 21000), venue.buys(MNQ, 1, 21000))
    guarded.feed(venue.quote(MNQ, 20975), venue.quote(ES, 5805))
    assert guarded.gauges == gauges


@pytest.mark.parametrize(("offset", "used"), [(0, 50), (2, 75)])
def test_shows_what_an_armed_profit_has_given_back_above_its_offset(offset: int, used: int) -> None:
    guarded = Guarded(rule("max_unrealized_profit", {**BREAKEVEN, "breakeven_offset_ticks": offset}))
    venue = guarded.venue
    guarded.feed(venue.quote(ES, 5800), venue.buys(ES, 1, 5800), venue.quote(ES, 5804), venue.quote(ES, 5803))
    assert guarded.gauges == [Gauge("back to breakeven ESH5", micros(used), micros(200), Unit.MICROS)]


# -- how far open profit may move --------------------------------------------------------------------------------------


def scene(name: str, options: dict[str, object], *, result: int | str = 0, fees: int = 0) -> Guarded:
    """One ES long from 5800, quoted 5798: 100 dollars down, after a result."""
    guarded = Guarded(rule(name, options))
    venue = guarded.venue
    guarded.feed(venue.result(result, fees=fees)) if result else None
    guarded.feed(venue.quote(ES, 5800), venue.buys(ES, 1, 5800), venue.quote(ES, 5798))
    return guarded


def slack_of(guarded: Guarded) -> Slack:
    slot = guarded.engine._slots[0]
    slack: Slack = slot.rule.slack(slot.state, guarded.engine.account)  # type: ignore[attr-defined]  # these have one
    return slack


BUDGET_LOSS: dict[str, object] = {"composite_enforcement": {"enabled": True, "realized_limit": 150}}
BUDGET_PROFIT: dict[str, object] = {"composite_enforcement": {"enabled": True, "profit_target": 150}}


@pytest.mark.parametrize(
    ("name", "options", "result", "down", "up"),
    [
        ("daily_realized_loss", DAY_LOSS, -50, 348, None),
        ("daily_realized_loss", {**DAY_LOSS, "include_fees": False}, -50, 350, None),
        ("daily_realized_loss", {**DAY_LOSS, "basis": "composite"}, 50, 448, None),
        ("daily_realized_profit", DAY_PROFIT, 50, None, 552),
        ("daily_realized_profit", {**DAY_PROFIT, "include_fees": False}, 50, None, 550),
        ("daily_realized_profit", {**DAY_PROFIT, "basis": "realized"}, 50, None, None),
        ("daily_unrealized_loss", OPEN_LOSS, -50, 200, None),
        ("daily_unrealized_loss", {**OPEN_LOSS, "scope": "total"}, -50, 200, None),
        # The day leaves 152, of which 100 are used; once it leaves nothing it is the day's rule that counts.
        ("daily_unrealized_loss", {**OPEN_LOSS, **BUDGET_LOSS}, 4, 52, None),
        ("daily_unrealized_loss", {**OPEN_LOSS, **BUDGET_LOSS}, "-147.999999", "-99.999999", None),
        ("daily_unrealized_loss", {**OPEN_LOSS, **BUDGET_LOSS}, -148, 200, None),
        ("max_unrealized_profit", OPEN_PROFIT, 50, None, 1100),
        ("max_unrealized_profit", {**OPEN_PROFIT, **BUDGET_PROFIT}, 52, None, 200),
        ("max_unrealized_profit", {**OPEN_PROFIT, **BUDGET_PROFIT}, "151.999999", None, "100.000001"),
        ("max_unrealized_profit", {**OPEN_PROFIT, **BUDGET_PROFIT}, 152, None, 1100),
        ("max_unrealized_profit", BREAKEVEN, 0, None, 300),
    ],
)
def test_the_slack_is_what_is_left_to_the_limit(
    name: str, options: dict[str, object], result: int | str, down: int | str | None, up: int | str | None
) -> None:
    """Fees are 2."""
    slack = slack_of(scene(name, options, result=result, fees=2))
    bounds = [UNBOUNDED if bound is None else micros(bound) for bound in (down, up)]
    assert [slack.down_micros, slack.up_micros] == bounds


def test_an_open_profit_is_no_room_of_a_composite() -> None:
    for name, options in (("daily_realized_loss", DAY_LOSS), ("daily_realized_profit", DAY_PROFIT)):
        guarded = scene(name, {**options, "basis": "composite"})
        guarded.feed(guarded.venue.quote(ES, 5802))
        slack = slack_of(guarded)
        assert min(slack.down_micros, slack.up_micros) == micros(500)


def test_the_nearest_limit_of_several_positions_counts() -> None:
    for name, options, bound in (
        ("daily_unrealized_loss", OPEN_LOSS, 200),
        ("max_unrealized_profit", OPEN_PROFIT, 950),
    ):
        guarded = scene(name, options)
        venue = guarded.venue
        guarded.feed(venue.quote(MNQ, 21000), venue.buys(MNQ, 1, 21000), venue.quote(MNQ, 21025))
        slack = slack_of(guarded)
        assert min(slack.down_micros, slack.up_micros) == micros(bound)


@pytest.mark.parametrize(
    ("name", "options"), [("daily_unrealized_loss", OPEN_LOSS), ("max_unrealized_profit", OPEN_PROFIT)]
)
def test_the_slack_ends_when_a_quote_is_too_old_or_a_look_is_due(name: str, options: dict[str, object]) -> None:
    aging = scene(name, {**options, "max_quote_age_seconds": 5, "check_interval_seconds": 30})
    assert slack_of(aging).until_ns == aging.engine.account.now_ns + 5 * SECOND_NS + 1
    looking = scene(name, {**options, "max_quote_age_seconds": 30, "check_interval_seconds": 7})
    slot = looking.engine._slots[0]
    assert slack_of(looking).until_ns == slot.state.due_ns
    # Looked at last when the position came, one event before the quote.
    assert slot.state.due_ns == looking.engine.account.now_ns - looking.venue.step_ns + 7 * SECOND_NS


@pytest.mark.parametrize(
    ("name", "options"), [("daily_unrealized_loss", OPEN_LOSS), ("max_unrealized_profit", OPEN_PROFIT)]
)
def test_a_flat_account_has_all_the_slack(name: str, options: dict[str, object]) -> None:
    guarded = Guarded(rule(name, options))
    until_ns = guarded.engine.account.now_ns + 10 * SECOND_NS + 1
    assert slack_of(guarded) == Slack(UNBOUNDED, UNBOUNDED, until_ns)


def test_a_loss_that_waits_has_no_slack() -> None:
    guarded = scene("daily_unrealized_loss", {**OPEN_LOSS, "confirm_ms": 500})
    guarded.feed(guarded.venue.quote(ES, 5794))
    now_ns = guarded.engine.account.now_ns
    slot = guarded.engine._slots[0]
    assert slot.state.pending == (Pending(Scope(contract_id=ES.id), "UNREALIZED_LOSS", now_ns),)
    assert slot.state.due_ns == now_ns + 500_000_000
    assert slack_of(guarded) is None


@pytest.mark.parametrize(
    ("at_ms", "until_ms"),
    # A window of 1.25 seconds in stretches of one: one begins each second, one leaves it a quarter of a second later.
    [(200, 250), (249, 250), (250, 1000), (700, 1000), (999, 1000), (1000, 1250)],
)
def test_velocity_looks_again_when_a_stretch_begins_or_leaves_the_window(at_ms: int, until_ms: int) -> None:
    guarded = Guarded(rule("velocity", {"max_loss": 300, "window_ms": 1250}))
    venue = guarded.venue
    venue.now_ns = START_NS + at_ms * 1_000_000 - venue.step_ns
    guarded.feed(venue.quote(ES, 5800))
    guarded.feed(venue.account())
    venue.now_ns = START_NS + at_ms * 1_000_000
    account = guarded.engine.account
    account.now_ns = venue.now_ns
    assert slack_of(guarded).until_ns == START_NS + until_ms * 1_000_000


def test_velocity_looks_again_when_the_day_ends() -> None:
    venue = Scenario()
    guarded = Guarded(rule("velocity", {"max_loss": 300}), venue=venue)
    end_ns = guarded.engine.account.day.end_ns
    guarded.engine.account.now_ns = end_ns - 1_500_000_000
    assert slack_of(guarded).until_ns == end_ns - 1_000_000_000
    guarded.engine.account.now_ns = end_ns - 1
    assert slack_of(guarded).until_ns == end_ns


@pytest.mark.parametrize(
    ("results", "include_fees", "down", "up"),
    [
        ([100], False, 300_000_000, 1),
        ([100, -50], False, 250_000_000, 50_000_001),
        ([100, -50], True, 248_000_000, 52_000_001),
    ],
)
def test_velocity_looks_again_at_the_fall_and_at_a_new_peak(
    results: list[int], include_fees: bool, down: int, up: int
) -> None:
    guarded = Guarded(rule("velocity", {"max_loss": 300, "include_fees": include_fees}))
    for result in results:
        guarded.feed(guarded.venue.result(result, fees=2))
    slack = slack_of(guarded)
    assert (slack.down_micros, slack.up_micros) == (down, up)


# -- what is armed -----------------------------------------------------------------------------------------------------


def armed_by(*positions: tuple[Contract, int], scope: str = "total") -> tuple[MaxUnrealizedProfit, Guarded]:
    made = rule("max_unrealized_profit", {**BREAKEVEN, "scope": scope})
    guarded = Guarded(made)
    venue = guarded.venue
    for product, net in positions:
        guarded.feed(venue.quote(product, 5800), (venue.buys if net > 0 else venue.sells)(product, abs(net), 5800))
    return made, guarded


def test_remembers_each_position_that_is_armed() -> None:
    _, guarded = armed_by((ES_JUNE, -1), (ES, 2))
    guarded.feed(guarded.venue.quote(ES, 5802))
    ids = {one.id: guarded.venue.positions[one.id].id for one in (ES, ES_JUNE)}
    legs = (Leg(ES.id, 1, ids[ES.id]), Leg(ES_JUNE.id, -1, ids[ES_JUNE.id]))
    assert guarded.engine._slots[0].state.armed == (Armed(ACCOUNT, legs),)
    assert all(ids.values())


def test_stays_armed_over_the_expiries_of_a_product() -> None:
    _, guarded = armed_by((ES, 1), (ES_JUNE, 1), scope="per_instrument")
    slot = guarded.engine._slots[0]
    guarded.feed(guarded.venue.quote(ES, 5804))
    (armed,) = slot.state.armed
    assert (armed.scope, len(armed.legs)) == (Scope(root="ES"), 2)
    guarded.feed(guarded.venue.quote(ES, 5802))
    assert slot.state.armed == (armed,)


@pytest.mark.parametrize(
    ("leg", "is_kept"),
    [
        (Leg(ES.id, 1, "as stated"), True),
        (Leg(ES.id, 1, ""), True),
        (Leg(ES.id, 1, "another"), False),
        (Leg(ES.id, -1, "as stated"), False),
        (Leg(ES.id, -1, ""), False),
        (Leg(MNQ.id, 1, ""), False),
    ],
)
def test_stays_armed_for_the_position_it_was_armed_for(leg: Leg, is_kept: bool) -> None:
    made, guarded = armed_by((ES, 1), scope="per_position")
    stated = guarded.venue.positions[ES.id].id
    if leg.position_id == "as stated":
        leg = Leg(leg.contract_id, leg.sign, stated)
    state = Watch((Armed(Scope(contract_id=ES.id), (leg,)),), None)
    known, _ = made.step(state, guarded.venue.timer(), guarded.engine.account)
    assert known.armed == ((Armed(Scope(contract_id=ES.id), (Leg(ES.id, 1, stated),)),) if is_kept else ())


def test_stays_armed_while_the_venue_has_not_stated_the_position() -> None:
    made = rule("max_unrealized_profit", BREAKEVEN)
    guarded = Guarded(made)
    venue = guarded.venue
    guarded.feed(venue.quote(ES, 5800))
    guarded.feed(event for event in venue.buys(ES, 1, 5800) if isinstance(event, FillReceived))
    assert guarded.engine.account.holdings[ES.id].position_id == ""
    scope = Scope(contract_id=ES.id)
    known, _ = made.step(Watch((Armed(scope, (Leg(ES.id, 1, "7"),)),), None), venue.timer(), guarded.engine.account)
    assert known.armed == (Armed(scope, (Leg(ES.id, 1, ""),)),)

"""Leverage, step by step: what is known of the balance, and what is said."""

from typing import Any

import pytest
from msgspec.structs import replace

from risk_manager.domain.finding import AtMost, Breach, Gauge, Skipped, Unit
from risk_manager.domain.scope import ACCOUNT
from risk_manager.engine import Engine
from risk_manager.rules import OptionsInvalid, build_rule, options_of
from risk_manager.rules._base import Slack
from risk_manager.rules.leverage import BALANCE_LAG_NS, Leverage, Seen
from risk_manager.testing.events import CL, ES, MNQ, micros
from risk_manager.testing.guarded import Guarded
from tests.rules.test_leverage import holding, rule


def remembered(guarded: Guarded) -> Seen:
    (slot,) = guarded.engine._slots
    assert isinstance(slot.state, Seen)
    return slot.state


def own(guarded: Guarded) -> Leverage:
    (one,) = guarded.settings.rules
    assert isinstance(one, Leverage)
    return one


# -- what is known of the balance -------------------------------------------------------------------------------------


def test_a_balance_is_doubted_from_a_fill_on_until_it_is_stated() -> None:
    guarded = holding(max_ratio=10)
    venue = guarded.venue
    assert remembered(guarded) == Seen()
    guarded.feed(venue.result(100, fees=5))
    doubted = Seen(doubt_until_ns=venue.now_ns + BALANCE_LAG_NS)
    assert remembered(guarded) == doubted
    assert guarded.engine.next_deadline_ns() == doubted.doubt_until_ns
    light = replace(venue.snapshot(), account=None)
    guarded.feed(light, venue.quote(ES, 5000))
    assert remembered(guarded) == doubted
    guarded.feed(venue.account())
    assert remembered(guarded) == Seen(micros(95))


def test_a_snapshot_with_the_account_states_the_balance() -> None:
    guarded = holding(max_ratio=10)
    guarded.feed(guarded.venue.result(-40, fees=2), guarded.venue.snapshot())
    assert remembered(guarded) == Seen(micros(-42))


def test_a_fill_that_brings_nothing_raises_no_doubt() -> None:
    guarded = holding(max_ratio=10)
    guarded.feed(guarded.venue.buys(ES, 1, 5000))
    assert remembered(guarded) == Seen()


def test_a_balance_that_never_comes_is_taken_as_told_when_the_time_is_over() -> None:
    guarded = holding(max_ratio=10)
    venue = guarded.venue
    guarded.feed(venue.result(100))
    due_ns = venue.now_ns + BALANCE_LAG_NS
    venue.now_ns = due_ns - 2_000_000
    guarded.feed(venue.timer())
    assert remembered(guarded) == Seen(doubt_until_ns=due_ns)
    guarded.feed(venue.timer())
    assert remembered(guarded) == Seen(micros(100))


@pytest.mark.parametrize(
    ("gain", "fees", "codes"),
    [
        # 250,000 at ten times need 25,000; the balance still shows 24,900.
        (100, 0, []),
        ("99.99", 0, ["LEVERAGE"]),
        (105, 5, []),
        (104, 5, ["LEVERAGE"]),
        (-100, 0, ["LEVERAGE"]),
    ],
)
def test_what_a_fill_has_brought_since_the_balance_was_stated_is_equity(
    gain: int | str, fees: int, codes: list[str]
) -> None:
    guarded = Guarded(rule(max_ratio=10))
    venue = guarded.venue
    venue.result(300, fees=20)
    venue.balance_micros = micros(24_900)
    guarded.feed(venue.snapshot(), venue.result(gain, fees=fees))
    guarded.feed(venue.quote(ES, 5000), venue.buys(ES, 1, 5000))
    assert guarded.codes == codes


# -- what is said -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "targets"), [("reduce_to_limit", (AtMost(ES.id, 1),)), ("flatten", ()), ("alert", ())]
)
def test_says_how_it_came_to_the_ratio(action: str, targets: tuple[AtMost, ...]) -> None:
    guarded = holding((ES, 2), balance=25_000, action=action)
    evidence = (("equity", "25000.00"), ("market_value", "500000.00"), (ES.id, "+2"))
    assert guarded.breaches == [
        Breach("leverage", "LEVERAGE", 200_000, 100_000, Unit.BASIS_POINTS, ACCOUNT, targets, evidence=evidence)
    ]


def test_says_how_it_came_to_the_number() -> None:
    guarded = holding((ES, 2), (MNQ, -1), balance=15_000, contracts_per_10k=1, action="flatten")
    evidence = (("equity", "15000.00"), (ES.id, "+2"), (MNQ.id, "-1"))
    assert guarded.breaches == [Breach("leverage", "LEVERAGE", 3, 1, Unit.CONTRACTS, ACCOUNT, evidence=evidence)]


@pytest.mark.parametrize(("action", "targets"), [("reduce_to_limit", (AtMost(ES.id, 0),)), ("flatten", ())])
def test_says_that_there_is_no_equity(action: str, targets: tuple[AtMost, ...]) -> None:
    guarded = holding((ES, 1), balance=-5, action=action)
    evidence = (("equity", "-5.00"),)
    assert guarded.breaches == [
        Breach("leverage", "LEVERAGE_NO_EQUITY", micros(-5), 0, Unit.MICROS, ACCOUNT, targets, evidence=evidence)
    ]


def test_a_millionth_of_a_dollar_is_equity() -> None:
    assert holding((ES, 1), balance="0.000001").codes == ["LEVERAGE"]


def test_one_contract_too_many_goes() -> None:
    guarded = holding((ES, 2), balance=10_000, contracts_per_10k=1)
    assert guarded.breaches[0].targets == (AtMost(ES.id, 1),)


def test_says_that_the_balance_is_not_known() -> None:
    guarded = holding(max_ratio=10)
    engine = Engine(guarded.settings)
    decisions = [engine.receive(event) for event in guarded.venue.buys(ES, 1, 5000)]
    assert decisions[0].skipped == (Skipped("leverage", "account_record_missing"),)
    assert own(guarded).slack(Seen(), engine.account) is None


@pytest.mark.parametrize(
    ("options", "balance", "gauge"),
    [
        ({"max_ratio": 10}, 50_000, Gauge("leverage", 50_000, 100_000, Unit.BASIS_POINTS)),
        ({"max_ratio": 10}, 0, Gauge("leverage", 250_000_000_000, 100_000, Unit.BASIS_POINTS)),
        ({"contracts_per_10k": 2}, 50_000, Gauge("contracts in all", 1, 10, Unit.CONTRACTS)),
        ({"contracts_per_10k": 20_000_000_000}, -1, Gauge("contracts in all", 1, 0, Unit.CONTRACTS)),
    ],
)
def test_shows_how_much_is_used(options: dict[str, Any], balance: int, gauge: Gauge) -> None:
    assert holding((ES, 1), balance=balance, **options).gauges == [gauge]


def test_need_not_look_again_with_nothing_held() -> None:
    guarded = holding(max_ratio=10)
    assert own(guarded).slack(Seen(), guarded.engine.account) == Slack(micros(50_000))


def test_has_to_look_while_a_price_is_missing() -> None:
    guarded = holding((ES, 1), (CL, 1), quoted=False)
    guarded.feed(guarded.venue.quote(ES, 5000))
    assert own(guarded).slack(remembered(guarded), guarded.engine.account) is None


# -- options ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "none"),
        ({"max_ratio": 10, "contracts_per_10k": 2}, "max_ratio and contracts_per_10k"),
    ],
)
def test_says_which_it_was_given(options: dict[str, Any], said: str) -> None:
    with pytest.raises(OptionsInvalid) as refused:
        build_rule(Leverage, options)
    names = "max_ratio, max_ratio_pct, contracts_per_10k"
    assert str(refused.value) == f"leverage.max_ratio: write one of {names}, not {said}"


@pytest.mark.parametrize(("written", "pct"), [("2.50", 250), ("2.05", 205), ("0.5", 50), ("10.000", 1000), (7.25, 725)])
def test_a_ratio_may_be_written_with_two_decimals(written: object, pct: int) -> None:
    assert options_of(rule(max_ratio=written))["max_ratio_pct"] == pct


def test_a_ratio_is_not_taken_for_another_one_that_is_given_too() -> None:
    with pytest.raises(OptionsInvalid) as refused:
        rule(max_ratio="2.5", max_ratio_pct=300)
    assert [fault.option for fault in refused.value.faults] == ["max_ratio"]


@pytest.mark.parametrize("written", ["1.2.5", "2.5X", "2.X"])
def test_what_is_no_number_is_no_ratio(written: str) -> None:
    with pytest.raises(OptionsInvalid):
        rule(max_ratio=written)

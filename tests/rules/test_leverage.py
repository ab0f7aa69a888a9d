"""RULE-017: not too much in the market for the money in the account."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk_manager.domain.actions import ClosePosition, ReducePosition
from risk_manager.domain.contract import Contract
from risk_manager.domain.finding import Unit
from risk_manager.domain.order import Side
from risk_manager.domain.scope import ACCOUNT
from risk_manager.rules import OptionsInvalid, build_rule, options_of
from risk_manager.rules.leverage import BALANCE_LAG_NS, Leverage
from risk_manager.testing.events import CL, CONTRACTS, ES, MES, MNQ, NQ, SECOND_NS, Price, Scenario, micros
from risk_manager.testing.guarded import Guarded

NAMES = {one.id: one.name for one in CONTRACTS}
PRICES = {ES: 5000, MES: 5000, NQ: 20000, MNQ: 20000, CL: 75}
"""One ES is worth 250,000 dollars, one NQ 400,000, one MES 25,000, one MNQ 40,000, one CL 75,000."""


def rule(**options: Any) -> Leverage:
    given = {"max_ratio", "max_ratio_pct", "contracts_per_10k"} & options.keys()
    return build_rule(Leverage, options if given else {"max_ratio": 10, **options})


def holding(*positions: tuple[Contract, int], balance: Price = 50_000, quoted: bool = True, **options: Any) -> Guarded:
    venue = Scenario()
    venue.balance_micros = micros(balance)
    for product, net in positions:
        venue.position(product, net, PRICES[product])
    guarded = Guarded(rule(**options), venue=venue)
    if quoted:
        guarded.feed(venue.quote(product, PRICES[product]) for product, _ in positions)
    return guarded


def left(guarded: Guarded) -> dict[str, int]:
    return {NAMES[target.contract_id]: target.size for target in guarded.breaches[-1].targets}


# -- the ratio ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("balance", "ratio_bp", "after"),
    [
        (50_000, None, None),  # 500,000 is ten times
        ("49999.99", 100_001, {"ESH5": 1}),
        (25_000, 200_000, {"ESH5": 1}),
        ("24999.99", 200_001, {"ESH5": 0}),
    ],
)
def test_market_value_against_equity(
    sign: int, balance: Price, ratio_bp: int | None, after: dict[str, int] | None
) -> None:
    guarded = holding((ES, 2 * sign), balance=balance)
    if ratio_bp is None:
        assert guarded.findings == []
        return
    (breach,) = guarded.breaches
    assert (breach.code, breach.measured, breach.limit) == ("LEVERAGE", ratio_bp, 100_000)
    assert (breach.unit, breach.scope) == (Unit.BASIS_POINTS, ACCOUNT)
    assert ("market_value", "500000.00") in breach.evidence
    assert left(guarded) == after


def test_long_and_short_count_in_full() -> None:
    guarded = holding((NQ, 1), (ES, -1))
    (breach,) = guarded.breaches
    assert breach.measured == 130_000
    assert left(guarded) == {"ESH5": 0}, "what grew last goes first"


def test_takes_off_no_contract_more_than_needed() -> None:
    guarded = holding((ES, 1), (MES, 14))
    assert left(guarded) == {"MESH5": 10}
    assert [one.size for one in guarded.actions if isinstance(one, ReducePosition)] == [4]


@pytest.mark.parametrize(("options", "is_breach"), [({"max_ratio_pct": 250}, False), ({"max_ratio_pct": 249}, True)])
def test_a_ratio_in_percent(options: dict[str, Any], is_breach: bool) -> None:
    assert holding((MES, 5), **options).codes == (["LEVERAGE"] if is_breach else [])


@pytest.mark.parametrize("sign", [1, -1])
def test_open_profit_is_equity(sign: int) -> None:
    """Two ES at ten times need a tenth of what they are worth: a loss takes from the one and little from the other."""
    guarded = holding((ES, 2 * sign), balance=50_000)
    away = 5000 - 20 * sign
    guarded.feed(guarded.venue.quote(ES, away))
    # 2,000 lost: 48,000 against 498,000 long or 502,000 short.
    (breach,) = guarded.breaches
    assert ("equity", "48000.00") in breach.evidence
    assert breach.measured == (103_750 if sign > 0 else 104_584)


def test_a_tick_can_be_too_much() -> None:
    guarded = holding((ES, 2), balance=50_000)
    guarded.feed(guarded.venue.quote(ES, "4999.75"))
    assert guarded.codes == ["LEVERAGE"]
    # Up again: 25 more in equity, and ten times that allowed.
    guarded.forget()
    guarded.feed(guarded.venue.quote(ES, "5000.25"))
    assert guarded.codes == []


def test_a_price_that_jumps_up_can_be_too_much_though_it_earns() -> None:
    """At half the equity: two MES gain 10 dollars a point, and 5 more are allowed; at 5200 both are 52,000."""
    guarded = holding((MES, 2), balance=102_000, max_ratio_pct=50)
    guarded.feed(guarded.venue.quote(MES, 5200))
    assert guarded.findings == []
    guarded = holding((MES, 2), balance=102_000, max_ratio_pct=50)
    guarded.feed(guarded.venue.quote(MES, "5200.25"))
    assert guarded.codes == ["LEVERAGE"]


def test_a_short_grows_while_the_equity_shrinks() -> None:
    """Two ES 4.50 points up: 500,450 of 500,500; 4.75 points: 500,475 of 500,250."""
    guarded = holding((ES, -2), balance=50_500)
    guarded.feed(guarded.venue.quote(ES, "5004.50"))
    assert guarded.findings == []
    guarded.feed(guarded.venue.quote(ES, "5004.75"))
    assert guarded.codes == ["LEVERAGE"]


# -- contracts per 10k -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("balance", "allowed"), [(10_000, 3), (9_999, 2), (13_333, 3), ("13333.34", 4), (20_000, 6), (3_333, 0)]
)
def test_contracts_for_every_ten_thousand(balance: Price, allowed: int) -> None:
    guarded = holding((MES, 8), balance=balance, contracts_per_10k=3)
    (breach,) = guarded.breaches
    assert (breach.measured, breach.limit, breach.unit) == (8, allowed, Unit.CONTRACTS)
    assert left(guarded) == {"MESH5": allowed}
    kept = [(MES, allowed)] if allowed else []
    assert holding(*kept, balance=balance, contracts_per_10k=3).findings == []


def test_contracts_need_no_price() -> None:
    guarded = holding((MES, 4), (CL, -3), balance=10_000, contracts_per_10k=5, quoted=False)
    assert left(guarded) == {"CLH5": 1}


def test_without_a_price_it_says_that_the_equity_may_be_another() -> None:
    guarded = holding((MES, 4), balance=10_000, contracts_per_10k=5, quoted=False)
    assert guarded.findings == []
    assert [skip.reason for skip in guarded.skipped] == [f"quote_missing {MES.id}"]


# -- what cannot be seen -----------------------------------------------------------------------------------------------


def test_judges_what_has_a_price_and_says_what_has_none() -> None:
    guarded = holding((CL, 9), (ES, 3), quoted=False)
    assert guarded.codes == []
    assert [skip.reason for skip in guarded.skipped] == [f"quote_missing {CL.id} {ES.id}"]
    guarded.feed(guarded.venue.quote(ES, 5000))
    assert guarded.codes == ["LEVERAGE"]
    assert [skip.reason for skip in guarded.skipped][-1] == f"quote_missing {CL.id}"
    assert left(guarded) == {"ESH5": 2}


def test_says_that_it_does_not_know_the_balance() -> None:
    guarded = Guarded(rule())
    guarded.engine = type(guarded.engine)(guarded.settings)
    guarded.feed(guarded.venue.buys(ES, 1, 5000))
    assert [skip.reason for skip in guarded.skipped] == ["account_record_missing"]


@pytest.mark.parametrize("balance", [0, "-0.01", -500])
@pytest.mark.parametrize("options", [{"max_ratio": 10}, {"contracts_per_10k": 5}])
def test_without_equity_everything_is_too_much(balance: Price, options: dict[str, Any]) -> None:
    guarded = holding((MES, 2), (CL, -1), balance=balance, **options)
    (breach,) = guarded.breaches
    assert (breach.code, breach.measured, breach.limit) == ("LEVERAGE_NO_EQUITY", micros(balance), 0)
    assert left(guarded) == {"MESH5": 0, "CLH5": 0}
    assert len([one for one in guarded.actions if isinstance(one, ClosePosition)]) == 2


def test_the_last_cent_of_equity_is_equity() -> None:
    assert holding((MES, 1), balance="0.01").codes == ["LEVERAGE"]


def test_without_positions_there_is_nothing_to_say() -> None:
    assert holding(balance=-500).findings == []


# -- a balance behind the fills ----------------------------------------------------------------------------------------


def test_a_profit_on_its_way_into_the_balance_is_not_taken_for_a_loss() -> None:
    """Ten thousand are made: gone from the open profit, and not yet in the balance of 32,000."""
    guarded = Guarded(rule())
    venue = guarded.venue
    venue.balance_micros = micros(32_000)
    guarded.feed(venue.account(), venue.quote(ES, 5000), venue.buys(ES, 1, 5000))
    guarded.feed(venue.quote(ES, 5200), venue.sells(ES, 1, 5200))
    guarded.feed(venue.quote(MES, 5200), venue.buys(MES, 16, 5200))
    # 16 MES are 416,000: more than ten times 32,000, less than ten times 42,000.
    assert guarded.codes == []
    guarded.feed(venue.account())
    assert guarded.codes == []


def test_a_balance_that_never_comes_is_waited_for_a_moment() -> None:
    guarded = Guarded(rule())
    venue = guarded.venue
    venue.balance_micros = micros(32_000)
    guarded.feed(venue.account(), venue.quote(ES, 5000), venue.buys(ES, 1, 5000), venue.quote(ES, 5200))
    guarded.feed(venue.sells(ES, 1, 5200), venue.quote(MES, 5200), venue.buys(MES, 16, 5200))
    slot = guarded.engine._slots[0]
    assert slot.due_ns is not None
    assert slot.due_ns <= venue.now_ns + BALANCE_LAG_NS
    guarded.feed(venue.timer(after_s=BALANCE_LAG_NS / SECOND_NS))
    assert guarded.codes == ["LEVERAGE"]
    assert slot.due_ns is None


# -- what is left ------------------------------------------------------------------------------------------------------

any_positions = st.dictionaries(st.sampled_from([NQ, ES, MNQ, MES, CL]), st.integers(-6, 6).filter(bool), min_size=1)
limits = st.one_of(
    st.builds(lambda count: {"max_ratio": count}, st.integers(1, 40)),
    st.builds(lambda count: {"max_ratio_pct": count}, st.integers(1, 4000)),
    st.builds(lambda count: {"contracts_per_10k": count}, st.integers(1, 6)),
)


@given(any_positions, limits, st.integers(-100, 90_000))
@settings(max_examples=150, deadline=None)
def test_what_it_leaves_is_no_breach_and_one_contract_more_would_be(
    positions: dict[Contract, int], limit: dict[str, Any], balance: int
) -> None:
    guarded = holding(*positions.items(), balance=balance, **limit)
    # While the quotes come one after the other, breaches are found for what has a price; the last one speaks for all.
    looked = rule(**limit)
    found = looked._look(guarded.engine._slots[0].state, guarded.engine.account)
    targets = {target.contract_id: target.size for one in found for target in getattr(one, "targets", ())}
    assert bool(targets) == bool(found), "a breach that demands nothing would last for ever"
    if not targets:
        return

    def holding_of(sizes: dict[str, int]) -> Guarded:
        signed = [(product, sizes.get(product.id, abs(net)) * (1 if net > 0 else -1)) for product, net in held]
        return holding(*((product, net) for product, net in signed if net), balance=balance, **limit)

    held = list(positions.items())
    assert holding_of(targets).findings == []
    # What shrank last shrank by no contract too many.
    *_, last = targets
    assert holding_of({**targets, last: targets[last] + 1}).findings != []


# -- what is done ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "kinds"), [("reduce_to_limit", {ReducePosition}), ("flatten", {ClosePosition}), ("alert", set())]
)
def test_does_what_the_action_says(action: str, kinds: set[type]) -> None:
    guarded = holding((MES, 24), action=action)
    assert guarded.codes == ["LEVERAGE"]
    assert {type(one) for one in guarded.actions if isinstance(one, ReducePosition | ClosePosition)} == kinds
    assert guarded.lockouts == ()


def test_may_lock() -> None:
    assert holding((MES, 24), lockout="30m").lockouts != ()


def test_working_orders_do_not_count() -> None:
    guarded = holding((ES, 2))
    guarded.feed(guarded.venue.order(ES, Side.BUY, 5, limit=4000))
    assert guarded.findings == []


def test_a_restart_in_breach_reports_nothing_anew() -> None:
    guarded = holding((MES, 24), action="alert")
    guarded.restart()
    guarded.forget()
    guarded.feed(guarded.venue.quote(MES, 5000), guarded.venue.snapshot())
    assert guarded.codes == []


def test_two_accounts_have_their_own_equity() -> None:
    assert holding((ES, 2), balance=50_000).codes == []
    assert holding((ES, 2), balance=40_000).codes == ["LEVERAGE"]


def test_shows_how_much_is_used() -> None:
    assert [(one.label, one.used, one.limit) for one in holding((ES, 1)).gauges] == [("leverage", 50_000, 100_000)]
    guarded = holding((MES, 4), contracts_per_10k=3)
    assert [(one.used, one.limit, one.unit) for one in guarded.gauges] == [(4, 15, Unit.CONTRACTS)]


# -- options -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("written", "pct"), [(2.5, 250), ("2.5", 250), (0.75, 75), (10.0, 1000), ("12.25", 1225)])
def test_a_ratio_may_have_decimals(written: object, pct: int) -> None:
    ratio = rule(max_ratio=written)
    assert ratio == rule(max_ratio_pct=pct)
    assert build_rule(Leverage, options_of(ratio)) == ratio


@pytest.mark.parametrize(
    ("options", "option"),
    [
        ({}, "max_ratio"),
        ({"max_ratio": 10, "contracts_per_10k": 1}, "max_ratio"),
        ({"max_ratio": 10, "max_ratio_pct": 100}, "max_ratio"),
        ({"max_ratio": 0}, "max_ratio"),
        ({"max_ratio": -2.5}, "max_ratio"),
        ({"max_ratio": 2.505}, "max_ratio"),
        ({"max_ratio": "ten"}, "max_ratio"),
        ({"max_ratio": True}, "max_ratio"),
        ({"max_ratio": "0.0"}, "max_ratio_pct"),
        ({"contracts_per_10k": 0}, "contracts_per_10k"),
        ({"max_ratio": 5, "action": "alert", "lockout": True}, "lockout"),
    ],
)
def test_refuses_what_makes_no_sense(options: dict[str, object], option: str) -> None:
    with pytest.raises(OptionsInvalid) as caught:
        build_rule(Leverage, options)
    assert option in [fault.option for fault in caught.value.faults]

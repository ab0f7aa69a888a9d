"""RULE-016: not too much of the account in one product."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk_manager.domain.actions import ClosePosition, ReducePosition
from risk_manager.domain.contract import Contract
from risk_manager.domain.finding import Breach, Gauge, Skipped, Unit
from risk_manager.domain.scope import ACCOUNT
from risk_manager.rules import OptionsInvalid, build_rule
from risk_manager.rules._base import UNBOUNDED, Slack
from risk_manager.rules.concentration import Concentration
from risk_manager.testing.events import CL, CONTRACTS, ES, ES_JUNE, MES, MNQ, NQ, Scenario
from risk_manager.testing.guarded import Guarded

NAMES = {one.id: one.name for one in CONTRACTS}
PRICES = {ES: 5800, ES_JUNE: 5850, MES: 5800, NQ: 21000, MNQ: 21000, CL: 75}


def rule(**options: Any) -> Concentration:
    return build_rule(Concentration, {"max_pct": 60, "min_total": 5, **options})


def holding(*positions: tuple[Contract, int], quoted: bool = True, **options: Any) -> Guarded:
    """An account that holds these positions when the guard starts, the first one opened first."""
    venue = Scenario()
    for product, net in positions:
        venue.position(product, net, PRICES[product])
    guarded = Guarded(rule(**options), venue=venue)
    if quoted:
        guarded.feed(venue.quote(product, PRICES[product]) for product, _ in positions)
    return guarded


def left(guarded: Guarded) -> dict[str, int]:
    """What the breach leaves of each contract that has to shrink."""
    return {NAMES[target.contract_id]: target.size for target in guarded.breaches[-1].targets}


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("sizes", "share", "after"),
    [
        ((3, 2), None, {}),  # exactly 60 %
        ((4, 2), 6667, {"MNQH5": 3}),
        ((2, 4), 6667, {"MESH5": 3}),
        ((6, 4), None, {}),
        ((7, 4), 6364, {"MNQH5": 6}),
        ((5, 0), 10000, {"MNQH5": 4}),  # below the total is as good as a fair share
        ((9, 0), 10000, {"MNQH5": 4}),
        ((4, 0), None, {}),  # 100 %, but of a total that is not looked at
        ((3, 1), None, {}),
        ((9, 1), 9000, {"MNQH5": 3}),  # 3 of 4: the total decides; the share alone would leave one
        ((9, 3), 7500, {"MNQH5": 4}),
    ],
)
def test_one_products_share_of_the_contracts(
    sign: int, sizes: tuple[int, int], share: int | None, after: dict[str, int]
) -> None:
    held = [(product, sign * size) for product, size in zip((MNQ, MES), sizes, strict=True) if size]
    guarded = holding(*held)
    if share is None:
        assert guarded.findings == []
        return
    (breach,) = guarded.breaches
    assert (breach.code, breach.measured, breach.limit) == ("CONCENTRATION", share, 6000)
    assert (breach.unit, breach.scope) == (Unit.BASIS_POINTS, ACCOUNT)
    assert left(guarded) == after
    assert {NAMES[one.contract_id]: one.size for one in guarded.actions if isinstance(one, ReducePosition)} == {
        name: dict(zip(("MNQH5", "MESH5"), sizes, strict=True))[name] - size for name, size in after.items()
    }


def test_long_and_short_and_two_expiries_do_not_offset() -> None:
    guarded = holding((ES, 2), (ES_JUNE, -2), (MNQ, 1))
    (breach,) = guarded.breaches
    assert breach.measured == 8000
    # What grew last goes first.
    assert left(guarded) == {"ESM5": 1}


def test_two_products_may_both_be_too_large() -> None:
    guarded = holding((MNQ, 5), (MES, 5), max_pct=40, min_total=4)
    assert left(guarded) == {"MNQH5": 1, "MESH5": 2}


@pytest.mark.parametrize(("groups", "measured"), [({}, None), ({"index": ["MNQ", "MES"]}, 8000)])
def test_groups_stand_together(groups: dict[str, list[str]], measured: int | None) -> None:
    guarded = holding((MNQ, 2), (MES, 2), (CL, 1), groups=groups)
    assert [breach.measured for breach in guarded.breaches] == ([] if measured is None else [measured])
    if measured is not None:
        assert ("index", "4") in guarded.breaches[0].evidence
        assert left(guarded) == {"MESH5": 1}


def test_a_group_may_name_products_as_the_venue_does() -> None:
    assert holding((ES, 2), (NQ, 2), (CL, 1), groups={"index": ["EP", "enq"]}).codes == ["CONCENTRATION"]


# -- market value ------------------------------------------------------------------------------------------------------

# One ES at 5800 is worth 290,000 dollars, one NQ at 21000 420,000, one MNQ 42,000.
VALUE: dict[str, Any] = {"metric": "notional", "min_total": 500_000}


def test_market_value_weighs_contracts_by_their_worth() -> None:
    guarded = holding((NQ, 1), (ES, -1), **VALUE)
    assert guarded.findings == [], "420 of 710 are 59.2 %"
    guarded = holding((NQ, -1), (MNQ, 6), **VALUE)
    (breach,) = guarded.breaches
    assert breach.measured == 6250
    assert ("NQ", "420000 USD") in breach.evidence
    assert left(guarded) == {"NQH5": 0}, "one contract cannot be parted"


@pytest.mark.parametrize(("min_total", "is_breach"), [(420_000, True), (420_001, False)])
def test_is_looked_at_from_the_least_total_on(min_total: int, is_breach: bool) -> None:
    guarded = holding((NQ, 1), metric="notional", min_total=min_total)
    assert guarded.codes == (["CONCENTRATION"] if is_breach else [])


@pytest.mark.parametrize("sign", [1, -1])
def test_a_quote_can_make_a_share_too_large(sign: int) -> None:
    """420,000 against 280,000 is exactly 60 %; a tick on the larger is more."""
    guarded = holding((NQ, sign), (ES, 1), **VALUE)
    guarded.feed(guarded.venue.quote(ES, 5600))
    assert guarded.findings == []
    guarded.feed(guarded.venue.quote(NQ, "21000.25"))
    assert guarded.codes == ["CONCENTRATION"]
    guarded.forget()
    guarded.feed(guarded.venue.quote(NQ, "20999.75"))
    assert guarded.codes == []


def test_is_not_judged_without_a_price_and_says_so() -> None:
    guarded = holding((NQ, 2), (ES, 1), quoted=False, **VALUE)
    assert guarded.codes == []
    assert [skip.reason for skip in guarded.skipped] == [f"quote_missing {ENQ_AND_EP}"]
    guarded.feed(guarded.venue.quote(NQ, 21000))
    assert guarded.codes == []
    guarded.feed(guarded.venue.quote(ES, 5800))
    assert guarded.codes == ["CONCENTRATION"]


ENQ_AND_EP = " ".join(sorted((NQ.id, ES.id)))


@given(
    st.dictionaries(st.sampled_from([NQ, ES, ES_JUNE, MNQ, MES, CL]), st.integers(-9, 9).filter(bool), min_size=1),
    st.integers(1, 99),
    st.integers(1, 30),
    st.booleans(),
    st.sampled_from([{}, {"index": ["ES", "MES", "NQ", "MNQ"]}, {"sp": ["ES", "MES"], "nasdaq": ["NQ", "MNQ"]}]),
)
@settings(max_examples=150, deadline=None)
def test_what_it_leaves_is_no_breach_and_one_contract_more_would_be(
    positions: dict[Contract, int], max_pct: int, least: int, has_value: bool, groups: dict[str, list[str]]
) -> None:
    metric = "notional" if has_value else "contracts"
    options: dict[str, Any] = {"max_pct": max_pct, "metric": metric, "groups": groups}
    options["min_total"] = least * 100_000 if has_value else least
    guarded = holding(*positions.items(), **options)
    if not guarded.breaches:
        return
    sizes = {product.id: net for product, net in positions.items()}
    targets = {target.contract_id: target.size for target in guarded.breaches[-1].targets}
    assert targets, "a breach that demands nothing would last for ever"
    assert all(0 <= size < abs(sizes[contract_id]) for contract_id, size in targets.items())
    after = {product: (1 if net > 0 else -1) * targets.get(product.id, abs(net)) for product, net in positions.items()}
    assert holding(*((product, net) for product, net in after.items() if net), **options).findings == []
    if has_value:
        return
    for contract_id in targets:
        more = {product: net + (positions[product] > 0) - (positions[product] < 0) for product, net in after.items()}
        kept = {product: more[product] if product.id == contract_id else net for product, net in after.items()}
        assert holding(*((product, net) for product, net in kept.items() if net), **options).findings != []


# -- what is done ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "kinds"), [("reduce_to_limit", {ReducePosition}), ("flatten", {ClosePosition}), ("alert", set())]
)
def test_does_what_the_action_says(action: str, kinds: set[type]) -> None:
    guarded = holding((MNQ, 4), (MES, 2), action=action)
    assert guarded.codes == ["CONCENTRATION"]
    assert {type(one) for one in guarded.actions if isinstance(one, ReducePosition | ClosePosition)} == kinds


def test_may_lock() -> None:
    assert holding((MNQ, 4), (MES, 2), lockout="30m").lockouts != ()
    assert holding((MNQ, 4), (MES, 2)).lockouts == ()


def test_reports_once_while_quotes_come_and_again_after_it_was_over() -> None:
    guarded = holding((MNQ, 4), (MES, 2), action="alert")
    for price in (21001, 21002, 21003):
        guarded.feed(guarded.venue.quote(MNQ, price))
    assert guarded.codes == ["CONCENTRATION"]
    guarded.feed(guarded.venue.sells(MNQ, 1, 21000), guarded.venue.buys(MNQ, 1, 21000))
    assert guarded.codes == ["CONCENTRATION"] * 2


def test_a_restart_in_breach_reports_nothing_anew() -> None:
    guarded = holding((MNQ, 4), (MES, 2), action="alert")
    guarded.restart()
    guarded.forget()
    guarded.feed(guarded.venue.quote(MNQ, 21000), guarded.venue.snapshot())
    assert guarded.codes == []


@pytest.mark.parametrize(
    ("positions", "used"), [([(MNQ, 3), (MES, 2)], 6000), ([(MNQ, 4), (MES, 1)], 8000), ([(MNQ, 4)], 0), ([], 0)]
)
def test_shows_the_largest_share(positions: list[tuple[Contract, int]], used: int) -> None:
    guarded = holding(*positions, action="alert")
    assert guarded.gauges == [Gauge("largest share", used, 6000, Unit.BASIS_POINTS)]


def test_says_how_it_came_to_the_share() -> None:
    guarded = holding((NQ, 1), (MNQ, 6), action="flatten", **VALUE)
    assert guarded.breaches == [
        Breach(
            "concentration",
            "CONCENTRATION",
            6250,
            6000,
            Unit.BASIS_POINTS,
            ACCOUNT,
            evidence=(
                ("largest", "NQ"),
                ("metric", "notional"),
                ("MNQ", "252000 USD"),
                ("NQ", "420000 USD"),
                ("total", "672000 USD"),
            ),
        )
    ]


@pytest.mark.parametrize(
    ("positions", "options", "room"),
    [
        ([], {}, UNBOUNDED),
        # A sixteenth of an NQ's 84,000 ticks is 5,250, five dollars each. With so much more it is worth 446,250.
        ([(NQ, 1)], {"min_total": 446_251}, 26_250_000_000),
        ([(NQ, 1)], {"min_total": 446_250}, 6_560_000_000),
        ([(NQ, 1)], {"min_total": 420_001}, None),
        # 59.2 %: 62.1 at worst after a sixteenth, 59.9 after a sixty-fourth (362 of the ES's 23,200 ticks).
        ([(NQ, 1), (ES, -1)], {"max_pct": 63}, 18_125_000_000),
        ([(NQ, 1), (ES, -1)], {"max_pct": 62}, 4_525_000_000),
        ([(NQ, 1), (ES, -1)], {"max_pct": 60}, 4_525_000_000),
        # 17 x 10 to 15 x 2 is exactly 85 %.
        ([(NQ, 1), (MNQ, 2)], {"max_pct": 85}, 5_250_000_000),
        ([(NQ, 1), (MNQ, 2)], {"max_pct": 84}, 1_312_000_000),
    ],
)
def test_need_not_look_again_before_prices_have_moved(
    positions: list[tuple[Contract, int]], options: dict[str, Any], room: int | None
) -> None:
    guarded = holding(*positions, **{**VALUE, **options})
    own = rule(**{**VALUE, **options})
    assert own.slack(None, guarded.engine.account) == (None if room is None else Slack(room, room))


def test_has_to_look_while_a_price_is_missing() -> None:
    guarded = holding((NQ, 1), (ES, 1), quoted=False, **VALUE)
    guarded.feed(guarded.venue.quote(ES, 5800))
    assert rule(**{**VALUE, "max_pct": 99}).slack(None, guarded.engine.account) is None
    assert guarded.skipped[-1] == Skipped("concentration", f"quote_missing {NQ.id}")


# -- options -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "option"),
    [
        ({"max_pct": 0}, "max_pct"),
        ({"max_pct": 100}, "max_pct"),
        ({"min_total": 0}, "min_total"),
        ({"metric": "margin"}, "metric"),
        ({"groups": {"index": ["ES"]}}, "groups.index"),
        ({"groups": {"a": ["ES", "NQ"], "b": ["EP", "CL"]}}, "groups.b"),
        ({"action": "alert", "lockout": True}, "lockout"),
        ({"max_percent": 50}, "max_percent"),
    ],
)
def test_refuses_what_makes_no_sense(options: dict[str, object], option: str) -> None:
    with pytest.raises(OptionsInvalid) as caught:
        rule(**options)
    assert option in [fault.option for fault in caught.value.faults]


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"metric": "margin"}, "metric: cannot be margin: the venue tells no margins; use contracts or notional"),
        ({"groups": {"index": ["ES"]}}, "groups.index: needs two products or more"),
        ({"groups": {"a": ["ES", "NQ"], "b": ["EP", "CL"]}}, "groups.b: EP is in a already"),
    ],
)
def test_says_what_is_to_be_corrected(options: dict[str, object], fault: str) -> None:
    with pytest.raises(OptionsInvalid) as refused:
        rule(**options)
    assert str(refused.value) == f"concentration.{fault}"


def test_needs_its_two_numbers() -> None:
    with pytest.raises(OptionsInvalid) as caught:
        build_rule(Concentration, {})
    assert [fault.option for fault in caught.value.faults] == ["max_pct", "min_total"]

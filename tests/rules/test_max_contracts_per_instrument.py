"""RULE-002: at most so many contracts of one product."""

from typing import Any

import pytest

from risk_manager.domain.actions import ClosePosition, ReducePosition
from risk_manager.domain.contract import Contract
from risk_manager.domain.finding import AtMost, Breach, Gauge, Skipped, Unit
from risk_manager.domain.scope import Scope
from risk_manager.rules import MaxContractsPerInstrument, OptionsInvalid, build_rule
from risk_manager.testing.events import CL, ES, ES_JUNE, MES, MNQ, NQ, Scenario
from risk_manager.testing.guarded import Guarded


def rule(**options: Any) -> MaxContractsPerInstrument:
    return build_rule(MaxContractsPerInstrument, {"limits": {"ES": 2, "MNQ": 10}, **options})


def holding(guarded: Guarded, *positions: tuple[Contract, int]) -> Guarded:
    for product, net in positions:
        trade = guarded.venue.buys if net > 0 else guarded.venue.sells
        guarded.feed(trade(product, abs(net), 100))
    return guarded


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("positions", "scope", "held", "targets"),
    [
        ([(ES, 1)], None, 0, {}),
        ([(ES, 2)], None, 0, {}),
        ([(ES, 3)], "ES", 3, {ES: 2}),
        ([(MNQ, 10), (ES, 2)], None, 0, {}),
        ([(MNQ, 11), (ES, 2)], "MNQ", 11, {MNQ: 10}),
        # Every expiry counts, so a second one does not double the allowance; the one that grew last shrinks first.
        ([(ES, 1), (ES_JUNE, 1)], None, 0, {}),
        ([(ES, 2), (ES_JUNE, 1)], "ES", 3, {ES_JUNE: 0}),
        ([(ES, 2), (ES_JUNE, -1)], "ES", 3, {ES_JUNE: 0}),
        ([(ES_JUNE, 1), (ES, 5)], "ES", 6, {ES: 1}),
    ],
)
def test_allows_the_limit_of_a_product_and_takes_off_what_is_above(
    sign: int,
    positions: list[tuple[Contract, int]],
    scope: str | None,
    held: int,
    targets: dict[Contract, int],
) -> None:
    guarded = holding(Guarded(rule()), *((product, net * sign) for product, net in positions))
    assert guarded.skipped == []
    if scope is None:
        assert guarded.findings == []
        return
    (breach,) = guarded.breaches
    assert (breach.code, breach.scope, breach.measured) == ("MAX_CONTRACTS_PER_INSTRUMENT", Scope(root=scope), held)
    assert breach.targets == tuple(AtMost(product.id, size) for product, size in targets.items())
    own = [(product, net) for product, net in positions if product.root == scope]
    assert breach.evidence == tuple(sorted((product.name, f"{net * sign:+d}") for product, net in own))


def test_reduces_with_a_sized_close_and_closes_what_is_forbidden_without_a_size() -> None:
    guarded = holding(Guarded(rule(limits={"ES": 2, "CL": 0})), (ES, 5))
    (action,) = guarded.actions
    assert isinstance(action, ReducePosition)
    assert action.size == 3
    guarded.forget()
    holding(guarded, (CL, 1))
    assert [type(action) for action in guarded.actions] == [ClosePosition]


def test_closes_the_product_and_nothing_else_when_asked() -> None:
    guarded = holding(Guarded(rule(enforcement="close_all")), (MNQ, 10), (ES, 2), (ES_JUNE, 1))
    closed = sorted(action.contract_id for action in guarded.actions if isinstance(action, ClosePosition))
    assert closed == [ES.id, ES_JUNE.id]
    assert guarded.lockouts == ()


@pytest.mark.parametrize("spelled", ["ES", "es", "EP", "ep"])
def test_knows_a_product_by_all_its_names(spelled: str) -> None:
    assert holding(Guarded(rule(limits={spelled: 2}, unknown_symbol_action="allow")), (ES, 2)).findings == []
    assert len(holding(Guarded(rule(limits={spelled: 2}, unknown_symbol_action="allow")), (ES, 3)).breaches) == 1


def test_keeps_micro_and_mini_apart() -> None:
    guarded = holding(Guarded(rule(limits={"NQ": 1}, unknown_symbol_action="allow")), (MNQ, 5), (MES, 5), (NQ, 1))
    assert guarded.findings == []


@pytest.mark.parametrize(
    ("options", "allowed"),
    [
        ({}, 0),
        ({"unknown_symbol_action": "block"}, 0),
        ({"unknown_symbol_action": "allow_with_limit:1"}, 1),
        ({"unknown_symbol_action": "allow_with_limit:0"}, 0),
        ({"unknown_symbol_action": "allow"}, None),
        ({"unknown_symbol_action": "allow_unlimited"}, None),
        ({"default_limit": 3}, 3),
        ({"default_limit": 0, "unknown_symbol_action": "allow"}, 0),
    ],
)
def test_treats_products_without_a_limit_as_told(options: dict[str, Any], allowed: int | None) -> None:
    if allowed is None:
        guarded = holding(Guarded(rule(**options)), (CL, 99))
        assert (guarded.findings, guarded.skipped) == ([], [])
        return
    if allowed:
        assert holding(Guarded(rule(**options)), (CL, allowed)).findings == []
    (breach,) = holding(Guarded(rule(**options)), (CL, allowed + 1)).breaches
    assert (breach.limit, breach.targets) == (allowed, (AtMost(CL.id, allowed),))


class TestContractTheVenueHasNotDescribed:
    def guarded(self, **options: Any) -> Guarded:
        venue = Scenario()
        venue.contracts = (ES,)
        return Guarded(rule(**options), venue=venue)

    def test_is_recognized_by_the_venues_root_in_its_id(self) -> None:
        guarded = self.guarded(limits={"NQ": 1})
        guarded.feed(guarded.venue.position(NQ, 2))  # CON.F.US.ENQ.H25
        assert [(breach.measured, breach.scope) for breach in guarded.breaches] == [(2, Scope(contract_id=NQ.id))]
        assert guarded.breaches[0].evidence == ((NQ.id, "+2"),)
        assert guarded.skipped == []

    def test_is_given_the_benefit_of_the_doubt_while_its_record_may_be_on_its_way(self) -> None:
        guarded = self.guarded(limits={"ES": 2, "MNQ": 10})
        guarded.feed(guarded.venue.position(CL, 10))
        assert guarded.breaches == []
        assert guarded.skipped == [Skipped("max_contracts_per_instrument", f"contract_unknown {CL.id}")]

    def test_is_let_be_where_any_number_of_others_is_allowed(self) -> None:
        guarded = self.guarded(limits={"ES": 2}, unknown_symbol_action="allow")
        guarded.feed(guarded.venue.position(CL, 99))
        assert guarded.findings == []
        assert guarded.gauges == []

    def test_is_shown_against_the_limit_it_is_given(self) -> None:
        guarded = self.guarded(limits={"ES": 2, "MNQ": 10})
        guarded.feed(guarded.venue.position(CL, 3))
        assert guarded.gauges == [Gauge(f"{CL.id} contracts", 3, 10, Unit.CONTRACTS)]

    def test_is_enforced_at_once_where_every_limit_is_broken(self) -> None:
        guarded = self.guarded(limits={"ES": 2, "MNQ": 10})
        guarded.feed(guarded.venue.position(CL, 11))
        assert [breach.targets for breach in guarded.breaches] == [(AtMost(CL.id, 10),)]

    def test_counts_as_unknown_after_ten_seconds(self) -> None:
        guarded = self.guarded()
        guarded.feed(guarded.venue.position(CL, 1))
        opened_ns = guarded.venue.now_ns
        guarded.forget()
        guarded.venue.now_ns = opened_ns + 10_000_000_000 - 2_000_000
        guarded.feed(guarded.venue.snapshot())
        assert (guarded.breaches, guarded.skipped) == ([], [])
        guarded.feed(guarded.venue.snapshot())
        assert guarded.skipped == []
        _, found = rule().step(None, guarded.venue.timer(), guarded.engine.account)
        assert [type(one) for one in found] == [Breach]
        assert [breach.targets for breach in guarded.breaches] == [(AtMost(CL.id, 0),)]

    def test_is_let_be_once_the_venue_says_what_it_is(self) -> None:
        guarded = self.guarded(limits={"CL": 2})
        guarded.feed(guarded.venue.position(CL, 2))
        guarded.venue.contracts = (ES, CL)
        guarded.venue.wait(11)
        guarded.feed(guarded.venue.snapshot())
        assert guarded.breaches == []


def test_takes_the_lower_of_two_limits_that_turn_out_to_mean_one_product() -> None:
    tested = MaxContractsPerInstrument(limits={"ES": 3, "EP": 1})
    assert [breach.limit for breach in holding(Guarded(tested), (ES, 2)).breaches] == [1]


def test_enforces_a_limit_that_is_lowered_while_the_position_is_open() -> None:
    guarded = holding(Guarded(rule()), (ES, 2))
    guarded.change_rules(rule(limits={"ES": 1}))
    assert [breach.limit for breach in guarded.breaches] == [1]


def test_raises_no_second_enforcement_for_a_duplicate_event_or_a_restart() -> None:
    guarded = Guarded(rule())
    events = guarded.venue.buys(ES, 3, 5800)
    guarded.feed(events, events)
    guarded.restart()
    guarded.feed(guarded.venue.snapshot(), guarded.venue.snapshot())
    assert guarded.codes == ["MAX_CONTRACTS_PER_INSTRUMENT"]
    assert [type(action) for action in guarded.actions].count(ReducePosition) == 1


def test_shows_each_product_that_is_held() -> None:
    guarded = holding(Guarded(rule()), (MNQ, 4), (ES, 1), (ES_JUNE, -1))
    assert [(gauge.label, gauge.used, gauge.limit) for gauge in guarded.gauges] == [
        ("ES contracts", 2, 2),
        ("MNQ contracts", 4, 10),
    ]
    assert holding(Guarded(rule(unknown_symbol_action="allow")), (CL, 1)).gauges == []


def test_keeps_accounts_apart() -> None:
    mine, other = (Guarded(rule(), venue=Scenario(account_id)) for account_id in ("1001", "1002"))
    holding(mine, (ES, 3))
    holding(other, (ES, 2))
    assert (mine.codes, other.codes) == (["MAX_CONTRACTS_PER_INSTRUMENT"], [])


@pytest.mark.parametrize(
    ("options", "faults"),
    [
        ({}, ["limits: is missing"]),
        ({"limits": {"ES": -1}}, ["limits.ES: must be at least 0"]),
        ({"limits": {"ES": 1.5, "NQ": True}}, ["limits.ES: must be a whole", "limits.NQ: must be a whole"]),
        ({"limits": ["ES"]}, ["limits: must be a mapping"]),
        ({"limits": {"ES": 1, "EP": 2}}, ["limits.EP: names the same product as ES"]),
        ({"limits": {"ES": 1, "es": 2}}, ["limits.es: names the same product as ES"]),
        ({"limits": {"ES": 1}, "unknown_symbol_action": "allow_with_limit:x"}, ["unknown_symbol_action: must be"]),
        ({"limits": {"ES": 1}, "unknown_symbol_action": "allow_with_limit"}, ["unknown_symbol_action: must be"]),
        ({"limits": {"ES": 1}, "unknown_symbol_action": "allow_with_limit:１"}, ["unknown_symbol_action: must be"]),  # noqa: RUF001
        ({"limits": {" ES": 1}}, ["limits. ES: must not be empty, padded"]),
        ({"default_limit": -2, "enforcement": "reduce"}, ["default_limit: must be", "enforcement: must be one of"]),
    ],
)
def test_refuses_options_that_make_no_sense(options: dict[str, Any], faults: list[str]) -> None:
    with pytest.raises(OptionsInvalid) as raised:
        build_rule(MaxContractsPerInstrument, options)
    assert len(raised.value.faults) == len(faults)
    for fault, expected in zip(raised.value.faults, faults, strict=True):
        assert str(fault).startswith(expected)


def test_understands_older_spellings() -> None:
    old = build_rule(MaxContractsPerInstrument, {"instrument_limits": {"ES": 2}, "action": "close_all"})
    assert old == build_rule(MaxContractsPerInstrument, {"limits": {"ES": 2}, "enforcement": "close_all"})


def test_says_what_it_was_told_to_do_with_other_products() -> None:
    with pytest.raises(OptionsInvalid) as refused:
        rule(unknown_symbol_action="ask")
    expected = "must be block, allow or allow_with_limit:N, such as 1, not 'ask'"
    assert str(refused.value) == f"max_contracts_per_instrument.unknown_symbol_action: {expected}"

"""Rules in force only together, either of several, or while another is not broken."""

import pytest

from risk_manager.domain.actions import ClosePosition, ReducePosition
from risk_manager.domain.finding import Gauge
from risk_manager.rules import (
    DailyLossRule,
    DailyUnrealizedLossRule,
    MaxContractsPerInstrumentRule,
    MaxPositionRule,
    Rule,
    SymbolBlocksRule,
    all_of,
    any_of,
    build_rules,
    not_,
    options_of,
)
from risk_manager.rules._base import LockTerms
from risk_manager.testing.events import CL, ES, MNQ
from risk_manager.testing.guarded import Guarded

TWO = MaxPositionRule(max_contracts=2)
DOWN_300 = DailyLossRule(limit=-300, basis="realized", include_fees=False)


def sizes(guarded: Guarded) -> list[int]:
    return [action.size for action in guarded.actions if isinstance(action, ReducePosition)]


class TestAllOf:
    """With the day down $300, no more than 2 contracts: the worked example."""

    rule = all_of(TWO, DOWN_300, name="small_when_down")

    @pytest.mark.parametrize(
        ("result", "contracts", "codes"),
        [
            (-300, 3, ["MAX_CONTRACTS"]),
            (-299, 3, []),
            (-300, 2, []),
            (0, 9, []),
            (-301, -3, ["MAX_CONTRACTS"]),
        ],
    )
    def test_finds_a_breach_while_all_are_in_breach(self, result: int, contracts: int, codes: list[str]) -> None:
        guarded = Guarded(self.rule)
        guarded.feed(guarded.venue.result(result) if result else ())
        guarded.feed(guarded.venue.quote(ES, 5800))
        trade = guarded.venue.buys if contracts > 0 else guarded.venue.sells
        guarded.feed(trade(ES, abs(contracts), 5800))
        assert guarded.codes == codes

    def test_does_what_the_first_rule_does_and_tells_the_others_numbers(self) -> None:
        guarded = Guarded(self.rule)
        guarded.feed(guarded.venue.buys(ES, 5, 5800))
        assert guarded.actions == []
        guarded.feed(guarded.venue.result(-300))
        (breach,) = guarded.breaches
        assert (breach.rule, breach.measured, breach.limit) == ("small_when_down", 5, 2)
        assert ("daily_realized_loss", "DAILY_LOSS -300000000 against -300000000 micros") in breach.evidence
        assert sizes(guarded) == [3]

    def test_does_what_it_says_itself_with_an_action(self) -> None:
        rule = all_of(TWO, DOWN_300, name="stop", action="flatten", lockout=LockTerms())
        guarded = Guarded(rule)
        guarded.feed(guarded.venue.buys(ES, 5, 5800), guarded.venue.result(-300))
        assert [type(action) for action in guarded.actions[:1]] == [ClosePosition]
        assert [(lockout.rule, lockout.reason) for lockout in guarded.lockouts] == [("stop", "MAX_CONTRACTS")]

    def test_pairs_scopes_that_have_something_in_common(self) -> None:
        """More than 2 ES while ES is down: a loss in CL is another matter."""
        losing = DailyUnrealizedLossRule(loss_limit=100)
        rule = all_of(MaxContractsPerInstrumentRule(limits={"ES": 2, "CL": 9}), losing)
        guarded = Guarded(rule)
        guarded.feed(guarded.venue.quote(ES, 5800), guarded.venue.quote(CL, 70))
        guarded.feed(guarded.venue.buys(ES, 3, 5800), guarded.venue.buys(CL, 1, 70))
        guarded.feed(guarded.venue.quote(CL, 69))
        assert guarded.codes == []
        guarded.feed(guarded.venue.quote(ES, 5790))
        assert len(guarded.codes) == 1

    def test_keeps_its_lockout_when_a_condition_no_longer_holds(self) -> None:
        guarded = Guarded(all_of(DOWN_300, TWO, name="both"))
        guarded.feed(guarded.venue.buys(ES, 3, 5800), guarded.venue.result(-300))
        guarded.feed(guarded.venue.closes(ES, 5800))
        assert [lockout.rule for lockout in guarded.lockouts] == ["both"]

    def test_passes_on_the_release_of_the_first_rule(self) -> None:
        first = DailyLossRule(limit=-300, unlock_if_recovered=True, include_fees=False)
        guarded = Guarded(all_of(first, TWO, name="both"))
        guarded.feed(guarded.venue.buys(ES, 3, 5800), guarded.venue.result(-300))
        assert guarded.lockouts != ()
        guarded.feed(guarded.venue.closes(ES, 5810), guarded.venue.result(250))
        assert guarded.lockouts == ()

    def test_needs_two_rules(self) -> None:
        with pytest.raises(ValueError, match="two rules"):
            all_of(TWO)


class TestAnyOf:
    def test_finds_what_either_finds(self) -> None:
        blocked = SymbolBlocksRule(blocked_symbols=["CL"])
        guarded = Guarded(any_of(TWO, blocked, name="either", action="flatten"))
        guarded.feed(guarded.venue.buys(ES, 2, 5800))
        assert guarded.codes == []
        guarded.feed(guarded.venue.buys(CL, 1, 70))
        assert {breach.rule for breach in guarded.breaches} == {"either"}
        assert len({action.contract_id for action in guarded.actions if isinstance(action, ClosePosition)}) == 2

    def test_does_what_all_members_do_alike(self) -> None:
        guarded = Guarded(any_of(TWO, MaxPositionRule(max_contracts=4)))
        guarded.feed(guarded.venue.buys(ES, 3, 5800))
        assert sizes(guarded) == [1]

    def test_needs_an_action_where_they_differ(self) -> None:
        rule = any_of(TWO, DOWN_300)
        assert [fault.option for fault in rule.contradictions()] == ["action"]
        with pytest.raises(ValueError, match="different things"):
            Guarded(rule)

    def test_numbers_members_of_one_name(self) -> None:
        rule = any_of(MaxPositionRule(max_contracts=4), TWO)
        labels = [gauge.label for gauge in Guarded(rule).gauges]
        assert labels == ["contracts in all (max_contracts)", "contracts in all (max_contracts#2)"]

    def test_does_not_release_what_another_member_locked(self) -> None:
        recovering = DailyLossRule(limit=-300, unlock_if_recovered=True, include_fees=False)
        blocked = SymbolBlocksRule(blocked_symbols=["CL"])
        guarded = Guarded(any_of(recovering, blocked, name="either", action="flatten", lockout=LockTerms()))
        guarded.feed(guarded.venue.buys(CL, 1, 70), guarded.venue.closes(CL, 70), guarded.venue.quote(ES, 5800))
        assert [lockout.rule for lockout in guarded.lockouts] == ["either"]


class TestNot:
    def test_is_a_breach_while_the_rule_finds_none(self) -> None:
        """No more than 2 contracts before the day has lost $300, that is: unless it is over anyway."""
        guarded = Guarded(all_of(TWO, not_(DOWN_300)))
        guarded.feed(guarded.venue.buys(ES, 3, 5800))
        assert guarded.codes == ["MAX_CONTRACTS"]
        other = Guarded(all_of(TWO, not_(DOWN_300)))
        other.feed(other.venue.result(-300), other.venue.buys(ES, 3, 5800))
        assert other.codes == []

    def test_by_itself_only_says_so(self) -> None:
        guarded = Guarded(not_(DOWN_300))
        assert (guarded.codes, guarded.actions) == (["NOT_BROKEN"], [])

    def test_says_nothing_before_the_account_has_been_read(self) -> None:
        rule = not_(TWO)
        guarded = Guarded()
        state = rule.initial_state()
        _, found = rule.step(state, guarded.venue.quote(ES, 5800), guarded.engine.account)
        assert found == ()

    def test_does_not_take_unseen_for_unbroken(self) -> None:
        """A position without a quote: the loss is not known, so neither is that there is none."""
        guarded = Guarded(not_(DailyLossRule(limit=-300)))
        guarded.forget()
        guarded.feed(guarded.venue.buys(ES, 1, 5800))
        assert [skip.rule for skip in guarded.skipped] == ["not(daily_realized_loss)"]
        assert guarded.codes == []


ALL = [
    all_of(TWO, DOWN_300),
    any_of(MaxPositionRule(max_contracts=4), TWO),
    all_of(TWO, any_of(DOWN_300, SymbolBlocksRule(blocked_symbols=["CL"])), not_(DailyLossRule(limit=-900))),
    not_(DOWN_300),
]


@pytest.mark.parametrize("rule", ALL, ids=[rule.name for rule in ALL])
def test_is_the_same_rule_after_spelling_and_building(rule: Rule) -> None:
    (again,) = build_rules({"mine": options_of(rule)})
    assert options_of(again) == options_of(rule)
    assert again.remedy == rule.remedy


@pytest.mark.parametrize("rule", ALL, ids=[rule.name for rule in ALL])
def test_goes_on_after_a_restart_as_if_never_stopped(rule: Rule) -> None:
    said = []
    for restarts in (False, True):
        guarded = Guarded(rule)
        for events in (
            guarded.venue.quote(ES, 5800),
            guarded.venue.buys(ES, 3, 5800),
            guarded.venue.result(-350),
            guarded.venue.quote(MNQ, 21000),
            guarded.venue.sells(MNQ, 4, 21000),
            guarded.venue.snapshot(),
            guarded.venue.closes(ES, 5790),
        ):
            guarded.feed(events)
            if restarts:
                guarded.restart()
        said.append(guarded.decisions)
    assert said[0] == said[1]
    assert said[0]


def test_gives_every_gauge_a_label_of_its_own() -> None:
    gauges = Guarded(all_of(TWO, DOWN_300)).gauges
    assert [type(gauge) for gauge in gauges] == [Gauge, Gauge]
    assert len({gauge.label for gauge in gauges}) == 2

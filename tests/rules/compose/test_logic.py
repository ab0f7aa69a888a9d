"""Rules in force only together, either of several, or while another is not broken."""

from typing import Any, ClassVar

import msgspec
import pytest

from risk_manager.domain.account import AccountView
from risk_manager.domain.actions import ClosePosition, ReducePosition
from risk_manager.domain.events import Event, QuoteUpdated, TimerFired
from risk_manager.domain.finding import AtMost, Breach, Gauge, Loss, Protect, Skipped, Unit, Warning
from risk_manager.domain.scope import ACCOUNT, Scope
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
    named,
    not_,
    options_of,
)
from risk_manager.rules._base import Demand, LockTerms, LockUntil, Remedy
from risk_manager.testing.events import CL, ES, MNQ
from risk_manager.testing.guarded import Guarded

TWO = MaxPositionRule(max_contracts=2)
DOWN_300 = DailyLossRule(limit=-300, basis="realized", include_fees=False)


def sizes(guarded: Guarded) -> list[int]:
    return [action.size for action in guarded.actions if isinstance(action, ReducePosition)]


class Seen(msgspec.Struct, frozen=True):
    steps: int = 0
    event: str = ""
    at_ns: int = 0


class Beat(msgspec.Struct, frozen=True, kw_only=True):
    """Finds what it is told to at every second step; a timer is none to it. Its deadline is the steps times `every_ns`.

    Attributes:
        finds: each under the rule's own name.
    """

    name: ClassVar[str] = "beat"
    listens_to: ClassVar[frozenset[type]] = frozenset({QuoteUpdated})

    every_ns: int | None = 10
    finds: tuple[Any, ...] = (Breach("", "BEAT", 3, 2, Unit.CONTRACTS, ACCOUNT, evidence=(("beat", "odd"),)),)
    lock: LockTerms | None = None

    @property
    def remedy(self) -> Remedy:
        return Remedy(Demand.CANCEL_ORDERS, self.lock)

    def initial_state(self) -> Seen:
        return Seen()

    def deadline_ns(self, state: Seen) -> int | None:
        return None if self.every_ns is None else self.every_ns * (state.steps + 1)

    def step(self, state: Seen, event: Event, account: AccountView) -> tuple[Seen, tuple[Any, ...]]:
        if isinstance(event, TimerFired):
            return state, ()
        steps = state.steps + 1
        found = tuple(msgspec.structs.replace(one, rule=self.name) for one in self.finds)
        return Seen(steps, type(event).__name__, account.now_ns), found if steps % 2 else ()

    def gauges(self, state: Seen, account: AccountView) -> tuple[Gauge, ...]:
        return (Gauge("beats", state.steps, account.now_ns, Unit.CONTRACTS),)


def first_step(rule: Any) -> tuple[Any, ...]:
    """What the rule finds at its first step."""
    guarded = Guarded()
    _, found = rule.step(rule.initial_state(), guarded.venue.quote(ES, 5800), guarded.engine.account)
    return tuple(found)


def beat(*finds: Any) -> Beat:
    return Beat(finds=finds)


def breach_of(scope: Scope, rule: str = "beat") -> Breach:
    return Breach(rule, "BEAT", 3, 2, Unit.CONTRACTS, scope)


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
        with pytest.raises(ValueError, match=r"^all_of needs two rules or more$"):
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

    def test_needs_two_rules(self) -> None:
        with pytest.raises(ValueError, match=r"^any_of needs two rules or more$"):
            any_of(TWO)

    def test_needs_an_end_of_its_own_where_a_lock_ends_by_a_condition(self) -> None:
        waiting = Beat(lock=LockTerms(LockUntil.CONDITION))
        (fault,) = any_of(waiting, waiting).contradictions()
        assert str(fault) == ("lockout: a member's lock ends by its condition, which only that rule by itself sees")
        assert any_of(waiting, waiting, lockout=LockTerms()).contradictions() == ()
        locked = Beat(lock=LockTerms())
        assert any_of(locked, locked).contradictions() == ()

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

    def test_steps_the_rule_and_keeps_its_state(self) -> None:
        rule, guarded = not_(Beat(), name="still"), Guarded()
        account, state = guarded.engine.account, rule.initial_state()
        assert (state.inner, state.has_read, rule.deadline_ns(state)) == (Seen(), False, 10)
        state, found = rule.step(state, guarded.venue.quote(ES, 5800), account)
        assert (state.inner.steps, state.has_read, found) == (1, False, ())
        state, found = rule.step(state, guarded.venue.snapshot(), account)
        assert (state.inner, state.has_read) == (Seen(2, "SnapshotTaken", account.now_ns), True)
        assert found == (Breach("still", "NOT_BROKEN", 0, 0, Unit.NONE, ACCOUNT, evidence=(("not", "beat"),)),)
        state, found = rule.step(state, guarded.venue.quote(ES, 5800), account)
        assert (state.inner.steps, state.has_read, found, rule.deadline_ns(state)) == (3, True, (), 40)
        assert rule.gauges(state, account) == ()
        assert rule.step(state, guarded.venue.timer(), account)[0] is state

    @pytest.mark.parametrize("lacks", ["positions", "orders"])
    def test_wants_the_whole_account_read(self, lacks: str) -> None:
        rule, guarded = not_(DOWN_300), Guarded()
        part = msgspec.structs.replace(guarded.venue.snapshot(), **{lacks: None})
        state, found = rule.step(rule.initial_state(), part, guarded.engine.account)
        assert (state.has_read, found) == (False, ())

    def test_does_not_take_unseen_for_unbroken(self) -> None:
        """A position without a quote: the loss is not known, so neither is that there is none."""
        guarded = Guarded(not_(DailyLossRule(limit=-300)))
        guarded.forget()
        guarded.feed(guarded.venue.buys(ES, 1, 5800))
        assert [skip.rule for skip in guarded.skipped] == ["not(daily_realized_loss)"]
        assert guarded.codes == []


class TestSeveral:
    """What `all_of` and `any_of` do alike."""

    @pytest.mark.parametrize("made", [all_of, any_of])
    def test_steps_its_rules_and_keeps_their_states(self, made: Any) -> None:
        rule, guarded = made(Beat(every_ns=None), Beat(every_ns=7), Beat(), name="mine"), Guarded()
        account, state = guarded.engine.account, rule.initial_state()
        assert (state.members, rule.deadline_ns(state)) == ((Seen(), Seen(), Seen()), 7)
        state, found = rule.step(state, guarded.venue.quote(ES, 5800), account)
        assert state.members == (Seen(1, "QuoteUpdated", account.now_ns),) * 3
        assert [(one.rule, one.code) for one in found] == [("mine", "BEAT")] * (1 if made is all_of else 3)
        assert rule.deadline_ns(state) == 14
        assert rule.gauges(state, account) == (
            Gauge("beats (beat)", 1, account.now_ns, Unit.CONTRACTS),
            Gauge("beats (beat#2)", 1, account.now_ns, Unit.CONTRACTS),
            Gauge("beats (beat#3)", 1, account.now_ns, Unit.CONTRACTS),
        )
        assert rule.step(state, guarded.venue.timer(), account) == (state, ())
        assert rule.step(state, guarded.venue.timer(), account)[0] is state
        assert made(*[Beat(every_ns=None)] * 3).deadline_ns(state) is None

    @pytest.mark.parametrize("made", [all_of, any_of])
    @pytest.mark.parametrize(
        ("action", "lockout", "changes"),
        [
            (None, None, {}),
            (None, LockTerms(), {"until_ns": None}),
            ("alert", None, {"targets": (), "cancels": ()}),
            ("cancel_orders", LockTerms(), {"targets": (), "cancels": (), "until_ns": None}),
            ("flatten", None, {"targets": (), "cancels": (), "scope": ACCOUNT, "loss": None}),
        ],
    )
    def test_makes_a_breach_its_own(
        self, made: Any, action: str | None, lockout: LockTerms | None, changes: dict[str, Any]
    ) -> None:
        scope = Scope(contract_id=ES.id)
        member = Breach(
            "beat", "BEAT", 3, 2, Unit.CONTRACTS, scope, (AtMost(ES.id, 2),), ("7",), until_ns=99, loss=Loss.OPEN
        )
        rule = made(beat(member), beat(), name="mine", action=action, lockout=lockout)
        if made is all_of:
            rule = made(beat(member), Beat(), name="mine", action=action, lockout=lockout)
            changes = {**changes, "evidence": (("beat#2", "BEAT 3 against 2 contracts"),)}
        assert first_step(rule) == (msgspec.structs.replace(member, rule="mine", **changes),)

    def test_does_what_it_says_itself(self) -> None:
        for made in (all_of, any_of):
            assert made(TWO, TWO).remedy == TWO.remedy
            assert made(TWO, TWO, lockout=LockTerms()).remedy == Remedy(Demand.REDUCE, LockTerms())
            assert made(TWO, DOWN_300, action="flatten").remedy == Remedy(Demand.FLATTEN)
            locked = made(TWO, DOWN_300, action="cancel_orders", lockout=LockTerms())
            assert locked.remedy == Remedy(Demand.CANCEL_ORDERS, LockTerms())

    def test_says_what_its_rules_could_not_see(self) -> None:
        unseen = (beat(Skipped("", "dark")), beat(Skipped("", "late"), breach_of(ACCOUNT)))
        assert first_step(all_of(*unseen, name="mine")) == (Skipped("mine", "dark"), Skipped("mine", "beat#2: late"))
        found = first_step(any_of(*unseen, name="mine"))
        assert found == (
            Skipped("mine", "beat: dark"),
            Skipped("mine", "beat#2: late"),
            breach_of(ACCOUNT, "mine"),
        )

    def test_passes_on_warnings_by_any_of_alone(self) -> None:
        warning = Warning("", "NEAR", 1, 2, Unit.CONTRACTS, ACCOUNT)
        protect = Protect("", ES.id, "5", 1, 23_000, None, 0, False)
        found = first_step(any_of(beat(warning), beat(protect), name="mine"))
        assert found == tuple(msgspec.structs.replace(one, rule="mine") for one in (warning, protect))
        assert first_step(all_of(beat(warning), Beat(), name="mine")) == ()

    @pytest.mark.parametrize(
        ("scope", "other", "has_met"),
        [
            (ACCOUNT, Scope(contract_id=ES.id), True),
            (Scope(contract_id=ES.id), ACCOUNT, True),
            (Scope(root="ES"), ACCOUNT, True),
            (Scope(root="ES"), Scope(root="ES"), True),
            (Scope(root="ES"), Scope(contract_id="CON.F.US.ES.Z25"), True),
            (Scope(contract_id="CON.F.US.ES.Z25"), Scope(root="ES"), True),
            (Scope(root="ES"), Scope(contract_id=CL.id), False),
            (Scope(root="ES"), Scope(root="CL"), False),
            (Scope(contract_id=ES.id), Scope(contract_id=CL.id), False),
            (Scope(contract_id=ES.id), Scope(contract_id=ES.id), True),
        ],
    )
    def test_a_condition_holds_where_one_scope_covers_the_other(
        self, scope: Scope, other: Scope, has_met: bool
    ) -> None:
        rule = all_of(beat(breach_of(scope)), beat(breach_of(other)), Beat(), name="mine")
        assert [one.scope for one in first_step(rule)] == ([scope] if has_met else [])

    def test_an_alert_locks_nothing(self) -> None:
        for made in (all_of, any_of):
            (fault,) = made(TWO, DOWN_300, action="alert", lockout=LockTerms()).contradictions()
            assert str(fault) == "lockout: an alert does nothing to the account; choose another action to lock it"
            for terms in ({"action": "alert"}, {"action": "flatten", "lockout": LockTerms()}):
                assert made(TWO, DOWN_300, **terms).contradictions() == ()

    def test_is_called_after_its_rules(self) -> None:
        assert all_of(TWO, DOWN_300).name == "all_of(max_contracts, daily_realized_loss)"
        assert any_of(TWO, TWO, TWO, action="flatten").name == "any_of(max_contracts, max_contracts, max_contracts)"
        assert not_(TWO).name == "not(max_contracts)"

    def test_hears_what_its_rules_hear(self) -> None:
        assert all_of(TWO, Beat()).listens_to == TWO.listens_to | {QuoteUpdated}


ALL = [
    all_of(TWO, DOWN_300),
    any_of(MaxPositionRule(max_contracts=4), TWO),
    all_of(TWO, any_of(DOWN_300, SymbolBlocksRule(blocked_symbols=["CL"])), not_(DailyLossRule(limit=-900))),
    not_(DOWN_300),
]
RENAMED = [
    all_of(TWO, DOWN_300, action="cancel_orders", lockout=LockTerms()),
    any_of(TWO, DOWN_300, action="flatten", lockout=LockTerms()),
    not_(DOWN_300, action="flatten", lockout=LockTerms()),
]


@pytest.mark.parametrize("rule", [*ALL, *RENAMED])
def test_is_the_same_rule_after_spelling_and_building(rule: Rule) -> None:
    (again,) = build_rules({"mine": options_of(rule)})
    assert options_of(again) == options_of(rule)
    assert again.remedy == rule.remedy


@pytest.mark.parametrize("rule", RENAMED, ids=[rule.name for rule in RENAMED])
def test_is_the_same_rule_under_another_name(rule: Rule) -> None:
    other = named(rule, "other")
    assert (other.name, options_of(other), other.remedy) == ("other", options_of(rule), rule.remedy)
    assert named(other, rule.name) == rule


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

"""What rules say is recorded once, all of it, and acted on by the strictest remedy."""

from typing import ClassVar

import msgspec
import pytest

from risk_manager.domain.actions import CancelOrder, ClosePosition, ReducePosition, TakeSnapshot
from risk_manager.domain.events import OperatorCommand, QuoteUpdated, TimerFired
from risk_manager.domain.finding import AtMost, Breach, Skipped, Unit, Warning
from risk_manager.domain.intent import Flat, IntentState
from risk_manager.domain.order import OrderStatus, Side
from risk_manager.domain.scope import ACCOUNT
from risk_manager.engine import Engine, EngineSettings, Mode
from risk_manager.rules import MaxContracts
from risk_manager.rules._base import Demand
from risk_manager.testing.events import DAYS, ES, HOUR_NS, MNQ, START_NS
from risk_manager.testing.guarded import Guarded
from tests.engine.switch import ON, RESET, Other, Switch, breach, turn


def _mutations(guarded: Guarded) -> list[object]:
    return [action for action in guarded.actions if not isinstance(action, TakeSnapshot)]


def test_reports_a_breach_once_for_as_long_as_it_holds() -> None:
    guarded = Guarded(Switch(found=ON, demand=Demand.ALERT))
    for _ in range(3):
        turn(guarded, 1)
    assert guarded.codes == ["LIMIT"]
    turn(guarded, 0)
    turn(guarded, 1)
    assert guarded.codes == ["LIMIT", "LIMIT"]


def test_reports_warnings_and_skips_when_they_change() -> None:
    warning = Warning("switch", "NEAR", 1, 2, Unit.MICROS, ACCOUNT)
    one, other = Skipped("switch", "quote_missing ES"), Skipped("switch", "quote_missing NQ")
    guarded = Guarded(Switch(found={1: (warning, one), 2: (warning, one, other)}))
    for balance in (1, 1, 2, 2, 0, 1):
        turn(guarded, balance)
    assert guarded.findings == [warning, warning]
    assert guarded.skipped == [one, one, other, one]


def test_records_every_breach_and_closes_once() -> None:
    reduce = Breach("switch", "SIZE", 3, 2, Unit.CONTRACTS, ACCOUNT, targets=(AtMost(ES.id, 2),))
    guarded = Guarded(
        Switch(found={1: (reduce,)}, demand=Demand.REDUCE),
        Other(found={1: (breach(rule="other"),)}, demand=Demand.FLATTEN),
    )
    guarded.feed(guarded.venue.buys(ES, 3, 5000))
    turn(guarded, 1)
    assert guarded.codes == ["SIZE", "LIMIT"]
    assert len(guarded.engine.enforcer.open_intents) == 2
    assert [type(action) for action in _mutations(guarded)] == [ClosePosition]


def test_goes_on_with_the_intent_while_the_breach_holds() -> None:
    guarded = Guarded(Switch(found=ON))
    guarded.feed(guarded.venue.buys(ES, 1, 5000))
    turn(guarded, 1)
    turn(guarded, 2)
    turn(guarded, 1)
    (intent,) = guarded.engine.enforcer.open_intents
    assert (intent.measured, intent.worst) == (-5, -9)
    assert len(_mutations(guarded)) == 1


def test_isolates_a_rule_that_raises() -> None:
    guarded = Guarded(Switch(raises_at=1), Other(found={1: (breach(rule="other"),)}))
    guarded.feed(guarded.venue.buys(ES, 1, 5000))
    turn(guarded, 1)
    turn(guarded, 1)
    assert [(item.rule, item.code, item.evidence) for item in guarded.warnings] == [
        ("switch", "RULE_FAILED", (("error", "ZeroDivisionError: oops"),))
    ]
    assert guarded.codes == ["LIMIT"], "the other rule acts"
    turn(guarded, 0)
    turn(guarded, 1)
    assert len(guarded.warnings) == 2, "a new episode"


def test_isolates_a_rule_whose_deadline_raises() -> None:
    class Broken(Switch, frozen=True, kw_only=True):
        def deadline_ns(self, state: object) -> int | None:
            if getattr(state, "steps", 0) > 1:
                raise KeyError("due")
            return None

    guarded = Guarded(Broken(), MaxContracts(limit=1))
    turn(guarded, 1)
    guarded.feed(guarded.venue.buys(ES, 2, 5000))
    assert [item.code for item in guarded.warnings] == ["RULE_FAILED"]
    assert guarded.codes == ["MAX_CONTRACTS"]


def test_sends_nothing_in_observe_mode_and_says_it_once() -> None:
    guarded = Guarded(Switch(found=ON, lock=RESET), mode=Mode.OBSERVE)
    guarded.feed(guarded.venue.buys(ES, 1, 5000), guarded.venue.order(ES, Side.BUY, 1, limit=4000))
    turn(guarded, 1)
    guarded.feed(guarded.venue.timer(1), guarded.venue.snapshot(), guarded.venue.buys(ES, 1, 5000))
    assert guarded.codes == ["LIMIT"]
    assert _mutations(guarded) == []
    assert [intent.state for decision in guarded.decisions for intent in decision.intents] == [IntentState.OBSERVED]
    assert guarded.engine.enforcer.open_intents == ()
    assert [lock.rule for lock in guarded.lockouts] == ["switch"]


def test_reports_exposure_under_an_observed_lockout_once_per_episode() -> None:
    guarded = Guarded(Switch(found=ON, lock=RESET), mode=Mode.OBSERVE)
    turn(guarded, 1)
    for _ in range(2):
        guarded.feed(guarded.venue.buys(ES, 1, 5000), guarded.venue.timer(1), guarded.venue.closes(ES, 5000))
    assert guarded.codes == ["LIMIT", "UNDER_LOCKOUT", "UNDER_LOCKOUT"]
    assert _mutations(guarded) == []


def test_stays_quiet_in_observe_mode_with_intents_from_before() -> None:
    guarded = Guarded(Switch(found=ON))
    guarded.feed(guarded.venue.buys(ES, 1, 5000), guarded.venue.buys(MNQ, 1, 20000))
    turn(guarded, 1)
    engine = type(guarded.engine).restore(
        type(guarded.settings)(guarded.venue.account_id, guarded.settings.days, guarded.settings.rules, Mode.OBSERVE),
        guarded.engine.snapshot(),
    )
    guarded.engine = engine
    guarded.forget()
    guarded.feed(guarded.venue.timer(30), guarded.venue.timer(30))
    assert _mutations(guarded) == []


def test_drops_what_was_under_way_when_the_account_is_only_observed() -> None:
    guarded = Guarded(Switch(found=ON, lock=RESET))
    guarded.feed(guarded.venue.buys(ES, 1, 5000))
    turn(guarded, 1)
    (intent,) = guarded.engine.enforcer.open_intents
    guarded.settings = msgspec.structs.replace(guarded.settings, mode=Mode.OBSERVE)
    guarded.engine = Engine.restore(
        guarded.settings,
        guarded.engine.snapshot(),
        sequence=guarded.engine.sequence,
        lockouts=guarded.lockouts,
        intents=(intent,),
    )
    guarded.forget()
    for _ in range(3):
        guarded.feed(guarded.venue.timer(2), guarded.venue.snapshot())
    guarded.feed(guarded.venue.closes(ES, 5000))  # by the trader: the guard has no part in it
    for _ in range(3):
        guarded.feed(guarded.venue.timer(2), guarded.venue.snapshot())
    assert [(each.id, each.state) for decision in guarded.decisions for each in decision.intents] == [
        (intent.id, IntentState.DROPPED)
    ]
    assert guarded.findings == [
        Warning(
            "switch",
            "ENFORCEMENT_DROPPED",
            -5,
            -3,
            Unit.MICROS,
            ACCOUNT,
            (("intent", intent.id), ("code", "LIMIT")),
        )
    ]
    assert guarded.engine.enforcer.open_intents == ()
    assert _mutations(guarded) == []
    assert [lock.rule for lock in guarded.lockouts] == ["switch"]


def test_flattens_for_an_operator() -> None:
    guarded = Guarded()
    guarded.feed(guarded.venue.buys(ES, 1, 5000), guarded.venue.order(ES, Side.BUY, 1, limit=4000, order_id="add"))
    command = OperatorCommand(guarded.venue.account_id, "flatten", "ann", 0, guarded.venue._tick())
    guarded.feed(command)
    assert [(item.rule, item.code, item.evidence) for item in guarded.breaches] == [
        ("operator", "FLATTEN", (("operator", "ann"),))
    ]
    assert [type(action) for action in _mutations(guarded)] == [CancelOrder]
    guarded.feed(command)
    assert guarded.codes == ["FLATTEN", "FLATTEN"], "both are on record"
    assert [intent.goal for intent in guarded.engine.enforcer.open_intents] == [Flat(ACCOUNT)]
    guarded.feed(guarded.venue.order(ES, Side.BUY, 1, order_id="add", status=OrderStatus.CANCELLED))
    assert [type(action) for action in _mutations(guarded)] == [CancelOrder, ClosePosition]


def test_ignores_a_command_it_does_not_know() -> None:
    guarded = Guarded()
    assert guarded.feed(OperatorCommand(guarded.venue.account_id, "dance", "ann", 0, 1)) == []


@pytest.mark.parametrize("first", [Switch, Other])
def test_waits_for_both_witnesses_before_a_sized_action(first: type[Switch]) -> None:
    guarded = Guarded(MaxContracts(limit=2))
    (fill, position) = guarded.venue.buys(ES, 5, 5000)
    guarded.feed(fill if first is Switch else position)
    assert guarded.codes == ["MAX_CONTRACTS"]
    assert _mutations(guarded) == []
    guarded.feed(position if first is Switch else fill)
    (action,) = _mutations(guarded)
    assert isinstance(action, ReducePosition)
    assert action.size == 3


def test_evaluates_kept_rules_again_when_the_rules_change() -> None:
    guarded = Guarded(MaxContracts(limit=5))
    guarded.feed(guarded.venue.buys(ES, 4, 5000))
    assert guarded.codes == []
    guarded.change_rules(MaxContracts(limit=3))
    assert guarded.codes == ["MAX_CONTRACTS"]


def test_asks_to_be_woken_for_the_earliest_deadline() -> None:
    venue_ahead_ns = 7
    guarded = Guarded(Switch(due_ns=START_NS + 90), Other(due_ns=START_NS + 60))
    quote = guarded.venue.quote(ES, 5000)
    guarded.feed(type(quote)(quote.account_id, quote.quote, quote.at_ns, quote.received_ns - venue_ahead_ns))
    assert guarded.engine.next_deadline_ns() == START_NS + 60 - venue_ahead_ns


def test_does_not_ask_a_timer_for_what_only_the_venue_can_bring() -> None:
    """Else a silent venue at the end of the day would have the timer fire for ever."""
    beyond = Guarded(Switch(due_ns=START_NS + 8 * HOUR_NS))
    assert beyond.engine.next_deadline_ns() is None
    timeless = Engine(EngineSettings("1001", DAYS, (Switch(due_ns=5),)))
    timeless.receive(TimerFired("1001", 0, START_NS))
    assert timeless.next_deadline_ns() is None
    assert timeless.account.now_ns == 0


def test_wakes_rules_with_quotes_of_what_is_held_and_with_a_new_day() -> None:
    class Watching(Switch, frozen=True, kw_only=True):
        listens_to: ClassVar[frozenset[type]] = frozenset({QuoteUpdated})

    guarded = Guarded(Watching(found={1: (breach(),)}, demand=Demand.ALERT))
    turn(guarded, 1)
    guarded.feed(guarded.venue.quote(ES, 5000))
    assert guarded.codes == [], "nothing is held that it could move"
    guarded.feed(guarded.venue.buys(ES, 1, 5000), guarded.venue.quote(MNQ, 20000))
    assert guarded.codes == []
    guarded.feed(guarded.venue.quote(ES, 5000))
    assert guarded.codes == ["LIMIT"]
    turn(guarded, 0)
    guarded.feed(guarded.venue.quote(ES, 5000))
    turn(guarded, 1)
    guarded.venue.wait(8 * 3600)
    guarded.feed(guarded.venue.quote(MNQ, 20000))
    assert guarded.codes == ["LIMIT", "LIMIT"]

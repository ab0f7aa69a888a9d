"""After a stop the guard goes on: with what the journal committed, a clock set back, or changed rules."""

import msgspec
import pytest

from risk_manager.domain.actions import ClosePosition, ReducePosition
from risk_manager.domain.events import ConnectionChanged, Event, Link
from risk_manager.domain.finding import AtMost, Unit
from risk_manager.domain.intent import IntentState, SizesAtMost
from risk_manager.engine import Engine
from risk_manager.rules import DailyRealizedLoss, MaxContracts, warned
from risk_manager.rules.no_stop_loss_grace import NoStopLossGrace
from risk_manager.testing.events import DAY_NS, ES, MES, SECOND_NS, micros
from risk_manager.testing.guarded import Guarded
from tests.engine.switch import ON, RESET, Switch, turn
from tests.persistence.samples import intent

REDUCES = (ReducePosition, ClosePosition)


def _starting(guarded: Guarded) -> ConnectionChanged:
    return ConnectionChanged("1001", Link.REST, False, "starting", 0, guarded.venue._tick())


def test_counts_on_from_the_higher_sequence() -> None:
    guarded = Guarded(Switch(found=ON))
    turn(guarded, 1)
    snapshot = guarded.engine.snapshot()
    assert Engine.restore(guarded.settings, snapshot).sequence == guarded.engine.sequence == 1
    assert Engine.restore(guarded.settings, snapshot, sequence=7).sequence == 7
    assert Engine.restore(guarded.settings, None, sequence=7).sequence == 7


def test_takes_the_journals_lockouts_and_intents_over_the_snapshots() -> None:
    guarded = Guarded(Switch(found=ON, lock=RESET))
    before = guarded.engine.snapshot()
    turn(guarded, 1)
    lockouts, intents = guarded.lockouts, guarded.engine.enforcer.open_intents
    engine = Engine.restore(guarded.settings, before, sequence=1, lockouts=lockouts, intents=intents)
    assert (engine.account.lockouts, engine.enforcer.open_intents) == (lockouts, intents)
    engine = Engine.restore(guarded.settings, guarded.engine.snapshot(), lockouts=(), intents=())
    assert (engine.account.lockouts, engine.enforcer.open_intents) == ((), ())


@pytest.mark.parametrize("is_saved", [True, False])
def test_enforces_at_once_what_was_open(is_saved: bool) -> None:
    """Power was lost after the commit: the same intent is worked on, before anything else happens."""
    guarded = Guarded(Switch(found=ON, lock=RESET))
    guarded.feed(guarded.venue.buys(ES, 1, 5000))
    before = guarded.engine.snapshot()
    turn(guarded, 1)
    guarded.engine = Engine.restore(
        guarded.settings,
        before if is_saved else None,
        sequence=guarded.engine.sequence,
        lockouts=guarded.lockouts,
        intents=guarded.engine.enforcer.open_intents,
    )
    guarded.forget()
    guarded.feed(_starting(guarded), guarded.venue.snapshot())
    (close,) = [action for action in guarded.actions if isinstance(action, ClosePosition)]
    assert close.intent_id == "1001-1-1"
    assert close.id > "1001-2"
    assert guarded.codes == [], "no second enforcement is counted"


def test_does_not_repeat_a_reduction_it_may_have_sent_before_the_crash() -> None:
    guarded = Guarded(MaxContracts(limit=2))
    before = guarded.engine.snapshot()
    guarded.feed(guarded.venue.buys(ES, 5, 5000))
    assert [type(action) for action in guarded.actions if isinstance(action, REDUCES)] == [ReducePosition]
    guarded.engine = Engine.restore(
        guarded.settings,
        before,
        sequence=guarded.engine.sequence,
        lockouts=(),
        intents=guarded.engine.enforcer.open_intents,
    )
    guarded.forget()
    guarded.feed(_starting(guarded), guarded.venue.snapshot(), guarded.venue.snapshot())
    started_ns = guarded.venue.now_ns
    while not [action for action in guarded.actions if isinstance(action, REDUCES)]:
        guarded.venue.wait(0.5)
        guarded.feed(guarded.venue.snapshot(), guarded.venue.timer())
    waited_ns = guarded.venue.now_ns - started_ns
    assert 7 * SECOND_NS - 10_000_000 <= waited_ns <= 8 * SECOND_NS


def test_follows_a_clock_that_was_set_back_while_it_was_down() -> None:
    """A trader sets the clock back a day and restarts: snapshots must not look old for a day (reliability F26)."""
    guarded = Guarded(Switch(found=ON))
    guarded.feed(guarded.venue.quote(ES, 5000), guarded.venue.buys(ES, 1, 5000))
    turn(guarded, 1)
    guarded.restart()
    venue_now_ns = guarded.venue.now_ns
    guarded.venue.now_ns -= DAY_NS
    guarded.feed(_starting(guarded))
    guarded.forget()
    guarded.venue.wait(1)
    guarded.venue.positions.clear()
    for _ in range(8):
        guarded.venue.wait(0.5)
        snapshot = msgspec.structs.replace(guarded.venue.snapshot(), at_ns=venue_now_ns + 1)
        guarded.feed(snapshot, guarded.venue.timer())
    assert guarded.engine.account.holdings == {}
    assert [intent.state for decision in guarded.decisions for intent in decision.intents] == [IntentState.VERIFIED]


def test_does_not_let_a_clock_set_forward_end_the_day() -> None:
    guarded = Guarded(DailyRealizedLoss(limit_micros=micros(500)))
    guarded.feed(guarded.venue.result(-500))
    guarded.restart()
    guarded.venue.now_ns += 3 * DAY_NS
    guarded.feed(_starting(guarded), guarded.venue.timer())
    account = guarded.engine.account
    assert (account.day.label, len(account.lockouts)) == ("2025-01-15", 1)
    assert account.now_ns < account.day.end_ns


def test_keeps_deadlines_of_a_clock_set_forward_to_the_venues_time() -> None:
    """What is opened after such a restart has its grace from when it was opened, not from the end of the day."""
    guarded = Guarded(NoStopLossGrace(grace_period_ns=8 * SECOND_NS))
    guarded.feed(guarded.venue.quote(ES, 5000))
    guarded.restart()
    ahead_ns = 3 * DAY_NS

    def feed(event: Event, at_ns: int = 0) -> None:
        ours_ns = event.received_ns + ahead_ns
        guarded.feed(msgspec.structs.replace(event, received_ns=ours_ns, at_ns=at_ns))

    feed(_starting(guarded))
    feed(guarded.venue.timer())
    guarded.venue.buys(ES, 1, 5000)
    feed(guarded.venue.snapshot(), guarded.venue.now_ns)
    guarded.venue.wait(8.5)
    guarded.forget()
    feed(guarded.venue.snapshot(), guarded.venue.now_ns)
    assert guarded.codes == ["NO_STOP_LOSS"]


def test_a_loss_of_rest_puts_no_deadline_off() -> None:
    """Within a run the clock is to be trusted: what it has measured since the venue's last stamp counts."""
    guarded = Guarded(NoStopLossGrace(grace_period_ns=8 * SECOND_NS))
    guarded.feed(guarded.venue.buys(ES, 1, 5000))
    due_ns = guarded.venue.now_ns + 8 * SECOND_NS
    guarded.feed(guarded.venue.timer(after_s=5), _starting(guarded))
    found_ns = guarded.engine.next_deadline_ns()
    while found_ns is not None and found_ns < due_ns - SECOND_NS:
        # What else is to be done at some time, such as the next look, does not count.
        guarded.feed(guarded.venue.timer(after_s=(found_ns - guarded.venue.now_ns) / SECOND_NS))
        found_ns = guarded.engine.next_deadline_ns()
    assert found_ns is not None
    assert abs(found_ns - due_ns) < SECOND_NS // 100


def test_starts_a_rule_afresh_whose_state_has_another_shape() -> None:
    class Changed(msgspec.Struct, frozen=True):
        something: str
        else_: int

    class Rewritten(Switch, frozen=True, kw_only=True):
        def initial_state(self) -> Changed:  # type: ignore[override]
            return Changed("new", 1)

    guarded = Guarded(Switch(found=ON))
    turn(guarded, 1)
    settings = msgspec.structs.replace(guarded.settings, rules=(Rewritten(),))
    engine = Engine.restore(settings, guarded.engine.snapshot())
    assert engine.account.balance_micros == 1


def test_refuses_a_snapshot_that_is_not_one() -> None:
    guarded = Guarded()
    with pytest.raises(msgspec.DecodeError):
        Engine.restore(guarded.settings, b"\x01\x02")


def test_keeps_a_rules_state_when_its_settings_change() -> None:
    guarded = Guarded(warned(DailyRealizedLoss(limit_micros=micros(500)), 50))
    guarded.feed(guarded.venue.result(-300))
    guarded.change_rules(warned(DailyRealizedLoss(limit_micros=micros(500), include_fees=False), 50))
    guarded.feed(guarded.venue.result(-1))
    assert [warning.code for warning in guarded.warnings] == ["DAILY_REALIZED_LOSS_50_PCT"]
    assert guarded.warnings[0].unit is Unit.MICROS


def test_an_old_state_proves_no_reduction() -> None:
    """The guard died right behind the commit. One of the two positions to be reduced opened after the last saving."""
    guarded = Guarded()
    venue = guarded.venue
    guarded.feed(venue.buys(MES, 2, 5000))
    before = guarded.engine.snapshot()
    venue.buys(ES, 3, 5000)
    goal = SizesAtMost((AtMost(ES.id, 1), AtMost(MES.id, 2)))
    reducing = msgspec.structs.replace(intent(), id="1001-2-1", account_id="1001", goal=goal, state=IntentState.OPEN)
    guarded.engine = Engine.restore(guarded.settings, before, sequence=2, lockouts=(), intents=(reducing,))
    guarded.forget()
    guarded.feed(_starting(guarded))
    for _ in range(12):
        venue.wait(0.5)
        guarded.feed(venue.snapshot())
    states = {each.state for decision in guarded.decisions for each in decision.intents}
    assert IntentState.VERIFIED not in states
    for _ in range(6):
        venue.wait(2)
        guarded.feed(venue.snapshot())
    assert [action.size for action in guarded.actions if isinstance(action, ReducePosition)] == [2]
    guarded.feed(venue.sells(ES, 2, 5000))
    for _ in range(4):
        venue.wait(2)
        guarded.feed(venue.snapshot())
    assert guarded.engine.enforcer.open_intents == ()


def test_a_size_that_is_remembered_from_before_is_not_taken_off() -> None:
    """Five were held when it was saved; meanwhile the trader came down to two, which no reduction may touch."""
    guarded = Guarded(MaxContracts(limit=2))
    guarded.feed(guarded.venue.buys(ES, 5, 5000))
    intents = guarded.engine.enforcer.open_intents
    before = guarded.engine.snapshot()
    guarded.venue.sells(ES, 3, 5000)
    guarded.engine = Engine.restore(
        guarded.settings, before, sequence=guarded.engine.sequence, lockouts=(), intents=intents
    )
    guarded.forget()
    guarded.feed(_starting(guarded))
    for _ in range(20):
        guarded.feed(guarded.venue.timer(1))
    assert [action for action in guarded.actions if isinstance(action, REDUCES)] == []
    for _ in range(4):
        guarded.venue.wait(2)
        guarded.feed(guarded.venue.snapshot())
    assert [action for action in guarded.actions if isinstance(action, REDUCES)] == []
    assert guarded.engine.enforcer.open_intents == ()

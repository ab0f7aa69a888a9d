"""An intent closes only when the venue's snapshots have shown its goal, twice, after the last action."""

from risk_manager.domain.actions import Action, CancelOrder, ClosePosition, TakeSnapshot
from risk_manager.domain.events import ActionAccepted, ActionUnknown, ConnectionChanged, Link, SnapshotTaken
from risk_manager.domain.intent import IntentState
from risk_manager.domain.order import OrderStatus, Side
from risk_manager.rules._base import LockTerms
from risk_manager.testing.events import ES, MNQ
from risk_manager.testing.guarded import Guarded
from tests.engine.switch import ON, RESET, Switch, turn

MS = 1_000_000


def _last(guarded: Guarded, kind: type[Action]) -> Action:
    return [action for action in guarded.actions if isinstance(action, kind)][-1]


def _accept(guarded: Guarded, action: Action) -> None:
    guarded.feed(ActionAccepted("1001", action.id, 0, guarded.venue._tick()))


def _flat(lock: LockTerms | None = None) -> Guarded:
    """A breach has been flattened: the close is answered, the position gone, the first snapshot asked for."""
    guarded = Guarded(Switch(found=ON, lock=lock))
    guarded.feed(guarded.venue.buys(ES, 1, 5000))
    turn(guarded, 1)
    guarded.feed(guarded.venue.closes(ES, 5000))
    _accept(guarded, _last(guarded, ClosePosition))
    turn(guarded, 0)
    guarded.forget()
    return guarded


def _states(guarded: Guarded) -> list[IntentState]:
    return [intent.state for decision in guarded.decisions for intent in decision.intents]


def _snapshot(guarded: Guarded, **changes: object) -> SnapshotTaken:
    taken = guarded.venue.snapshot()
    return type(taken)(**{field: getattr(taken, field) for field in taken.__struct_fields__} | changes)


def test_takes_two_snapshots_400_ms_apart() -> None:
    guarded = _flat()
    guarded.feed(guarded.venue.timer())
    first = guarded.venue.snapshot()
    guarded.feed(first)
    assert _states(guarded) == []
    guarded.feed(_snapshot(guarded, requested_ns=first.requested_ns + 400 * MS - 1))
    assert _states(guarded) == []
    guarded.venue.wait(0.4)
    guarded.feed(_snapshot(guarded, requested_ns=first.requested_ns + 400 * MS))
    assert _states(guarded) == [IntentState.VERIFIED]
    (intent,) = [intent for decision in guarded.decisions for intent in decision.intents]
    assert intent.reached_ns is not None
    assert intent.closed_ns is not None
    assert intent.opened_ns < intent.reached_ns < intent.closed_ns == guarded.venue.now_ns


def test_asks_for_the_snapshots_it_needs() -> None:
    guarded = _flat()
    guarded.feed(guarded.venue.snapshot())
    due_ns = guarded.engine.next_deadline_ns()
    assert due_ns == guarded.venue.now_ns - MS + 400 * MS, "apart from when the first was asked for"
    guarded.venue.wait(0.4)
    guarded.feed(guarded.venue.timer())
    request = _last(guarded, TakeSnapshot)
    assert isinstance(request, TakeSnapshot)
    assert (request.reason, request.full) == ("proof", False)
    guarded.feed(guarded.venue.snapshot())
    assert _states(guarded) == [IntentState.VERIFIED]
    for after_s in (2, 8, 50):  # for what is left behind
        guarded.forget()
        guarded.feed(guarded.venue.timer(after_s))
        assert [type(action) for action in guarded.actions] == [TakeSnapshot]
        guarded.feed(guarded.venue.snapshot())
    assert guarded.engine.next_deadline_ns() is None


def test_does_not_count_a_snapshot_asked_for_before_the_outcome() -> None:
    guarded = Guarded(Switch(found=ON))
    guarded.feed(guarded.venue.buys(ES, 1, 5000))
    turn(guarded, 1)
    guarded.feed(guarded.venue.closes(ES, 5000))
    requested_ns = guarded.venue.now_ns
    _accept(guarded, _last(guarded, ClosePosition))
    for _ in range(4):
        guarded.venue.wait(1)
        guarded.feed(_snapshot(guarded, requested_ns=requested_ns))
    assert IntentState.VERIFIED not in _states(guarded)


def test_does_not_count_a_snapshot_that_shows_otherwise_though_the_stream_knows_better() -> None:
    guarded = _flat(RESET)
    stale = guarded.venue.position(ES, 1, 5000).position
    guarded.venue.positions.clear()
    for _ in range(3):
        guarded.venue.wait(0.4)
        guarded.feed(_snapshot(guarded, positions=(stale,)))
    assert _states(guarded) == []
    assert guarded.engine.account.holdings == {}, "the read lags, which is no reason to believe it"
    for _ in range(2):
        guarded.venue.wait(0.4)
        guarded.feed(guarded.venue.snapshot())
    assert _states(guarded) == [IntentState.VERIFIED]


def test_does_not_count_a_snapshot_that_could_not_be_read() -> None:
    guarded = _flat()
    for part in ("positions", "orders", "positions"):
        guarded.venue.wait(1)
        guarded.feed(_snapshot(guarded, **{part: None}))
    assert _states(guarded) == []


def test_starts_over_when_the_goal_is_lost_again() -> None:
    guarded = _flat(RESET)
    guarded.venue.wait(1)
    guarded.feed(guarded.venue.snapshot())
    guarded.feed(guarded.venue.order(ES, Side.BUY, 1, limit=4000, order_id="7"))
    guarded.feed(guarded.venue.order(ES, Side.BUY, 1, order_id="7", status=OrderStatus.CANCELLED))
    guarded.venue.wait(1)
    guarded.feed(guarded.venue.snapshot())
    assert _states(guarded) == []
    guarded.venue.wait(1)
    guarded.feed(guarded.venue.snapshot())
    assert _states(guarded) == [IntentState.VERIFIED]


def test_opens_a_new_intent_when_a_breach_that_lasts_is_undone() -> None:
    """No lockout, so the loss is judged afresh with every position."""
    guarded = _flat()
    turn(guarded, 1)
    for _ in range(3):
        guarded.venue.wait(1)
        guarded.feed(guarded.venue.snapshot())
    assert guarded.engine.enforcer.open_intents == ()
    guarded.forget()
    turn(guarded, 1)
    assert guarded.codes == []
    guarded.feed(guarded.venue.buys(ES, 1, 5000))
    turn(guarded, 1)
    assert guarded.codes == ["LIMIT"]
    assert len(guarded.engine.enforcer.open_intents) == 1


def test_proves_each_intent_by_itself() -> None:
    """An unproven goal elsewhere does not keep a proven one open."""
    guarded = _flat()
    guarded.feed(guarded.venue.buys(MNQ, 1, 20000))
    for _ in range(2):
        guarded.venue.wait(0.5)
        guarded.feed(guarded.venue.snapshot())
    assert _states(guarded) == [IntentState.VERIFIED]


def test_goes_on_where_the_outcome_is_unknown() -> None:
    guarded = Guarded(Switch(found=ON))
    guarded.feed(guarded.venue.buys(ES, 1, 5000), guarded.venue.order(ES, Side.SELL, 1, stop=4900, order_id="stop"))
    turn(guarded, 1)
    first = _last(guarded, ClosePosition)
    guarded.feed(ActionUnknown("1001", first.id, "timeout", 0, guarded.venue._tick()))
    assert isinstance(_last(guarded, TakeSnapshot), TakeSnapshot)
    guarded.venue.wait(0.25)
    guarded.feed(guarded.venue.timer())
    assert _last(guarded, ClosePosition).id != first.id
    assert not any(isinstance(action, CancelOrder) for action in guarded.actions), "the stop stays to the last"


def test_takes_up_again_what_the_lost_link_left_open() -> None:
    guarded = Guarded(Switch(found=ON))
    guarded.feed(guarded.venue.buys(ES, 1, 5000))
    turn(guarded, 1)
    guarded.feed(ConnectionChanged("1001", Link.REST, False, "down", 0, guarded.venue._tick()))
    guarded.venue.wait(0.25)
    guarded.feed(guarded.venue.timer())
    assert len([action for action in guarded.actions if isinstance(action, ClosePosition)]) == 2

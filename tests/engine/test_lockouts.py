"""A lockout is enforced while it is active, and ends only by its own condition or by the venue's clock."""

import msgspec
import pytest

from risk_manager.domain.actions import CancelOrder, ClosePosition, ReducePosition, TakeSnapshot
from risk_manager.domain.events import AccountUpdated, ActionAccepted, SnapshotTaken, TimerFired
from risk_manager.domain.finding import Breach, Unit
from risk_manager.domain.intent import NoOpeningOrders
from risk_manager.domain.lockout import Held, OnLock
from risk_manager.domain.order import OrderStatus, Side
from risk_manager.domain.scope import ACCOUNT, Scope
from risk_manager.engine import Engine, EngineSettings
from risk_manager.rules._base import Demand, LockTerms, LockUntil
from risk_manager.testing.events import DAY_NS, DAYS, ES, ES_JUNE, HOUR_NS, MNQ, NQ, SECOND_NS, START_NS
from risk_manager.testing.guarded import Guarded
from tests.engine.switch import BLOCK_NEW, ON, RESET, UNTIL_RELEASED, Other, Switch, breach, release, turn

DAY_END_NS = START_NS + 8 * HOUR_NS


def minutes(count: int) -> LockTerms:
    return LockTerms(LockUntil.DURATION, count * 60 * SECOND_NS)


def _types(guarded: Guarded) -> list[type]:
    return [type(action) for action in guarded.actions if not isinstance(action, TakeSnapshot)]


def _locked(lock: LockTerms = RESET) -> Guarded:
    guarded = Guarded(Switch(found=ON, lock=lock))
    turn(guarded, 1)
    guarded.forget()
    return guarded


# -- setting -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lock", "until_ns"),
    [(RESET, DAY_END_NS), (minutes(30), None), (UNTIL_RELEASED, None)],
)
def test_is_set_with_the_breach(lock: LockTerms, until_ns: int | None) -> None:
    guarded = Guarded(Switch(found=ON, lock=lock))
    (decision,) = turn(guarded, 1)
    (lockout,) = decision.lockouts_set
    if lock.duration_ns is not None:
        until_ns = lockout.set_ns + lock.duration_ns
    assert (lockout.rule, lockout.scope, lockout.until_ns, lockout.reason) == ("switch", ACCOUNT, until_ns, "LIMIT")
    assert lockout.intent_id == decision.intents[0].id
    assert lockout.trading_day == "2025-01-15"


def test_is_never_shortened() -> None:
    guarded = Guarded(Switch(found=ON, lock=minutes(60)))
    turn(guarded, 1)
    (before,) = guarded.lockouts
    turn(guarded, 0)
    guarded.settings = msgspec.structs.replace(guarded.settings, rules=())
    guarded.change_rules(Switch(found=ON, lock=minutes(1)))
    turn(guarded, 1)
    assert guarded.lockouts == (before,)


def test_is_lengthened_by_a_later_breach() -> None:
    guarded = _locked(minutes(60))
    (before,) = guarded.lockouts
    turn(guarded, 0)
    guarded.venue.wait(600)
    (decision,) = turn(guarded, 1)
    (after,) = decision.lockouts_set
    assert before.until_ns is not None
    assert after.until_ns is not None
    assert after.until_ns - before.until_ns > 600 * SECOND_NS
    assert guarded.lockouts == (after,)


def test_does_not_grow_while_one_breach_holds() -> None:
    guarded = _locked(minutes(60))
    before = guarded.lockouts
    for _ in range(3):
        guarded.venue.wait(60)
        turn(guarded, 1)
    assert guarded.lockouts == before


def test_stands_beside_others() -> None:
    """Two rules and two products: four lockouts, each for itself."""
    es, nq = Scope(root="ES"), Scope(root="NQ")
    lock = LockTerms(LockUntil.RESET, whole_account=False)
    guarded = Guarded(
        Switch(found={1: (breach(es), breach(nq))}, lock=lock, demand=Demand.CLOSE_POSITION),
        Other(found={1: (breach(es, rule="other"),)}, lock=minutes(5)),
    )
    turn(guarded, 1)
    assert {(lock.rule, str(lock.scope)) for lock in guarded.lockouts} == {
        ("switch", "ES"),
        ("switch", "NQ"),
        ("other", "account"),
    }
    guarded.venue.wait(301)
    guarded.feed(guarded.venue.quote(ES, 5000))
    assert {(lock.rule, str(lock.scope)) for lock in guarded.lockouts} == {("switch", "ES"), ("switch", "NQ")}


def test_outlasts_the_first_word_about_the_time() -> None:
    """A breach seen before any venue stamp cannot know when the day ends; its lockout is dated later."""
    for lock, until_ns in ((RESET, DAY_END_NS), (minutes(30), START_NS + 30 * 60 * SECOND_NS)):
        engine = Engine(EngineSettings("1001", DAYS, (Switch(found=ON, lock=lock),)))
        guarded = Guarded(Switch())
        guarded.venue.balance_micros = 1
        record = guarded.venue.account().account
        engine.receive(AccountUpdated("1001", record, 0, 5))
        assert len(engine.account.lockouts) == 1
        decision = engine.receive(SnapshotTaken("1001", None, None, None, None, 0, (), 6, START_NS, 7))
        assert not decision.lockouts_released
        assert [one.until_ns for one in engine.account.lockouts] == [until_ns]


# -- enforcing ---------------------------------------------------------------------------------------------------------


def test_closes_every_position_that_appears_without_limit() -> None:
    guarded = _locked()
    for count in range(1, 31):
        guarded.feed(guarded.venue.buys(ES, 1, 5000))
        assert _types(guarded).count(ClosePosition) == count
        close = [action for action in guarded.actions if isinstance(action, ClosePosition)][-1]
        guarded.feed(ActionAccepted("1001", close.id, 0, guarded.venue.now_ns), guarded.venue.closes(ES, 5000))
        guarded.venue.wait(1)


def test_of_a_product_closes_an_expiry_the_venue_has_not_described() -> None:
    found = breach(scope=Scope(root="ES"))
    lock = msgspec.structs.replace(RESET, whole_account=False)
    guarded = Guarded(Switch(found={1: (found,)}, demand=Demand.CLOSE_POSITION, lock=lock))
    turn(guarded, 1)
    guarded.venue.contracts = ()
    guarded.engine.account.contracts.pop(ES_JUNE.id)
    guarded.engine.account.contracts.pop(NQ.id)
    guarded.forget()
    guarded.feed(guarded.venue.buys(ES_JUNE, 1, 5000), guarded.venue.buys(NQ, 1, 20000))
    closes = [action for action in guarded.actions if isinstance(action, ClosePosition)]
    assert [action.contract_id for action in closes] == [ES_JUNE.id]


def test_opens_an_intent_for_what_appears_after_the_first_was_verified() -> None:
    guarded = _locked()
    for _ in range(3):
        guarded.venue.wait(1)
        guarded.feed(guarded.venue.snapshot(), guarded.venue.timer())
    assert guarded.engine.enforcer.open_intents == ()
    guarded.forget()
    guarded.feed(guarded.venue.order(ES, Side.BUY, 1, limit=4000, order_id="7"))
    assert guarded.codes == ["UNDER_LOCKOUT"]
    assert guarded.breaches[0].evidence == (("lockout", "LIMIT"), ("orders", "1"))
    assert _types(guarded) == [CancelOrder]


def test_paces_the_closes_of_a_trader_who_fights() -> None:
    guarded = _locked()
    guarded.feed(guarded.venue.buys(ES, 1, 5000), guarded.venue.closes(ES, 5000), guarded.venue.buys(ES, 1, 5000))
    assert _types(guarded).count(ClosePosition) == 1
    due_ns = guarded.engine.next_deadline_ns()
    assert due_ns is not None
    assert due_ns <= guarded.venue.now_ns + SECOND_NS * 10


def test_leaves_other_products_alone() -> None:
    lock = LockTerms(LockUntil.RESET, whole_account=False)
    guarded = Guarded(Switch(found={1: (breach(Scope(root="ES")),)}, lock=lock, demand=Demand.CLOSE_POSITION))
    turn(guarded, 1)
    guarded.forget()
    guarded.feed(guarded.venue.buys(NQ, 1, 20000), guarded.venue.order(MNQ, Side.BUY, 1, limit=19000))
    assert _types(guarded) == []
    guarded.feed(guarded.venue.buys(ES, 1, 5000))
    assert _types(guarded) == [ClosePosition]


def test_keeps_the_ledger_while_locked() -> None:
    guarded = _locked()
    guarded.feed(guarded.venue.buys(ES, 1, 5000), guarded.venue.sells(ES, 1, 4999, fees=2))
    assert guarded.engine.account.realized_micros == -50_000_000
    assert guarded.engine.account.fees_micros == 2_000_000


# -- block_new ---------------------------------------------------------------------------------------------------------


def _blocked(net: int) -> Guarded:
    guarded = Guarded(Switch(found=ON, lock=BLOCK_NEW, demand=Demand.CANCEL_ORDERS))
    guarded.feed(guarded.venue.buys(ES, net, 5000))
    turn(guarded, 1)
    guarded.forget()
    return guarded


def test_lets_a_position_stay_and_shrink() -> None:
    guarded = _blocked(3)
    assert guarded.lockouts[0].allowed == (Held(ES.id, 3),)
    guarded.feed(guarded.venue.sells(ES, 1, 5000))
    assert guarded.lockouts[0].allowed == (Held(ES.id, 2),)
    assert [lock.allowed for decision in guarded.decisions for lock in decision.lockouts_set] == [(Held(ES.id, 2),)]
    guarded.feed(guarded.venue.order(ES, Side.SELL, 2, stop=4900))
    assert _types(guarded) == []


def test_takes_back_what_grows() -> None:
    guarded = _blocked(3)
    guarded.feed(guarded.venue.buys(ES, 2, 5000))
    (action,) = [action for action in guarded.actions if isinstance(action, ReducePosition)]
    assert action.size == 2


def test_does_not_grow_back() -> None:
    guarded = _blocked(3)
    guarded.feed(guarded.venue.sells(ES, 2, 5000), guarded.venue.buys(ES, 1, 5000))
    (action,) = [action for action in guarded.actions if isinstance(action, ReducePosition)]
    assert action.size == 1


@pytest.mark.parametrize("contracts", [4, 8])
def test_does_not_flip(contracts: int) -> None:
    guarded = _blocked(3)
    guarded.feed(guarded.venue.sells(ES, contracts, 5000))
    assert _types(guarded) == [ClosePosition]
    assert guarded.lockouts[0].allowed == ()


def test_a_pause_leaves_the_stop_of_what_remains() -> None:
    """Too large for the one left, it may flip the position, and is left all the same: the flip is what is closed."""
    guarded = _blocked(3)
    stop = guarded.venue.order(ES, Side.SELL, 3, stop=4900, order_id="stop")
    guarded.feed(stop, guarded.venue.sells(ES, 2, 5000))
    assert _types(guarded) == []
    filled = guarded.venue.order(ES, Side.SELL, 3, stop=4900, order_id="stop", status=OrderStatus.FILLED, filled=3)
    guarded.feed(filled, guarded.venue.sells(ES, 3, 4900))
    assert _types(guarded) == [ClosePosition]


@pytest.mark.parametrize(("side", "prices"), [(Side.SELL, {"limit": 5100}), (Side.BUY, {"stop": 5100})])
def test_a_pause_cancels_what_is_no_stop_of_the_position(side: Side, prices: dict[str, int]) -> None:
    guarded = _blocked(1)
    guarded.feed(guarded.venue.order(ES, side, 2, **prices))  # type: ignore[arg-type]  # a price of either kind
    assert _types(guarded) == [CancelOrder]


def test_tightens_the_open_intent_with_the_allowance() -> None:
    guarded = _blocked(3)
    for _ in range(3):
        guarded.venue.wait(1)
        guarded.feed(guarded.venue.snapshot(), guarded.venue.timer())
    assert not guarded.engine.enforcer.open_intents
    guarded.forget()
    guarded.feed(guarded.venue.buys(ES, 2, 5000))
    guarded.feed(guarded.venue.sells(ES, 4, 5000), guarded.venue.buys(ES, 1, 5000))
    (under,) = guarded.engine.enforcer.open_intents
    assert (under.code, under.goal) == ("UNDER_LOCKOUT", NoOpeningOrders(ACCOUNT, (Held(ES.id, 1),)))
    assert guarded.codes == ["UNDER_LOCKOUT"], "one enforcement from beginning to end"
    assert {intent.id for decision in guarded.decisions for intent in decision.intents} == {under.id}


def test_sees_one_enforcement_in_a_breach_that_cancels_and_blocks() -> None:
    guarded = Guarded(Switch(found=ON, lock=BLOCK_NEW, demand=Demand.CANCEL_ORDERS))
    guarded.feed(guarded.venue.order(ES, Side.BUY, 1, limit=4000))
    turn(guarded, 1)
    assert guarded.codes == ["LIMIT"]
    assert len(guarded.engine.enforcer.open_intents) == 1
    assert _types(guarded) == [CancelOrder]


# -- ending ------------------------------------------------------------------------------------------------------------


def test_ends_by_the_venues_clock_to_the_nanosecond() -> None:
    guarded = _locked()
    quote = guarded.venue.quote(ES, 5000)
    assert guarded.feed(msgspec.structs.replace(quote, at_ns=DAY_END_NS - 1)) == []
    (decision,) = guarded.feed(msgspec.structs.replace(quote, at_ns=DAY_END_NS))
    assert guarded.lockouts == ()
    assert [(item.rule, item.at_ns, item.reason) for item in decision.lockouts_released] == [
        ("switch", DAY_END_NS, "expired")
    ]


def test_does_not_end_by_a_timer_or_the_local_clock() -> None:
    guarded = _locked(minutes(1))
    before = guarded.lockouts
    for days in range(1, 4):
        guarded.feed(TimerFired("1001", 0, guarded.venue.now_ns + days * DAY_NS))
        stale = msgspec.structs.replace(guarded.venue.quote(ES, 5000), at_ns=0)
        guarded.feed(msgspec.structs.replace(stale, received_ns=guarded.venue.now_ns + days * DAY_NS))
    assert guarded.lockouts == before
    assert guarded.engine.account.day.label == "2025-01-15"
    assert guarded.engine.account.now_ns < DAY_END_NS


def test_does_not_end_by_the_local_clock_when_another_ends_by_the_venues() -> None:
    guarded = Guarded(Switch(found=ON, lock=minutes(1)), Other(found={1: (breach(rule="other"),)}, lock=minutes(2)))
    turn(guarded, 1)
    set_ns = guarded.lockouts[0].set_ns
    guarded.feed(guarded.venue.timer(180))
    guarded.feed(msgspec.structs.replace(guarded.venue.quote(ES, 5000), at_ns=set_ns + 60 * SECOND_NS))
    assert [lock.rule for lock in guarded.lockouts] == ["other"]


def test_does_not_end_because_another_does() -> None:
    guarded = Guarded(Switch(found=ON, lock=minutes(1)), Other(found={1: (breach(rule="other"),)}, lock=UNTIL_RELEASED))
    turn(guarded, 1)
    guarded.venue.wait(61)
    guarded.feed(guarded.venue.quote(ES, 5000))
    assert [lock.rule for lock in guarded.lockouts] == ["other"]


def test_is_released_by_the_rule_that_set_it_only() -> None:
    guarded = Guarded(
        Switch(found={1: (breach(),), 3: (release(),)}, lock=UNTIL_RELEASED),
        Other(found={1: (breach(rule="other"),), 2: (release(rule="switch"),)}, lock=UNTIL_RELEASED),
    )
    turn(guarded, 1)
    turn(guarded, 2)
    assert [lock.rule for lock in guarded.lockouts] == ["switch"], "what it wrote on the release is not asked"
    (decision,) = turn(guarded, 3)
    assert guarded.lockouts == ()
    assert [item.reason for item in decision.lockouts_released] == ["better again"]


def test_outlives_the_loosening_of_its_rule() -> None:
    guarded = _locked()
    guarded.change_rules()
    assert [lock.rule for lock in guarded.lockouts] == ["switch"]
    guarded.feed(guarded.venue.buys(ES, 1, 5000))
    assert _types(guarded) == [ClosePosition]


def test_may_be_set_again_when_the_breach_outlasts_it() -> None:
    guarded = _locked(minutes(1))
    guarded.venue.wait(61)
    turn(guarded, 0)
    assert guarded.lockouts == ()
    (decision,) = turn(guarded, 1)
    assert len(decision.lockouts_set) == 1


def test_covers_the_time_beyond_the_table_of_days() -> None:
    guarded = Guarded(Switch(found=ON, lock=RESET))
    beyond_ns = DAYS.starts_ns[-1] + 5 * DAY_NS
    guarded.feed(msgspec.structs.replace(guarded.venue.quote(ES, 5000), at_ns=beyond_ns))
    turn(guarded, 1)
    assert [lock.until_ns for lock in guarded.lockouts] == [beyond_ns + DAY_NS]


def test_alerts_may_lock_without_an_intent() -> None:
    guarded = Guarded(Switch(found=ON, demand=Demand.ALERT, lock=RESET))
    (decision,) = turn(guarded, 1)
    assert decision.intents == ()
    assert [lock.on_lock for lock in decision.lockouts_set] == [OnLock.FLATTEN]


def test_keeps_suspended_children_out_of_the_wave() -> None:
    guarded = _locked()
    guarded.feed(
        guarded.venue.order(ES, Side.BUY, 1, limit=4000, order_id="entry"),
        guarded.venue.order(ES, Side.SELL, 1, stop=3900, parent_id="entry", status=OrderStatus.SUSPENDED),
    )
    assert _types(guarded) == [CancelOrder]


def test_measures_what_is_held_under_it() -> None:
    guarded = _locked()
    guarded.venue.wait(1)
    for _ in range(3):
        guarded.venue.wait(1)
        guarded.feed(guarded.venue.snapshot(), guarded.venue.timer())
    guarded.forget()
    guarded.feed(guarded.venue.sells(ES, 2, 5000))
    assert guarded.breaches == [
        Breach(
            "switch",
            "UNDER_LOCKOUT",
            2,
            0,
            Unit.CONTRACTS,
            ACCOUNT,
            evidence=(("lockout", "LIMIT"), ("orders", "0")),
        )
    ]


def test_leaves_the_stop_of_a_bracket_that_fills_while_its_cancel_waits() -> None:
    """Told before its entry, the stop seems to open; when its cancel may go, at last, it protects what is held."""
    guarded = _locked()
    child = guarded.venue.order(
        ES, Side.SELL, 2, stop=3900, order_id="stop", parent_id="entry", status=OrderStatus.SUSPENDED
    )
    (cancel,) = [action for decision in guarded.feed(child) for action in decision.actions]
    is_still_due = guarded.engine.enforcer.is_still_due
    assert is_still_due(cancel)
    guarded.feed(guarded.venue.buys(ES, 2, 4000), guarded.venue.order(ES, Side.SELL, 2, stop=3900, order_id="stop"))
    assert not is_still_due(cancel)
    (close,) = [action for action in guarded.actions if isinstance(action, ClosePosition)]
    now_ns = guarded.venue.now_ns
    guarded.feed(ActionAccepted("1001", close.id, now_ns, now_ns))
    assert is_still_due(cancel)

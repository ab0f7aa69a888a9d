"""From demands to calls: cancel what opens, close, then cancel what protected; nothing twice, nothing starved."""

import msgspec
import pytest

from risk_manager.domain.actions import Action, CancelOrder, ClosePosition, ReducePosition
from risk_manager.domain.events import ActionAccepted, ActionRejected, ActionUnknown, QuoteUpdated, Refusal
from risk_manager.domain.finding import AtMost
from risk_manager.domain.intent import Flat, Goal, SizesAtMost
from risk_manager.domain.order import OrderStatus, OrderType, Side
from risk_manager.domain.quote import Quote
from risk_manager.domain.scope import ACCOUNT
from risk_manager.enforcement.in_flight import InFlight
from risk_manager.enforcement.pacing import Pacing
from risk_manager.enforcement.planner import ActionIds, plan
from risk_manager.engine.account import AccountState
from risk_manager.testing.events import ES, NQ
from tests.enforcement.situations import MS, S, account, order

BUY, SELL = Side.BUY, Side.SELL
FLAT: list[tuple[str, Goal]] = [("i", Flat(ACCOUNT))]


class Desk:
    """A planner asked again and again."""

    def __init__(self, state: AccountState, goals: list[tuple[str, Goal]] = FLAT) -> None:
        self.state = state
        self.goals = goals
        self.in_flight = InFlight(Pacing())
        self.wake_ms: int | None = None
        self._asked = 0
        self.last: tuple[Action, ...] = ()

    def at(self, ms: int) -> list[str]:
        """What goes out at a time, in short."""
        self._asked += 1
        planned = plan(self.goals, self.state, self.in_flight, ActionIds(str(self._asked)), S + ms * MS)
        self.wake_ms = None if planned.wake_ns is None else (planned.wake_ns - S) // MS
        self.last = planned.actions
        return [_short(action) for action in planned.actions]

    def accepts(self, ms: int, *, unknown: bool = False) -> None:
        """The venue answers everything that went out last."""
        for action in self.last:
            if unknown:
                self.in_flight.learned(ActionUnknown("1", action.id, "", 0, S + ms * MS))
            else:
                self.in_flight.learned(ActionAccepted("1", action.id, 0, S + ms * MS))


def _short(action: Action) -> str:
    match action:
        case CancelOrder(order_id=order_id):
            return f"cancel {order_id}"
        case ClosePosition(contract_id=contract_id):
            return f"close {contract_id.split('.')[3]}"
        case ReducePosition(contract_id=contract_id, size=size):
            return f"reduce {contract_id.split('.')[3]} by {size}"
    raise AssertionError(action)


def test_cancels_openers_then_closes_then_cancels_protection() -> None:
    desk = Desk(account((ES, 2), orders=(order("stop", SELL, 2), order("add", BUY, 1))))
    assert desk.at(0) == ["cancel add"]
    assert desk.wake_ms == 500
    assert desk.at(20) == []
    desk.accepts(80)
    del desk.state.orders["add"]
    assert desk.at(80) == ["close EP"]
    desk.accepts(160)
    desk.state.holdings.clear()
    assert desk.at(170) == ["cancel stop"]
    desk.state.orders.clear()
    desk.accepts(240)
    assert desk.at(240) == []
    assert desk.wake_ms is None


def test_cancels_protection_when_the_close_is_answered_though_nothing_tells_of_its_fill() -> None:
    desk = Desk(account((ES, 2), (NQ, 1), orders=(order("stop", SELL, 2), order("other", SELL, 1, NQ))))
    desk.goals = [("i", SizesAtMost((AtMost(ES.id, 0),)))]
    assert desk.at(0) == ["close EP"]
    sent = desk.last
    assert desk.at(10) == [], "not before it is answered"
    desk.last = sent
    desk.accepts(80)
    assert desk.at(80) == ["cancel stop"]
    assert isinstance(desk.last[0], CancelOrder)
    assert desk.last[0].intent_id == "i"
    assert desk.at(90) == []


@pytest.mark.parametrize("refusal", [Refusal.NOT_FOUND, Refusal.MARKET_CLOSED, Refusal.OTHER])
def test_leaves_protection_of_a_position_the_venue_does_not_close_alone(refusal: Refusal) -> None:
    desk = Desk(account((ES, 2), orders=(order("stop", SELL, 2),)))
    desk.at(0)
    desk.in_flight.learned(ActionRejected("1", desk.last[0].id, refusal, "", 0, S + 80 * MS))
    assert desk.at(81) == []


def test_leaves_protection_of_a_position_opened_after_the_close_alone() -> None:
    desk = Desk(account((ES, 2)))
    assert desk.at(0) == ["close EP"]
    desk.accepts(80)
    desk.state = account()
    assert desk.at(100) == []
    desk.state = account((ES, 2), orders=(order("stop", SELL, 2),))
    assert [each for each in desk.at(150) if each.startswith("cancel")] == []


def test_leaves_protection_alone_once_the_effect_of_the_close_is_overdue() -> None:
    desk = Desk(account((ES, 2)))
    desk.at(0)
    desk.accepts(80)
    desk.state = account((ES, 2), orders=(order("stop", SELL, 2),))
    assert desk.at(80 + 2_000) == ["close EP"]


def test_leaves_protection_alone_while_it_is_not_known_what_became_of_the_close() -> None:
    desk = Desk(account((ES, 2), orders=(order("stop", SELL, 2),)))
    desk.at(0)
    desk.accepts(80, unknown=True)
    assert desk.at(81) == []


def test_leaves_protection_of_what_was_added_since_the_close_alone() -> None:
    desk = Desk(account((ES, 2), orders=(order("stop", SELL, 2),)))
    desk.at(0)
    desk.accepts(80)
    desk.state = account((ES, 3), orders=(order("stop", SELL, 2),))
    assert desk.at(260) == ["close EP"]


def test_never_cancels_the_order_a_close_became() -> None:
    market = msgspec.structs.replace(order("own", SELL, 2), type=OrderType.MARKET)
    desk = Desk(account((ES, 2), orders=(market,)))
    desk.at(0)
    desk.accepts(80)
    assert desk.at(81) == []


def test_closes_when_the_cancels_have_taken_500_ms() -> None:
    desk = Desk(account((ES, 2), orders=(order("add", BUY, 1),)))
    assert desk.at(0) == ["cancel add"]
    assert desk.at(499) == []
    assert desk.at(500) == ["close EP"]


def test_does_not_let_ever_new_orders_hold_up_the_close() -> None:
    """One order every 100 ms, each cancel unanswered when the next comes."""
    desk = Desk(account((ES, 2)))
    sent = []
    for ms in range(0, 600, 100):
        desk.state.orders[f"add{ms}"] = order(f"add{ms}", BUY, 1)
        sent += desk.at(ms)
    assert sent[:5] == [f"cancel add{ms}" for ms in range(0, 500, 100)]
    assert sent[5:] == ["close EP", "cancel add500"]


def test_closes_at_once_and_first_when_there_are_too_many_orders() -> None:
    eight = tuple(order(f"{count}", BUY, 1) for count in range(8))
    assert Desk(account((ES, 2), orders=eight)).at(0) == [f"cancel {count}" for count in range(8)]
    nine = (*eight, order("8", BUY, 1))
    assert Desk(account((ES, 2), orders=nine)).at(0) == ["close EP", *(f"cancel {count}" for count in range(9))]


def test_waits_for_the_orders_of_the_same_contract_only() -> None:
    desk = Desk(account((ES, 2), (NQ, -1), orders=(order("add", BUY, 1),)))
    assert desk.at(0) == ["close ENQ", "cancel add"]


def test_skips_suspended_children_of_a_working_order() -> None:
    child = order("child", SELL, 1, status=OrderStatus.SUSPENDED, parent_id="entry")
    desk = Desk(account(orders=(order("entry", BUY, 1), child)))
    assert desk.at(0) == ["cancel entry"]
    desk.accepts(50)
    del desk.state.orders["entry"]
    assert desk.at(60) == ["cancel child"], "an orphan that stayed behind"


def test_closes_when_a_closed_market_is_quoted_again() -> None:
    desk = Desk(account((ES, 2)))
    for second in range(11):
        assert desk.at(1000 * second) == ["close EP"]
        for close in desk.last:
            at_ns = S + second * S
            desk.in_flight.learned(ActionRejected("1", close.id, Refusal.MARKET_CLOSED, "", 0, at_ns))
    assert desk.at(11_400) == []
    desk.state.on_quote(QuoteUpdated("1", Quote(ES.id, 1, 2, None, 0), 0, S + 11_500 * MS))
    assert desk.at(11_500) == ["close EP"]


def test_sends_one_close_however_many_goals_want_it() -> None:
    goals: list[tuple[str, Goal]] = [
        ("reduce", SizesAtMost((AtMost(ES.id, 1),))),
        ("flat", Flat(ACCOUNT)),
        ("also", Flat(ACCOUNT)),
    ]
    desk = Desk(account((ES, 5)), goals)
    assert desk.at(0) == ["close EP"]
    (close,) = desk.last
    assert isinstance(close, ClosePosition)
    assert close.intent_id == "flat"
    assert desk.at(1) == []


def test_does_not_keep_a_close_waiting_for_a_reduction() -> None:
    desk = Desk(account((ES, 5)), [("r", SizesAtMost((AtMost(ES.id, 3),)))])
    assert desk.at(0) == ["reduce EP by 2"]
    desk.goals = [*desk.goals, *FLAT]
    assert desk.at(5) == ["close EP"]
    desk.goals = desk.goals[:1]
    assert desk.at(10) == [], "but a reduction waits for both"


def test_repeats_a_close_that_was_accepted_and_did_nothing() -> None:
    desk = Desk(account((ES, 5)))
    assert desk.at(0) == ["close EP"]
    desk.accepts(100)
    assert desk.at(2099) == []
    assert desk.wake_ms == 2100
    assert desk.at(2100) == ["close EP"]


def test_reduces_by_exactly_the_excess_and_only_once() -> None:
    desk = Desk(account((ES, -5)), [("r", SizesAtMost((AtMost(ES.id, 3),)))])
    assert desk.at(0) == ["reduce EP by 2"]
    desk.accepts(50)
    assert desk.at(20_000) == []
    for requested_ms in (20_000, 20_400):
        desk.in_flight.saw_snapshot(S + requested_ms * MS, frozenset())
    assert desk.at(20_500) == ["reduce EP by 2"]


def test_does_not_repeat_a_reduction_nobody_answered() -> None:
    desk = Desk(account((ES, 5)), [("r", SizesAtMost((AtMost(ES.id, 3),)))])
    assert desk.at(0) == ["reduce EP by 2"]
    assert desk.at(10_000) == []
    for requested_ms in (10_100, 10_500):
        desk.in_flight.saw_snapshot(S + requested_ms * MS, frozenset())
    assert desk.at(16_999) == []
    assert desk.at(17_000) == ["reduce EP by 2"]


def test_closes_everything_after_three_unknown_reductions() -> None:
    desk = Desk(account((ES, 5)), [("r", SizesAtMost((AtMost(ES.id, 3),)))])
    for start_ms in (0, 10_000, 20_000):
        assert desk.at(start_ms) == ["reduce EP by 2"]
        desk.accepts(start_ms + 100, unknown=True)
        for requested_ms in (200, 600):
            desk.in_flight.saw_snapshot(S + (start_ms + requested_ms) * MS, frozenset())
    assert desk.at(27_099) == [], "the third may still be executed"
    assert desk.at(27_100) == ["close EP"]


def test_does_not_reduce_what_may_not_be_there() -> None:
    state = account((ES, 5))
    state.holdings[ES.id].unsettled_ns = 1
    state.holdings[ES.id].filled_net = 3
    desk = Desk(state, [("r", SizesAtMost((AtMost(ES.id, 3),)))])
    assert desk.at(0) == []
    desk.goals = [("r", SizesAtMost((AtMost(ES.id, 1),)))]
    assert desk.at(1) == ["reduce EP by 2"], "3 are certain"
    desk.goals = FLAT
    assert desk.at(2) == ["close EP"], "a close has no size that could be wrong"


@pytest.mark.parametrize(("left", "sent"), [(3, []), (2, ["reduce EP by 1"])])
def test_a_part_of_a_reduction_is_not_the_whole_of_it(left: int, sent: list[str]) -> None:
    """The fills say 4, the venue's last word 6: of the 2 that are certainly too many one has gone, then the other."""
    state = account((ES, 6))
    state.holdings[ES.id].unsettled_ns = 1
    state.holdings[ES.id].filled_net = 4
    desk = Desk(state, [("r", SizesAtMost((AtMost(ES.id, 2),)))])
    assert desk.at(0) == ["reduce EP by 2"]
    desk.accepts(50)
    state.holdings[ES.id].unsettled_ns = None
    state.holdings[ES.id].net_contracts = left
    desk.goals = [("r", SizesAtMost((AtMost(ES.id, 1),)))]
    assert desk.at(300) == sent


def test_cancels_again_what_still_works() -> None:
    desk = Desk(account(orders=(order("add", BUY, 1),)))
    assert desk.at(0) == ["cancel add"]
    desk.accepts(100)
    assert desk.at(2099) == []
    assert desk.at(2100) == ["cancel add"]


def test_derives_action_ids_from_the_decision() -> None:
    desk = Desk(account((ES, 1), (NQ, 1)))
    desk.at(0)
    assert [action.id for action in desk.last] == ["1.1", "1.2"]
    assert all(msgspec.structs.asdict(action)["intent_id"] == "i" for action in desk.last)

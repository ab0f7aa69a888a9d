"""Orders that show themselves only after what they belonged to was closed."""

import pytest
from msgspec.structs import replace

from risk_manager.domain.actions import CancelOrder, ClosePosition, TakeSnapshot
from risk_manager.domain.events import ActionAccepted, OrderUpdated
from risk_manager.domain.finding import AtMost, Unit
from risk_manager.domain.intent import Closed, Flat, Goal, Intent, IntentState, SizesAtMost
from risk_manager.domain.order import OrderStatus, Side
from risk_manager.domain.scope import ACCOUNT, Scope
from risk_manager.enforcement.pacing import Pacing
from risk_manager.enforcement.sweeps import Sweeps
from risk_manager.engine import Mode
from risk_manager.rules import build_rules
from risk_manager.testing.events import ES, MNQ
from risk_manager.testing.guarded import Guarded
from tests.enforcement.situations import S, account, order

TWO_AT_MOST = {"max_contracts": {"limit": 2, "action": "flatten"}}


class Closing(Guarded):
    """Three contracts were bought, with an order around them that nobody told of; they have been closed, and proven so.

    Attributes:
        hidden: the order.
    """

    def __init__(self, mode: Mode = Mode.ENFORCE) -> None:
        super().__init__(*build_rules(TWO_AT_MOST), mode=mode)
        self.hidden = self.venue.order(ES, Side.SELL, 1, stop=4990)
        self.venue.orders.clear()
        self.feed(self.venue.buys(ES, 3, 5000))
        closes = [action for action in self.actions if isinstance(action, ClosePosition)]
        self.feed(self.venue.closes(ES, 5000))
        for close in closes:
            self.feed(ActionAccepted("1001", close.id, 0, self.venue.now_ns))
        self.reads(0.1)
        self.reads(0.5)
        self.forget()

    def reads(self, after_s: float) -> None:
        """Time passes, and the account is read."""
        self.feed(self.venue.timer(after_s))
        self.feed(self.venue.snapshot())

    def tells(self, event: OrderUpdated) -> None:
        """An order is told of now, whenever it was made."""
        self.venue.orders[event.order.id] = event.order
        self.feed(replace(event, received_ns=self.venue.now_ns))

    @property
    def cancelled(self) -> list[str]:
        return [action.order_id for action in self.actions if isinstance(action, CancelOrder)]


def test_cancels_an_order_that_is_older_than_the_close() -> None:
    closing = Closing()
    closing.venue.wait(1.5)
    closing.tells(closing.hidden)
    (breach,) = closing.breaches
    assert (breach.rule, breach.code) == ("max_contracts", "ORPHANED_ORDERS")
    assert (breach.measured, breach.limit, breach.unit) == (1, 0, Unit.ORDERS)
    assert closing.cancelled == [closing.hidden.order.id]


def test_proves_it_gone_like_everything_else() -> None:
    closing = Closing()
    closing.tells(closing.hidden)
    closing.venue.orders.clear()
    closing.feed(
        replace(closing.hidden, order=replace(closing.hidden.order, status=OrderStatus.CANCELLED, updated_ns=1 << 62))
    )
    for _ in range(3):
        closing.reads(3)
    states = [intent.state for decision in closing.decisions for intent in decision.intents]
    assert states == [IntentState.OPEN, IntentState.VERIFIED]


def test_leaves_the_trader_s_new_orders_alone() -> None:
    closing = Closing()
    closing.venue.wait(1.5)
    closing.tells(closing.venue.order(ES, Side.BUY, 1, limit=4980))
    assert closing.cancelled == []


def test_an_old_stop_may_stay_while_it_protects_a_new_position() -> None:
    closing = Closing()
    closing.feed(closing.venue.buys(ES, 1, 5000))
    closing.tells(closing.hidden)
    assert closing.cancelled == []
    closing.feed(closing.venue.closes(ES, 5000))
    assert closing.cancelled == [closing.hidden.order.id]


@pytest.mark.parametrize("is_restarted", [False, True])
def test_reads_the_account_after_2_10_and_60_seconds_and_then_it_is_over(*, is_restarted: bool) -> None:
    closing = Closing()
    asked = []
    for second in range(1, 90):
        if is_restarted:
            closing.restart()
        closing.forget()
        closing.feed(closing.venue.timer(1))
        if any(isinstance(action, TakeSnapshot) for action in closing.actions):
            asked.append(second)
            closing.feed(closing.venue.snapshot())
    # The close was seen some 0.6 s before the first of these seconds.
    assert asked == [2, 10, 60]
    closing.tells(closing.hidden)
    assert closing.cancelled == []


def test_goes_on_until_the_account_could_be_read() -> None:
    closing = Closing()
    closing.venue.wait(300)
    closing.tells(closing.hidden)
    assert closing.cancelled == [closing.hidden.order.id]


def test_does_nothing_where_it_only_watches() -> None:
    closing = Closing(Mode.OBSERVE)
    closing.tells(closing.hidden)
    assert closing.actions == []


# -- the sweeps themselves ------------------------------------------------------------------------------------------


def intent(goal: Goal, code: str = "LIMIT") -> Intent:
    return Intent("i", "1001", "2025-01-15", "r", code, ACCOUNT, goal, IntentState.OPEN, 3, 2, Unit.CONTRACTS, 3, 0, 0)


ON_ES = Scope(contract_id=ES.id)


@pytest.mark.parametrize(
    ("goal", "code", "expected"),
    [
        (Flat(ACCOUNT), "LIMIT", ["es", "mnq"]),
        (Closed(ON_ES, ("p",), 5), "LIMIT", ["es"]),
        (SizesAtMost((AtMost(ES.id, 0),)), "LIMIT", []),
        (Closed(ACCOUNT, (), 5), "ORPHANED_ORDERS", []),
    ],
)
def test_sweeps_where_something_was_closed(goal: Goal, code: str, expected: list[str]) -> None:
    sweeps = Sweeps(Pacing())
    sweeps.begin(intent(goal, code), 10, S)
    old = (order("es", Side.SELL, 1, created_ns=10), order("mnq", Side.SELL, 1, MNQ, created_ns=9))
    new = (order("new", Side.SELL, 1, created_ns=11),)
    found = list(sweeps.found(account(orders=(*old, *new)), known=()))
    assert [breach.evidence[0][1] for breach, _ in found] == ([",".join(expected)] if expected else [])


def test_says_nothing_of_orders_that_go_anyway() -> None:
    sweeps = Sweeps(Pacing())
    sweeps.begin(intent(Flat(ACCOUNT)), 10, S)
    assert list(sweeps.found(account(orders=(order("es", Side.SELL, 1, created_ns=10),)), known={"es"})) == []


def test_a_later_close_begins_anew() -> None:
    sweeps = Sweeps(Pacing())
    sweeps.begin(intent(Flat(ACCOUNT)), 10, 0)
    sweeps.saw_snapshot(3 * S)
    assert sweeps.next_look_ns() == 10 * S
    sweeps.begin(intent(Flat(ACCOUNT)), 20, 4 * S)
    assert sweeps.next_look_ns() == 6 * S
    assert len(sweeps.memory) == 1


def test_follows_a_clock_that_was_set() -> None:
    sweeps = Sweeps(Pacing())
    sweeps.begin(intent(Flat(ACCOUNT)), 10, 100 * S)
    sweeps.shift(-40 * S)
    assert sweeps.next_look_ns() == 62 * S
    sweeps.saw_snapshot(120 * S)
    assert not sweeps

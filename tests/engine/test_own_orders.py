"""Which orders are the guard's own: what its closes became at a venue that does not say so."""

import msgspec
import pytest

from risk_manager.domain.actions import ClosePosition, ReducePosition
from risk_manager.domain.events import ActionAccepted, ActionRejected, ActionUnknown, Event, FillReceived, Refusal
from risk_manager.domain.fill import Fill
from risk_manager.domain.order import Order, OrderStatus, OrderType, Side
from risk_manager.engine import Engine
from risk_manager.engine.own_orders import EFFECT_NS, LATE_NS, SKEW_NS, UNANSWERED_NS, OwnClose, OwnOrders
from risk_manager.rules import RULES, DailyRealizedLoss, MaxContracts, MaxContractsPerInstrument, build_rule
from risk_manager.testing.events import DAY_NS, ES, MNQ, SECOND_NS, micros
from risk_manager.testing.guarded import Guarded
from tests.engine.model_venue import Fate, Script, World

MS = 1_000_000
BUY, SELL = Side.BUY, Side.SELL


def closing(net: int = 3) -> Guarded:
    """An account whose position the guard is closing: long or short three contracts that lost too much."""
    guarded = Guarded(DailyRealizedLoss(limit_micros=micros(500)))
    move = guarded.venue.buys if net > 0 else guarded.venue.sells
    guarded.feed(move(ES, abs(net), 5000))
    guarded.feed(guarded.venue.quote(ES, 4900 if net > 0 else 5100))
    assert isinstance(guarded.actions[0], ClosePosition)
    return guarded


def action_id(guarded: Guarded) -> str:
    return next(one.id for one in guarded.actions if isinstance(one, ClosePosition | ReducePosition))


def accepted(guarded: Guarded) -> ActionAccepted:
    now_ns = guarded.venue._tick()
    return ActionAccepted("1001", action_id(guarded), now_ns, now_ns)


def refused(guarded: Guarded) -> ActionRejected:
    now_ns = guarded.venue._tick()
    return ActionRejected("1001", action_id(guarded), Refusal.NOT_FOUND, "no position", now_ns, now_ns)


def executed(
    guarded: Guarded, side: Side, size: int, *, order: str = "m1", after_ns: int = MS, key: str = ""
) -> FillReceived:
    """A fill of some order, so long after now."""
    guarded.venue.now_ns += after_ns
    at_ns = guarded.venue.now_ns
    fill = Fill(key or f"f-{order}-{at_ns}", order, ES.id, side, size, 19_600, at_ns, -1)
    return FillReceived("1001", fill, at_ns, at_ns)


def own(guarded: Guarded) -> set[str]:
    return set(guarded.engine.account.guard_order_ids)


@pytest.mark.parametrize(("net", "side"), [(3, SELL), (-3, BUY)])
def test_recognizes_the_order_a_close_becomes(net: int, side: Side) -> None:
    guarded = closing(net)
    guarded.feed(accepted(guarded), executed(guarded, side, 3))
    assert own(guarded) == {"m1"}
    account = guarded.engine.account
    assert [order.is_enforced for order in account.filled_orders] == [False, True]
    assert [turn.is_enforced for turn in account.round_turns] == [True]


def test_it_may_fill_in_parts_and_before_the_answer_comes() -> None:
    guarded = closing()
    guarded.feed(executed(guarded, SELL, 2), executed(guarded, SELL, 1), accepted(guarded))
    assert own(guarded) == {"m1"}


def test_recognizes_a_reduction_by_its_size() -> None:
    guarded = Guarded(MaxContracts(limit=2))
    guarded.feed(guarded.venue.buys(ES, 3, 5000))
    assert [one.size for one in guarded.actions if isinstance(one, ReducePosition)] == [1]
    guarded.feed(accepted(guarded), executed(guarded, SELL, 1, order="cut"))
    guarded.feed(executed(guarded, SELL, 1, order="exit"))
    assert own(guarded) == {"cut"}
    assert [order.is_enforced for order in guarded.engine.account.filled_orders] == [False, True, False]


def test_counts_what_has_filled_of_a_reduction() -> None:
    guarded = Guarded(MaxContracts(limit=2))
    guarded.feed(guarded.venue.buys(ES, 5, 5000))
    (reduction,) = [one for one in guarded.actions if isinstance(one, ReducePosition)]
    counted = []
    for side, order in ((SELL, "cut"), (BUY, "entry"), (SELL, "cut"), (SELL, "exit"), (SELL, "cut")):
        guarded.feed(executed(guarded, side, 1, order=order))
        counted.append(guarded.engine.account.executed_contracts(reduction))
    assert counted == [1, 1, 2, 3, 3]
    restored = Engine.restore(guarded.settings, guarded.engine.snapshot())
    assert restored.account.executed_contracts(reduction) == 3


def test_an_order_of_exactly_a_requests_size_is_that_requests() -> None:
    """The first request met a position that had just been turned round, and became an order of the other side."""
    fills = [Fill("f", "cut", ES.id, SELL, 1, 20_000, 300, None)]
    for sizes, counted in (((3, 1), (0, 1)), ((1, 3), (1, 0)), ((3, 2), (1, 0)), ((1, 1), (1, 0))):
        orders = OwnOrders()
        for number, size in enumerate(sizes):
            orders.asked(OwnClose(f"a{number}", ES.id, SELL, size, 100 * (number + 1), 1_000), ())
        assert orders.judge(ES.id, fills, 400)
        assert tuple(orders.executed_contracts(ES.id, f"a{number}") for number in range(2)) == counted


@pytest.mark.parametrize(
    ("side", "size", "is_own"),
    [
        (SELL, 3, True),
        (SELL, 1, True),
        (SELL, 4, False),  # more than was asked for: it turned the position round
        (BUY, 3, False),  # a close does not add
    ],
)
def test_judges_by_side_and_size(side: Side, size: int, is_own: bool) -> None:
    guarded = closing()
    guarded.feed(accepted(guarded), executed(guarded, side, size))
    assert own(guarded) == ({"m1"} if is_own else set())


def test_a_close_is_of_no_more_contracts_than_were_held() -> None:
    guarded = closing()
    guarded.feed(accepted(guarded), executed(guarded, SELL, 3), executed(guarded, SELL, 3, order="m2"))
    assert own(guarded) == {"m1"}


@pytest.mark.parametrize(("after_ns", "is_own"), [(EFFECT_NS, True), (EFFECT_NS + 1, False)])
def test_an_accepted_close_fills_soon(after_ns: int, is_own: bool) -> None:
    guarded = closing()
    guarded.feed(accepted(guarded))
    guarded.feed(executed(guarded, SELL, 3, after_ns=after_ns))
    assert own(guarded) == ({"m1"} if is_own else set())


@pytest.mark.parametrize(("is_late", "is_own"), [(False, True), (True, False)])
def test_an_unanswered_one_may_take_longer(is_late: bool, is_own: bool) -> None:
    guarded = closing()
    sent_ns = guarded.engine.account.now_ns
    guarded.feed(ActionUnknown("1001", action_id(guarded), "timeout", 0, guarded.venue._tick()))
    guarded.venue.now_ns = sent_ns + UNANSWERED_NS
    guarded.feed(executed(guarded, SELL, 3, after_ns=1 if is_late else 0))
    assert own(guarded) == ({"m1"} if is_own else set())


@pytest.mark.parametrize("is_answer_first", [True, False])
def test_a_refused_close_has_become_nothing(is_answer_first: bool) -> None:
    """The trader was quicker: the venue found no position, and the exit is the trader's."""
    guarded = closing()
    events: list[Event] = [executed(guarded, SELL, 3), refused(guarded)]
    guarded.feed(reversed(events) if is_answer_first else events)
    assert own(guarded) == set()
    assert [turn.is_enforced for turn in guarded.engine.account.round_turns] == [False]


def _order(guarded: Guarded, **changes: object) -> Order:
    now_ns = guarded.venue.now_ns
    order = Order("m1", ES.id, SELL, OrderType.MARKET, OrderStatus.FILLED, 3, 3, created_ns=now_ns, updated_ns=now_ns)
    return msgspec.structs.replace(order, **changes)


@pytest.mark.parametrize(
    ("changes", "is_own"),
    [
        ({}, True),
        ({"type": OrderType.UNKNOWN}, True),
        ({"type": OrderType.STOP}, False),
        ({"type": OrderType.LIMIT}, False),
        ({"tag": "mine"}, False),
        ({"parent_id": "7"}, False),
        ({"created_ns": 1}, False),
    ],
)
@pytest.mark.parametrize("is_order_first", [True, False])
def test_an_order_known_to_be_the_traders_is_not_taken(
    changes: dict[str, object], is_own: bool, is_order_first: bool
) -> None:
    guarded = closing()
    guarded.feed(accepted(guarded))
    event = guarded.venue.order(ES, SELL, 3, order_id="m1", status=OrderStatus.FILLED, filled=3)
    seen = msgspec.structs.replace(event, order=_order(guarded, **changes))
    burst: list[Event] = [executed(guarded, SELL, 3), seen]
    guarded.feed(reversed(burst) if is_order_first else burst)
    assert own(guarded) == ({"m1"} if is_own else set())


def test_a_stop_that_was_resting_before_is_the_traders_exit() -> None:
    guarded = Guarded(DailyRealizedLoss(limit_micros=micros(500)))
    guarded.feed(guarded.venue.buys(ES, 3, 5000), guarded.venue.order(ES, SELL, 3, stop=4890, order_id="stop"))
    guarded.feed(guarded.venue.quote(ES, 4900), executed(guarded, SELL, 3, order="stop"))
    assert own(guarded) == set()


def test_a_fill_that_was_known_before_the_close_is_not_its() -> None:
    guarded = Guarded(DailyRealizedLoss(limit_micros=micros(500)))
    guarded.feed(guarded.venue.buys(ES, 3, 5000), executed(guarded, SELL, 1, order="exit"))
    guarded.feed(guarded.venue.quote(ES, 4900))
    guarded.feed(accepted(guarded), executed(guarded, SELL, 1, order="exit"), executed(guarded, SELL, 1))
    assert own(guarded) == {"m1"}


@pytest.mark.parametrize(("before_ns", "is_own"), [(SKEW_NS, True), (SKEW_NS + 1, False)])
def test_two_clocks_of_the_venue_may_be_apart(before_ns: int, is_own: bool) -> None:
    guarded = Guarded(DailyRealizedLoss(limit_micros=micros(500)))
    guarded.feed(guarded.venue.buys(ES, 3, 5000))
    guarded.venue.wait(5)
    guarded.feed(guarded.venue.quote(ES, 4900))
    fill = executed(guarded, SELL, 3, after_ns=0)
    stamped = msgspec.structs.replace(fill.fill, at_ns=guarded.engine.account.now_ns - before_ns)
    guarded.feed(msgspec.structs.replace(fill, fill=stamped))
    assert own(guarded) == ({"m1"} if is_own else set())


def test_another_contract_is_another_matter() -> None:
    guarded = Guarded(MaxContractsPerInstrument(default_limit=2))
    guarded.feed(guarded.venue.buys(ES, 3, 5000))
    guarded.feed(accepted(guarded))
    guarded.feed(guarded.venue.buys(MNQ, 1, 20000), guarded.venue.sells(MNQ, 1, 20000))
    assert own(guarded) == set()
    guarded.feed(executed(guarded, SELL, 1))
    assert own(guarded) == {"m1"}


@pytest.mark.parametrize("late_ns", [0, LATE_NS, 2 * LATE_NS])
def test_stays_so_and_survives_a_restart(late_ns: int) -> None:
    guarded = closing()
    guarded.feed(accepted(guarded), executed(guarded, SELL, 3))
    guarded.restart()
    assert own(guarded) == {"m1"}
    guarded.venue.now_ns += late_ns
    guarded.feed(executed(guarded, BUY, 1, order="next"))
    guarded.restart()
    assert own(guarded) == {"m1"}
    assert [turn.is_enforced for turn in guarded.engine.account.round_turns] == [True]


def test_is_forgotten_with_its_fills() -> None:
    guarded = closing()
    guarded.feed(accepted(guarded), executed(guarded, SELL, 3), guarded.venue.position(ES, 0))
    assert own(guarded) == {"m1"}
    for _ in range(3):
        guarded.venue.now_ns += DAY_NS
        guarded.feed(guarded.venue.quote(ES, 5000))
    assert own(guarded) == set()
    assert guarded.engine.account._ledger.own.contract_ids == ()


def test_a_fill_voided_and_told_again_leaves_no_trace() -> None:
    guarded = closing()
    fill = executed(guarded, SELL, 3, key="f1")
    guarded.feed(accepted(guarded), fill)
    guarded.feed(msgspec.structs.replace(fill, fill=msgspec.structs.replace(fill.fill, is_voided=True)), fill)
    assert own(guarded) == set()


def test_recognizes_what_was_sent_before_a_crash_that_lost_the_memory_of_it() -> None:
    guarded = Guarded(DailyRealizedLoss(limit_micros=micros(500)))
    guarded.feed(guarded.venue.buys(ES, 3, 5000))
    before = guarded.engine.snapshot()
    guarded.feed(guarded.venue.quote(ES, 4900))
    guarded.engine = Engine.restore(
        guarded.settings,
        before,
        sequence=guarded.engine.sequence,
        lockouts=guarded.lockouts,
        intents=guarded.engine.enforcer.open_intents,
    )
    guarded.feed(executed(guarded, SELL, 3, after_ns=SECOND_NS))
    assert own(guarded) == {"m1"}


@pytest.mark.parametrize(
    "fates", [[], [Fate.UNKNOWN_DONE], [Fate.UNKNOWN_LATE], [Fate.SILENT_DONE], [Fate.REFUSED, Fate.REFUSED]]
)
def test_tells_the_traders_orders_from_its_own_at_an_unkind_venue(fates: list[Fate]) -> None:
    """Four times five contracts in, cut to two by the guard, and out by the trader."""
    rules = (MaxContracts(limit=2), build_rule(RULES["trade_frequency_limit"], {"limits": {"per_session": 50}}))
    world = World(rules, Script(fates, delays_ms=[40, 25, 60, 10, 90]))
    world.run(1)
    for _ in range(4):
        world.trades(ES.id, 5)
        world.run(12)
        world.trades(ES.id, -world.net(ES.id))
        world.run(9)
    account = world.engine.account
    assert [order.is_enforced for order in account.filled_orders] == [False, True, False] * 4
    assert [(turn.size, turn.is_enforced) for turn in account.round_turns] == [(5, False)] * 4
    assert world.engine.gauges()[1][1].used == 8

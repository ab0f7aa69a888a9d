"""Whatever arrives, in whatever order: the engine answers, alike each time, and alike after a restart."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from risk_manager.domain.account import Account
from risk_manager.domain.events import (
    AccountUpdated,
    ActionAccepted,
    ActionRejected,
    ActionUnknown,
    ConnectionChanged,
    Event,
    FillReceived,
    Link,
    OperatorCommand,
    OrderUpdated,
    PositionUpdated,
    QuoteUpdated,
    Refusal,
    RulesChanged,
    SnapshotTaken,
    TimerFired,
)
from risk_manager.domain.fill import Fill
from risk_manager.domain.lockout import OnLock
from risk_manager.domain.order import Order, OrderStatus, OrderType, Side
from risk_manager.domain.position import Position
from risk_manager.domain.quote import Quote
from risk_manager.engine import Engine, EngineSettings
from risk_manager.rules import (
    DailyRealizedLoss,
    DailyUnrealizedLoss,
    MaxContracts,
    MaxContractsPerInstrument,
    SymbolBlocks,
    warned,
)
from risk_manager.rules._base import LockTerms, LockUntil
from risk_manager.rules._stopping import Action
from risk_manager.testing.events import CONTRACTS, DAY_NS, DAYS, ES, MNQ, SECOND_NS, START_NS, micros

ID = "1001"
RULES = (
    warned(DailyRealizedLoss(limit_micros=micros(500)), 50),
    DailyUnrealizedLoss(loss_limit_micros=micros(300)),
    MaxContracts(
        limit=3, include_working_orders=True, lockout=LockTerms(LockUntil.DURATION, 60 * SECOND_NS, OnLock.BLOCK_NEW)
    ),
    MaxContractsPerInstrument(limits={"ES": 2, "MNQ": 4}),
    SymbolBlocks(blocked_symbols=("CL",), close_existing=False),
)
PAUSE = (DailyRealizedLoss(limit_micros=micros(300), action=Action.PAUSE, unlock_if_recovered=True),)
SETTINGS = EngineSettings(ID, DAYS, RULES)

contract_ids = st.sampled_from([ES.id, MNQ.id, "CON.F.US.CLE.H25", "CON.F.US.XX.H25"])
few_ids = st.sampled_from(["1", "2", "3", "4"])
some_ticks = st.none() | st.integers(19_000, 21_000)
at_ns = st.sampled_from([0, START_NS, START_NS + SECOND_NS, START_NS + 50 * SECOND_NS, START_NS + DAY_NS])
some_ns = st.integers(0, 2 * 3600).map(lambda seconds: START_NS + seconds * SECOND_NS)
positions = st.builds(
    Position, contract_ids, st.integers(-5, 5), st.none() | st.integers(-(10**12), 10**12), few_ids, some_ns
)
orders = st.builds(
    Order,
    id=few_ids,
    contract_id=contract_ids,
    side=st.sampled_from(Side),
    type=st.sampled_from(OrderType),
    status=st.sampled_from(OrderStatus),
    size=st.integers(1, 6),
    filled=st.integers(0, 6),
    created_ns=some_ns,
    updated_ns=some_ns,
    parent_id=st.none() | few_ids,
)
fills = st.builds(
    Fill,
    id=few_ids,
    order_id=few_ids,
    contract_id=contract_ids,
    side=st.sampled_from(Side),
    size=st.integers(1, 4),
    price_ticks=some_ticks,
    at_ns=st.sampled_from([START_NS - DAY_NS, START_NS, START_NS + DAY_NS]) | some_ns,
    pnl_micros=st.none() | st.integers(-micros(600), micros(600)),
    fees_micros=st.integers(0, micros(5)),
    is_voided=st.booleans(),
)
accounts = st.builds(Account, st.just(ID), st.just("PRACTICE"), st.integers(0, 10**11), st.booleans())
quotes = st.builds(Quote, contract_ids, some_ticks, some_ticks, some_ticks, at_ns)
action_ids = st.builds(lambda step, index: f"{ID}-{step}.{index}", st.integers(1, 9), st.integers(1, 3))
me, now = st.just(ID), st.just(0)
snapshots = st.builds(
    SnapshotTaken,
    me,
    st.none() | accounts,
    st.none() | st.lists(positions, max_size=3, unique_by=lambda one: one.contract_id).map(tuple),
    st.none() | st.lists(orders, max_size=4, unique_by=lambda one: one.id).map(tuple),
    st.none() | st.lists(fills, max_size=4, unique_by=lambda one: one.id).map(tuple),
    now,
    st.sampled_from([(), CONTRACTS]),
    now,
    at_ns,
    now,
)
events: st.SearchStrategy[Event] = st.one_of(
    st.builds(AccountUpdated, me, accounts, now, now),
    st.builds(PositionUpdated, me, positions, now, now),
    st.builds(OrderUpdated, me, orders, at_ns, now),
    st.builds(FillReceived, me, fills, at_ns, now),
    st.builds(QuoteUpdated, me, quotes, at_ns, now),
    snapshots,
    st.builds(ConnectionChanged, me, st.sampled_from(Link), st.booleans(), st.just("x"), now, now),
    st.builds(ActionAccepted, me, action_ids, now, now),
    st.builds(ActionRejected, me, action_ids, st.sampled_from(Refusal), st.just("no"), now, now),
    st.builds(ActionUnknown, me, action_ids, st.just("timeout"), now, now),
    st.builds(TimerFired, me, now, now),
    st.builds(RulesChanged, me, st.just("2"), now, now),
    st.builds(OperatorCommand, me, st.sampled_from(["flatten", "dance"]), st.just("ann"), now, now),
)
waits_ms = st.sampled_from([0, 1, 10, 250, 400, 2_000, 11_000, -60_000])


@st.composite
def days(draw: st.DrawFn) -> list[Event]:
    """A stream of events with local times; the clock is even set back now and then, and a snapshot takes a while."""
    stream = []
    now_ns = START_NS
    for event in draw(st.lists(events, max_size=40)):
        wait_ms = draw(waits_ms)
        if wait_ms < 0 and not isinstance(event, ConnectionChanged):
            wait_ms = 1
        now_ns += wait_ms * 1_000_000
        changes: dict[str, int] = {"received_ns": now_ns}
        if isinstance(event, SnapshotTaken):
            changes["requested_ns"] = now_ns - draw(st.sampled_from([1, 80, 3_000])) * 1_000_000
        stream.append(msgspec.structs.replace(event, **changes))
    return stream


def said(engine: Engine, stream: list[Event]) -> list[bytes]:
    return [msgspec.json.encode(decision) for decision in map(engine.receive, stream) if decision]


@given(days())
@settings(max_examples=60, deadline=None)
def test_never_raises_and_counts_without_gaps(stream: list[Event]) -> None:
    engine = Engine(SETTINGS)
    decisions = []
    for event in stream:
        decision = engine.receive(event)
        if decision:
            decisions.append(decision)
        engine.next_deadline_ns()
    assert [decision.sequence for decision in decisions] == list(range(1, len(decisions) + 1))
    assert engine.sequence == len(decisions)
    ids = [action.id for decision in decisions for action in decision.actions]
    assert len(ids) == len(set(ids))


@given(days())
@settings(max_examples=40, deadline=None)
def test_decides_alike_each_time(stream: list[Event]) -> None:
    one, other = Engine(SETTINGS), Engine(SETTINGS)
    assert said(one, stream) == said(other, stream)
    assert one.snapshot() == other.snapshot()


@given(days(), st.lists(st.integers(0, 40), min_size=1, max_size=3), st.sampled_from([RULES, PAUSE]))
@settings(max_examples=60, deadline=None)
def test_goes_on_after_a_restart_as_if_never_stopped(stream: list[Event], stops: list[int], rules: tuple) -> None:  # type: ignore[type-arg]
    conf = EngineSettings(ID, DAYS, rules)
    steady, restarted = Engine(conf), Engine(conf)
    for index, event in enumerate(stream):
        if index in stops:
            restarted = Engine.restore(conf, restarted.snapshot())
        assert msgspec.json.encode(restarted.receive(event)) == msgspec.json.encode(steady.receive(event))
        assert restarted.next_deadline_ns() == steady.next_deadline_ns()
    assert restarted.snapshot() == steady.snapshot()


@given(days())
@settings(max_examples=40, deadline=None)
def test_keeps_its_sums_equal_to_what_they_sum(stream: list[Event]) -> None:
    engine = Engine(SETTINGS)
    account = engine.account
    for event in stream:
        engine.receive(event)
        counted = [fill for fill in account.fills if not fill.is_voided]
        assert account.realized_micros == sum(fill.pnl_micros or 0 for fill in counted)
        assert account.fees_micros == sum(fill.fees_micros for fill in counted)
        held = account.holdings.values()
        pending = sum(book.pending_micros for book in account.image().books)
        assert account.unrealized_micros == sum(one.unrealized_micros or 0 for one in held) + pending
        assert account.unpriced == {one.contract_id for one in held if one.unrealized_micros is None}
        assert all(one.net_contracts != 0 and one.certain_contracts <= abs(one.net_contracts) for one in held)
        assert not any(order.status.is_terminal for order in account.orders.values())

"""What holds whatever is done: the same calls tell the same story, and not a micro is lost."""

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from risk_manager.domain.order import OrderStatus, OrderType, Side
from risk_manager.simulator.book import LIMIT_LIKE, STOP_LIKE
from risk_manager.simulator.catalog import listed
from risk_manager.simulator.emissions import Emission
from risk_manager.simulator.exchange import Exchange
from risk_manager.simulator.ledger import open_pnl_micros
from risk_manager.simulator.loss_limits import LossLimits
from risk_manager.simulator.records import PlaceOrder

CONTRACTS = (listed("MNQ", "U26"), listed("ES", "U26"))
IDS = tuple(each.id for each in CONTRACTS)
BALANCE = 1_000_000_000
Step = Callable[[Exchange, int, int], object]

_ticks = st.integers(-40, 40)
_contract = st.sampled_from(IDS)
_side = st.sampled_from(Side)
_size = st.integers(1, 5)


@st.composite
def _quotes(draw: st.DrawFn) -> Step:
    contract_id, bid, spread = draw(_contract), draw(_ticks), draw(st.integers(0, 6))
    return lambda exchange, _, at_ns: exchange.quote(contract_id, bid, bid + spread, at_ns)


@st.composite
def _prints(draw: st.DrawFn) -> Step:
    contract_id, ticks, size = draw(_contract), draw(_ticks), draw(_size)
    return lambda exchange, _, at_ns: exchange.print(contract_id, ticks, size, None, at_ns)


@st.composite
def _orders(draw: st.DrawFn) -> Step:
    side = draw(_side)
    order = PlaceOrder(
        contract_id=draw(_contract),
        type=draw(st.sampled_from(OrderType)),
        side=side,
        size=draw(_size),
        limit_ticks=draw(_ticks),
        stop_ticks=draw(_ticks),
        trail_ticks=draw(st.integers(1, 20)),
        tag=draw(st.none() | st.integers(0, 30).map(str)),
        stop_loss_ticks=draw(st.none() | st.integers(4, 20).map(lambda ticks: -side.sign * ticks)),
        stop_loss_is_trailing=draw(st.booleans()),
        take_profit_ticks=draw(st.none() | st.integers(1, 20).map(lambda ticks: side.sign * ticks)),
    )
    return lambda exchange, account, at_ns: exchange.place(account, order, at_ns)


@st.composite
def _cancels(draw: st.DrawFn) -> Step:
    index = draw(st.integers(0, 30))

    def step(exchange: Exchange, account: int, at_ns: int) -> object:
        orders = exchange.orders(account)
        return exchange.cancel(account, orders[index % len(orders)].id, at_ns) if orders else None

    return step


@st.composite
def _changes(draw: st.DrawFn) -> Step:
    index, size, ticks = draw(st.integers(0, 30)), draw(st.none() | _size), draw(_ticks)

    def step(exchange: Exchange, account: int, at_ns: int) -> object:
        orders = exchange.orders(account)
        if not orders:
            return None
        order_id = orders[index % len(orders)].id
        return exchange.modify(
            account, order_id, at_ns, size=size, limit_ticks=ticks, stop_ticks=ticks, trail_ticks=abs(ticks)
        )

    return step


@st.composite
def _closes(draw: st.DrawFn) -> Step:
    contract_id, size = draw(_contract), draw(st.none() | _size)

    def step(exchange: Exchange, account: int, at_ns: int) -> object:
        if size is None:
            return exchange.close_contract(account, contract_id, at_ns)
        return exchange.partial_close(account, contract_id, size, at_ns)

    return step


@st.composite
def _voids(draw: st.DrawFn) -> Step:
    index = draw(st.integers(0, 30))

    def step(exchange: Exchange, account: int, at_ns: int) -> object:
        fills = exchange.fills(account)
        if fills:
            exchange.void_fill(fills[index % len(fills)].id, at_ns)
        return None

    return step


@st.composite
def _halts(draw: st.DrawFn) -> Step:
    contract_id, is_halted = draw(_contract), draw(st.booleans())
    return lambda exchange, _, at_ns: exchange.set_halted(contract_id, is_halted, at_ns)


@st.composite
def _interventions(draw: st.DrawFn) -> Step:
    """What the venue does by itself: a pause, a lock-out, a liquidation, a limit on losses."""
    contract_id, what, later_ns = draw(_contract), draw(st.integers(0, 3)), draw(st.integers(1, 9_000_000))

    def step(exchange: Exchange, account: int, at_ns: int) -> object:
        match what:
            case 0:
                exchange.pause(contract_id, at_ns, at_ns + later_ns)
            case 1:
                exchange.lock_out(account, at_ns, at_ns + later_ns)
            case 2:
                exchange.liquidate(account, at_ns)
            case _:
                exchange.limit_losses(account, LossLimits(later_ns, later_ns * 2), at_ns)
        return None

    return step


_steps = st.lists(
    st.one_of(
        _quotes(),
        _quotes(),
        _prints(),
        _orders(),
        _orders(),
        _cancels(),
        _changes(),
        _closes(),
        _voids(),
        _halts(),
        _interventions(),
    ),
    max_size=40,
)


def _run(steps: list[Step], *, partial_fills: bool, fill_delay_ns: int = 0) -> tuple[Exchange, int, list[Emission]]:
    exchange = Exchange(CONTRACTS, partial_fills=partial_fills, seed=7)
    exchange.fill_delay_ns = fill_delay_ns
    told: list[Emission] = []
    exchange.subscribe(told.append)
    account = exchange.open_account(user="trader", name="A", balance_micros=BALANCE)
    for contract_id in IDS:
        exchange.print(contract_id, 0, 1, None, 1)
        exchange.quote(contract_id, 0, 1, 1)
    for index, step in enumerate(steps):
        step(exchange, account, 1_000_000 * (index + 2))
        _check_money(exchange, account)
        _check_orders(exchange, account)
    return exchange, account, told


def _check_money(exchange: Exchange, account_id: int) -> None:
    account = exchange.account(account_id)
    assert account is not None
    fills = [fill for fill in exchange.fills(account_id) if not fill.is_voided]
    costs = sum(fill.fees_micros + fill.commission_micros for fill in fills)
    realized = sum(fill.pnl_micros or 0 for fill in fills)
    assert account.balance_micros - BALANCE == realized - costs
    for contract in CONTRACTS:
        mine = [fill for fill in fills if fill.contract_id == contract.id]
        position = exchange.position(account_id, contract.id)
        assert (0 if position is None else position.net_contracts) == sum(fill.signed_size for fill in mine)
        # Realized plus open profit is the mark-to-market of every fill, at any price, to the micro.
        value = contract.contract.instrument.tick_value_micros
        for mark in (-17, 0, 23):
            marked = sum(fill.signed_size * (mark - fill.price_ticks) * value for fill in mine)
            open_micros = 0 if position is None else open_pnl_micros(position, mark, value)
            assert sum(fill.pnl_micros or 0 for fill in mine) + open_micros == marked


def _check_orders(exchange: Exchange, account_id: int) -> None:
    orders = exchange.orders(account_id)
    assert [order.id for order in orders] == sorted({order.id for order in orders})
    for order in orders:
        assert 0 <= order.filled <= order.size
        assert (order.status is OrderStatus.FILLED) == (order.filled == order.size)
        assert order.created_ns <= order.updated_ns
        if order.status is OrderStatus.WORKING:
            assert order.type not in LIMIT_LIKE or order.limit_ticks is not None
            assert order.type not in STOP_LIKE or order.stop_ticks is not None
    fills = exchange.fills(account_id)
    assert sum(order.filled for order in orders) == sum(fill.size for fill in fills)
    tags = [order.tag for order in orders if order.tag is not None]
    assert len(tags) == len(set(tags))


@settings(max_examples=60, deadline=None)
@given(steps=_steps, partial_fills=st.booleans(), fill_delay_ns=st.sampled_from([0, 0, 1, 2_500_000]))
def test_loses_no_money_and_tells_the_same_story_twice(
    steps: list[Step], partial_fills: bool, fill_delay_ns: int
) -> None:
    exchange, account, told = _run(steps, partial_fills=partial_fills, fill_delay_ns=fill_delay_ns)
    again, account_again, told_again = _run(steps, partial_fills=partial_fills, fill_delay_ns=fill_delay_ns)
    assert told == told_again
    assert exchange.orders(account) == again.orders(account_again)


@settings(max_examples=60, deadline=None)
@given(steps=_steps)
def test_leaves_no_marketable_limit_resting(steps: list[Step]) -> None:
    exchange, account, _ = _run(steps, partial_fills=False)
    # Past every pause there may be.
    exchange.quote(IDS[0], 0, 1, exchange.now_ns + 9_000_000)
    for contract_id in IDS:
        exchange.set_halted(contract_id, False, exchange.now_ns)
        top = exchange.top(contract_id)
        assert top.bid_ticks is not None
        assert top.ask_ticks is not None
        for order in exchange.orders(account):
            if order.contract_id != contract_id or order.status is not OrderStatus.WORKING:
                continue
            if order.type in LIMIT_LIKE:
                assert order.limit_ticks is not None
                is_buy = order.side is Side.BUY
                assert order.limit_ticks < top.ask_ticks if is_buy else order.limit_ticks > top.bid_ticks


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1_000_000))
def test_never_flips_by_two_closes_that_fill_in_parts(seed: int) -> None:
    exchange = Exchange(CONTRACTS, partial_fills=True, seed=seed)
    account = exchange.open_account(user="trader", name="A", balance_micros=BALANCE)
    exchange.quote(IDS[0], 0, 1, 1)
    exchange.place(account, PlaceOrder(IDS[0], OrderType.MARKET, Side.BUY, 5), 1)
    for _ in range(5):
        exchange.quote(IDS[0], 0, 1, 2)
    exchange.close_contract(account, IDS[0], 3)
    exchange.close_contract(account, IDS[0], 3)
    for _ in range(8):
        position = exchange.position(account, IDS[0])
        assert position is None or 0 < position.net_contracts <= 5
        exchange.quote(IDS[0], 0, 1, 4)
    assert exchange.positions(account) == []
    assert all(order.status.is_terminal for order in exchange.orders(account))

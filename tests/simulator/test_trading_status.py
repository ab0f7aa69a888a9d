"""Hours, pauses, lock-outs, rolls and late execution, as the exchange keeps them."""

from datetime import UTC, datetime

import msgspec

from risk_manager.domain.order import OrderStatus, OrderType, Side
from risk_manager.simulator import messages
from risk_manager.simulator.catalog import listed
from risk_manager.simulator.emissions import AccountChanged, Emission
from risk_manager.simulator.exchange import Exchange
from risk_manager.simulator.hours import Phase, TradingHours
from risk_manager.simulator.manners import Manners
from risk_manager.simulator.records import PlaceOrder, RefusalCode, Refused
from tests.simulator.exchange_scene import BALANCE, MNQ, Scene

SECOND_NS = 1_000_000_000
BUY = PlaceOrder(MNQ, OrderType.MARKET, Side.BUY, 1)
UNAVAILABLE = "Trading is currently unavailable. The instrument is not in an active trading status."


def ns(text: str) -> int:
    """An instant given in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND_NS


class Week:
    """An exchange that keeps hours, quoted 1000 to 1001 from a Friday at 20:50 UTC, ten minutes before the close."""

    def __init__(self, manners: Manners | None = None) -> None:
        self.exchange = Exchange([listed("MNQ", "U26")], hours=TradingHours(), manners=manners)
        self.account = self.exchange.open_account(user="trader", name="A", balance_micros=BALANCE)
        self.exchange.quote(MNQ, 1000, 1001, ns("2026-08-21T20:50:00"))

    def buy(self, at: str) -> int | Refused:
        return self.exchange.place(self.account, BUY, ns(at))

    def net(self) -> int:
        position = self.exchange.position(self.account, MNQ)
        return 0 if position is None else position.net_contracts


def text_of(refused: object) -> tuple[RefusalCode, str | None]:
    assert isinstance(refused, Refused)
    return refused.code, refused.message


def test_takes_orders_until_five_minutes_before_the_week_ends() -> None:
    week = Week()
    assert isinstance(week.buy("2026-08-21T20:54:59"), int)
    assert text_of(week.buy("2026-08-21T20:55:00")) == (RefusalCode.REJECTED, UNAVAILABLE)
    assert text_of(week.buy("2026-08-22T12:00:00")) == (RefusalCode.REJECTED, UNAVAILABLE)
    assert isinstance(week.buy("2026-08-23T22:00:00"), int)
    assert week.net() == 2


def test_refuses_to_close_when_it_takes_no_orders() -> None:
    week = Week()
    week.buy("2026-08-21T20:51:00")
    late = ns("2026-08-21T20:56:00")
    assert text_of(week.exchange.close_contract(week.account, MNQ, late)) == (RefusalCode.REJECTED, UNAVAILABLE)
    assert text_of(week.exchange.partial_close(week.account, MNQ, 1, late)) == (RefusalCode.REJECTED, None)
    assert [order.status for order in week.exchange.orders(week.account)[1:]] == [OrderStatus.REJECTED] * 2


def test_fills_what_rests_in_the_last_minutes_but_not_outside_hours() -> None:
    week = Week()
    first, second = (
        week.exchange.place(
            week.account,
            PlaceOrder(MNQ, OrderType.LIMIT, Side.BUY, 1, limit_ticks=ticks),
            ns("2026-08-21T20:51:00"),
        )
        for ticks in (995, 990)
    )
    week.exchange.quote(MNQ, 994, 995, ns("2026-08-21T20:57:00"))
    week.exchange.quote(MNQ, 980, 981, ns("2026-08-21T21:30:00"))
    week.exchange.print(MNQ, 980, 1, None, ns("2026-08-21T21:30:00"))
    orders = week.exchange.orders(week.account)
    assert [(order.id, order.status) for order in orders] == [
        (first, OrderStatus.FILLED),
        (second, OrderStatus.WORKING),
    ]
    week.exchange.quote(MNQ, 980, 981, ns("2026-08-23T22:00:01"))
    assert week.net() == 2


def test_shuts_a_contract_too_that_is_listed_while_closed() -> None:
    week = Week()
    entry = PlaceOrder(MNQ, OrderType.LIMIT, Side.BUY, 1, limit_ticks=995)
    week.exchange.place(week.account, entry, ns("2026-08-21T20:51:00"))
    week.exchange.quote(MNQ, 1000, 1001, ns("2026-08-22T12:00:00"))
    week.exchange.list_contract(listed("MNQ", "U26"))
    week.exchange.quote(MNQ, 990, 991, ns("2026-08-22T12:00:01"))
    assert week.net() == 0


def test_can_say_it_as_an_older_build_or_with_the_apis_own_code() -> None:
    older = Week(Manners(closed_text=messages.OUTSIDE_HOURS))
    assert text_of(older.buy("2026-08-22T12:00:00")) == (RefusalCode.REJECTED, "Outside of trading hours.")
    coded = Week(Manners(closed_code="outside_hours", closed_text=None))
    assert text_of(coded.buy("2026-08-22T12:00:00")) == (RefusalCode.OUTSIDE_HOURS, None)


def test_ends_a_pause_by_itself() -> None:
    scene = Scene()
    stop = scene.place(PlaceOrder(MNQ, OrderType.STOP, Side.BUY, 1, stop_ticks=1010))
    start_ns = scene.at_ns()
    scene.exchange.pause(MNQ, start_ns, start_ns + 5 * SECOND_NS)
    scene.exchange.quote(MNQ, 1020, 1021, start_ns + 5 * SECOND_NS - 1)
    assert text_of(scene.exchange.place(scene.account, BUY, start_ns)) == (RefusalCode.REJECTED, UNAVAILABLE)
    assert scene.order(stop).status is OrderStatus.WORKING
    assert isinstance(scene.exchange.place(scene.account, BUY, start_ns + 5 * SECOND_NS), int)
    assert scene.fill_price(stop) == 1021


def test_a_pause_does_not_end_a_halt_ordered_after_it() -> None:
    scene = Scene()
    start_ns = scene.at_ns()
    scene.exchange.pause(MNQ, start_ns, start_ns + SECOND_NS)
    scene.exchange.set_halted(MNQ, True, start_ns)
    refused = scene.exchange.place(scene.account, BUY, start_ns + 2 * SECOND_NS)
    assert text_of(refused) == (RefusalCode.REJECTED, UNAVAILABLE)


def test_a_pause_lasts_as_long_as_the_longest_of_several_and_a_halt_besides() -> None:
    scene = Scene()
    start_ns = scene.at_ns()
    for seconds in (2, 3, 1):
        scene.exchange.pause(MNQ, start_ns, start_ns + seconds * SECOND_NS)
    scene.exchange.set_halted(MNQ, True, start_ns)
    scene.exchange.set_halted(MNQ, False, start_ns + SECOND_NS)
    assert isinstance(scene.exchange.place(scene.account, BUY, start_ns + 3 * SECOND_NS - 1), Refused)
    assert isinstance(scene.exchange.place(scene.account, BUY, start_ns + 3 * SECOND_NS), int)


def test_stops_taking_orders_early_and_then_ends_the_session() -> None:
    week = Week(Manners(orders_expire=True))
    entries = [PlaceOrder(MNQ, OrderType.LIMIT, Side.BUY, 1, limit_ticks=ticks) for ticks in (995, 900)]
    for entry in entries:
        week.exchange.place(week.account, entry, ns("2026-08-21T20:51:00"))
    week.exchange.curb_session(Phase.LAST_MINUTES, True, ns("2026-08-21T20:52:00"))
    assert text_of(week.buy("2026-08-21T20:52:00")) == (RefusalCode.REJECTED, UNAVAILABLE)
    week.exchange.quote(MNQ, 994, 995, ns("2026-08-21T20:52:01"))
    week.exchange.curb_session(Phase.CLOSED, True, ns("2026-08-21T20:52:02"))
    week.exchange.curb_session(Phase.LAST_MINUTES, False, ns("2026-08-21T20:52:03"))
    week.exchange.quote(MNQ, 899, 900, ns("2026-08-21T20:52:04"))
    assert [order.status for order in week.exchange.orders(week.account)[::2]] == [
        OrderStatus.FILLED,
        OrderStatus.REJECTED,
    ]
    assert week.exchange.orders(week.account)[1].status is OrderStatus.EXPIRED
    week.exchange.curb_session(Phase.CLOSED, False, ns("2026-08-21T20:52:05"))
    assert isinstance(week.buy("2026-08-21T20:52:06"), int)
    # The hours go on meanwhile.
    week.exchange.curb_session(Phase.CLOSED, True, ns("2026-08-21T20:54:00"))
    week.exchange.curb_session(Phase.CLOSED, False, ns("2026-08-22T12:00:00"))
    assert isinstance(week.buy("2026-08-22T12:00:01"), Refused)


def test_a_lockout_ends_by_itself_and_says_so() -> None:
    scene = Scene()
    start_ns = scene.at_ns()
    scene.exchange.lock_out(scene.account, start_ns, start_ns + SECOND_NS, reason="TradeClock")
    text = "Your account is locked out: TradeClock. Please wait until your lockout expires."
    refused = scene.exchange.place(scene.account, BUY, start_ns + SECOND_NS - 1)
    assert text_of(refused) == (RefusalCode.VIOLATION, text)
    assert isinstance(scene.exchange.place(scene.account, BUY, start_ns + SECOND_NS), int)
    changes = [each for each in scene.told if isinstance(each, AccountChanged)]
    assert [(each.account.can_trade, each.at_ns - start_ns) for each in changes[:2]] == [(False, 0), (True, SECOND_NS)]


def test_a_later_block_outlives_the_lockout_before_it() -> None:
    scene = Scene()
    start_ns = scene.at_ns()
    scene.exchange.lock_out(scene.account, start_ns, start_ns + SECOND_NS)
    scene.exchange.set_can_trade(scene.account, False, start_ns)
    assert isinstance(scene.exchange.place(scene.account, BUY, start_ns + 2 * SECOND_NS), Refused)


def test_rolls_to_another_month_while_it_runs() -> None:
    old, new = listed("MNQ", "U26"), listed("MNQ", "Z26")
    exchange = Exchange([old])
    account = exchange.open_account(user="trader", name="A", balance_micros=BALANCE)
    order = PlaceOrder(new.id, OrderType.LIMIT, Side.BUY, 1, limit_ticks=900)
    assert exchange.place(account, order, 1) == Refused(RefusalCode.CONTRACT_NOT_FOUND)
    exchange.list_contract(new)
    assert isinstance(exchange.place(account, order, 1), int)
    assert isinstance(exchange.place(account, msgspec.structs.replace(order, contract_id=old.id), 1), int)
    exchange.list_contract(listed("MNQ", "U26", is_active=False))
    late = exchange.place(account, msgspec.structs.replace(order, contract_id=old.id), 1)
    assert late == Refused(RefusalCode.CONTRACT_NOT_ACTIVE)
    assert [each.contract.is_active for each in exchange.contracts.values()] == [False, True]


def test_executes_late_what_it_took_at_once() -> None:
    scene = Scene()
    scene.exchange.fill_delay_ns = 2 * SECOND_NS
    start_ns = scene.at_ns()
    order_id = scene.exchange.place(scene.account, BUY, start_ns)
    assert isinstance(order_id, int)
    scene.exchange.quote(MNQ, 1004, 1005, start_ns + SECOND_NS)
    assert (scene.order(order_id).status, scene.net) == (OrderStatus.PENDING, 0)
    scene.exchange.quote(MNQ, 1010, 1011, start_ns + 2 * SECOND_NS)
    # It took the quote of its own moment, before the new one.
    assert (scene.fill_price(order_id), scene.net) == (1005, 1)


def test_says_yes_to_a_close_and_holds_the_position_for_a_while() -> None:
    scene = Scene()
    scene.buy(2)
    scene.exchange.fill_delay_ns = SECOND_NS
    start_ns = scene.at_ns()
    assert scene.exchange.close_contract(scene.account, MNQ, start_ns) is None
    assert scene.net == 2
    scene.exchange.quote(MNQ, 1000, 1001, start_ns + SECOND_NS)
    assert scene.net == 0


def test_does_not_execute_what_was_cancelled_on_its_way() -> None:
    scene = Scene()
    scene.exchange.fill_delay_ns = SECOND_NS
    start_ns = scene.at_ns()
    order_id = scene.exchange.place(scene.account, BUY, start_ns)
    assert isinstance(order_id, int)
    assert scene.exchange.cancel(scene.account, order_id, start_ns) is None
    scene.exchange.quote(MNQ, 1000, 1001, start_ns + 2 * SECOND_NS)
    assert (scene.order(order_id).status, scene.net) == (OrderStatus.CANCELLED, 0)


def test_tells_in_order_what_falls_due_in_one_jump_of_time() -> None:
    scene = Scene()
    told: list[Emission] = []
    start_ns = scene.at_ns()
    scene.exchange.lock_out(scene.account, start_ns, start_ns + 3 * SECOND_NS)
    other = scene.exchange.open_account(user="trader", name="B", balance_micros=BALANCE)
    scene.exchange.lock_out(other, start_ns, start_ns + 2 * SECOND_NS)
    scene.exchange.subscribe(told.append)
    scene.exchange.quote(MNQ, 1000, 1002, start_ns + 9 * SECOND_NS)
    freed = [(each.account_id, each.at_ns - start_ns) for each in told if isinstance(each, AccountChanged)]
    assert freed == [(other, 2 * SECOND_NS), (scene.account, 3 * SECOND_NS)]


def race(manners: Manners) -> tuple[int, list[str]]:
    """A close on its way while the stop of the position fills: what is held after, and how the orders ended."""
    exchange = Exchange([listed("MNQ", "U26")], manners=manners)
    account = exchange.open_account(user="trader", name="A", balance_micros=BALANCE)
    exchange.quote(MNQ, 1000, 1001, SECOND_NS)
    exchange.place(account, msgspec.structs.replace(BUY, size=2), SECOND_NS)
    exchange.place(account, PlaceOrder(MNQ, OrderType.STOP, Side.SELL, 2, stop_ticks=990), SECOND_NS)
    exchange.fill_delay_ns = SECOND_NS
    assert exchange.close_contract(account, MNQ, SECOND_NS) is None
    exchange.quote(MNQ, 989, 990, SECOND_NS + 1)
    exchange.quote(MNQ, 989, 990, 3 * SECOND_NS)
    position = exchange.position(account, MNQ)
    return 0 if position is None else position.net_contracts, [order.status.value for order in exchange.orders(account)]


def test_drops_a_close_whose_position_a_stop_has_taken() -> None:
    assert race(Manners()) == (0, ["filled", "filled", "cancelled"])


def test_can_let_a_close_flip_a_position_that_a_stop_has_taken() -> None:
    assert race(Manners(closes_may_flip=True)) == (-2, ["filled", "filled", "filled"])


def test_replaces_an_account_by_one_like_it() -> None:
    scene = Scene()
    scene.buy(1)
    scene.place(PlaceOrder(MNQ, OrderType.LIMIT, Side.BUY, 1, limit_ticks=900))
    scene.story()
    fresh = scene.exchange.replace_account(scene.account, "PRAC-V2-1-2", BALANCE, scene.at_ns())
    assert scene.story()[0] == "order cancelled"
    assert (scene.net, fresh) == (0, scene.account + 1)
    old, new = scene.exchange.accounts("trader")
    assert (old.can_trade, old.is_visible, old.is_closed) == (False, False, True)
    assert (new.name, new.balance_micros, new.can_trade, new.is_visible) == ("PRAC-V2-1-2", BALANCE, True, True)


def test_ends_what_rests_with_the_session_where_orders_are_for_the_day() -> None:
    week = Week(Manners(orders_expire=True))
    entry = PlaceOrder(MNQ, OrderType.LIMIT, Side.BUY, 1, limit_ticks=900, stop_loss_ticks=-8)
    week.exchange.place(week.account, entry, ns("2026-08-21T20:51:00"))
    week.exchange.quote(MNQ, 1000, 1001, ns("2026-08-21T20:59:59"))
    assert [order.status.value for order in week.exchange.orders(week.account)] == ["working", "suspended"]
    # Nobody looks until the next session: the orders ended with the old one all the same.
    week.exchange.quote(MNQ, 899, 900, ns("2026-08-23T22:00:01"))
    orders = week.exchange.orders(week.account)
    assert [order.status.value for order in orders] == ["expired", "expired"]
    assert [order.updated_ns for order in orders] == [ns("2026-08-21T21:00:00")] * 2
    assert week.net() == 0


def test_keeps_what_rests_over_the_session_by_default() -> None:
    week = Week()
    entry = PlaceOrder(MNQ, OrderType.LIMIT, Side.BUY, 1, limit_ticks=900)
    week.exchange.place(week.account, entry, ns("2026-08-21T20:51:00"))
    week.exchange.quote(MNQ, 899, 900, ns("2026-08-23T22:00:01"))
    assert week.net() == 1


def test_can_take_the_children_along_with_a_position_closed_another_way() -> None:
    exchange = Exchange([listed("MNQ", "U26")], manners=Manners(flat_cancels_children=True))
    account = exchange.open_account(user="trader", name="A", balance_micros=BALANCE)
    exchange.quote(MNQ, 1000, 1001, 1)
    exchange.place(account, msgspec.structs.replace(BUY, size=2, stop_loss_ticks=-8, take_profit_ticks=12), 1)
    exchange.place(account, PlaceOrder(MNQ, OrderType.STOP, Side.SELL, 2, stop_ticks=900), 1)
    exchange.partial_close(account, MNQ, 1, 2)
    assert [order.status.value for order in exchange.orders(account)][1:4] == ["working"] * 3
    exchange.close_contract(account, MNQ, 3)
    assert [order.status.value for order in exchange.orders(account)][1:4] == ["cancelled", "cancelled", "working"]

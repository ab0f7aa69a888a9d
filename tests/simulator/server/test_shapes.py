"""Rows as the venue writes them: keys in order, nulls, exact numbers."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_manager.domain.order import OrderStatus, OrderType, Side
from risk_manager.simulator.emissions import PrintHappened
from risk_manager.simulator.records import SimFill, SimOrder, SimPosition, Top
from risk_manager.simulator.server import shapes
from risk_manager.simulator.server.times import stream_time
from tests.simulator.server.gateway import MNQ, MNQ_ID, NOW_NS, YEN

TOP = Top(
    contract_id=MNQ_ID,
    bid_ticks=80_000,
    ask_ticks=80_001,
    last_ticks=80_002,
    open_ticks=80_000,
    high_ticks=80_010,
    low_ticks=79_990,
    volume=7,
    bid_size=1,
    ask_size=1,
    at_ns=NOW_NS,
)


def written(row: object) -> str:
    return msgspec.json.encode(row).decode()


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (29_398_500, 3, "29398.5"),
        (29_423_000, 3, "29423"),
        (0, 6, "0"),
        (-49_000_000, 6, "-49"),
        (-360_000, 6, "-0.36"),
        (149_831_920_000, 6, "149831.92"),
        (500, 9, "0.0000005"),
        (1, 15, "0.000000000000001"),
    ],
)
def test_writes_numbers_in_minimal_form(value: int, digits: int, text: str) -> None:
    assert shapes.decimal_text(value, digits) == text


@given(st.integers(-(10**18), 10**18), st.integers(0, 15))
def test_loses_nothing_of_a_number(value: int, digits: int) -> None:
    whole, _, fraction = shapes.decimal_text(value, digits).partition(".")
    assert int(whole + fraction.ljust(digits, "0")) == value
    assert not fraction.endswith("0")


def test_writes_prices_of_tiny_ticks_exactly() -> None:
    assert written(shapes.price(14_501, YEN)) == "0.0072505"
    assert shapes.price(None, YEN) is None


def test_writes_an_order_with_nulls_over_rest_and_without_them_on_the_stream() -> None:
    order = SimOrder(
        id=3_425_270_858,
        account_id=20_000_001,
        contract_id=MNQ_ID,
        created_ns=NOW_NS,
        updated_ns=NOW_NS + 2_377_200,
        status=OrderStatus.REJECTED,
        type=OrderType.MARKET,
        side=Side.SELL,
        size=1,
        tag="glt-1",
    )
    assert written(shapes.order_row(order, MNQ)) == (
        '{"id":3425270858,"accountId":20000001,"contractId":"CON.F.US.MNQ.U26","symbolId":"F.US.MNQ",'
        '"creationTimestamp":"2026-08-19T20:49:25.393833+00:00",'
        '"updateTimestamp":"2026-08-19T20:49:25.396211+00:00","status":5,"type":2,"side":1,"size":1,'
        '"limitPrice":null,"stopPrice":null,"fillVolume":0,"filledPrice":null,"customTag":"glt-1",'
        '"trailDistance":null,"trailPrice":null,"parentOrderId":null,"linkedOrderId":null}'
    )
    assert written(shapes.enveloped(shapes.UPDATE, shapes.order_row(order, MNQ, stream_time))) == (
        '{"action":1,"data":{"id":3425270858,"accountId":20000001,"contractId":"CON.F.US.MNQ.U26",'
        '"symbolId":"F.US.MNQ","creationTimestamp":"2026-08-19T20:49:25.3938333+00:00",'
        '"updateTimestamp":"2026-08-19T20:49:25.3962105+00:00","status":5,"type":2,"side":1,"size":1,'
        '"fillVolume":0,"customTag":"glt-1"}}'
    )


def test_writes_a_bracket_child_with_its_distance_in_ticks_and_in_price() -> None:
    child = SimOrder(
        id=2,
        account_id=1,
        contract_id=MNQ_ID,
        created_ns=0,
        updated_ns=0,
        status=OrderStatus.SUSPENDED,
        type=OrderType.LIMIT,
        side=Side.BUY,
        size=1,
        trail_ticks=-99,
        parent_id=1,
        linked_id=3,
    )
    row = shapes.order_row(child, MNQ)
    assert (row["status"], row["trailDistance"], written(row["trailPrice"])) == (8, -99, "-24.75")
    assert (row["parentOrderId"], row["linkedOrderId"], row["limitPrice"]) == (1, 3, None)


def test_writes_a_flat_position_with_its_old_entry() -> None:
    flat = SimPosition(825_245_547, 20_000_001, MNQ_ID, NOW_NS, 0, 0, 117_594_000_000, 0)
    assert written(shapes.enveloped(shapes.DELETE, shapes.position_row(flat, MNQ))) == (
        '{"action":2,"data":{"id":825245547,"accountId":20000001,"contractId":"CON.F.US.MNQ.U26",'
        '"contractDisplayName":"MNQU26","creationTimestamp":"2026-08-19T20:49:25.393833+00:00",'
        '"type":0,"size":0,"averagePrice":29398.5}}'
    )


@pytest.mark.parametrize(("net", "type_", "size"), [(3, 1, 3), (-2, 2, 2)])
def test_writes_direction_as_type_and_size_as_magnitude(net: int, type_: int, size: int) -> None:
    row = shapes.position_row(SimPosition(1, 1, MNQ_ID, 0, net, 0, 113_785_500_000, 0), MNQ)
    assert (row["type"], row["size"], written(row["averagePrice"])) == (type_, size, "28446.375")


def test_writes_a_fill_with_gross_profit_and_both_costs() -> None:
    closing = SimFill(
        id=3_004_518_356,
        account_id=20_000_001,
        contract_id=MNQ_ID,
        order_id=3_423_462_488,
        at_ns=NOW_NS,
        price_ticks=117_692,
        pnl_micros=-49_000_000,
        fees_micros=360_000,
        commission_micros=250_000,
        side=Side.BUY,
        size=1,
    )
    assert written(shapes.fill_row(closing, MNQ, stream_time)) == (
        '{"id":3004518356,"accountId":20000001,"contractId":"CON.F.US.MNQ.U26",'
        '"creationTimestamp":"2026-08-19T20:49:25.3938333+00:00","price":29423,"profitAndLoss":-49,"fees":0.36,'
        '"commissions":0.25,"side":0,"size":1,"voided":false,"orderId":3423462488}'
    )


def test_writes_only_the_changed_members_of_a_quote() -> None:
    assert written(shapes.quote_payload(TOP, MNQ, ("bid_ticks",))) == (
        '{"symbol":"F.US.MNQ","bestBid":20000,"lastUpdated":"2026-08-19T20:49:25.3938333+00:00",'
        '"timestamp":"2026-08-19T20:49:25.393+00:00"}'
    )


def test_writes_every_known_member_of_a_full_quote() -> None:
    assert written(shapes.quote_payload(TOP, MNQ, None)) == (
        '{"symbol":"F.US.MNQ","symbolName":"/MNQ","lastPrice":20000.5,"bestBid":20000,"bestAsk":20000.25,'
        '"change":0.5,"changePercent":0,"open":20000,"high":20002.5,"low":19997.5,"volume":7,'
        '"lastUpdated":"2026-08-19T20:49:25.3938333+00:00","timestamp":"2026-08-19T20:49:25.393+00:00"}'
    )
    young = msgspec.structs.replace(TOP, last_ticks=None, open_ticks=None, high_ticks=None, low_ticks=None, volume=None)
    assert list(shapes.quote_payload(young, MNQ, None)) == [
        "symbol",
        "symbolName",
        "bestBid",
        "bestAsk",
        "lastUpdated",
        "timestamp",
    ]


def test_writes_a_print_as_the_venues_trade() -> None:
    row = shapes.print_row(PrintHappened(MNQ_ID, 80_001, 3, Side.SELL, NOW_NS), MNQ)
    assert written(row) == (
        '{"symbolId":"F.US.MNQ","price":20000.25,"timestamp":"2026-08-19T20:49:25.393+00:00","type":1,"volume":3,'
        '"contractId":"CON.F.US.MNQ.U26"}'
    )


def test_has_a_number_for_every_order_type_and_status() -> None:
    assert set(shapes.ORDER_TYPES) == set(OrderType)
    assert set(shapes.ORDER_STATUSES) == set(OrderStatus)

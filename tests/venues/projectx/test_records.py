import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_manager.domain.account import Account
from risk_manager.domain.fill import Fill
from risk_manager.domain.order import Order, OrderStatus, OrderType, Side
from risk_manager.domain.position import Position
from risk_manager.venues.projectx.contracts import read_contract
from risk_manager.venues.projectx.problems import Problems
from risk_manager.venues.projectx.records import Reader, ticks_of
from risk_manager.venues.projectx.wire import BadRecord, decode_any, unwrap
from tests.venues.projectx.fake_gateway import MNQ_RECORD, wired

MNQ = read_contract(wired(MNQ_RECORD))
# As recorded at the venue, account id and name made up.
ACCOUNT = (
    '{"action":1,"data":{"id":20000001,"name":"PRAC-V2-100001-30000001","balance":149848.64,"canTrade":true,'
    '"isVisible":true,"simulated":true}}'
)
ORDER = (
    '{"action":1,"data":{"id":3425270858,"accountId":20000001,"contractId":"CON.F.US.MNQ.U26","symbolId":"F.US.MNQ",'
    '"creationTimestamp":"2026-08-19T20:49:25.3938333+00:00","updateTimestamp":"2026-08-19T20:49:25.3962105+00:00",'
    '"status":5,"type":2,"side":1,"size":1,"fillVolume":0,"customTag":"glt-1"}}'
)
POSITION = (
    '{"action":2,"data":{"id":825245547,"accountId":20000001,"contractId":"CON.F.US.MNQ.U26",'
    '"contractDisplayName":"MNQU26","creationTimestamp":"2026-08-19T14:15:48.611387+00:00","type":0,"size":0,'
    '"averagePrice":29398.5}}'
)
FILL = (
    '{"action":0,"data":{"id":3004518356,"accountId":20000001,"contractId":"CON.F.US.MNQ.U26",'
    '"creationTimestamp":"2026-08-19T14:16:01.4061289+00:00","price":29423,"profitAndLoss":-49,"fees":0.36,'
    '"commissions":0.25,"side":0,"size":1,"voided":false,"orderId":3423462488}}'
)
AFTER_20_49_25 = 1_787_172_565 * 1_000_000_000
AFTER_14_16_01 = 1_787_148_961 * 1_000_000_000
AFTER_14_15_48 = 1_787_148_948 * 1_000_000_000


@pytest.fixture
def problems() -> Problems:
    return Problems(lambda code, detail: None)


@pytest.fixture
def reader(problems: Problems) -> Reader:
    return Reader(problems)


def one(text: str, **changes: Any) -> dict[str, Any]:
    """The record inside an event, with members changed or (None and `...`) nulled or left out."""
    ((_, fields),) = unwrap([decode_any(text.encode())])
    changed = dict(fields) | {key: decode_any(json.dumps(v).encode()) for key, v in changes.items() if v is not ...}
    return {key: value for key, value in changed.items() if changes.get(key) is not ...}


def test_reads_the_captured_account(reader: Reader) -> None:
    assert reader.account(one(ACCOUNT)) == Account("20000001", "PRAC-V2-100001-30000001", 149_848_640_000, True, True)


def test_reads_the_captured_order(reader: Reader) -> None:
    assert reader.order(one(ORDER), MNQ) == Order(
        id="3425270858",
        contract_id="CON.F.US.MNQ.U26",
        side=Side.SELL,
        type=OrderType.MARKET,
        status=OrderStatus.REJECTED,
        size=1,
        created_ns=AFTER_20_49_25 + 393_833_300,
        updated_ns=AFTER_20_49_25 + 396_210_500,
        tag="glt-1",
    )


def test_reads_the_captured_flat_position(reader: Reader) -> None:
    expected = Position("CON.F.US.MNQ.U26", 0, 0, "825245547", AFTER_14_15_48 + 611_387_000)
    assert reader.position(one(POSITION), MNQ, 2) == expected


def test_reads_the_captured_fill(reader: Reader) -> None:
    assert reader.fill(one(FILL), MNQ) == Fill(
        id="3004518356",
        order_id="3423462488",
        contract_id="CON.F.US.MNQ.U26",
        side=Side.BUY,
        size=1,
        price_ticks=117_692,
        at_ns=AFTER_14_16_01 + 406_128_900,
        pnl_micros=-49_000_000,
        fees_micros=610_000,
    )


@pytest.mark.parametrize(
    ("event", "actions"),
    [
        ([{"action": 1, "data": {"id": 1}}], [1]),
        ([{"id": 1}], [None]),
        ([[{"id": 1}, None, {"action": 0, "data": {"id": 2}}], None], [None, 0]),
        ([{"action": 2, "data": [{"id": 1}, None, {"id": 2}]}], [2, 2]),
        ([{"data": {"id": 1}}], [None]),
        ([None], []),
        ([], []),
    ],
)
def test_unwraps_every_shape_of_an_event(event: list[Any], actions: list[int | None]) -> None:
    assert [action for action, _ in unwrap(event)] == actions


@pytest.mark.parametrize("event", [["GatewayUserOrder"], [5], [[1]], [{"action": 1, "data": "gone"}]])
def test_refuses_an_event_of_something_else(event: list[Any]) -> None:
    with pytest.raises(BadRecord):
        list(unwrap(event))


@pytest.mark.parametrize(
    ("changes", "net", "cost_micros"),
    [
        ({"type": 1, "size": 2, "averagePrice": 28446.375}, 2, 28_446_375_000 * 2 * 2),
        ({"type": 2, "size": 3, "averagePrice": "29398.50"}, -3, -29_398_500_000 * 3 * 2),
        ({"type": 1, "size": 3, "averagePrice": 28446.333333333}, 3, 170_678_000_000),
        # 28446 + 28446 + 28446.25 is 85338.25: the printed average lost a millionth, the cost does not.
        ({"type": 1, "size": 3, "averagePrice": 28446.083333}, 3, 170_676_500_000),
        # After a partial exit a third of a tick remains in the cost, and stays.
        ({"type": 1, "size": 1, "averagePrice": 28446.083333}, 1, 56_892_166_666),
        ({"type": 0, "size": 3}, 0, 0),
        ({"type": 1, "size": 0}, 0, 0),
        ({"type": 1, "size": 0, "averagePrice": ...}, 0, 0),
        ({"type": "1", "size": "2", "averagePrice": 100}, 2, 400_000_000),
        ({"type": 1, "size": 2.0, "averagePrice": -37.5}, 2, -150_000_000),
    ],
)
def test_values_a_position_exactly(reader: Reader, changes: dict[str, Any], net: int, cost_micros: int) -> None:
    position = reader.position(one(POSITION, **changes), MNQ)
    assert (position.net_contracts, position.cost_micros) == (net, cost_micros)


def test_takes_a_deleted_position_for_flat(reader: Reader) -> None:
    assert reader.position(one(POSITION, type=1, size=2), MNQ, 2).net_contracts == 0


def test_leaves_prices_out_while_the_contract_is_unknown(reader: Reader) -> None:
    position = reader.position(one(POSITION, type=1, size=2), None)
    assert (position.net_contracts, position.cost_micros) == (2, None)
    assert reader.order(one(ORDER, limitPrice=100.25), None).limit_ticks is None
    assert reader.fill(one(FILL), None).price_ticks is None


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (0, OrderStatus.UNKNOWN),
        (1, OrderStatus.WORKING),
        (2, OrderStatus.FILLED),
        (3, OrderStatus.CANCELLED),
        (4, OrderStatus.EXPIRED),
        (5, OrderStatus.REJECTED),
        (6, OrderStatus.PENDING),
        (7, OrderStatus.WORKING),
        (8, OrderStatus.SUSPENDED),
        (9, OrderStatus.UNKNOWN),
        ("1", OrderStatus.WORKING),
        ("Open", OrderStatus.UNKNOWN),
        (True, OrderStatus.UNKNOWN),
        (None, OrderStatus.UNKNOWN),
        (..., OrderStatus.UNKNOWN),
    ],
)
def test_never_takes_an_unknown_status_for_the_end(reader: Reader, code: Any, status: OrderStatus) -> None:
    order = reader.order(one(ORDER, status=code), MNQ)
    assert order.status is status


def test_reads_a_bracket_child(reader: Reader) -> None:
    child = reader.order(
        one(ORDER, id="3425270859", status=8, type=4, parentOrderId=3425270858, trailDistance=101, trailPrice=25.25),
        MNQ,
    )
    assert (child.id, child.parent_id, child.status, child.stop_ticks) == (
        "3425270859",
        "3425270858",
        OrderStatus.SUSPENDED,
        None,
    )


def test_delivers_an_order_without_a_price_that_is_off_the_grid(reader: Reader, problems: Problems) -> None:
    order = reader.order(one(ORDER, limitPrice=100.1, stopPrice=100.25), MNQ)
    assert (order.limit_ticks, order.stop_ticks) == (None, 401)
    assert problems.counts["off_grid_price"] == 1


@pytest.mark.parametrize("stamp", ["0001-01-01T00:00:00+00:00", "0001-01-01T00:00:00", "yesterday", "", 5, {}, True])
def test_an_order_or_position_may_lack_a_stamp_that_can_be_read(
    reader: Reader, problems: Problems, stamp: object
) -> None:
    order = reader.order(one(ORDER, creationTimestamp=stamp, updateTimestamp=stamp), MNQ)
    assert (order.id, order.created_ns, order.updated_ns) == ("3425270858", 0, 0)
    position = reader.position(one(POSITION, type=1, size=2, creationTimestamp=stamp), MNQ)
    assert (position.net_contracts, position.opened_ns) == (2, 0)
    assert problems.counts["unreadable_member"] == 3
    # A fill of no known day would count for none.
    with pytest.raises(BadRecord):
        reader.fill(one(FILL, creationTimestamp=stamp), MNQ)


@pytest.mark.parametrize("stamp", [None, ...])
def test_an_order_that_was_never_changed_is_as_old_as_its_creation(reader: Reader, stamp: Any) -> None:
    order = reader.order(one(ORDER, updateTimestamp=stamp), MNQ)
    assert order.updated_ns == order.created_ns == AFTER_20_49_25 + 393_833_300


@pytest.mark.parametrize(
    ("changes", "expected", "noted"),
    [
        ({"parentOrderId": 0}, {"parent_id": None}, 0),
        ({"parentOrderId": "0"}, {"parent_id": None}, 0),
        ({"parentOrderId": 1}, {"parent_id": "1"}, 0),
        ({"parentOrderId": -1}, {"parent_id": None}, 1),
        ({"parentOrderId": "none"}, {"parent_id": None}, 1),
        ({"linkedOrderId": 0}, {"parent_id": None}, 0),
        ({"limitPrice": "x", "stopPrice": 100.25}, {"limit_ticks": None, "stop_ticks": 401}, 1),
        ({"limitPrice": 100.25, "stopPrice": {}}, {"limit_ticks": 401, "stop_ticks": None}, 1),
        ({"stopPrice": 1e13}, {"stop_ticks": None}, 1),
        ({"customTag": "t" * 500}, {"tag": "t" * 500}, 0),
        # What a close of the guard's own becomes bears no mark: an order must not pass for that one.
        ({"customTag": "t" * 501}, {"tag": "?"}, 1),
        ({"customTag": 7}, {"tag": "?"}, 1),
    ],
)
def test_delivers_an_order_without_what_it_can_do_without(
    reader: Reader, problems: Problems, changes: dict[str, Any], expected: dict[str, Any], noted: int
) -> None:
    order = reader.order(one(ORDER, **changes), MNQ)
    assert {key: getattr(order, key) for key in expected} == expected
    assert (order.size, problems.counts["unreadable_member"]) == (1, noted)


def test_counts_an_unknown_member_once(reader: Reader, problems: Problems) -> None:
    for _ in range(3):
        reader.order(one(ORDER, timeInForce=1), MNQ)
    reader.fill(one(FILL, timeInForce=1), MNQ)
    assert problems.counts["unknown_member"] == 2


def test_takes_a_re_sent_opening_fill_without_profit(reader: Reader) -> None:
    fill = reader.fill(one(FILL, profitAndLoss=None, commissions=...), MNQ)
    assert (fill.pnl_micros, fill.fees_micros) == (None, 360_000)
    assert reader.fill(one(FILL, voided=True, profitAndLoss=...), MNQ).is_voided


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-1", "x", "", True, [], {}, -1, 0.5, 10**7, 10**18, 1e300])
def test_refuses_an_impossible_size(reader: Reader, value: Any) -> None:
    for text, read in ((ORDER, reader.order), (FILL, reader.fill), (POSITION, reader.position)):
        with pytest.raises(BadRecord):
            read(one(text, size=value, type=1), MNQ)


@pytest.mark.parametrize(
    "digits",
    [
        "1e400",
        "1e-400000000",
        "-1e13",
        "1e12",
        "0." + "1" * 40,
        "1e1000001",
        '"1e1000001"',
        "-1e99999999999999999999",
        '"1e99999999999999999999"',
        "1e-99999999999999999999",
    ],
)
def test_refuses_numbers_it_must_not_compute_with(reader: Reader, digits: str) -> None:
    held = POSITION.replace('"type":0,"size":0', '"type":1,"size":1')
    with pytest.raises(BadRecord):
        reader.account(one(ACCOUNT.replace("149848.64", digits)))
    with pytest.raises(BadRecord):
        reader.fill(one(FILL.replace("29423", digits)), MNQ)
    with pytest.raises(BadRecord):
        reader.position(one(held.replace("29398.5", digits)), MNQ)


@pytest.mark.parametrize("member", ["id", "contractId", "size", "side"])
def test_refuses_an_order_without(reader: Reader, member: str) -> None:
    for missing in (None, ...):
        with pytest.raises(BadRecord):
            reader.order(one(ORDER, **{member: missing}), MNQ)


@pytest.mark.parametrize("value", [0, -1, 2**63, "3.5", "abc", "1" * 5000, 1.5, True])
def test_refuses_an_impossible_id(reader: Reader, value: Any) -> None:
    with pytest.raises(BadRecord):
        reader.order(one(ORDER, id=value), MNQ)


def test_refuses_a_position_of_unknown_direction(reader: Reader) -> None:
    with pytest.raises(BadRecord):
        reader.position(one(POSITION, type=3, size=1), MNQ)


ANYTHING = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(),
        st.from_regex(r"-?\d{1,3}(\.\d{1,3})?[eE][+-]?\d{1,25}", fullmatch=True),
    ),
    lambda children: st.one_of(st.lists(children, max_size=3), st.dictionaries(st.text(), children, max_size=3)),
    max_leaves=5,
)


@given(st.sampled_from([ACCOUNT, ORDER, POSITION, FILL]), st.data())
def test_raises_nothing_but_bad_record(text: str, data: st.DataObject) -> None:
    reader = Reader(Problems(lambda code, detail: None))
    fields = one(text)
    key = data.draw(st.sampled_from(sorted(fields)))
    value = data.draw(ANYTHING)
    fields[key] = Decimal(repr(value)) if isinstance(value, float) else value
    for read in (reader.order, reader.position, reader.fill):
        try:
            read(fields, MNQ)
        except BadRecord:
            continue
    try:
        reader.account(fields)
    except BadRecord:
        return


@given(st.integers(-(10**9), 10**9), st.sampled_from([250_000_000, 500, 3_906_250, 10**9, 100_000_000]))
def test_finds_the_tick_of_every_price_on_the_grid_and_of_none_off_it(ticks: int, size_nanos: int) -> None:
    price = Decimal(ticks * size_nanos) / 10**9
    assert ticks_of(price, size_nanos) == ticks
    assert ticks_of(price + Decimal(size_nanos) / 10**9 / 2, size_nanos) is None

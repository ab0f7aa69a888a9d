"""Order operations over a real socket: the numbers and texts of every refusal, trails, brackets and the query."""

from typing import Any

import pytest

from risk_manager.domain.order import Side
from risk_manager.simulator.catalog import listed
from risk_manager.simulator.records import BracketMode, RefusalCode, SizeLimits
from risk_manager.simulator.server import SimSettings
from risk_manager.simulator.server.rest_settings import RestSettings
from tests.simulator.server.gateway import MNQ_ID, NOW_NS, Gateway, running

MCL = listed("MCL", "V26")
LOCKED = "Your account is locked out: Personal. Please wait until your lockout expires."
Answered = tuple[int, str | None]


def said(reply: dict[str, Any]) -> Answered:
    assert reply["success"] == (reply["errorCode"] == 0)
    return reply["errorCode"], reply["errorMessage"]


async def order_of(gateway: Gateway, token: str, order_id: int) -> dict[str, Any]:
    reply = await gateway.post("Order/searchById", {"accountId": gateway.pat, "orderId": order_id}, token)
    order: dict[str, Any] = reply["order"]
    return order


async def trailing(gateway: Gateway, token: str, **members: object) -> dict[str, Any]:
    """A trailing stop in MCL, last traded at 70.50."""
    gateway.exchange.list_contract(MCL)
    gateway.exchange.quote(MCL.id, 7050, 7051, NOW_NS)
    gateway.exchange.print(MCL.id, 7050, 1, Side.BUY, NOW_NS)
    return await gateway.place(token, contractId=MCL.id, type=5, **members)


@pytest.mark.parametrize(("side", "price", "stop"), [(1, 70.44, 70.44), (0, 70.56, 70.56)])
async def test_reads_a_trail_price_as_a_level_and_gives_back_a_distance(
    gateway: Gateway, side: int, price: float, stop: float
) -> None:
    token = await gateway.login()
    placed = await trailing(gateway, token, side=side, trailPrice=price)
    order = await order_of(gateway, token, placed["orderId"])
    assert (order["trailDistance"], order["trailPrice"], order["stopPrice"]) == (6, 0.06, stop)


async def test_opens_a_huge_trail_when_a_distance_is_sent_as_a_change(gateway: Gateway) -> None:
    token = await gateway.login()
    placed = await trailing(gateway, token, side=1, trailPrice=70.44)
    order = {"accountId": gateway.pat, "orderId": placed["orderId"]}
    misaligned = await gateway.post("Order/modify", {**order, "trailPrice": 70.445}, token)
    assert said(misaligned) == (3, "Invalid trail price. Price is not aligned to tick size.")
    assert said(await gateway.post("Order/modify", {**order, "trailPrice": 0.06}, token)) == (0, None)
    changed = await order_of(gateway, token, placed["orderId"])
    assert (changed["trailDistance"], changed["trailPrice"], changed["stopPrice"]) == (7044, 70.44, 0.06)
    assert said(await trailing(gateway, token, side=1, trailPrice=0.06)) == (2, "Trail Distance exceeds maximum (1000)")


async def test_looks_at_the_account_before_the_contract_and_at_both_before_the_order(gateway: Gateway) -> None:
    gateway.quote()
    token = await gateway.login()
    bad = {"type": 1, "limitPrice": 0.1}
    gateway.exchange.set_can_trade(gateway.pat, False, gateway.exchange.now_ns)
    assert said(await gateway.place(token, accountId=1, contractId="X", **bad)) == (1, None)
    assert said(await gateway.place(token, contractId="X", **bad)) == (4, LOCKED)
    assert said(await gateway.place(token, **bad)) == (4, LOCKED)
    gateway.exchange.set_can_trade(gateway.pat, True, gateway.exchange.now_ns)
    assert said(await gateway.place(token, contractId="X", **bad)) == (8, None)
    gateway.exchange.list_contract(listed("MCL", "U26", is_active=False))
    assert said(await gateway.place(token, contractId="CON.F.US.MCLE.U26", **bad)) == (9, None)
    assert said(await gateway.place(token, size=0, **bad)) == (2, "Invalid order size specified.")


@pytest.mark.parametrize(
    ("code", "number"),
    [(RefusalCode.VIOLATION, 4), (RefusalCode.ACCOUNT_REJECTED, 10), (RefusalCode.REJECTED, 2)],
)
async def test_numbers_a_lockout_as_it_is_told_to(gateway: Gateway, code: RefusalCode, number: int) -> None:
    gateway.quote()
    gateway.exchange.set_can_trade(gateway.pat, False, NOW_NS, code=code)
    reply = await gateway.place(await gateway.login())
    assert said(reply) == (number, LOCKED)
    assert (reply["orderId"] is None) == (number == 10)


async def test_refuses_what_an_account_may_not_hold(gateway: Gateway) -> None:
    gateway.quote()
    limits = SizeLimits(position_contracts=2, margin_micros=100_000_000)
    account = gateway.exchange.open_account(user="pat", name="S", balance_micros=250_000_000, size_limits=limits)
    token = await gateway.login()
    assert said(await gateway.place(token, accountId=account, size=3)) == (3, "Not enough margin.")
    rich = gateway.exchange.open_account(user="pat", name="R", balance_micros=900_000_000, size_limits=limits)
    assert said(await gateway.place(token, accountId=rich, size=3)) == (2, "Maximum position exceeded.")


async def test_refuses_a_tag_for_ever_and_shows_the_order_that_has_it(gateway: Gateway) -> None:
    gateway.quote()
    token = await gateway.login()
    first = await gateway.place(token, size=0, customTag="t")
    again = await gateway.place(token, customTag="t")
    number, text = said(again)
    assert (number, "custom tag already in use" in (text or "")) == (2, True)
    assert again["orderId"] == first["orderId"] + 1
    found = await gateway.post("Order/v2/query", {"filter": {"accountId": gateway.pat}}, token)
    assert [(order["id"], order["status"], order["customTag"]) for order in found["orders"]] == [
        (first["orderId"], 5, "t"),
        (again["orderId"], 5, None),
    ]


@pytest.mark.parametrize(
    ("side", "loss", "profit", "stop_price", "limit_price"),
    [(0, -40, 80, 19_990.25, 20_020.25), (1, 101, -99, 20_025.25, 19_975.25)],
)
async def test_brings_a_bracket_through_its_life(
    gateway: Gateway, side: int, loss: int, profit: int, stop_price: float, limit_price: float
) -> None:
    gateway.quote()
    token = await gateway.login()
    brackets = {"stopLossBracket": {"ticks": loss, "type": 4}, "takeProfitBracket": {"ticks": profit, "type": 1}}
    entry_price = 20_000.25 if side == 0 else 20_000.0
    resting = 19_990.0 if side == 0 else 20_010.0
    placed = await gateway.place(token, side=side, type=1, limitPrice=resting, customTag="e", **brackets)
    entry = placed["orderId"]

    async def children() -> list[dict[str, Any]]:
        query = {"filter": {"accountId": gateway.pat}, "sortBy": 1}
        return list((await gateway.post("Order/v2/query", query, token))["orders"][1:])

    stop, take = await children()
    assert [child["id"] for child in (stop, take)] == [entry + 1, entry + 2]
    assert [(child["status"], child["side"], child["parentOrderId"]) for child in (stop, take)] == [
        (8, 1 - side, entry)
    ] * 2
    assert [(child["stopPrice"], child["limitPrice"]) for child in (stop, take)] == [(None, None)] * 2
    assert [(child["trailDistance"], child["trailPrice"]) for child in (stop, take)] == [
        (loss, loss / 4),
        (profit, profit / 4),
    ]
    assert [child["linkedOrderId"] for child in (stop, take)] == [None, entry + 1]
    assert [child["customTag"] for child in (stop, take)] == ["e-SL", "e-TP"]
    assert len({child["creationTimestamp"] for child in (stop, take)}) == 1
    moved = await gateway.post(
        "Order/modify", {"accountId": gateway.pat, "orderId": entry, "limitPrice": entry_price}, token
    )
    assert said(moved) == (0, None)
    stop, take = await children()
    assert [child["status"] for child in (stop, take)] == [1, 1]
    assert (stop["stopPrice"], take["limitPrice"]) == (stop_price, limit_price)


async def test_ignores_a_size_in_a_bracket_and_refuses_brackets_by_mode(gateway: Gateway) -> None:
    gateway.quote()
    token = await gateway.login()
    bracket = {"stopLossBracket": {"ticks": -40, "type": 5, "size": 7}}
    placed = await gateway.place(token, size=2, **bracket)
    child = await order_of(gateway, token, placed["orderId"] + 1)
    assert (child["type"], child["size"], child["stopPrice"]) == (5, 2, 19_990.25)
    account = gateway.exchange.open_account(
        user="pat", name="P", balance_micros=0, bracket_mode=BracketMode.POSITION_BRACKETS
    )
    refused = await gateway.place(token, accountId=account, **bracket)
    text = "Brackets cannot be used with Position Brackets. You must enable Auto OCO Brackets."
    assert said(refused) == (2, text)
    assert refused["orderId"] == placed["orderId"] + 2


async def test_refuses_live_accounts_what_only_simulated_ones_may(gateway: Gateway) -> None:
    gateway.quote()
    live = gateway.exchange.open_account(user="pat", name="L", balance_micros=0, is_simulated=False)
    token = await gateway.login()
    placed = await gateway.place(token, accountId=live)
    account = {"accountId": live, "contractId": MNQ_ID, "size": 1, "orderId": placed["orderId"]}
    text = "Live accounts not supported"
    assert said(await gateway.post("Position/closeContract", account, token)) == (8, text)
    assert said(await gateway.post("Position/partialCloseContract", account, token)) == (9, text)
    assert said(await gateway.post("Order/cancel", account, token)) == (6, text)


async def test_refuses_to_close_in_a_halt_as_each_endpoint_does(gateway: Gateway) -> None:
    gateway.quote()
    token = await gateway.login()
    await gateway.place(token)
    gateway.exchange.set_halted(MNQ_ID, True, NOW_NS)
    close = {"accountId": gateway.pat, "contractId": MNQ_ID, "size": 1}
    text = "Trading is currently unavailable. The instrument is not in an active trading status."
    assert said(await gateway.post("Position/closeContract", close, token)) == (5, text)
    assert said(await gateway.post("Position/partialCloseContract", close, token)) == (6, None)
    assert said(await gateway.place(token)) == (2, text)


@pytest.mark.parametrize(("cancel_code", "modify_code"), [(2, 2), (5, 3), (3, 5)])
async def test_answers_about_done_orders_as_it_is_told_to(cancel_code: int, modify_code: int) -> None:
    rest = RestSettings(cancel_done_code=cancel_code, modify_done_code=modify_code)
    async with running(SimSettings(rest=rest)) as gateway:
        gateway.quote()
        token = await gateway.login()
        placed = await gateway.place(token)
        done = {"accountId": gateway.pat, "orderId": placed["orderId"], "size": 2}
        assert said(await gateway.post("Order/cancel", done, token)) == (cancel_code, None)
        assert said(await gateway.post("Order/modify", done, token)) == (modify_code, None)
        unknown = {**done, "orderId": 1}
        assert said(await gateway.post("Order/cancel", unknown, token)) == (2, None)
        assert said(await gateway.post("Order/modify", unknown, token)) == (2, None)


async def test_ignores_prices_an_order_does_not_have_even_misaligned_ones(gateway: Gateway) -> None:
    gateway.quote()
    token = await gateway.login()
    placed = await gateway.place(token, type=1, limitPrice=19_990, stopPrice=0.1, trailPrice=0.1)
    order = {"accountId": gateway.pat, "orderId": placed["orderId"]}
    assert said(await gateway.post("Order/modify", {**order, "stopPrice": 0.1, "limitPrice": 19_991}, token)) == (
        0,
        None,
    )
    changed = await order_of(gateway, token, placed["orderId"])
    assert (changed["limitPrice"], changed["stopPrice"], changed["trailPrice"]) == (19_991, None, None)


async def test_moves_an_order_that_joined_the_quote(gateway: Gateway) -> None:
    gateway.quote()
    token = await gateway.login()
    placed = await gateway.place(token, type=6)
    order = {"accountId": gateway.pat, "orderId": placed["orderId"]}
    assert (await order_of(gateway, token, placed["orderId"]))["limitPrice"] == 20_000
    assert said(await gateway.post("Order/modify", {**order, "limitPrice": 19_999}, token)) == (0, None)
    assert (await order_of(gateway, token, placed["orderId"]))["limitPrice"] == 19_999


async def test_shows_every_member_of_an_order_with_its_nulls(gateway: Gateway) -> None:
    gateway.quote(later_ns=132_000)
    token = await gateway.login()
    placed = await gateway.place(token, type=1, limitPrice=19_990)
    assert await order_of(gateway, token, placed["orderId"]) == {
        "id": 3_423_000_001,
        "accountId": gateway.pat,
        "contractId": MNQ_ID,
        "symbolId": "F.US.MNQ",
        "creationTimestamp": "2026-08-19T20:49:25.393965+00:00",
        "updateTimestamp": "2026-08-19T20:49:25.393965+00:00",
        "status": 1,
        "type": 1,
        "side": 0,
        "size": 1,
        "limitPrice": 19_990,
        "stopPrice": None,
        "fillVolume": 0,
        "filledPrice": None,
        "customTag": None,
        "trailDistance": None,
        "trailPrice": None,
        "parentOrderId": None,
        "linkedOrderId": None,
    }


@pytest.mark.parametrize(
    "members",
    [{"sortBy": 2}, {"sortBy": -1}, {"sortDirection": 2}, {"pageSize": 0}, {"pageSize": 1001}, {"pageOffset": -1}],
)
async def test_answers_problem_details_to_a_query_that_makes_no_sense(
    gateway: Gateway, members: dict[str, int]
) -> None:
    query = {"filter": {"accountId": gateway.pat}, **members}
    status, headers, body = await gateway.raw("Order/v2/query", query, await gateway.login())
    assert (status, headers["Content-Type"]) == (400, "application/problem+json; charset=utf-8")
    assert next(iter(members)) in body


@pytest.mark.parametrize(("counts_pages", "expected"), [(False, [1, 2]), (True, [2, 3])])
async def test_counts_orders_or_pages(counts_pages: bool, expected: list[int]) -> None:
    rest = RestSettings(query_page_rows=2, query_page_most=3, page_offset_counts_pages=counts_pages)
    async with running(SimSettings(rest=rest)) as gateway:
        gateway.quote()
        token = await gateway.login()
        ids = [(await gateway.place(token, type=1, limitPrice=19_990))["orderId"] for _ in range(5)]
        query = {"filter": {"accountId": gateway.pat}, "pageOffset": 1, "includeTotalCount": True}
        reply = await gateway.post("Order/v2/query", query, token)
        assert [order["id"] for order in reply["orders"]] == [ids[place] for place in expected]
        assert reply["totalCount"] == 5
        assert (await gateway.raw("Order/v2/query", {**query, "pageSize": 4}, token))[0] == 400

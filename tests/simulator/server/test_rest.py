"""The REST API over a real socket."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from risk_manager.domain.order import Side
from risk_manager.simulator.records import BracketMode
from risk_manager.simulator.server import SimSettings, Window
from tests.simulator.server.gateway import MNQ_ID, NOW_NS, USERS, Gateway, running

EVER = {"startTimestamp": "2026-01-01T00:00:00Z"}
BARS = {
    "contractId": MNQ_ID,
    "live": False,
    "startTime": "2026-08-01T00:00:00Z",
    "endTime": "2026-09-01T00:00:00Z",
    "unit": 2,
    "unitNumber": 1,
    "limit": 10,
    "includePartialBar": True,
}


def code(reply: Mapping[str, Any]) -> int:
    """The error code of a reply whose success agrees with it."""
    number: int = reply["errorCode"]
    assert reply["success"] == (number == 0)
    return number


async def test_answers_ping_without_a_token_in_any_case(gateway: Gateway) -> None:
    async with gateway.http.get(f"{gateway.url}/API/status/Ping") as response:
        assert (response.status, await response.text()) == (200, "pong")


async def test_logs_in_with_the_user_name_in_any_case(gateway: Gateway) -> None:
    reply = await gateway.post("auth/LOGINKEY", {"userName": "PAT", "apiKey": USERS["pat"]})
    assert list(reply) == ["token", "success", "errorCode", "errorMessage"]
    assert code(reply) == 0


@pytest.mark.parametrize("body", [{"userName": "pat", "apiKey": "wrong"}, {"userName": "sam", "apiKey": "x"}])
async def test_answers_a_failed_login_with_http_200(gateway: Gateway, body: object) -> None:
    reply = await gateway.post("Auth/loginKey", body)
    assert reply == {"token": None, "success": False, "errorCode": 3, "errorMessage": None}


async def test_does_not_know_applications(gateway: Gateway) -> None:
    body = dict.fromkeys(("userName", "password", "deviceId", "appId", "verifyKey"), "x")
    assert code(await gateway.post("Auth/loginApp", body)) == 4


async def test_answers_401_with_an_empty_body(gateway: Gateway) -> None:
    for token in (None, "not.a.token"):
        status, headers, body = await gateway.raw("Account/search", {"onlyActiveAccounts": True}, token)
        assert (status, headers["WWW-Authenticate"], body) == (401, "Bearer", "")
        assert (headers["Content-Length"], "Content-Type" in headers) == ("0", False)


async def test_refuses_a_token_after_it_expired_or_logged_out(gateway: Gateway) -> None:
    token = await gateway.login()
    other = await gateway.login()
    assert code(await gateway.post("Auth/logout", token=token)) == 0
    assert (await gateway.raw("Auth/validate", token=token))[0] == 401
    renewed = await gateway.post("Auth/validate", token=other)
    gateway.wall_ns += 86_399 * 1_000_000_000
    assert (await gateway.raw("Auth/validate", token=renewed["newToken"]))[0] == 200
    gateway.wall_ns += 1_000_000_000
    assert (await gateway.raw("Auth/validate", token=renewed["newToken"]))[0] == 401


@pytest.mark.parametrize("path", ["Position/search", "Position/close", "Order/cancelAll", "nothing"])
async def test_answers_404_to_operations_that_do_not_exist(gateway: Gateway, path: str) -> None:
    assert (await gateway.raw(path, {}, await gateway.login()))[0] == 404


async def test_answers_405_to_the_wrong_verb(gateway: Gateway) -> None:
    async with gateway.http.get(f"{gateway.url}/api/Account/search") as response:
        assert (response.status, response.headers["Allow"], await response.text()) == (405, "POST", "")
    status, headers, _ = await gateway.raw("Status/ping")
    assert (status, headers["Allow"]) == (405, "GET")


async def test_answers_problem_details_to_a_body_that_does_not_bind(gateway: Gateway) -> None:
    token = await gateway.login()
    status, headers, body = await gateway.raw("Order/place", {"contractId": "X", "type": 2}, token)
    problem = msgspec.json.decode(body)
    assert (status, headers["Content-Type"]) == (400, "application/problem+json; charset=utf-8")
    assert problem["title"] == "One or more validation errors occurred."
    assert list(problem) == ["type", "title", "status", "errors", "traceId"]
    assert set(problem["errors"]) == {"accountId", "side", "size"}
    status, _, body = await gateway.raw("Order/place", {"contractId": 5, "type": 2}, token)
    assert (status, set(msgspec.json.decode(body)["errors"])) == (400, {"$.contractId", "request"})


async def test_shows_the_venues_clock_in_every_reply(gateway: Gateway) -> None:
    gateway.quote(later_ns=0)
    for path in ("Account/search", "nothing", "Status/ping"):
        _, headers, _ = await gateway.raw(path)
        assert headers["Date"] == "Wed, 19 Aug 2026 20:49:25 GMT"


async def test_shows_a_user_its_own_accounts_only(gateway: Gateway) -> None:
    gateway.exchange.set_visible(gateway.pat_second, False, NOW_NS)
    token = await gateway.login()
    visible = await gateway.post("Account/search", {"onlyActiveAccounts": True}, token)
    everything = await gateway.post("Account/search", {"onlyActiveAccounts": False}, token)
    assert visible["accounts"] == [
        {
            "id": gateway.pat,
            "name": "PRAC-V2-1-1",
            "balance": 50_000,
            "canTrade": True,
            "isVisible": True,
            "simulated": True,
        }
    ]
    assert [account["id"] for account in everything["accounts"]] == [gateway.pat, gateway.pat_second]


async def test_answers_1_for_a_foreign_or_unknown_account_everywhere(gateway: Gateway) -> None:
    token = await gateway.login()
    order = {"contractId": MNQ_ID, "type": 2, "side": 0, "size": 1, "orderId": 1, **EVER}
    paths = (
        "Order/place Order/modify Order/cancel Order/search Order/searchOpen Order/searchById Position/searchOpen "
        "Position/closeContract Position/partialCloseContract Trade/search"
    )
    for path in paths.split():
        for account_id in (gateway.kim, 1):
            reply = await gateway.post(path, {"accountId": account_id, **order}, token)
            assert (path, code(reply)) == (path, 1)


async def test_finds_contracts(gateway: Gateway) -> None:
    token = await gateway.login()
    available = await gateway.post("Contract/available", {"live": False}, token)
    assert [contract["id"] for contract in available["contracts"]] == [MNQ_ID, "CON.F.US.JY6.U26"]
    assert available["contracts"][0] == {
        "id": MNQ_ID,
        "name": "MNQU6",
        "description": "Micro E-mini Nasdaq-100: September 2026",
        "tickSize": 0.25,
        "tickValue": 0.5,
        "activeContract": True,
        "symbolId": "F.US.MNQ",
    }
    assert available["contracts"][1]["tickSize"] == 0.0000005
    assert (await gateway.post("Contract/available", {"live": True}, token))["contracts"] == []
    found = await gateway.post("Contract/search", {"searchText": "nasdaq", "live": False}, token)
    assert [contract["id"] for contract in found["contracts"]] == [MNQ_ID]
    by_id = await gateway.post("Contract/searchById", {"contractId": MNQ_ID}, token)
    assert by_id["contract"]["name"] == "MNQU6"
    assert code(await gateway.post("Contract/searchById", {"contractId": "CON.F.US.ES.U26"}, token)) == 1


async def test_places_and_shows_an_order_position_and_fill(gateway: Gateway) -> None:
    gateway.quote()
    token = await gateway.login()
    placed = await gateway.place(token, size=2)
    assert list(placed) == ["orderId", "success", "errorCode", "errorMessage"]
    positions = (await gateway.post("Position/searchOpen", {"accountId": gateway.pat}, token))["positions"]
    assert [(row["type"], row["size"], row["averagePrice"]) for row in positions] == [(1, 2, 20_000.25)]
    order = await gateway.post("Order/searchById", {"accountId": gateway.pat, "orderId": placed["orderId"]}, token)
    assert (order["order"]["status"], order["order"]["filledPrice"]) == (2, 20_000.25)
    fills = (await gateway.post("Trade/search", {"accountId": gateway.pat, **EVER}, token))["trades"]
    assert [(row["profitAndLoss"], row["fees"], row["commissions"]) for row in fills] == [(None, 0.74, 0.5)]


async def test_closes_whole_and_part_of_a_position(gateway: Gateway) -> None:
    gateway.quote()
    token = await gateway.login()
    await gateway.place(token, size=3)
    close = {"accountId": gateway.pat, "contractId": MNQ_ID}
    assert code(await gateway.post("Position/partialCloseContract", {**close, "size": 4}, token)) == 5
    assert code(await gateway.post("Position/partialCloseContract", {**close, "size": 0}, token)) == 5
    assert code(await gateway.post("Position/partialCloseContract", {**close, "size": 1}, token)) == 0
    left = (await gateway.post("Position/searchOpen", {"accountId": gateway.pat}, token))["positions"]
    assert [row["size"] for row in left] == [2]
    assert code(await gateway.post("Position/closeContract", close, token)) == 0
    assert (await gateway.post("Position/searchOpen", {"accountId": gateway.pat}, token))["positions"] == []
    assert code(await gateway.post("Position/closeContract", close, token)) == 2
    assert code(await gateway.post("Position/closeContract", {**close, "contractId": "X"}, token)) == 3
    newest, *_ = (await gateway.post("Trade/search", {"accountId": gateway.pat, **EVER}, token))["trades"]
    assert (newest["size"], newest["profitAndLoss"]) == (2, -1)


REFUSED: list[tuple[dict[str, object], int, str | None, bool]] = [
    ({"contractId": "CON.F.US.ES.U26"}, 8, None, False),
    ({"type": 3}, 2, "Invalid order type specified.", True),
    ({"size": 0}, 2, "Invalid order size specified.", True),
    ({"type": 1, "limitPrice": 20_000.1}, 2, "Invalid limit price. Price is not aligned to tick size.", True),
    ({"type": 4, "stopPrice": 20_000.1}, 2, "Invalid stop price. Price is not aligned to tick size.", True),
    ({"type": 5}, 2, "Trail Distance not set.", True),
    ({"type": 5, "trailPrice": 19_999.9}, 2, "Invalid trail price. Price is not aligned to tick size.", True),
    ({"type": 5, "trailPrice": 19_000}, 2, "Trail Distance exceeds maximum (1000)", True),
    ({"stopLossBracket": {"ticks": -40, "type": 1}}, 2, "Invalid stop loss type (Limit)", True),
    ({"takeProfitBracket": {"ticks": 40, "type": 4}}, 2, "Invalid take profit type (Stop)", True),
    (
        {"stopLossBracket": {"ticks": 40, "type": 4}},
        2,
        "Invalid stop loss ticks (40). Ticks should be less than zero when longing.",
        True,
    ),
    ({"side": 7}, 2, "Invalid order side specified.", True),
]


@pytest.mark.parametrize(("members", "number", "message", "has_order"), REFUSED)
async def test_refuses_an_order_with_the_venues_number_and_text(
    gateway: Gateway, members: dict[str, object], number: int, message: str | None, has_order: bool
) -> None:
    gateway.quote()
    gateway.exchange.print(MNQ_ID, 80_000, 1, Side.BUY, gateway.exchange.now_ns)
    reply = await gateway.place(await gateway.login(), **members)
    assert (code(reply), reply["errorMessage"], reply["orderId"] is not None) == (number, message, has_order)
    recorded = gateway.exchange.orders(gateway.pat)
    assert [order.id for order in recorded] == ([reply["orderId"]] if has_order else [])


async def test_cannot_trail_without_a_last_price(gateway: Gateway) -> None:
    gateway.quote()
    reply = await gateway.place(await gateway.login(), type=5, trailPrice=19_990)
    assert (code(reply), reply["errorMessage"]) == (2, "Cannot trail without a last price")


async def test_fixes_a_trailing_distance_from_the_last_price(gateway: Gateway) -> None:
    gateway.quote()
    gateway.exchange.print(MNQ_ID, 80_000, 1, Side.BUY, gateway.exchange.now_ns)
    token = await gateway.login()
    placed = await gateway.place(token, side=1, type=5, trailPrice=19_998.5)
    query = {"accountId": gateway.pat, "orderId": placed["orderId"]}
    order = (await gateway.post("Order/searchById", query, token))["order"]
    assert (order["trailDistance"], order["trailPrice"], order["stopPrice"]) == (6, 1.5, 19_998.5)


async def test_refuses_brackets_of_an_account_with_position_brackets(gateway: Gateway) -> None:
    gateway.quote()
    account_id = gateway.exchange.open_account(
        user="pat", name="B", balance_micros=0, bracket_mode=BracketMode.POSITION_BRACKETS
    )
    bracket = {"ticks": -40, "type": 4}
    reply = await gateway.place(await gateway.login(), accountId=account_id, stopLossBracket=bracket)
    assert code(reply) == 2
    assert reply["errorMessage"].startswith("Brackets cannot be used with Position Brackets.")


async def test_refuses_orders_of_a_locked_account(gateway: Gateway) -> None:
    gateway.quote()
    gateway.exchange.set_can_trade(gateway.pat, False, gateway.exchange.now_ns)
    reply = await gateway.place(await gateway.login())
    assert code(reply) == 4
    assert reply["errorMessage"] == "Your account is locked out: Personal. Please wait until your lockout expires."


async def test_changes_and_cancels_an_order(gateway: Gateway) -> None:
    gateway.quote()
    token = await gateway.login()
    placed = await gateway.place(token, type=1, limitPrice=19_990)
    order = {"accountId": gateway.pat, "orderId": placed["orderId"]}
    assert code(await gateway.post("Order/modify", {**order, "limitPrice": 19_991, "size": 3}, token)) == 0
    (resting,) = (await gateway.post("Order/searchOpen", {"accountId": gateway.pat}, token))["orders"]
    assert (resting["limitPrice"], resting["size"], resting["status"]) == (19_991, 3, 1)
    misaligned = await gateway.post("Order/modify", {**order, "limitPrice": 19_991.1}, token)
    assert (code(misaligned), misaligned["errorMessage"]) == (
        3,
        "Invalid limit price. Price is not aligned to tick size.",
    )
    assert code(await gateway.post("Order/cancel", order, token)) == 0
    assert (await gateway.post("Order/searchOpen", {"accountId": gateway.pat}, token))["orders"] == []
    assert code(await gateway.post("Order/cancel", order, token)) == 2
    assert code(await gateway.post("Order/modify", {**order, "size": 1}, token)) == 2
    assert code(await gateway.post("Order/cancel", {**order, "orderId": 1}, token)) == 2


async def test_lets_no_follower_cancel(gateway: Gateway) -> None:
    account_id = gateway.exchange.open_account(user="pat", name="F", balance_micros=0, is_follower=True)
    reply = await gateway.post("Order/cancel", {"accountId": account_id, "orderId": 1}, await gateway.login())
    assert (code(reply), reply["errorMessage"]) == (6, "Follower accounts cannot cancel orders")


async def test_hides_suspended_children_from_open_orders_but_not_from_the_query(gateway: Gateway) -> None:
    gateway.quote()
    token = await gateway.login()
    brackets = {"stopLossBracket": {"ticks": -40, "type": 4}, "takeProfitBracket": {"ticks": 80, "type": 1}}
    placed = await gateway.place(token, type=1, limitPrice=19_990, customTag="t", **brackets)
    entry = placed["orderId"]
    opened = (await gateway.post("Order/searchOpen", {"accountId": gateway.pat}, token))["orders"]
    assert [order["id"] for order in opened] == [entry]
    query = {"filter": {"accountId": gateway.pat, "statuses": [1, 6, 7, 8]}, "sortBy": 1, "includeTotalCount": True}
    reply = await gateway.post("Order/v2/query", query, token)
    assert [(order["id"], order["status"], order["customTag"]) for order in reply["orders"]] == [
        (entry, 1, "t"),
        (entry + 1, 8, "t-SL"),
        (entry + 2, 8, "t-TP"),
    ]
    assert [order["parentOrderId"] for order in reply["orders"]] == [None, entry, entry]
    assert reply["totalCount"] == 3


async def test_filters_sorts_and_pages_the_query(gateway: Gateway) -> None:
    gateway.quote()
    token = await gateway.login()
    ids = [(await gateway.place(token, type=1, limitPrice=price))["orderId"] for price in (19_990, 19_991, 19_992)]
    wanted = {"accountId": gateway.pat, "contractId": MNQ_ID, "createdAfter": "2026-01-01T00:00:00Z"}

    async def query(**members: object) -> list[int]:
        reply = await gateway.post("Order/v2/query", {"filter": wanted, **members}, token)
        return [order["id"] for order in reply["orders"]]

    assert await query() == ids
    assert await query(sortDirection=1) == ids[::-1]
    assert await query(pageSize=2) == ids[:2]
    assert await query(pageSize=2, pageOffset=2) == ids[2:]
    wanted["createdBefore"] = "2026-01-02T00:00:00Z"
    assert await query() == []
    assert (await gateway.raw("Order/v2/query", {"filter": wanted, "pageSize": 0}, token))[0] == 400
    assert (await gateway.raw("Order/v2/query", {"filter": {}}, token))[0] == 400
    assert code(await gateway.post("Order/v2/query", {"filter": {"accountId": gateway.kim}}, token)) == 1


async def test_searches_orders_by_their_creation(gateway: Gateway) -> None:
    gateway.quote()
    token = await gateway.login()
    placed = await gateway.place(token)
    window = {"accountId": gateway.pat, "startTimestamp": "2026-08-19T20:49:25Z"}
    found = await gateway.post("Order/search", {**window, "endTimestamp": "2026-08-19T20:49:26Z"}, token)
    assert [order["id"] for order in found["orders"]] == [placed["orderId"]]
    assert (await gateway.post("Order/search", {**window, "endTimestamp": "2026-08-19T20:49:25Z"}, token))[
        "orders"
    ] == []


async def test_gives_bars_newest_first(gateway: Gateway) -> None:
    for minute, ticks in enumerate((80_000, 80_004, 80_008)):
        gateway.exchange.print(MNQ_ID, ticks, 1, Side.BUY, NOW_NS + minute * 60_000_000_000)
    token = await gateway.login()
    bars = (await gateway.post("History/retrieveBars", {**BARS, "limit": 2}, token))["bars"]
    assert [(bar["t"], bar["c"]) for bar in bars] == [
        ("2026-08-19T20:51:00+00:00", 20_002),
        ("2026-08-19T20:50:00+00:00", 20_001),
    ]
    whole = (await gateway.post("History/retrieveBars", {**BARS, "includePartialBar": False}, token))["bars"]
    assert [bar["c"] for bar in whole] == [20_001, 20_000]


@pytest.mark.parametrize(
    ("members", "number"),
    [({"contractId": "X"}, 1), ({"unit": 7}, 2), ({"unit": 0}, 2), ({"unitNumber": 0}, 3), ({"limit": 20_001}, 4)],
)
async def test_refuses_bars_with_the_venues_numbers(gateway: Gateway, members: dict[str, object], number: int) -> None:
    assert code(await gateway.post("History/retrieveBars", {**BARS, **members}, await gateway.login())) == number


async def test_answers_429_beyond_the_budget_of_a_user() -> None:
    settings = SimSettings(calls=Window(3, 60.0), bar_calls=Window(1, 30.0), retry_after_s=7)
    async with running(settings) as gateway:
        kim, pat = await gateway.login("kim"), await gateway.login()
        search = {"onlyActiveAccounts": True}
        assert [(await gateway.raw("Account/search", search, pat))[0] for _ in range(3)] == [200, 200, 429]
        status, headers, body = await gateway.raw("Order/place", {}, pat)
        assert (status, headers["Retry-After"], body) == (429, "7", "")
        assert [(await gateway.raw("History/retrieveBars", BARS, pat))[0] for _ in range(2)] == [200, 429]
        assert (await gateway.raw("Account/search", search, kim))[0] == 200
        login = {"userName": "pat", "apiKey": USERS["pat"]}
        assert (await gateway.raw("Auth/loginKey", login))[0] == 429


async def test_takes_only_json(gateway: Gateway) -> None:
    async with gateway.http.post(f"{gateway.url}/api/Auth/loginKey", data="userName=pat") as response:
        assert response.status == 415
        problem = msgspec.json.decode(await response.text())
    assert (problem["title"], problem["status"]) == ("Unsupported Media Type", 415)
    for kind in ("text/json", "application/vnd.x+json"):
        headers, body = {"Content-Type": kind}, b'{"userName":"pat","apiKey":"x"}'
        async with gateway.http.post(f"{gateway.url}/api/Auth/loginKey", data=body, headers=headers) as response:
            assert response.status == 200

"""Answers that are not the truth, and other spellings of those that are, over a real socket."""

import asyncio

import pytest

from risk_manager.simulator.faults import Answer, Failure
from risk_manager.simulator.server import SimSettings
from risk_manager.simulator.server.rest_settings import RestSettings
from tests.simulator.server.gateway import MNQ_ID, Gateway, running

SEARCH = {"onlyActiveAccounts": True}


@pytest.mark.parametrize(
    ("path", "code", "payload"),
    [
        ("Order/place", 6, {"orderId": None}),
        ("Order/place", 7, {"orderId": None}),
        ("Order/modify", 4, {}),
        ("Order/cancel", 4, {}),
        ("Order/cancel", 5, {}),
        ("Position/closeContract", 6, {}),
        ("Position/partialCloseContract", 7, {}),
        ("Auth/validate", 2, {"newToken": None}),
        ("Order/v2/query", 1, {"orders": None, "totalCount": None}),
    ],
)
async def test_says_any_code_of_an_endpoint_in_its_own_members(
    gateway: Gateway, path: str, code: int, payload: dict[str, None]
) -> None:
    gateway.quote()
    token = await gateway.login()
    gateway.server.fail_next(path, Answer(code, "text"))
    body = {"accountId": gateway.pat, "contractId": MNQ_ID, "type": 2, "side": 0, "size": 1, "orderId": 1}
    reply = await gateway.post(path, {**body, "filter": {"accountId": gateway.pat}}, token)
    assert reply == {**payload, "success": False, "errorCode": code, "errorMessage": "text"}
    assert gateway.exchange.orders(gateway.pat) == []


async def test_can_say_pending_of_what_it_has_done(gateway: Gateway) -> None:
    gateway.quote()
    token = await gateway.login()
    gateway.server.fail_next("Order/place", Answer(6, is_executed=True))
    assert (await gateway.place(token)) == {"orderId": None, "success": False, "errorCode": 6, "errorMessage": None}
    gateway.server.fail_next("Position/closeContract", Answer(6, is_executed=True))
    close = {"accountId": gateway.pat, "contractId": MNQ_ID}
    assert (await gateway.post("Position/closeContract", close, token))["errorCode"] == 6
    assert [order.size for order in gateway.exchange.orders(gateway.pat)] == [1, 1]
    assert gateway.exchange.positions(gateway.pat) == []


async def test_can_claim_a_success_that_was_none(gateway: Gateway) -> None:
    gateway.quote()
    token = await gateway.login()
    gateway.server.fail_next("Position/closeContract", Answer(0))
    await gateway.place(token)
    close = {"accountId": gateway.pat, "contractId": MNQ_ID}
    assert (await gateway.post("Position/closeContract", close, token))["success"] is True
    assert [position.net_contracts for position in gateway.exchange.positions(gateway.pat)] == [1]


async def test_can_leave_a_list_out_of_a_success(gateway: Gateway) -> None:
    token = await gateway.login()
    gateway.server.fail_next("Account/search", Answer(0, is_executed=True, drops_payload=True))
    replies = [await gateway.post("Account/search", SEARCH, token) for _ in range(2)]
    assert replies[0] == {"accounts": None, "success": True, "errorCode": 0, "errorMessage": None}
    assert len(replies[1]["accounts"]) == 2


async def test_lets_nobody_in_for_an_ordered_answer(gateway: Gateway) -> None:
    gateway.server.fail_next("Account/search", Answer(0), count=2)
    assert (await gateway.raw("Account/search", SEARCH))[0] == 401
    assert (await gateway.raw("Account/search", {}, await gateway.login()))[0] == 400


async def test_can_answer_like_a_proxy_that_lost_the_venue(gateway: Gateway) -> None:
    token = await gateway.login()
    gateway.server.fail_next("Account/search", Failure(200, body=b"<html>Just a moment</html>"))
    gateway.server.fail_next("Account/search", Failure(429, retry_after_s=30))
    status, headers, body = await gateway.raw("Account/search", SEARCH, token)
    assert (status, headers["Content-Type"], body) == (200, "text/html", "<html>Just a moment</html>")
    status, headers, body = await gateway.raw("Account/search", SEARCH, token)
    assert (status, headers["Retry-After"], body, "Content-Type" in headers) == (429, "30", "", False)


async def test_writes_numbers_shortest_or_padded_and_ids_as_text_on_demand() -> None:
    rest = RestSettings(pads_decimals=True, writes_ids_as_text=True)
    async with running(SimSettings(rest=rest)) as padded, running() as plain:
        texts = []
        for gateway in (plain, padded):
            gateway.quote()
            token = await gateway.login()
            await gateway.place(token, size=2)
            query = {"accountId": gateway.pat, "startTimestamp": "2026-01-01T00:00:00Z"}
            texts.append((await gateway.raw("Trade/search", query, token))[2])
    assert '"price":20000.25,"profitAndLoss":null,"fees":0.74,"commissions":0.5,"side":0,"size":2,' in texts[0]
    assert '"id":3004000001,"accountId":20000001,' in texts[0]
    assert texts[0].endswith('"orderId":3423000001}],"success":true,"errorCode":0,"errorMessage":null}')
    assert '"price":20000.250000000,"profitAndLoss":null,"fees":0.740000000,"commissions":0.500000000,' in texts[1]
    assert '"id":"3004000001","accountId":"20000001",' in texts[1]
    assert texts[1].endswith('"orderId":"3423000001"}],"success":true,"errorCode":0,"errorMessage":null}')


async def test_can_cut_a_list_short(gateway: Gateway) -> None:
    token = await gateway.login()
    gateway.server.fail_next("Account/search", Answer(0, is_executed=True, most_rows=1))
    reply = await gateway.post("Account/search", SEARCH, token)
    assert [account["id"] for account in reply["accounts"]] == [gateway.pat]


async def test_can_take_its_time_within_bounds() -> None:
    rest = RestSettings(delay_spread_s=0.02, seed=1)
    async with running(SimSettings(rest=rest, rest_delay_s=0.01)) as gateway:
        loop = asyncio.get_running_loop()
        start_s = loop.time()
        for _ in range(5):
            await gateway.raw("Status/ping")
        pinged_s = loop.time()
        for _ in range(5):
            await gateway.login()
        # The ping is exempt; five logins wait 50 ms at the very least.
        assert loop.time() - pinged_s >= 0.05
        assert pinged_s - start_s < 5.0

"""The server's life, and the faults it can be told to show."""

import asyncio

import aiohttp
import pytest

from risk_manager.simulator.exchange import Exchange
from risk_manager.simulator.faults import Failure
from risk_manager.simulator.server import SimServer, SimSettings
from tests.simulator.server.gateway import MNQ, MNQ_ID, NOW_NS, Gateway, running
from tests.simulator.server.test_hubs import silence

SEARCH = {"onlyActiveAccounts": True}


async def test_listens_again_on_the_same_port_after_a_stop(gateway: Gateway) -> None:
    token = await gateway.login()
    client = await gateway.connect("user", token)
    await gateway.server.stop()
    assert await client.next() == {"type": 7, "allowReconnect": True}
    assert await client.closed() == 1000
    await gateway.server.stop()
    with pytest.raises(aiohttp.ClientConnectorError):
        await gateway.post("Account/search", SEARCH, token)
    assert await gateway.server.start(port=gateway.port) == gateway.port
    assert (await gateway.post("Account/search", SEARCH, token))["success"]


async def test_reads_an_injected_venue_clock() -> None:
    exchange = Exchange([MNQ])
    account_id = exchange.open_account(user="pat", name="A", balance_micros=0)
    server = SimServer(exchange, users={"pat": "k"}, wall_clock=lambda: NOW_NS, venue_clock=lambda: NOW_NS + 10**9)
    port = await server.start()
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:
            async with http.post("/api/Auth/loginKey", json={"userName": "pat", "apiKey": "k"}) as response:
                assert response.headers["Date"] == "Wed, 19 Aug 2026 20:49:26 GMT"
                token = (await response.json())["token"]
            exchange.quote(MNQ_ID, 1, 2, NOW_NS)
            order = {"accountId": account_id, "contractId": MNQ_ID, "type": 2, "side": 0, "size": 1}
            headers = {"Authorization": f"Bearer {token}"}
            async with http.post("/api/Order/place", json=order, headers=headers) as response:
                assert response.status == 200
        assert exchange.orders(account_id)[0].created_ns == NOW_NS + 10**9
    finally:
        await server.stop()


async def test_fails_the_next_calls_of_a_path_with_a_status(gateway: Gateway) -> None:
    token = await gateway.login()
    gateway.server.fail_next("account/SEARCH", Failure(503), count=2)
    statuses = [(await gateway.raw("Account/search", SEARCH, token))[0] for _ in range(3)]
    assert statuses == [503, 503, 200]


@pytest.mark.parametrize(("failure", "size"), [(Failure(), 0), (Failure(is_executed=True), 1)])
async def test_loses_a_call_before_or_after_carrying_it_out(gateway: Gateway, failure: Failure, size: int) -> None:
    gateway.quote()
    token = await gateway.login()
    gateway.server.fail_next("Order/place", failure)
    with pytest.raises(aiohttp.ClientConnectionError):
        await gateway.place(token)
    assert sum(position.net_contracts for position in gateway.exchange.positions(gateway.pat)) == size


async def test_answers_later_but_acts_at_once(gateway: Gateway) -> None:
    gateway.quote()
    token = await gateway.login()
    gateway.server.set_rest_delay(0.05)
    started_s = asyncio.get_running_loop().time()
    call = asyncio.create_task(gateway.place(token))
    client = await gateway.connect("user", token)
    assert gateway.exchange.positions(gateway.pat)
    assert (await call)["success"]
    assert asyncio.get_running_loop().time() - started_s >= 0.05
    await silence(client)


async def test_revokes_tokens_without_closing_sockets(gateway: Gateway) -> None:
    token = await gateway.login()
    client = await gateway.connect("user", token)
    gateway.server.revoke_tokens()
    assert (await gateway.raw("Account/search", SEARCH, token))[0] == 401
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await gateway.open("user", token)
    assert refused.value.status == 401
    await silence(client)
    assert (await gateway.raw("Account/search", SEARCH, await gateway.login()))[0] == 200


async def test_issues_short_lived_tokens_on_demand(gateway: Gateway) -> None:
    gateway.server.set_token_lifetime(5)
    token = await gateway.login()
    gateway.wall_ns += 5_000_000_000
    assert (await gateway.raw("Account/search", SEARCH, token))[0] == 401


async def test_refuses_upgrades_on_demand(gateway: Gateway) -> None:
    token = await gateway.login()
    gateway.server.fail_next("/hubs/user", Failure(403))
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await gateway.open("user", token)
    assert refused.value.status == 403
    await gateway.connect("user", token)


async def test_drops_one_hub_without_a_word(gateway: Gateway) -> None:
    token = await gateway.login()
    user, market = await gateway.connect("user", token), await gateway.connect("market", token)
    gateway.server.drop_connections("user")
    with pytest.raises(AssertionError, match=r"CLOSED|ERROR"):
        await user.next()
    await silence(market)
    assert gateway.server.connection_count("user") == 0


@pytest.mark.parametrize(
    ("error", "allow_reconnect", "record"),
    [
        (
            "Connection closed with an error.",
            True,
            {"error": "Connection closed with an error.", "allowReconnect": True},
        ),
        (None, False, {}),
    ],
)
async def test_closes_hubs_with_a_type_7(
    gateway: Gateway, error: str | None, allow_reconnect: bool, record: dict[str, object]
) -> None:
    client = await gateway.connect("market", await gateway.login())
    gateway.server.close_hubs(error, allow_reconnect=allow_reconnect)
    assert await client.next() == {"type": 7, **record}
    assert await client.closed() == 1000


async def test_goes_silent_and_loses_what_happens_meanwhile() -> None:
    async with running(SimSettings(ping_s=0.01)) as gateway:
        token = await gateway.login()
        client = await gateway.connect("market", token, ("SubscribeContractQuotes", MNQ_ID))
        assert await client.next() == {"type": 6}
        gateway.server.stall("market")
        gateway.quote(80_000)
        late = await gateway.connect("user", token)
        assert await late.next() == {"type": 6}
        gateway.server.resume("market")
        gateway.quote(80_007)
        quotes = [record["arguments"][1] for record in await client.take(3) if record["type"] == 1]
        assert [quote["bestBid"] for quote in quotes] == [20_001.75]


async def test_stalls_connections_that_arrive_during_a_stall(gateway: Gateway) -> None:
    token = await gateway.login()
    gateway.server.stall()
    client = await gateway.open("user", token)
    await client.send(
        {"protocol": "json", "version": 1}, {"type": 1, "target": "X", "arguments": [], "invocationId": "1"}
    )
    assert await client.next() == {}
    gateway.server.resume()
    await silence(client)

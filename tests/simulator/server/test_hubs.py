"""Both hubs over real sockets: who hears what, in which shape and order."""

import asyncio

import pytest

from risk_manager.domain.order import Side
from risk_manager.simulator.server import SimSettings
from tests.simulator.server.gateway import MNQ_ID, Gateway, RawHub, running

USER_EVENTS = ("SubscribeOrders", "SubscribePositions", "SubscribeTrades")


async def user_hub(gateway: Gateway, user: str = "pat", account_id: int | None = None) -> RawHub:
    """A connection that subscribed to everything of one account."""
    calls = [(method, account_id or gateway.pat) for method in USER_EVENTS]
    return await gateway.connect("user", await gateway.login(user), ("SubscribeAccounts",), *calls)


async def silence(client: RawHub) -> None:
    """Assert that nothing waits for the client: the next record is the answer to a call made now."""
    assert (await client.call("SubscribeNothing"))["error"] == "Unknown hub method 'SubscribeNothing'"


async def test_tells_a_market_entry_in_the_venues_order(gateway: Gateway) -> None:
    gateway.quote()
    client = await user_hub(gateway)
    await gateway.place(await gateway.login(), size=2)
    records = await client.take(5)
    assert [record["target"] for record in records] == [
        "GatewayUserOrder",
        "GatewayUserTrade",
        "GatewayUserOrder",
        "GatewayUserPosition",
        "GatewayUserAccount",
    ]
    assert all(list(record) == ["type", "target", "arguments"] for record in records)
    events = [record["arguments"] for record in records]
    assert all(len(arguments) == 1 and list(arguments[0]) == ["action", "data"] for arguments in events)
    pending, fill, filled, position, account = (arguments[0]["data"] for arguments in events)
    assert (pending["status"], filled["status"], filled["filledPrice"]) == (6, 2, 20_000.25)
    assert "profitAndLoss" not in fill
    assert (position["type"], position["size"], position["averagePrice"]) == (1, 2, 20_000.25)
    assert account["balance"] == 49_998.76
    assert [arguments[0]["action"] for arguments in events] == [1, 0, 1, 1, 1]


async def test_sends_what_happens_at_once_in_one_message(gateway: Gateway) -> None:
    gateway.quote()
    client = await user_hub(gateway)
    client.frames.clear()
    await gateway.place(await gateway.login())
    await client.take(5)
    assert [len(frame) for frame in client.frames] == [5]


async def test_marks_a_flat_position_as_deleted(gateway: Gateway) -> None:
    gateway.quote()
    token = await gateway.login()
    await gateway.place(token)
    client = await gateway.connect("user", token, ("SubscribePositions", gateway.pat))
    await gateway.post("Position/closeContract", {"accountId": gateway.pat, "contractId": MNQ_ID}, token)
    (event,) = (await client.next())["arguments"]
    assert (event["action"], event["data"]["type"], event["data"]["size"]) == (2, 0, 0)


async def test_tells_every_connection_of_a_user_and_no_one_else(gateway: Gateway) -> None:
    gateway.quote()
    first, second = await user_hub(gateway), await user_hub(gateway)
    foreign = await user_hub(gateway, "kim", gateway.pat)
    await gateway.place(await gateway.login())
    assert await first.take(5) == await second.take(5)
    await silence(foreign)


async def test_tells_only_of_what_was_subscribed(gateway: Gateway) -> None:
    gateway.quote()
    token = await gateway.login()
    client = await gateway.connect("user", token, ("SubscribePositions", gateway.pat_second))
    await gateway.place(token)
    await gateway.place(token, accountId=gateway.pat_second)
    record = await client.next()
    assert (record["target"], record["arguments"][0]["data"]["accountId"]) == (
        "GatewayUserPosition",
        gateway.pat_second,
    )
    await silence(client)


async def test_counts_a_double_subscription_once_and_ends_it_on_request(gateway: Gateway) -> None:
    gateway.quote()
    token = await gateway.login()
    client = await gateway.connect(
        "user", token, ("SubscribePositions", gateway.pat), ("subscribepositions", gateway.pat)
    )
    await gateway.place(token)
    assert (await client.next())["target"] == "GatewayUserPosition"
    await silence(client)
    assert "error" not in await client.call("UnsubscribePositions", gateway.pat)
    await gateway.place(token)
    await silence(client)


async def test_sends_a_full_quote_on_subscribing_and_sparse_ones_after(gateway: Gateway) -> None:
    gateway.quote()
    gateway.exchange.print(MNQ_ID, 80_001, 4, Side.BUY, gateway.exchange.now_ns)
    client = await gateway.connect("market", await gateway.login(), ("SubscribeContractQuotes", MNQ_ID))
    full = await client.next()
    assert full["target"] == "GatewayQuote"
    assert full["arguments"][0] == MNQ_ID
    assert full["arguments"][1]["bestBid"] == 20_000
    assert full["arguments"][1]["volume"] == 4
    gateway.exchange.quote(MNQ_ID, 80_000, 80_002, gateway.exchange.now_ns)
    sparse = (await client.next())["arguments"][1]
    assert list(sparse) == ["symbol", "bestAsk", "lastUpdated", "timestamp"]
    assert sparse["bestAsk"] == 20_000.5


async def test_sends_prints_as_arrays(gateway: Gateway) -> None:
    client = await gateway.connect("market", await gateway.login(), ("SubscribeContractTrades", MNQ_ID))
    gateway.quote()
    gateway.exchange.print(MNQ_ID, 80_001, 4, Side.SELL, gateway.exchange.now_ns)
    record = await client.next()
    contract_id, rows = record["arguments"]
    assert (record["target"], contract_id) == ("GatewayTrade", MNQ_ID)
    assert [(row["price"], row["type"], row["volume"]) for row in rows] == [(20_000.25, 1, 4)]
    await silence(client)


async def test_accepts_subscriptions_it_has_nothing_for(gateway: Gateway) -> None:
    client = await gateway.connect(
        "market",
        await gateway.login(),
        ("SubscribeContractMarketDepth", MNQ_ID),
        ("SubscribeContractQuotes", "CON.F.US.ES.U26"),
        ("SubscribeContractQuotes", MNQ_ID),
    )
    await silence(client)


async def test_repeats_account_events_as_the_venue_does() -> None:
    async with running(SimSettings(account_echoes_s=(0.01, 0.02))) as gateway:
        gateway.quote()
        token = await gateway.login()
        client = await gateway.connect("user", token, ("SubscribeAccounts",))
        await gateway.place(token)
        first, second, third = await client.take(3)
        assert first == second == third


async def test_tells_an_execution_piece_by_piece_and_the_account_again() -> None:
    async with running(SimSettings()) as gateway:
        gateway.quote()
        token = await gateway.login()
        client = await user_hub(gateway)
        client.frames.clear()
        await gateway.place(token)
        kinds = [record["target"].removeprefix("GatewayUser") for record in await client.take(6)]
        assert kinds == ["Order", "Trade", "Order", "Position", "Account", "Account"]
        assert len(client.frames) > 2
        await gateway.post("Position/closeContract", {"accountId": gateway.pat, "contractId": MNQ_ID}, token)
        kinds = [record["target"].removeprefix("GatewayUser") for record in await client.take(6)]
        assert kinds == ["Order", "Trade", "Trade", "Order", "Position", "Account"]


async def test_can_send_kinds_of_events_later_but_each_in_order() -> None:
    settings = SimSettings(account_echoes_s=(), event_pace=0.0, event_delays_s={"GatewayUserOrder": 0.02})
    async with running(settings) as gateway:
        gateway.quote()
        client = await user_hub(gateway)
        await gateway.place(await gateway.login())
        records = await client.take(5)
        assert [record["target"] for record in records[3:]] == ["GatewayUserOrder", "GatewayUserOrder"]
        assert [record["arguments"][0]["data"]["status"] for record in records[3:]] == [6, 2]


async def test_loses_subscriptions_with_the_connection(gateway: Gateway) -> None:
    client = await user_hub(gateway)
    await client.socket.close()
    fresh = await gateway.connect("user", await gateway.login())
    gateway.quote()
    await gateway.place(await gateway.login())
    await silence(fresh)
    assert gateway.server.connection_count("user") == 1


async def test_sends_a_message_of_any_size_whole(gateway: Gateway) -> None:
    client = await gateway.connect("user", await gateway.login())
    gateway.server.log_out("x" * 300_000)
    assert await client.next() == {"type": 1, "target": "GatewayLogout", "arguments": ["x" * 300_000]}


async def test_cuts_off_a_reader_that_falls_behind_and_serves_the_others() -> None:
    settings = SimSettings(queue_bytes=1_000_000, slow_reader_s=0.05)
    async with running(settings) as gateway:
        token = await gateway.login()
        lazy, eager = await gateway.connect("user", token), await gateway.connect("user", token)
        sent = 0
        while gateway.server.connection_count("user") == 2:
            gateway.server.log_out("x" * 300_000)
            assert (await eager.next())["target"] == "GatewayLogout"
            sent += 1
            assert sent < 200, "nobody was cut off"
        await silence(eager)
        with pytest.raises(AssertionError):
            await lazy.take(sent)


async def test_tells_a_slow_reader_that_reads_after_all_to_reconnect() -> None:
    async with running(SimSettings(queue_bytes=1_000_000)) as gateway:
        token = await gateway.login()
        lazy, eager = await gateway.connect("user", token), await gateway.connect("user", token)
        for _ in range(60):
            gateway.server.log_out("x" * 300_000)
            await eager.next()
        records = [await lazy.next()]
        while records[-1]["type"] != 7:
            records.append(await lazy.next())
        assert len(records) < 60
        assert records[-1] == {"type": 7, "error": "Connection closed with an error.", "allowReconnect": True}
        assert await lazy.closed() == 1000


async def test_serves_many_connections_of_several_users_and_accounts_at_once(gateway: Gateway) -> None:
    gateway.quote()
    owners = {gateway.pat: "pat", gateway.pat_second: "pat", gateway.kim: "kim"}
    tokens = {user: await gateway.login(user) for user in ("pat", "kim")}
    clients = {
        account_id: [await gateway.connect("user", tokens[user], ("SubscribePositions", account_id)) for _ in range(5)]
        for account_id, user in owners.items()
    }
    orders = [
        gateway.place(tokens[user], accountId=account_id, size=size)
        for size, (account_id, user) in enumerate(owners.items(), 1)
        for _ in range(4)
    ]
    assert all(reply["success"] for reply in await asyncio.gather(*orders))
    for size, (account_id, listening) in enumerate(clients.items(), 1):
        for client in listening:
            held = [record["arguments"][0]["data"] for record in await client.take(4)]
            assert {each["accountId"] for each in held} == {account_id}
            assert [each["size"] for each in held] == [size, 2 * size, 3 * size, 4 * size]
            await silence(client)

"""Points 12 to 16 of the conformance script: how connections end, what ends with them and what does not."""

import pytest

from tests.conformance.script.frames import (
    BINARY,
    CLOSE,
    ERROR_CLOSE,
    FINAL_CLOSE,
    Wire,
    completed,
    invocation,
    knock,
    shaken,
)
from tests.simulator.server.gateway import MNQ_ID, Gateway, running

EVENTS = ("SubscribeOrders", "SubscribePositions", "SubscribeTrades")
ENTRY = ["GatewayUserOrder", "GatewayUserTrade", "GatewayUserOrder", "GatewayUserPosition", "GatewayUserAccount"]


async def subscribed(gateway: Gateway, token: str) -> Wire:
    """A user-hub connection that hears everything of one account."""
    wire = await shaken(gateway, "user", token)
    assert await wire.call("SubscribeAccounts") == completed()
    for target in EVENTS:
        assert await wire.call(target, gateway.pat) == completed()
    return wire


async def silence(wire: Wire) -> None:
    """Assert that nothing waits: the next record is the answer to a call made now."""
    await wire.say(invocation("UnsubscribeAccounts", call_id="quiet?"))
    assert await wire.next() == completed("quiet?")


# 12. Type 7, with and without leave to reconnect.


@pytest.mark.parametrize(("allow_reconnect", "record"), [(True, ERROR_CLOSE), (False, FINAL_CLOSE)])
async def test_12_closes_with_a_type_7_and_then_with_1000(allow_reconnect: bool, record: dict[str, object]) -> None:
    async with running() as gateway:
        token = await gateway.login()
        user, market = await shaken(gateway, "user", token), await shaken(gateway, "market", token)
        gateway.server.close_hubs(allow_reconnect=allow_reconnect, hub="user")
        assert await user.message() == [record]
        assert await user.closed() == 1000
        assert await market.call("SubscribeContractQuotes", MNQ_ID) == completed()


async def test_12_says_what_is_pending_before_the_type_7_and_nothing_after() -> None:
    async with running() as gateway:
        wire = await shaken(gateway, "user", await gateway.login())
        gateway.server.log_out("first")
        gateway.server.close_hubs(None, allow_reconnect=False)
        gateway.server.log_out("too late")
        assert await wire.message() == [{"type": 1, "target": "GatewayLogout", "arguments": ["first"]}, {"type": 7}]
        assert await wire.closed() == 1000


async def test_12_answers_a_clients_type_7_with_one() -> None:
    async with running() as gateway:
        wire = await shaken(gateway, "user", await gateway.login())
        await wire.say({"type": 7, "error": "tired"}, invocation("SubscribeAccounts"))
        assert await wire.message() == [{"type": 7}]
        assert await wire.closed() == 1000
        assert gateway.server.connection_count("user") == 0


async def test_12_ends_every_connection_when_the_server_stops() -> None:
    async with running() as gateway:
        wire = await shaken(gateway, "user", await gateway.login())
        await gateway.server.stop()
        assert await wire.message() == [{"type": 7, "allowReconnect": True}]
        assert (await wire.frame()).close_code == 1000


# 13. The TCP connection is cut, by either side.


async def test_13_can_cut_the_connection_without_a_frame() -> None:
    async with running() as gateway:
        token = await gateway.login()
        user, market = await shaken(gateway, "user", token), await shaken(gateway, "market", token)
        gateway.server.drop_connections("user")
        assert await user.hangs_up()
        assert gateway.server.connection_count("user") == 0
        assert await market.call("SubscribeContractQuotes", MNQ_ID) == completed()


async def test_13_forgets_a_client_that_cuts_the_connection_and_serves_the_others() -> None:
    async with running() as gateway:
        gateway.quote()
        token = await gateway.login()
        lost, kept = await subscribed(gateway, token), await subscribed(gateway, token)
        lost.cut()
        await gateway.place(token)
        assert [record["target"] for record in await kept.take(5)] == ENTRY
        await silence(kept)
        assert gateway.server.connection_count("user") == 1


@pytest.mark.parametrize("opcode", [0x3, 0xB])
async def test_13_ends_a_connection_that_breaks_the_websocket_protocol(opcode: int) -> None:
    async with running() as gateway:
        wire = await shaken(gateway, "user", await gateway.login())
        await wire.send(opcode, b"")
        frame = await wire.frame()
        assert (frame.opcode, frame.close_code) == (CLOSE, 1002)
        assert await wire.hangs_up()


# 14. A new connection starts without subscriptions.


@pytest.mark.parametrize("end", ["type 7", "cut", "goodbye"])
async def test_14_loses_subscriptions_with_the_connection(end: str) -> None:
    async with running() as gateway:
        gateway.quote()
        token = await gateway.login()
        old = await subscribed(gateway, token)
        match end:
            case "type 7":
                gateway.server.close_hubs()
                assert await old.next() == ERROR_CLOSE
                assert await old.closed() == 1000
            case "cut":
                gateway.server.drop_connections()
                assert await old.hangs_up()
            case _:
                await old.say({"type": 7})
                assert await old.next() == {"type": 7}
                assert await old.closed() == 1000
        fresh = await shaken(gateway, "user", token)
        await gateway.place(token)
        await silence(fresh)
        assert await fresh.call("SubscribePositions", gateway.pat) == completed()
        await gateway.place(token)
        event = (await fresh.next())["arguments"][0]["data"]
        # What happened in between is not told again.
        assert event["size"] == 2


# 15. Two connections of one user.


async def test_15_tells_both_connections_of_a_user_the_same() -> None:
    async with running() as gateway:
        gateway.quote()
        first = await subscribed(gateway, await gateway.login())
        second = await subscribed(gateway, await gateway.login())
        foreign = await subscribed(gateway, await gateway.login("kim"))
        await gateway.place(await gateway.login())
        records = await first.take(5)
        assert [record["target"] for record in records] == ENTRY
        assert await second.take(5) == records
        await silence(foreign)
        assert await first.call("UnsubscribePositions", gateway.pat) == completed()
        await gateway.place(await gateway.login())
        assert len(await second.take(5)) == 5
        assert "GatewayUserPosition" not in [record["target"] for record in await first.take(4)]


async def test_15_counts_a_repeated_subscription_once() -> None:
    async with running() as gateway:
        wire = await shaken(gateway, "market", await gateway.login())
        for _ in range(3):
            assert await wire.call("SubscribeContractQuotes", MNQ_ID) == completed()
        gateway.quote()
        assert (await wire.next())["target"] == "GatewayQuote"
        assert await wire.call("UnsubscribeContractQuotes", MNQ_ID) == completed()
        gateway.quote(80_004)
        await wire.send(
            BINARY, b'{"type":1,"target":"UnsubscribeContractQuotes","arguments":["x"],"invocationId":"2"}\x1e'
        )
        assert await wire.next() == completed("2")


# 16. A token that expires while connected.


async def test_16_keeps_a_connection_beyond_its_tokens_life_and_refuses_the_next() -> None:
    async with running() as gateway:
        gateway.server.set_token_lifetime(60)
        token = await gateway.login()
        path = f"/hubs/user?access_token={token}"
        wire = await shaken(gateway, "user", token)
        gateway.wall_ns += 59_000_000_000
        assert (await knock(gateway, path))[0] == 101
        gateway.wall_ns += 1_000_000_000
        assert await wire.call("SubscribePositions", gateway.pat) == completed()
        gateway.quote()
        await gateway.place(await gateway.login())
        assert (await wire.next())["target"] == "GatewayUserPosition"
        assert (await knock(gateway, path))[0] == 401
        async with gateway.http.post(f"{gateway.url}/hubs/user/negotiate?access_token={token}") as response:
            assert response.status == 401
        gateway.server.drop_connections()
        assert await wire.hangs_up()
        assert (await knock(gateway, f"/hubs/user?access_token={await gateway.login()}"))[0] == 101

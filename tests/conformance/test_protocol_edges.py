"""Edges of the hub protocol, frame by frame, as the clients in the field provoke them."""

from typing import Any

import aiohttp
import pytest

from risk_manager.simulator.server import SimSettings
from tests.simulator.server.gateway import MNQ_ID, Gateway, RawHub, running

HANDSHAKE = {"protocol": "json", "version": 1}
ERROR_CLOSE = {"type": 7, "error": "Connection closed with an error.", "allowReconnect": True}
FAST = SimSettings(
    ping_s=0.02, client_silence_s=0.08, handshake_s=0.05, negotiation_s=0.05, slow_reader_s=1.0, account_echoes_s=()
)


async def negotiate(gateway: Gateway, query: str) -> tuple[int, dict[str, Any]]:
    async with gateway.http.post(f"{gateway.url}/hubs/user/negotiate?{query}") as response:
        return response.status, await response.json() if response.status == 200 else {}


async def upgrade_status(gateway: Gateway, token: str, query: str) -> int:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await gateway.open("user", token, query)
    return refused.value.status


@pytest.mark.parametrize(
    ("query", "version", "key"),
    [
        ("negotiateVersion=1", 1, "connectionToken"),
        ("NEGOTIATEVERSION=7&id=stale", 1, "connectionToken"),
        ("negotiateVersion=0", 0, "connectionId"),
        ("", 0, "connectionId"),
    ],
)
async def test_negotiates_every_version_and_takes_its_id_once(query: str, version: int, key: str) -> None:
    async with running() as gateway:
        token = await gateway.login()
        status, reply = await negotiate(gateway, f"{query}&access_token={token}")
        assert (status, reply["negotiateVersion"]) == (200, version)
        assert ("connectionToken" in reply) == (version == 1)
        assert len(reply[key]) == 22
        assert reply["availableTransports"][0] == {"transport": "WebSockets", "transferFormats": ["Text", "Binary"]}
        assert "useStatefulReconnect" not in reply
        client = await gateway.open("user", token, f"&id={reply[key]}")
        assert await upgrade_status(gateway, token, f"&id={reply[key]}") == 409
        await client.socket.close()
        assert await upgrade_status(gateway, token, f"&id={reply[key]}") == 404


async def test_refuses_odd_negotiations_and_connections() -> None:
    async with running(FAST) as gateway:
        token = await gateway.login()
        _, reply = await negotiate(gateway, f"negotiateVersion=one&access_token={token}")
        assert reply == {"error": "The client requested a non-integer protocol version."}
        assert (await negotiate(gateway, "negotiateVersion=1"))[0] == 401
        assert await upgrade_status(gateway, "bad", "") == 401
        assert await upgrade_status(gateway, token, "&id=nobody") == 404
        hub = f"{gateway.url}/hubs/user?access_token={token}"
        async with gateway.http.get(hub) as response:
            assert (response.status, await response.text()) == (400, "Connection ID required")
        async with gateway.http.post(hub) as response:
            assert response.status == 400
        async with gateway.http.get(f"{gateway.url}/hubs/user/negotiate?access_token={token}") as response:
            assert response.status == 405
        async with gateway.http.get(f"{gateway.url}/hubs/other?access_token={token}") as response:
            assert response.status == 404


async def test_forgets_a_negotiated_id_that_is_not_used() -> None:
    async with running(SimSettings(negotiation_s=0.0)) as gateway:
        token = await gateway.login()
        _, reply = await negotiate(gateway, f"access_token={token}")
        assert await upgrade_status(gateway, token, f"&id={reply['connectionId']}") == 404


async def test_takes_the_token_from_the_header_or_the_first_filled_query_value() -> None:
    async with running() as gateway:
        token = await gateway.login()
        headers = {"Authorization": f"Bearer {token}"}
        async with gateway.http.post(f"{gateway.url}/hubs/market/negotiate", headers=headers) as response:
            assert response.status == 200
        await gateway.open("user", "", f"&access_token={token}&access_token={token}")
        await gateway.open("user/", token)
        await gateway.open("USER", token)


@pytest.mark.parametrize("version", [0, 1, 2])
async def test_shakes_hands_in_every_version_seen_in_the_field(version: int) -> None:
    async with running() as gateway:
        client = await gateway.open("user", await gateway.login())
        await client.send({"version": version, "protocol": "json"})
        assert await client.next() == {}


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ({"protocol": "json", "version": 99}, "The server does not support version 99 of the 'json' protocol."),
        ({"protocol": "messagepack", "version": 1}, "The protocol 'messagepack' is not supported."),
    ],
)
async def test_refuses_a_handshake_with_a_reason_and_no_type_7(request_: dict[str, object], error: str) -> None:
    async with running() as gateway:
        client = await gateway.open("user", await gateway.login())
        await client.send(request_)
        assert await client.next() == {"error": error}
        assert await client.closed() == 1000


async def test_gives_up_on_a_client_that_does_not_shake_hands() -> None:
    async with running(FAST) as gateway:
        client = await gateway.open("user", await gateway.login())
        assert await client.next() == {"error": "Handshake was canceled."}
        assert await client.closed() == 1000


async def test_serves_an_invocation_that_comes_with_the_handshake_or_in_pieces() -> None:
    async with running() as gateway:
        client = await gateway.open("user", await gateway.login())
        await client.send(HANDSHAKE, {"type": 1, "target": "SubscribeAccounts", "arguments": [], "invocationId": "7"})
        assert await client.take(2) == [{}, {"type": 3, "invocationId": "7", "result": None}]
        await client.socket.send_str('{"type":1,"target":"SubscribeAccounts",')
        await client.socket.send_str('"arguments":[],"invocationId":"8"}\x1e')
        assert await client.next() == {"type": 3, "invocationId": "8", "result": None}


@pytest.mark.parametrize(
    ("method", "arguments", "error"),
    [
        ("Subscribe", [], "Unknown hub method 'Subscribe'"),
        ("SubscribeContractQuotes", [MNQ_ID], "Unknown hub method 'SubscribeContractQuotes'"),
        ("SubscribeOrders", [], "Failed to invoke 'SubscribeOrders' due to an error on the server."),
        ("SubscribeOrders", [1, 2], "Failed to invoke 'SubscribeOrders' due to an error on the server."),
        ("SubscribeOrders", ["1"], "Failed to invoke 'SubscribeOrders' due to an error on the server."),
        ("SubscribeOrders", [True], "Failed to invoke 'SubscribeOrders' due to an error on the server."),
        ("SubscribeOrders", [1.5], "Failed to invoke 'SubscribeOrders' due to an error on the server."),
        ("SubscribeOrders", [2**31], "Failed to invoke 'SubscribeOrders' due to an error on the server."),
        ("SubscribeAccounts", [1], "Failed to invoke 'SubscribeAccounts' due to an error on the server."),
    ],
)
async def test_answers_wrong_calls_as_asp_net_does(method: str, arguments: list[object], error: str) -> None:
    async with running() as gateway:
        client = await gateway.connect("user", await gateway.login())
        assert await client.call(method, *arguments) == {"type": 3, "invocationId": "1", "error": error}


async def test_answers_foreign_accounts_and_streams_and_ignores_what_it_does_not_know() -> None:
    async with running() as gateway:
        client = await gateway.connect("user", await gateway.login(), ("SubscribeOrders", gateway.kim))
        await client.send(
            {"type": 99}, {"type": 4, "invocationId": "2", "target": "Feed", "arguments": []}, {"type": 8}
        )
        assert await client.next() == {
            "type": 3,
            "invocationId": "2",
            "error": "The client attempted to invoke the non-streaming 'Feed' method with a streaming invocation.",
        }


async def test_answers_fire_and_forget_calls_with_nothing() -> None:
    async with running() as gateway:
        client = await gateway.connect("user", await gateway.login())
        forgotten: list[dict[str, object]] = [
            {"type": 1, "target": target, "arguments": []} for target in ("SubscribeAccounts", "Nonsense")
        ]
        await client.send(*forgotten)
        assert (await client.call("SubscribeAccounts"))["invocationId"] == "1"


async def test_serves_twenty_records_of_one_message_in_order() -> None:
    async with running() as gateway:
        client = await gateway.connect("user", await gateway.login())
        calls = [
            {"type": 1, "target": "SubscribeOrders", "arguments": [gateway.pat], "invocationId": str(number)}
            for number in range(20)
        ]
        await client.send(*calls)
        assert [record["invocationId"] for record in await client.take(20)] == [str(number) for number in range(20)]


@pytest.mark.parametrize("text", ['{"type":1,"arguments":[]}\x1e', "not json\x1e", "x" * 40_000])
async def test_closes_on_what_is_not_the_protocol(text: str) -> None:
    async with running() as gateway:
        client = await gateway.connect("user", await gateway.login())
        await client.socket.send_str(text)
        assert await client.next() == ERROR_CLOSE
        assert await client.closed() == 1000


async def test_answers_a_goodbye_with_a_goodbye() -> None:
    async with running() as gateway:
        client = await gateway.connect("user", await gateway.login())
        await client.send({"type": 7})
        assert await client.next() == {"type": 7}
        assert await client.closed() == 1000


async def test_pings_on_the_hub_level_only() -> None:
    async with running(FAST) as gateway:
        client = await gateway.connect("user", await gateway.login())
        # `next` takes text messages only, so a WebSocket ping would fail it.
        assert await client.take(6) == [{"type": 6}] * 6


async def test_answers_websocket_pings_with_their_payload() -> None:
    async with running() as gateway:
        client = await gateway.connect("user", await gateway.login())
        await client.socket.ping(b"are you there")
        message = await client.socket.receive(timeout=5)
        assert (message.type, message.data) == (aiohttp.WSMsgType.PONG, b"are you there")


async def test_closes_on_a_client_that_pinged_and_fell_silent() -> None:
    async with running(FAST) as gateway:
        client = await gateway.connect("user", await gateway.login())
        await client.send({"type": 6})
        records = [await client.next()]
        while records[-1] == {"type": 6}:
            records.append(await client.next())
        assert records[-1] == ERROR_CLOSE
        assert len(records) <= 6


async def test_keeps_a_client_that_never_pings() -> None:
    async with running(FAST) as gateway:
        client = await gateway.connect("user", await gateway.login())
        assert await client.take(8) == [{"type": 6}] * 8


async def test_keeps_a_connection_beyond_its_tokens_life_but_refuses_the_next() -> None:
    async with running() as gateway:
        gateway.server.set_token_lifetime(1)
        token = await gateway.login()
        client: RawHub = await gateway.connect("user", token)
        gateway.wall_ns += 1_000_000_000
        assert "error" not in await client.call("SubscribeAccounts")
        assert await upgrade_status(gateway, token, "") == 401


async def test_offers_no_compression_and_lets_browsers_in() -> None:
    async with running() as gateway:
        token = await gateway.login()
        socket = await gateway.http.ws_connect(f"{gateway.url}/hubs/user?access_token={token}", compress=15)
        assert socket.compress == 0
        await socket.close()
        preflight = {"Origin": "http://app", "Access-Control-Request-Headers": "x-signalr-user-agent"}
        async with gateway.http.options(f"{gateway.url}/hubs/user/negotiate", headers=preflight) as response:
            assert response.status == 204
            assert response.headers["Access-Control-Allow-Origin"] == "http://app"
            assert response.headers["Access-Control-Allow-Credentials"] == "true"
            assert response.headers["Access-Control-Allow-Headers"] == "x-signalr-user-agent"

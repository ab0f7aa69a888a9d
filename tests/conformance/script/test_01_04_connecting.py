"""Points 1 to 4 of the conformance script: negotiation, connection ids, tokens and the handshake, byte by byte."""

from collections.abc import Callable
from typing import Any

import pytest

from risk_manager.simulator.server import SimSettings
from tests.conformance.script.frames import (
    BINARY,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    completed,
    invocation,
    knock,
    text_of,
    upgrade,
)
from tests.simulator.server.gateway import Gateway, running

TRANSPORTS = [
    {"transport": "WebSockets", "transferFormats": ["Text", "Binary"]},
    {"transport": "ServerSentEvents", "transferFormats": ["Text"]},
    {"transport": "LongPolling", "transferFormats": ["Text", "Binary"]},
]
NOT_AN_INTEGER = {"error": "The client requested a non-integer protocol version."}


async def negotiate(gateway: Gateway, query: str, token: str | None = None) -> dict[str, Any]:
    """The answer to a negotiation that HTTP calls a success."""
    token = token or await gateway.login()
    async with gateway.http.post(f"{gateway.url}/hubs/user/negotiate?access_token={token}{query}") as response:
        assert (response.status, response.content_type) == (200, "application/json")
        assert int(response.headers["Content-Length"]) == len(await response.read())
        reply: dict[str, Any] = await response.json()
        return reply


async def ask(gateway: Gateway, method: str, path: str, **headers: str) -> tuple[int, str, str]:
    """Status, content type and text of a plain request."""
    async with gateway.http.request(method, f"{gateway.url}/hubs/{path}", headers=headers) as response:
        return response.status, response.content_type, await response.text()


# 1. Negotiation in version 0, in version 1 and without a version.


@pytest.mark.parametrize("query", ["&negotiateVersion=1", "&NEGOTIATEVERSION=7&id=stale", "&negotiateVersion=%201"])
async def test_01_negotiates_version_1(query: str) -> None:
    async with running() as gateway:
        reply = await negotiate(gateway, query)
        assert list(reply) == ["negotiateVersion", "connectionId", "connectionToken", "availableTransports"]
        assert reply["negotiateVersion"] == 1
        assert (len(reply["connectionId"]), len(reply["connectionToken"])) == (22, 22)
        assert reply["connectionId"] != reply["connectionToken"]
        assert reply["availableTransports"] == TRANSPORTS


@pytest.mark.parametrize("query", ["", "&negotiateVersion=0"])
async def test_01_negotiates_version_0(query: str) -> None:
    async with running() as gateway:
        reply = await negotiate(gateway, query)
        assert list(reply) == ["negotiateVersion", "connectionId", "availableTransports"]
        assert (reply["negotiateVersion"], len(reply["connectionId"])) == (0, 22)
        assert reply["availableTransports"] == TRANSPORTS


@pytest.mark.parametrize("asked", ["one", "1.0", "", "1_0", "1&negotiateVersion=1"])
async def test_01_refuses_versions_that_are_no_integer(asked: str) -> None:
    async with running() as gateway:
        assert await negotiate(gateway, f"&negotiateVersion={asked}") == NOT_AN_INTEGER


async def test_01_refuses_versions_older_than_the_oldest() -> None:
    async with running() as gateway:
        error = "The client requested version '-1', but the server does not support this version."
        assert await negotiate(gateway, "&negotiateVersion=-1") == {"error": error}


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_01_negotiates_by_post_only(method: str) -> None:
    async with running() as gateway:
        path = f"user/negotiate?access_token={await gateway.login()}"
        assert (await ask(gateway, method, path))[0] == 405


async def test_01_lets_a_browser_negotiate() -> None:
    async with running() as gateway:
        asked = "authorization,x-requested-with,x-signalr-user-agent"
        preflight = {"Origin": "http://app", "Access-Control-Request-Headers": asked}
        async with gateway.http.options(f"{gateway.url}/hubs/user/negotiate", headers=preflight) as response:
            assert response.status == 204
            assert response.headers["Access-Control-Allow-Origin"] == "http://app"
            assert response.headers["Access-Control-Allow-Credentials"] == "true"
            assert response.headers["Access-Control-Allow-Headers"] == asked


# 2. Connecting with an id, without one, with a stale one and with one in use.


@pytest.mark.parametrize(("query", "key"), [("&negotiateVersion=1", "connectionToken"), ("", "connectionId")])
async def test_02_takes_a_negotiated_id_once(query: str, key: str) -> None:
    async with running() as gateway:
        token = await gateway.login()
        hub = f"/hubs/user?access_token={token}&id={(await negotiate(gateway, query, token))[key]}"
        wire = await upgrade(gateway, hub)
        assert (await knock(gateway, hub))[0] == 409
        await wire.say({"protocol": "json", "version": 1}, {"type": 7})
        assert await wire.take(2) == [{}, {"type": 7}]
        assert await wire.closed() == 1000
        assert (await knock(gateway, hub))[0] == 404


async def test_02_keeps_the_id_of_version_1_to_itself() -> None:
    async with running() as gateway:
        token = await gateway.login()
        reply = await negotiate(gateway, "&negotiateVersion=1", token)
        assert (await knock(gateway, f"/hubs/user?access_token={token}&id={reply['connectionId']}"))[0] == 404


@pytest.mark.parametrize("path", ["/hubs/user?", "/hubs/market?", "/hubs/user/?", "/HUBS/User?", "/hubs/user?id=&"])
async def test_02_makes_a_connection_without_an_id(path: str) -> None:
    async with running() as gateway:
        offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
        wire = await upgrade(gateway, f"{path}access_token={await gateway.login()}", offer)
        assert b"sec-websocket-extensions" not in wire.upgrade.lower()


async def test_02_names_a_stale_id() -> None:
    async with running() as gateway:
        path = f"user?access_token={await gateway.login()}&id=stale"
        assert (await knock(gateway, f"/hubs/{path}"))[0] == 404
        for method in ("GET", "POST", "DELETE"):
            assert await ask(gateway, method, path) == (404, "text/plain", "No Connection with that ID")


async def test_02_forgets_a_negotiated_id_after_15_seconds(pass_time: Callable[[float], None]) -> None:
    async with running() as gateway:
        token = await gateway.login()
        early, late = [(await negotiate(gateway, "", token))["connectionId"] for _ in range(2)]
        pass_time(14.5)
        await upgrade(gateway, f"/hubs/user?access_token={token}&id={early}")
        pass_time(0.6)
        assert (await knock(gateway, f"/hubs/user?access_token={token}&id={late}"))[0] == 404


async def test_02_wants_an_id_of_everything_but_a_websocket() -> None:
    async with running() as gateway:
        path = f"user?access_token={await gateway.login()}"
        for method in ("GET", "POST", "DELETE"):
            assert await ask(gateway, method, path) == (400, "text/plain", "Connection ID required")
        assert (await ask(gateway, "PUT", path))[0] == 405


async def test_02_speaks_no_other_transport() -> None:
    async with running() as gateway:
        token = await gateway.login()
        path = f"user?access_token={token}&id={(await negotiate(gateway, '', token))['connectionId']}"
        polling = "LongPolling transport not supported by this end point type"
        events = "ServerSentEvents transport not supported by this end point type"
        deleting = "Cannot terminate this connection using the DELETE endpoint."
        assert await ask(gateway, "GET", path) == (404, "text/plain", polling)
        assert await ask(gateway, "GET", path, Accept="text/event-stream") == (404, "text/plain", events)
        assert await ask(gateway, "DELETE", path) == (400, "text/plain", deleting)
        await upgrade(gateway, f"/hubs/{path}")
        posting = "POST requests are not allowed for WebSocket connections."
        changing = "Cannot change transports mid-connection"
        assert await ask(gateway, "POST", path) == (405, "text/plain", posting)
        assert await ask(gateway, "GET", path) == (400, "text/plain", changing)
        assert await ask(gateway, "DELETE", path) == (400, "text/plain", deleting)


# 3. No token, no entry.


@pytest.mark.parametrize("token", [None, "", "forged", "a.b.c"])
async def test_03_refuses_who_brings_no_valid_token(token: str | None) -> None:
    async with running() as gateway:
        query = "" if token is None else f"?access_token={token}"
        assert (await knock(gateway, f"/hubs/user{query}"))[0] == 401
        assert (await ask(gateway, "POST", f"user/negotiate{query}"))[0] == 401
        assert (await ask(gateway, "GET", f"user{query}"))[0] == 401


async def test_03_takes_the_token_from_the_query_once_or_twice_or_from_the_header() -> None:
    async with running() as gateway:
        token = await gateway.login()
        bearer = f"Authorization: Bearer {token}"
        await upgrade(gateway, f"/hubs/user?access_token={token}")
        await upgrade(gateway, f"/hubs/user?access_token=&access_token={token}")
        await upgrade(gateway, f"/hubs/user?access_token={token}&access_token={token}")
        await upgrade(gateway, "/hubs/user", bearer)
        await upgrade(gateway, "/hubs/user?access_token=", bearer)
        assert (await knock(gateway, "/hubs/user", f"Authorization: {token}"))[0] == 401
        headers = {"Authorization": f"Bearer {token}"}
        assert (await ask(gateway, "POST", "market/negotiate", **headers))[0] == 200


# 4. Handshakes: versions 0, 1, 2 and 99, and another protocol.


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("version", [0, 1, 2])
async def test_04_shakes_hands_in_every_version_seen_in_the_field(version: int, opcode: int) -> None:
    async with running() as gateway:
        wire = await upgrade(gateway, f"/hubs/user?access_token={await gateway.login()}")
        await wire.send(opcode, text_of({"version": version, "protocol": "json"}))
        frame = await wire.frame()
        assert (frame.is_last, frame.opcode, frame.payload) == (True, TEXT, b"{}\x1e")


REFUSED: list[tuple[bytes, str]] = [
    (text_of({"protocol": "json", "version": 99}), "The server does not support version 99 of the 'json' protocol."),
    (text_of({"protocol": "messagepack", "version": 1}), "The protocol 'messagepack' is not supported."),
    (text_of({"type": 6}), "An unexpected error occurred during connection handshake."),
    (b"GET / HTTP/1.1\x1e", "An unexpected error occurred during connection handshake."),
    (b"x" * 40_000, "An unexpected error occurred during connection handshake."),
]


@pytest.mark.parametrize(("said", "error"), REFUSED)
async def test_04_refuses_other_handshakes_with_a_reason_and_no_type_7(said: bytes, error: str) -> None:
    async with running() as gateway:
        wire = await upgrade(gateway, f"/hubs/user?access_token={await gateway.login()}")
        await wire.send(TEXT, said)
        assert await wire.message() == [{"error": error}]
        assert await wire.closed() == 1000
        assert gateway.server.connection_count("user") == 0


async def test_04_can_be_as_strict_as_older_servers() -> None:
    async with running(SimSettings(oldest_handshake_version=1)) as gateway:
        wire = await upgrade(gateway, f"/hubs/user?access_token={await gateway.login()}")
        await wire.say({"protocol": "json", "version": 0})
        assert await wire.message() == [{"error": "The server does not support version 0 of the 'json' protocol."}]
        assert await wire.closed() == 1000


async def test_04_gives_up_after_15_seconds_without_a_handshake(pass_time: Callable[[float], None]) -> None:
    async with running() as gateway:
        wire = await upgrade(gateway, f"/hubs/user?access_token={await gateway.login()}")
        pass_time(14.5)
        await wire.send(PING, b"wait")
        assert (await wire.frame()).opcode == PONG
        pass_time(0.6)
        assert await wire.message() == [{"error": "Handshake was canceled."}]
        assert await wire.closed() == 1000


async def test_04_takes_a_handshake_in_pieces() -> None:
    async with running() as gateway:
        wire = await upgrade(gateway, f"/hubs/user?access_token={await gateway.login()}")
        await wire.send(TEXT, b'{"protocol":', is_last=False)
        await wire.send(CONTINUATION, b'"json",')
        await wire.send(TEXT, b'"version":1}\x1e')
        assert await wire.message() == [{}]
        await wire.say(invocation("SubscribeAccounts"))
        assert await wire.message() == [completed()]

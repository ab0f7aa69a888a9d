"""The way of the examinations to the venue: nothing that does more than read gets through, whoever sends it."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from risk_manager.venues.projectx import read_only
from risk_manager.venues.projectx.errors import HubClosed, NotSent
from risk_manager.venues.projectx.gateway import Gateway
from risk_manager.venues.projectx.limits import Lane
from risk_manager.venues.projectx.outcomes import Mutation
from risk_manager.venues.projectx.read_only import CALLS_MAX, NotAllowed, ReadOnlyTransport
from tests.venues.projectx.read_only_scene import KEY, USER, Scene, gateway

READS = """
Auth/loginKey Auth/validate Account/search Contract/available Order/search Order/v2/query
""".split()
OTHERS = """
Auth/loginApp Auth/logout Contract/search Contract/searchById History/retrieveBars Order/place Order/modify Order/cancel
Order/searchOpen Order/searchById Position/searchOpen Position/closeContract Position/partialCloseContract Trade/search
""".split()


@asynccontextmanager
async def transport(scene: Scene) -> AsyncIterator[ReadOnlyTransport]:
    opened = ReadOnlyTransport(scene.settings())
    try:
        yield opened
    finally:
        await opened.close()


async def logged_in(way: ReadOnlyTransport, scene: Scene) -> str:
    body = json.dumps({"userName": USER, "apiKey": KEY}).encode()
    reply = await way.request(
        "POST", f"{scene.base}/api/Auth/loginKey", headers={"Content-Type": "application/json"}, body=body
    )
    token: str = json.loads(reply.body)["token"]
    return token


async def test_knows_some_of_the_venues_operations_and_refuses_all_others() -> None:
    assert len(READS) + len(OTHERS) + 1 == 21  # with Status/ping all there are
    async with gateway() as scene, transport(scene) as way:
        for path in OTHERS:
            with pytest.raises(NotAllowed, match=path):
                await way.request("POST", f"{scene.base}/api/{path}", headers={}, body=b"{}")
        assert scene.paths == []
        assert way.recording.exchanges == []
        for path in READS:
            await way.request("POST", f"{scene.base}/api/{path}", headers={}, body=b"{}")
        assert scene.paths == [f"/api/{path}" for path in READS]


@pytest.mark.parametrize(
    ("method", "address"),
    [
        ("POST", "/api/order/PLACE"),
        ("POST", "/api/Account/search/../../Order/place"),
        ("POST", "/api/Account/search%2f..%2f..%2fOrder/place"),
        ("POST", "//api/Account/search"),
        ("POST", "/api/account/search"),
        ("DELETE", "/api/Account/search"),
        ("POST", "/api/Status/ping"),
        ("GET", "/hubs/user"),
        ("DELETE", "/hubs/user"),
        ("POST", "/hubs/other/negotiate"),
    ],
)
async def test_refuses_other_spellings_and_methods(method: str, address: str) -> None:
    async with gateway() as scene, transport(scene) as way:
        with pytest.raises(NotAllowed):
            await way.request(method, scene.base + address, headers={}, body=b"{}")
        with pytest.raises(NotAllowed):
            await way.request("POST", f"http://127.0.0.1:9{address}", headers={}, body=b"{}")
        assert scene.paths == []


@pytest.mark.parametrize("mutation", Mutation)
async def test_lets_not_even_the_client_itself_act(mutation: Mutation) -> None:
    async with gateway() as scene, transport(scene) as way:
        parts = Gateway(*scene.client(way))
        with pytest.raises(NotAllowed):
            await parts.mutate(mutation, {"accountId": scene.account_id, "contractId": scene.contract_id}, Lane.CLOSE)
        assert scene.paths == ["/api/Auth/loginKey"]
        assert scene.is_untouched()


@pytest.mark.parametrize(
    "record",
    [
        b'{"type":1,"target":"PlaceOrder","arguments":[]}',
        b'{"type":1,"target":"subscribeorders","arguments":[1]}',
        b'{"type":1,"arguments":[]}',
        b'{"type":4,"invocationId":"1","target":"SubscribeOrders","arguments":[]}',
        b'{"type":2,"invocationId":"1","item":1}',
        b'{"protocol":"messagepack","version":1}',
        b'{"protocol":"json","version":1,"type":1,"target":"PlaceOrder"}',
        b"[]",
        b"no json",
    ],
)
async def test_sends_no_hub_record_that_does_more_than_listen(record: bytes) -> None:
    async with gateway() as scene, transport(scene) as way:
        link = await way.open_hub(f"{scene.base}/hubs/user", await logged_in(way, scene))
        try:
            await link.send(b'{"protocol":"json","version":1}\x1e')
            with pytest.raises(NotAllowed):
                await link.send(b'{"type":6}\x1e' + record + b"\x1e")
            assert [frame.data for frame in way.recording.frames if frame.is_sent] == [
                b'{"protocol":"json","version":1}\x1e'
            ]
            assert await link.receive() == b"{}\x1e"
        finally:
            await link.close()


async def test_opens_no_hub_but_the_configured_ones() -> None:
    async with gateway() as scene, transport(scene) as way:
        for url in (f"{scene.base}/hubs/chat", f"{scene.base}/hubs/userx", "http://127.0.0.1:9/hubs/user"):
            with pytest.raises(NotAllowed):
                await way.open_hub(url, "token")


async def test_stops_at_its_own_limit_of_calls() -> None:
    async with gateway() as scene, transport(scene) as way:
        for _ in range(CALLS_MAX):
            await way.request("GET", f"{scene.base}/api/Status/ping", headers={}, body=b"")
        with pytest.raises(NotSent, match="60 calls"):
            await way.request("GET", f"{scene.base}/api/Status/ping", headers={}, body=b"")
        assert len(scene.paths) == CALLS_MAX


async def test_keeps_no_more_frames_than_fit_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_only, "FRAMES_MAX", 2)
    async with gateway() as scene, transport(scene) as way:
        link = await way.open_hub(f"{scene.base}/hubs/user", await logged_in(way, scene))
        await link.send(b'{"protocol":"json","version":1}\x1e')
        await link.receive()
        await link.send(b'{"type":6}\x1e')
        scene.server.drop_connections()
        with pytest.raises(HubClosed):
            await link.receive()
        await link.close()
        assert way.recording.frames_lost == 1
        assert [bool(frame.ended) for frame in way.recording.frames] == [False, False, True]


async def test_keeps_every_header_and_no_login() -> None:
    async with gateway() as scene, transport(scene) as way:
        await logged_in(way, scene)
        (login,) = way.recording.exchanges
        assert (login.method, login.path, login.sent, login.status) == ("POST", "/api/Auth/loginKey", b"", 200)
        assert login.header("server") == "Kestrel"
        assert login.header("Retry-After") is None


async def test_says_when_nobody_listens() -> None:
    async with gateway() as scene, transport(scene) as way:
        await scene.server.stop()
        with pytest.raises(NotSent):
            await way.request("GET", f"{scene.base}/api/Status/ping", headers={}, body=b"")
        (failed,) = way.recording.exchanges
        assert failed.status is None
        assert "ConnectorError" in failed.failure

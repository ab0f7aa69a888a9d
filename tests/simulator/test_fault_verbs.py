"""Every verb of the fault language does what it says: over real sockets, seen by a plain client."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import msgspec
import pytest

from risk_manager.simulator.fault_schedule import FaultSchedule
from risk_manager.simulator.fault_script import parse_sentence
from risk_manager.simulator.fault_verbs import VERBS
from risk_manager.simulator.fault_words import KINDS, OPERATIONS, Unknown, contracts_called, kinds_of
from risk_manager.simulator.server import SimSettings
from tests.simulator.server.gateway import MNQ_ID, PATIENCE_S, Gateway, Json, RawHub, running
from tests.simulator.server.test_hubs import silence

SEARCH = {"onlyActiveAccounts": True}
NEXT_ID = "CON.F.US.MNQ.Z26"
UNAVAILABLE = "not in an active trading status"
SETTINGS = SimSettings(account_echoes_s=(), event_pace=0.0, ping_s=0.02)


class Scene:
    """A gateway with a quoted market and a logged-in client, and faults to throw at it."""

    def __init__(self, gateway: Gateway, token: str) -> None:
        self.gateway = gateway
        self.exchange = gateway.exchange
        self.token = token
        self.schedule = FaultSchedule(gateway.server)

    def throw(self, text: str) -> None:
        self.schedule.throw(parse_sentence(text))

    def over(self) -> None:
        """End everything that lasts."""
        self.schedule.stop()

    async def post(self, path: str, **members: object) -> Json:
        return await self.gateway.post(path, {"accountId": self.gateway.pat, **members}, self.token)

    async def status(self, path: str = "Account/search", **members: object) -> int:
        """The HTTP status of a call; 0 when it is cut off."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                return (await self.gateway.raw(path, {**SEARCH, **members}, self.token))[0]
        except aiohttp.ClientConnectionError:
            return 0

    async def place(self, **members: object) -> Json:
        return await self.gateway.place(self.token, **members)

    async def hub(self, name: str, *calls: tuple[Any, ...]) -> RawHub:
        """A connection; pings are left out of what it hears."""
        client = _Pingless((await self.gateway.open(name, self.token)).socket)
        await client.send({"protocol": "json", "version": 1})
        assert await client.next() == {}
        for method, *arguments in calls:
            assert await client.call(method, *arguments) == {"type": 3, "invocationId": "1", "result": None}
        return client

    async def upgrade(self, name: str) -> int:
        """The status a hub answers an upgrade with: 101, or 0 when it is cut off."""
        try:
            await self.gateway.open(name, self.token)
        except aiohttp.WSServerHandshakeError as refused:
            return refused.status
        except aiohttp.ClientConnectionError:
            return 0
        return 101

    async def positions(self) -> list[int]:
        reply = await self.post("Position/searchOpen")
        return [each["size"] for each in reply["positions"]]

    def net(self) -> int:
        return sum(each.net_contracts for each in self.exchange.positions(self.gateway.pat))


class _Pingless(RawHub):
    async def next(self) -> Json:
        while (record := await super().next()) == {"type": 6}:
            pass
        return record


Check = Callable[[Scene], Awaitable[None]]
CHECKS: dict[str, Check] = {}


def verb(name: str) -> Callable[[Check], Check]:
    def add(check: Check) -> Check:
        assert name not in CHECKS, name
        CHECKS[name] = check
        return check

    return add


async def is_dead(client: RawHub) -> bool:
    """Whether the connection is cut, or closed, as soon as everything under way has arrived."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            message = await client.socket.receive()
            if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.PONG):
                return message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)


async def hears_nothing(client: RawHub, for_s: float = 0.06) -> bool:
    """Whether not even a ping arrives, three of which would be due."""
    try:
        async with asyncio.timeout(for_s):
            await client.socket.receive()
    except TimeoutError:
        return True
    return False


@verb("drop")
async def drops(scene: Scene) -> None:
    user, market = await scene.hub("user"), await scene.hub("market")
    scene.throw("drop user_hub for 10s")
    assert await is_dead(user)
    assert [await scene.upgrade("user"), await scene.status()] == [0, 200]
    await silence(market)
    scene.over()
    assert await scene.upgrade("user") == 101
    scene.throw("drop rest for 10s")
    assert [await scene.status(), await scene.upgrade("market")] == [0, 101]
    scene.over()
    assert await scene.status() == 200
    scene.throw("drop everything")
    assert await is_dead(market)
    assert await scene.status() == 200


@verb("reset")
async def resets(scene: Scene) -> None:
    user = await scene.hub("user")
    scene.throw("reset user_hub")
    message = await user.socket.receive()
    assert message.type is aiohttp.WSMsgType.ERROR or isinstance(user.socket.exception(), ConnectionResetError), message
    _, writer = await asyncio.open_connection("127.0.0.1", scene.gateway.port)
    writer.write(b"POST /api/Account/search HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
    await asyncio.sleep(0.02)
    scene.throw("reset rest")
    with pytest.raises(ConnectionResetError):
        await writer.wait_closed()


@verb("half-open")
async def half_opens(scene: Scene) -> None:
    old = await scene.hub("user", ("SubscribePositions", scene.gateway.pat))
    # A call leaves a connection behind that the next one would use.
    assert await scene.status() == 200
    scene.throw("half-open everything")
    hanging = asyncio.create_task(scene.place())
    await asyncio.sleep(0.02)
    await old.socket.ping()
    assert (await scene.place())["success"]
    assert await hears_nothing(old)
    assert not hanging.done()
    fresh = await scene.hub("user", ("SubscribePositions", scene.gateway.pat))
    await silence(fresh)
    scene.over()
    assert await is_dead(old)
    with pytest.raises(aiohttp.ClientConnectionError):
        await hanging
    await silence(fresh)
    assert scene.net() == 1


@verb("stall")
async def stalls(scene: Scene) -> None:
    user = await scene.hub("user", ("SubscribePositions", scene.gateway.pat))
    scene.throw("stall user_hub")
    await scene.place()
    assert await hears_nothing(user)
    scene.over()
    await scene.place()
    assert (await user.next())["arguments"][0]["data"]["size"] == 2
    scene.throw("stall rest")
    call = asyncio.create_task(scene.place())
    await asyncio.sleep(0.03)
    assert scene.net() == 2
    scene.over()
    assert (await call)["success"]
    assert scene.net() == 3


@verb("close")
async def closes(scene: Scene) -> None:
    user = await scene.hub("user")
    scene.throw("close hubs")
    assert await user.next() == {"type": 7, "error": "Connection closed with an error.", "allowReconnect": True}
    assert await user.closed() == 1000


@verb("end")
async def ends(scene: Scene) -> None:
    market = await scene.hub("market")
    scene.throw("end market_hub")
    assert await market.next() == {"type": 7, "error": "Connection closed with an error."}


@verb("log out")
async def logs_out(scene: Scene) -> None:
    user = await scene.hub("user")
    scene.throw("log out")
    assert (await user.next())["target"] == "GatewayLogout"


@verb("lose")
async def loses(scene: Scene) -> None:
    user = await scene.hub("user", ("SubscribePositions", scene.gateway.pat))
    scene.throw("lose 100% of hubs")
    await scene.place()
    await silence(user)
    scene.over()
    await scene.place()
    assert (await user.next())["arguments"][0]["data"]["size"] == 2


@verb("duplicate")
async def duplicates(scene: Scene) -> None:
    user = await scene.hub("user", ("SubscribePositions", scene.gateway.pat))
    scene.throw("duplicate 100% of user_hub")
    await scene.place()
    assert await user.next() == await user.next()
    scene.over()
    await scene.place()
    await user.next()
    await silence(user)


@verb("reorder")
async def reorders(scene: Scene) -> None:
    market = await scene.hub("market", ("SubscribeContractQuotes", MNQ_ID))
    await market.next()
    scene.throw("reorder market_hub within 25ms")
    bids = await quoted(scene, market)
    assert sorted(bids) == [20_000 + number / 4 for number in range(1, 21)]
    assert bids != sorted(bids)
    scene.over()
    scene.gateway.quote(80_000)
    await market.next()
    assert await quoted(scene, market) == [20_000 + number / 4 for number in range(1, 21)]


async def quoted(scene: Scene, market: RawHub) -> list[float]:
    """What twenty quotes, each a tick higher, arrive as."""
    for number in range(1, 21):
        scene.gateway.quote(80_000 + number)
    return [record["arguments"][1]["bestBid"] for record in await market.take(20)]


@verb("split")
async def splits(scene: Scene) -> None:
    user = await scene.hub("user")
    scene.throw("split user_hub into 3")
    await silence(user)
    assert await frames_of_a_handshake(scene) == [(0x01, 1), (0x00, 1), (0x80, 1)]
    for size in (300, 300_000):
        scene.gateway.server.log_out("x" * size)
        assert (await user.next())["arguments"] == ["x" * size]
    scene.over()
    assert await frames_of_a_handshake(scene) == [(0x81, 3)]


async def frames_of_a_handshake(scene: Scene) -> list[tuple[int, int]]:
    """First byte and length of the frames a hub answers a handshake with, `{}` and a separator."""
    reader, writer = await asyncio.open_connection("127.0.0.1", scene.gateway.port)
    asked = (
        f"GET /hubs/user?access_token={scene.token} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    shake = b'{"protocol":"json","version":1}\x1e'
    # A mask of zeros leaves the payload as it is.
    writer.write(asked.encode() + bytes([0x81, 0x80 | len(shake), 0, 0, 0, 0]) + shake)
    await reader.readuntil(b"\r\n\r\n")
    frames: list[tuple[int, int]] = []
    while sum(length for _, length in frames) < 3:
        first, length = await reader.readexactly(2)
        frames.append((first, length))
        await reader.readexactly(length)
    writer.close()
    return frames


@verb("shape events as")
async def shapes_events(scene: Scene) -> None:
    user = await scene.hub("user", ("SubscribePositions", scene.gateway.pat))
    market = await scene.hub("market", ("SubscribeContractTrades", MNQ_ID), ("SubscribeContractQuotes", MNQ_ID))
    await market.next()
    scene.throw("shape events as bare")
    await scene.place()
    assert (await user.next())["arguments"][0]["size"] == 1
    scene.over()
    await scene.place()
    assert (await user.next())["arguments"][0]["data"]["size"] == 2
    for shape, size in (("padded", 3), ("rows", None)):
        scene.throw(f"shape events as {shape}")
        scene.exchange.print(MNQ_ID, 80_000, 1, None, scene.exchange.now_ns)
        payload = (await market.next())["arguments"][1]
        assert (len(payload) if isinstance(payload, list) else None) == size
        await market.next()
        scene.over()
    scene.throw("shape events as listed_quotes")
    scene.throw("shape events as list")
    scene.gateway.quote(80_010)
    assert isinstance((await market.next())["arguments"][1], list)
    await scene.place()
    assert (await user.next())["arguments"][0][0]["size"] == 3


@verb("delay")
async def delays(scene: Scene) -> None:
    loop = asyncio.get_running_loop()
    market = await scene.hub("market", ("SubscribeContractQuotes", MNQ_ID))
    await market.next()
    scene.throw("delay hubs by 50ms")
    began_s = loop.time()
    assert await quoted(scene, market) == [20_000 + number / 4 for number in range(1, 21)]
    assert loop.time() - began_s >= 0.05
    scene.gateway.quote(80_000)
    scene.over()
    assert await quoted(scene, market) == [20_000 + number / 4 for number in range(20)]
    await market.next()
    scene.throw("delay rest by 50ms")
    began_s = loop.time()
    await scene.place()
    assert loop.time() - began_s >= 0.05
    scene.over()
    await scene.place()


@verb("hold orders by")
async def holds_orders(scene: Scene) -> None:
    scene.throw("hold orders by 300ms")
    call = asyncio.create_task(scene.place())
    await asyncio.sleep(0.03)
    assert scene.net() == 0
    assert (await call)["success"]
    assert scene.net() == 1
    scene.over()


@verb("defer fills by")
async def defers_fills(scene: Scene) -> None:
    scene.throw("defer fills by 200ms")
    assert (await scene.place())["success"]
    assert scene.net() == 0
    scene.gateway.quote(later_ns=199_000_000)
    assert scene.net() == 0
    scene.gateway.quote(later_ns=1_000_000)
    assert scene.net() == 1
    scene.over()
    await scene.place()
    assert scene.net() == 2


@verb("fill in parts")
async def fills_in_parts(scene: Scene) -> None:
    user = await scene.hub("user", ("SubscribeOrders", scene.gateway.pat), ("SubscribeTrades", scene.gateway.pat))
    scene.throw("fill in parts")
    await scene.place(size=40)
    assert (await user.next())["arguments"][0]["data"]["status"] == 6
    fill, order = (record["arguments"][0]["data"] for record in await user.take(2))
    assert (order["status"], order["fillVolume"], fill["size"]) == (1, scene.net(), scene.net())
    assert 0 < scene.net() < 40
    while scene.net() < 40:
        scene.gateway.quote()
    fills = (await scene.post("Trade/search"))["trades"]
    assert len(fills) > 2
    assert {each["orderId"] for each in fills} == {order["id"]}
    scene.over()
    await scene.place(size=40)
    assert scene.net() == 80


@verb("age reads by")
async def ages_reads(scene: Scene) -> None:
    await scene.place()
    scene.throw("age reads by 10s")
    await scene.place(size=2)
    await scene.place(type=1, limitPrice=19_000)
    assert await scene.positions() == [1]
    assert (await scene.post("Order/searchOpen"))["orders"] == []
    assert len((await scene.post("Trade/search"))["trades"]) == 1
    (account, *_) = (await scene.post("Account/search", **SEARCH))["accounts"]
    assert account["balance"] == 49_999.38
    scene.throw("age reads by 10ms")
    await asyncio.sleep(0.02)
    assert await scene.positions() == [3]
    scene.throw("age reads by 10s")
    await scene.place()
    assert await scene.positions() == [3]
    assert (await scene.post("Position/closeContract", contractId=MNQ_ID))["success"]
    scene.over()
    assert await scene.positions() == []


@verb("lag bars by")
async def lags_bars(scene: Scene) -> None:
    scene.exchange.print(MNQ_ID, 80_000, 1, None, scene.exchange.now_ns)
    assert await bars(scene) == 1
    scene.throw("lag bars by 20s")
    assert await bars(scene) == 0
    scene.over()
    assert await bars(scene) == 1


async def bars(scene: Scene, *, live: bool = False) -> int:
    span = {"startTime": "2026-08-19T00:00:00Z", "endTime": "2026-08-20T00:00:00Z", "limit": 10}
    unit = {"unit": 1, "unitNumber": 1, "includePartialBar": True}
    return len((await scene.post("History/retrieveBars", contractId=MNQ_ID, live=live, **span, **unit))["bars"])


@verb("fail")
async def fails(scene: Scene) -> None:
    scene.throw("fail Order/place with 429 retry after 7, 2 times")
    status, headers, _ = await scene.gateway.raw("Order/place", {}, scene.token)
    assert (status, headers["Retry-After"]) == (429, "7")
    assert [await scene.status("Order/place"), await scene.status("Order/place")] == [429, 400]
    scene.throw("fail rest with 503 for 10s")
    scene.throw("fail Account/search with 502")
    assert [await scene.status() for _ in range(3)] == [502, 503, 503]
    scene.over()
    assert await scene.status() == 200
    scene.throw("fail user_hub with 403")
    assert [await scene.upgrade("user") for _ in range(2)] == [403, 101]
    scene.throw("fail market_hub/negotiate with 500")
    address = f"{scene.gateway.url}/hubs/market/negotiate?access_token={scene.token}"
    async with scene.gateway.http.post(address) as response:
        assert response.status == 500


@verb("lose request of")
async def loses_requests(scene: Scene) -> None:
    scene.throw("lose request of Order/place")
    with pytest.raises(aiohttp.ClientConnectionError):
        await scene.place()
    assert scene.net() == 0


@verb("lose answer of")
async def loses_answers(scene: Scene) -> None:
    scene.throw("lose answer of Order/place")
    with pytest.raises(aiohttp.ClientConnectionError):
        await scene.place()
    assert scene.net() == 1


@verb("break")
async def breaks(scene: Scene) -> None:
    scene.throw("break Position/closeContract with 500")
    await scene.place()
    closing = {"accountId": scene.gateway.pat, "contractId": MNQ_ID}
    assert (await scene.gateway.raw("Position/closeContract", closing, scene.token))[0] == 500
    assert scene.net() == 0


@verb("garble")
async def garbles(scene: Scene) -> None:
    for garbage, beginning in (("html", "<!DOCTYPE html>"), ("nothing", ""), ("half", '{"success":true,')):
        scene.throw(f"garble Account/search with {garbage}")
        status, _, text = await scene.gateway.raw("Account/search", SEARCH, scene.token)
        assert status == 200
        assert text[:16].startswith(beginning)
        with pytest.raises(msgspec.DecodeError):
            msgspec.json.decode(text)


@verb("reject")
async def rejects(scene: Scene) -> None:
    scene.throw("reject Order/cancel with 5")
    reply = await scene.post("Order/cancel", orderId=1)
    assert reply == {"success": False, "errorCode": 5, "errorMessage": None}


@verb("pretend")
async def pretends(scene: Scene) -> None:
    scene.throw("pretend Position/closeContract, 1 times")
    await scene.place()
    assert (await scene.post("Position/closeContract", contractId=MNQ_ID))["success"]
    assert scene.net() == 1


@verb("empty")
async def empties(scene: Scene) -> None:
    scene.throw("empty Position/searchOpen for 10s")
    reply = await scene.post("Position/searchOpen")
    assert reply == {"positions": None, "success": True, "errorCode": 0, "errorMessage": None}
    scene.over()
    assert await scene.positions() == []


@verb("truncate")
async def truncates(scene: Scene) -> None:
    for number in range(3):
        await scene.place(type=1, limitPrice=19_000 + number)
    scene.throw("truncate Order/v2/query to 2")
    scene.throw("truncate Order/searchOpen to 0")
    query = await scene.post("Order/v2/query", filter={"accountId": scene.gateway.pat}, includeTotalCount=True)
    assert (len(query["orders"]), query["totalCount"]) == (2, 3)
    assert (await scene.post("Order/searchOpen"))["orders"] == []
    assert len((await scene.post("Order/searchOpen"))["orders"]) == 3


@verb("poison")
async def poisons(scene: Scene) -> None:
    await scene.place()
    for bad, seen in (
        ("nan", "NaN"),
        ("huge", "1e308"),
        ("enormous", "1e99999999999999999999"),
        ("negative", "-20000.25"),
        ("zero", "0"),
        ("nested", "[" * 200 + "]" * 200),
        ("wrong_type", '"seven"'),
        ("null", "null"),
    ):
        scene.throw(f"poison Position/searchOpen with {bad} in averagePrice")
        _, _, text = await scene.gateway.raw("Position/searchOpen", {"accountId": scene.gateway.pat}, scene.token)
        assert f'"averagePrice":{seen}}}],"success":true,"errorCode":0' in text
        scene.over()
    scene.throw("poison rest with missing in size")
    (position,) = (await scene.post("Position/searchOpen"))["positions"]
    assert "size" not in position
    async with scene.gateway.http.get(f"{scene.gateway.url}/api/status/ping") as response:
        assert await response.text() == "pong"
    assert position["averagePrice"] == 20_000.25
    scene.over()
    assert await scene.positions() == [1]
    user = await scene.hub("user", ("SubscribePositions", scene.gateway.pat))
    scene.throw("poison user_hub with huge")
    await scene.place()
    record = await user.next()
    assert record["target"] == "GatewayUserPosition"
    assert (record["arguments"][0]["action"], record["arguments"][0]["data"]["size"]) == (1e308, 1e308)
    assert not math.isinf(record["arguments"][0]["data"]["averagePrice"])


@verb("revoke tokens")
async def revokes_tokens(scene: Scene) -> None:
    kims = await scene.gateway.login("kim")
    scene.throw("revoke tokens of pat")
    assert await scene.status() == 401
    assert (await scene.gateway.raw("Account/search", SEARCH, kims))[0] == 200
    scene.throw("revoke tokens")
    assert (await scene.gateway.raw("Account/search", SEARCH, kims))[0] == 401
    scene.token = await scene.gateway.login()
    assert await scene.status() == 200


@verb("revoke key")
async def revokes_keys(scene: Scene) -> None:
    scene.throw("revoke key")
    scene.throw("revoke key of kim")
    assert [await login_code(scene, user) for user in ("pat", "kim")] == [3, 3]
    scene.over()
    assert [await login_code(scene, user) for user in ("pat", "kim")] == [0, 0]


async def login_code(scene: Scene, user: str) -> int:
    keys = {"pat": "a key of ten or more", "kim": "another key"}
    reply = await scene.gateway.post("Auth/loginKey", {"userName": user, "apiKey": keys[user]})
    code: int = reply["errorCode"]
    return code


@verb("refuse logins with")
async def refuses_logins(scene: Scene) -> None:
    scene.throw("refuse logins with agreements_not_signed of kim")
    assert [await login_code(scene, user) for user in ("pat", "kim")] == [0, 7]
    scene.over()
    assert await login_code(scene, "kim") == 0


@verb("shorten tokens to")
async def shortens_tokens(scene: Scene) -> None:
    scene.throw("shorten tokens to 5s")
    scene.token = await scene.gateway.login()
    scene.over()
    longer = await scene.gateway.login()
    scene.gateway.wall_ns += 5_000_000_000
    assert await scene.status() == 401
    assert (await scene.gateway.raw("Account/search", SEARCH, longer))[0] == 200


@verb("halt")
async def halts(scene: Scene) -> None:
    scene.throw("halt MNQ")
    reply = await scene.place()
    assert (reply["success"], reply["errorCode"]) == (False, 2)
    assert "not in an active trading status" in reply["errorMessage"]
    scene.over()
    assert (await scene.place())["success"]
    scene.throw("halt all")
    with_yen = {"contractId": "CON.F.US.JY6.U26", "type": 1, "limitPrice": 0.0063}
    assert [(await scene.place(**each))["success"] for each in ({}, with_yen)] == [False, False]
    scene.over()
    assert [(await scene.place(**each))["success"] for each in ({}, with_yen)] == [True, True]


@verb("pause")
async def pauses(scene: Scene) -> None:
    scene.throw("pause all by 5s")
    scene.throw("pause MNQ by 1s")
    scene.throw("halt MNQ")
    scene.over()
    assert UNAVAILABLE in (await scene.place())["errorMessage"]
    scene.gateway.quote(later_ns=4_999_000_000)
    assert UNAVAILABLE in (await scene.place())["errorMessage"]
    scene.gateway.quote(later_ns=1_000_000)
    assert (await scene.place())["success"]
    scene.throw("halt MNQ")
    scene.throw("pause MNQ by 1s")
    scene.gateway.quote(later_ns=2_000_000_000)
    assert not (await scene.place())["success"]
    scene.over()
    assert (await scene.place())["success"]


@verb("stop taking orders")
async def stops_taking_orders(scene: Scene) -> None:
    await scene.place(type=1, limitPrice=19_999)
    scene.throw("stop taking orders")
    assert UNAVAILABLE in (await scene.place())["errorMessage"]
    scene.gateway.quote(79_990)
    assert scene.net() == 1
    reply = await scene.post("Position/closeContract", contractId=MNQ_ID)
    assert (reply["success"], reply["errorCode"]) == (False, 5)
    scene.over()
    assert (await scene.post("Position/closeContract", contractId=MNQ_ID))["success"]
    assert scene.net() == 0


@verb("end session")
async def ends_sessions(scene: Scene) -> None:
    await scene.place(type=1, limitPrice=19_999)
    scene.throw("end session")
    scene.throw("stop taking orders")
    assert UNAVAILABLE in (await scene.place())["errorMessage"]
    scene.gateway.quote(79_990)
    assert scene.net() == 0
    assert len((await scene.post("Order/searchOpen"))["orders"]) == 1
    scene.over()
    scene.gateway.quote(79_990)
    assert scene.net() == 1
    assert (await scene.place())["success"]


@verb("roll")
async def rolls(scene: Scene) -> None:
    scene.throw("roll MNQU6")
    assert await active(scene) == {NEXT_ID, "CON.F.US.JY6.U26"}
    assert (await scene.place())["errorCode"] == 9
    assert [each.id for each in contracts_called(scene.exchange, "MNQ")] == [NEXT_ID]
    assert [each.id for each in contracts_called(scene.exchange, "mnqu6")] == [MNQ_ID]


@verb("overlap")
async def overlaps(scene: Scene) -> None:
    scene.throw("overlap MNQ")
    assert await active(scene) == {MNQ_ID, NEXT_ID, "CON.F.US.JY6.U26"}
    scene.over()
    assert await active(scene) == {MNQ_ID, "CON.F.US.JY6.U26"}


async def active(scene: Scene, *, live: bool = False) -> set[str]:
    return {each["id"] for each in (await scene.post("Contract/available", live=live))["contracts"]}


@verb("live data")
async def switches_live_data(scene: Scene) -> None:
    assert await active(scene, live=True) == set()
    scene.throw("live data on")
    assert await active(scene, live=True) == {MNQ_ID, "CON.F.US.JY6.U26"}
    scene.over()
    assert await active(scene, live=True) == set()


@verb("block account")
async def blocks_accounts(scene: Scene) -> None:
    scene.throw("block account 1")
    assert (await scene.place())["errorCode"] == 4
    assert (await scene.place(accountId=scene.gateway.pat_second))["success"]
    scene.over()
    assert (await scene.place())["success"]


async def can_trade(scene: Scene) -> bool:
    (account, _) = (await scene.post("Account/search", **SEARCH))["accounts"]
    may: bool = account["canTrade"]
    return may


async def seen_empty(scene: Scene, sentence: str) -> list[str]:
    """What the hub tells of an account with a position and a resting order when a sentence empties it."""
    await scene.place(size=2)
    await scene.place(type=1, limitPrice=19_000)
    topics = (("Subscribe" + name, scene.gateway.pat) for name in ("Orders", "Trades", "Positions"))
    user = await scene.hub("user", ("SubscribeAccounts",), *topics)
    scene.throw(sentence)
    told = []
    for record in await user.take(7 if sentence.startswith("liquidate") else 8):
        data = record["arguments"][0]["data"]
        shown = {"Order": "status", "Trade": "size", "Position": "size", "Account": "canTrade"}
        name = record["target"].removeprefix("GatewayUser")
        told.append(f"{name} {data[shown[name]]}")
    assert scene.net() == 0
    assert (await scene.post("Order/searchOpen"))["orders"] == []
    return told


EMPTIED = ["Order 3", "Order 6", "Trade 2", "Trade 2", "Order 2", "Position 0", "Account True"]


@verb("lock out")
async def locks_accounts_out(scene: Scene) -> None:
    assert await seen_empty(scene, "lock out 1") == [*EMPTIED, "Account False"]
    text = "Your account is locked out: Personal. Please wait until your lockout expires."
    reply = await scene.place()
    assert (reply["errorCode"], reply["errorMessage"]) == (4, text)
    for code in (10, 2):
        scene.throw(f"lock out 1 with {code}")
        reply = await scene.place()
        assert (reply["errorCode"], reply["errorMessage"]) == (code, text)
    scene.throw("block account 1 for 20ms")
    await asyncio.sleep(0.05)
    assert not await can_trade(scene), "the lock-out lasts longer than the block"
    scene.over()
    assert (await scene.place())["success"]


@verb("liquidate")
async def liquidates(scene: Scene) -> None:
    assert await seen_empty(scene, "liquidate PRAC-V2-1-1") == EMPTIED
    assert (await scene.place())["success"]


@verb("stop out")
async def stops_accounts_out(scene: Scene) -> None:
    assert await seen_empty(scene, "stop out 1 at daily") == [*EMPTIED, "Account False"]
    reply = await scene.place()
    assert (reply["errorCode"], "locked out: DailyLossLimit" in reply["errorMessage"]) == (4, True)
    # It is 15:49 in Chicago.
    scene.gateway.quote(later_ns=70 * 60 * 1_000_000_000)
    assert not await can_trade(scene)
    scene.gateway.quote(later_ns=60 * 1_000_000_000)
    assert await can_trade(scene)
    await scene.place()
    scene.throw("stop out 1 at maximum with 10")
    scene.gateway.quote(later_ns=86_400 * 1_000_000_000)
    reply = await scene.place()
    assert (scene.net(), reply["errorCode"], reply["errorMessage"]) == (0, 10, None)


@verb("limit")
async def limits_losses(scene: Scene) -> None:
    scene.throw("limit maximum loss of 1 to 100")
    scene.throw("limit daily loss of 1 to 9")
    scene.throw("limit daily loss of 1 to 10 for 500ms")
    # A dollar a tick from 80,001, and 2.48 of costs at the end: 9.24 down at 79,993, 10.24 at 79,992.
    await scene.place(size=2)
    scene.gateway.quote(79_993)
    assert scene.net() == 2
    await asyncio.sleep(0.6)
    scene.gateway.quote(79_993)
    assert (scene.net(), (await scene.place())["errorCode"]) == (0, 4)
    scene.exchange.set_can_trade(scene.gateway.pat, True, scene.exchange.now_ns)
    scene.over()
    await scene.place(size=40)
    scene.gateway.quote(70_000)
    assert (scene.net(), await can_trade(scene)) == (40, True)


@verb("void fill")
async def voids_fills(scene: Scene) -> None:
    await scene.place()
    await scene.place(size=2)
    user = await scene.hub("user", ("SubscribeTrades", scene.gateway.pat), ("SubscribePositions", scene.gateway.pat))
    scene.throw("void fill last of 1")
    fill, position = (record["arguments"][0] for record in await user.take(2))
    assert (fill["action"], fill["data"]["voided"], fill["data"]["size"]) == (1, True, 2)
    assert position["data"]["size"] == 1
    assert [each["voided"] for each in (await scene.post("Trade/search"))["trades"]] == [True, False]
    scene.throw(f"void fill {scene.exchange.fills(scene.gateway.pat)[1].id} of 1")
    assert scene.net() == 1
    scene.throw("void fill 1 of PRAC-V2-1-1")
    assert await scene.positions() == []
    (account, _) = (await scene.post("Account/search", **SEARCH))["accounts"]
    assert account["balance"] == 50_000
    for nothing in ("last", "3", "77777"):
        with pytest.raises(Unknown, match=f"account 20000001 has no fill {nothing}"):
            scene.throw(f"void fill {nothing} of 1")


@verb("hide account")
async def hides_accounts(scene: Scene) -> None:
    scene.throw("hide account 50KTC-V2-1-2")
    assert await names(scene) == ["PRAC-V2-1-1"]
    scene.over()
    assert await names(scene) == ["PRAC-V2-1-1", "50KTC-V2-1-2"]


async def names(scene: Scene) -> list[str]:
    return [each["name"] for each in (await scene.post("Account/search", **SEARCH))["accounts"]]


@verb("make follower")
async def makes_followers(scene: Scene) -> None:
    order = (await scene.place(type=1, limitPrice=19_000))["orderId"]
    scene.throw(f"make follower {scene.gateway.pat}")
    reply = await scene.post("Order/cancel", orderId=order)
    assert (reply["errorCode"], reply["errorMessage"]) == (6, "Follower accounts cannot cancel orders")
    scene.over()
    assert (await scene.post("Order/cancel", orderId=order))["success"]


@verb("set brackets of")
async def sets_brackets(scene: Scene) -> None:
    bracket = {"stopLossBracket": {"ticks": -10, "type": 4}}
    scene.throw("set brackets of 1 to oco")
    scene.over()
    assert (await scene.place(**bracket))["success"]
    scene.throw("set brackets of 1 to position")
    reply = await scene.place(**bracket)
    assert reply["errorMessage"].startswith("Brackets cannot be used with Position Brackets")
    scene.over()
    assert (await scene.place(**bracket))["success"]


@verb("replace account")
async def replaces_accounts(scene: Scene) -> None:
    scene.throw("replace account 50KTC-V2-1-2")
    assert await names(scene) == ["PRAC-V2-1-1", "50KTC-V2-1-3"]
    reply = await scene.place(accountId=scene.gateway.pat_second)
    assert (reply["success"], reply["errorCode"]) == (False, 1)
    scene.throw("replace account 2")
    assert await names(scene) == ["PRAC-V2-1-1", "50KTC-V2-1-3"]
    scene.exchange.open_account(user="pat", name="50KTC-V2-1-4", balance_micros=0)
    scene.throw("replace account 50KTC-V2-1-3")
    assert await names(scene) == ["PRAC-V2-1-1", "50KTC-V2-1-4", "50KTC-V2-1-5"]


@pytest.mark.parametrize("name", CHECKS)
async def test_does_what_it_says(name: str) -> None:
    async with running(SETTINGS) as gateway:
        gateway.quote()
        scene = Scene(gateway, await gateway.login())
        try:
            await CHECKS[name](scene)
        finally:
            scene.schedule.stop()
    assert scene.schedule.in_force == ()


def test_tries_every_verb() -> None:
    assert list(CHECKS) == list(VERBS)


async def test_knows_the_operations_of_the_server() -> None:
    async with running() as gateway:
        assert sorted(OPERATIONS) == sorted(gateway.server.operations)


@pytest.mark.parametrize("name", VERBS)
def test_has_an_act_for_how_long_it_lasts(name: str) -> None:
    each = VERBS[name]
    lasts = each.begin is not None and each.end is not None
    is_counted = each.failure is not None and kinds_of(each.form)[0] in ("call", "operation")
    assert {
        "a moment": each.at_once is not None and each.begin is None,
        "a moment, or `for` a time": each.at_once is not None and lasts,
        "`for` a time, or until stopped": each.at_once is None and lasts,
        "one call, so many `times`, or `for` a time": is_counted and each.begin is None,
    }[each.lasting]
    assert all(kind in KINDS for kind in kinds_of(each.form))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("halt DOGE for 3s", "no contract is called DOGE"),
        ("block account 4", "no account is called 4"),
        ("hide account 20000009", "no account is called 20000009"),
        ("revoke tokens of eve", "no user is called eve; there are pat, kim"),
    ],
)
async def test_does_nothing_about_what_is_not_there(text: str, problem: str) -> None:
    async with running() as gateway:
        schedule = FaultSchedule(gateway.server)
        with pytest.raises(Unknown, match=problem):
            schedule.throw(parse_sentence(text))
        assert schedule.in_force == ()

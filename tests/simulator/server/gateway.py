"""A running simulated gateway in the test's own event loop, and raw clients for it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

import aiohttp
import msgspec

from risk_manager.domain.contract import Contract
from risk_manager.domain.instrument import Instrument
from risk_manager.simulator.exchange import Exchange
from risk_manager.simulator.records import SimContract
from risk_manager.simulator.server import SimServer, SimSettings

MNQ_ID = "CON.F.US.MNQ.U26"
USERS = {"pat": "a key of ten or more", "kim": "another key"}
# 2026-08-19 20:49:25.3938333 UTC, a Wednesday, 15:49 in Chicago.
NOW_NS = 1_787_172_565_393_833_300
PATIENCE_S = 5.0
AT_ONCE = SimSettings(account_echoes_s=(), event_pace=0.0)

MNQ = SimContract(
    contract=Contract(
        id=MNQ_ID,
        name="MNQU6",
        symbol_id="F.US.MNQ",
        instrument=Instrument(root="MNQ", tick_size_nanos=250_000_000, tick_value_micros=500_000),
    ),
    fees_micros=370_000,
    commission_micros=250_000,
    description="Micro E-mini Nasdaq-100: September 2026",
    display_name="MNQU26",
)
YEN = SimContract(
    contract=Contract(
        id="CON.F.US.JY6.U26",
        name="6JU6",
        symbol_id="F.US.JY6",
        instrument=Instrument(root="6J", tick_size_nanos=500, tick_value_micros=6_250_000, aliases=("JY6",)),
    ),
    fees_micros=1_600_000,
    commission_micros=500_000,
)

Json = dict[str, Any]


class Closable(Protocol):
    """A socket of whatever library."""

    async def close(self) -> object: ...


class Gateway:
    """A server over a fresh exchange with two users; `pat` owns two accounts and `kim` one."""

    def __init__(self, settings: SimSettings) -> None:
        self.wall_ns = NOW_NS
        self.exchange = Exchange([MNQ, YEN])
        self.pat, self.pat_second, self.kim = (
            self.exchange.open_account(user=user, name=name, balance_micros=50_000_000_000)
            for user, name in (("pat", "PRAC-V2-1-1"), ("pat", "50KTC-V2-1-2"), ("kim", "PRAC-V2-2-1"))
        )
        self.server = SimServer(self.exchange, users=USERS, wall_clock=lambda: self.wall_ns, settings=settings)
        self.port = 0
        self.http: aiohttp.ClientSession
        self.sockets: list[Closable] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def quote(self, bid_ticks: int = 80_000, later_ns: int = 1_000_000) -> None:
        """Move the market of MNQ: the ask is a tick above the bid."""
        at_ns = max(self.exchange.now_ns, NOW_NS) + later_ns
        self.exchange.quote(MNQ_ID, bid_ticks, bid_ticks + 1, at_ns)

    async def raw(self, path: str, body: object = None, token: str | None = None) -> tuple[int, Mapping[str, str], str]:
        """Status, headers and body of a POST below /api/."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        async with self.http.post(f"{self.url}/api/{path}", json=body, headers=headers) as response:
            return response.status, response.headers, await response.text()

    async def post(self, path: str, body: object = None, token: str | None = None) -> Json:
        """The decoded body of a POST that HTTP calls a success."""
        status, _, text = await self.raw(path, body, token)
        assert status == 200, (status, text)
        decoded: Json = msgspec.json.decode(text)
        return decoded

    async def login(self, user: str = "pat") -> str:
        """A fresh token."""
        reply = await self.post("Auth/loginKey", {"userName": user, "apiKey": USERS[user]})
        token: str = reply["token"]
        return token

    async def place(self, token: str, **members: object) -> Json:
        """Place an order: a market order to buy one MNQ unless told otherwise."""
        body = {"accountId": self.pat, "contractId": MNQ_ID, "type": 2, "side": 0, "size": 1}
        return await self.post("Order/place", {**body, **members}, token)

    async def open(self, hub: str, token: str, query: str = "") -> "RawHub":
        """A WebSocket on a hub before any handshake."""
        address = f"{self.url}/hubs/{hub}?access_token={token}{query}"
        patience = aiohttp.ClientWSTimeout(ws_close=1.0)
        socket = await self.http.ws_connect(address, autoping=False, max_msg_size=0, timeout=patience)
        self.sockets.append(socket)
        return RawHub(socket)

    async def connect(self, hub: str, token: str, *calls: tuple[Any, ...]) -> "RawHub":
        """A WebSocket past its handshake and the given calls, each `(method, *arguments)`."""
        client = await self.open(hub, token)
        await client.send({"protocol": "json", "version": 1})
        assert await client.next() == {}
        for method, *arguments in calls:
            assert await client.call(method, *arguments) == {"type": 3, "invocationId": "1", "result": None}
        return client


class RawHub:
    """Speaks to a hub frame by frame."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.frames: list[list[Json]] = []
        self._records: list[Json] = []

    async def send(self, *records: object) -> None:
        """Send records as one WebSocket message."""
        await self.socket.send_bytes(b"".join(msgspec.json.encode(record) + b"\x1e" for record in records))

    async def next(self) -> Json:
        """The next record."""
        while not self._records:
            message = await asyncio.wait_for(self.socket.receive(), PATIENCE_S)
            assert message.type is aiohttp.WSMsgType.TEXT, message
            assert message.data.endswith("\x1e")
            self._records = [msgspec.json.decode(text) for text in message.data[:-1].split("\x1e")]
            self.frames.append(list(self._records))
        return self._records.pop(0)

    async def take(self, count: int) -> list[Json]:
        """The next records."""
        return [await self.next() for _ in range(count)]

    async def call(self, method: str, *arguments: object) -> Json:
        """Invoke a method and give back the next record, which is its answer on a quiet connection."""
        await self.send({"type": 1, "invocationId": "1", "target": method, "arguments": arguments})
        return await self.next()

    async def closed(self) -> int:
        """Wait for the server's close frame; its code."""
        message = await asyncio.wait_for(self.socket.receive(), PATIENCE_S)
        assert message.type is aiohttp.WSMsgType.CLOSE, message
        code: int = message.data
        return code


@contextlib.asynccontextmanager
async def running(settings: SimSettings | None = None) -> AsyncIterator[Gateway]:
    """A gateway that listens; unless the settings say otherwise it tells everything at once and once only."""
    gateway = Gateway(settings or AT_ONCE)
    gateway.port = await gateway.server.start()
    async with aiohttp.ClientSession() as gateway.http:
        try:
            yield gateway
        finally:
            await gateway.server.stop()
            for socket in gateway.sockets:
                await socket.close()

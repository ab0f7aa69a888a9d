"""A gateway in memory: scripted REST answers and hub links a test writes to, behind the client's own transport port."""

import asyncio
import base64
import json
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from risk_manager.venues.projectx.errors import HubClosed, ProjectXError
from risk_manager.venues.projectx.http import Reply
from risk_manager.venues.projectx.settings import HubTimings, ProjectXSettings
from risk_manager.venues.projectx.transport import HubLink
from risk_manager.venues.projectx.wire import decode_any

ACCOUNT = "20000001"
RUN_MARK = "0a1b2c3d"
SECOND_NS = 1_000_000_000
START_NS = 1_787_162_400 * SECOND_NS  # 2026-08-19T18:00:00Z
START_DATE = "Wed, 19 Aug 2026 18:00:00 GMT"
ES_RECORD = {
    "id": "CON.F.US.EP.U26",
    "name": "ESU6",
    "description": "E-mini S&P 500: September 2026",
    "tickSize": 0.25,
    "tickValue": 12.5,
    "activeContract": True,
    "symbolId": "F.US.EP",
}
MNQ_RECORD = {
    "id": "CON.F.US.MNQ.U26",
    "name": "MNQU6",
    "description": "Micro E-mini Nasdaq-100: September 2026",
    "tickSize": 0.25,
    "tickValue": 0.5,
    "activeContract": True,
    "symbolId": "F.US.MNQ",
}

Answer = Mapping[str, Any] | int | ProjectXError


class FakeClock:
    def __init__(self) -> None:
        self.ns = START_NS

    def now_ns(self) -> int:
        return self.ns

    def call_at(self, at_ns: int, callback: Callable[[], None]) -> Callable[[], None]:
        raise AssertionError("the client asks for no wake-ups")

    def advance(self, seconds: float) -> None:
        self.ns += round(seconds * SECOND_NS)


def wired(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record as it is once it has come over the wire: numbers are exact decimals."""
    decoded: dict[str, Any] = decode_any(json.dumps(record).encode())
    return decoded


def ok(**members: Any) -> dict[str, Any]:
    return {"success": True, "errorCode": 0, "errorMessage": None, **members}


def refused(code: int, message: str | None = None) -> dict[str, Any]:
    return {"success": False, "errorCode": code, "errorMessage": message}


def jwt(expires_s: int, name: str) -> str:
    """A token of three parts as the venue issues them; nobody checks its signature here."""
    parts = ({"alg": "HS256", "typ": "JWT"}, {"exp": expires_s, "name": name})
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*encoded, "sig"])


class FakeLink(HubLink):
    """The server's end of one hub connection. It completes every call unless the target is in `errors`."""

    def __init__(self, token: str, errors: Mapping[str, str]) -> None:
        self.token = token
        self.errors = errors
        self.calls: list[tuple[str, list[Any]]] = []
        self.is_closed = False
        self._outbox: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def send(self, data: bytes) -> None:
        for record in data.split(b"\x1e")[:-1]:
            message = json.loads(record)
            if "protocol" in message:
                self.say({})
            elif message["type"] == 1:
                self.calls.append((message["target"], message["arguments"]))
                completion = {"type": 3, "invocationId": message["invocationId"]}
                error = self.errors.get(message["target"])
                self.say(completion | ({"result": None} if error is None else {"error": error}))

    async def receive(self) -> bytes:
        data = await self._outbox.get()
        if data is None:
            raise HubClosed("dropped")
        return data

    async def close(self) -> None:
        self.is_closed = True

    def say(self, record: Mapping[str, Any]) -> None:
        self._outbox.put_nowait(json.dumps(record, separators=(",", ":")).encode() + b"\x1e")

    def event(self, target: str, *arguments: Any) -> None:
        self.say({"type": 1, "target": target, "arguments": arguments})

    def drop(self) -> None:
        self._outbox.put_nowait(None)


class FakeGateway:
    """Implements the client's Transport. `answers` holds what a path gives; a list is used up, its last stays."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.date: str | None = START_DATE
        self.requests: list[tuple[str, dict[str, Any], str | None]] = []
        self.links: dict[str, list[FakeLink]] = {"user": [], "market": []}
        self.hub_errors: dict[str, str] = {}
        self.hub_refusals: deque[ProjectXError] = deque()
        self.gates: dict[str, asyncio.Event] = {}
        self.answers: dict[str, Answer | list[Answer] | Callable[[dict[str, Any]], Answer]] = {
            "/api/Auth/loginKey": ok(token="token-1"),
            "/api/Account/search": ok(
                accounts=[{"id": int(ACCOUNT), "name": "PRAC-V2-1", "balance": 149831.92, "canTrade": True}]
            ),
            "/api/Contract/available": ok(contracts=[ES_RECORD]),
            "/api/Position/searchOpen": ok(positions=[]),
            "/api/Order/v2/query": ok(orders=[]),
            "/api/Trade/search": ok(trades=[]),
        }

    async def request(self, method: str, url: str, *, headers: Mapping[str, str], body: bytes) -> Reply:
        path = url.removeprefix("http://localhost")
        payload = json.loads(body) if body else {}
        self.requests.append((path, payload, headers.get("Authorization")))
        if path in self.gates:
            await self.gates[path].wait()
        answer = self.answers.get(path, 404)
        if callable(answer):
            answer = answer(payload)
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if isinstance(answer, ProjectXError):
            raise answer
        status, content = (answer, b"") if isinstance(answer, int) else (200, json.dumps(answer).encode())
        return Reply(status, content, self.date)

    async def open_hub(self, url: str, token: str) -> HubLink:
        if self.hub_refusals:
            raise self.hub_refusals.popleft()
        link = FakeLink(token, self.hub_errors)
        self.links[url.rsplit("/", 1)[1]].append(link)
        return link

    async def close(self) -> None:
        return None

    def paths(self) -> list[str]:
        return [path for path, _, _ in self.requests]


def settings(**changes: Any) -> ProjectXSettings:
    chosen: dict[str, Any] = {
        "user_name": "trader",
        "api_key": "key-of-the-trader",
        "day_start_ns": lambda at_ns: at_ns - 3600 * SECOND_NS,
        "api_url": "http://localhost",
        "user_hub_url": "http://localhost/hubs/user",
        "market_hub_url": "http://localhost/hubs/market",
        "warm_connections": 0,
        "hub": HubTimings(backoff_base_s=0.001, backoff_cap_s=0.002),
    }
    return ProjectXSettings(**(chosen | changes))

"""The least of a server that both ends of the gateway need: HTTP/1.1 requests and WebSocket messages on raw streams.

Nothing stands between the socket and the clock: a request's time is taken where its bytes come out of the event loop.
"""

import asyncio
import base64
import hashlib
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import Protocol

import msgspec

_WEBSOCKET_KEY = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10
RECORD_END = b"\x1e"


class Request(msgspec.Struct, frozen=True):
    """A whole HTTP request; `at_ns` is when its last bytes were read, by the machine's steady clock."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at_ns: int


class Gateway(Protocol):
    """What is served."""

    def answer(self, request: Request) -> object:
        """The JSON to answer a REST call with."""

    def opened(self, hub: "HubLine") -> None:
        """A client has opened a hub."""

    def called(self, hub: "HubLine", target: str, arguments: list[object]) -> None:
        """The client has invoked a hub method; the completion has been written."""


class Line(asyncio.Protocol):
    """One TCP connection: REST calls, or a hub from the upgrade on."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._rest = b""
        self._hub: HubLine | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        at_ns = time.perf_counter_ns()
        if self._hub is not None:
            self._hub.feed(data)
            return
        self._rest += data
        while (request := self._next(at_ns)) is not None:
            if request.headers.get("upgrade", "").lower() == "websocket":
                self._upgrade(request)
                return
            self._transport.write(_response(self._gateway.answer(request)))

    def _next(self, at_ns: int) -> Request | None:
        head, found, rest = self._rest.partition(b"\r\n\r\n")
        if not found:
            return None
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        length = int(headers.get("content-length", 0))
        if len(rest) < length:
            return None
        self._rest = rest[length:]
        method, path, _ = first.split(" ")
        return Request(method, path, headers, rest[:length], at_ns)

    def _upgrade(self, request: Request) -> None:
        digest = hashlib.sha1(request.headers["sec-websocket-key"].encode() + _WEBSOCKET_KEY, usedforsecurity=False)
        accepted = base64.b64encode(digest.digest()).decode()
        head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade"
        self._transport.write(f"{head}\r\nSec-WebSocket-Accept: {accepted}\r\n\r\n".encode())
        name = request.path.partition("?")[0].rpartition("/")[2]
        self._hub = HubLine(name, self._transport, self._gateway)
        if self._rest:
            self._hub.feed(self._rest)


class HubLine:
    """One hub connection, the server's end."""

    def __init__(self, name: str, transport: asyncio.Transport, gateway: Gateway) -> None:
        self.name = name
        self._transport = transport
        self._gateway = gateway
        self._rest = b""
        self._is_open = False

    def write(self, message: bytes) -> None:
        """Send a message made by `message`."""
        self._transport.write(message)

    def feed(self, data: bytes) -> None:
        self._rest += data
        while (found := _next_frame(self._rest)) is not None:
            opcode, payload, self._rest = found
            if opcode == _TEXT:
                self._take(payload)
            elif opcode == _PING:
                self._transport.write(_frame(_PONG, payload))
            elif opcode == _CLOSE:
                self._transport.write(_frame(_CLOSE, payload))
                self._transport.close()

    def _take(self, payload: bytes) -> None:
        for record in payload.split(RECORD_END)[:-1]:
            if not self._is_open:
                self._is_open = True
                self.write(message(b"{}"))
                self._gateway.opened(self)
                continue
            call = msgspec.json.decode(record)
            if call["type"] == 1:
                completion = {"type": 3, "invocationId": call["invocationId"], "result": None}
                self.write(message(msgspec.json.encode(completion)))
                self._gateway.called(self, call["target"], call["arguments"])


def message(record: bytes) -> bytes:
    """A hub record as the bytes of one WebSocket message."""
    return _frame(_TEXT, record + RECORD_END)


def invocation(target: str, *arguments: object) -> bytes:
    """A server's invocation as the bytes of one WebSocket message."""
    return message(msgspec.json.encode({"type": 1, "target": target, "arguments": arguments}))


async def listen(gateway: Gateway, on_port: Callable[[int], None]) -> asyncio.Server:
    """Serve on a free port of this machine."""
    server = await asyncio.get_running_loop().create_server(lambda: Line(gateway), "127.0.0.1", 0)
    on_port(server.sockets[0].getsockname()[1])
    return server


def _response(answer: object) -> bytes:
    body = answer if isinstance(answer, bytes) else msgspec.json.encode(answer)
    head = (
        "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\n"
        f"Date: {formatdate(time.time(), usegmt=True)}\r\nServer: Kestrel\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _frame(opcode: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, size)) + payload
    return bytes((0x80 | opcode, 126)) + size.to_bytes(2) + payload


def _next_frame(data: bytes) -> tuple[int, bytes, bytes] | None:
    """Opcode, unmasked payload and what follows, of a client's frame; None while it is not complete."""
    if len(data) < 2:
        return None
    size, begin = data[1] & 0x7F, 2
    if size == 126:
        size, begin = int.from_bytes(data[2:4]), 4
    assert size < 127 or begin == 4, "clients send nothing long"
    if len(data) < begin + 4 + size:
        return None
    mask = data[begin : begin + 4]
    payload = bytes(byte ^ mask[index % 4] for index, byte in enumerate(data[begin + 4 : begin + 4 + size]))
    return data[0] & 0x0F, payload, data[begin + 4 + size :]

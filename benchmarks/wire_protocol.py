"""The least of a server that both ends of the gateway need: HTTP/1.1 requests and WebSocket messages on raw sockets.

Where the kernel stamps what it receives (Linux), a request's time is that of its arrival on the socket; elsewhere it
includes this process's own waking.
"""

import asyncio
import base64
import hashlib
import socket
import struct
import sys
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import Protocol

import msgspec

_WEBSOCKET_KEY = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10
RECORD_END = b"\x1e"

_READ_BYTES = 256 * 1024
_SO_TIMESTAMPNS = 35
"""Linux's number on every processor in common use (asm-generic/socket.h); Python has no name for it."""
_TIMESPEC = struct.Struct("qq")


class Request(msgspec.Struct, frozen=True):
    """A whole HTTP request; `at_ns` is when its last bytes arrived, by the machine's wall clock."""

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


class Line:
    """One TCP connection: REST calls, or a hub from the upgrade on."""

    def __init__(self, gateway: Gateway, connection: socket.socket) -> None:
        self._gateway = gateway
        self._connection = connection
        self._rest = b""
        self._hub: HubLine | None = None
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if sys.platform == "linux":
            connection.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        asyncio.get_running_loop().add_reader(connection, self._readable)

    def _readable(self) -> None:
        try:
            data, at_ns = _receive(self._connection)
        except ConnectionError:
            data, at_ns = b"", 0
        if not data:
            self._close()
        elif self._hub is not None:
            self._hub.feed(data)
        else:
            self._requested(data, at_ns)

    def _requested(self, data: bytes, at_ns: int) -> None:
        self._rest += data
        while (request := self._next(at_ns)) is not None:
            if request.headers.get("upgrade", "").lower() == "websocket":
                self._upgrade(request)
                return
            self._connection.sendall(_response(self._gateway.answer(request)))

    def _close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._connection)
        self._connection.close()

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
        self._connection.sendall(f"{head}\r\nSec-WebSocket-Accept: {accepted}\r\n\r\n".encode())
        name = request.path.partition("?")[0].rpartition("/")[2]
        self._hub = HubLine(name, self._connection, self._gateway)
        if self._rest:
            self._hub.feed(self._rest)


class HubLine:
    """One hub connection, the server's end."""

    def __init__(self, name: str, connection: socket.socket, gateway: Gateway) -> None:
        self.name = name
        self._connection = connection
        self._gateway = gateway
        self._rest = b""
        self._is_open = False

    def write(self, message: bytes) -> None:
        """Send a message made by `message`."""
        self._connection.sendall(message)

    def feed(self, data: bytes) -> None:
        self._rest += data
        while (found := _next_frame(self._rest)) is not None:
            opcode, payload, self._rest = found
            if opcode == _TEXT:
                self._take(payload)
            elif opcode == _PING:
                self._connection.sendall(_frame(_PONG, payload))
            elif opcode == _CLOSE:
                self._connection.sendall(_frame(_CLOSE, payload))

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


async def serve(gateway: Gateway, on_port: Callable[[int], None]) -> None:
    """Serve on a free port of this machine until cancelled."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as door:
        door.setblocking(False)
        on_port(door.getsockname()[1])
        while True:
            connection, _ = await loop.sock_accept(door)
            Line(gateway, connection)


def _receive(connection: socket.socket) -> tuple[bytes, int]:
    """What has come, and the wall clock's ns at which its last bytes arrived."""
    if sys.platform != "linux":
        return connection.recv(_READ_BYTES), time.time_ns()
    data, stamps, _, _ = connection.recvmsg(_READ_BYTES, socket.CMSG_SPACE(_TIMESPEC.size))
    if not stamps:
        return data, time.time_ns()
    seconds, nanos = _TIMESPEC.unpack(stamps[0][2])
    return data, int(seconds) * 1_000_000_000 + int(nanos)


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

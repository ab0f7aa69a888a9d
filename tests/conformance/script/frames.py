"""A WebSocket client of a few lines that shows every frame as it came over the wire, with nothing answered for it."""

import asyncio
import base64
import contextlib
import os
import struct
from typing import Any

import msgspec

from tests.simulator.server.gateway import PATIENCE_S, Gateway, Json

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
HANDSHAKE = {"protocol": "json", "version": 1}
ERROR_CLOSE = {"type": 7, "error": "Connection closed with an error.", "allowReconnect": True}
FINAL_CLOSE = {"type": 7, "error": "Connection closed with an error."}


class Frame(msgspec.Struct, frozen=True):
    """One frame from the server."""

    is_last: bool
    opcode: int
    payload: bytes

    @property
    def close_code(self) -> int:
        assert self.opcode == CLOSE, self
        code: int = struct.unpack(">H", self.payload[:2])[0]
        return code


class Wire:
    """One TCP connection, past the upgrade."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, upgrade: bytes) -> None:
        self.upgrade = upgrade
        self._reader = reader
        self._writer = writer
        self._records: list[Json] = []

    async def send(self, opcode: int, payload: bytes, *, is_last: bool = True) -> None:
        """Send one frame."""
        mask = os.urandom(4)
        size = bytes([0x80 | len(payload)]) if len(payload) < 126 else struct.pack(">BH", 0x80 | 126, len(payload))
        masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
        self._writer.write(bytes([(0x80 if is_last else 0) | opcode]) + size + mask + masked)
        await self._writer.drain()

    async def say(self, *records: object) -> None:
        """Send records as one text frame."""
        await self.send(TEXT, text_of(*records))

    async def frame(self) -> Frame:
        """The next frame of whatever kind.

        Raises:
            asyncio.IncompleteReadError, ConnectionError: the connection ended.
        """
        async with asyncio.timeout(PATIENCE_S):
            first, size = await self._reader.readexactly(2)
            assert not size & 0x80, "a server does not mask"
            if size == 126:
                size = struct.unpack(">H", await self._reader.readexactly(2))[0]
            elif size == 127:
                size = struct.unpack(">Q", await self._reader.readexactly(8))[0]
            assert not first & 0x70, "nobody agreed on an extension"
            return Frame(bool(first & 0x80), first & 0x0F, await self._reader.readexactly(size))

    async def message(self) -> list[Json]:
        """The records of the next text message, which has to hold whole ones."""
        frame = await self.frame()
        assert frame.opcode == TEXT, frame
        payload = frame.payload
        while not frame.is_last:
            frame = await self.frame()
            assert frame.opcode == CONTINUATION, frame
            payload += frame.payload
        return records_of(payload)

    async def next(self) -> Json:
        """The next record."""
        if not self._records:
            self._records = await self.message()
        return self._records.pop(0)

    async def take(self, count: int) -> list[Json]:
        """The next records."""
        return [await self.next() for _ in range(count)]

    async def call(self, target: str, *arguments: object) -> Json:
        """Invoke a method; the next record, which is the answer on a quiet connection."""
        await self.say(invocation(target, *arguments))
        return await self.next()

    async def closed(self) -> int:
        """The code of the close frame that comes next; answered, so that the server hangs up, which it has to."""
        frame = await self.frame()
        await self.send(CLOSE, frame.payload)
        assert await self.hangs_up()
        return frame.close_code

    async def hangs_up(self) -> bool:
        """Whether the connection ends here, without a frame."""
        assert not self._records
        try:
            await self.frame()
        except (asyncio.IncompleteReadError, ConnectionError):
            return True
        return False

    def cut(self) -> None:
        """Reset the TCP connection."""
        self._writer.transport.abort()

    async def close(self) -> None:
        """Leave nothing open."""
        self.cut()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


async def upgrade(gateway: Gateway, path: str, *headers: str) -> Wire:
    """Ask for a WebSocket and insist on getting it.

    Args:
        path: with its query, such as `/hubs/user?access_token=...`.
    """
    status, wire = await knock(gateway, path, *headers)
    assert status == 101, wire.upgrade
    return wire


async def knock(gateway: Gateway, path: str, *headers: str) -> tuple[int, Wire]:
    """Ask for a WebSocket; the status of the answer, and the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: 127.0.0.1:{gateway.port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
        *headers,
    ]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    async with asyncio.timeout(PATIENCE_S):
        answer = await reader.readuntil(b"\r\n\r\n")
    wire = Wire(reader, writer, answer)
    gateway.sockets.append(wire)
    return int(answer.split()[1]), wire


async def shaken(gateway: Gateway, hub: str, token: str) -> Wire:
    """A connection past the handshake."""
    wire = await upgrade(gateway, f"/hubs/{hub}?access_token={token}")
    await wire.say(HANDSHAKE)
    assert await wire.message() == [{}]
    return wire


def invocation(target: str, *arguments: object, call_id: str | None = "1") -> dict[str, Any]:
    """An invocation record; without `call_id` nobody waits for an answer."""
    record: dict[str, Any] = {"type": 1, "target": target, "arguments": list(arguments)}
    return record if call_id is None else {**record, "invocationId": call_id}


def completed(call_id: str = "1") -> Json:
    """The answer to a call that succeeded."""
    return {"type": 3, "invocationId": call_id, "result": None}


def failed(error: str, call_id: str = "1") -> Json:
    """The answer to a call that failed."""
    return {"type": 3, "invocationId": call_id, "error": error}


def text_of(*records: object) -> bytes:
    """Records as they go over the wire."""
    return b"".join(msgspec.json.encode(record) + b"\x1e" for record in records)


def records_of(payload: bytes) -> list[Json]:
    """The records of a message; a torn one does not pass."""
    assert payload.endswith(b"\x1e"), payload[-80:]
    return [msgspec.json.decode(record) for record in payload[:-1].split(b"\x1e")]

"""What many, idle and unread connections can take from the guard, on real sockets."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest

from risk_manager.web import connection
from risk_manager.web.api import ANSWER_BYTES, LocalApi
from tests.web.test_api import Source

PATIENCE_S = 10
type Opened = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Client:
    """Opens connections to one port, and closes them in the end."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._opened = contextlib.AsyncExitStack()

    async def open(self, sent: bytes = b"", *, buffer_bytes: int | None = None) -> Opened:
        raw = socket.socket()
        if buffer_bytes is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        raw.setblocking(False)
        await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", self.port))
        reader, writer = await asyncio.open_connection(sock=raw, limit=1024)
        self._opened.callback(writer.close)
        writer.write(sent)
        return reader, writer

    def request(self, path: str) -> bytes:
        return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n\r\n".encode()

    async def status_line(self, path: str) -> bytes:
        """How a request on a connection of its own is answered."""
        reader, writer = await self.open(self.request(path))
        line = await reader.readline()
        writer.close()
        return line

    async def is_let_in(self) -> None:
        """Return once there is room for another connection."""
        while b" 503 " in await self.status_line("/api/status"):
            pass

    async def close(self) -> None:
        await self._opened.aclose()


@contextlib.asynccontextmanager
async def served(source: Source) -> AsyncIterator[Client]:
    now_s = iter(range(1_000_000_000))
    api = LocalApi(source, 0, now_s=lambda: next(now_s))
    client = Client(await api.start())
    try:
        async with asyncio.timeout(PATIENCE_S):
            yield client
    finally:
        await client.close()
        await api.stop()


async def test_holds_fourteen_connections_and_refuses_the_others() -> None:
    async with served(Source()) as client:
        held = [await client.open() for _ in range(14)]
        for _ in range(50):
            reader, _ = await client.open()
            answer = await reader.read()
            assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
            assert answer.endswith(b'\r\n\r\n{"error": "too many connections"}')
        for reader, writer in held:
            writer.write(client.request("/api/status"))
            assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        held[0][1].close()
        await client.is_let_in()


@pytest.mark.parametrize("requests", [0, 1, 3])
@pytest.mark.parametrize("rest", [b"", b"G", b"GET /api/status HTTP/1.1\r\nHost: 127.0"])
async def test_closes_a_connection_that_sends_no_whole_request_for_long(
    monkeypatch: pytest.MonkeyPatch, requests: int, rest: bytes
) -> None:
    monkeypatch.setattr(connection, "IDLE_S", 0.05)
    async with served(Source()) as client:
        reader, _ = await client.open(client.request("/api/status") * requests + rest)
        assert (await reader.read()).count(b"HTTP/1.1 200 OK") == requests


class Talkative(Source):
    """Says more than the buffers between the two ends of a connection hold."""

    def status(self) -> object:
        return "x" * ANSWER_BYTES

    async def decisions(self, account_id: str | None, most: int) -> object:
        self.asked.append((account_id, most))
        return "x" * (ANSWER_BYTES // 2)


async def test_drops_a_stream_that_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "UNREAD_S", 0.05)
    monkeypatch.setattr(connection, "MOST_CONNECTIONS", 1)
    async with served(Talkative()) as client:
        reader, _ = await client.open(client.request("/api/stream"), buffer_bytes=4096)
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        await client.is_let_in()


async def test_drops_a_reader_that_does_not_read_and_serves_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "UNREAD_S", 0.05)
    source = Talkative()
    async with served(source) as client:
        stuck = [await client.open(client.request(f"/api/decisions?most={n}"), buffer_bytes=4096) for n in range(1, 4)]
        for reader, _ in stuck:
            assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        monkeypatch.setattr(connection, "UNREAD_S", float(PATIENCE_S))
        reader, _ = await client.open(client.request("/api/decisions?most=9"))
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"Content-Length: %d" % (ANSWER_BYTES // 2 + 2) in head
        await reader.readexactly(ANSWER_BYTES // 2 + 2)
        assert sorted(most for _, most in source.asked) == [1, 2, 3, 9]
        for reader, _ in stuck:
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await reader.readexactly(ANSWER_BYTES // 2)


async def test_reads_nothing_for_the_next_client_before_the_answer_has_been_taken() -> None:
    source = Talkative()
    async with served(source) as client:
        first, stuck = await client.open(client.request("/api/decisions?most=1"), buffer_bytes=4096)
        assert await first.readline() == b"HTTP/1.1 200 OK\r\n"
        second, _ = await client.open(client.request("/api/decisions?most=2"))
        assert b" 404 " in await client.status_line("/api/none")
        assert source.asked == [(None, 1)]
        stuck.transport.abort()
        assert await second.readline() == b"HTTP/1.1 200 OK\r\n"
        assert source.asked == [(None, 1), (None, 2)]


async def test_counts_streams_which_go_on_as_long_as_they_are_read() -> None:
    source = Source()
    async with served(source) as client:
        streams = [await client.open(client.request("/api/stream")) for _ in range(14)]
        for reader, _ in streams:
            await reader.readuntil(b'data: {"value":0}\n')
        assert b" 503 " in await client.status_line("/api/status")
        source.value = 1
        for reader, _ in streams:
            await reader.readuntil(b'data: {"value":1}\n')


async def test_ends_a_stream_whose_client_has_gone_even_if_there_is_nothing_new_to_tell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "MOST_CONNECTIONS", 1)
    async with served(Source()) as client:
        reader, writer = await client.open(client.request("/api/stream"))
        await reader.readuntil(b'data: {"value":0}\n')
        writer.close()
        await client.is_let_in()

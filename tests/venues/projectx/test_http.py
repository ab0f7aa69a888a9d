"""The HTTP client against a server that answers byte by byte what a test wants it to."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from risk_manager.venues.projectx.errors import Lost, NotSent
from risk_manager.venues.projectx.http import HttpClient

OK = b"HTTP/1.1 200 OK\r\nDate: Mon, 02 Mar 2026 15:00:00 GMT\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """Answers the n-th request of every connection with the n-th script line; an empty line cuts the connection.

    Attributes:
        requests: as received, per connection.
    """

    def __init__(self, *script: bytes, closes: bool = False) -> None:
        self._script = script
        self._closes = closes
        self.requests: list[list[bytes]] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received: list[bytes] = []
        self.requests.append(received)
        try:
            for answer in self._script:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                received.append(head + await reader.readexactly(length))
                writer.write(answer)
                if not answer or self._closes:
                    return
            await reader.read()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


@asynccontextmanager
async def served(server: Server, *, total_s: float = 5.0, idle_s: float = 60.0) -> AsyncIterator[HttpClient]:
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    client = HttpClient(total_s=total_s, connect_s=2.0, idle_s=idle_s)
    try:
        yield client
    finally:
        client.close()
        listening.close()
        await listening.wait_closed()


async def post(client: HttpClient, server: Server, body: bytes = b"{}") -> bytes:
    return (await client.request("POST", f"{server.url}/api/x?y=1", headers={"A": "b"}, body=body)).body


async def test_sends_one_plain_request_and_reads_what_matters() -> None:
    server = Server(OK.replace(b"Date", b"Retry-After: 7\r\nDate"))
    async with served(server) as client:
        reply = await client.request("POST", f"{server.url}/api/x?y=1", headers={"A": "b"}, body=b'{"c":1}')
    assert (reply.status, reply.body, reply.date, reply.retry_after) == (
        200,
        b"ok",
        "Mon, 02 Mar 2026 15:00:00 GMT",
        "7",
    )
    host = server.url.removeprefix("http://").encode()
    assert server.requests == [
        [
            b"POST /api/x?y=1 HTTP/1.1\r\nHost: " + host + b"\r\nUser-Agent: risk-manager\r\nA: b\r\n"
            b'Content-Length: 7\r\n\r\n{"c":1}'
        ]
    ]


async def test_uses_a_connection_again_and_opens_as_many_as_are_needed_at_once() -> None:
    server = Server(*[OK] * 9)
    async with served(server) as client:
        assert [await post(client, server) for _ in range(3)] == [b"ok"] * 3
        assert len(server.requests) == 1
        assert await asyncio.gather(*(post(client, server) for _ in range(4))) == [b"ok"] * 4
    assert sum(map(len, server.requests)) == 7
    assert len(server.requests) == 4


async def test_trusts_no_connection_that_was_idle_for_long() -> None:
    server = Server(OK, OK)
    async with served(server, idle_s=0.0) as client:
        await post(client, server)
        await asyncio.sleep(0.01)
        await post(client, server)
    assert len(server.requests) == 2


async def test_closes_what_a_burst_has_opened_and_nobody_needs_any_more() -> None:
    server = Server(*[OK] * 10)
    async with served(server, idle_s=0.05) as client:
        await asyncio.gather(*(post(client, server) for _ in range(4)))
        assert len(client._open) == 4
        for _ in range(8):
            await asyncio.sleep(0.02)
            await post(client, server)
        await asyncio.sleep(0)
        assert len(client._open) == 1


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", b"abcde"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, b"ok"),
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\nOops", b"Oops"),
    ],
)
async def test_reads_every_form_of_answer_and_goes_on(answer: bytes, body: bytes) -> None:
    server = Server(answer, OK)
    async with served(server) as client:
        assert await post(client, server) == body
        assert await post(client, server) == b"ok"
    assert len(server.requests) == 1


async def test_reads_an_answer_that_ends_with_the_connection() -> None:
    server = Server(b"HTTP/1.1 200 OK\r\n\r\nto the end", closes=True)
    async with served(server) as client:
        assert await post(client, server) == b"to the end"
        assert await post(client, server) == b"to the end"
    assert len(server.requests) == 2


async def test_leaves_a_connection_the_server_wants_closed() -> None:
    server = Server(OK.replace(b"Date", b"Connection: close\r\nDate"), OK)
    async with served(server) as client:
        await post(client, server)
        await post(client, server)
    assert len(server.requests) == 2


async def test_takes_no_answer_nobody_asked_for() -> None:
    server = Server(OK + OK.replace(b"ok", b"no"), OK)
    async with served(server) as client:
        assert await post(client, server) == b"ok"
        assert await post(client, server) == b"ok"
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("answer", "is_disconnect"),
    [
        (b"", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", False),
        (b"SSH-2.0-OpenSSH_9.6\r\n", False),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", False),
    ],
)
async def test_says_that_an_answer_was_lost(answer: bytes, is_disconnect: bool) -> None:
    server = Server(answer, closes=True)
    async with served(server) as client:
        with pytest.raises(Lost) as lost:
            await post(client, server)
    assert lost.value.is_disconnect is is_disconnect


async def test_gives_up_after_its_time_and_does_not_use_the_connection_again() -> None:
    server = Server(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nha", OK)
    async with served(server, total_s=0.05) as client:
        with pytest.raises(Lost, match="TimeoutError"):
            await post(client, server)
        with pytest.raises(Lost):
            await post(client, server)
    assert len(server.requests) == 2


async def test_uses_no_other_idle_connection_after_one_has_failed() -> None:
    server = Server(OK, b"")
    async with served(server) as client:
        assert list(await asyncio.gather(post(client, server), post(client, server))) == [b"ok", b"ok"]
        with pytest.raises(Lost):
            await post(client, server)
        assert await post(client, server) == b"ok"
    assert sorted(len(received) for received in server.requests) == [1, 1, 2]


async def test_drops_the_connection_of_a_cancelled_request() -> None:
    server = Server(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nha", OK)
    async with served(server) as client:
        task = asyncio.create_task(post(client, server))
        while not server.requests or not server.requests[0]:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not client._idle
        assert len(client._open) == 0 or all(not one.is_reusable for one in client._open)


@pytest.mark.parametrize("token", ["abc\r\nX-Evil: 1", "abc\n", "ab\r", "ünicode"])
async def test_sends_no_header_that_would_become_another(token: str) -> None:
    server = Server(OK)
    async with served(server) as client:
        with pytest.raises(NotSent) as refused:
            await client.request("POST", server.url, headers={"Authorization": token}, body=b"")
    assert token not in str(refused.value)
    assert server.requests == []


async def test_says_that_nothing_was_sent_where_nobody_listens() -> None:
    client = HttpClient(total_s=1.0, connect_s=1.0)
    with pytest.raises(NotSent, match="no connection"):
        await client.request("POST", "http://127.0.0.1:1/", headers={}, body=b"")


async def test_sends_nothing_to_a_server_that_speaks_no_tls() -> None:
    server = Server(OK)
    async with served(server) as client:
        with pytest.raises(NotSent, match="no connection"):
            await client.request("POST", server.url.replace("http:", "https:"), headers={}, body=b"")
    assert all(not received for received in server.requests)


async def test_checks_certificates() -> None:
    client = HttpClient(total_s=1.0, connect_s=1.0)
    context = client._context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname

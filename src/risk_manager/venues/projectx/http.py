"""HTTP/1.1 requests on connections that stay open, each request one write.

The request that closes a position comes after minutes in which nothing like it ran. A general client then spends half a
millisecond in its own cold code before the first byte leaves; this one builds the bytes and hands them to the socket.
Answers are parsed by llhttp (httptools). What it leaves out: redirects, cookies, proxies, compression, pipelining.
"""

import asyncio
import ssl
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import urlsplit

import httptools
import msgspec

from risk_manager.venues.projectx.errors import Lost, NotSent

ANSWER_MAX_BYTES = 64 * 1024 * 1024
_HAPPY_EYEBALLS_S = 0.25

Origin = tuple[str, str, int]
"""Scheme, host and port."""


class Reply(msgspec.Struct, frozen=True):
    """An HTTP answer: status, body, and the two headers that matter (None where absent)."""

    status: int
    body: bytes
    date: str | None = None
    retry_after: str | None = None


class HttpClient:
    """Sends requests, each on an idle connection to its host or on a new one; there is no limit to wait at.

    Args:
        total_s: from the first byte sent to the last one received.   connect_s: for a new connection, TLS included.
        idle_s: how long an unused connection is trusted to be alive.
    """

    def __init__(self, *, total_s: float, connect_s: float, idle_s: float = 60.0) -> None:
        self._total_s = total_s
        self._connect_s = connect_s
        self._idle_s = idle_s
        self._idle: dict[Origin, list[_Connection]] = {}
        self._open: set[_Connection] = set()
        self._tls: ssl.SSLContext | None = None

    async def request(self, method: str, url: str, *, headers: Mapping[str, str], body: bytes) -> Reply:
        """The whole answer, whatever its status.

        Raises:
            NotSent: it certainly never left.   Lost: it may have been received; `is_disconnect` if the connection
                ended before any of the answer came, as a connection does that was idle too long.
        """
        origin, target = _place(url)
        message = _message(f"{method} {target}", headers, body)
        connection = self._take_idle(origin) or await self._connect(origin)
        begun_s = asyncio.get_running_loop().time()
        try:
            reply = await connection.exchange(message, self._total_s)
        except Lost:
            self._drop_idle(origin, begun_s)
            raise
        finally:
            # Only a connection that is done with its answer may serve the next request.
            if not connection.is_idle:
                connection.abort()
        if connection.is_reusable:
            self._put_back(origin, connection)
        return reply

    def close(self) -> None:
        """Give every connection up; requests under way are lost."""
        for connection in list(self._open):
            connection.abort()
        self._open.clear()
        self._idle.clear()

    def _put_back(self, origin: Origin, connection: "_Connection") -> None:
        """Keep a connection for the next request; of a burst's, close one that nobody has needed for too long."""
        now_s = asyncio.get_running_loop().time()
        waiting = self._idle.setdefault(origin, [])
        if waiting and waiting[0].idle_since_s < now_s - self._idle_s:
            waiting.pop(0).abort()
        connection.idle_since_s = now_s
        waiting.append(connection)

    def _take_idle(self, origin: Origin) -> "_Connection | None":
        """The connection used last, for it is the likeliest to be alive."""
        waiting = self._idle.get(origin, [])
        oldest_s = asyncio.get_running_loop().time() - self._idle_s
        while waiting:
            connection = waiting.pop()
            if connection.is_reusable and connection.idle_since_s >= oldest_s:
                return connection
            connection.abort()
        return None

    def _drop_idle(self, origin: Origin, since_s: float) -> None:
        """Give up what has been idle since then: a path that forgot one connection has most likely forgotten them all,
        and each would cost the next request its whole patience."""
        waiting = self._idle.get(origin, [])
        for connection in [each for each in waiting if each.idle_since_s <= since_s]:
            waiting.remove(connection)
            connection.abort()

    async def _connect(self, origin: Origin) -> "_Connection":
        scheme, host, port = origin
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_s):
                _, connection = await loop.create_connection(
                    lambda: _Connection(self._open),
                    host,
                    port,
                    ssl=self._context() if scheme == "https" else None,
                    happy_eyeballs_delay=_HAPPY_EYEBALLS_S,
                )
        except OSError as error:
            raise NotSent(f"no connection ({_described(error)})") from None
        return connection

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
            self._tls.set_alpn_protocols(["http/1.1"])
        return self._tls


class _Connection(asyncio.Protocol):
    """One connection; also receives what the parser finds."""

    def __init__(self, everyone: "set[_Connection]") -> None:
        self.idle_since_s = 0.0
        self._everyone = everyone
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Reply] | None = None
        self._start()

    @property
    def is_idle(self) -> bool:
        return self._answer is None

    @property
    def is_reusable(self) -> bool:
        return self._answer is None and self._transport is not None and not self._transport.is_closing()

    async def exchange(self, message: bytes, patience_s: float) -> Reply:
        """Write a request and return its answer.

        Raises:
            Lost: the connection ended first, or so many seconds passed.
        """
        assert self._transport is not None
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Reply] = loop.create_future()
        self._answer = answer
        self._transport.write(message)
        timer = loop.call_later(patience_s, self._fail, Lost("no answer (TimeoutError)"))
        try:
            return await answer
        finally:
            timer.cancel()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # -- called by the event loop -------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._everyone.add(self)

    def data_received(self, data: bytes) -> None:
        if self._answer is None:
            # Nobody asked: whatever this is, the next answer could not be told from it.
            self.abort()
            return
        self._has_begun = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(Lost(f"no answer (not HTTP: {type(error).__name__})"))

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._everyone.discard(self)
        if self._answer is None:
            return
        if self._is_until_close and error is None:
            self.on_message_complete()
        elif self._has_begun:
            self._fail(Lost("no answer (cut off)"))
        else:
            detail = "" if error is None else f" ({_described(error)})"
            self._fail(Lost(f"disconnected before an answer{detail}", is_disconnect=True))

    # -- called by the parser -----------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._answer is None:
            self.abort()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        has_length = b"content-length" in self._headers or b"transfer-encoding" in self._headers
        self._is_until_close = not has_length and status >= 200 and status not in (204, 304)

    def on_body(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > ANSWER_MAX_BYTES:
            self._fail(Lost("no answer (too long)"))
            return
        self._body.append(data)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:
            # "Continue" and its like only announce the answer.
            self._headers.clear()
            return
        reply = Reply(status, b"".join(self._body), self._header(b"date"), self._header(b"retry-after"))
        keeps_open = self._parser.should_keep_alive() and not self._is_until_close
        answer, self._answer = self._answer, None
        self._start()
        if not keeps_open:
            self.abort()
        if answer is not None and not answer.done():
            answer.set_result(reply)

    # -- inside -------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._size = 0
        self._has_begun = False
        self._is_until_close = False

    def _header(self, name: bytes) -> str | None:
        value = self._headers.get(name)
        return None if value is None else value.decode("latin-1")

    def _fail(self, error: Lost) -> None:
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_exception(error)
        self.abort()


@lru_cache(maxsize=64)
def _place(url: str) -> tuple[Origin, str]:
    """Where a URL leads: the host to connect to, and what follows the method in a request's first lines."""
    parts = urlsplit(url)
    assert parts.hostname is not None, "the settings check the host"
    origin = parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
    path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    return origin, f"{path} HTTP/1.1\r\nHost: {parts.netloc.rpartition('@')[2]}\r\nUser-Agent: risk-manager\r\n"


def _message(start: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """The request's bytes; one write puts them into one segment where they fit."""
    fields = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if fields.count("\n") != len(headers) or fields.count("\r") != len(headers) or not fields.isascii():
        # A line break in a token would begin a header of its own. The text stays out of the message: it is a secret.
        raise NotSent("a header contains characters that cannot be sent")
    return f"{start}{fields}Content-Length: {len(body)}\r\n\r\n".encode("ascii") + body


def _described(error: Exception) -> str:
    """Type and system text; other messages may print an address with a token in it."""
    detail = error.strerror if isinstance(error, OSError) and error.strerror else None
    return f"{type(error).__name__}: {detail}" if detail else type(error).__name__

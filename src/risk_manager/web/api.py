"""The local, read-only HTTP API: what `trader` commands and the dashboard read. Loopback only.

Neither a web page nor a rebound DNS name can read it (`web.loopback`). Anybody else on this machine may ask, as much as
they like: what that can cost the guard is bounded.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from risk_manager.ports.journal import JournalUnavailable, TooMuchAsked
from risk_manager.web.loopback import LoopbackPort
from risk_manager.web.request_rate import RequestRate

STREAM_PERIOD_S = 0.25
REQUESTS_PER_S = 20
"""Of all clients together: `trader status --live` makes four."""

ANSWER_BYTES = 8 * 1024 * 1024
"""Room for a thousand decisions ten times as long as usual; three hundred with a long day's snapshot fill it."""

_COUNT = re.compile(r"[0-9]{1,4}")
_ID = re.compile(r"[\w-]{1,80}")


class StatusSource(Protocol):
    """Where the API reads: values that msgspec can write as JSON."""

    def status(self) -> object:
        """The daemon and its accounts as they are now."""

    async def decisions(self, account_id: str | None, most: int) -> object:
        """The last committed decisions, oldest first.

        Raises:
            TooMuchAsked: they are longer than an answer may be.
            JournalUnavailable: they cannot be read now.
        """

    async def explain(self, intent_id: str) -> object | None:
        """What is known of an enforcement; None if there is none of that id.

        Raises:
            TooMuchAsked: more than may be read at once is known of it.
            JournalUnavailable: it cannot be read now.
        """


class LocalApi:
    """The API on one loopback port."""

    def __init__(self, source: StatusSource, port: int, *, now_s: Callable[[], float] | None = None) -> None:
        """Args:
        now_s: the time that requests are counted by; the event loop's if None.
        """
        self._source = source
        self._port = port
        self._now_s = now_s
        self._reading = asyncio.Lock()
        self._listening = LoopbackPort()

    async def start(self) -> int:
        """Listen and give back the port; 0 takes a free one.

        Raises:
            OSError: the port is taken.
        """
        app = web.Application(middlewares=[_limited(self._now_s or asyncio.get_running_loop().time)])
        app.on_response_prepare.append(_uncached)
        app.router.add_get("/api/status", self._status)
        app.router.add_get("/api/decisions", self._decisions)
        app.router.add_get("/api/enforcements/{id}", self._explain)
        app.router.add_get("/api/stream", self._stream)
        self._port = await self._listening.open(app, self._port)
        return self._port

    async def stop(self) -> None:
        """Close the port; idempotent."""
        await self._listening.close()

    async def _status(self, _: web.Request) -> web.Response:
        return web.Response(body=msgspec.json.encode(self._source.status()), content_type="application/json")

    async def _decisions(self, request: web.Request) -> web.Response:
        most = request.query.get("most", "50")
        if not _COUNT.fullmatch(most) or not 1 <= int(most) <= 1000:
            return _error(400, "most: a whole number from 1 to 1000")
        account = request.query.get("account")
        return await self._told(request, lambda: self._source.decisions(account, int(most)))

    async def _explain(self, request: web.Request) -> web.Response:
        intent_id = request.match_info["id"]
        if not _ID.fullmatch(intent_id):
            return _error(400, "no id of an enforcement")
        return await self._told(request, lambda: self._source.explain(intent_id), f"no enforcement {intent_id}")

    async def _told(
        self, request: web.Request, read: Callable[[], Awaitable[object | None]], if_none: str = ""
    ) -> web.Response:
        """Answer with what the journal tells, one request at a time.

        The next one is read when this one's answer has been taken: no more than one is held in memory.
        """
        async with self._reading:
            response = await _read(read, if_none)
            with suppress(ConnectionResetError):
                await response.prepare(request)
                await response.write_eof()
        return response

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events: the status whenever it differs, at most four times a second."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        before = b""
        try:
            while True:
                now = msgspec.json.encode(self._source.status())
                if now != before:
                    await response.write(b"data: " + now + b"\n\n")
                    before = now
                await asyncio.sleep(STREAM_PERIOD_S)
        except ConnectionResetError:
            return response


def _limited(now_s: Callable[[], float]) -> Middleware:
    rate = RequestRate(REQUESTS_PER_S, now_s)

    @web.middleware
    async def limited(request: web.Request, handler: Handler) -> web.StreamResponse:
        if rate.lets_through():
            return await handler(request)
        refusal = _error(429, f"more than {REQUESTS_PER_S} requests in a second")
        # What it sent beyond this request is not read.
        refusal.force_close()
        return refusal

    return limited


async def _uncached(_: web.Request, response: web.StreamResponse) -> None:
    """No browser keeps a copy of an answer, or takes it for something else."""
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"


async def _read(read: Callable[[], Awaitable[object | None]], if_none: str) -> web.Response:
    try:
        found = await read()
    except TooMuchAsked as error:
        return _error(400, f"{error}; ask for less")
    except JournalUnavailable as error:
        return _error(503, str(error))
    if found is None:
        return _error(404, if_none)
    body = msgspec.json.encode(found)
    if len(body) > ANSWER_BYTES:
        return _error(400, f"the answer would have more than {ANSWER_BYTES:,} bytes; ask for less")
    return web.Response(body=body, content_type="application/json")


def _error(status: int, text: str) -> web.Response:
    return web.json_response({"error": text}, status=status)

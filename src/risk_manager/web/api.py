"""The local, read-only HTTP API: what `trader` commands and the dashboard read. Loopback only.

Neither a web page nor a rebound DNS name can read it (`web.loopback`). Anybody else on this machine may ask, as much as
they like: what that can cost the guard is bounded.
"""

import asyncio
import re
from collections.abc import Callable
from typing import Protocol

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from risk_manager.ports.journal import JournalUnavailable
from risk_manager.web.loopback import LoopbackPort
from risk_manager.web.request_rate import RequestRate

STREAM_PERIOD_S = 0.25
REQUESTS_PER_S = 20
"""Of all clients together: `trader status --live` makes four."""

_COUNT = re.compile(r"[0-9]{1,4}")
_ID = re.compile(r"[\w-]{1,80}")


class StatusSource(Protocol):
    """Where the API reads: values that msgspec can write as JSON."""

    def status(self) -> object:
        """The daemon and its accounts as they are now."""

    async def decisions(self, account_id: str | None, most: int) -> object:
        """The last committed decisions, oldest first.

        Raises:
            JournalUnavailable: they cannot be read now.
        """

    async def explain(self, intent_id: str) -> object | None:
        """What is known of an enforcement; None if there is none of that id.

        Raises:
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
        return _json(self._source.status())

    async def _decisions(self, request: web.Request) -> web.Response:
        most = request.query.get("most", "50")
        if not _COUNT.fullmatch(most) or not 1 <= int(most) <= 1000:
            return web.json_response({"error": "most: a whole number from 1 to 1000"}, status=400)
        try:
            return _json(await self._source.decisions(request.query.get("account"), int(most)))
        except JournalUnavailable as error:
            return web.json_response({"error": str(error)}, status=503)

    async def _explain(self, request: web.Request) -> web.Response:
        intent_id = request.match_info["id"]
        if not _ID.fullmatch(intent_id):
            return web.json_response({"error": "no id of an enforcement"}, status=400)
        try:
            found = await self._source.explain(intent_id)
        except JournalUnavailable as error:
            return web.json_response({"error": str(error)}, status=503)
        if found is None:
            return web.json_response({"error": f"no enforcement {intent_id}"}, status=404)
        return _json(found)

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
        refusal = web.json_response({"error": f"more than {REQUESTS_PER_S} requests in a second"}, status=429)
        # What it sent beyond this request is not read.
        refusal.force_close()
        return refusal

    return limited


async def _uncached(_: web.Request, response: web.StreamResponse) -> None:
    """No browser keeps a copy of an answer, or takes it for something else."""
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"


def _json(value: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json")

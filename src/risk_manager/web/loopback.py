"""A port that answers only to this machine, and to few connections at a time (`web.connection`).

Listening on loopback is not enough: a page in the user's browser can send requests there, and a rebound DNS name lets
it read the answers. Such requests name another host, or say which page they come from.
"""

import asyncio
from functools import partial

from aiohttp import web
from aiohttp.typedefs import Handler

from risk_manager.web.connection import BACKLOG, Connection

_HOSTS = ("127.0.0.1", "localhost", "[::1]")
_SHUTDOWN_S = 0.5


class LoopbackPort:
    """One port, and what is served there."""

    def __init__(self) -> None:
        self._port = 0
        self._runner: web.AppRunner | None = None
        self._listening: asyncio.Server | None = None

    async def open(self, app: web.Application, port: int) -> int:
        """Serve an application and give back the port; 0 takes a free one.

        Raises:
            OSError: the port is taken.
        """
        app.middlewares.insert(0, self._guard)
        # Whoever has gone is owed no answer: a read for it would go on, and a stream for ever.
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=_SHUTDOWN_S)
        await self._runner.setup()
        assert self._runner.server is not None
        connection = partial(Connection, self._runner.server)
        loop = asyncio.get_running_loop()
        self._listening = await loop.create_server(connection, "127.0.0.1", port, backlog=BACKLOG)
        self._port = self._listening.sockets[0].getsockname()[1]
        return self._port

    async def close(self) -> None:
        """Close the port; idempotent."""
        if self._listening is not None:
            self._listening.close()
            self._listening = None
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not _is_from_here(request, self._port):
            refusal = web.json_response({"error": "this API answers only to this machine"}, status=403)
            refusal.force_close()
            return refusal
        return await handler(request)


def _is_from_here(request: web.Request, port: int) -> bool:
    """Whether a request names this machine and the port, and comes from no foreign page."""
    allowed = {f"{host}:{port}" for host in _HOSTS}
    origin = request.headers.get("Origin")
    is_foreign = origin is not None and origin.lower() not in {f"http://{host}" for host in allowed}
    is_cross_site = request.headers.get("Sec-Fetch-Site") == "cross-site"
    return request.host.lower() in allowed and not is_foreign and not is_cross_site

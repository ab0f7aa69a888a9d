"""The HTTP side of a hub: negotiation, connection ids and the upgrade to a WebSocket."""

import asyncio
import re
from collections.abc import Callable

import msgspec
from aiohttp import web

from risk_manager.simulator.server.connection import HubConnection
from risk_manager.simulator.server.hubs import Hub
from risk_manager.simulator.server.settings import SimSettings

_TRANSPORTS = (
    {"transport": "WebSockets", "transferFormats": ["Text", "Binary"]},
    {"transport": "ServerSentEvents", "transferFormats": ["Text"]},
    {"transport": "LongPolling", "transferFormats": ["Text", "Binary"]},
)
_NOT_AN_INTEGER = "The client requested a non-integer protocol version."
_INTEGER = re.compile(r"\s*[+-]?[0-9]+\s*", re.ASCII)
_NEWEST_NEGOTIATION = 1
_WRITER_BYTES = 65_536
_CLOSE_S = 2.0


class HubEndpoint:
    """Answers requests below one hub's path.

    Args:
        new_id: gives a fresh unguessable id at each call.
    """

    def __init__(self, hub: Hub, settings: SimSettings, new_id: Callable[[], str]) -> None:
        self.hub = hub
        self._settings = settings
        self._new_id = new_id
        self._unused: dict[str, float] = {}
        self._active: set[str] = set()
        # In the order in which they came, so that a run repeats.
        self._open: dict[HubConnection, None] = {}

    def close(self) -> None:
        """Close every connection with a type 7; cut those that have not shaken hands."""
        shaken = self.hub.connections
        for connection in [each for each in self._open if each not in shaken]:
            connection.drop()
        for connection in shaken:
            connection.close(allow_reconnect=True)

    async def handle(self, request: web.Request, user: str, *, is_negotiation: bool) -> web.StreamResponse:
        """Answer one authenticated request."""
        if is_negotiation:
            return self._negotiate(request) if request.method == "POST" else _text(405)
        if request.method not in ("GET", "POST", "DELETE"):
            return _text(405)
        connection_id = _query(request, "id")
        is_upgrade = request.method == "GET" and _wants_websocket(request)
        if not connection_id:
            return await self._connect(request, user, None) if is_upgrade else _text(400, "Connection ID required")
        is_active = connection_id in self._active
        if not is_active and self._unused.get(connection_id, 0.0) <= asyncio.get_running_loop().time():
            return _text(404, "No Connection with that ID")
        if not is_upgrade:
            return _other_transport(request, is_active=is_active)
        return _text(409) if is_active else await self._connect(request, user, connection_id)

    def _negotiate(self, request: web.Request) -> web.Response:
        asked = _query(request, "negotiateversion")
        if asked is not None and not _INTEGER.fullmatch(asked):
            return _json({"error": _NOT_AN_INTEGER})
        version = int(asked or 0)
        if version < 0:
            error = f"The client requested version '{version}', but the server does not support this version."
            return _json({"error": error})
        connection_id = self._new_id()
        if version < _NEWEST_NEGOTIATION:
            self._remember(connection_id)
            return _json({"negotiateVersion": 0, "connectionId": connection_id, "availableTransports": _TRANSPORTS})
        token = self._new_id()
        self._remember(token)
        return _json(
            {
                "negotiateVersion": _NEWEST_NEGOTIATION,
                "connectionId": connection_id,
                "connectionToken": token,
                "availableTransports": _TRANSPORTS,
            }
        )

    def _remember(self, token: str) -> None:
        now_s = asyncio.get_running_loop().time()
        self._unused = {known: until_s for known, until_s in self._unused.items() if until_s > now_s}
        self._unused[token] = now_s + self._settings.negotiation_s

    async def _connect(self, request: web.Request, user: str, connection_id: str | None) -> web.StreamResponse:
        # No heartbeat: WebSocket pings break clients that are in use. No compression: the venue does not offer it.
        socket = web.WebSocketResponse(
            timeout=_CLOSE_S, compress=False, writer_limit=_WRITER_BYTES, decode_text=False, autoping=True
        )
        if connection_id is not None:
            del self._unused[connection_id]
            self._active.add(connection_id)
        try:
            try:
                await socket.prepare(request)
            except ConnectionResetError:
                return _text(400)  # to nobody: it has gone
            transport = request.transport
            if transport is None:
                return socket
            connection = HubConnection(socket, transport, user, self._settings)
            self._open[connection] = None
            try:
                await connection.run(self.hub.add, self.hub.serve)
            finally:
                del self._open[connection]
                self.hub.remove(connection)
        finally:
            if connection_id is not None:
                self._active.discard(connection_id)
        return socket


def _wants_websocket(request: web.Request) -> bool:
    return request.headers.get("Upgrade", "").lower() == "websocket"


def _other_transport(request: web.Request, *, is_active: bool) -> web.Response:
    """What a known id gets for anything but a WebSocket, the only transport there is."""
    if request.method == "DELETE":
        return _text(400, "Cannot terminate this connection using the DELETE endpoint.")
    if is_active and request.method == "POST":
        return _text(405, "POST requests are not allowed for WebSocket connections.")
    if is_active:
        return _text(400, "Cannot change transports mid-connection")
    is_stream = "text/event-stream" in request.headers.get("Accept", "")
    transport = "ServerSentEvents" if is_stream else "LongPolling"
    return _text(404, f"{transport} transport not supported by this end point type")


def _query(request: web.Request, name: str) -> str | None:
    """The values of a query key, whose case does not matter, as ASP.NET Core joins them; None without the key."""
    values = [value for key, value in request.query.items() if key.lower() == name]
    return ",".join(values) if values else None


def _text(status: int, text: str = "") -> web.Response:
    return web.Response(status=status, text=text, content_type="text/plain")


def _json(body: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), content_type="application/json")

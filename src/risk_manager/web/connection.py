"""What connections may cost: how many there are, and how long one may ask nothing or leave its answer unread.

Whoever works on this machine may open as many as they like. Without bounds they would use up the descriptors, which the
guard needs to speak to the venue, and the memory.
"""

import asyncio
from http import HTTPStatus

from aiohttp import web

MOST_CONNECTIONS = 14
"""Eight clients, streams among them, and six more because a browser opens as many for one dashboard."""

BACKLOG = 8
"""So many may be accepted at a time before they are counted: they, too, hold descriptors for a moment."""

IDLE_S = 5.0
"""Within this the head of a request must have come, the next one's after an answer included."""

UNREAD_S = 5.0
"""Within this an answer must have been taken."""

_REFUSAL_TEXT = b'{"error": "too many connections"}'
_REFUSAL = b"HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.SERVICE_UNAVAILABLE.phrase.encode(),
    len(_REFUSAL_TEXT),
    _REFUSAL_TEXT,
)


class Connection(web.RequestHandler):
    """One connection of a server; refused with 503 if there are too many."""

    __slots__ = ("_server", "_unread")

    def __init__(self, server: web.Server) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=IDLE_S,
            access_log=None,  # type: ignore[arg-type]  # None logs nothing
        )
        self._server = server
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        if len(self._server.connections) >= MOST_CONNECTIONS:
            transport.write(_REFUSAL)
            transport.close()
            return
        # So that any part of an answer that is not taken counts as unread.
        transport.set_write_buffer_limits(high=0)
        super().connection_made(transport)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self.transport is not None:
            self._unread = asyncio.get_running_loop().call_later(UNREAD_S, self.transport.abort)

    def resume_writing(self) -> None:
        self._forget_unread()
        super().resume_writing()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._forget_unread()
        super().connection_lost(exc)

    def _forget_unread(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

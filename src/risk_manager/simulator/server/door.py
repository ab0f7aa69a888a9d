"""The way to the gateway: requests that are cut off, kept waiting, or sent down a connection nobody is behind."""

import asyncio
import os
import socket
import struct
from weakref import WeakKeyDictionary

from aiohttp import web

REST = "rest"
# Windows has shorts where others have ints.
_LINGER_NOT = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)


class Door:
    """Lets requests in. Places are `rest`, and the hubs' names for their negotiations and upgrades."""

    def __init__(self) -> None:
        self._refused: set[str] = set()
        self._is_stalled = False
        # Connections of the REST API that clients keep open, and those of them nobody is behind any more.
        # In the order in which they came, so that a run repeats.
        self._kept: WeakKeyDictionary[asyncio.Transport, None] = WeakKeyDictionary()
        self._dead: WeakKeyDictionary[asyncio.Transport, None] = WeakKeyDictionary()
        self._changed = asyncio.Event()

    async def admit(self, request: web.Request, place: str) -> bool:
        """Whether a request is to be answered; comes back when that is decided, which may take as long as a fault."""
        transport = request.transport
        if transport is not None and place == REST:
            self._kept[transport] = None
        while request.transport is not None:
            if place in self._refused:
                request.transport.abort()
                return False
            if transport not in self._dead and not (self._is_stalled and place == REST):
                return True
            await self._changed.wait()
        return False

    def refuse(self, place: str, is_refused: bool) -> None:
        """Cut every request off without an answer from now on, or let them in again."""
        if is_refused:
            self._refused.add(place)
        else:
            self._refused.discard(place)
        self._change()

    def stall(self, is_stalled: bool) -> None:
        """Keep REST calls waiting, and only then carry out those whose callers have not left."""
        self._is_stalled = is_stalled
        self._change()

    def cut(self, *, resets: bool = False) -> None:
        """Cut the connections of the REST API that clients keep open."""
        for transport in tuple(self._kept):
            cut(transport, resets=resets)

    def forsake(self) -> None:
        """Answer nothing more on the connections of the REST API there are; new ones are as good as ever."""
        self._dead.update(self._kept)

    def release(self) -> None:
        """Cut the connections that were forsaken."""
        for transport in tuple(self._dead):
            transport.abort()
        self._dead.clear()
        self._change()

    def open(self) -> None:
        """Let everything pass."""
        self._refused.clear()
        self._is_stalled = False
        self.release()

    def _change(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def cut(transport: asyncio.Transport, *, resets: bool = False) -> None:
    """Cut a connection without a word; one that is reset tells the client so, whatever is still under way."""
    own = transport.get_extra_info("socket")
    if resets and own is not None and not transport.is_closing():
        own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    transport.abort()

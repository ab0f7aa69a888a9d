"""One client on one hub: handshake, keep-alive, reading and the bounded queue towards it."""

import asyncio
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress

from aiohttp import WSMsgType, web

from risk_manager.simulator.server import signalr
from risk_manager.simulator.server.door import cut
from risk_manager.simulator.server.settings import SimSettings

# Long enough for a reader to look at each piece by itself.
_PIECE_GAP_S = 0.002
_FINAL = 0x80

Serve = Callable[["HubConnection", signalr.Invocation | signalr.StreamingCall], None]


class HubConnection:
    """A WebSocket that speaks the hub protocol.

    `send` never blocks: records queue and one writer task sends all that is pending as one WebSocket message, in order.
    A reader that falls more than `queue_bytes` behind is told to reconnect and cut off, so that it stalls nobody else.

    Attributes:
        pieces: how many WebSocket frames a message is cut into, each written in two goes.
    """

    def __init__(
        self, socket: web.WebSocketResponse, transport: asyncio.Transport, user: str, settings: SimSettings
    ) -> None:
        self.user = user
        self._socket = socket
        self._transport = transport
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._reader = signalr.RecordReader(settings.inbound_bytes)
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._wake = asyncio.Event()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._last_heard_s = self._loop.time()
        self._is_closing = False
        self._is_stalled = False
        self._is_forsaken = False
        self.pieces = 1

    def send(self, record: bytes) -> None:
        """Queue one record; nothing is queued once the connection is closing or while it is silent."""
        if self._is_closing or self._is_stalled or self._is_forsaken:
            return
        self._pending.append(record)
        self._pending_bytes += len(record)
        self._wake.set()
        if self._pending_bytes > self._settings.queue_bytes:
            self._pending.clear()
            self.close(signalr.CLOSED_WITH_ERROR, allow_reconnect=True)

    def close(self, error: str | None = None, *, allow_reconnect: bool = False) -> None:
        """Say goodbye with a type 7 after what is pending, then close the socket; cut it if that takes too long."""
        self._finish(signalr.close(error, allow_reconnect=allow_reconnect))

    def drop(self, *, resets: bool = False) -> None:
        """Cut the TCP connection without a word, by a reset if so wished."""
        self._is_closing = True
        self._wake.set()
        cut(self._transport, resets=resets)

    def forsake(self) -> None:
        """Be gone without closing: nothing is read any more and nothing sent, not even the answer to a ping."""
        self._is_forsaken = True
        self._pending.clear()
        for timer in self._timers.values():
            timer.cancel()
        self._transport.pause_reading()

    def release(self) -> None:
        """Cut the connection if it was forsaken."""
        if self._is_forsaken:
            self.drop()

    def stall(self) -> None:
        """Keep the socket open and say nothing from now on; what would be sent is lost."""
        self._is_stalled = True

    def resume(self) -> None:
        """End a stall; lost records stay lost."""
        self._is_stalled = False

    async def run(self, opened: Callable[["HubConnection"], None], serve: Serve) -> None:
        """Serve the client until either side ends it.

        Args:
            opened: called once the handshake is accepted; only then may anything be sent.
            serve: called with every invocation, one after the other.
        """
        writer = asyncio.create_task(self._write())
        try:
            await self._read(opened, serve)
        finally:
            for timer in self._timers.values():
                timer.cancel()
            await self._stop(writer)

    async def _stop(self, writer: asyncio.Task[None]) -> None:
        if not self._is_closing:
            writer.cancel()
        cut = self._loop.call_later(self._settings.slow_reader_s, self._transport.abort)
        with suppress(asyncio.CancelledError):
            await writer
        cut.cancel()

    async def _read(self, opened: Callable[["HubConnection"], None], serve: Serve) -> None:
        try:
            records = await self._handshake()
            if records is None:
                return
            self._start_keep_alive()
            opened(self)
            self._take(records, serve)
            while not self._is_closing:
                data = await self._receive()
                if data is None:
                    return
                self._last_heard_s = self._loop.time()
                self._take(self._reader.feed(data), serve)
        except signalr.ProtocolError:
            self.close(signalr.CLOSED_WITH_ERROR, allow_reconnect=True)

    async def _receive(self) -> bytes | None:
        message = await self._socket.receive()
        if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
            data: bytes = message.data
            return data
        return None

    async def _handshake(self) -> list[bytes] | None:
        """What came after the handshake in the same message; None when there is no connection to serve."""
        try:
            async with asyncio.timeout(self._settings.handshake_s):
                records: list[bytes] = []
                while not records:
                    data = await self._receive()
                    if data is None:
                        return None
                    records = self._reader.feed(data)
            signalr.check_handshake(records[0], oldest_version=self._settings.oldest_handshake_version)
        except TimeoutError:
            self._finish(signalr.handshake_refusal(signalr.HANDSHAKE_TIMED_OUT))
            return None
        except signalr.HandshakeRefused as refusal:
            self._finish(signalr.handshake_refusal(str(refusal)))
            return None
        except signalr.ProtocolError:
            self._finish(signalr.handshake_refusal(signalr.HANDSHAKE_FAILED))
            return None
        self.send(signalr.HANDSHAKE_ACCEPTED)
        return records[1:]

    def _take(self, records: list[bytes], serve: Serve) -> None:
        for record in records:
            if self._is_closing:
                return
            match signalr.parse(record):
                case signalr.Invocation() | signalr.StreamingCall() as call:
                    serve(self, call)
                case signalr.Ping():
                    self._watch_silence()
                case signalr.Goodbye():
                    self.close()
                case signalr.Ignored():
                    pass

    def _start_keep_alive(self) -> None:
        self._timers["ping"] = self._loop.call_later(self._settings.ping_s, self._ping)

    def _ping(self) -> None:
        self.send(signalr.PING)
        self._start_keep_alive()

    def _watch_silence(self) -> None:
        """Armed by the client's first ping: clients that never ping are never timed out."""
        if "silence" not in self._timers:
            self._timers["silence"] = self._loop.call_later(self._settings.client_silence_s, self._check_silence)

    def _check_silence(self) -> None:
        left_s = self._last_heard_s + self._settings.client_silence_s - self._loop.time()
        if left_s > 0:
            self._timers["silence"] = self._loop.call_later(left_s, self._check_silence)
        else:
            self.close(signalr.CLOSED_WITH_ERROR, allow_reconnect=True)

    def _finish(self, last_record: bytes) -> None:
        if self._is_closing:
            return
        if self._is_forsaken:
            self.drop()
            return
        self._is_closing = True
        self._pending.append(last_record)
        self._wake.set()
        self._timers["cut"] = self._loop.call_later(self._settings.slow_reader_s, self._transport.abort)

    async def _write(self) -> None:
        """Send what is pending until the connection is closing and drained; a lost peer just ends it."""
        with suppress(ConnectionError):
            while True:
                await self._wake.wait()
                self._wake.clear()
                payload = b"".join(self._pending)
                self._pending.clear()
                self._pending_bytes = 0
                if payload:
                    await self._send_message(payload)
                if self._is_closing and not self._pending:
                    await self._socket.close()
                    return

    async def _send_message(self, payload: bytes) -> None:
        if self.pieces == 1:
            await self._socket.send_frame(payload, WSMsgType.TEXT)
            return
        for frame in _frames(payload, self.pieces):
            if self._transport.is_closing():
                raise ConnectionResetError
            # Two writes on a socket without delay leave as two segments, the first within the frame's header.
            self._transport.write(frame[:1])
            self._transport.write(frame[1:])
            await asyncio.sleep(_PIECE_GAP_S)


def _frames(payload: bytes, pieces: int) -> Iterator[bytes]:
    """A text message as a fragmented one of RFC 6455, section 5.4; aiohttp itself writes whole ones only."""
    size = -(-len(payload) // pieces)
    for start in range(0, len(payload), size):
        part = payload[start : start + size]
        is_last = start + size >= len(payload)
        first = (_FINAL if is_last else 0) | (WSMsgType.TEXT if start == 0 else WSMsgType.CONTINUATION)
        if len(part) < 126:
            yield struct.pack("!BB", first, len(part)) + part
        elif len(part) < 1 << 16:
            yield struct.pack("!BBH", first, 126, len(part)) + part
        else:
            yield struct.pack("!BBQ", first, 127, len(part)) + part

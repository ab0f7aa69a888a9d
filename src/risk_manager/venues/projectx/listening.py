"""One hub connection that is only listened to: every record with its time, and how the connection ended."""

import asyncio
from collections.abc import Callable
from typing import Any, NoReturn

import msgspec

from risk_manager.venues.projectx import wire
from risk_manager.venues.projectx.errors import HubClosed, ProjectXError
from risk_manager.venues.projectx.hub_codec import RECORD_END
from risk_manager.venues.projectx.transport import HubLink

PING_S = 15.0
_RECORD_MAX_BYTES = 4 * 1024 * 1024


class Heard(msgspec.Struct, frozen=True):
    """A record of the server; `at_s` by the event loop's clock."""

    at_s: float
    message: dict[str, Any]

    @property
    def type(self) -> object:
        """The message type, None for a handshake's answer."""
        return self.message.get("type")


class Listener:
    """Reads a connection from its first record on, and pings it so that the server keeps it.

    Attributes:
        heard: what came, in order.   ended: how the connection ended; None while it is open.
        ended_s, goodbye_s: when it ended, and when we said goodbye (None: not), by the event loop's clock.
    """

    def __init__(self, link: HubLink) -> None:
        self.heard: list[Heard] = []
        self.ended: str | None = None
        self.ended_s = 0.0
        self.goodbye_s: float | None = None
        self._link = link
        self._rest = b""
        self._calls = 0
        self._arrived = asyncio.Event()
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._ping())]

    async def shake_hands(self, version: int, within_s: float) -> dict[str, Any] | None:
        """The answer to a hello of a protocol version; None if there is none.

        Raises:
            HubClosed: the connection has ended.
        """
        await self._send({"protocol": "json", "version": version})
        answer = await self.wait_for(lambda heard: heard.type is None, within_s)
        return None if answer is None else answer.message

    async def call(self, target: str, *arguments: object, within_s: float) -> Heard | None:
        """The completion of an invocation; None if there is none.

        Raises:
            HubClosed: the connection has ended.
        """
        invocation_id = str(self._calls)
        self._calls += 1
        await self._send({"type": 1, "invocationId": invocation_id, "target": target, "arguments": arguments})
        return await self.wait_for(
            lambda heard: heard.type == 3 and heard.message.get("invocationId") == invocation_id, within_s
        )

    async def wait_for(self, is_wanted: Callable[[Heard], bool], within_s: float) -> Heard | None:
        """The first record of that kind, now or within a time; None also when the connection ends before."""
        seen = 0
        try:
            async with asyncio.timeout(within_s):
                while True:
                    found = next((heard for heard in self.heard[seen:] if is_wanted(heard)), None)
                    if found is not None or self.ended is not None:
                        return found
                    seen = len(self.heard)
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            return None

    async def say_goodbye(self, within_s: float) -> None:
        """Tell the server that we leave, and hear what it has to say to that."""
        self.goodbye_s = asyncio.get_running_loop().time()
        try:
            await self._send({"type": 7})
        except ProjectXError:
            return
        await self.wait_for(lambda _: False, within_s)

    async def close(self) -> None:
        """Give the connection up; idempotent."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._link.close()

    async def _send(self, record: object) -> None:
        if self.ended is not None:
            raise HubClosed(self.ended)
        await self._link.send(wire.encode_body(record) + RECORD_END)

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                data = await self._link.receive()
                *records, self._rest = (self._rest + data).split(RECORD_END)
                self._rest = self._rest[:_RECORD_MAX_BYTES]
                now_s = loop.time()
                self.heard.extend(Heard(now_s, message) for message in map(_message, records) if message is not None)
                self._arrived.set()
        except HubClosed as closed:
            self.ended, self.ended_s = str(closed), loop.time()
            self._arrived.set()

    async def _ping(self) -> NoReturn:
        while True:
            await asyncio.sleep(PING_S)
            if self.ended is None:
                await self._send({"type": 6})


def _message(record: bytes) -> dict[str, Any] | None:
    try:
        decoded = wire.decode_any(record)
    except (ValueError, RecursionError):
        return None
    return decoded if isinstance(decoded, dict) else None

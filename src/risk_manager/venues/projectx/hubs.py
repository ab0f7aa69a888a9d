"""A hub connection and the session that never gives it up.

A connection is: upgrade, handshake, subscriptions with their completions, then frames until it ends. The session opens
the next one, for ever, with a token that has not been refused; where the hub refuses every token, ever more slowly. No
frame of any kind for 35 s means dead, whatever TCP says.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import NoReturn

from risk_manager.venues.projectx.auth import Auth
from risk_manager.venues.projectx.errors import HubClosed, HubError, HubRefused, LoggedOut, ProjectXError
from risk_manager.venues.projectx.hub_codec import (
    Close,
    Completion,
    Handshake,
    HotRecord,
    HubCodec,
    HubMessage,
    Invocation,
    Malformed,
    Ping,
)
from risk_manager.venues.projectx.problems import Problems
from risk_manager.venues.projectx.settings import HubTimings
from risk_manager.venues.projectx.transport import HubLink, Transport

OnInvocation = Callable[[Invocation | HotRecord], None]


class HubConnection:
    """One open connection: calls with completions, and the loops that keep and watch it."""

    def __init__(
        self,
        link: HubLink,
        codec: HubCodec,
        timings: HubTimings,
        problems: Problems,
        on_invocation: OnInvocation,
    ) -> None:
        self._link = link
        self._codec = codec
        self._timings = timings
        self._problems = problems
        self._on_invocation = on_invocation
        self._loop = asyncio.get_running_loop()
        self._handshake: asyncio.Future[Handshake] = self._loop.create_future()
        self._calls: dict[str, asyncio.Future[str | None]] = {}
        self._last_frame_s = self._loop.time()

    async def run(self, on_open: Callable[["HubConnection"], Awaitable[None]]) -> None:
        """Serve the connection until it ends.

        Raises:
            HubClosed, HubError, ExceptionGroup of them: always.
        """
        # No task group: Python 3.12 loses a cancellation that meets the end of one (CPython gh-116720).
        works = (self._read(), self._ping_and_watch(), self._open(on_open))
        duties = [self._loop.create_task(work) for work in works]
        try:
            while True:
                await asyncio.wait([duty for duty in duties if not duty.done()], return_when=asyncio.FIRST_COMPLETED)
                for duty in duties:
                    if duty.done():
                        duty.result()
        finally:
            for duty in duties:
                duty.cancel()
            await asyncio.gather(*duties, return_exceptions=True)

    async def call(self, target: str, *arguments: object) -> None:
        """Invoke a hub method and return when the server has completed it.

        Raises:
            HubError: it was completed with an error.
            HubClosed: the connection ended, or no completion came in time.
        """
        invocation_id, data = self._codec.invoke(target, arguments)
        done = self._calls[invocation_id] = self._loop.create_future()
        try:
            async with asyncio.timeout(self._timings.handshake_s):
                await self._link.send(data)
                error = await done
        except TimeoutError:
            raise HubClosed(f"no completion of {target}") from None
        finally:
            del self._calls[invocation_id]
        if error is not None:
            raise HubError(f"{target}: {error}"[:300])

    async def _open(self, on_open: Callable[["HubConnection"], Awaitable[None]]) -> None:
        await self._shake_hands()
        await on_open(self)

    async def _shake_hands(self) -> None:
        try:
            async with asyncio.timeout(self._timings.handshake_s):
                await self._link.send(self._codec.hello())
                answer = await self._handshake
        except TimeoutError:
            raise HubClosed("no answer to the handshake") from None
        if answer.error is not None:
            raise HubClosed(f"handshake refused: {answer.error}"[:300])
        await self._link.send(self._codec.ping())

    async def _read(self) -> NoReturn:
        while True:
            data = await self._link.receive()
            self._last_frame_s = self._loop.time()
            for message in self._codec.feed(data):
                if isinstance(message, HotRecord | Invocation):
                    self._on_invocation(message)
                else:
                    self._take(message)

    def _take(self, message: HubMessage) -> None:
        match message:
            case Completion(invocation_id, error):
                done = self._calls.get(invocation_id)
                if done is not None and not done.done():
                    done.set_result(error)
            case Close(error):
                raise HubClosed(f"closed by the server: {error or 'no reason given'}"[:300])
            case Handshake():
                if not self._handshake.done():
                    self._handshake.set_result(message)
            case Malformed(reason):
                self._problems.note("malformed_record", reason)
            case Ping():
                pass

    async def _ping_and_watch(self) -> NoReturn:
        """Ping every so often, and end the connection when the server has been silent for too long."""
        await asyncio.wait({self._handshake})
        timings, next_ping_s = self._timings, self._loop.time() + self._timings.ping_s
        while True:
            deadline_s = self._last_frame_s + timings.silence_s
            await asyncio.sleep(max(0.0, min(next_ping_s, deadline_s) - self._loop.time()))
            now_s = self._loop.time()
            if now_s >= self._last_frame_s + timings.silence_s:
                raise HubClosed(f"silent for {timings.silence_s:g} s")
            if now_s >= next_ping_s:
                next_ping_s = now_s + timings.ping_s
                await self._send_ping()

    async def _send_ping(self) -> None:
        try:
            async with asyncio.timeout(self._timings.ping_s):
                await self._link.send(self._codec.ping())
        except TimeoutError:
            raise HubClosed("the ping could not be sent") from None


class HubSession:
    """Keeps one hub connected until cancelled.

    Args:
        on_open: called on every new connection after its handshake; subscribes, and returns when that is done. It may
            raise HubError or HubClosed to have the connection given up.
        on_invocation: called for every event, in order; must not block. It may raise HubClosed likewise.
        on_down: called with the reason each time a connection ends or cannot be had.
    """

    def __init__(
        self,
        url: str,
        transport: Transport,
        auth: Auth,
        timings: HubTimings,
        problems: Problems,
        jitter: random.Random,
        *,
        on_open: Callable[[HubConnection], Awaitable[None]],
        on_invocation: OnInvocation,
        on_down: Callable[[str], None],
        hot_target: str | None = None,
    ) -> None:
        self._url = url
        self._transport = transport
        self._auth = auth
        self._timings = timings
        self._problems = problems
        self._jitter = jitter
        self._on_open = on_open
        self._on_invocation = on_invocation
        self._on_down = on_down
        self._hot_target = hot_target
        self._refusals = 0

    async def run(self) -> NoReturn:
        loop = asyncio.get_running_loop()
        attempt = 0
        while True:
            began_s, refusals = loop.time(), self._refusals
            reason = await self._connect_and_serve()
            self._problems.note("hub_down", f"{self._url}: {reason}")
            self._on_down(reason)
            if loop.time() - began_s >= self._timings.healthy_s:
                attempt = 0
            if self._refusals > refusals:
                await asyncio.sleep(self._pause_s(refusals, self._timings.refused_cap_s))
            else:
                await asyncio.sleep(self._pause_s(attempt, self._timings.backoff_cap_s))
            attempt += 1

    async def _connect_and_serve(self) -> str:
        """One connection from upgrade to end; the reason it ended."""
        try:
            token = await self._auth.token()
            if self._auth.token_at_hand is None:
                return "the token was refused, and the next login has to wait its turn"
            link = await self._open(token)
        except TimeoutError:
            return "the upgrade took too long"
        except ProjectXError as error:
            return str(error)
        reason = "ended"
        try:
            codec = HubCodec(self._hot_target)
            await HubConnection(link, codec, self._timings, self._problems, self._on_invocation).run(self._on_open)
        except* (HubClosed, HubError) as ended:
            first = _first(ended)
            reason = str(first)
            if isinstance(first, LoggedOut):
                self._auth.rejected(token)
        finally:
            await link.close()
        return reason

    async def _open(self, token: str) -> HubLink:
        refusals, self._refusals = self._refusals, 0
        try:
            async with asyncio.timeout(self._timings.handshake_s):
                return await self._transport.open_hub(self._url, token)
        except HubRefused as error:
            if error.status in (401, 403):
                self._auth.rejected(token)
                self._refusals = refusals + 1
            raise

    def _pause_s(self, attempt: int, cap_s: float) -> float:
        """Full jitter: anything up to the exponential bound, so that clients of one outage do not return together."""
        bound = self._timings.backoff_base_s * 2 ** min(attempt, 16)
        return self._jitter.uniform(0.0, min(cap_s, bound))


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error

"""How the client reaches the network: two methods, real sockets here, an in-process gateway in simulations."""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Literal, Protocol

import aiohttp

from risk_manager.venues.projectx.errors import HubClosed, HubRefused, Lost, NotSent
from risk_manager.venues.projectx.http import HttpClient, Reply

HUB_MESSAGE_MAX_BYTES = 4 * 1024 * 1024
_WS_CLOSE_S = 1.0


class HubLink(Protocol):
    """One open hub connection: whole messages in and out, each ending at a record boundary or not."""

    async def send(self, data: bytes) -> None:
        """Send one text message.

        Raises:
            HubClosed: the connection has ended.
        """

    async def receive(self) -> bytes:
        """The next message.

        Raises:
            HubClosed: the connection has ended.
        """

    async def close(self) -> None:
        """Give the connection up; idempotent, does not raise, does not wait long."""


class Transport(Protocol):
    """The way to the gateway. Implementations keep tokens out of every text they produce."""

    async def request(self, method: str, url: str, *, headers: Mapping[str, str], body: bytes) -> Reply:
        """Send one request and read its whole answer, whatever its status.

        Raises:
            NotSent: it certainly never reached the gateway.
            Lost: it may have.
        """

    async def open_hub(self, url: str, token: str) -> HubLink:
        """Open a hub without negotiation, the token in query and header.

        Raises:
            HubRefused: answered with a plain status.   NotSent, Lost: not answered.
        """

    async def close(self) -> None: ...


class NetworkTransport:
    """The real network. No proxy or netrc of the environment is used, no redirect followed."""

    def __init__(self, *, total_s: float = 5.0, connect_s: float = 2.0) -> None:
        self._http = HttpClient(total_s=total_s, connect_s=connect_s)
        self._timeout = aiohttp.ClientTimeout(total=total_s, sock_connect=connect_s)
        self._session: aiohttp.ClientSession | None = None

    async def request(self, method: str, url: str, *, headers: Mapping[str, str], body: bytes) -> Reply:
        return await self._http.request(method, url, headers=headers, body=body)

    async def open_hub(self, url: str, token: str) -> HubLink:
        # Errors of the upgrade print the URL, token included: only status and type may leave this frame.
        try:
            socket = await self._open().ws_connect(
                url,
                params={"access_token": token},
                headers={"Authorization": f"Bearer {token}"},
                timeout=aiohttp.ClientWSTimeout(ws_close=_WS_CLOSE_S),
                compress=0,
                autoping=True,
                decode_text=False,
                max_msg_size=HUB_MESSAGE_MAX_BYTES,
            )
        except aiohttp.WSServerHandshakeError as error:
            raise HubRefused(error.status) from None
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NotSent(f"no connection ({_name(error)})") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Lost(f"no hub connection ({_name(error)})") from None
        return _AiohttpHubLink(socket)

    async def close(self) -> None:
        self._http.close()
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> aiohttp.ClientSession:
        """The hubs' session, made on first use: it wants a running loop."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=self._timeout,
                trust_env=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                middlewares=(_only_upgrade,),
            )
        return self._session


async def _only_upgrade(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Any other answer is a refusal: a redirect would be followed, with the token in its query, to any host it names.

    Raises:
        HubRefused: the connection is not upgraded.
    """
    response = await send(request)
    if response.status != HTTPStatus.SWITCHING_PROTOCOLS:
        response.close()
        raise HubRefused(response.status)
    return response


class _AiohttpHubLink:
    def __init__(self, socket: "aiohttp.ClientWebSocketResponse[Literal[False]]") -> None:
        self._socket = socket

    async def send(self, data: bytes) -> None:
        try:
            await self._socket.send_frame(data, aiohttp.WSMsgType.TEXT)
        except (aiohttp.ClientError, OSError) as error:
            raise HubClosed(f"send failed ({_name(error)})") from None

    async def receive(self) -> bytes:
        message = await self._socket.receive()
        data = message.data
        if isinstance(data, bytes):
            return data
        raise HubClosed(f"socket ended ({message.type.name}, code {self._socket.close_code})")

    async def close(self) -> None:
        try:
            async with asyncio.timeout(2 * _WS_CLOSE_S):
                await self._socket.close()
        except (TimeoutError, aiohttp.ClientError, OSError):
            # The peer is gone or stuck; the socket is released with the session at the latest.
            return


def _name(error: BaseException) -> str:
    """The error's type and system text; never its message, which may print the URL."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    detail = cause.strerror if isinstance(cause, OSError) and cause.strerror else None
    return f"{type(error).__name__}: {detail}" if detail else type(error).__name__

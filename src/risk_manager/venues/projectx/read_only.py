"""A way to the gateway that can only read, and keeps what was said.

Examinations of a real account go through this transport and no other. It knows the operations that read, by their whole
address, and the hub records that listen; everything else is refused before a byte leaves, whatever the caller wanted.
"""

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec

from risk_manager.venues.projectx.errors import HubClosed, HubRefused, Lost, NotSent, ProjectXError
from risk_manager.venues.projectx.http import Reply
from risk_manager.venues.projectx.settings import ProjectXSettings
from risk_manager.venues.projectx.transport import HubLink, NetworkTransport

PING = "/api/Status/ping"
LOGIN = "/api/Auth/loginKey"
VALIDATE = "/api/Auth/validate"
ACCOUNTS = "/api/Account/search"
CONTRACTS = "/api/Contract/available"
ORDERS = "/api/Order/search"
ORDER_QUERY = "/api/Order/v2/query"
READS = (LOGIN, VALIDATE, ACCOUNTS, CONTRACTS, ORDERS, ORDER_QUERY)
"""Every operation there is a way to, `PING` besides. Ending the session is not among them: others may share it."""

TOPICS = ("Accounts", "Orders", "Positions", "Trades", "ContractQuotes")
NEGOTIATE = "/negotiate"
CALLS_MAX = 60
"""Calls one examination may make, of the venue's 200 in a minute; the trader's own programs need theirs."""

FRAMES_MAX = 20_000
"""Hub messages that are kept; the ends of connections always are."""

_RECORD_END = b"\x1e"
_TARGETS = frozenset(f"{verb}{topic}" for verb in ("Subscribe", "Unsubscribe") for topic in TOPICS)


class NotAllowed(ProjectXError):
    """What was to be sent does more than read, or is not known to do no more; nothing was sent."""


class Exchange(msgspec.Struct, frozen=True):
    """One request and its answer.

    Attributes:
        path: with its query, which never holds a token.   sent: the body; empty for a login, whose body is the key.
        status: None without an answer, then `failure` says why.
    """

    method: str
    path: str
    sent: bytes
    status: int | None
    headers: tuple[tuple[str, str], ...]
    received: bytes
    elapsed_ms: int
    failure: str = ""

    def header(self, name: str) -> str | None:
        """The first header of that name, in any case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


class Frame(msgspec.Struct, frozen=True):
    """One hub message as it was, or with `ended` how the connection ended; `at_ms` counts from the first use."""

    hub: str
    connection: int
    at_ms: int
    is_sent: bool
    data: bytes
    ended: str = ""


class Recording:
    """Everything said, in order; it holds secrets until it is redacted.

    Attributes:
        frames_lost: hub messages that came after `FRAMES_MAX`.
    """

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []
        self.frames: list[Frame] = []
        self.frames_lost = 0


class ReadOnlyTransport:
    """`Transport` for reading. No proxy or netrc of the environment is used, no redirect followed.

    Attributes:
        recording: what was said so far.
    """

    def __init__(self, settings: ProjectXSettings, *, total_s: float = 10.0, connect_s: float = 5.0) -> None:
        self.recording = Recording()
        self._allowed = _allowed(settings)
        self._hubs = {_place(settings.user_hub_url): "user", _place(settings.market_hub_url): "market"}
        self._network = NetworkTransport(total_s=total_s, connect_s=connect_s)
        self._timeout = aiohttp.ClientTimeout(total=total_s, sock_connect=connect_s)
        self._session: aiohttp.ClientSession | None = None
        self._began_s: float | None = None
        self._connections = 0

    async def request(self, method: str, url: str, *, headers: Mapping[str, str], body: bytes) -> Reply:
        """Send a reading request and return its answer, whatever its status.

        Raises:
            NotAllowed: it does something else than read.
            NotSent, Lost: as every transport; also when `CALLS_MAX` requests have been made.
        """
        if (method, _place(url)) not in self._allowed:
            raise NotAllowed(f"{method} {urlsplit(url).path} is none of the operations that read")
        if len(self.recording.exchanges) >= CALLS_MAX:
            raise NotSent(f"{CALLS_MAX} calls have been made, and no more are wanted")
        begun_s = asyncio.get_running_loop().time()
        parts = urlsplit(url)
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        # A login's body is the key itself: it is not even remembered.
        sent = b"" if path == LOGIN or path.endswith(LOGIN) else body
        try:
            async with self._open().request(method, url, headers=headers, data=body, allow_redirects=False) as answer:
                received = await answer.read()
                told = tuple((f"{name}", value) for name, value in answer.headers.items())
                found = Exchange(method, path, sent, answer.status, told, received, _ms_since(begun_s))
        except (aiohttp.ClientError, OSError) as error:
            failure = _named(error)
            self.recording.exchanges.append(Exchange(method, path, sent, None, (), b"", _ms_since(begun_s), failure))
            is_unsent = isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
            raise (NotSent if is_unsent else Lost)(f"no answer ({failure})") from None
        self.recording.exchanges.append(found)
        return Reply(answer.status, received, found.header("Date"), found.header("Retry-After"))

    async def open_hub(self, url: str, token: str) -> HubLink:
        """Open a hub; its link sends nothing but what listening needs.

        Args:
            url: a configured hub's, with `?id=` where it was negotiated.
        Raises:
            NotAllowed: it is none of the configured hubs.
            HubRefused, NotSent, Lost: as every transport.
        """
        hub = self._hubs.get(_place(url))
        if hub is None:
            raise NotAllowed(f"{urlsplit(url).path} is none of the configured hubs")
        self._connections += 1
        number = self._connections
        try:
            link = await self._network.open_hub(url, token)
        except ProjectXError as error:
            ended = f"status {error.status}" if isinstance(error, HubRefused) else str(error)
            self._keep(hub, number, is_sent=False, data=b"", ended=f"not opened: {ended}")
            raise
        return _ReadOnlyLink(self, link, hub, number)

    async def close(self) -> None:
        await self._network.close()
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _keep(self, hub: str, connection: int, *, is_sent: bool, data: bytes, ended: str = "") -> None:
        if len(self.recording.frames) >= FRAMES_MAX and not ended:
            self.recording.frames_lost += 1
            return
        now_s = asyncio.get_running_loop().time()
        if self._began_s is None:
            self._began_s = now_s
        at_ms = round((now_s - self._began_s) * 1000)
        self.recording.frames.append(Frame(hub, connection, at_ms, is_sent, data, ended))

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=self._timeout,
                trust_env=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": "risk-manager", "Accept-Encoding": "identity"},
            )
        return self._session


class _ReadOnlyLink:
    """A hub connection that passes on handshakes, pings, goodbyes and (un)subscriptions."""

    def __init__(self, keeper: ReadOnlyTransport, link: HubLink, hub: str, number: int) -> None:
        self._keeper = keeper
        self._link = link
        self._hub = hub
        self._number = number

    async def send(self, data: bytes) -> None:
        for record in data.split(_RECORD_END):
            if record and not _only_listens(record):
                raise NotAllowed("a hub record that does more than listen")
        await self._link.send(data)
        self._keeper._keep(self._hub, self._number, is_sent=True, data=data)

    async def receive(self) -> bytes:
        try:
            data = await self._link.receive()
        except HubClosed as closed:
            self._keeper._keep(self._hub, self._number, is_sent=False, data=b"", ended=str(closed))
            raise
        self._keeper._keep(self._hub, self._number, is_sent=False, data=data)
        return data

    async def close(self) -> None:
        await self._link.close()


def _allowed(settings: ProjectXSettings) -> frozenset[tuple[str, str]]:
    """Every request there is a way to: method and whole address without the query."""
    base = settings.api_url.rstrip("/")
    hubs = (settings.user_hub_url, settings.market_hub_url)
    posts = [base + path for path in READS] + [hub.rstrip("/") + NEGOTIATE for hub in hubs]
    return frozenset({("GET", _place(base + PING)), *(("POST", _place(url)) for url in posts)})


def _place(url: str) -> str:
    """A URL without its query, letter for letter: a path spelled another way is another path."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")


def _only_listens(record: bytes) -> bool:
    try:
        message: Any = msgspec.json.decode(record)
    except (ValueError, RecursionError):
        return False
    match message:
        case {"protocol": "json", "version": int()} if message.keys() == {"protocol", "version"}:
            return True
        case {"type": 6 | 7}:
            return True
        case {"type": 1, "target": str(target)}:
            return target in _TARGETS
    return False


def _ms_since(begun_s: float) -> int:
    return round((asyncio.get_running_loop().time() - begun_s) * 1000)


def _named(error: BaseException) -> str:
    """The error's type and the system's own text; its message may print an address."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    detail = cause.strerror if isinstance(cause, OSError) and cause.strerror else None
    return f"{type(error).__name__}: {detail}" if detail else type(error).__name__

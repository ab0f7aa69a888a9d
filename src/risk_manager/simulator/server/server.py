"""The simulated gateway: one port with the REST API and both hubs, and a handle for tests to make it misbehave."""

import itertools
from collections.abc import Awaitable, Callable, Mapping

import msgspec
from aiohttp import hdrs, web

from risk_manager.simulator.exchange import Exchange
from risk_manager.simulator.faults import EVERY_CALL, Answer, Failure, Faults
from risk_manager.simulator.records import SimAccount
from risk_manager.simulator.server.bars import BarStore
from risk_manager.simulator.server.broadcast import Broadcast
from risk_manager.simulator.server.distortion import BadLine, Distortion
from risk_manager.simulator.server.door import REST, Door
from risk_manager.simulator.server.endpoint import HubEndpoint
from risk_manager.simulator.server.hubs import Hub
from risk_manager.simulator.server.operations import AuthOperations
from risk_manager.simulator.server.poison import Poison, poisoned_reply
from risk_manager.simulator.server.repertoire import Repertoire
from risk_manager.simulator.server.replies import Login
from risk_manager.simulator.server.rest import RestApi, bearer_token, unauthorized
from risk_manager.simulator.server.settings import SimSettings
from risk_manager.simulator.server.signalr import CLOSED_WITH_ERROR
from risk_manager.simulator.server.times import http_date
from risk_manager.simulator.server.tokens import Session, TokenMint
from risk_manager.simulator.server.users import UserBook

_API, _HUBS, _NEGOTIATE = "/api/", "/hubs/", "/negotiate"
_SHUTDOWN_S = 1.0


class SimServer:
    """Serves an exchange over ProjectX's REST and SignalR protocols.

    Every call and every emission happens on the event loop `start` runs on; feed the exchange from that loop only.

    Args:
        users: API key by user name.
        wall_clock: real UTC time in ns; tokens expire by it.
        venue_clock: the venue's time in ns, shown in the `Date` header of every reply and given to the exchange with
            every order; None takes the newest instant the exchange has seen.
    """

    def __init__(
        self,
        exchange: Exchange,
        *,
        users: Mapping[str, str],
        wall_clock: Callable[[], int],
        venue_clock: Callable[[], int] | None = None,
        settings: SimSettings | None = None,
    ) -> None:
        self.exchange = exchange
        self.faults = Faults()
        self._settings = settings or SimSettings()
        self._now_ns = venue_clock or (lambda: exchange.now_ns)
        self._mint = TokenMint(self._settings.signing_key.encode(), self._settings.token_lifetime_s, wall_clock)
        self._bars = BarStore(self._settings.bar_seconds)
        rest = self._settings.rest
        self._users = UserBook(users, rest.apps, rest.passwords)
        self._user_names = tuple(users)
        self._lost_keys: dict[str, str] = {}
        self._first_accounts: dict[int, SimAccount] = {}
        self._repertoire = Repertoire(exchange, self._bars, rest, AuthOperations(self._users, self._mint, rest))
        self._rest = RestApi(self._repertoire.table(), self._settings, self._mint, self._now_ns)
        self._door = Door()
        self._poisons: dict[str, Poison] = {}
        self._connection_numbers = itertools.count(1)
        self._broadcast = Broadcast(exchange, self._settings)
        self._endpoints = {
            "user": HubEndpoint(self._broadcast.user_hub, self._settings, self._new_connection_id),
            "market": HubEndpoint(self._broadcast.market_hub, self._settings, self._new_connection_id),
        }
        self._runner: web.AppRunner | None = None
        # Bars are of everything since the server was made, whether or not it was listening.
        exchange.subscribe(self._bars.receive)

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen and give back the port; 0 takes a free one.

        Raises:
            OSError: the port is taken.
        """
        assert self._runner is None, "already started"
        self._broadcast.start()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        app.on_response_prepare.append(self._stamp)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_S)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        bound: int = self._runner.addresses[0][1]
        return bound

    async def stop(self) -> None:
        """Close the hubs with a type 7, then the port; idempotent, and `start` may follow."""
        if self._runner is None:
            return
        self._broadcast.stop()
        self._door.open()
        for endpoint in self._endpoints.values():
            endpoint.close()
        runner, self._runner = self._runner, None
        await runner.cleanup()

    @property
    def user_names(self) -> tuple[str, ...]:
        """Who may log in."""
        return self._user_names

    @property
    def operations(self) -> tuple[str, ...]:
        """The paths of the REST API below `/api/`."""
        return tuple(each.path for each in self._repertoire.table())

    @property
    def events_waiting(self) -> int:
        """How many events of the hubs are on their way and not sent yet, repeats among them."""
        return self._broadcast.waiting

    # Faults on demand. `hub` is "user", "market" or None for both; `place` is a hub or "rest".

    def drop_connections(self, hub: str | None = None, *, resets: bool = False) -> None:
        """Cut the TCP connections of a hub without a word, by a reset if so wished."""
        for each in self._hubs(hub):
            for connection in each.connections:
                connection.drop(resets=resets)

    def cut(self, place: str, *, resets: bool = False) -> None:
        """Cut the connections there are; of the REST API those that clients keep open."""
        if place == REST:
            self._door.cut(resets=resets)
        else:
            self.drop_connections(place, resets=resets)

    def refuse(self, place: str, is_refused: bool = True) -> None:
        """Cut off whoever asks for anything, a connection of a hub too, or let them in again."""
        self._door.refuse(place, is_refused)

    def forsake(self, place: str) -> None:
        """Leave the connections there are half open: nobody is behind them any more; new ones are good."""
        if place == REST:
            self._door.forsake()
        for each in self._hubs(place):
            for connection in each.connections:
                connection.forsake()

    def release(self, place: str) -> None:
        """Cut the connections that were forsaken."""
        if place == REST:
            self._door.release()
        for each in self._hubs(place):
            for connection in each.connections:
                connection.release()

    def close_hubs(
        self, error: str | None = CLOSED_WITH_ERROR, *, allow_reconnect: bool = True, hub: str | None = None
    ) -> None:
        """Close every connection of a hub with a type 7."""
        for each in self._hubs(hub):
            for connection in each.connections:
                connection.close(error, allow_reconnect=allow_reconnect)

    def stall(self, hub: str | None = None) -> None:
        """Silent death: sockets stay up and say nothing, pings included; what happens meanwhile is lost."""
        for each in self._hubs(hub):
            each.set_stalled(True)

    def resume(self, hub: str | None = None) -> None:
        """End a stall."""
        for each in self._hubs(hub):
            each.set_stalled(False)

    def stall_rest(self, is_stalled: bool = True) -> None:
        """Keep REST calls waiting; at the end those whose callers still wait are carried out and answered."""
        self._door.stall(is_stalled)

    def split(self, hub: str, pieces: int) -> None:
        """Cut every message of a hub into so many WebSocket frames; 1 leaves them whole."""
        for each in self._hubs(hub):
            each.split(pieces)

    def worsen(self, hub: str, **line: float) -> None:
        """Change members of a hub's `BadLine` from now on and leave the others as they are."""
        for each in self._hubs(hub):
            self._broadcast.worsen(each, **line)

    def reshape_events(self, **members: object) -> None:
        """Wrap hub events in another way from now on (members of `StreamShapes`); None is as the settings say."""
        self._broadcast.reshape(**members)

    def poison(self, where: str, poison: Poison | None) -> None:
        """Put bad values into the events of a hub, the replies of a path, or of `EVERY_CALL`; None ends it."""
        for each in self._hubs(where):
            self._broadcast.poison(each, poison)
        self._poisons.pop(where.lower(), None)
        if poison is not None:
            self._poisons[where.lower()] = poison

    def distort(self, line: BadLine | None, hub: str | None = None, *, seed: int = 0) -> None:
        """Lose, double and delay events from now on; None repairs the line."""
        for each in self._hubs(hub):
            self._broadcast.distort(each, None if line is None else Distortion(line, seed))

    def fail_next(self, path: str, failure: Failure | Answer, count: int = 1) -> None:
        """Let the next `count` calls of a path (`Order/place`, `/hubs/user`, `/hubs/user/negotiate`) fail.

        An `Answer` is for REST operations only.
        """
        self.faults.fail_next(path, failure, count)

    def set_rest_delay(self, delay_s: float | None) -> None:
        """Answer REST calls that much later; they are carried out at once. None is as the settings say."""
        self._rest.delay_s = self._settings.rest_delay_s if delay_s is None else delay_s

    def age_reads(self, lag_s: float | None) -> None:
        """Answer reads of accounts with what was true so long ago, but nothing from before now; None is the present."""
        self._repertoire.age_reads(lag_s)

    def change_catalog(self, **settings: object) -> None:
        """Answer about contracts and bars by other `RestSettings`: `bars_lag_s`, `has_live_data`; None: as at first."""
        self._repertoire.change_catalog(**settings)

    def hold_orders(self, hold: Callable[[], Awaitable[None]] | None) -> None:
        """Await `hold` before a call that places, changes or closes is carried out: latency in any time you like."""
        self._rest.hold = hold

    def revoke_tokens(self, user: str | None = None) -> None:
        """Refuse every token issued so far, or those of one user; open sockets stay, as at the venue."""
        if user is None:
            self._mint.revoke_all()
        else:
            self._mint.revoke_user(self._users.user(user).name)

    def refuse_logins(self, user: str, refusal: Login | None) -> None:
        """Refuse a user's logins from now on, or take them again; tokens stay valid."""
        self._users.user(user).refusal = refusal

    def change_key(self, user: str, key: str) -> None:
        """Give a user another API key; the old one is good for nothing, tokens got with it stay valid."""
        self._users.user(user).key = key

    def revoke_key(self, user: str) -> None:
        """Refuse a user's API key until it is restored; tokens got with it stay valid."""
        found = self._users.user(user)
        self._lost_keys.setdefault(found.name, found.key)
        found.key = self._mint.opaque_id(f"key {found.name}")

    def restore_key(self, user: str) -> None:
        """Take a revoked key again."""
        found = self._users.user(user)
        found.key = self._lost_keys.pop(found.name, found.key)

    def set_token_lifetime(self, lifetime_s: int | None) -> None:
        """Let tokens issued from now on expire after so many real seconds; None is as the settings say."""
        self._mint.set_lifetime(self._settings.token_lifetime_s if lifetime_s is None else lifetime_s)

    def change_account(self, account_id: int, **members: object) -> None:
        """Change what is set up at the venue (`is_follower`, `bracket_mode`); None is as it was at first."""
        account = self.exchange.account(account_id)
        assert account is not None, account_id
        first = self._first_accounts.setdefault(account_id, account)
        changes = {name: getattr(first, name) if value is None else value for name, value in members.items()}
        changed = msgspec.structs.replace(account, **changes)
        self.exchange.set_up_account(account_id, changed.is_follower, changed.bracket_mode)

    def log_out(self, reason: str = "Session ended") -> None:
        """Send `GatewayLogout` on both hubs."""
        self._broadcast.log_out(reason)

    def connection_count(self, hub: str) -> int:
        """Connections of a hub that are past their handshake."""
        return len(self._endpoints[hub].hub.connections)

    def _hubs(self, name: str | None) -> list[Hub]:
        return [endpoint.hub for key, endpoint in self._endpoints.items() if name in (None, key)]

    def _new_connection_id(self) -> str:
        return self._mint.opaque_id(f"connection {next(self._connection_numbers)}")

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        path = request.path.lower()
        if not await self._door.admit(request, _place(path)):
            return web.Response(status=500)
        fault = self.faults.take(path)
        if isinstance(fault, Failure):
            if fault.is_executed:
                await self._route(request, path)
            return _failed(request, fault)
        return self._poisoned(path, await self._route(request, path, fault))

    def _poisoned(self, path: str, response: web.StreamResponse) -> web.StreamResponse:
        poison = self._poisons.get(path.removeprefix(_API).strip("/"), self._poisons.get(EVERY_CALL))
        if poison is None or not path.startswith(_API) or not isinstance(response, web.Response):
            return response
        if response.status == 200 and isinstance(response.body, bytes) and response.content_type == "application/json":
            response.body = poisoned_reply(response.body, poison)
        return response

    async def _route(self, request: web.Request, path: str, answer: Answer | None = None) -> web.StreamResponse:
        if path.startswith(_API):
            return await self._rest.handle(request, path.removeprefix(_API).rstrip("/"), answer)
        name = path.removeprefix(_HUBS).rstrip("/").removesuffix(_NEGOTIATE)
        endpoint = self._endpoints.get(name) if path.startswith(_HUBS) else None
        if endpoint is None:
            return web.Response(status=404)
        if request.method == "OPTIONS":
            return web.Response(status=204)
        session = self._session(request)
        if session is None:
            return unauthorized()
        is_negotiation = path.rstrip("/").endswith(_NEGOTIATE)
        return await endpoint.handle(request, session.user, is_negotiation=is_negotiation)

    def _session(self, request: web.Request) -> Session | None:
        """Of the first token given: hubs also take it from the query, browsers even send it twice there."""
        for token in request.query.getall("access_token", []):
            if token:
                return self._mint.session(token)
        return self._mint.session(bearer_token(request))

    async def _stamp(self, request: web.Request, response: web.StreamResponse) -> None:
        """Headers every reply carries: the venue's own time, and what a browser needs for the hubs."""
        response.headers[hdrs.DATE] = http_date(self._now_ns())
        response.headers[hdrs.SERVER] = "Kestrel"
        if isinstance(response, web.Response) and not response.body:
            response.headers.pop(hdrs.CONTENT_TYPE, None)
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is not None:
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_CREDENTIALS] = "true"
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = "GET, POST"
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = request.headers.get(
                hdrs.ACCESS_CONTROL_REQUEST_HEADERS, "authorization,content-type,x-requested-with"
            )


def _place(path: str) -> str:
    """Which of the server's places a path belongs to."""
    return path.removeprefix(_HUBS).rstrip("/").removesuffix(_NEGOTIATE) if path.startswith(_HUBS) else REST


def _failed(request: web.Request, failure: Failure) -> web.Response:
    if failure.status is None and request.transport is not None:
        request.transport.abort()
    headers = {} if failure.retry_after_s is None else {"Retry-After": str(failure.retry_after_s)}
    status = failure.status or 500
    return web.Response(status=status, body=failure.body, content_type=failure.content_type, headers=headers)

"""A simulated gateway on a real socket that keeps what it is asked; its account holds and rests something."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from risk_manager.domain.order import OrderType, Side
from risk_manager.simulator.catalog import listed
from risk_manager.simulator.exchange import Exchange
from risk_manager.simulator.records import PlaceOrder
from risk_manager.simulator.server.server import SimServer
from risk_manager.simulator.server.settings import SimSettings
from risk_manager.venues.projectx.auth import Auth
from risk_manager.venues.projectx.problems import Problems
from risk_manager.venues.projectx.rest import RestClient
from risk_manager.venues.projectx.settings import ProjectXSettings
from risk_manager.venues.projectx.transport import Transport
from risk_manager.venues.projectx.venue_time import VenueTime

USER, KEY = "jane.doe@example.com", "a key of the simulator"
ACCOUNT = "50KTC-V2-314159-27182818"


class MachineClock:
    def now_ns(self) -> int:
        return time.time_ns()

    def call_at(self, at_ns: int, callback: Callable[[], None]) -> Callable[[], None]:
        raise AssertionError("the client asks for no wake-ups")


class WatchedServer(SimServer):
    """Keeps the path of everything it is asked."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.paths: list[str] = []

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.paths.append(request.path)
        return await super()._handle(request)


class Scene:
    def __init__(self, server: WatchedServer, exchange: Exchange, account_id: int, contract_id: str) -> None:
        self.server = server
        self.exchange = exchange
        self.account_id = account_id
        self.contract_id = contract_id
        self.base = ""
        self._before = self._books()

    @property
    def paths(self) -> list[str]:
        return self.server.paths

    def settings(self, *, key: str = KEY) -> ProjectXSettings:
        return ProjectXSettings(
            user_name=USER,
            api_key=key,
            day_start_ns=lambda at_ns: at_ns,
            api_url=self.base,
            user_hub_url=f"{self.base}/hubs/user",
            market_hub_url=f"{self.base}/hubs/market",
            instruments=("MNQ",),
        )

    def client(self, transport: Transport) -> tuple[RestClient, Auth]:
        """The guard's own client on that transport."""
        settings, clock, problems = self.settings(), MachineClock(), Problems(lambda _code, _detail: None)
        rest = RestClient(settings, transport, clock, VenueTime(60.0), problems, lambda *_: None)
        return rest, Auth(settings, rest, clock, problems, lambda *_: None)

    def is_untouched(self) -> bool:
        """Whether orders, positions and fills are as they were at the beginning."""
        return self._books() == self._before

    def _books(self) -> list[object]:
        account, exchange = self.account_id, self.exchange
        return [*exchange.orders(account), *exchange.positions(account), *exchange.fills(account, 0, None)]


@asynccontextmanager
async def gateway(
    settings: SimSettings | None = None, *, venue_clock: Callable[[], int] = time.time_ns
) -> AsyncIterator[Scene]:
    """A gateway that ends with the block. The account is long one MNQ and rests a stop below."""
    contract = listed("MNQ", "Z26")
    exchange = Exchange([contract, listed("ES", "Z26")])
    account_id = exchange.open_account(user=USER, name=ACCOUNT, balance_micros=50_000_000_000)
    at_ns = time.time_ns()
    for each, bid in ((contract.contract, 100_000), (listed("ES", "Z26").contract, 27_000)):
        exchange.quote(each.id, bid, bid + 1, at_ns)
    entry = PlaceOrder(contract.contract.id, OrderType.MARKET, Side.BUY, 1, tag="my own bot")
    stop = PlaceOrder(contract.contract.id, OrderType.STOP, Side.SELL, 1, stop_ticks=99_900)
    for order in (entry, stop):
        assert isinstance(exchange.place(account_id, order, at_ns), int)
    server = WatchedServer(
        exchange, users={USER: KEY}, wall_clock=time.time_ns, venue_clock=venue_clock, settings=settings
    )
    scene = Scene(server, exchange, account_id, contract.contract.id)
    scene.base = f"http://127.0.0.1:{await server.start()}"
    try:
        yield scene
    finally:
        await server.stop()

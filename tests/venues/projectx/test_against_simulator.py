"""The client on real sockets against the simulated gateway."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from risk_manager.domain.actions import CancelOrder, ClosePosition, PlaceStop, ReducePosition
from risk_manager.domain.contract import Contract
from risk_manager.domain.events import (
    ActionAccepted,
    ActionRejected,
    ActionUnknown,
    ConnectionChanged,
    Event,
    FillReceived,
    Link,
    OrderUpdated,
    PositionUpdated,
    QuoteUpdated,
    Refusal,
    SnapshotTaken,
)
from risk_manager.domain.instrument import Instrument
from risk_manager.domain.order import OrderType, Side
from risk_manager.simulator.exchange import Exchange
from risk_manager.simulator.faults import Failure
from risk_manager.simulator.records import PlaceOrder, SimContract
from risk_manager.simulator.server.rest_settings import RestSettings
from risk_manager.simulator.server.server import SimServer
from risk_manager.simulator.server.settings import SimSettings
from risk_manager.venues.projectx.settings import HubTimings, ProjectXSettings
from risk_manager.venues.projectx.transport import NetworkTransport
from risk_manager.venues.projectx.venue import ProjectXVenue
from tests.venues.projectx.fake_gateway import RUN_MARK

USER, KEY = "trader", "a key of the simulator"
ES = Contract("CON.F.US.EP.H24", "ESH4", "F.US.EP", Instrument("ES", 250_000_000, 12_500_000, ("EP",)))
MNQ = Contract("CON.F.US.MNQ.H24", "MNQH4", "F.US.MNQ", Instrument("MNQ", 250_000_000, 500_000))
WAIT_S = 5.0


class MachineClock:
    def now_ns(self) -> int:
        return time.time_ns()

    def call_at(self, at_ns: int, callback: Callable[[], None]) -> Callable[[], None]:
        raise AssertionError("the client asks for no wake-ups")


class World:
    """A simulated gateway, the client guarding its account, and the trader's own access to it."""

    def __init__(self, server: SimServer, exchange: Exchange, account_id: int, port: int) -> None:
        self.server = server
        self.exchange = exchange
        self.account_id = str(account_id)
        self.number = account_id
        self.base = f"http://127.0.0.1:{port}"
        self.events: list[Event] = []
        self.arrived = asyncio.Event()
        self.venue = ProjectXVenue(self._settings(), NetworkTransport(), MachineClock(), run_mark=RUN_MARK)

    def deliver(self, event: Event) -> None:
        self.events.append(event)
        self.arrived.set()

    async def seen[E](self, kind: type[E], check: Callable[[E], bool] = lambda event: True, since: int = 0) -> E:
        """The first event of a kind that passes the check, waited for."""
        async with asyncio.timeout(WAIT_S):
            while True:
                for event in self.events[since:]:
                    if isinstance(event, kind) and check(event):
                        return event
                self.arrived.clear()
                await self.arrived.wait()

    async def trader_calls(self, path: str, payload: dict[str, Any]) -> Any:
        """A call of the trader's own program: another session of the same user."""
        async with aiohttp.ClientSession() as session:
            credentials = {"userName": USER, "apiKey": KEY}
            async with session.post(f"{self.base}/api/Auth/loginKey", json=credentials) as response:
                token = (await response.json())["token"]
            headers = {"Authorization": f"Bearer {token}"}
            async with session.post(self.base + path, json=payload, headers=headers) as response:
                return await response.json()

    async def trader_buys(self, size: int, contract: Contract = ES) -> None:
        payload = {"accountId": self.number, "contractId": contract.id, "type": 2, "side": 0, "size": size}
        assert (await self.trader_calls("/api/Order/place", payload))["success"]

    def quote(self, bid_ticks: int, ask_ticks: int, contract: Contract = ES) -> None:
        self.exchange.quote(contract.id, bid_ticks, ask_ticks, time.time_ns())

    def _settings(self) -> ProjectXSettings:
        return ProjectXSettings(
            user_name=USER,
            api_key=KEY,
            day_start_ns=lambda at_ns: at_ns - 3_600_000_000_000,
            api_url=self.base,
            user_hub_url=f"{self.base}/hubs/user",
            market_hub_url=f"{self.base}/hubs/market",
            instruments=("ES",),
            hub=HubTimings(backoff_base_s=0.01, backoff_cap_s=0.05, silence_s=0.6, ping_s=0.2),
        )


@asynccontextmanager
async def running(settings: SimSettings | None = None) -> AsyncIterator[World]:
    exchange = Exchange([SimContract(ES, 1_400_000, 0), SimContract(MNQ, 360_000, 250_000)])
    account_id = exchange.open_account(user=USER, name="50KTC-V2-1-1", balance_micros=50_000_000_000)
    for contract, bid in ((ES, 18_000), (MNQ, 70_000)):
        exchange.quote(contract.id, bid, bid + 1, time.time_ns())
    server = SimServer(
        exchange, users={USER: KEY}, wall_clock=time.time_ns, venue_clock=time.time_ns, settings=settings
    )
    world = World(server, exchange, account_id, await server.start())
    run = asyncio.create_task(world.venue.run((world.account_id,), world.deliver))
    try:
        await world.seen(ConnectionChanged, lambda event: event.link is Link.MARKET_HUB and event.is_up)
        await world.seen(SnapshotTaken)
        yield world
    finally:
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        await world.venue.close()
        await server.stop()


async def test_announces_its_links_and_the_account_before_anything_else() -> None:
    async with running() as world:
        user_hub = await world.seen(ConnectionChanged, lambda event: event.link is Link.USER_HUB)
        taken = await world.seen(SnapshotTaken)

        assert user_hub.is_up
        assert world.events.index(user_hub) + 1 == world.events.index(taken)
        assert taken.account is not None
        assert (taken.account.name, taken.account.balance_micros) == ("50KTC-V2-1-1", 50_000_000_000)
        assert (taken.positions, taken.orders, taken.fills) == ((), (), ())
        assert ES in taken.contracts
        assert abs(taken.at_ns - time.time_ns()) < 3_000_000_000


async def test_resolves_account_names() -> None:
    async with running() as world:
        assert [(a.id, a.name) for a in await world.venue.accounts()] == [(world.account_id, "50KTC-V2-1-1")]


async def test_delivers_quotes_of_the_configured_product_merged_in_ticks() -> None:
    async with running() as world:
        world.quote(18_010, 18_012)

        seen = await world.seen(QuoteUpdated, lambda event: event.quote.bid_ticks == 18_010)
        assert (seen.quote.contract_id, seen.quote.ask_ticks) == (ES.id, 18_012)


async def test_guards_a_position_from_the_fill_to_the_verified_close() -> None:
    async with running() as world:
        await world.trader_buys(2)

        fill = (await world.seen(FillReceived)).fill
        assert (fill.side, fill.size, fill.price_ticks, fill.pnl_micros, fill.fees_micros) == (
            Side.BUY,
            2,
            18_001,
            None,
            2_800_000,
        )
        position = (await world.seen(PositionUpdated)).position
        assert position.net_contracts == 2
        assert position.cost_micros == 18_001 * 2 * 12_500_000

        outcome = await world.venue.execute(world.account_id, ClosePosition("a1", "i1", ES.id))
        assert isinstance(outcome, ActionAccepted)
        await world.seen(PositionUpdated, lambda event: event.position.net_contracts == 0)
        taken = await world.venue.snapshot(world.account_id, full=True)
        assert taken.positions == ()
        assert taken.fills is not None
        assert [f.pnl_micros for f in taken.fills] == [None, -25_000_000]  # 18_001 to 18_000, two contracts


async def test_quotes_a_product_from_the_moment_it_is_held() -> None:
    async with running() as world:
        await world.trader_buys(1, MNQ)
        await world.seen(PositionUpdated)
        seen = await world.seen(QuoteUpdated, lambda event: event.quote.contract_id == MNQ.id)
        assert seen.quote.bid_ticks == 70_000


async def test_rests_a_stop_reduces_and_cancels() -> None:
    async with running() as world:
        await world.trader_buys(3)
        venue, account_id = world.venue, world.account_id

        stop = PlaceStop("a2", "i1", ES.id, Side.SELL, 3, 17_990)
        assert isinstance(await venue.execute(account_id, stop), ActionAccepted)
        resting = (await world.seen(OrderUpdated, lambda event: event.order.type is OrderType.STOP)).order
        assert (resting.stop_ticks, resting.size, resting.tag) == (17_990, 3, "a2")

        assert isinstance(await venue.execute(account_id, ReducePosition("a3", "i1", ES.id, 1)), ActionAccepted)
        await world.seen(PositionUpdated, lambda event: event.position.net_contracts == 2)
        cancel = CancelOrder("a4", "i1", ES.id, resting.id)
        assert isinstance(await venue.execute(account_id, cancel), ActionAccepted)
        again = await venue.execute(account_id, cancel)
        assert isinstance(again, ActionRejected)
        assert again.refusal in (Refusal.NOT_FOUND, Refusal.OTHER)
        taken = await venue.snapshot(account_id, full=False)
        assert taken.orders == ()
        assert (taken.account, taken.fills) == (None, None)


async def test_says_not_found_when_there_is_nothing_to_close() -> None:
    async with running() as world:
        outcome = await world.venue.execute(world.account_id, ClosePosition("a1", "i1", ES.id))
        assert isinstance(outcome, ActionRejected)
        assert outcome.refusal is Refusal.NOT_FOUND


@pytest.mark.parametrize("fault", ["drop", "close", "close for good", "stall", "log out"])
async def test_comes_back_and_reads_everything_again_after(fault: str) -> None:
    async with running() as world:
        server, before = world.server, len(world.events)
        match fault:
            case "drop":
                server.drop_connections()
            case "close":
                server.close_hubs()
            case "close for good":
                server.close_hubs(None, allow_reconnect=False)
            case "stall":
                server.stall()
            case "log out":
                server.log_out()
        await world.trader_buys(1)
        await world.seen(ConnectionChanged, lambda event: event.link is Link.USER_HUB and not event.is_up, before)
        server.resume()

        taken = await world.seen(SnapshotTaken, lambda event: bool(event.positions), before)
        assert taken.fills is not None
        assert len(taken.fills) == 1
        await world.seen(ConnectionChanged, lambda event: event.link is Link.MARKET_HUB and event.is_up, before)
        later = len(world.events)
        world.quote(18_020, 18_021)
        await world.seen(QuoteUpdated, lambda event: event.quote.bid_ticks == 18_020, later)
        await world.venue.execute(world.account_id, ClosePosition("a1", "i1", ES.id))
        await world.seen(PositionUpdated, lambda event: event.position.net_contracts == 0, later)


async def test_logs_in_again_when_its_token_is_refused() -> None:
    async with running() as world:
        await world.trader_buys(1)
        await world.seen(PositionUpdated)
        world.server.revoke_tokens()
        assert (await world.venue.snapshot(world.account_id, full=False)).positions is not None

        world.server.revoke_tokens()
        world.server.drop_connections()
        await world.seen(SnapshotTaken, since=len(world.events))


async def test_sends_a_close_again_with_a_new_token() -> None:
    async with running() as world:
        await world.trader_buys(1)
        world.server.revoke_tokens()
        outcome = await world.venue.execute(world.account_id, ClosePosition("a1", "i1", ES.id))
        assert isinstance(outcome, ActionAccepted)


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (Failure(status=503), ActionUnknown),
        (Failure(status=503, is_executed=True), ActionUnknown),
        (Failure(), ActionUnknown),
        (Failure(is_executed=True), ActionUnknown),
        (Failure(status=429), ActionRejected),
        (Failure(status=400), ActionRejected),
    ],
)
async def test_knows_what_it_does_not_know(failure: Failure, kind: type[Event]) -> None:
    async with running() as world:
        await world.trader_buys(1)
        world.server.fail_next("Position/closeContract", failure)
        outcome = await world.venue.execute(world.account_id, ClosePosition("a1", "i1", ES.id))
        assert isinstance(outcome, kind)


async def test_never_takes_a_failed_read_for_an_empty_account() -> None:
    async with running() as world:
        world.server.fail_next("Position/searchOpen", Failure(status=500))
        taken = await world.venue.snapshot(world.account_id, full=True)
        assert taken.positions is None
        assert taken.orders == ()


async def test_says_not_sent_when_nobody_listens() -> None:
    async with running() as world:
        await world.server.stop()
        outcome = await world.venue.execute(world.account_id, ClosePosition("a1", "i1", ES.id))
        # A kept connection dies only when it is written to, so the first call may not know; the next one does.
        if isinstance(outcome, ActionUnknown):
            outcome = await world.venue.execute(world.account_id, ClosePosition("a2", "i1", ES.id))
        assert isinstance(outcome, ActionRejected)
        assert outcome.message.startswith("not sent: ")
        assert KEY not in outcome.message


@pytest.mark.parametrize("counts_pages", [False, True])
async def test_reads_more_orders_than_a_page_holds(*, counts_pages: bool) -> None:
    rest = RestSettings(query_page_most=20, page_offset_counts_pages=counts_pages)
    async with running(SimSettings(rest=rest)) as world:
        for number in range(70):
            order = PlaceOrder(ES.id, OrderType.LIMIT, Side.BUY, 1, limit_ticks=17_000 + number)
            assert isinstance(world.exchange.place(world.number, order, time.time_ns()), int)
        for _ in range(2):
            taken = await world.venue.snapshot(world.account_id, full=False)
            assert taken.orders is not None
            assert sorted(order.limit_ticks or 0 for order in taken.orders) == list(range(17_000, 17_070))

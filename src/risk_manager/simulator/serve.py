"""The simulated gateway as a program of its own: exchange, market and server put together."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from risk_manager.simulator.catalog import PRODUCTS, chain, front_contracts
from risk_manager.simulator.desk import Desk, Seat
from risk_manager.simulator.exchange import Exchange
from risk_manager.simulator.feeds import Feed
from risk_manager.simulator.feeds.synthetic import SyntheticMarket, SyntheticProduct
from risk_manager.simulator.feeds.tape import open_recording
from risk_manager.simulator.hours import TradingHours
from risk_manager.simulator.market import Market
from risk_manager.simulator.records import SimContract
from risk_manager.simulator.server import SimServer
from risk_manager.simulator.traders import new_trader
from risk_manager.simulator.traders._unhurried import Unhurried

START_PRICES = {
    "ES": 6_850,
    "MES": 6_850,
    "NQ": 24_800,
    "MNQ": 24_800,
    "RTY": 2_450,
    "M2K": 2_450,
    "YM": 47_500,
    "MYM": 47_500,
    "CL": 68,
    "MCL": 68,
    "GC": 4_100,
    "MGC": 4_100,
}
"""Where the invented prices begin, in points: near enough to look familiar."""

NANOS_PER_UNIT = 1_000_000_000
ACT_EVERY_NS = 250_000_000
START_BALANCE_MICROS = 50_000 * 1_000_000


class ServeOptions(msgspec.Struct, frozen=True):
    """What to serve.

    Attributes:
        tape: a recording (.dbn, .dbn.zst, .csv), played round and round on its own clock; None invents a market on
            the wall clock.
        contract, zone: what a CSV tape is of and the time zone of its times, where it does not say.
        call_delay_s: an order, a change or a close is carried out so much later than it was asked for.
        keeps_hours: the market is closed when CME's is; else it never is.
        trader: name of a scripted trader who trades the first account; None leaves them to you.
    """

    user: str = "demo"
    api_key: str = "demo-key-of-the-simulator"
    accounts: int = 2
    tape: Path | None = None
    contract: str | None = None
    zone: str | None = None
    speed: float = 1.0
    seed: int = 7
    port: int = 0
    call_delay_s: float = 0.0
    keeps_hours: bool = False
    trader: str | None = None


class Serving(msgspec.Struct, frozen=True):
    """Where the gateway is and who may log in."""

    port: int
    api_url: str
    user_hub_url: str
    market_hub_url: str
    user: str
    api_key: str
    accounts: tuple[str, ...]
    account_ids: tuple[int, ...]
    contracts: tuple[str, ...]


async def serve(options: ServeOptions, wall_ns: Callable[[], int], on_ready: Callable[[Serving], None]) -> None:
    """Serve until cancelled.

    Raises:
        TapeError: the recording cannot be used.
        OSError: the port is taken.
        KeyError: no trader of that name.
    """
    contracts, feed = _recorded(options, options.tape) if options.tape else _invented(options, wall_ns())
    listed = contracts if options.tape else _with_the_rest(contracts, wall_ns())
    exchange = Exchange(listed, hours=TradingHours() if options.keeps_hours else None)
    names = tuple(f"PRAC-V2-100001-{30_000_001 + number}" for number in range(options.accounts))
    ids = tuple(
        exchange.open_account(user=options.user, name=name, balance_micros=START_BALANCE_MICROS) for name in names
    )
    seats = []
    if options.trader is not None:
        trader = new_trader(options.trader, tuple(each.id for each in contracts), seed=options.seed)
        seats.append(Seat(Unhurried(trader, ACT_EVERY_NS), Desk(exchange, ids[0], name=options.trader)))
    market = Market(exchange, feed, seats, speed=options.speed, repeats=options.tape is not None, most_idle_s=2.0)
    # One step before anybody connects: the venue's clock must not show 1970.
    market.step()
    server = SimServer(exchange, users={options.user: options.api_key}, wall_clock=wall_ns)
    if options.call_delay_s > 0:
        server.hold_orders(lambda: asyncio.sleep(options.call_delay_s))
    port = await server.start(port=options.port)
    base = f"http://127.0.0.1:{port}"
    hubs = f"{base}/hubs"
    on_ready(
        Serving(
            port,
            base,
            f"{hubs}/user",
            f"{hubs}/market",
            options.user,
            options.api_key,
            names,
            ids,
            tuple(each.id for each in contracts),
        )
    )
    try:
        await market.run()
        await asyncio.Event().wait()
    finally:
        await server.stop()


def _recorded(options: ServeOptions, tape: Path) -> tuple[tuple[SimContract, ...], Feed]:
    return open_recording(tape, contract=options.contract, zone=options.zone)


def _invented(options: ServeOptions, now_ns: int) -> tuple[tuple[SimContract, ...], Feed]:
    contracts = front_contracts(now_ns, START_PRICES)
    products = [SyntheticProduct(each.contract, _start_ticks(each)) for each in contracts]
    return tuple(contracts), SyntheticMarket(products, seed=options.seed, start_ns=now_ns)


def _with_the_rest(quoted: Sequence[SimContract], now_ns: int) -> list[SimContract]:
    """What the venue lists beside what has a market here: other products, and each one's neighboring deliveries."""
    ids = {each.id for each in quoted}
    chains = [each for product in PRODUCTS for each in chain(product.instrument.root, now_ns)]
    return [*quoted, *(each for each in chains if each.id not in ids)]


def _start_ticks(listing: SimContract) -> int:
    return START_PRICES[listing.contract.root] * NANOS_PER_UNIT // listing.contract.instrument.tick_size_nanos

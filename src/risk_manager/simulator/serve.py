"""The simulated gateway as a program of its own: exchange, market and server put together."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from risk_manager.simulator.catalog import PRODUCTS, chain, front_contracts
from risk_manager.simulator.desk import Desk, Seat
from risk_manager.simulator.exchange import Exchange
from risk_manager.simulator.fault_schedule import FaultSchedule
from risk_manager.simulator.fault_script import Script
from risk_manager.simulator.feeds import Feed
from risk_manager.simulator.feeds.synthetic import SyntheticMarket, SyntheticProduct
from risk_manager.simulator.feeds.tape import open_recording
from risk_manager.simulator.hours import TradingHours
from risk_manager.simulator.market import Market
from risk_manager.simulator.random_faults import random_script
from risk_manager.simulator.records import BracketMode, SimContract
from risk_manager.simulator.server import SimServer
from risk_manager.simulator.server.control import ControlApi
from risk_manager.simulator.traders import new_trader
from risk_manager.simulator.traders._unhurried import Unhurried
from risk_manager.simulator.written_settings import Settings

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
RANDOM_FAULTS_S = 86_400
_FIRST_ACCOUNT_NUMBER = 30_000_001
_FIRST_USER_NUMBER = 100_001


class ServeOptions(msgspec.Struct, frozen=True):
    """What to serve.

    Attributes:
        tape: a recording (.dbn, .dbn.zst, .csv), played round and round on its own clock; None invents a market on
            the wall clock.
        contract, zone: what a CSV tape is of and the time zone of its times, where it does not say.
        call_delay_s: an order, a change or a close is carried out so much later than it was asked for.
        users: how many may log in; the first is `user` with `api_key`, the others have a number at the end of both.
        accounts: practice accounts of each user.
        auto_oco: the accounts take brackets on orders; else they refuse them, as the venue's do until that is set.
        keeps_hours: the market is closed when CME's is; else it never is.
        faults: played from the start.
        fault_seed: of a day of random faults, played beside them; None leaves chance out.
        control_port: of the control API, 0 takes a free one; None leaves it off.
        trader: name of a scripted trader who trades the first account; None leaves them to you.
        settings: of the server, and of the exchange where the sources are silent.
    """

    user: str = "demo"
    api_key: str = "demo-key-of-the-simulator"
    users: int = 1
    accounts: int = 2
    tape: Path | None = None
    contract: str | None = None
    zone: str | None = None
    speed: float = 1.0
    seed: int = 7
    port: int = 0
    call_delay_s: float = 0.0
    auto_oco: bool = False
    keeps_hours: bool = False
    trader: str | None = None
    faults: Script = Script()
    fault_seed: int | None = None
    control_port: int | None = None
    settings: Settings = Settings()


class ServedUser(msgspec.Struct, frozen=True):
    """Somebody who may log in, and the accounts found then."""

    user: str
    api_key: str
    accounts: tuple[str, ...]
    account_ids: tuple[int, ...]


class FaultsRefused(Exception):
    """The faults to play name what is not there; all of it is told."""


class Serving(msgspec.Struct, frozen=True):
    """Where the gateway is and who may log in.

    Attributes:
        user, api_key, accounts, account_ids: of the first user.
        users: all of them.
        control_url: None while the control API is off.
    """

    port: int
    api_url: str
    user_hub_url: str
    market_hub_url: str
    user: str
    api_key: str
    accounts: tuple[str, ...]
    account_ids: tuple[int, ...]
    contracts: tuple[str, ...]
    users: tuple[ServedUser, ...]
    control_url: str | None = None


async def serve(
    options: ServeOptions,
    wall_ns: Callable[[], int],
    on_ready: Callable[[Serving], None],
    tell: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve until cancelled.

    Args:
        tell: called with a line for every fault that comes or goes.

    Raises:
        TapeError: the recording cannot be used.
        FaultsRefused: the faults name what is not there.
        OSError: a port is taken.
        KeyError: no trader of that name.
    """
    contracts, feed = _recorded(options, options.tape) if options.tape else _invented(options, wall_ns())
    listed = contracts if options.tape else _with_the_rest(contracts, wall_ns())
    hours = TradingHours() if options.keeps_hours else None
    exchange = Exchange(listed, hours=hours, manners=options.settings.manners)
    users = tuple(_opened(exchange, options, number) for number in range(options.users))
    seats = []
    if options.trader is not None:
        trader = new_trader(options.trader, tuple(each.id for each in contracts), seed=options.seed)
        seats.append(
            Seat(Unhurried(trader, ACT_EVERY_NS), Desk(exchange, users[0].account_ids[0], name=options.trader))
        )
    market = Market(exchange, feed, seats, speed=options.speed, repeats=options.tape is not None, most_idle_s=2.0)
    # One step before anybody connects: the venue's clock must not show 1970.
    market.step()
    keys = {each.user: each.api_key for each in users}
    server = SimServer(exchange, users=keys, wall_clock=wall_ns, settings=options.settings.server)
    schedule = FaultSchedule(server, tell)
    if problems := schedule.problems(options.faults):
        raise FaultsRefused("\n".join(problems))
    control = ControlApi(server, schedule)
    if options.call_delay_s > 0:
        server.hold_orders(lambda: asyncio.sleep(options.call_delay_s))
    try:
        port = await server.start(port=options.port)
        base = f"http://127.0.0.1:{port}"
        control_url = None
        if options.control_port is not None:
            control_url = f"http://127.0.0.1:{await control.start(options.control_port)}"
        on_ready(_serving(port, base, users, contracts, control_url))
        schedule.play(options.faults)
        if options.fault_seed is not None:
            schedule.play(random_script(options.fault_seed, RANDOM_FAULTS_S))
        await market.run()
        await asyncio.Event().wait()
    finally:
        schedule.stop()
        await control.stop()
        await server.stop()


def _opened(exchange: Exchange, options: ServeOptions, number: int) -> ServedUser:
    """The user of a number, with accounts just opened."""
    end = "" if number == 0 else f"-{number + 1}"
    user = f"{options.user}{end}"
    first = _FIRST_ACCOUNT_NUMBER + number * options.accounts
    names = tuple(f"PRAC-V2-{_FIRST_USER_NUMBER + number}-{first + each}" for each in range(options.accounts))
    mode = BracketMode.AUTO_OCO if options.auto_oco else BracketMode.POSITION_BRACKETS
    ids = tuple(
        exchange.open_account(user=user, name=name, balance_micros=START_BALANCE_MICROS, bracket_mode=mode)
        for name in names
    )
    return ServedUser(user, f"{options.api_key}{end}", names, ids)


def _serving(
    port: int, base: str, users: tuple[ServedUser, ...], contracts: Sequence[SimContract], control_url: str | None
) -> Serving:
    first = users[0]
    return Serving(
        port=port,
        api_url=base,
        user_hub_url=f"{base}/hubs/user",
        market_hub_url=f"{base}/hubs/market",
        user=first.user,
        api_key=first.api_key,
        accounts=first.accounts,
        account_ids=first.account_ids,
        contracts=tuple(each.id for each in contracts),
        users=users,
        control_url=control_url,
    )


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

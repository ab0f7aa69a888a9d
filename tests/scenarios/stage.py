"""The real daemon against the simulated gateway: one process, real sockets, and market time that passes when told to.

A `Stage` keeps what the gateway was asked to do (`calls`) and what the guard decided (`decisions`). After all that the
trader or the market does, it waits until the guard knows what the exchange knows; no test depends on how fast that is.

    async with on_stage({"max_contracts": {"limit": 3}}) as stage:
        await stage.buys(ES, 5)
        assert stage.calls == [Reduced(stage.me, ES.id, 2)]
"""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from heapq import heappop
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from risk_manager.config import AccountConfig, Credentials, GuardConfig, Secret, VenueConfig, build_trading_days
from risk_manager.domain.decision import Decision
from risk_manager.domain.finding import Breach, Warning
from risk_manager.domain.intent import Intent, IntentState
from risk_manager.domain.lockout import Lockout
from risk_manager.domain.order import OrderType, Side
from risk_manager.engine import Mode
from risk_manager.rules import Rule, build_rules
from risk_manager.runtime.daemon import Daemon
from risk_manager.runtime.enforcements import Timing
from risk_manager.runtime.guard import Guard
from risk_manager.runtime.wiring import build_daemon
from risk_manager.simulator.catalog import listed
from risk_manager.simulator.exchange import Exchange
from risk_manager.simulator.market_clock import MarketClock
from risk_manager.simulator.records import PlaceOrder, Refused, SimContract, SimOrder
from risk_manager.simulator.server import SimServer, SimSettings, Window

SECOND_NS = 1_000_000_000
START_NS = 1_772_461_800 * SECOND_NS
"""Monday 2026-03-02 14:30 UTC: 08:30 in Chicago, eight and a half hours before the trading day ends."""

RESET_NS = START_NS + (8 * 60 + 30) * 60 * SECOND_NS
"""17:00 in Chicago on that day."""

ES, MES, MNQ, CL = listed("ES", "H26"), listed("MES", "H26"), listed("MNQ", "H26"), listed("CL", "J26")
FIRST_TICKS = {ES.id: 20_000, MES.id: 20_000, MNQ.id: 80_000, CL.id: 7_000}
"""The first bids; every ask is one tick above."""

BALANCE_MICROS = 50_000_000_000
DAYS = build_trading_days("17:00", "America/Chicago", 2026, 2026)
USER, KEY = "pat", "key-of-pat-0123"
PATIENCE_S = 10.0
LEEWAY_NS = 1_000
"""The stage's clock moves by a nanosecond with each reading; so much early is on time."""


class Cancelled(NamedTuple):
    """The gateway was asked to cancel an order."""

    account_id: int
    order_id: int


class Closed(NamedTuple):
    """The gateway was asked to close a position, whatever its size."""

    account_id: int
    contract_id: str


class Reduced(NamedTuple):
    """The gateway was asked to close a part of a position."""

    account_id: int
    contract_id: str
    size: int


class Placed(NamedTuple):
    """The gateway was asked to take an order."""

    account_id: int
    order: PlaceOrder


class Moved(NamedTuple):
    """The gateway was asked to change an order; what is None stays."""

    account_id: int
    order_id: int
    changes: Mapping[str, int | None]


Call = Cancelled | Closed | Reduced | Placed | Moved


class WatchedExchange(Exchange):
    """An exchange that notes what it is asked over the gateway; the trader's own orders go by `trader_places`."""

    def __init__(self) -> None:
        super().__init__([ES, MES, MNQ, CL])
        self.calls: list[Call] = []

    def trader_places(self, account_id: int, order: PlaceOrder) -> int | Refused:
        return super().place(account_id, order, self.now_ns)

    def place(self, account_id: int, order: PlaceOrder, at_ns: int) -> int | Refused:
        self.calls.append(Placed(account_id, order))
        return super().place(account_id, order, at_ns)

    def modify(self, account_id: int, order_id: int, at_ns: int, **changes: int | None) -> None | Refused:
        self.calls.append(Moved(account_id, order_id, changes))
        return super().modify(account_id, order_id, at_ns, **changes)

    def cancel(self, account_id: int, order_id: int, at_ns: int) -> None | Refused:
        self.calls.append(Cancelled(account_id, order_id))
        return super().cancel(account_id, order_id, at_ns)

    def close_contract(self, account_id: int, contract_id: str, at_ns: int) -> None | Refused:
        self.calls.append(Closed(account_id, contract_id))
        return super().close_contract(account_id, contract_id, at_ns)

    def partial_close(self, account_id: int, contract_id: str, size: int, at_ns: int) -> None | Refused:
        self.calls.append(Reduced(account_id, contract_id, size))
        return super().partial_close(account_id, contract_id, size, at_ns)


class StageClock(MarketClock):
    """A market clock that hands out what falls due one by one, each at its own time."""

    def take_due(self, until_ns: int) -> tuple[int, Callable[[], None]] | None:
        """The next wanted call that falls due by then, taken off the list."""
        while self._due and self._due[0][0] <= until_ns:
            at_ns, number, callback = heappop(self._due)
            if number not in self._called_off:
                return at_ns, callback
            self._called_off.discard(number)
        return None


class Stage:
    """One gateway with its accounts, and the daemon that guards them.

    Attributes:
        accounts: the account numbers, in the order their rules were given.
        decisions: what each guard decided, by account number.
    """

    def __init__(
        self, exchange: WatchedExchange, server: SimServer, clock: StageClock, accounts: tuple[int, ...]
    ) -> None:
        self.exchange = exchange
        self.server = server
        self.clock = clock
        self.accounts = accounts
        self.decisions: dict[int, list[Decision]] = {account: [] for account in accounts}
        self.daemon: Daemon
        self.config: GuardConfig
        self._held: list[asyncio.Event] = []
        self._is_holding = False
        self._tags = count(1)

    # -- who and what -------------------------------------------------------------------------------------------

    @property
    def me(self) -> int:
        """The first account."""
        return self.accounts[0]

    @property
    def calls(self) -> list[Call]:
        """What the gateway was asked to do since `forget`."""
        return self.exchange.calls

    def guard(self, account: int | None = None) -> Guard:
        """The guard of an account, of the first where none is given."""
        return self.daemon.guards[self.accounts.index(account or self.me)]

    def nets(self, account: int | None = None) -> dict[str, int]:
        """What the exchange's own books hold: signed contracts by contract id."""
        return {each.contract_id: each.net_contracts for each in self.exchange.positions(account or self.me)}

    def orders(self, account: int | None = None) -> list[SimOrder]:
        """The orders that still live in the exchange's own books."""
        return [each for each in self.exchange.orders(account or self.me) if not each.status.is_terminal]

    def breaches(self, account: int | None = None) -> list[Breach]:
        return [found for found in self._findings(account) if isinstance(found, Breach)]

    def warnings(self, account: int | None = None) -> list[Warning]:
        return [found for found in self._findings(account) if isinstance(found, Warning)]

    def codes(self, account: int | None = None) -> list[str]:
        """The codes of all breaches."""
        return [breach.code for breach in self.breaches(account)]

    def lockouts(self, account: int | None = None) -> dict[str, Lockout]:
        """The lockouts active now, by rule."""
        return {lockout.rule: lockout for lockout in self.guard(account).engine.account.lockouts}

    def unfinished(self, account: int | None = None) -> list[Intent]:
        """The last known state of every intent that is not proven done."""
        last = {intent.id: intent for said in self.decisions[account or self.me] for intent in said.intents}
        return [intent for intent in last.values() if intent.state is not IntentState.VERIFIED]

    def forget(self) -> None:
        """Drop what was decided and asked so far, so that a test speaks about what follows."""
        self.calls.clear()
        for decisions in self.decisions.values():
            decisions.clear()

    def _findings(self, account: int | None) -> list[Any]:
        return [found for decision in self.decisions[account or self.me] for found in decision.findings]

    # -- what happens -------------------------------------------------------------------------------------------

    async def quotes(self, contract: SimContract, bid_ticks: int) -> None:
        """The market moves; the ask is one tick above the bid."""
        self.exchange.quote(contract.id, bid_ticks, bid_ticks + 1, self._soon_ns())
        await self.settled()

    async def moves(self, contract: SimContract, ticks: int) -> None:
        """The market moves by so many ticks."""
        bid = self.exchange.top(contract.id).bid_ticks
        assert bid is not None
        await self.quotes(contract, bid + ticks)

    async def buys(self, contract: SimContract, size: int, account: int | None = None) -> None:
        """The trader buys at the market."""
        await self._trades(PlaceOrder(contract.id, OrderType.MARKET, Side.BUY, size), account)

    async def sells(self, contract: SimContract, size: int, account: int | None = None) -> None:
        """The trader sells at the market."""
        await self._trades(PlaceOrder(contract.id, OrderType.MARKET, Side.SELL, size), account)

    async def rests(self, contract: SimContract, size: int, account: int | None = None) -> None:
        """The trader rests a buy limit order far below the market."""
        limit = FIRST_TICKS[contract.id] // 2
        await self._trades(PlaceOrder(contract.id, OrderType.LIMIT, Side.BUY, size, limit_ticks=limit), account)

    async def protects(self, contract: SimContract, size: int, account: int | None = None) -> None:
        """The trader rests a sell stop far below the market."""
        stop = FIRST_TICKS[contract.id] // 2
        await self._trades(PlaceOrder(contract.id, OrderType.STOP, Side.SELL, size, stop_ticks=stop), account)

    async def lets_trade(self, can_trade: bool, account: int | None = None) -> None:
        """The venue blocks the account, or frees it."""
        self.exchange.set_can_trade(account or self.me, can_trade, self._soon_ns())
        await self.settled()

    async def changes_rules(self, *rules: Mapping[str, Mapping[str, object]]) -> None:
        """Another configuration is read while the daemon runs, one set of rules for each account."""
        accounts = tuple(
            msgspec.structs.replace(account, rules=build_rules(written))
            for account, written in zip(self.config.accounts, rules, strict=True)
        )
        self.config = msgspec.structs.replace(self.config, accounts=accounts, revision=f"{self.config.revision}+")
        self.daemon.change_rules(self.config)
        await self.settled()

    async def passes(self, seconds: float) -> None:
        """Market time passes; what falls due is called at its time, and everybody takes it in before the next."""
        until_ns = self.exchange.now_ns + int(seconds * SECOND_NS)
        while (due := self.clock.take_due(until_ns)) is not None:
            self.exchange.now_ns = max(self.exchange.now_ns, due[0])
            due[1]()
            await self.settled()
        self.exchange.now_ns = until_ns
        await self.settled()

    def holds_calls(self) -> None:
        """From now on the gateway keeps calls that cancel, close or place waiting."""
        self._is_holding = True

    async def lets_calls_go(self) -> None:
        """The calls that wait are carried out, and later ones at once."""
        self._is_holding = False
        held, self._held = self._held, []
        for gate in held:
            gate.set()
        await self.settled()

    # -- inside -------------------------------------------------------------------------------------------------

    async def _trades(self, order: PlaceOrder, account: int | None) -> None:
        tagged = msgspec.structs.replace(order, tag=f"trader-{next(self._tags)}")
        self._soon_ns()
        answer = self.exchange.trader_places(account or self.me, tagged)
        assert isinstance(answer, int), answer
        await self.settled()

    def _soon_ns(self) -> int:
        """A millisecond later: two things never happen at one instant."""
        self.exchange.now_ns += 1_000_000
        return self.exchange.now_ns

    async def hold(self) -> None:
        """What the gateway waits for before it carries out a call."""
        if self._is_holding:
            gate = asyncio.Event()
            self._held.append(gate)
            await gate.wait()

    async def settled(self) -> None:
        """Return when every guard knows what the exchange knows, and waits for nothing but held calls."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + PATIENCE_S
        turns = 0
        while (difference := self._difference()) is not None:
            assert loop.time() < until_s, difference
            turns += 1
            await asyncio.sleep(0 if turns < 100 else 0.0005)

    def _difference(self) -> str | None:
        under_way = sum(guard.calls_under_way for guard in self.daemon.guards)
        if under_way != len(self._held):
            return f"{under_way} calls under way, {len(self._held)} held"
        for account, guard in zip(self.accounts, self.daemon.guards, strict=True):
            difference = self._difference_of(account, guard)
            if difference is not None:
                return f"{account}: {difference}"
        return None

    def _difference_of(self, number: int, guard: Guard) -> str | None:
        account = guard.engine.account
        if not guard.is_idle or not account.is_synced:
            return "the guard is at work"
        if self.nets(number) != {key: book.net_contracts for key, book in account.holdings.items()}:
            return f"positions at the exchange: {self.nets(number)}"
        if account.doubtful_since_ns() is not None:
            return "a position is unsettled"
        if {str(each.id) for each in self.orders(number)} != set(account.orders):
            return f"orders at the exchange: {self.orders(number)}"
        record = self.exchange.account(number)
        assert record is not None
        if (record.balance_micros, record.can_trade) != (account.balance_micros, account.can_trade):
            return f"account at the exchange: {record}"
        for contract_id in self.exchange.contracts:
            top, quote = self.exchange.top(contract_id), account.quote_of(contract_id)
            known = (quote.bid_ticks, quote.ask_ticks) if quote is not None else (None, None)
            if (top.bid_ticks, top.ask_ticks) != known:
                return f"{contract_id} at the exchange: {top}"
        return None


@asynccontextmanager
async def on_stage(
    *rules: Mapping[str, Mapping[str, object]],
    extra: tuple[Rule, ...] = (),
    start_ns: int = START_NS,
    poll_s: float = 3.0,
) -> AsyncIterator[Stage]:
    """A stage with one account for each set of rules, its daemon armed and the market quoted.

    Args:
        extra: rules of the first account that no configuration can spell.
        poll_s: pause between two snapshots, in market time; longer where hours are to pass.
    """
    exchange = WatchedExchange()
    exchange.now_ns = start_ns
    clock = StageClock(exchange)
    accounts = tuple(
        exchange.open_account(user=USER, name=f"ACCOUNT-{number}", balance_micros=BALANCE_MICROS)
        for number, _ in enumerate(rules)
    )
    server = SimServer(
        exchange,
        users={USER: KEY},
        wall_clock=time.time_ns,
        # Market time stands still while events are on their way: their distances show nothing here, and cost time.
        settings=SimSettings(calls=Window(1_000_000, 60.0), account_echoes_s=(), event_pace=0.0),
    )
    stage = Stage(exchange, server, clock, accounts)
    server.hold_orders(stage.hold)
    port = await server.start()
    with tempfile.TemporaryDirectory(prefix="risk-manager-stage-") as folder:
        made = [build_rules(written) for written in rules]
        made[0] += extra
        stage.config = _configuration(port, Path(folder), accounts, made)
        stage.daemon = await build_daemon(
            stage.config, clock=clock, poll_s=poll_s, clock_lead_max_s=86_400.0, listeners=(_remember(stage),)
        )
        guarding = asyncio.create_task(stage.daemon.run())
        try:
            await _armed(stage)
            for contract_id, bid in FIRST_TICKS.items():
                exchange.quote(contract_id, bid, bid + 1, exchange.now_ns)
            await stage.settled()
            stage.forget()
            yield stage
        finally:
            stage.daemon.stop()
            await guarding
            await server.stop()


async def _armed(stage: Stage) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while any(guard.health.missing or not guard.engine.account.is_synced for guard in stage.daemon.guards):
            await asyncio.sleep(0)


def _remember(stage: Stage) -> Callable[[Guard, Decision, Timing], None]:
    def told(guard: Guard, decision: Decision, timing: Timing) -> None:
        stage.decisions[int(guard.account_id)].append(decision)

    return told


def _configuration(port: int, folder: Path, accounts: tuple[int, ...], rules: list[tuple[Rule, ...]]) -> GuardConfig:
    base = f"http://127.0.0.1:{port}"
    roots = tuple(contract.contract.root for contract in (ES, MES, MNQ, CL))
    return GuardConfig(
        venue=VenueConfig(base, f"{base}/hubs/user", f"{base}/hubs/market", roots, Credentials(USER, Secret(KEY))),
        accounts=tuple(
            AccountConfig(str(number), None, None, Mode.ENFORCE, own)
            for number, own in zip(accounts, rules, strict=True)
        ),
        reset_time="17:00",
        timezone="America/Chicago",
        trading_days=DAYS,
        api_port=None,
        data_dir=folder,
        warnings=(),
        revision="first",
    )

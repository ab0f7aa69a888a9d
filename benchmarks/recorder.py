"""Records a day: an invented market, a trader who is sometimes reckless, the simulated venue, and a guard that acts.

The guard's actions reach the exchange, so the recording holds enforcements too, and an engine that is fed the recording
decides the same again.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from benchmarks.day import FIVE_RULES, Day, Frame, Item, Player, engine_for
from risk_manager.domain.actions import Action, CancelOrder, ClosePosition, ReducePosition, TakeSnapshot
from risk_manager.domain.events import (
    ActionAccepted,
    ActionRejected,
    ConnectionChanged,
    Event,
    Link,
    Refusal,
    SnapshotTaken,
    TimerFired,
)
from risk_manager.domain.fill import Fill
from risk_manager.simulator.catalog import front_contracts
from risk_manager.simulator.desk import Desk, Seat
from risk_manager.simulator.exchange import Exchange
from risk_manager.simulator.feeds.synthetic import SyntheticMarket, SyntheticProduct, Temper
from risk_manager.simulator.market import Market
from risk_manager.simulator.records import Refused, SimFill
from risk_manager.simulator.server import shapes
from risk_manager.simulator.server.broadcast import Broadcast
from risk_manager.simulator.server.connection import HubConnection
from risk_manager.simulator.server.hubs import Hub
from risk_manager.simulator.server.settings import SimSettings
from risk_manager.simulator.server.signalr import Invocation
from risk_manager.simulator.traders.disciplined import Disciplined, DisciplinedSettings
from risk_manager.simulator.traders.doubler import Doubler, DoublerSettings
from risk_manager.simulator.traders.script import Script, Stage
from risk_manager.testing.events import START_NS
from risk_manager.venues.projectx import wire
from risk_manager.venues.projectx.problems import Problems
from risk_manager.venues.projectx.records import Reader

START_TICKS = {"ES": 24_000, "NQ": 85_000, "MNQ": 85_000}
PROGRESS_EVERY = 50_000
WIRE_NS = 20_000_000
"""How far behind the venue everything arrives."""

CALL_NS = 80_000_000
POLL_NS = 3_000_000_000
CALM_STEPS, RECKLESS_STEPS = 9_000, 1_500

_PACE = Temper(step_min_ms=15, step_max_ms=45)


def record(events: int, *, seed: int, progress: Callable[[int], None]) -> Day:
    """A day of at least this many items; the same seed gives the same day.

    Args:
        progress: called now and then with the number of items so far.
    """
    recorder = _Recorder(seed)
    told = 0
    while len(recorder.items) < events:
        recorder.step()
        if len(recorder.items) - told >= PROGRESS_EVERY:
            told = len(recorder.items)
            progress(told)
    return Day(recorder.account_id, recorder.contracts, recorder.items)


class _Wiretap(HubConnection):
    """Subscribed like a client; keeps the records instead of sending them."""

    def __init__(self, user: str, keep: Callable[[bytes], None]) -> None:
        self.user = user
        self._keep = keep

    def send(self, record: bytes) -> None:
        self._keep(record)


class _Recorder:
    def __init__(self, seed: int) -> None:
        self.items: list[Item] = []
        listed = front_contracts(START_NS, tuple(START_TICKS))
        self.contracts = tuple(each.contract for each in listed)
        self._exchange = Exchange(listed)
        number = self._exchange.open_account(user="bench", name="BENCH-50K", balance_micros=50_000_000_000)
        self._number = number
        self.account_id = str(number)
        self._reader = Reader(Problems())
        self._engine = engine_for(self.account_id, FIVE_RULES)
        self._player = Player(self.account_id, self.contracts, self._receive)
        self._frames: list[tuple[bool, bytes]] = []
        self._calls: list[tuple[int, Action]] = []
        self._fills: dict[int, Fill] = {}
        self._next_poll_ns = 0
        self._market = self._new_market(seed)
        self._listen()
        for link in Link:
            self._take(ConnectionChanged(self.account_id, link, True, "", 0, START_NS))

    def step(self) -> None:
        """One step of the market, and all that follows from it."""
        self._market.step()
        self._hear()
        due_ns = self._engine.next_deadline_ns()
        if due_ns is not None and due_ns <= self._now_ns():
            self._take(TimerFired(self.account_id, 0, self._now_ns()))
        if self._exchange.now_ns >= self._next_poll_ns:
            self._next_poll_ns = self._exchange.now_ns + POLL_NS
            self._take(self._snapshot(full=True))
        while self._calls and self._calls[0][0] <= self._exchange.now_ns:
            self._carry_out(self._calls.pop(0)[1])

    def _now_ns(self) -> int:
        return self._exchange.now_ns + WIRE_NS

    def _new_market(self, seed: int) -> Market:
        products = [SyntheticProduct(each, START_TICKS[each.root]) for each in self.contracts]
        feed = SyntheticMarket(products, seed=seed, start_ns=START_NS, temper=_PACE)
        ids = tuple(each.id for each in self.contracts)
        calm = DisciplinedSettings(
            contract_ids=ids, pause_steps=1_200, hold_steps=2_000, risk_ticks=15, target_ticks=25
        )
        reckless = DoublerSettings(contract_ids=ids, most_contracts=3, add_ticks=6, profit_ticks=12, pause_steps=600)
        stages: list[Stage] = []
        for turn in range(1_000):
            stages.append(Stage(Disciplined(calm, seed=turn), CALM_STEPS))
            stages.append(Stage(Doubler(reckless, seed=turn), RECKLESS_STEPS))
        return Market(self._exchange, feed, [Seat(Script(stages), Desk(self._exchange, self._number))], speed=None)

    def _listen(self) -> None:
        """Subscribe what a guard subscribes."""
        broadcast = Broadcast(self._exchange, SimSettings(account_echoes_s=(), event_pace=0.0))
        subscriptions: list[tuple[Hub, bool, str, list[Any]]] = [(broadcast.user_hub, True, "SubscribeAccounts", [])]
        subscriptions += [
            (broadcast.user_hub, True, f"Subscribe{topic}", [self._number])
            for topic in ("Orders", "Positions", "Trades")
        ]
        subscriptions += [
            (broadcast.market_hub, False, "SubscribeContractQuotes", [each.id]) for each in self.contracts
        ]
        taps = {
            is_user: _Wiretap("bench", lambda record, is_user=is_user: self._frames.append((is_user, record)))  # type: ignore[misc]
            for is_user in (True, False)
        }
        for hub, is_user, method, arguments in subscriptions:
            hub.serve(taps[is_user], Invocation(method, arguments, None))
        broadcast.start()

    def _hear(self) -> None:
        frames, self._frames = self._frames, []
        for is_user, data in frames:
            self._take(Frame(is_user, data, self._now_ns()))

    def _take(self, item: Item) -> None:
        self.items.append(item)
        self._player.play(item)

    def _receive(self, event: Event) -> None:
        for action in self._engine.receive(event).actions:
            self._calls.append((self._exchange.now_ns + CALL_NS, action))

    # -- the venue's side of a call -----------------------------------------------------------------------------

    def _carry_out(self, action: Action) -> None:
        if isinstance(action, TakeSnapshot):
            self._take(self._snapshot(full=action.full))
            return
        answer = self._send(action)
        self._hear()
        now_ns = self._now_ns()
        if isinstance(answer, Refused):
            text = str(answer.message)
            self._take(ActionRejected(self.account_id, action.id, Refusal.NOT_FOUND, text, now_ns, now_ns))
        else:
            self._take(ActionAccepted(self.account_id, action.id, self._exchange.now_ns, now_ns))

    def _send(self, action: Action) -> None | Refused:
        exchange, now_ns = self._exchange, self._exchange.now_ns
        match action:
            case CancelOrder():
                return exchange.cancel(self._number, int(action.order_id), now_ns)
            case ClosePosition():
                return exchange.close_contract(self._number, action.contract_id, now_ns)
            case ReducePosition():
                return exchange.partial_close(self._number, action.contract_id, action.size, now_ns)
            case _:
                raise AssertionError(f"none of these rules asks for {action}")

    def _snapshot(self, *, full: bool) -> SnapshotTaken:
        """The account as the REST endpoints show it, read by the adapter's own reader."""
        exchange, reader, known = self._exchange, self._reader, {each.id: each for each in self.contracts}
        account = exchange.account(self._number)
        assert account is not None
        working = [each for each in exchange.orders(self._number) if not each.status.is_terminal]
        contracts = exchange.contracts
        return SnapshotTaken(
            account_id=self.account_id,
            account=reader.account(_read(shapes.account_row(account))) if full else None,
            positions=tuple(
                reader.position(_read(shapes.position_row(each, contracts[each.contract_id])), known[each.contract_id])
                for each in exchange.positions(self._number)
            ),
            orders=tuple(
                reader.order(_read(shapes.order_row(each, contracts[each.contract_id])), known[each.contract_id])
                for each in working
            ),
            fills=tuple(self._fill(each) for each in exchange.fills(self._number)) if full else None,
            fills_since_ns=0,
            contracts=self.contracts,
            requested_ns=self._now_ns(),
            at_ns=exchange.now_ns,
            received_ns=self._now_ns(),
        )

    def _fill(self, fill: SimFill) -> Fill:
        """A fill as the adapter reads it; a known one is not read again, for a day's snapshots repeat all of them."""
        if fill.id not in self._fills:
            contract = self._exchange.contracts[fill.contract_id]
            self._fills[fill.id] = self._reader.fill(_read(shapes.fill_row(fill, contract)), contract.contract)
        return self._fills[fill.id]


def _read(row: shapes.Row) -> Mapping[str, Any]:
    """A row as it comes off the wire."""
    decoded: dict[str, Any] = wire.decode_any(msgspec.json.encode(row))
    return decoded

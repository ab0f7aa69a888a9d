"""What an exchange emission says on the two hubs, to whom and in which shape."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Iterable

import msgspec

from risk_manager.simulator.emissions import (
    AccountChanged,
    Emission,
    FillHappened,
    OrderChanged,
    PositionChanged,
    PrintHappened,
    QuoteChanged,
)
from risk_manager.simulator.exchange import Exchange
from risk_manager.simulator.server import depth, shapes, signalr
from risk_manager.simulator.server.connection import HubConnection
from risk_manager.simulator.server.distortion import BadLine, Distortion
from risk_manager.simulator.server.hubs import MARKET_TOPICS, USER_TOPICS, GroupKey, Hub, Topic
from risk_manager.simulator.server.poison import Poison, poisoned_record
from risk_manager.simulator.server.settings import SimSettings
from risk_manager.simulator.server.times import stream_time


class Broadcast:
    """Turns exchange emissions into hub records, in exchange order.

    With `event_delays_s` an event is sent that much later than the exchange said it, so kinds may overtake each other;
    events of one kind never do.
    """

    def __init__(self, exchange: Exchange, settings: SimSettings) -> None:
        self._exchange = exchange
        self._settings = settings
        self._stream = settings.stream
        self._later: set[asyncio.TimerHandle] = set()
        self._waiting: defaultdict[str | Hub, deque[tuple[Hub, GroupKey, bytes]]] = defaultdict(deque)
        self.user_hub = Hub(settings, USER_TOPICS, self._user_group, _greet_silently)
        self.market_hub = Hub(settings, MARKET_TOPICS, _market_group, self._greet_with_the_market)
        self._distortions: dict[Hub, Distortion] = {}
        self._poisons: dict[Hub, Poison] = {}
        self._unsubscribe: Callable[[], None] | None = None

    def start(self) -> None:
        """Listen to the exchange."""
        assert self._unsubscribe is None, "already listening"
        self._unsubscribe = self._exchange.subscribe(self.receive)

    def stop(self) -> None:
        """Listen no more and forget what was to be sent later."""
        if self._unsubscribe is not None:
            self._unsubscribe()
        self._unsubscribe = None
        for timer in self._later:
            timer.cancel()
        self._later.clear()
        self._waiting.clear()

    def receive(self, emission: Emission) -> None:
        """Tell whoever subscribed to it."""
        match emission:
            case QuoteChanged():
                self._quote(emission)
                self._depth(emission)
            case PrintHappened():
                self._print(emission)
            case OrderChanged():
                self._order(emission)
            case FillHappened():
                self._fill(emission)
            case PositionChanged():
                self._position(emission)
            case AccountChanged():
                self._account(emission)

    def distort(self, hub: Hub, distortion: Distortion | None) -> None:
        """Send what the exchange says through a bad line from now on; None repairs it."""
        self._distortions.pop(hub, None)
        if distortion is not None:
            self._distortions[hub] = distortion

    def worsen(self, hub: Hub, **line: float) -> None:
        """Change members of the `BadLine` of a hub and leave the others as they are."""
        distortion = self._distortions.setdefault(hub, Distortion(BadLine(), seed=0))
        distortion.line = msgspec.structs.replace(distortion.line, **line)

    def poison(self, hub: Hub, poison: Poison | None) -> None:
        """Put bad values into what a hub sends from now on; None ends it."""
        self._poisons.pop(hub, None)
        if poison is not None:
            self._poisons[hub] = poison

    def reshape(self, **members: object) -> None:
        """Wrap events in another way from now on (`StreamShapes`); None is as the settings say."""
        first = self._settings.stream
        changes = {name: getattr(first, name) if value is None else value for name, value in members.items()}
        self._stream = msgspec.structs.replace(self._stream, **changes)

    def log_out(self, reason: str) -> None:
        """Send `GatewayLogout` to every connection of both hubs."""
        record = signalr.invocation("GatewayLogout", reason)
        for hub in (self.user_hub, self.market_hub):
            for connection in hub.connections:
                connection.send(record)

    def _quote(self, emission: QuoteChanged) -> None:
        group = ("ContractQuotes", emission.contract_id)
        if self.market_hub.has_members(group):
            contract = self._exchange.contracts[emission.contract_id]
            payload = shapes.quote_payload(emission.top, contract, emission.changed)
            self._market(group, "GatewayQuote", self._stream.quote(payload))

    def _depth(self, emission: QuoteChanged) -> None:
        group = ("ContractMarketDepth", emission.contract_id)
        if self.market_hub.has_members(group):
            contract = self._exchange.contracts[emission.contract_id]
            rows = depth.changed_rows(emission.top, contract, emission.changed)
            self._market(group, "GatewayDepth", self._stream.batches(rows))

    def _print(self, emission: PrintHappened) -> None:
        group = ("ContractTrades", emission.contract_id)
        if self.market_hub.has_members(group):
            row = shapes.print_row(emission, self._exchange.contracts[emission.contract_id])
            self._market(group, "GatewayTrade", self._stream.batches([row]))

    def _order(self, emission: OrderChanged) -> None:
        group = ("Orders", emission.account_id)
        if self.user_hub.has_members(group):
            contract = self._exchange.contracts[emission.order.contract_id]
            row = shapes.order_row(emission.order, contract, stream_time)
            self._publish(self.user_hub, group, "GatewayUserOrder", self._stream.user_event(shapes.UPDATE, row))

    def _fill(self, emission: FillHappened) -> None:
        group = ("Trades", emission.account_id)
        if self.user_hub.has_members(group):
            contract = self._exchange.contracts[emission.fill.contract_id]
            action = shapes.UPDATE if emission.fill.is_voided else shapes.CREATE
            row = shapes.fill_row(emission.fill, contract, stream_time)
            self._publish(self.user_hub, group, "GatewayUserTrade", self._stream.user_event(action, row))

    def _position(self, emission: PositionChanged) -> None:
        group = ("Positions", emission.account_id)
        if self.user_hub.has_members(group):
            contract = self._exchange.contracts[emission.position.contract_id]
            action = shapes.DELETE if emission.is_flat else shapes.UPDATE
            row = shapes.position_row(emission.position, contract, stream_time)
            self._publish(self.user_hub, group, "GatewayUserPosition", self._stream.user_event(action, row))

    def _account(self, emission: AccountChanged) -> None:
        group = ("Accounts", emission.account.user)
        if not self.user_hub.has_members(group):
            return
        event = self._stream.user_event(shapes.UPDATE, shapes.account_row(emission.account))
        self._publish(self.user_hub, group, "GatewayUserAccount", event)
        for delay_s in self._settings.account_echoes_s:
            self._after(delay_s, lambda: self._echo_account(group, emission.account_id))

    def _echo_account(self, group: GroupKey, account_id: int) -> None:
        """The venue repeats account events from its database: the repeat shows the balance of its own moment."""
        account = self._exchange.account(account_id)
        if account is not None:
            event = self._stream.user_event(shapes.UPDATE, shapes.account_row(account))
            self._transmit(self.user_hub, group, signalr.invocation("GatewayUserAccount", event))

    def _market(self, group: GroupKey, target: str, payloads: Iterable[object]) -> None:
        for payload in payloads:
            self._publish(self.market_hub, group, target, group[1], payload)

    def _publish(self, hub: Hub, group: GroupKey, target: str, *arguments: object) -> None:
        record = signalr.invocation(target, *arguments)
        delay_s = self._settings.event_delays_s.get(target, 0.0)
        self._in_order(target, delay_s, self._transmit, (hub, group, record))

    def _in_order(
        self,
        queue: str | Hub,
        delay_s: float,
        act: Callable[[Hub, GroupKey, bytes], None],
        item: tuple[Hub, GroupKey, bytes],
    ) -> None:
        """Act later, never before what the same queue holds already."""
        waiting = self._waiting[queue]
        if delay_s <= 0 and not waiting:
            act(*item)
            return
        # Timers of equal time fire in no fixed order, so each takes the oldest item of its queue, not its own.
        waiting.append(item)
        self._after(delay_s, lambda: act(*waiting.popleft()))

    def _transmit(self, hub: Hub, group: GroupKey, record: bytes) -> None:
        poison = self._poisons.get(hub)
        if poison is not None:
            record = poisoned_record(record, poison)
        distortion = self._distortions.get(hub)
        behind_s = 0.0 if distortion is None else distortion.line.behind_s
        self._in_order(hub, behind_s, self._send, (hub, group, record))

    def _send(self, hub: Hub, group: GroupKey, record: bytes) -> None:
        distortion = self._distortions.get(hub)
        for copy_s in distortion.copies_s() if distortion is not None else (0.0,):
            if copy_s <= 0:
                hub.publish(group, record)
            else:
                self._after(copy_s, lambda: hub.publish(group, record))

    def _after(self, delay_s: float, act: Callable[[], None]) -> None:
        def run() -> None:
            self._later.discard(timer)
            act()

        timer = asyncio.get_running_loop().call_later(delay_s, run)
        self._later.add(timer)

    def _user_group(
        self, connection: HubConnection, topic: Topic, argument: str | int | None = None, /
    ) -> GroupKey | None:
        """None for foreign and unknown accounts."""
        if topic.argument is None:
            return (topic.name, connection.user)
        assert isinstance(argument, int), argument
        account = self._exchange.account(argument)
        return (topic.name, argument) if account is not None and account.user == connection.user else None

    def _greet_with_the_market(self, connection: HubConnection, group: GroupKey) -> None:
        """The whole quote, or the whole book, as soon as there is one; of prints there is nothing to tell."""
        topic, contract_id = group
        contract = self._exchange.contract(str(contract_id))
        top = self._exchange.top(contract.id) if contract is not None else None
        if contract is None or top is None or not top.at_ns:
            return
        if topic == "ContractQuotes":
            for payload in self._stream.quote(shapes.quote_payload(top, contract, None)):
                connection.send(signalr.invocation("GatewayQuote", contract_id, payload))
        elif topic == "ContractMarketDepth":
            for payload in self._stream.batches(depth.book_rows(top, contract, self._stream.depth_levels)):
                connection.send(signalr.invocation("GatewayDepth", contract_id, payload))


def _market_group(_: HubConnection, topic: Topic, argument: str | int | None = None, /) -> GroupKey | None:
    assert isinstance(argument, str), argument
    return (topic.name, argument)


def _greet_silently(_: HubConnection, __: GroupKey) -> None:
    """The user hub sends no snapshot on subscribing."""

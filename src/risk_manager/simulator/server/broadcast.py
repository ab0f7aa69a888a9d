"""What an exchange emission says on the two hubs, to whom and in which shape."""

from collections.abc import Callable, Hashable, Iterable

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
from risk_manager.simulator.server.event_offsets import EventOffsets, Moment
from risk_manager.simulator.server.hubs import MARKET_TOPICS, USER_TOPICS, GroupKey, Hub, Topic
from risk_manager.simulator.server.outbox import Outbox
from risk_manager.simulator.server.poison import Poison, poisoned_record
from risk_manager.simulator.server.settings import EventName, SimSettings
from risk_manager.simulator.server.times import stream_time

_MS_PER_S = 1000


class Broadcast:
    """Turns exchange emissions into hub records.

    The events of an execution leave in the order and the distances of the venue (`event_offsets`), so that other
    events come between them. States of one order, fills and states of a position in one contract, states of an
    account: these never overtake each other.
    """

    def __init__(self, exchange: Exchange, settings: SimSettings) -> None:
        self._exchange = exchange
        self._settings = settings
        self._stream = settings.stream
        self._offsets = EventOffsets(exchange)
        self._outbox = Outbox()
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
        self._outbox.clear()

    @property
    def waiting(self) -> int:
        """How many events are still to be sent."""
        return len(self._outbox)

    def receive(self, emission: Emission) -> None:
        """Tell whoever subscribed to it."""
        match emission:
            case QuoteChanged():
                self._quote(emission)
                self._depth(emission)
            case PrintHappened():
                self._print(emission)
            case OrderChanged():
                self._order(emission, self._offsets.of(emission))
            case FillHappened():
                self._fill(emission, self._offsets.of(emission))
            case PositionChanged():
                self._position(emission, self._offsets.of(emission))
            case AccountChanged():
                self._account(emission, self._offsets.of(emission))

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

    def _order(self, emission: OrderChanged, moment: Moment) -> None:
        group = ("Orders", emission.account_id)
        if self.user_hub.has_members(group):
            contract = self._exchange.contracts[emission.order.contract_id]
            row = shapes.order_row(emission.order, contract, stream_time)
            lane = ("order", emission.order.id)
            self._tell(moment, lane, group, "GatewayUserOrder", self._stream.user_event(shapes.UPDATE, row))

    def _fill(self, emission: FillHappened, moment: Moment) -> None:
        group = ("Trades", emission.account_id)
        if self.user_hub.has_members(group):
            contract = self._exchange.contracts[emission.fill.contract_id]
            action = shapes.UPDATE if emission.fill.is_voided else shapes.CREATE
            row = shapes.fill_row(emission.fill, contract, stream_time)
            lane = ("fill", emission.account_id, contract.id)
            self._tell(moment, lane, group, "GatewayUserTrade", self._stream.user_event(action, row))

    def _position(self, emission: PositionChanged, moment: Moment) -> None:
        group = ("Positions", emission.account_id)
        if self.user_hub.has_members(group):
            contract = self._exchange.contracts[emission.position.contract_id]
            action = shapes.DELETE if emission.is_flat else shapes.UPDATE
            row = shapes.position_row(emission.position, contract, stream_time)
            lane = ("position", emission.account_id, contract.id)
            self._tell(moment, lane, group, "GatewayUserPosition", self._stream.user_event(action, row))

    def _account(self, emission: AccountChanged, moment: Moment) -> None:
        group = ("Accounts", emission.account.user)
        if not self.user_hub.has_members(group):
            return
        event = self._stream.user_event(shapes.UPDATE, shapes.account_row(emission.account))
        told_s = self._tell(moment, ("account", emission.account_id), group, "GatewayUserAccount", event)
        echoes_s = self._settings.account_echoes_s
        if echoes_s is None:
            echoes_s = tuple(each_ms / _MS_PER_S for each_ms in moment.echoes_ms)
        for echo_s in echoes_s:
            self._outbox.put(lambda: self._echo_account(group, emission.account_id), told_s + echo_s)

    def _echo_account(self, group: GroupKey, account_id: int) -> None:
        """The venue repeats account events from its database: the repeat shows the balance of its own moment."""
        account = self._exchange.account(account_id)
        if account is not None:
            event = self._stream.user_event(shapes.UPDATE, shapes.account_row(account))
            record = signalr.invocation("GatewayUserAccount", event)
            # What was told before and is still on its way shows an older balance.
            self._send_later(0.0, ("account", account_id), self.user_hub, group, record)

    def _tell(self, moment: Moment, lane: Hashable, group: GroupKey, target: EventName, event: object) -> float:
        """Send an event of the user hub in its time, and give back after how many seconds that is."""
        execution, late_s = moment.execution, self._settings.event_delays_s.get(target, 0.0)
        offset_s = moment.offset_ms / _MS_PER_S * self._settings.event_pace
        if execution is not None:
            offset_s = max(offset_s, execution.latest_s)
        record = signalr.invocation(target, event)
        told_s = self._send_later(offset_s + late_s, lane, self.user_hub, group, record)
        if execution is not None:
            execution.latest_s = max(offset_s, told_s - late_s)
        return told_s

    def _market(self, group: GroupKey, target: EventName, payloads: Iterable[object]) -> None:
        for payload in payloads:
            record = signalr.invocation(target, group[1], payload)
            late_s = self._settings.event_delays_s.get(target, 0.0)
            self._send_later(late_s, target, self.market_hub, group, record)

    def _send_later(self, delay_s: float, lane: Hashable, hub: Hub, group: GroupKey, record: bytes) -> float:
        return self._outbox.put(lambda: self._transmit(hub, group, record), delay_s, lane)

    def _transmit(self, hub: Hub, group: GroupKey, record: bytes) -> None:
        poison = self._poisons.get(hub)
        if poison is not None:
            record = poisoned_record(record, poison)
        distortion = self._distortions.get(hub)
        behind_s = 0.0 if distortion is None else distortion.line.behind_s
        self._outbox.put(lambda: self._send(hub, group, record), behind_s, hub)

    def _send(self, hub: Hub, group: GroupKey, record: bytes) -> None:
        distortion = self._distortions.get(hub)
        for copy_s in distortion.copies_s() if distortion is not None else (0.0,):
            self._outbox.put(lambda: hub.publish(group, record), copy_s)

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

"""The two hubs: which methods they have, who is in which group, and what an exchange emission says to whom."""

import asyncio
from collections import deque
from collections.abc import Callable

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
from risk_manager.simulator.server import shapes, signalr
from risk_manager.simulator.server.connection import HubConnection
from risk_manager.simulator.server.settings import SimSettings
from risk_manager.simulator.server.times import stream_time

GroupKey = tuple[str, str | int]
_INT32_MAX = 2**31 - 1


class Topic(msgspec.Struct, frozen=True):
    """What one pair of `Subscribe<name>` and `Unsubscribe<name>` is about.

    Attributes:
        argument: the type of the one argument, None when the method takes none.
    """

    name: str
    argument: type[int] | type[str] | None


USER_TOPICS = (Topic("Accounts", None), Topic("Orders", int), Topic("Positions", int), Topic("Trades", int))
MARKET_TOPICS = (Topic("ContractQuotes", str), Topic("ContractTrades", str), Topic("ContractMarketDepth", str))


class Hub:
    """The connections of one hub and their groups. Joining twice is joining once; a closed connection is in no group.

    Args:
        group_of: the group a caller joins with a topic and its argument; None lets the call succeed without effect.
        greet: called after a call that joined a group was answered.
    """

    def __init__(
        self,
        topics: tuple[Topic, ...],
        group_of: Callable[[HubConnection, Topic, str | int | None], GroupKey | None],
        greet: Callable[[HubConnection, GroupKey], None],
    ) -> None:
        self._methods = {
            f"{verb}{topic.name}".lower(): (topic, verb == "Subscribe")
            for topic in topics
            for verb in ("Subscribe", "Unsubscribe")
        }
        self._group_of = group_of
        self._greet = greet
        self._connections: dict[HubConnection, None] = {}
        self._groups: dict[GroupKey, dict[HubConnection, None]] = {}
        self._is_stalled = False

    @property
    def connections(self) -> tuple[HubConnection, ...]:
        """The connections past their handshake, oldest first."""
        return tuple(self._connections)

    def add(self, connection: HubConnection) -> None:
        """A connection shook hands."""
        self._connections[connection] = None
        if self._is_stalled:
            connection.stall()

    def remove(self, connection: HubConnection) -> None:
        """A connection ended; its subscriptions go with it."""
        self._connections.pop(connection, None)
        for group in list(self._groups):
            self._leave(group, connection)

    def set_stalled(self, is_stalled: bool) -> None:
        """Make every connection, present and to come, silent; or let them speak again."""
        self._is_stalled = is_stalled
        for connection in self._connections:
            if is_stalled:
                connection.stall()
            else:
                connection.resume()

    def has_members(self, group: GroupKey) -> bool:
        """Whether anybody would receive what is published to the group."""
        return bool(self._groups.get(group))

    def publish(self, group: GroupKey, record: bytes) -> None:
        """Send a record to every member of the group."""
        for connection in self._groups.get(group, ()):
            connection.send(record)

    def serve(self, connection: HubConnection, call: signalr.Invocation) -> None:
        """Carry out one invocation and answer it if an answer is wanted."""
        found = self._methods.get(call.target.lower())
        if found is None:
            self._answer(connection, call, signalr.unknown_method(call.target))
            return
        topic, is_joining = found
        if not _binds(topic, call.arguments):
            self._answer(connection, call, signalr.binding_failed(call.target))
            return
        group = self._group_of(connection, topic, call.arguments[0] if call.arguments else None)
        if group is not None and is_joining:
            self._groups.setdefault(group, {})[connection] = None
        elif group is not None:
            self._leave(group, connection)
        self._answer(connection, call, None)
        if group is not None and is_joining:
            self._greet(connection, group)

    def _leave(self, group: GroupKey, connection: HubConnection) -> None:
        members = self._groups.get(group, {})
        members.pop(connection, None)
        if not members:
            self._groups.pop(group, None)

    def _answer(self, connection: HubConnection, call: signalr.Invocation, error: str | None) -> None:
        if call.invocation_id is None:
            return
        if error is None:
            connection.send(signalr.completion(call.invocation_id))
        else:
            connection.send(signalr.failure(call.invocation_id, error))


def _binds(topic: Topic, arguments: list[object]) -> bool:
    """Strict, as ASP.NET Core binds: the exact number of arguments, and no strings for numbers."""
    if topic.argument is None:
        return not arguments
    if len(arguments) != 1:
        return False
    value = arguments[0]
    if topic.argument is int:
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _INT32_MAX
    return isinstance(value, str)


class Broadcast:
    """Turns exchange emissions into hub records, in exchange order.

    With `event_delays_s` an event is sent that much later than the exchange said it, so kinds may overtake each other;
    events of one kind never do.
    """

    def __init__(self, exchange: Exchange, settings: SimSettings) -> None:
        self._exchange = exchange
        self._settings = settings
        self._later: set[asyncio.TimerHandle] = set()
        self._waiting: dict[str, deque[tuple[Hub, GroupKey, bytes]]] = {}
        self.user_hub = Hub(USER_TOPICS, self._user_group, _greet_silently)
        self.market_hub = Hub(MARKET_TOPICS, _market_group, self._send_full_quote)
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
            self._publish(self.market_hub, group, "GatewayQuote", emission.contract_id, payload)

    def _print(self, emission: PrintHappened) -> None:
        group = ("ContractTrades", emission.contract_id)
        if self.market_hub.has_members(group):
            row = shapes.print_row(emission, self._exchange.contracts[emission.contract_id])
            self._publish(self.market_hub, group, "GatewayTrade", emission.contract_id, [row])

    def _order(self, emission: OrderChanged) -> None:
        group = ("Orders", emission.account_id)
        if self.user_hub.has_members(group):
            contract = self._exchange.contracts[emission.order.contract_id]
            row = shapes.order_row(emission.order, contract, stream_time)
            self._publish(self.user_hub, group, "GatewayUserOrder", shapes.enveloped(shapes.UPDATE, row))

    def _fill(self, emission: FillHappened) -> None:
        group = ("Trades", emission.account_id)
        if self.user_hub.has_members(group):
            contract = self._exchange.contracts[emission.fill.contract_id]
            action = shapes.UPDATE if emission.fill.is_voided else shapes.CREATE
            row = shapes.fill_row(emission.fill, contract, stream_time)
            self._publish(self.user_hub, group, "GatewayUserTrade", shapes.enveloped(action, row))

    def _position(self, emission: PositionChanged) -> None:
        group = ("Positions", emission.account_id)
        if self.user_hub.has_members(group):
            contract = self._exchange.contracts[emission.position.contract_id]
            action = shapes.DELETE if emission.is_flat else shapes.UPDATE
            row = shapes.position_row(emission.position, contract, stream_time)
            self._publish(self.user_hub, group, "GatewayUserPosition", shapes.enveloped(action, row))

    def _account(self, emission: AccountChanged) -> None:
        group = ("Accounts", emission.account.user)
        if not self.user_hub.has_members(group):
            return
        event = shapes.enveloped(shapes.UPDATE, shapes.account_row(emission.account))
        self._publish(self.user_hub, group, "GatewayUserAccount", event)
        for delay_s in self._settings.account_echoes_s:
            self._after(delay_s, lambda: self._echo_account(group, emission.account_id))

    def _echo_account(self, group: GroupKey, account_id: int) -> None:
        """The venue repeats account events from its database: the repeat shows the balance of its own moment."""
        account = self._exchange.account(account_id)
        if account is not None:
            event = shapes.enveloped(shapes.UPDATE, shapes.account_row(account))
            self.user_hub.publish(group, signalr.invocation("GatewayUserAccount", event))

    def _publish(self, hub: Hub, group: GroupKey, target: str, *arguments: object) -> None:
        record = signalr.invocation(target, *arguments)
        delay_s = self._settings.event_delays_s.get(target, 0.0)
        if delay_s <= 0:
            hub.publish(group, record)
            return
        # Timers of equal time fire in no fixed order, so each takes the oldest record of its kind, not its own.
        waiting = self._waiting.setdefault(target, deque())
        waiting.append((hub, group, record))
        self._after(delay_s, lambda: _publish_oldest(waiting))

    def _after(self, delay_s: float, act: Callable[[], None]) -> None:
        def run() -> None:
            self._later.discard(timer)
            act()

        timer = asyncio.get_running_loop().call_later(delay_s, run)
        self._later.add(timer)

    def _user_group(self, connection: HubConnection, topic: Topic, argument: str | int | None) -> GroupKey | None:
        """Foreign and unknown accounts get nothing, without an error."""
        if topic.argument is None:
            return (topic.name, connection.user)
        assert isinstance(argument, int), argument
        account = self._exchange.account(argument)
        return (topic.name, argument) if account is not None and account.user == connection.user else None

    def _send_full_quote(self, connection: HubConnection, group: GroupKey) -> None:
        topic, contract_id = group
        contract = self._exchange.contract(str(contract_id))
        if topic != "ContractQuotes" or contract is None:
            return
        top = self._exchange.top(contract.id)
        if top.at_ns:
            payload = shapes.quote_payload(top, contract, None)
            connection.send(signalr.invocation("GatewayQuote", contract_id, payload))


def _publish_oldest(waiting: deque[tuple[Hub, GroupKey, bytes]]) -> None:
    hub, group, record = waiting.popleft()
    hub.publish(group, record)


def _market_group(_: HubConnection, topic: Topic, argument: str | int | None) -> GroupKey | None:
    assert isinstance(argument, str), argument
    return (topic.name, argument)


def _greet_silently(_: HubConnection, __: GroupKey) -> None:
    """The user hub sends no snapshot on subscribing."""

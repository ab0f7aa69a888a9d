"""A hub: which methods it has, who is in which group, and how calls are bound and answered."""

from collections.abc import Callable
from typing import Protocol

import msgspec

from risk_manager.simulator.server import signalr
from risk_manager.simulator.server.connection import HubConnection
from risk_manager.simulator.server.settings import SimSettings

GroupKey = tuple[str, str | int]
_INT32_MIN, _INT32_MAX = -(2**31), 2**31 - 1
_FOREIGN = "Account not found."


class GroupOf(Protocol):
    """Finds the group a caller means by a topic and its argument, if the topic takes one."""

    def __call__(
        self, connection: HubConnection, topic: "Topic", argument: str | int | None = None, /
    ) -> GroupKey | None: ...


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
        group_of: the group a caller joins with a topic and its argument; None is no business of the caller's.
        greet: called after a call that joined a group was answered.
    """

    def __init__(
        self,
        settings: SimSettings,
        topics: tuple[Topic, ...],
        group_of: GroupOf,
        greet: Callable[[HubConnection, GroupKey], None],
    ) -> None:
        self._methods = {
            f"{verb}{topic.name}".lower(): (topic, verb == "Subscribe")
            for topic in topics
            for verb in ("Subscribe", "Unsubscribe")
        }
        self._settings = settings
        self._group_of = group_of
        self._greet = greet
        self._connections: dict[HubConnection, None] = {}
        self._groups: dict[GroupKey, dict[HubConnection, None]] = {}
        self._is_stalled = False
        self._pieces = 1

    @property
    def connections(self) -> tuple[HubConnection, ...]:
        """The connections past their handshake, oldest first."""
        return tuple(self._connections)

    def add(self, connection: HubConnection) -> None:
        """A connection shook hands."""
        self._connections[connection] = None
        connection.pieces = self._pieces
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

    def split(self, pieces: int) -> None:
        """Cut every message of every connection, present and to come, into so many frames; 1 leaves them whole."""
        self._pieces = pieces
        for connection in self._connections:
            connection.pieces = pieces

    def has_members(self, group: GroupKey) -> bool:
        """Whether anybody would receive what is published to the group."""
        return bool(self._groups.get(group))

    def publish(self, group: GroupKey, record: bytes) -> None:
        """Send a record to every member of the group."""
        for connection in self._groups.get(group, ()):
            connection.send(record)

    def serve(self, connection: HubConnection, call: signalr.Invocation | signalr.StreamingCall) -> None:
        """Carry out one invocation and answer it if an answer is wanted."""
        found = self._methods.get(call.target.lower())
        if found is None:
            self._answer(connection, call, self._unknown(call.target))
            return
        topic, is_joining = found
        arguments = _lenient(topic, call.arguments) if self._settings.is_binding_lenient else call.arguments
        if not _binds(topic, arguments):
            self._answer(connection, call, signalr.binding_failed(call.target))
            return
        if isinstance(call, signalr.StreamingCall):
            self._answer(connection, call, signalr.not_streaming(call.target))
            return
        self._carry_out(connection, call, self._group_of(connection, topic, *arguments), is_joining=is_joining)

    def _carry_out(
        self, connection: HubConnection, call: signalr.Invocation, group: GroupKey | None, *, is_joining: bool
    ) -> None:
        if group is None:
            is_refused = self._settings.refuses_foreign_accounts
            error = signalr.invocation_failed(call.target, _FOREIGN) if is_refused else None
            self._answer(connection, call, error)
            return
        if not is_joining:
            self._leave(group, connection)
        else:
            self._groups.setdefault(group, {})[connection] = None
        self._answer(connection, call, None)
        if is_joining:
            self._greet(connection, group)

    def _unknown(self, target: str) -> str:
        if self._settings.names_unknown_methods:
            return signalr.unknown_method(target)
        return signalr.binding_failed(target, "Method does not exist.")

    def _leave(self, group: GroupKey, connection: HubConnection) -> None:
        members = self._groups.get(group, {})
        members.pop(connection, None)
        if not members:
            self._groups.pop(group, None)

    def _answer(
        self, connection: HubConnection, call: signalr.Invocation | signalr.StreamingCall, error: str | None
    ) -> None:
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
        return isinstance(value, int) and not isinstance(value, bool) and _INT32_MIN <= value <= _INT32_MAX
    return isinstance(value, str)


def _lenient(topic: Topic, arguments: list[object]) -> list[object]:
    """What clients mean that send strings, or more than is asked for: the leading argument, as a number if need be."""
    if topic.argument is None:
        return []
    first, *_ = arguments or [None]
    if topic.argument is int and isinstance(first, str) and first.isascii() and first.isdecimal():
        return [int(first)]
    return [first]

"""A recorded day: what the venue adapter received, frame by frame, and the events it makes of it again."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from risk_manager.config.calendar import build_calendar
from risk_manager.domain.contract import Contract
from risk_manager.domain.events import Event, Link, SnapshotTaken
from risk_manager.domain.fill import Fill
from risk_manager.engine import Engine, EngineSettings
from risk_manager.rules import build_rules
from risk_manager.testing.events import DAYS
from risk_manager.venues.projectx.contracts import ContractBook
from risk_manager.venues.projectx.feed import Feed
from risk_manager.venues.projectx.hub_codec import HotRecord, HubCodec, Invocation
from risk_manager.venues.projectx.problems import Problems
from risk_manager.venues.projectx.records import Reader
from risk_manager.venues.projectx.venue_time import VenueTime

RuleOptions = dict[str, dict[str, object]]

FIVE_RULES: RuleOptions = {
    "max_contracts": {"limit": 5, "count_type": "gross"},
    "max_contracts_per_instrument": {"limits": {"ES": 3, "NQ": 3, "MNQ": 3}},
    "daily_realized_loss": {"limit": -20_000, "warn_at_pct": [50, 80]},
    "daily_unrealized_loss": {"loss_limit": -200},
    "symbol_blocks": {"blocked_symbols": ["CL"]},
}
"""All armed. The day's loss is set so far out that the account goes on trading until the recording ends."""

ALL_RULES: RuleOptions = FIVE_RULES | {
    "auth_loss_guard": {},
    "concentration": {"max_pct": 99, "min_total": 1000},
    "cooldown_after_loss": {"loss_threshold": 1_000_000},
    "daily_realized_profit": {"target": 1_000_000},
    "drawdown": {"max_drawdown": 1_000_000, "mode": "intraday_trailing"},
    "leverage": {"max_ratio": 1_000_000},
    "max_unrealized_profit": {"profit_target": 1_000_000},
    "no_stop_loss_grace": {"grace_period_seconds": 86_400},
    "session_block_outside": {"global_session": {"start": "00:00", "end": "23:59", "timezone": "UTC"}},
    "trade_frequency_limit": {"limits": {"per_session": 1_000_000}},
    "trade_management": {"auto_breakeven": {"enabled": True, "profit_trigger_ticks": 100_000}},
    "velocity": {"max_loss": 1_000_000},
}
"""All seventeen armed, the others so wide that they find nothing: what is measured is their watching."""


_CALENDAR = build_calendar()
"""Its files are read when first asked for, by a daemon before it is armed: here in the passes that warm up."""


class Frame(msgspec.Struct, frozen=True, gc=False, tag="frame"):
    """One message of a hub, as it came.

    Attributes:
        received_ns: local time of its arrival.
    """

    is_user: bool
    data: bytes
    received_ns: int


Item = Frame | Event


class Day(msgspec.Struct):
    """What one account's venue adapter received, in order; what did not come from a hub is there as the event."""

    account_id: str
    contracts: tuple[Contract, ...]
    items: list[Item]

    def save(self, path: Path) -> None:
        path.write_bytes(msgspec.msgpack.encode(self))

    @classmethod
    def load(cls, path: Path) -> "Day":
        return msgspec.msgpack.decode(path.read_bytes(), type=cls)

    def events(self) -> list[Event]:
        """The events as the venue adapter delivers them."""
        events: list[Event] = []
        player = Player(self.account_id, self.contracts, events.append)
        for item in self.items:
            player.play(item)
        return events


class Player:
    """The venue adapter without its sockets: bytes of a hub go in, events come out through `deliver`."""

    def __init__(self, account_id: str, contracts: tuple[Contract, ...], deliver: Callable[[Event], None]) -> None:
        problems = Problems(_fail)
        book = ContractBook()
        book.add(contracts)
        self.now_ns = 0
        self._deliver = deliver
        self._fills: dict[Fill, Fill] = {}
        self._feed = Feed(
            (account_id,),
            deliver,
            book.get,
            _NoNeeds(),
            Reader(problems),
            _PlayerClock(self),
            VenueTime(86_400),
            problems,
        )
        self._hubs = HubCodec("GatewayQuote"), HubCodec()
        for codec in self._hubs:
            codec.feed(b"{}\x1e")
        for contract in contracts:
            self._feed.want_quotes(account_id, contract.id)

    def play(self, item: Item) -> None:
        """Deliver what the item leads to."""
        if not isinstance(item, Frame):
            self._deliver(self._read(item))
            return
        self.now_ns = item.received_ns
        if item.is_user:
            for message in self._hubs[1].feed(item.data):
                assert isinstance(message, Invocation), message
                self._feed.on_user(message)
        else:
            self.play_quote(item.data)

    def _read(self, event: Event) -> Event:
        """The event with fills it shares with those before: the adapter reads one that has not changed only once."""
        if not isinstance(event, SnapshotTaken) or event.fills is None:
            return event
        fills = tuple(self._fills.setdefault(fill, fill) for fill in event.fills)
        return msgspec.structs.replace(event, fills=fills)

    def play_quote(self, data: bytes) -> None:
        """Deliver what a message of the market hub leads to."""
        for message in self._hubs[0].feed(data):
            assert isinstance(message, HotRecord), message
            self._feed.on_market(message)


def engine_for(account_id: str, rules: RuleOptions) -> Engine:
    """A fresh engine with these rules armed, in the default mode."""
    return Engine(EngineSettings(account_id, DAYS, build_rules(rules), calendar=_CALENDAR))


class _PlayerClock:
    """Shows the time of the item being played."""

    def __init__(self, player: Player) -> None:
        self._player = player

    def now_ns(self) -> int:
        return self._player.now_ns

    def call_at(self, at_ns: int, callback: Callable[[], None]) -> Callable[[], None]:
        raise AssertionError("a recording sets no timers")


class _NoNeeds:
    """A recording names only contracts it describes; quotes are subscribed already."""

    def contract(self, account_id: str, contract_id: str) -> None:
        raise AssertionError(contract_id)

    def snapshot(self, account_id: str, reason: str) -> None:
        raise AssertionError(reason)

    def quotes(self, contract_id: str) -> None:
        return

    def reopen(self, link: Link) -> None:
        raise AssertionError(link)


def _fail(code: str, detail: str) -> None:
    raise AssertionError(f"{code}: {detail}")

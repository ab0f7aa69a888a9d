"""Not more than so many trades a minute, an hour and a day.

`limits` says how many are allowed: `per_minute` (default 3), `per_hour` (10) and `per_session` (50). The first one
above a limit fires the rule: the fourth with a limit of 3. Write `limits` to choose your own; a limit you leave out
of it does not apply, and one for a shorter time may not be larger than one for a longer time. `windows` adds any
other length, as a list of `{seconds: 300, max: 5, cooldown: 15m}` (`length: 5m` is the same as `seconds: 300`;
without `cooldown` the lock lasts until the trading day ends).

A minute is the last 60 seconds by the exchange's clock, whatever the time of day: a trade exactly 60 seconds old is
out. The session is the account's trading day. The new trading day empties the session's count and no other.

`count_unit` says what is counted:

- `order` (default): orders that were filled, each once and when it began to fill; ten contracts filled in five parts
  are one. Entries and exits both count.
- `fill`: every single execution.
- `entry`: orders that opened a position or added to one.
- `round_turn`: positions, when they are closed.

What the guard itself closed is not counted, nor are fills the venue took back; a round turn counts whoever ended it.

`action` says what happens:

- `pause` (default): orders that would add are cancelled and new exposure is locked out; open positions stay, and may
  be closed or made smaller.
- `flatten`: all positions are closed and all orders cancelled, and the account is locked. `close_positions: true` is
  the same, `close_positions: false` is `pause`.
- `alert`: nothing is done.

`cooldown_on_breach` is how long the lock lasts, counted from the trade that was one too many: `per_minute` (default
60s), `per_hour` (30m) and `per_session` (default `reset`: until the trading day ends). If several limits are broken
the latest end counts. A trade during the lock is counted too; with `extend: true` it begins the cooldown again while
the count is above the limit (default false). `cancel_orders` exists for older configurations and must be true.

When the lock ends the trades before it still count for as long as their time runs: after ten trades and one too many
in one hour, the next trade within that hour fires the rule again. Nothing else does: not the end of the lock, nor a
fill that is not counted.

Example: `limits: {per_minute: 3}`, orders at 10:00:00, 10:00:20, 10:00:40 and 10:00:59. The fourth locks until
10:01:59. Had it come at 10:01:00, three would have been in the last 60 seconds, and nothing would have happened.

What it does not do: it cannot refuse an order beforehand. The trade that is one too many is made. Older spellings are
understood: `per_minute` and the others outside `limits`, `max_trades` with `time_window_minutes`.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from operator import attrgetter
from typing import Annotated, Any, ClassVar, NamedTuple

import msgspec
from msgspec.structs import replace

from risk_manager.domain.account import AccountView
from risk_manager.domain.events import ActionAccepted, ActionRejected, Event, FillReceived, OrderUpdated, RulesChanged
from risk_manager.domain.finding import Breach, Finding, Gauge, Skipped, Unit
from risk_manager.domain.lockout import LockoutKind
from risk_manager.domain.scope import ACCOUNT
from risk_manager.rules._base import LockTerms, Remedy
from risk_manager.rules._options import Fault
from risk_manager.rules._stopping import Action, remedy_of

SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS
HOUR_NS = 60 * MINUTE_NS

BURST_NS = SECOND_NS
"""What comes this soon after the trade that fired the rule is part of it: the order of reports changes no end."""

Count = Annotated[int, msgspec.Meta(gt=0)]
Duration = Annotated[int, msgspec.Meta(gt=0)]


class CountUnit(StrEnum):
    """What is counted; see the module's text."""

    ORDER = "order"
    FILL = "fill"
    ENTRY = "entry"
    ROUND_TURN = "round_turn"


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How many are allowed; None does not limit."""

    per_minute: Count | None = None
    per_hour: Count | None = None
    per_session: Count | None = None


class Cooldowns(msgspec.Struct, frozen=True, kw_only=True):
    """How long each limit locks; None until the trading day ends."""

    per_minute_ns: Duration | None = MINUTE_NS
    per_hour_ns: Duration | None = 30 * MINUTE_NS
    per_session_ns: Duration | None = None


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """A limit of its own: at most `max` in the last `length_ns`."""

    length_ns: Duration
    max: Count
    cooldown_ns: Duration | None = None


class _Watch(NamedTuple):
    """One limit. `length_ns` None is the trading day; `cooldown_ns` None locks until that ends."""

    code: str
    label: str
    length_ns: int | None
    most: int
    cooldown_ns: int | None


class Fired(msgspec.Struct, frozen=True):
    """A limit that was broken.

    Attributes:
        at_ns: of the trade that was one too many.   until_ns: end of the cooldown.   count: in the window at `at_ns`.
    """

    code: str
    at_ns: int
    until_ns: int
    count: int


class Judged(msgspec.Struct, frozen=True):
    """What was made of the fills.

    Attributes:
        revision: the account's, then.   due_ns: the next end of a cooldown that still runs.
        fired: the last time of each limit.
    """

    revision: int = -1
    fired: tuple[Fired, ...] = ()
    due_ns: int | None = None


class _Counted(NamedTuple):
    """What is counted, oldest first, and its time."""

    items: Sequence[Any]
    time: Callable[[Any], int]


_FIRST_NS = attrgetter("first_ns")
_AT_NS = attrgetter("at_ns")
_CLOSED_NS = attrgetter("closed_ns")


class TradeFrequencyLimit(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of the rule; see the module's text."""

    name: ClassVar[str] = "trade_frequency_limit"
    # Orders and answers decide which fills are the guard's own.
    listens_to: ClassVar[frozenset[type]] = frozenset({FillReceived, OrderUpdated, ActionAccepted, ActionRejected})
    example: ClassVar[Mapping[str, object]] = {"limits": {"per_minute": 3, "per_hour": 10, "per_session": 50}}

    limits: Limits = Limits(per_minute=3, per_hour=10, per_session=50)
    windows: tuple[Window, ...] = ()
    count_unit: CountUnit = CountUnit.ORDER
    action: Action = Action.PAUSE
    cooldown_on_breach: Cooldowns = Cooldowns()
    extend: bool = False
    cancel_orders: bool = True

    @property
    def remedy(self) -> Remedy:
        return remedy_of(self.action, LockTerms(), LockoutKind.COOLDOWN)

    def initial_state(self) -> Judged:
        return Judged()

    def deadline_ns(self, state: Judged) -> int | None:
        return state.due_ns

    def step(self, state: Judged, event: Event, account: AccountView) -> tuple[Judged, tuple[Finding | Skipped, ...]]:
        if account.fills_revision != state.revision or type(event) is RulesChanged:
            state = self._judge(state, event, account)
        if not state.fired and state.due_ns is None:
            return state, ()
        now_ns = account.now_ns
        running = [fired for fired in state.fired if fired.until_ns > now_ns]
        due_ns = min((fired.until_ns for fired in running), default=None)
        if due_ns != state.due_ns:
            state = replace(state, due_ns=due_ns)
        if not running:
            return state, ()
        watches = {watch.code: watch for watch in self._watches()}
        return state, tuple(self._breach(fired, watches[fired.code]) for fired in running if fired.code in watches)

    def gauges(self, state: Judged, account: AccountView) -> tuple[Gauge, ...]:
        items, time = self._counted(account)
        return tuple(
            Gauge(
                f"{_PLURALS[self.count_unit]} {watch.label}",
                len(items) - _first_inside(watch, items, time, account.now_ns, account.day.start_ns),
                watch.most,
                _UNITS[self.count_unit],
            )
            for watch in self._watches()
        )

    def contradictions(self) -> tuple[Fault, ...]:
        faults = []
        limits = self.limits
        for shorter, longer in (
            ("per_minute", "per_hour"),
            ("per_hour", "per_session"),
            ("per_minute", "per_session"),
        ):
            less, more = getattr(limits, shorter), getattr(limits, longer)
            if less is not None and more is not None and less > more:
                faults.append(Fault(f"limits.{shorter}", f"is {less} and so can never matter: {longer} is {more}"))
        if not self._watches():
            faults.append(Fault("limits", "names no limit; write per_minute, per_hour, per_session or windows"))
        lengths = [window.length_ns for window in self.windows]
        if len(set(lengths)) < len(lengths):
            faults.append(Fault("windows", "has two of the same length; leave the weaker one out"))
        if not self.cancel_orders:
            faults.append(Fault("cancel_orders", "must be true: a resting order would trade during the cooldown"))
        if self.action is Action.ALERT and self.extend:
            faults.append(Fault("extend", "has no cooldown to make longer when the action is alert"))
        return tuple(faults)

    @classmethod
    def modernized(cls, options: dict[str, Any], faults: list[Fault]) -> dict[str, Any]:
        _gather_limits(options, faults)
        _gather_window(options, faults)
        if options.get("windows") and "limits" not in options:
            options["limits"] = {}
        if isinstance(options.get("windows"), list | tuple):
            options["windows"] = [_modern_window(window) for window in options["windows"]]
        if isinstance(options.get("cooldown_on_breach"), Mapping):
            options["cooldown_on_breach"] = _modern_durations(options["cooldown_on_breach"])
        if "close_positions" in options:
            closes = options.pop("close_positions")
            if not isinstance(closes, bool):
                faults.append(Fault("close_positions", "must be true or false"))
            elif "action" in options:
                faults.append(Fault("action", "is said twice, also as close_positions"))
            else:
                options["action"] = (Action.FLATTEN if closes else Action.PAUSE).value
        return options

    # -- judging ------------------------------------------------------------------------------------------------

    def _judge(self, state: Judged, event: Event, account: AccountView) -> Judged:
        """Look for a trade too many, from the first on that the event may have made one."""
        counted = self._counted(account)
        start = 0
        is_one_step = account.fills_revision == state.revision + 1
        # A fill may make an entry of an order that began before it.
        if type(event) is FillReceived and is_one_step and self.count_unit is not CountUnit.ENTRY:
            start = bisect_left(counted.items, event.fill.at_ns, key=counted.time)
        known = {fired.code: fired for fired in state.fired}
        latest = [self._latest(watch, known.get(watch.code), counted, start, account) for watch in self._watches()]
        return Judged(account.fills_revision, tuple(fired for fired in latest if fired is not None), state.due_ns)

    def _latest(
        self, watch: _Watch, fired: Fired | None, counted: _Counted, start: int, account: AccountView
    ) -> Fired | None:
        """When the limit was last broken; `fired` is the last time known, None for never."""
        items, time = counted
        if fired is not None:
            start = max(start, bisect_left(items, fired.at_ns, key=time))
        day = account.day
        for index in range(start, len(items)):
            at_ns = time(items[index])
            if watch.length_ns is None and at_ns < day.start_ns:
                continue
            end_ns = _end_ns(watch, at_ns, account)
            if fired is not None and at_ns < fired.until_ns and not self.extend:
                if at_ns <= fired.at_ns + BURST_NS and end_ns > fired.until_ns:
                    fired = replace(fired, until_ns=end_ns)
                continue
            # Above the limit: as many as are allowed came before this one inside its window.
            first = index - watch.most
            if first < 0 or not _is_inside(watch, time(items[first]), at_ns, day.start_ns):
                continue
            count = index + 1 - _first_inside(watch, items, time, at_ns, day.start_ns)
            until_ns = end_ns if fired is None else max(end_ns, fired.until_ns)
            fired = Fired(watch.code, at_ns, until_ns, count)
        return fired

    def _counted(self, account: AccountView) -> _Counted:
        own = account.guard_order_ids
        match self.count_unit:
            case CountUnit.ORDER:
                orders = account.filled_orders
                return _Counted([one for one in orders if not one.is_enforced] if own else orders, _FIRST_NS)
            case CountUnit.FILL:
                fills = account.valid_fills
                return _Counted([one for one in fills if one.order_id not in own] if own else fills, _AT_NS)
            case CountUnit.ENTRY:
                entries = [one for one in account.filled_orders if one.opened and not one.is_enforced]
                return _Counted(entries, _FIRST_NS)
            case CountUnit.ROUND_TURN:
                return _Counted(account.round_turns, _CLOSED_NS)

    def _watches(self) -> tuple[_Watch, ...]:
        limits, cooldowns = self.limits, self.cooldown_on_breach
        watches = []
        if limits.per_minute is not None:
            code = "TRADE_FREQUENCY_MINUTE"
            watches.append(_Watch(code, "in a minute", MINUTE_NS, limits.per_minute, cooldowns.per_minute_ns))
        if limits.per_hour is not None:
            watches.append(
                _Watch("TRADE_FREQUENCY_HOUR", "in an hour", HOUR_NS, limits.per_hour, cooldowns.per_hour_ns)
            )
        if limits.per_session is not None:
            code = "TRADE_FREQUENCY_SESSION"
            watches.append(_Watch(code, "in the session", None, limits.per_session, cooldowns.per_session_ns))
        for window in self.windows:
            text = _seconds_text(window.length_ns)
            code = f"TRADE_FREQUENCY_{text.replace('.', '_')}S"
            watches.append(_Watch(code, f"in {text} s", window.length_ns, window.max, window.cooldown_ns))
        return tuple(watches)

    def _breach(self, fired: Fired, watch: _Watch) -> Breach:
        return Breach(
            self.name,
            fired.code,
            fired.count,
            watch.most,
            _UNITS[self.count_unit],
            ACCOUNT,
            evidence=(
                ("count_unit", self.count_unit.value),
                ("window", "trading day" if watch.length_ns is None else f"{_seconds_text(watch.length_ns)} s"),
                ("cooldown", "reset" if watch.cooldown_ns is None else f"{_seconds_text(watch.cooldown_ns)} s"),
            ),
            until_ns=fired.until_ns,
        )


_UNITS = {
    CountUnit.ORDER: Unit.ORDERS,
    CountUnit.FILL: Unit.TRADES,
    CountUnit.ENTRY: Unit.ORDERS,
    CountUnit.ROUND_TURN: Unit.TRADES,
}
_PLURALS = {
    CountUnit.ORDER: "orders",
    CountUnit.FILL: "fills",
    CountUnit.ENTRY: "entries",
    CountUnit.ROUND_TURN: "round turns",
}


def _end_ns(watch: _Watch, at_ns: int, account: AccountView) -> int:
    """When a lock ends that something at `at_ns` sets."""
    if watch.cooldown_ns is not None:
        return at_ns + watch.cooldown_ns
    # What lies before the trading day locked until that began.
    return account.day.end_ns if at_ns >= account.day.start_ns else account.day.start_ns


def _is_inside(watch: _Watch, at_ns: int, now_ns: int, day_start_ns: int) -> bool:
    """Whether an earlier time lies in the window that ends now."""
    return at_ns >= day_start_ns if watch.length_ns is None else at_ns > now_ns - watch.length_ns


def _first_inside(
    watch: _Watch, items: Sequence[Any], time: Callable[[Any], int], now_ns: int, day_start_ns: int
) -> int:
    """The index of the oldest item in the window that ends now."""
    if watch.length_ns is None:
        return bisect_left(items, day_start_ns, key=time)
    return bisect_right(items, now_ns - watch.length_ns, key=time)


def _seconds_text(ns: int) -> str:
    """A duration in seconds: `60`, `0.5`."""
    whole, rest = divmod(ns, SECOND_NS)
    return f"{whole}.{rest:09d}".rstrip("0") if rest else str(whole)


# -- older spellings ---------------------------------------------------------------------------------------------------


def _gather_limits(options: dict[str, Any], faults: list[Fault]) -> None:
    """Move limits written beside `limits` into it."""
    flat = {key: options.pop(key) for key in ("per_minute", "per_hour", "per_session") if key in options}
    if not flat:
        return
    written = options.get("limits", {})
    if not isinstance(written, Mapping):
        return
    faults.extend(Fault(f"limits.{key}", f"is said twice, also as {key}") for key in flat if key in written)
    options["limits"] = {**written, **flat}


def _gather_window(options: dict[str, Any], faults: list[Fault]) -> None:
    """Turn `max_trades` in `time_window_minutes` into a window."""
    given = {key: options.pop(key) for key in ("max_trades", "time_window_minutes") if key in options}
    if not given:
        return
    minutes = given.get("time_window_minutes")
    if len(given) < 2 or isinstance(minutes, bool) or not isinstance(minutes, int):
        faults.append(Fault("max_trades", "needs time_window_minutes, a whole number, and that needs max_trades"))
        return
    if "windows" in options:
        faults.append(Fault("max_trades", "is said twice; write it as one of the windows"))
        return
    options["windows"] = [{"seconds": 60 * minutes, "max": given["max_trades"], "cooldown": 60 * minutes}]


def _modern_window(window: object) -> object:
    if not isinstance(window, Mapping):
        return window
    spelled = {("length_seconds" if key == "seconds" else key): value for key, value in window.items()}
    return _modern_durations(spelled)


def _modern_durations(options: Mapping[Any, Any]) -> dict[Any, Any]:
    """Read a bare number as seconds, and `reset` as no end but the trading day's."""
    modern: dict[Any, Any] = {}
    for key, value in options.items():
        if value in ("reset", "until_reset", "daily_reset"):
            modern[key] = None
        elif key in ("cooldown", "per_minute", "per_hour", "per_session") and not isinstance(value, str | bool):
            modern[f"{key}_seconds"] = value
        else:
            modern[key] = value
    return modern

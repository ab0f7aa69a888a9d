"""Every position carries a stop, or is closed after a grace period.

`grace_period_seconds` (default 30) is how long a position may be without a stop, counted from the venue's own time of
its opening. Exactly at the limit is allowed; after it the position is closed, as soon as a list of orders read from the
venue after the deadline still shows no stop. Working orders are read every few seconds, so that comes a moment later.

What counts as a stop: a working order of the same contract on the other side of the position, of one of `accept_types`
(`stop`, `stop_limit`, `trailing`; default all three), at any price: one at breakeven or in profit protects too. With
`require_loss_side: true` it must be on the losing side of the average entry price; a trailing stop whose price the
venue does not tell counts. A limit order is a target and never counts, nor does the waiting leg of a bracket whose
entry is still open: it counts from the moment the venue puts it to work.

`coverage` says how much of the position the stops must cover:

- `full` (default): every contract.
- `any`: one contract is enough.

What is added to a position has a grace of its own and does not renew that of the rest; closing contracts first takes
off the ones added last. When a stop is cancelled, rejected, expired or made smaller, what it covered has
`grace_on_removal_seconds` (default: the same grace; at least 2 seconds, so that replacing a stop never counts).
A position turned round is a new one, each expiry of a product is watched by itself. While the venue cannot be read,
nothing is closed: the next list of orders decides.

`apply_to_existing_at_start` (default true): a position found when the rule begins has the full grace from then; `false`
leaves it alone until it is closed or turned round. Over a restart the clocks go on.
`warn_after_seconds` (default: no warning) warns before, and must be shorter than the grace.

`action` says what happens, without a lock:

- `close_position` (default): that contract is closed, and its orders with it.
- `flatten`: all positions and orders of the account.
- `alert`: nothing is done.

Example: `grace_period_seconds: 60` and `warn_after_seconds: 30`. 3 ES bought at 09:00:00, a stop for 1 of them at
09:00:20. At 09:00:31 there is a warning, for 2 contracts are still without a stop; after 09:01:00 ES is closed.

Older spellings are understood: `grace_period`, `require_within_seconds` (with a grace period it is when to warn, alone
it is the grace). The rule places no stop itself and does not judge how far away one is; `trade_management` places one.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec.structs import replace

from risk_manager.domain.account import AccountView, HoldingView
from risk_manager.domain.events import (
    Event,
    FillReceived,
    OrderUpdated,
    PositionUpdated,
    RulesChanged,
    SnapshotTaken,
)
from risk_manager.domain.finding import Breach, Finding, Gauge, Skipped, Unit, Warning
from risk_manager.domain.order import Order, OrderStatus, OrderType
from risk_manager.domain.position import value_micros
from risk_manager.domain.scope import Scope
from risk_manager.rules._base import Demand, Remedy
from risk_manager.rules._options import Fault

_S = 1_000_000_000


class StopType(StrEnum):
    STOP = "stop"
    STOP_LIMIT = "stop_limit"
    TRAILING = "trailing"


class Coverage(StrEnum):
    """How much of a position needs a stop; see the module's text."""

    FULL = "full"
    ANY = "any"


class Action(StrEnum):
    CLOSE_POSITION = "close_position"
    FLATTEN = "flatten"
    ALERT = "alert"


_ORDER_TYPES = {
    StopType.STOP: OrderType.STOP,
    StopType.STOP_LIMIT: OrderType.STOP_LIMIT,
    StopType.TRAILING: OrderType.TRAILING_STOP,
}
_AT_WORK = frozenset({OrderStatus.WORKING, OrderStatus.PENDING})


class Clock(msgspec.Struct, frozen=True, gc=False):
    """Contracts without a stop since one instant; `is_removal`: they had one before."""

    contracts: int
    since_ns: int
    is_removal: bool = False


class Watch(msgspec.Struct, frozen=True):
    """What is remembered of one position.

    Attributes:
        clocks: of the contracts without a stop, oldest first.
        is_exempt: found at the start and left alone.
        is_confirmed: orders read after the deadline showed no stop.
    """

    position_id: str
    net_contracts: int
    clocks: tuple[Clock, ...]
    is_exempt: bool = False
    is_confirmed: bool = False


class Watches(msgspec.Struct, frozen=True):
    """The open positions by contract id; `has_begun` after the first look at the account, at venue time `seen_ns`."""

    positions: dict[str, Watch] = {}
    has_begun: bool = False
    seen_ns: int = 0


class NoStopLossGrace(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of the rule; see the module's text."""

    name: ClassVar[str] = "no_stop_loss_grace"
    listens_to: ClassVar[frozenset[type]] = frozenset({PositionUpdated, OrderUpdated, FillReceived})
    example: ClassVar[Mapping[str, object]] = {"grace_period_seconds": 60, "warn_after_seconds": 30}
    aliases: ClassVar[Mapping[str, str]] = {"grace_seconds": "grace_period_seconds"}

    grace_period_ns: Annotated[int, msgspec.Meta(gt=0)] = 30 * _S
    warn_after_ns: Annotated[int, msgspec.Meta(gt=0)] | None = None
    grace_on_removal_ns: Annotated[int, msgspec.Meta(ge=2 * _S)] | None = None
    coverage: Coverage = Coverage.FULL
    accept_types: tuple[StopType, ...] = (StopType.STOP, StopType.STOP_LIMIT, StopType.TRAILING)
    require_loss_side: bool = False
    apply_to_existing_at_start: bool = True
    action: Action = Action.CLOSE_POSITION

    @property
    def remedy(self) -> Remedy:
        return Remedy(Demand(self.action.value))

    def initial_state(self) -> Watches:
        return Watches()

    def deadline_ns(self, state: Watches) -> int | None:
        """Just after the next warning or deadline: both are strict."""
        times = [at_ns for clock in self._running(state) for at_ns in (self._warn_ns(clock), self._due_ns(clock))]
        return min((at_ns + 1 for at_ns in times if at_ns is not None and at_ns >= state.seen_ns), default=None)

    def step(self, state: Watches, event: Event, account: AccountView) -> tuple[Watches, tuple[Finding | Skipped, ...]]:
        has_begun = state.has_begun or _shows_account(event)
        if not account.holdings:
            is_same = not state.positions and has_begun == state.has_begun
            return (state if is_same else Watches({}, has_begun, account.now_ns)), ()
        positions: dict[str, Watch] = {}
        found: list[Finding | Skipped] = []
        for contract_id, holding in account.holdings.items():
            orders = [order for order in account.orders.values() if order.contract_id == contract_id]
            watch = self._watched(state, holding, orders, event, account)
            positions[contract_id] = watch
            found.extend(self._judged(watch, holding, orders, account))
        return Watches(positions, has_begun, account.now_ns), tuple(found)

    def gauges(self, state: Watches, account: AccountView) -> tuple[Gauge, ...]:
        clock = min(self._running(state), key=self._due_ns, default=None)
        age_ns = max(0, account.now_ns - clock.since_ns) if clock is not None else 0
        grace_ns = self._grace_ns(clock) if clock is not None else self.grace_period_ns
        return (Gauge("without a stop", age_ns // _S, grace_ns // _S, Unit.SECONDS),)

    def contradictions(self) -> tuple[Fault, ...]:
        faults = []
        if self.warn_after_ns is not None and self.warn_after_ns >= self.grace_period_ns:
            faults.append(Fault("warn_after_seconds", "must be shorter than grace_period_seconds"))
        if not self.accept_types:
            faults.append(Fault("accept_types", "must name at least one: stop, stop_limit, trailing"))
        return tuple(faults)

    @classmethod
    def modernized(cls, options: dict[str, Any], faults: list[Fault]) -> dict[str, Any]:
        if "require_within_seconds" not in options:
            return options
        within = options.pop("require_within_seconds")
        is_pair = any(name in options for name in ("grace_period_seconds", "grace_period_ms", "grace_period"))
        name = "warn_after_seconds" if is_pair else "grace_period_seconds"
        if name in options:
            faults.append(Fault(name, "is said more than once, also as require_within_seconds"))
        return {**options, name: within}

    # -- clocks -------------------------------------------------------------------------------------------------

    def _grace_ns(self, clock: Clock) -> int:
        if clock.is_removal and self.grace_on_removal_ns is not None:
            return self.grace_on_removal_ns
        return self.grace_period_ns

    def _due_ns(self, clock: Clock) -> int:
        return clock.since_ns + self._grace_ns(clock)

    def _warn_ns(self, clock: Clock) -> int | None:
        return None if self.warn_after_ns is None else clock.since_ns + self.warn_after_ns

    def _running(self, state: Watches) -> list[Clock]:
        return [clock for watch in state.positions.values() if not watch.is_exempt for clock in watch.clocks]

    def _overdue(self, watch: Watch, now_ns: int) -> Clock | None:
        """The clock that ran out first; None if none has."""
        over = (clock for clock in watch.clocks if now_ns > self._due_ns(clock))
        return min(over, key=self._due_ns, default=None)

    # -- one position -------------------------------------------------------------------------------------------

    def _watched(
        self, state: Watches, holding: HoldingView, orders: list[Order], event: Event, account: AccountView
    ) -> Watch:
        """The position's watch after the event."""
        before = state.positions.get(holding.contract_id)
        size = abs(holding.net_contracts)
        bare = size - self._covered(holding, orders)
        if before is None or not _is_same(before, holding):
            is_start = not state.has_begun
            since_ns = _begin_ns(holding, account.now_ns, is_seen_late=is_start or isinstance(event, SnapshotTaken))
            clocks = _counted((Clock(size, since_ns),), bare, account.now_ns)
            is_exempt = is_start and not self.apply_to_existing_at_start
            watch = Watch(holding.position_id, holding.net_contracts, clocks, is_exempt)
        else:
            clocks = _resized(before.clocks, size - abs(before.net_contracts), account.now_ns)
            watch = Watch(
                holding.position_id or before.position_id,
                holding.net_contracts,
                _counted(clocks, bare, account.now_ns),
                before.is_exempt,
                before.is_confirmed,
            )
        overdue = self._overdue(watch, account.now_ns)
        is_confirmed = overdue is not None and (watch.is_confirmed or _is_read_after(event, self._due_ns(overdue)))
        return watch if is_confirmed == watch.is_confirmed else replace(watch, is_confirmed=is_confirmed)

    def _covered(self, holding: HoldingView, orders: list[Order]) -> int:
        """Contracts of the position that count as protected."""
        size = abs(holding.net_contracts)
        covered = sum(order.remaining for order in orders if self._is_stop(order, holding))
        if self.coverage is Coverage.ANY and covered:
            return size
        return min(size, covered)

    def _is_stop(self, order: Order, holding: HoldingView) -> bool:
        if order.side.sign * holding.net_contracts >= 0 or order.status not in _AT_WORK:
            return False
        if all(order.type is not _ORDER_TYPES[accepted] for accepted in self.accept_types):
            return False
        return not self.require_loss_side or _is_on_loss_side(order, holding)

    def _judged(
        self, watch: Watch, holding: HoldingView, orders: list[Order], account: AccountView
    ) -> list[Finding | Skipped]:
        if watch.is_exempt:
            return []
        found: list[Finding | Skipped] = []
        if self.require_loss_side and orders and _entry_of(holding) is None:
            found.append(Skipped(self.name, f"entry_unknown {holding.contract_id}"))
        overdue = self._overdue(watch, account.now_ns)
        if overdue is not None and watch.is_confirmed:
            age_s = -((overdue.since_ns - account.now_ns) // _S)
            limit_s = self._grace_ns(overdue) // _S
            found.append(
                Breach(
                    self.name,
                    "NO_STOP_LOSS",
                    age_s,
                    limit_s,
                    Unit.SECONDS,
                    Scope(contract_id=holding.contract_id),
                    evidence=self._evidence(watch, holding, orders),
                )
            )
            return found
        late = [clock for clock in watch.clocks if self._is_late(clock, account.now_ns)]
        if late:
            since_ns = min(clock.since_ns for clock in late)
            found.append(
                Warning(
                    self.name,
                    "NO_STOP_LOSS_YET",
                    (account.now_ns - since_ns) // _S,
                    self._grace_ns(late[0]) // _S,
                    Unit.SECONDS,
                    Scope(contract_id=holding.contract_id),
                    self._evidence(watch, holding, orders),
                )
            )
        return found

    def _is_late(self, clock: Clock, now_ns: int) -> bool:
        warn_ns = self._warn_ns(clock)
        return warn_ns is not None and now_ns > warn_ns

    def _evidence(self, watch: Watch, holding: HoldingView, orders: list[Order]) -> tuple[tuple[str, str], ...]:
        bare = sum(clock.contracts for clock in watch.clocks)
        stops = ", ".join(order.id for order in orders if self._is_stop(order, holding))
        return (
            ("position", str(holding.net_contracts)),
            ("without_stop", str(bare)),
            ("stops", stops or "none"),
        )


def _shows_account(event: Event) -> bool:
    """Whether the account is known from this event on."""
    return isinstance(event, RulesChanged) or (isinstance(event, SnapshotTaken) and event.positions is not None)


def _is_read_after(event: Event, at_ns: int) -> bool:
    """Whether the event is a list of orders the venue gave after an instant of its own clock."""
    return isinstance(event, SnapshotTaken) and event.orders is not None and event.at_ns > at_ns


def _is_same(watch: Watch, holding: HoldingView) -> bool:
    """Whether what is held is still the watched position: the same side, and no other name."""
    if watch.net_contracts * holding.net_contracts < 0:
        return False
    return not (watch.position_id and holding.position_id) or watch.position_id == holding.position_id


def _begin_ns(holding: HoldingView, now_ns: int, *, is_seen_late: bool) -> int:
    """When the grace of a new position begins: with its opening, or when it was found open."""
    if is_seen_late or holding.opened_ns == 0:
        return now_ns
    return min(holding.opened_ns, now_ns)


def _is_on_loss_side(order: Order, holding: HoldingView) -> bool:
    """Whether the stop would close at a loss; one that cannot be judged counts as if it did."""
    entry = _entry_of(holding)
    if order.stop_ticks is None or entry is None:
        return True
    cost_micros, tick_value_micros = entry
    return value_micros(order.stop_ticks, holding.value_net, tick_value_micros) < cost_micros


def _entry_of(holding: HoldingView) -> tuple[int, int] | None:
    """What the position cost and the value of a tick, in micros; None while either is unknown."""
    if holding.contract is None or holding.value_cost is None:
        return None
    return holding.value_cost, holding.contract.instrument.tick_value_micros


def _resized(clocks: tuple[Clock, ...], grown: int, now_ns: int) -> tuple[Clock, ...]:
    """The clocks after the position grew (a new one) or shrank (the newest end first)."""
    if grown > 0:
        return (*clocks, Clock(grown, now_ns))
    return _without(clocks[::-1], -grown)[::-1]


def _counted(clocks: tuple[Clock, ...], bare: int, now_ns: int) -> tuple[Clock, ...]:
    """The clocks of exactly `bare` contracts: a new stop ends the oldest, a lost one starts another."""
    missing = bare - sum(clock.contracts for clock in clocks)
    if missing > 0:
        return (*clocks, Clock(missing, now_ns, is_removal=True))
    return _without(clocks, -missing)


def _without(clocks: tuple[Clock, ...], contracts: int) -> tuple[Clock, ...]:
    """The clocks with so many contracts taken off, from the first on."""
    left: list[Clock] = []
    for clock in clocks:
        taken = min(contracts, clock.contracts)
        contracts -= taken
        if clock.contracts > taken:
            left.append(replace(clock, contracts=clock.contracts - taken))
    return tuple(left)

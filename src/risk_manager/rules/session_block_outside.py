"""No exposure outside your trading hours: positions are closed and orders cancelled until the next session opens.

`global_session` says when you may trade. Without it these are the exchange's own hours of each product, its daily halt,
holidays and early closes included. Your own hours are written as

    global_session: {start: "09:30", end: "16:00", timezone: America/New_York, days: [0, 1, 2, 3, 4]}

The start belongs to the session, the end does not: at 16:00:00 it is over. `days` are the days a session starts on,
Monday is 0 and Sunday 6. An end that is not later than the start lies on the next day (`18:00` to `17:00`); a whole
week is `start: "Sun 17:00"`, `end: "Fri 16:00"`; several sessions a day are a list `windows`. Times follow the named
clock through every change to and from daylight saving time.

`per_instrument_sessions` gives single products hours of their own (`GC: {start: "08:20", end: "13:30", timezone:
America/New_York}`); a breach then locks that product and nothing else.

Holidays come from a calendar of the exchange, per product: where your hours reach into a holiday or beyond an early
close they end there. A session takes `holidays: false` (trade your hours regardless), `market: GC` (whose holidays
count where no product is concerned), `closed: ["2026-07-03"]` (more days without a session) and `early_close: [{date:
"2026-11-25", time: "12:00"}]`. The calendar is good for some years: 60 days before its data ends you are warned, and
after that the usual American holidays count as closed all day.

- `action`: `flatten_and_lock` (default) closes and cancels; `cancel_orders` only cancels orders that would open or add;
  `alert` does nothing.
- `close_positions_at_session_end` (default true): `false` lets you carry what you hold when the session ends; orders
  that would add are cancelled, and a position that is opened or enlarged outside the session is cut back to what was
  carried.
- `flatten_before_end_seconds` (default 0): closes so long before the end, while the market still trades. Set it where
  your session ends with the exchange's: after the close nothing can be closed before the next opening.
- `session_close_grace_seconds` (default 0): open positions may stay so long after the end; new exposure may not.
- `lockout_outside_session` (default true): the first breach locks until the next session opens, over weekends, holidays
  and days that are not yours; Friday 16:00 to Monday 09:30 is 65.5 hours. `false` removes what appears without a lock.

The lock is for the account where `global_session` has hours of your own and no product has others; it is for the
product where the exchange's hours, a product's own hours or a product's holiday are what ended.

Example: with the hours above, 2 ES long at 15:59:59 New York on a Friday are fine. At 16:00:00 they are closed, and the
account is locked until Monday 09:30. On Thursday before Good Friday 2025 it is locked until Monday as well.

Other spellings are understood and become part of the sessions: `allowed_hours` for `global_session`, `timezone`,
`allowed_days`, `block_weekends`, `respect_holidays`, `early_close` and `closed_dates` for all sessions that say nothing
else, `pre_market: {enabled: true, start: "04:00"}` and `after_hours: {enabled: true, end: "20:00"}`, which widen the
global session.

It does not keep an order from reaching the exchange, only from staying there; it cannot close while the market is
closed (it goes on trying, and succeeds at the opening); and it takes the time from the venue: before the venue has
told the time it waits.
"""

from collections.abc import Iterator, Mapping, Set
from enum import StrEnum
from typing import Annotated, Any, ClassVar

import msgspec

from risk_manager.domain.account import AccountView
from risk_manager.domain.calendar import HORIZON_WEEKS, WARNING_NS, Market, Span
from risk_manager.domain.events import Event, FillReceived, OrderUpdated, PositionUpdated, SnapshotTaken
from risk_manager.domain.finding import AtMost, Breach, Finding, Gauge, Skipped, Unit, Warning
from risk_manager.domain.lockout import Held, LockoutKind, OnLock
from risk_manager.domain.order import Order, OrderStatus
from risk_manager.domain.products import same_product, spelled_roots
from risk_manager.domain.schedule import Schedule
from risk_manager.domain.scope import ACCOUNT, Scope
from risk_manager.domain.zone import DAY_S, SECOND_NS, WEEK_S, date_of_day, weekday_of
from risk_manager.rules._base import Demand, LockTerms, Remedy
from risk_manager.rules._options import Fault
from risk_manager.rules._options.session import gathered_sessions

OUTSIDE_SESSION = "OUTSIDE_SESSION"
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


class Action(StrEnum):
    FLATTEN_AND_LOCK = "flatten_and_lock"
    CANCEL_ORDERS = "cancel_orders"
    ALERT = "alert"


class Open(msgspec.Struct, frozen=True):
    """Contracts of which there is nothing to say, whatever is held, until an instant of the venue (exclusive).

    Attributes:
        sessions, own_sessions, flatten_before_end_ns: the settings that says so by; under others it means nothing.
    """

    contract_ids: tuple[str, ...]
    until_ns: int
    sessions: Schedule
    own_sessions: Mapping[str, Schedule]
    flatten_before_end_ns: int


class Watch(msgspec.Struct, frozen=True):
    """What the rule remembers.

    Attributes:
        due_ns: venue time of the next edge that matters; None if nothing is exposed.
        carried: what was held in the contracts whose session was open when last looked at; None before the first look.
    """

    due_ns: int | None = None
    carried: tuple[Held, ...] | None = None
    open: Open | None = None


class Concern(msgspec.Struct, frozen=True):
    """One product with exposure, and its session now.

    Attributes:
        is_over: whether exposure must go: the session is closed, or ends so soon that it is flattened already.
        is_grace: it ended so recently that what was held may stay.
        edge_ns: venue time at which the answer may change.   opens_ns: when the next session opens, None if unknown.
        is_own: it is closed by hours that concern the whole account.
    """

    scope: Scope
    contract_ids: tuple[str, ...]
    timezone: str
    is_over: bool
    is_grace: bool
    edge_ns: int
    opens_ns: int | None
    is_own: bool


class SessionBlockOutside(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of the rule; see the module's text."""

    name: ClassVar[str] = "session_block_outside"
    listens_to: ClassVar[frozenset[type]] = frozenset({PositionUpdated, FillReceived, OrderUpdated})
    example: ClassVar[Mapping[str, object]] = {
        "global_session": {"start": "09:30", "end": "16:00", "timezone": "America/New_York"}
    }
    aliases: ClassVar[Mapping[str, str]] = {
        "allowed_hours": "global_session",
        "session": "global_session",
        "instrument_sessions": "per_instrument_sessions",
        "session_close_grace": "session_close_grace_seconds",
    }

    global_session: Schedule = Schedule()
    per_instrument_sessions: Mapping[str, Schedule] = {}
    action: Action = Action.FLATTEN_AND_LOCK
    close_positions_at_session_end: bool = True
    flatten_before_end_ns: Annotated[int, msgspec.Meta(ge=0)] = 0
    session_close_grace_ns: Annotated[int, msgspec.Meta(ge=0)] = 0
    lockout_outside_session: bool = True

    @property
    def remedy(self) -> Remedy:
        if self.action is Action.ALERT:
            return Remedy(Demand.ALERT)
        closes = self.action is Action.FLATTEN_AND_LOCK
        on_lock = OnLock.FLATTEN if closes and self.close_positions_at_session_end else OnLock.BLOCK_NEW
        lock = LockTerms(on_lock=on_lock, whole_account=False) if self.lockout_outside_session else None
        if not closes:
            return Remedy(Demand.CANCEL_ORDERS, lock, LockoutKind.SESSION)
        demand = Demand.CLOSE_POSITION if self.close_positions_at_session_end else Demand.REDUCE
        return Remedy(demand, lock, LockoutKind.SESSION)

    def initial_state(self) -> Watch:
        return Watch()

    def deadline_ns(self, state: Watch) -> int | None:
        return state.due_ns

    def step(self, state: Watch, event: Event, account: AccountView) -> tuple[Watch, tuple[Finding | Skipped, ...]]:
        touched = {*account.holdings, *[order.contract_id for order in _opening_orders(account)]}
        if not touched:
            return _at_rest(state, event), ()
        if not account.now_ns:
            return state, (Skipped(self.name, "venue_time_unknown"),)
        if state.open is not None and self._is_open(state.open, touched, account.now_ns):
            carried = _held(account)
            return (state if carried == state.carried else msgspec.structs.replace(state, carried=carried)), ()
        found: list[Finding | Skipped] = []
        concerns: list[Concern] = []
        markets: list[Market] = []
        for (scope, name), contract_ids in sorted(_by_product(touched, account).items(), key=str):
            schedule = self._schedule_of(name, contract_ids, account)
            missing = schedule.lacks(account.calendar, _market(schedule, name, account))
            if missing is not None:
                found.append(Skipped(self.name, missing))
            else:
                concerns.append(self._concern(scope, name, tuple(contract_ids), schedule, account))
                market = account.calendar.market(_market(schedule, name, account))
                if market is not None and (schedule.holidays or not schedule.windows):
                    markets.append(market)
                    found.extend(self._doubts(market, account))
        carried = _carried(state.carried, concerns, account)
        found.extend(self._breaches(concerns, carried, account))
        due_ns = min((one.edge_ns for one in concerns), default=None)
        watch = Watch(due_ns, carried)
        is_described = touched <= account.contracts.keys()
        if due_ns is not None and is_described and not found and not any(one.is_over for one in concerns):
            until_ns = min([due_ns, *(market.known_until_ns - WARNING_NS for market in markets)])
            watch = Watch(due_ns, carried, self._opened(touched, until_ns))
        return (state if watch == state else watch), tuple(found)

    def gauges(self, state: Watch, account: AccountView) -> tuple[Gauge, ...]:
        """How much of the session has passed; nothing while it is closed."""
        if not account.now_ns or self.global_session.lacks(account.calendar) is not None:
            return ()
        span = self.global_session.span_at(account.now_ns, account.calendar)
        if not span.is_open or span.until_ns - span.since_ns > WEEK_S * SECOND_NS:
            return ()
        passed_s = (account.now_ns - span.since_ns) // SECOND_NS
        return (Gauge("session", passed_s, (span.until_ns - span.since_ns) // SECOND_NS, Unit.SECONDS),)

    def contradictions(self) -> tuple[Fault, ...]:
        faults = []
        if self.flatten_before_end_ns and self.session_close_grace_ns:
            faults.append(Fault("session_close_grace_seconds", "cannot stand beside flatten_before_end_seconds"))
        if not self.close_positions_at_session_end and (self.flatten_before_end_ns or self.session_close_grace_ns):
            option = "flatten_before_end_seconds" if self.flatten_before_end_ns else "session_close_grace_seconds"
            faults.append(Fault(option, "means nothing while close_positions_at_session_end is false"))
        spelled: dict[str, str] = {}
        for symbol in self.per_instrument_sessions:
            product = same_product(symbol)
            if product in spelled:
                faults.append(
                    Fault(f"per_instrument_sessions.{symbol}", f"names the same product as {spelled[product]}")
                )
            spelled[product] = symbol
        return tuple(faults)

    @classmethod
    def modernized(cls, options: dict[str, Any], faults: list[Fault]) -> dict[str, Any]:
        if options.get("action") in ("flatten", "close_all", "close_all_and_lockout"):
            options["action"] = Action.FLATTEN_AND_LOCK.value
        return gathered_sessions(options, faults)

    # -- inside -------------------------------------------------------------------------------------------------

    def _opened(self, contract_ids: Set[str], until_ns: int) -> Open:
        ids = tuple(sorted(contract_ids))
        return Open(ids, until_ns, self.global_session, self.per_instrument_sessions, self.flatten_before_end_ns)

    def _is_open(self, known: Open, contract_ids: set[str], now_ns: int) -> bool:
        """Whether it is known that there is nothing to say of these contracts."""
        return (
            now_ns < known.until_ns
            and contract_ids.issubset(known.contract_ids)
            and known.sessions == self.global_session
            and known.own_sessions == self.per_instrument_sessions
            and known.flatten_before_end_ns == self.flatten_before_end_ns
        )

    def _schedule_of(self, name: str, contract_ids: list[str], account: AccountView) -> Schedule:
        """The session of a product: its own, or the global one."""
        contract = account.contracts.get(contract_ids[0])
        for symbol, schedule in self.per_instrument_sessions.items():
            if contract is not None and contract.instrument.is_called(symbol):
                return schedule
            if contract is None and same_product(symbol) in spelled_roots(name):
                return schedule
        return self.global_session

    def _concern(
        self, scope: Scope, name: str, contract_ids: tuple[str, ...], schedule: Schedule, account: AccountView
    ) -> Concern:
        now_ns, calendar, market = account.now_ns, account.calendar, _market(schedule, name, account)
        span = schedule.span_at(now_ns, calendar, market)
        flat_ns = span.until_ns - self.flatten_before_end_ns
        if span.is_open and now_ns < flat_ns:
            return Concern(scope, contract_ids, schedule.timezone, False, False, flat_ns, None, False)
        is_own = self._is_own(schedule, span, account)
        if is_own:
            # The whole account waits for one opening, so one market's holidays decide when that is.
            market = schedule.market
        opens_ns = schedule.next_open_ns(span.until_ns if span.is_open else now_ns, calendar, market)
        grace_ns = self._grace_until_ns(schedule, span, account, market)
        if now_ns < grace_ns:
            edge_ns = min(grace_ns, span.until_ns)
            return Concern(scope, contract_ids, schedule.timezone, True, True, edge_ns, opens_ns, is_own)
        return Concern(scope, contract_ids, schedule.timezone, True, False, span.until_ns, opens_ns, is_own)

    def _is_own(self, schedule: Schedule, span: Span, account: AccountView) -> bool:
        """Whether hours of the trader's own, meant for everything held, are what is closed or ending."""
        if self.per_instrument_sessions or not schedule.windows:
            return False
        regardless = msgspec.structs.replace(schedule, holidays=False).span_at(account.now_ns, account.calendar)
        return regardless.until_ns == span.until_ns if span.is_open else not regardless.is_open

    def _grace_until_ns(self, schedule: Schedule, span: Span, account: AccountView, market: str) -> int:
        """Venue time up to which what was held may stay; 0 if there is no grace, or it is over."""
        if span.is_open or not self.session_close_grace_ns:
            return 0
        before = schedule.span_at(account.now_ns - self.session_close_grace_ns, account.calendar, market)
        return before.until_ns + self.session_close_grace_ns if before.is_open else 0

    def _breaches(self, concerns: list[Concern], carried: tuple[Held, ...], account: AccountView) -> Iterator[Breach]:
        over = [one for one in concerns if one.is_over]
        own = [one for one in over if one.is_own]
        if own:
            ids = tuple(key for one in own for key in one.contract_ids)
            yield from self._breach(msgspec.structs.replace(own[0], scope=ACCOUNT, contract_ids=ids), carried, account)
        for one in over:
            if not one.is_own:
                yield from self._breach(one, carried, account)

    def _breach(self, concern: Concern, carried: tuple[Held, ...], account: AccountView) -> Iterator[Breach]:
        """The breach, unless everything that is there may stay."""
        held = [account.holdings[key] for key in sorted(concern.contract_ids) if key in account.holdings]
        orders = tuple(order.id for order in _opening_orders(account) if order.contract_id in concern.contract_ids)
        may_stay = concern.is_grace or not self.close_positions_at_session_end
        targets = tuple(
            AtMost(one.contract_id, most)
            for one in held
            if abs(one.net_contracts) > (most := _allowance(carried, one.contract_id, one.net_contracts))
        )
        judged = targets if may_stay else held
        if self.action is Action.CANCEL_ORDERS:
            judged = ()
        if concern.is_grace:
            orders = ()
        if not judged and not orders:
            return
        yield Breach(
            self.name,
            OUTSIDE_SESSION,
            sum(abs(one.net_contracts) for one in held),
            0,
            Unit.CONTRACTS,
            concern.scope,
            targets=targets,
            cancels=orders if self.action is Action.FLATTEN_AND_LOCK and may_stay else (),
            evidence=self._evidence(concern, len(orders), account),
            until_ns=_until_ns(concern, account),
        )

    def _evidence(self, concern: Concern, orders: int, account: AccountView) -> tuple[tuple[str, str], ...]:
        zone = account.calendar.zone(concern.timezone)
        assert zone is not None, concern
        opens = "none known" if concern.opens_ns is None else _clock(zone.wall_ns(concern.opens_ns))
        return (
            ("now", _clock(zone.wall_ns(account.now_ns))),
            ("opens", opens),
            ("timezone", concern.timezone),
            ("orders", str(orders)),
        )

    def _doubts(self, market: Market, account: AccountView) -> Iterator[Warning]:
        """A warning while the calendar that is needed runs out, or has."""
        is_known = market.is_known(account.now_ns)
        if is_known and account.now_ns < market.known_until_ns - WARNING_NS:
            return
        left_days = (market.known_until_ns - account.now_ns) // (DAY_S * SECOND_NS)
        yield Warning(
            self.name,
            "CALENDAR_RUNS_OUT" if is_known else "CALENDAR_STALE",
            max(0, left_days) if is_known else 0,
            WARNING_NS // (DAY_S * SECOND_NS),
            Unit.NONE,
            ACCOUNT,
            (("market", market.name), ("covers_until", _clock(market.zone.wall_ns(market.known_until_ns)))),
        )


def _at_rest(state: Watch, event: Event) -> Watch:
    """The memory of a flat account: nothing is carried, once a snapshot has shown that it is flat."""
    is_shown = state.carried is not None or (isinstance(event, SnapshotTaken) and event.positions is not None)
    rest = Watch(carried=() if is_shown else None)
    return state if state == rest else rest


def _market(schedule: Schedule, name: str, account: AccountView) -> str:
    """The market whose sessions and holidays count for a product; an unknown one follows the schedule's."""
    return name if account.calendar.market(name) is not None else schedule.market


def _by_product(contract_ids: Set[str], account: AccountView) -> dict[tuple[Scope, str], list[str]]:
    """Contracts by their product: its scope and name."""
    found: dict[tuple[Scope, str], list[str]] = {}
    for contract_id in sorted(contract_ids):
        contract = account.contracts.get(contract_id)
        if contract is not None:
            key = Scope(root=contract.root), contract.root
        else:
            key = Scope(contract_id=contract_id), _named_in(contract_id, account)
        found.setdefault(key, []).append(contract_id)
    return found


def _named_in(contract_id: str, account: AccountView) -> str:
    """The product the id of an undescribed contract names, if the calendar knows one; else the id."""
    known = (root for root in sorted(spelled_roots(contract_id)) if account.calendar.market(root) is not None)
    return next(known, contract_id)


def _opening_orders(account: AccountView) -> list[Order]:
    return [order for order in account.orders.values() if _is_opening(order, account)]


def _is_opening(order: Order, account: AccountView) -> bool:
    """Whether an order could open a position or add to one; an order that waits for its parent goes with that."""
    if order.status is OrderStatus.SUSPENDED or order.remaining == 0:
        return False
    holding = account.holdings.get(order.contract_id)
    net = holding.net_contracts if holding is not None else 0
    return order.side.sign * net >= 0 or order.remaining > abs(net)


def _carried(known: tuple[Held, ...] | None, concerns: list[Concern], account: AccountView) -> tuple[Held, ...]:
    """What was held at the end of each contract's last open session; at the first look, what is held then."""
    closed = {key for one in concerns if one.is_over for key in one.contract_ids}
    kept = [one for one in known or () if one.contract_id in closed and one.contract_id in account.holdings]
    fresh = [one for one in _held(account) if known is None or one.contract_id not in closed]
    return tuple(sorted((*kept, *fresh), key=lambda one: one.contract_id))


def _held(account: AccountView) -> tuple[Held, ...]:
    """What is held now, by contract."""
    return tuple(Held(key, holding.net_contracts) for key, holding in sorted(account.holdings.items()))


def _allowance(carried: tuple[Held, ...], contract_id: str, net_contracts: int) -> int:
    """Contracts of a position that were carried into the closed hours."""
    same = (one for one in carried if one.contract_id == contract_id and one.net_contracts * net_contracts > 0)
    return max((abs(one.net_contracts) for one in same), default=0)


def _until_ns(concern: Concern, account: AccountView) -> int:
    """The end of the lock: the next opening, or where none is known the end of what was looked at."""
    if concern.opens_ns is not None:
        return concern.opens_ns
    return account.day.start_ns + HORIZON_WEEKS * WEEK_S * SECOND_NS


def _clock(wall_ns: int) -> str:
    """A wall time as a trader reads it: `Fri 2026-01-09 16:00:00`."""
    day, second = divmod(wall_ns // SECOND_NS, DAY_S)
    minutes, seconds = divmod(second, 60)
    return f"{_WEEKDAYS[weekday_of(day)]} {date_of_day(day)} {minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}"

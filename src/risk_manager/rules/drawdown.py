"""Stop before the firm's drawdown does.

The account may never fall `max_drawdown` dollars below its high-water mark. What the mark is follows from `mode`:

- `eod_trailing` (default): the highest closing balance of all trading days, frozen until the next day begins. What
  is open at the close does not count; since some firms count it, a position held over the close is warned about.
- `intraday_trailing`: the highest equity ever seen, open profit included, quote by quote.
- `trail_on_closed`: the highest balance ever seen; an open profit does not raise it.
- `static`: the starting balance; it never rises.
- `daily_trailing`: the highest equity since the trading day began.

Equity is balance and open profit, fees taken off. At the floor (mark less `max_drawdown`) the rule fires
(`inclusive: false`: only below it). Once the mark reaches `trigger_at` the floor stands at `lock_at` for good, and it
never rises above that; `trigger_at` left out is where the floor arrives there by itself. Without `lock_at` it rises for
ever. The floor never falls.

`starting_balance` is where the mark begins; left out, the first balance the guard sees. With `frame: profit` all levels
(`lock_at`, `trigger_at`, `floors`) are written as profit since the start, and `starting_balance` is what the venue
shows at a profit of 0; with `frame: account` (default) they are balances as the venue shows them.

What a balance cannot tell is written down: `floors` raises the floor from a trading day on, as a payout does
(`{from_day: "2026-03-02", floor: 50000}`), and `restarts` begins anew from a day (`{from_day: "2026-03-09",
starting_balance: 50000}`). A balance that rises by no fill is not counted and warned about; one that falls is.

`action` says what happens: `flatten` (default) closes and cancels everything and locks, `alert` does nothing. `lockout`
(default `reset`) is until the trading day ends, and again as long as the account is below the floor. With
`lock_until_changed: true` no day ends it: only changed levels (`max_drawdown`, `lock_at`, `floors`, `restarts`) do.

Example: `starting_balance: 50000`, `max_drawdown: 2000`, `lock_at: 50000`. The floor begins at 48,000. After a day that
closes at 50,500 it is 48,500, and stays there after a day at 50,000. After a day at 52,500 it is 50,000 for good.

What it does not do: it does not ask the firm. Where the firm's figure differs, write the floor the firm shows into
`floors`. At the start it warns when the floor is ten drawdowns away: the levels may count from another zero than the
account. A position without a quote is reported as not evaluated and counts nothing.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, ClassVar

import msgspec

from risk_manager.domain.account import AccountView
from risk_manager.domain.events import AccountUpdated, Event, FillReceived, PositionUpdated, QuoteUpdated
from risk_manager.domain.finding import Breach, Finding, Gauge, Release, Skipped, Unit, Warning
from risk_manager.domain.opening_balance import OpeningBalance, followed, net_micros, uncertain_loss_micros
from risk_manager.domain.scope import ACCOUNT
from risk_manager.rules._base import UNBOUNDED, Demand, LockTerms, LockUntil, Remedy, Slack, quote_missing
from risk_manager.rules._options import Fault, dollars_text

_TOLERATED = 100
"""A hundredth of the drawdown: rounding, and fees that are no fill's, need no warning."""

_FAR = 10
"""So many times the drawdown above its floor an account hardly ever is: its levels count from another zero."""


class Mode(StrEnum):
    EOD_TRAILING = "eod_trailing"
    INTRADAY_TRAILING = "intraday_trailing"
    TRAIL_ON_CLOSED = "trail_on_closed"
    STATIC = "static"
    DAILY_TRAILING = "daily_trailing"


class Frame(StrEnum):
    ACCOUNT = "account"
    PROFIT = "profit"


class Action(StrEnum):
    FLATTEN = "flatten"
    ALERT = "alert"


class Floor(msgspec.Struct, frozen=True, kw_only=True):
    """From a trading day on the floor is at least this."""

    from_day: str
    floor_micros: int


class Restart(msgspec.Struct, frozen=True, kw_only=True):
    """From a trading day on the mark begins anew."""

    from_day: str
    starting_balance_micros: int


class Water(msgspec.Struct, frozen=True):
    """What the rule remembers; money in micros, `opening` as the venue counts and the rest in the rule's frame.

    Attributes:
        opening: the balance the day began with.
        mark: the high-water mark as far as it is certain; None until there is one.
        tide: the highest result of the day, closed and open, since the opening balance last changed; None: none seen.
        close_day: the trading day whose opening balance, the last close, has been looked at.
        restarts: how many of the settings' restarts are behind it.   broken: the levels that were breached.
        balance: the opening balance's upper bound and the day's closed result.
    """

    opening: OpeningBalance = OpeningBalance()
    mark: int | None = None
    tide: int | None = None
    close_day: str = ""
    restarts: int = 0
    broken: tuple[int, ...] = ()
    balance: int = 0


class Drawdown(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of the rule; see the module's text.

    Attributes:
        lock_at_micros, trigger_at_micros: None where the floor never stops, and where it stops by arriving.
    """

    name: ClassVar[str] = "drawdown"
    listens_to: ClassVar[frozenset[type]] = frozenset({PositionUpdated, FillReceived, QuoteUpdated, AccountUpdated})
    example: ClassVar[Mapping[str, object]] = {"max_drawdown": 2000, "starting_balance": 50000, "lock_at": 50000}
    aliases: ClassVar[Mapping[str, str]] = {"limit": "max_drawdown", "trailing_max_drawdown": "max_drawdown"}
    stricter: ClassVar[Mapping[str, str]] = {"max_drawdown_micros": "lower"}

    max_drawdown_micros: Annotated[int, msgspec.Meta(gt=0)]
    mode: Mode = Mode.EOD_TRAILING
    starting_balance_micros: int | None = None
    lock_at_micros: int | None = None
    trigger_at_micros: int | None = None
    frame: Frame = Frame.ACCOUNT
    floors: tuple[Floor, ...] = ()
    restarts: tuple[Restart, ...] = ()
    inclusive: bool = True
    action: Action = Action.FLATTEN
    lockout: LockTerms | None = LockTerms()
    lock_until_changed: bool = False

    @property
    def remedy(self) -> Remedy:
        if self.action is Action.ALERT:
            return Remedy(Demand.ALERT)
        return Remedy(Demand.FLATTEN, LockTerms(LockUntil.CONDITION) if self.lock_until_changed else self.lockout)

    def initial_state(self) -> Water:
        return Water()

    def deadline_ns(self, state: Water) -> int | None:
        return state.opening.due_ns

    def contradictions(self) -> tuple[Fault, ...]:
        faults = []
        if self.trigger_at_micros is not None:
            if self.lock_at_micros is None:
                faults.append(Fault("trigger_at", "needs lock_at: where the floor is to stand from then on"))
            elif self.trigger_at_micros < self.lock_at_micros:
                faults.append(Fault("trigger_at", "is below lock_at: the account would be below the floor at once"))
        begin = self._begin("")
        if (
            self.lock_at_micros is not None
            and begin is not None
            and self.lock_at_micros < begin - self.max_drawdown_micros
        ):
            faults.append(Fault("lock_at", "is below where the floor begins; is it written in the other frame?"))
        if self.frame is Frame.PROFIT and self.starting_balance_micros is None:
            faults.append(Fault("starting_balance", "is missing: what does the venue show at a profit of 0?"))
        if self.mode is Mode.DAILY_TRAILING and (self.lock_at_micros is not None or self.floors or self.restarts):
            faults.append(Fault("mode", "daily_trailing begins anew every day: no lock_at, floors or restarts"))
        if self.action is Action.ALERT and (self.lock_until_changed or self.lockout not in (None, LockTerms())):
            faults.append(Fault("lockout", "an alert does nothing to the account; choose flatten to lock it"))
        if self.lock_until_changed and self.lockout != LockTerms():
            faults.append(Fault("lockout", "has no meaning with lock_until_changed"))
        faults.extend(_day_faults("floors", [one.from_day for one in self.floors]))
        faults.extend(_day_faults("restarts", [one.from_day for one in self.restarts]))
        return tuple(faults)

    def step(self, state: Water, event: Event, account: AccountView) -> tuple[Water, tuple[Finding | Skipped, ...]]:
        if account.now_ns == 0:
            return state, ()
        before, state = state, self._followed(state, event, account)
        if state.opening.low_micros is None:
            return state, ((Skipped(self.name, "balance_unknown"),) if account.holdings else ())
        found = [*self._said(before, state, account)]
        state = self._judge(state, account, found)
        # One object for one state: a step that changes nothing is told by that.
        return (before if state == before else state), tuple(found)

    def slack(self, state: Water, account: AccountView) -> Slack | None:
        opening = state.opening
        if opening.low_micros is None or not opening.is_exact or state.broken:
            return None
        equity = state.balance + account.unrealized_micros
        down = equity - self.floor_micros(state)
        if self._has_begun_with_money:
            down = min(down, equity + self._zero())
        up = UNBOUNDED
        if self.mode in (Mode.INTRADAY_TRAILING, Mode.DAILY_TRAILING):
            if state.tide is None:
                return None
            # Up to the day's highest result the mark stays where it is.
            up = state.tide - net_micros(account) - account.unrealized_micros + 1
        due_ns = opening.due_ns if opening.due_ns is not None else UNBOUNDED
        return Slack(down, up, min(opening.day_end_ns, due_ns))

    def gauges(self, state: Water, account: AccountView) -> tuple[Gauge, ...]:
        if state.opening.low_micros is None:
            return ()
        equity = state.balance + account.unrealized_micros
        used = max(0, self.floor_micros(state) + self.max_drawdown_micros - equity)
        return (Gauge("drawdown", used, self.max_drawdown_micros, Unit.MICROS),)

    def floor_micros(self, state: Water) -> int:
        """The equity the account must stay above, in the rule's frame."""
        mark = self._mark(state)
        floor = mark - self.max_drawdown_micros
        if self.lock_at_micros is not None:
            floor = self.lock_at_micros if self._is_locked(mark) else min(floor, self.lock_at_micros)
        return max([floor, *(one.floor_micros for one in self.floors if one.from_day <= state.opening.day)])

    def _is_locked(self, mark: int) -> bool:
        """Whether the floor stands at `lock_at` wherever the mark alone would have it."""
        return self.trigger_at_micros is not None and mark >= self.trigger_at_micros

    def _mark(self, state: Water) -> int:
        """The high-water mark to judge the equity by, which counts from the opening balance's upper bound.

        So does the mark: had the day begun with less, it would be lower, but by no more than the equity. Who is at the
        floor so is there or below it however the day began; only a floor that jumps in between is the lower one's.
        """
        opening = state.opening
        least = self._mark_from(state, opening.low_micros or 0)
        if opening.low_micros == opening.high_micros:
            return least
        most = self._mark_from(state, opening.high_micros)
        return most if self._is_locked(most) == self._is_locked(least) else least

    def _mark_from(self, state: Water, opening_micros: int) -> int:
        """The mark of this moment if the day began with such a balance, in the rule's frame."""
        begin = self._begin(state.opening.day)
        if self.mode is Mode.STATIC and begin is not None:
            return begin
        seen = self._seen(state, opening_micros)
        return seen if begin is None else max(seen, begin)

    def _seen(self, state: Water, opening_micros: int) -> int:
        """The same, whatever is written down."""
        opening = opening_micros - self._zero()
        if self.mode is Mode.EOD_TRAILING and state.close_day != state.opening.day:
            return opening if state.mark is None else max(state.mark, opening)
        if not self._rises:
            return opening if state.mark is None else state.mark
        top = opening + (state.tide or 0)
        if state.mark is not None:
            return max(state.mark, top)
        return top if self.mode is Mode.DAILY_TRAILING else max(opening, top)

    def _remembered(self, state: Water) -> int:
        """The mark as far as it is certain: from the lower bound."""
        return self._seen(state, state.opening.low_micros or 0)

    @property
    def _rises(self) -> bool:
        """Whether the mark follows the day's result."""
        return self.mode not in (Mode.STATIC, Mode.EOD_TRAILING)

    # -- following the account ----------------------------------------------------------------------------------

    def _zero(self) -> int:
        """The venue's balance at which the rule's frame begins."""
        return (self.starting_balance_micros or 0) if self.frame is Frame.PROFIT else 0

    def _begin(self, day: str) -> int | None:
        """Where the mark begins, as it is written down; None where the first balance seen says so."""
        if self.mode is Mode.DAILY_TRAILING:
            return None
        due = [one for one in self.restarts if one.from_day <= day]
        balance = (
            max(due, key=lambda one: one.from_day).starting_balance_micros if due else self.starting_balance_micros
        )
        return None if balance is None else balance - self._zero()

    def _followed(self, state: Water, event: Event, account: AccountView) -> Water:
        """The state with the account's figures of this moment, and the mark they have raised."""
        days = {one.from_day for one in self.floors} | {one.from_day for one in self.restarts}
        # What an administrator has written down for a day the venue's balance of that day shows.
        known = state.opening
        opening = followed(known, event, account, is_trusted=account.day.label in days)
        if opening.low_micros is None:
            is_over = self.mode is Mode.DAILY_TRAILING and known.day != opening.day
            return msgspec.structs.replace(state, opening=opening, mark=None if is_over else state.mark)
        if known.low_micros is None:
            state = msgspec.structs.replace(state, tide=None)
        elif known.day != opening.day:
            state = self._turned(state)
        elif opening.low_micros != known.low_micros and known.is_settled:
            # The peaks so far belong to the balance so far.
            state = msgspec.structs.replace(state, mark=self._remembered(state), tide=None)
        state = self._restarted(msgspec.structs.replace(state, opening=opening))
        state = self._settled(self._risen(state, account))
        return msgspec.structs.replace(state, balance=opening.high_micros - self._zero() + net_micros(account))

    def _turned(self, state: Water) -> Water:
        """The state at the end of its day."""
        if self.mode is Mode.DAILY_TRAILING:
            return msgspec.structs.replace(state, mark=None, tide=None)
        return msgspec.structs.replace(state, mark=self._remembered(state), tide=None)

    def _restarted(self, state: Water) -> Water:
        """The state after the restarts that have come due."""
        day = state.opening.day
        due = [one.from_day for one in self.restarts if one.from_day <= day]
        if len(due) <= state.restarts:
            return state if len(due) == state.restarts else msgspec.structs.replace(state, restarts=len(due))
        # The close before a restart is no close of the account that began with it.
        close_day = day if day in due else state.close_day
        mark = self._begin(day)
        return msgspec.structs.replace(state, restarts=len(due), mark=mark, tide=None, close_day=close_day)

    def _risen(self, state: Water, account: AccountView) -> Water:
        """The state with the day's highest result; what an unpriced position hides could only lower it."""
        if not self._rises:
            return state
        result = net_micros(account)
        if self.mode is not Mode.TRAIL_ON_CLOSED:
            if account.unpriced:
                return state
            result += account.unrealized_micros
        if state.tide is not None and result <= state.tide:
            return state
        return msgspec.structs.replace(state, tide=result)

    def _settled(self, state: Water) -> Water:
        """The state with its mark made certain, where the opening balance is."""
        if not state.opening.is_settled:
            return state
        return msgspec.structs.replace(state, mark=self._remembered(state), close_day=state.opening.day)

    # -- judging ------------------------------------------------------------------------------------------------

    def _said(self, before: Water, state: Water, account: AccountView) -> Iterator[Finding | Skipped]:
        """What cannot be seen, and what an administrator should look at."""
        yield from quote_missing(self.name, account.unpriced)
        known, opening = before.opening, state.opening
        came, left = opening.ignored_micros - known.ignored_micros, opening.taken_micros - known.taken_micros
        if known.day == opening.day and abs(came - left) * _TOLERATED > self.max_drawdown_micros:
            yield self._warning("BALANCE_UNEXPLAINED", came - left, account)
        room = state.balance + account.unrealized_micros - self.floor_micros(state)
        if known.low_micros is None and room > _FAR * self.max_drawdown_micros:
            yield self._warning("FLOOR_FAR", room, account)
        is_turn = known.low_micros is not None and known.day != opening.day
        if is_turn and self.mode is Mode.EOD_TRAILING and account.holdings:
            yield self._warning("HELD_OVER_CLOSE", account.unrealized_micros, account)

    def _warning(self, code: str, measured: int, account: AccountView) -> Warning:
        evidence = (("balance", dollars_text(account.balance_micros or 0)), ("amount", dollars_text(measured)))
        return Warning(self.name, code, measured, 0, Unit.MICROS, ACCOUNT, evidence)

    def _judge(self, state: Water, account: AccountView, found: list[Finding | Skipped]) -> Water:
        """The state after the verdict, which is added to what was found."""
        floor = self.floor_micros(state)
        equity = state.balance + account.unrealized_micros + uncertain_loss_micros(state.opening, account)
        own = [lockout for lockout in account.lockouts if lockout.rule == self.name]
        if equity < floor or (self.inclusive and equity == floor) or self._is_gone(equity):
            # While the rule's own lock holds a flat account there is nothing left to demand.
            if account.holdings or not own:
                found.append(self._breach(state, equity, floor))
            return state if state.broken else msgspec.structs.replace(state, broken=self._levels())
        if not state.broken:
            return state
        lasting = [lockout for lockout in own if lockout.until_ns is None]
        if lasting and state.broken == self._levels():
            return state
        found.extend(Release(self.name, lockout.scope, "levels changed") for lockout in lasting)
        return msgspec.structs.replace(state, broken=())

    def _is_gone(self, equity: int) -> bool:
        """Whether an account that began with money has none left."""
        return self._has_begun_with_money and equity + self._zero() <= 0

    @property
    def _has_begun_with_money(self) -> bool:
        return (self.starting_balance_micros or 0) > 0

    def _levels(self) -> tuple[int, ...]:
        """What an administrator changes to say that the account may go on."""
        lock_at = self.lock_at_micros or 0
        floors = [one.floor_micros for one in self.floors]
        return (self.max_drawdown_micros, lock_at, len(self.restarts), *floors)

    def _breach(self, state: Water, equity: int, floor: int) -> Breach:
        return Breach(
            self.name,
            "DRAWDOWN",
            equity,
            floor,
            Unit.MICROS,
            ACCOUNT,
            evidence=(
                ("mode", self.mode.value),
                ("mark", dollars_text(self._mark(state))),
                ("floor", dollars_text(floor)),
                ("balance", dollars_text(state.balance)),
                ("unrealized", dollars_text(equity - state.balance)),
            ),
        )


def _day_faults(option: str, days: list[str]) -> list[Fault]:
    """A fault for each text that is no date; days are compared as texts."""
    faults = []
    for index, day in enumerate(days):
        parts = day.split("-")
        if [len(part) for part in parts] != [4, 2, 2] or not all(part.isascii() and part.isdigit() for part in parts):
            faults.append(Fault(f"{option}[{index}].from_day", 'must be a quoted date such as "2026-03-02"'))
    return faults

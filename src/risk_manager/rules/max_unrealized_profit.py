"""Take an open profit, or do not let a winner become a loser.

`mode: profit_target` (default) closes at an open profit of `profit_target` dollars. At the target the rule fires
(`inclusive: false`: only beyond it).

`mode: breakeven` closes a position that has been well ahead and has come back. It must first be armed: once the open
profit has reached `breakeven_arm_profit` dollars, the rule fires when the open profit is down to breakeven. With
`breakeven_offset_ticks` (default 0) it fires that many ticks per contract before: 2 keeps two ticks. Taking part of the
position off, or adding to it, keeps it armed; flat or reversed, the next position has to be armed again, and so has a
group of positions when one of them is closed. A restart forgets nothing.

Open profit is what closing now would bring: a long is marked at the bid, a short at the ask.
`scope` says what is measured: each contract by itself (`per_position`, default), each product over its expiries
(`per_instrument`), or the account (`total`).

`action` says what happens: `close_position` (default) closes what was measured, `flatten` closes everything,
`flatten_and_lock` also locks the account until the trading day ends, `alert` does nothing. `lockout` sets the lock's
terms, and adds a lock to the other actions; without one a new position is welcome.

`composite_enforcement` ties the open profit to the day's target. With `enabled: true` and `profit_target: 1000` all
positions together need to bring only what the day still lacks: after 800 realized, 200. Then everything is closed.
Left out, `profit_target` is the target of the rule daily_realized_profit. `respect_profit_target: false` switches the
tie off again, `include_fees: false` leaves fees out of the day's result. Once the day has reached its target,
daily_realized_profit is in charge.

Without quotes an open profit cannot be seen: a contract that never had one is reported as not evaluated, and a quote
older than `max_quote_age_seconds` (default 10) is warned about and the last price kept. `check_interval_seconds`
(default 5, at least 1) is how often this is looked at when nothing else happens.

Example: 2 MNQ from 21,000 with `profit_target: 1000`. A point is 2 dollars, so at 21,249.75 the open profit is 999
dollars and nothing happens; at 21,250 it is 1,000 and both are closed. In `breakeven` mode with
`breakeven_arm_profit: 200` it is armed at 21,050; should the bid come back to 21,000, both are closed.

What it does not do: it places no order at the venue, so what the close brings depends on the market of that moment; a
resting target or stop is what trade_management is for. Older spellings are understood: `target`,
`lockout_on_breach`, `lockout_until`, `lockout_duration`.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any, ClassVar, NamedTuple

import msgspec

from risk_manager.domain.account import AccountView, HoldingView
from risk_manager.domain.day_budget import profit_room_micros
from risk_manager.domain.events import Event, FillReceived, PositionUpdated, QuoteUpdated
from risk_manager.domain.finding import Breach, Finding, Gauge, Skipped, Unit
from risk_manager.domain.scope import Scope
from risk_manager.rules._base import UNBOUNDED, LockTerms, Remedy, Slack, quote_missing
from risk_manager.rules._open_profit import (
    SECOND_NS,
    Action,
    Magnitude,
    Together,
    day_budget,
    evidence_of,
    grouped,
    linked_composite,
    name_of,
    next_look_ns,
    quiet_until_ns,
    remedy_of,
    stale_quotes,
)
from risk_manager.rules._options import ALERT_LOCKS, Fault


class Mode(StrEnum):
    PROFIT_TARGET = "profit_target"
    BREAKEVEN = "breakeven"


class CompositeEnforcement(msgspec.Struct, frozen=True, kw_only=True):
    """The day's target for open profits; see the module's text."""

    enabled: bool = False
    respect_profit_target: bool = True
    profit_target_micros: Magnitude | None = None
    include_fees: bool = True


class Leg(msgspec.Struct, frozen=True, gc=False):
    """One position among those that are armed together: enough to tell it from the next one in its contract.

    Attributes:
        sign: 1 long, -1 short.   position_id: the venue's; empty until the venue has stated it.
    """

    contract_id: str
    sign: int
    position_id: str


class Armed(msgspec.Struct, frozen=True, gc=False):
    """A scope whose open profit has once been at the arming profit."""

    scope: Scope
    legs: tuple[Leg, ...]


class Watch(msgspec.Struct, frozen=True):
    """What the rule remembers.

    Attributes:
        due_ns: venue time of the next look; None while nothing is held.
    """

    armed: tuple[Armed, ...] = ()
    due_ns: int | None = None


class Measured(NamedTuple):
    """A scope with its open profit and the breakeven it must stay above, in micros, and its priced holdings."""

    scope: Scope
    floating: int
    breakeven: int
    holdings: list[HoldingView]


class MaxUnrealizedProfit(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of the rule; see the module's text.

    Attributes:
        profit_target_micros: set in mode profit_target.   breakeven_arm_profit_micros: set in mode breakeven.
    """

    name: ClassVar[str] = "max_unrealized_profit"
    listens_to: ClassVar[frozenset[type]] = frozenset({PositionUpdated, FillReceived, QuoteUpdated})
    example: ClassVar[Mapping[str, object]] = {"mode": "profit_target", "profit_target": 1000}
    aliases: ClassVar[Mapping[str, str]] = {"target": "profit_target"}

    mode: Mode = Mode.PROFIT_TARGET
    profit_target_micros: Magnitude | None = None
    breakeven_arm_profit_micros: Magnitude | None = None
    breakeven_offset_ticks: Annotated[int, msgspec.Meta(ge=0)] = 0
    scope: Together = Together.PER_POSITION
    action: Action = Action.CLOSE_POSITION
    inclusive: bool = True
    max_quote_age_ns: Annotated[int, msgspec.Meta(gt=0)] = 10 * SECOND_NS
    check_interval_ns: Annotated[int, msgspec.Meta(ge=SECOND_NS)] = 5 * SECOND_NS
    composite_enforcement: CompositeEnforcement = CompositeEnforcement()
    lockout: LockTerms | None = None

    @property
    def remedy(self) -> Remedy:
        return remedy_of(self.action, self.lockout)

    def initial_state(self) -> Watch:
        return Watch()

    def deadline_ns(self, state: Watch) -> int | None:
        return state.due_ns

    def step(self, state: Watch, event: Event, account: AccountView) -> tuple[Watch, tuple[Finding | Skipped, ...]]:
        # It is all said each time, so that the engine sees what has ended.
        found: list[Finding | Skipped] = [*stale_quotes(self.name, self.max_quote_age_ns, account)]
        found.extend(quote_missing(self.name, account.unpriced))
        armed = self._still_armed(state, account)
        for one in self._measured(account):
            if self.mode is not Mode.BREAKEVEN:
                if self._is_reached(one.floating, self.profit_target_micros or 0):
                    found.append(self._breach("PROFIT_TARGET", one.floating, self.profit_target_micros or 0, one))
                continue
            is_armed = any(one.scope == known.scope for known in armed)
            if not is_armed and one.floating >= (self.breakeven_arm_profit_micros or 0):
                armed = (*armed, Armed(one.scope, _legs(one.holdings)))
            elif is_armed and one.floating <= one.breakeven:
                found.append(self._breach("BREAKEVEN", one.floating, one.breakeven, one))
        found.extend(self._day_budget(account))
        due_ns = next_look_ns(state.due_ns, self.check_interval_ns, event, account)
        if (armed, due_ns) == (state.armed, state.due_ns):
            return state, tuple(found)
        return Watch(armed, due_ns), tuple(found)

    def slack(self, state: Watch, account: AccountView) -> Slack:
        down, up = UNBOUNDED, UNBOUNDED
        armed = {one.scope for one in state.armed}
        for one in self._measured(account):
            if self.mode is not Mode.BREAKEVEN:
                up = min(up, (self.profit_target_micros or 0) - one.floating)
            elif one.scope in armed:
                down = min(down, one.floating - one.breakeven)
            else:
                up = min(up, (self.breakeven_arm_profit_micros or 0) - one.floating)
        room = self._room_micros(account)
        if room is not None and room > 0:
            up = min(up, room - _together_micros(account))
        return Slack(down, up, quiet_until_ns(state.due_ns, self.max_quote_age_ns, account))

    def gauges(self, state: Watch, account: AccountView) -> tuple[Gauge, ...]:
        armed = {one.scope for one in self._still_armed(state, account)}
        shown = []
        for one in self._measured(account):
            name = "" if one.scope.is_account else f" {name_of(one.holdings[0])}"
            if self.mode is Mode.BREAKEVEN:
                arm = self.breakeven_arm_profit_micros or 0
                # What an armed profit has given back; before that there is nothing to lose.
                used = max(0, arm + one.breakeven - one.floating) if one.scope in armed else 0
                shown.append(Gauge(f"back to breakeven{name}", used, arm, Unit.MICROS))
            else:
                shown.append(
                    Gauge(f"open profit{name}", max(0, one.floating), self.profit_target_micros or 0, Unit.MICROS)
                )
        return tuple(shown)

    def contradictions(self) -> tuple[Fault, ...]:
        faults = []
        needed, useless = "profit_target", "breakeven_arm_profit"
        if self.mode is Mode.BREAKEVEN:
            needed, useless = useless, needed
        given = {
            "profit_target": self.profit_target_micros is not None,
            "breakeven_arm_profit": self.breakeven_arm_profit_micros is not None,
        }
        if not given[needed]:
            faults.append(Fault(needed, f"is missing; mode {self.mode} needs it"))
        if given[useless]:
            faults.append(Fault(useless, f"has no meaning in mode {self.mode}"))
        if self.breakeven_offset_ticks and self.mode is not Mode.BREAKEVEN:
            faults.append(Fault("breakeven_offset_ticks", f"has no meaning in mode {self.mode}"))
        if self.action is Action.ALERT and self.lockout is not None:
            faults.append(ALERT_LOCKS)
        composite = self.composite_enforcement
        if composite.enabled and composite.respect_profit_target and composite.profit_target_micros is None:
            faults.append(
                Fault("composite_enforcement.profit_target", "is missing; repeat the target of daily_realized_profit")
            )
        return tuple(faults)

    @classmethod
    def linked(cls, own: dict[str, Any], others: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Take the day's target from the options of daily_realized_profit, where ours leave it out or refer to it."""
        names = ("target", "profit_target", "daily_profit_target", "limit")
        return linked_composite(own, others, option="profit_target", rule="daily_realized_profit", names=names)

    # -- looking ------------------------------------------------------------------------------------------------

    def _still_armed(self, state: Watch, account: AccountView) -> tuple[Armed, ...]:
        """What is armed and still holds every position that was: a profit taken is not a profit lost."""
        if not state.armed:
            return ()
        kept = []
        for one in state.armed:
            covered = [held for key, held in account.holdings.items() if one.scope.covers(key, held.contract)]
            if all(any(_is_leg(leg, holding) for holding in covered) for leg in one.legs):
                legs = _legs(covered)
                kept.append(one if legs == one.legs else Armed(one.scope, legs))
        # The same object as before while nothing has changed: this runs on quotes.
        return state.armed if kept == list(state.armed) else tuple(kept)

    def _measured(self, account: AccountView) -> Iterator[Measured]:
        """Everything that is measured, by itself; unpriced holdings count nothing and are left out."""
        priced = [one for one in account.holdings.values() if one.unrealized_micros is not None]
        for scope, holdings in grouped(priced, self.scope).items():
            floating = sum([holding.unrealized_micros or 0 for holding in holdings])
            yield Measured(scope, floating, sum([self._kept_micros(holding) for holding in holdings]), holdings)

    def _kept_micros(self, holding: HoldingView) -> int:
        """What the offset is worth on a holding; a priced one has a contract."""
        if not self.breakeven_offset_ticks or holding.contract is None:
            return 0
        tick_value = holding.contract.instrument.tick_value_micros
        return self.breakeven_offset_ticks * tick_value * abs(holding.net_contracts)

    def _room_micros(self, account: AccountView) -> int | None:
        """What the day's target still lacks; None when it is not respected."""
        composite = self.composite_enforcement
        target = composite.profit_target_micros
        if not composite.enabled or not composite.respect_profit_target or target is None:
            return None
        return profit_room_micros(target, account, include_fees=composite.include_fees)

    def _day_budget(self, account: AccountView) -> Iterator[Breach]:
        room = self._room_micros(account)
        if room is None or room <= 0 or not self._is_reached(_together_micros(account), room):
            return
        yield day_budget(self.name, _together_micros(account), room, account)

    def _is_reached(self, floating: int, target: int) -> bool:
        return floating > target or (self.inclusive and floating == target)

    def _breach(self, code: str, floating: int, limit: int, one: Measured) -> Breach:
        evidence = evidence_of(one.scope, one.holdings)
        return Breach(self.name, code, floating, limit, Unit.MICROS, one.scope, evidence=evidence)


def _legs(holdings: list[HoldingView]) -> tuple[Leg, ...]:
    """The holdings as legs, in the order of their contracts."""
    valued = [one for one in holdings if one.value_net]
    legs = [Leg(one.contract_id, 1 if one.value_net > 0 else -1, one.position_id) for one in valued]
    return tuple(sorted(legs, key=lambda leg: leg.contract_id))


def _is_leg(leg: Leg, holding: HoldingView) -> bool:
    """Whether the holding is the position of the leg; one the venue has not named yet is told by its side alone.

    By its valued contracts: after the fill that closed it, until the venue says so too, it is listed but worth nothing.
    """
    if leg.contract_id != holding.contract_id or leg.sign * holding.value_net <= 0:
        return False
    return not leg.position_id or not holding.position_id or leg.position_id == holding.position_id


def _together_micros(account: AccountView) -> int:
    """Open profit of all priced holdings; the account's own figure also holds what is closed and not stated yet."""
    return sum(holding.unrealized_micros or 0 for holding in account.holdings.values())

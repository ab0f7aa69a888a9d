"""Cut an open loss.

`loss_limit` is the open loss that is allowed, in dollars; `-300` and `300` mean the same. At the limit the rule fires
(`inclusive: false`: only beyond it). Open profit is what closing now would bring: a long is marked at the bid, a short
at the ask (`price_basis: exit_side`, the default), at the `mid`, or at the `last` price; where that price is missing,
the exit side is taken.

`scope` says what is compared with the limit: each contract by itself (`per_position`, default), each product over its
expiries (`per_instrument`), or the account (`total`).

`action` says what happens: `close_position` (default) closes what was compared, `flatten` closes everything,
`flatten_and_lock` also locks the account until the trading day ends, `alert` does nothing. `lockout` sets the lock's
terms, and adds a lock to the other actions.

`confirm_ms` makes a breach wait until it has lasted so long without a break, against spreads that widen for a moment;
by default it acts at once. Without quotes an open loss cannot be seen, so a quote older than `max_quote_age_seconds`
(default 10) is warned about and the last price kept; a contract that never had one is reported as not evaluated. With
`quote_blackout_action_after_seconds` the rule acts once quotes have been missing that long: `quote_blackout_action` is
`alert` (default), `close_position` or `flatten`. `check_interval_seconds` (default 10, at least 1) is how often this is
looked at when nothing else happens.

`composite_enforcement` ties the open loss to the day's limit. With `enabled: true` and `realized_limit: 900` all
positions together may not lose more than what the day has left: after 800 realized, 100. Then everything is closed.
Left out, `realized_limit` is the limit of the rule daily_realized_loss. `respect_realized_limit: false` switches the
tie off again, `include_fees: false` leaves fees out of the day's result. Once nothing is left, daily_realized_loss is
in charge.

Older spellings are understood: `limit`, `lockout_on_breach`, `lockout_until`, `lockout_duration`.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any, ClassVar

import msgspec

from risk_manager.domain.account import AccountView, HoldingView
from risk_manager.domain.day_budget import loss_room_micros
from risk_manager.domain.events import Event, FillReceived, PositionUpdated, QuoteUpdated
from risk_manager.domain.finding import Breach, Finding, Gauge, Loss, Skipped, Unit
from risk_manager.domain.scope import ACCOUNT, Scope
from risk_manager.rules._base import UNBOUNDED, Demand, LockTerms, Remedy, Slack, quote_missing
from risk_manager.rules._open_profit import (
    SECOND_NS,
    Action,
    Magnitude,
    Together,
    about_quote,
    day_budget,
    evidence_of,
    grouped,
    linked_composite,
    name_of,
    next_look_ns,
    quiet_until_ns,
    quote_age_ns,
    remedy_of,
    stale_quotes,
)
from risk_manager.rules._options import ALERT_LOCKS, Fault


class PriceBasis(StrEnum):
    EXIT_SIDE = "exit_side"
    MID = "mid"
    LAST = "last"


class BlackoutAction(StrEnum):
    ALERT = "alert"
    CLOSE_POSITION = "close_position"
    FLATTEN = "flatten"


class CompositeEnforcement(msgspec.Struct, frozen=True, kw_only=True):
    """The day's budget for open losses; see the module's text.

    Attributes:
        realized_limit_micros: magnitude of the day's limit.
    """

    enabled: bool = False
    respect_realized_limit: bool = True
    realized_limit_micros: Magnitude | None = None
    include_fees: bool = True


class Pending(msgspec.Struct, frozen=True, gc=False):
    """A loss beyond its limit, and the venue time since which it has been."""

    scope: Scope
    code: str
    since_ns: int


class Watch(msgspec.Struct, frozen=True):
    """What the rule remembers.

    Attributes:
        due_ns: venue time of the next look; None while nothing is held.
    """

    pending: tuple[Pending, ...] = ()
    due_ns: int | None = None


class DailyUnrealizedLoss(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of the rule; see the module's text.

    Attributes:
        loss_limit_micros: magnitude of the open loss.   confirm_ns: 0 acts at once.
        quote_blackout_action_after_ns: None never acts on missing quotes.
    """

    name: ClassVar[str] = "daily_unrealized_loss"
    listens_to: ClassVar[frozenset[type]] = frozenset({PositionUpdated, FillReceived, QuoteUpdated})
    example: ClassVar[Mapping[str, object]] = {"loss_limit": -300}
    aliases: ClassVar[Mapping[str, str]] = {"limit": "loss_limit"}

    loss_limit_micros: Magnitude
    scope: Together = Together.PER_POSITION
    action: Action = Action.CLOSE_POSITION
    inclusive: bool = True
    price_basis: PriceBasis = PriceBasis.EXIT_SIDE
    confirm_ns: Annotated[int, msgspec.Meta(ge=0)] = 0
    max_quote_age_ns: Annotated[int, msgspec.Meta(gt=0)] = 10 * SECOND_NS
    quote_blackout_action_after_ns: Annotated[int, msgspec.Meta(gt=0)] | None = None
    quote_blackout_action: BlackoutAction = BlackoutAction.ALERT
    check_interval_ns: Annotated[int, msgspec.Meta(ge=SECOND_NS)] = 10 * SECOND_NS
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
        found = [*self._quote_findings(account)]
        now_ns = account.now_ns
        since = {(one.scope, one.code): one.since_ns for one in state.pending}
        pending: list[Pending] = []
        waits: list[int] = []
        for breach in self._losses(account):
            since_ns = since.get((breach.scope, breach.code), now_ns)
            if self.confirm_ns:
                pending.append(Pending(breach.scope, breach.code, since_ns))
            if now_ns - since_ns >= self.confirm_ns:
                found.append(breach)
            else:
                waits.append(since_ns + self.confirm_ns)
        due_ns = next_look_ns(state.due_ns, self.check_interval_ns, event, account)
        if due_ns is not None:
            due_ns = min([due_ns, *waits])
        if (tuple(pending), due_ns) == (state.pending, state.due_ns):
            return state, tuple(found)
        return Watch(tuple(pending), due_ns), tuple(found)

    def slack(self, state: Watch, account: AccountView) -> Slack | None:
        if state.pending or self.price_basis is not PriceBasis.EXIT_SIDE:
            return None
        rooms = [self.loss_limit_micros + floating for _, floating, _ in self._measured(account)]
        budget = self._budget_micros(account)
        if budget is not None and budget > 0:
            rooms.append(budget + self._together_micros(account))
        until_ns = quiet_until_ns(state.due_ns, self.max_quote_age_ns, account)
        return Slack(min(rooms, default=UNBOUNDED), until_ns=until_ns)

    def contradictions(self) -> tuple[Fault, ...]:
        faults = []
        composite = self.composite_enforcement
        if composite.enabled and composite.respect_realized_limit and composite.realized_limit_micros is None:
            faults.append(
                Fault("composite_enforcement.realized_limit", "is missing; repeat the limit of daily_realized_loss")
            )
        after, blackout = self.quote_blackout_action_after_ns, self.quote_blackout_action
        if after is None and blackout is not BlackoutAction.ALERT:
            faults.append(Fault("quote_blackout_action_after_seconds", "is missing; after how long without quotes?"))
        if after is not None and after < self.max_quote_age_ns:
            faults.append(
                Fault("quote_blackout_action_after_seconds", "must not be shorter than max_quote_age_seconds")
            )
        if self.action is Action.ALERT and blackout is not BlackoutAction.ALERT:
            faults.append(Fault("quote_blackout_action", "must be alert when the action is alert"))
        if self.action is Action.ALERT and self.lockout is not None:
            faults.append(ALERT_LOCKS)
        if self.remedy.demand is Demand.FLATTEN and blackout is BlackoutAction.CLOSE_POSITION:
            faults.append(Fault("quote_blackout_action", f"must be alert or flatten when the action is {self.action}"))
        return tuple(faults)

    def gauges(self, state: Watch, account: AccountView) -> tuple[Gauge, ...]:
        return tuple(
            Gauge(
                f"open loss {name_of(holdings[0])}" if not scope.is_account else "open loss",
                max(0, -floating),
                self.loss_limit_micros,
                Unit.MICROS,
            )
            for scope, floating, holdings in self._measured(account)
        )

    @classmethod
    def linked(cls, own: dict[str, Any], others: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Take the day's limit from the options of daily_realized_loss, where ours leave it out or refer to it."""
        names = ("limit", "loss_limit", "max_daily_loss")
        return linked_composite(own, others, option="realized_limit", rule="daily_realized_loss", names=names)

    # -- looking ------------------------------------------------------------------------------------------------

    def _losses(self, account: AccountView) -> Iterator[Breach]:
        """A breach for each loss at its limit, the day's budget last."""
        for scope, floating, holdings in self._measured(account):
            if self._is_reached(floating, self.loss_limit_micros):
                yield self._breach(floating, scope, holdings)
        budget = self._budget_micros(account)
        if budget is None or budget <= 0:
            return
        together = self._together_micros(account)
        if self._is_reached(together, budget):
            yield day_budget(self.name, together, -budget, account)

    def _breach(self, floating: int, scope: Scope, holdings: list[HoldingView]) -> Breach:
        return Breach(
            self.name,
            "UNREALIZED_LOSS",
            floating,
            -self.loss_limit_micros,
            Unit.MICROS,
            scope,
            evidence=evidence_of(scope, holdings),
            loss=Loss.OPEN,
        )

    def _measured(self, account: AccountView) -> Iterator[tuple[Scope, int, list[HoldingView]]]:
        """Scope, open profit and holdings of everything that is compared with the limit."""
        if self.scope is Together.TOTAL:
            yield ACCOUNT, self._together_micros(account), list(account.holdings.values())
            return
        priced = [one for one in account.holdings.values() if one.unrealized_micros is not None]
        for scope, holdings in grouped(priced, self.scope).items():
            yield scope, sum([self._floating_micros(one) or 0 for one in holdings]), holdings

    def _floating_micros(self, holding: HoldingView) -> int | None:
        """Open profit at the chosen price, else at the exit side; None if unpriced."""
        if self.price_basis is not PriceBasis.EXIT_SIDE:
            marked = holding.unrealized_at_micros(self.price_basis.value)
            if marked is not None:
                return marked
        return holding.unrealized_micros

    def _together_micros(self, account: AccountView) -> int:
        # The account's own figure also holds what is closed already and not stated yet.
        return sum(self._floating_micros(holding) or 0 for holding in account.holdings.values())

    def _budget_micros(self, account: AccountView) -> int | None:
        """What the day's limit leaves for open losses; None when the day's limit is not respected."""
        composite = self.composite_enforcement
        limit = composite.realized_limit_micros
        if not composite.enabled or not composite.respect_realized_limit or limit is None:
            return None
        return loss_room_micros(limit, account, include_fees=composite.include_fees)

    def _is_reached(self, floating: int, limit: int) -> bool:
        return floating < -limit or (self.inclusive and floating == -limit)

    # -- quotes that do not come --------------------------------------------------------------------------------

    def _quote_findings(self, account: AccountView) -> Iterator[Finding | Skipped]:
        yield from stale_quotes(self.name, self.max_quote_age_ns, account)
        after_ns = self.quote_blackout_action_after_ns
        if after_ns is not None:
            for _, holding in sorted(account.holdings.items()):
                age_ns = quote_age_ns(holding, account)
                if age_ns > after_ns:
                    yield self._blackout(holding, age_ns, after_ns)
        yield from quote_missing(self.name, account.unpriced)

    def _blackout(self, holding: HoldingView, age_ns: int, after_ns: int) -> Finding:
        warning = about_quote(self.name, "QUOTE_BLACKOUT", holding, age_ns, after_ns)
        if self.quote_blackout_action is BlackoutAction.ALERT:
            return warning
        scope = ACCOUNT if self.quote_blackout_action is BlackoutAction.FLATTEN else warning.scope
        return Breach(self.name, warning.code, 0, 0, Unit.NONE, scope, evidence=warning.evidence)

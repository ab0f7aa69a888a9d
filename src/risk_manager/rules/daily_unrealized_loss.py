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
from risk_manager.domain.finding import Breach, Finding, Gauge, Skipped, Unit, Warning
from risk_manager.domain.scope import ACCOUNT, Scope
from risk_manager.rules._base import Demand, LockTerms, Remedy
from risk_manager.rules._options import Fault, dollars_text

_SECOND_NS = 1_000_000_000


class LossScope(StrEnum):
    PER_POSITION = "per_position"
    PER_INSTRUMENT = "per_instrument"
    TOTAL = "total"


class Action(StrEnum):
    CLOSE_POSITION = "close_position"
    FLATTEN = "flatten"
    FLATTEN_AND_LOCK = "flatten_and_lock"
    ALERT = "alert"


class PriceBasis(StrEnum):
    EXIT_SIDE = "exit_side"
    MID = "mid"
    LAST = "last"


class BlackoutAction(StrEnum):
    ALERT = "alert"
    CLOSE_POSITION = "close_position"
    FLATTEN = "flatten"


_DEMANDS = {
    Action.CLOSE_POSITION: Demand.CLOSE_POSITION,
    Action.FLATTEN: Demand.FLATTEN,
    Action.FLATTEN_AND_LOCK: Demand.FLATTEN,
    Action.ALERT: Demand.ALERT,
}
# Looked up once: an enum member is found through its metaclass, which the quote path would pay for on every event.
_PER_POSITION = LossScope.PER_POSITION
_TOTAL = LossScope.TOTAL
_EXIT_SIDE = PriceBasis.EXIT_SIDE

Magnitude = Annotated[int, msgspec.Meta(gt=0)]


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
        is_quiet: nothing was found and nothing is pending, so a quote concerns its own contract only.
        due_ns: venue time of the next look; None while nothing is held.
    """

    is_quiet: bool = False
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
    scope: LossScope = LossScope.PER_POSITION
    action: Action = Action.CLOSE_POSITION
    inclusive: bool = True
    price_basis: PriceBasis = PriceBasis.EXIT_SIDE
    confirm_ns: Annotated[int, msgspec.Meta(ge=0)] = 0
    max_quote_age_ns: Annotated[int, msgspec.Meta(gt=0)] = 10 * _SECOND_NS
    quote_blackout_action_after_ns: Annotated[int, msgspec.Meta(gt=0)] | None = None
    quote_blackout_action: BlackoutAction = BlackoutAction.ALERT
    check_interval_ns: Annotated[int, msgspec.Meta(ge=_SECOND_NS)] = 10 * _SECOND_NS
    composite_enforcement: CompositeEnforcement = CompositeEnforcement()
    lockout: LockTerms | None = None

    @property
    def remedy(self) -> Remedy:
        lock = self.lockout
        if lock is None and self.action is Action.FLATTEN_AND_LOCK:
            lock = LockTerms()
        return Remedy(_DEMANDS[self.action], lock)

    def initial_state(self) -> Watch:
        return Watch()

    def deadline_ns(self, state: Watch) -> int | None:
        return state.due_ns

    def step(self, state: Watch, event: Event, account: AccountView) -> tuple[Watch, tuple[Finding | Skipped, ...]]:
        # Nearly every event is a quote of a healthy position: it is answered from the one contract it moved.
        if type(event) is QuoteUpdated and state.is_quiet:
            holding = account.holdings.get(event.quote.contract_id)
            if holding is None or self._is_calm(holding, account):
                return state, ()
        return self._look(state, event, account)

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
            faults.append(Fault("lockout", "an alert does nothing to the account; choose another action to lock it"))
        if _DEMANDS[self.action] is Demand.FLATTEN and blackout is BlackoutAction.CLOSE_POSITION:
            faults.append(Fault("quote_blackout_action", f"must be alert or flatten when the action is {self.action}"))
        return tuple(faults)

    def gauges(self, state: Watch, account: AccountView) -> tuple[Gauge, ...]:
        return tuple(
            Gauge(
                f"open loss {_name(holdings[0])}" if not scope.is_account else "open loss",
                max(0, -floating),
                self.loss_limit_micros,
                Unit.MICROS,
            )
            for scope, floating, holdings in self._measured(account)
        )

    @classmethod
    def linked(cls, own: dict[str, Any], others: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Take the day's limit from the options of daily_realized_loss, where ours leave it out or refer to it."""
        composite = own.get("composite_enforcement")
        if not isinstance(composite, dict) or composite.get("enabled") is not True:
            return own
        if composite.get("realized_rule_ref", "daily_realized_loss") != "daily_realized_loss":
            return own
        rest = {key: value for key, value in composite.items() if key != "realized_rule_ref"}
        day = others.get("daily_realized_loss", {})
        limit = next((day[key] for key in ("limit", "loss_limit", "max_daily_loss") if key in day), None)
        if limit is not None:
            rest.setdefault("realized_limit", limit)
        if "include_fees" in day:
            rest.setdefault("include_fees", day["include_fees"])
        return {**own, "composite_enforcement": rest}

    def _is_calm(self, holding: HoldingView, account: AccountView) -> bool:
        """Whether nothing the holding's new quote can have changed is at a limit."""
        if self.scope is _PER_POSITION:
            floating = holding.unrealized_micros if self.price_basis is _EXIT_SIDE else self._floating_micros(holding)
        elif self.scope is _TOTAL:
            floating = account.unrealized_micros if self.price_basis is _EXIT_SIDE else self._together_micros(account)
        elif len(account.holdings) == 1:
            floating = self._floating_micros(holding)
        else:
            same = [one for one in account.holdings.values() if one.root == holding.root]
            floating = sum([self._floating_micros(one) or 0 for one in same])
        if floating is None or -floating >= self.loss_limit_micros:
            return False
        if not self.composite_enforcement.enabled:
            return True
        budget = self._budget_micros(account)
        return budget is None or budget <= 0 or -self._together_micros(account) < budget

    # -- a full look --------------------------------------------------------------------------------------------

    def _look(self, state: Watch, event: Event, account: AccountView) -> tuple[Watch, tuple[Finding | Skipped, ...]]:
        """Everything that holds now. It is all said each time, so that the engine sees what has ended."""
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
        due_ns = self._next_look_ns(state, event, account)
        if due_ns is not None:
            due_ns = min([due_ns, *waits])
        is_quiet = not found and not pending
        if (is_quiet, tuple(pending), due_ns) == (state.is_quiet, state.pending, state.due_ns):
            return state, tuple(found)
        return Watch(is_quiet, tuple(pending), due_ns), tuple(found)

    def _next_look_ns(self, state: Watch, event: Event, account: AccountView) -> int | None:
        if not account.holdings:
            return None
        if type(event) is QuoteUpdated and state.due_ns is not None and state.due_ns > account.now_ns:
            return state.due_ns
        return account.now_ns + self.check_interval_ns

    def _losses(self, account: AccountView) -> Iterator[Breach]:
        """A breach for each loss at its limit, the day's budget last."""
        for scope, floating, holdings in self._measured(account):
            if self._is_reached(floating, self.loss_limit_micros):
                evidence = tuple(part for holding in holdings for part in _described(holding))
                if scope.is_account:
                    evidence = (("positions", str(len(holdings))),)
                yield self._breach("UNREALIZED_LOSS", floating, self.loss_limit_micros, scope, evidence)
        budget = self._budget_micros(account)
        if budget is None or budget <= 0:
            return
        together = self._together_micros(account)
        if self._is_reached(together, budget):
            used = ("realized", dollars_text(account.realized_micros)), ("fees", dollars_text(account.fees_micros))
            yield self._breach("DAY_BUDGET", together, budget, ACCOUNT, used)

    def _measured(self, account: AccountView) -> Iterator[tuple[Scope, int, list[HoldingView]]]:
        """Scope, open profit and holdings of everything that is compared with the limit."""
        if self.scope is _TOTAL:
            yield ACCOUNT, self._together_micros(account), list(account.holdings.values())
            return
        sums: dict[Scope, int] = {}
        parts: dict[Scope, list[HoldingView]] = {}
        for contract_id, holding in account.holdings.items():
            floating = self._floating_micros(holding)
            if floating is None:
                continue
            by_product = self.scope is not _PER_POSITION and holding.contract is not None
            scope = Scope(root=holding.root) if by_product else Scope(contract_id=contract_id)
            sums[scope] = sums.get(scope, 0) + floating
            parts.setdefault(scope, []).append(holding)
        for scope, floating in sums.items():
            yield scope, floating, parts[scope]

    def _floating_micros(self, holding: HoldingView) -> int | None:
        """Open profit at the chosen price, else at the exit side; None if unpriced."""
        if self.price_basis is not _EXIT_SIDE:
            marked = holding.unrealized_at_micros(self.price_basis.value)
            if marked is not None:
                return marked
        return holding.unrealized_micros

    def _together_micros(self, account: AccountView) -> int:
        if self.price_basis is _EXIT_SIDE:
            return account.unrealized_micros
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

    def _breach(
        self, code: str, floating: int, limit: int, scope: Scope, evidence: tuple[tuple[str, str], ...]
    ) -> Breach:
        return Breach(self.name, code, floating, -limit, Unit.MICROS, scope, evidence=evidence)

    # -- quotes that do not come --------------------------------------------------------------------------------

    def _quote_findings(self, account: AccountView) -> Iterator[Finding | Skipped]:
        missing = []
        for contract_id, holding in sorted(account.holdings.items()):
            # Counted on the local clock, which goes on when the venue has fallen silent.
            age_ns = account.received_ns - (holding.quote_received_ns or holding.increased_ns)
            if holding.unrealized_micros is None:
                missing.append(contract_id)
            elif age_ns > self.max_quote_age_ns:
                yield self._about_quote("QUOTE_STALE", holding, age_ns, self.max_quote_age_ns)
            after_ns = self.quote_blackout_action_after_ns
            if after_ns is not None and age_ns > after_ns:
                yield self._blackout(holding, age_ns, after_ns)
        if missing:
            yield Skipped(self.name, f"quote_missing {' '.join(missing)}")

    def _blackout(self, holding: HoldingView, age_ns: int, after_ns: int) -> Finding:
        warning = self._about_quote("QUOTE_BLACKOUT", holding, age_ns, after_ns)
        if self.quote_blackout_action is BlackoutAction.ALERT:
            return warning
        scope = ACCOUNT if self.quote_blackout_action is BlackoutAction.FLATTEN else warning.scope
        return Breach(self.name, warning.code, 0, 0, Unit.NONE, scope, evidence=warning.evidence)

    def _about_quote(self, code: str, holding: HoldingView, age_ns: int, limit_ns: int) -> Warning:
        evidence = (
            ("contract", holding.contract_id),
            ("quote_age_s", str(age_ns // _SECOND_NS)),
            ("allowed_s", str(limit_ns // _SECOND_NS)),
        )
        return Warning(self.name, code, 0, 0, Unit.NONE, Scope(contract_id=holding.contract_id), evidence)


def _name(holding: HoldingView) -> str:
    return holding.contract.name if holding.contract is not None else holding.contract_id


def _described(holding: HoldingView) -> Iterator[tuple[str, str]]:
    name = _name(holding)
    yield name, f"{holding.net_contracts:+d}"
    quote = holding.quote
    if quote is not None:
        yield f"{name} quote", f"bid {quote.bid_ticks} ask {quote.ask_ticks} last {quote.last_ticks} ticks"

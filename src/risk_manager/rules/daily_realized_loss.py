"""Stop the day at a loss.

`limit` is what the trading day may lose, in dollars; `-500` and `500` mean the same. The day is the account's trading
day (17:00 Chicago by default), never the calendar date. The result is the venue's own profit and loss of the day's
closing fills; voided fills do not count. At the limit the rule fires (`inclusive: false`: only beyond it).

`basis` says what is measured:

- `realized_plus_unrealized` (default): closed and open profit together, so that an open loss ends the day too.
- `realized`: closed profit only.
- `composite`: closed profit and open losses; an open profit, which may be gone a second later, buys no room.

`include_fees` (default true) takes fees and commissions off the result. An open position without a quote cannot be
valued: the rule then judges what is known and reports that it could not see everything.

`action` says what happens:

- `flatten` (default): the account is locked, all positions are closed and all orders cancelled.
- `pause`: orders that would add are cancelled and the account locked against new exposure; open positions stay.
- `alert`: nothing is done.

`lockout` (default `reset`: until the trading day ends) may be a duration; if the day's result is still beyond the limit
when it ends, the account is locked again. It cannot be permanent. `unlock_if_recovered: true` ends the lock when the
result is inside the limit again (a voided fill, or a pause that came back); by default nothing but its end does.

`cancel_orders` and `close_all` exist for older configurations and must be true: a resting order would reopen what was
closed.

Example: `limit: 500`. The day's closed trades have lost 320 dollars with fees, and an open position is down 175: that
is 495, and nothing happens. One tick further down on 4 MES (5 dollars) it is 500: the account is locked until the
trading day ends, the position is closed and all orders are cancelled.

What it does not do: it does not stop the loss at 500. The market may move on while the position is being closed, and
the day then ends a little beyond the limit.
Older spellings are understood: `loss_limit`, `max_daily_loss`, `lockout_until`, `lockout_duration`.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import msgspec

from risk_manager.domain.account import AccountView
from risk_manager.domain.day_budget import DayBasis, day_result_micros
from risk_manager.domain.events import Event, FillReceived, PositionUpdated, QuoteUpdated
from risk_manager.domain.finding import Breach, Finding, Gauge, Loss, Release, Skipped, Unit
from risk_manager.domain.scope import ACCOUNT
from risk_manager.rules._base import UNBOUNDED, LockTerms, Remedy, Slack, quote_missing
from risk_manager.rules._day_result import contradictions_of, evidence_of, without_close_all
from risk_manager.rules._options import Fault
from risk_manager.rules._stopping import Action, remedy_of

# Looked up once: an enum member is found through its metaclass, which the quote path would pay for on every event.
_REALIZED = DayBasis.REALIZED
_ELSEWHERE = "belongs to the account, not to a rule: set the trading day under the account's reset"


class DailyRealizedLoss(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of the rule; see the module's text.

    Attributes:
        limit_micros: magnitude of the loss.   lockout: None does not lock, so a new position is judged afresh.
    """

    name: ClassVar[str] = "daily_realized_loss"
    listens_to: ClassVar[frozenset[type]] = frozenset({PositionUpdated, FillReceived, QuoteUpdated})
    example: ClassVar[Mapping[str, object]] = {"limit": -500}
    aliases: ClassVar[Mapping[str, str]] = {"loss_limit": "limit", "max_daily_loss": "limit"}
    elsewhere: ClassVar[Mapping[str, str]] = {"reset_time": _ELSEWHERE, "timezone": _ELSEWHERE}

    limit_micros: Annotated[int, msgspec.Meta(gt=0)]
    basis: DayBasis = DayBasis.REALIZED_PLUS_UNREALIZED
    inclusive: bool = True
    include_fees: bool = True
    action: Action = Action.FLATTEN
    lockout: LockTerms | None = LockTerms()
    cancel_orders: bool = True
    unlock_if_recovered: bool = False

    @property
    def remedy(self) -> Remedy:
        return remedy_of(self.action, self.lockout)

    def initial_state(self) -> None:
        return None

    def deadline_ns(self, state: None) -> None:
        return None

    def step(self, state: None, event: Event, account: AccountView) -> tuple[None, tuple[Finding | Skipped, ...]]:
        result = day_result_micros(account, self.basis, self.include_fees)
        return None, self._judge(result, account)

    def slack(self, state: None, account: AccountView) -> Slack:
        result = day_result_micros(account, self.basis, self.include_fees)
        return Slack(down_micros=UNBOUNDED if self.basis is _REALIZED else self.limit_micros + result)

    def gauges(self, state: None, account: AccountView) -> tuple[Gauge, ...]:
        result = day_result_micros(account, self.basis, self.include_fees)
        return (Gauge("day loss", max(0, -result), self.limit_micros, Unit.MICROS),)

    def contradictions(self) -> tuple[Fault, ...]:
        faults = [*contradictions_of(self.action, self.lockout, cancel_orders=self.cancel_orders)]
        if self.action is Action.ALERT and self.unlock_if_recovered:
            faults.append(Fault("unlock_if_recovered", "has no lock to end when the action is alert"))
        return tuple(faults)

    @classmethod
    def modernized(cls, options: dict[str, Any], faults: list[Fault]) -> dict[str, Any]:
        return without_close_all(options, faults, "a daily loss")

    # -- inside -------------------------------------------------------------------------------------------------

    def _judge(self, result: int, account: AccountView) -> tuple[Finding | Skipped, ...]:
        unseen = quote_missing(self.name, account.unpriced) if self.basis is not _REALIZED else ()
        found: list[Finding | Skipped] = [*unseen]
        own_locks = [lockout for lockout in account.lockouts if lockout.rule == self.name]
        if result < -self.limit_micros or (self.inclusive and result == -self.limit_micros):
            # While the rule's own lock holds a flat account there is nothing left to demand.
            if account.holdings or not own_locks:
                found.append(self._breach(result, account))
            return tuple(found)
        if self.unlock_if_recovered and not unseen:
            found.extend(Release(self.name, lockout.scope, "recovered") for lockout in own_locks)
        return tuple(found)

    def _breach(self, result: int, account: AccountView) -> Breach:
        return Breach(
            self.name,
            "DAILY_LOSS",
            result,
            -self.limit_micros,
            Unit.MICROS,
            ACCOUNT,
            evidence=evidence_of(account, self.basis, include_fees=self.include_fees),
            loss=Loss.DAY_NET if self.include_fees else Loss.DAY_GROSS,
        )

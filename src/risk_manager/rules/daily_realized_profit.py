"""Lock in a good day.

`target` is what the trading day has to bring, in dollars. The day is the account's trading day (17:00 Chicago by
default), never the calendar date. The result is the venue's own profit and loss of the day's closing fills; voided
fills do not count. At the target the rule fires (`inclusive: false`: only beyond it).

`basis` says what is measured:

- `realized_plus_unrealized` (default): closed and open profit together, so that an open profit ends the day too.
- `realized`: closed profit only. A partial close that reaches the target ends the day though the rest is losing.
- `composite`: closed profit and open losses; an open profit, which may be gone a second later, does not count.

`include_fees` (default true) takes fees and commissions off the result. An open position without a quote cannot be
valued: the rule then judges what is known and reports that it could not see everything.

`action` says what happens:

- `flatten` (default): the account is locked, all positions are closed and all orders cancelled.
- `pause`: orders that would add are cancelled and the account locked against new exposure; open positions stay.
- `alert`: nothing is done.

`lockout` (default `reset`: until the trading day ends) may be a duration; if the day's result is still at the target
when it ends, the account is locked again. It cannot be permanent. Nothing but its end lifts the lock: not a fill below
the target, not a higher target. `message` is a text of your own that is shown with the breach.

Example: target 1000, closed profit 820 after fees, one ES up 200. Together that is 1,020: the ES is closed and the
account locked. If the close slips and the day ends at 990, it stays locked: the day was good enough.

What it does not do: it places no target order at the venue, so a fast market can give back part of the open profit
before the close fills. `cancel_orders` and `close_all` exist for older configurations and must be true: a resting order
would reopen what was closed. Older spellings are understood: `profit_target`, `daily_profit_target`, `limit`,
`lockout_until`, `lockout_duration`.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import msgspec

from risk_manager.domain.account import AccountView
from risk_manager.domain.day_budget import DayBasis, day_result_micros
from risk_manager.domain.events import Event, FillReceived, PositionUpdated, QuoteUpdated
from risk_manager.domain.finding import Breach, Finding, Gauge, Skipped, Unit
from risk_manager.domain.scope import ACCOUNT
from risk_manager.rules._base import UNBOUNDED, LockTerms, Remedy, Slack, quote_missing
from risk_manager.rules._day_result import contradictions_of, evidence_of, without_close_all
from risk_manager.rules._options import Fault
from risk_manager.rules._stopping import Action, remedy_of

# Looked up once: an enum member is found through its metaclass, which the quote path would pay for on every event.
_REALIZED = DayBasis.REALIZED
_ELSEWHERE = "belongs to the account, not to a rule: set the trading day under the account's reset"


class DailyRealizedProfit(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of the rule; see the module's text.

    Attributes:
        lockout: None does not lock, so a new position is judged afresh.
    """

    name: ClassVar[str] = "daily_realized_profit"
    listens_to: ClassVar[frozenset[type]] = frozenset({PositionUpdated, FillReceived, QuoteUpdated})
    example: ClassVar[Mapping[str, object]] = {"target": 1000}
    aliases: ClassVar[Mapping[str, str]] = {
        "profit_target": "target",
        "daily_profit_target": "target",
        "limit": "target",
    }
    elsewhere: ClassVar[Mapping[str, str]] = {"reset_time": _ELSEWHERE, "timezone": _ELSEWHERE}

    target_micros: Annotated[int, msgspec.Meta(gt=0)]
    basis: DayBasis = DayBasis.REALIZED_PLUS_UNREALIZED
    inclusive: bool = True
    include_fees: bool = True
    action: Action = Action.FLATTEN
    lockout: LockTerms | None = LockTerms()
    cancel_orders: bool = True
    message: str | None = None

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
        return Slack(up_micros=UNBOUNDED if self.basis is _REALIZED else self.target_micros - result)

    def gauges(self, state: None, account: AccountView) -> tuple[Gauge, ...]:
        result = day_result_micros(account, self.basis, self.include_fees)
        return (Gauge("day profit", max(0, result), self.target_micros, Unit.MICROS),)

    def contradictions(self) -> tuple[Fault, ...]:
        return tuple(contradictions_of(self.action, self.lockout, cancel_orders=self.cancel_orders))

    @classmethod
    def modernized(cls, options: dict[str, Any], faults: list[Fault]) -> dict[str, Any]:
        return without_close_all(options, faults, "a reached target")

    # -- inside -------------------------------------------------------------------------------------------------

    def _judge(self, result: int, account: AccountView) -> tuple[Finding | Skipped, ...]:
        found: list[Finding | Skipped] = []
        if self.basis is not _REALIZED:
            found.extend(quote_missing(self.name, account.unpriced))
        is_reached = result > self.target_micros or (self.inclusive and result == self.target_micros)
        # While the rule's own lock holds a flat account there is nothing left to demand.
        is_upheld = not account.holdings and any(lockout.rule == self.name for lockout in account.lockouts)
        if is_reached and not is_upheld:
            found.append(self._breach(result, account))
        return tuple(found)

    def _breach(self, result: int, account: AccountView) -> Breach:
        said = () if self.message is None else (("message", self.message),)
        return Breach(
            self.name,
            "DAILY_PROFIT",
            result,
            self.target_micros,
            Unit.MICROS,
            ACCOUNT,
            evidence=(*evidence_of(account, self.basis, include_fees=self.include_fees), *said),
        )

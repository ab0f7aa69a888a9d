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
from enum import StrEnum
from typing import Annotated, Any, ClassVar

import msgspec

from risk_manager.domain.account import AccountView
from risk_manager.domain.day_budget import DayBasis, day_result_micros, open_losses_micros
from risk_manager.domain.events import Event, FillReceived, PositionUpdated, QuoteUpdated
from risk_manager.domain.finding import Breach, Finding, Gauge, Skipped, Unit
from risk_manager.domain.lockout import OnLock
from risk_manager.domain.scope import ACCOUNT
from risk_manager.rules._base import Demand, LockTerms, Remedy
from risk_manager.rules._options import Fault, dollars_text


class Action(StrEnum):
    FLATTEN = "flatten"
    PAUSE = "pause"
    ALERT = "alert"


# Looked up once: an enum member is found through its metaclass, which the quote path would pay for on every event.
_REALIZED = DayBasis.REALIZED
_COMPOSITE = DayBasis.COMPOSITE
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
        match self.action:
            case Action.FLATTEN:
                return Remedy(Demand.FLATTEN, self.lockout)
            case Action.PAUSE:
                terms = self.lockout if self.lockout is not None else LockTerms()
                return Remedy(Demand.CANCEL_ORDERS, msgspec.structs.replace(terms, on_lock=OnLock.BLOCK_NEW))
            case Action.ALERT:
                return Remedy(Demand.ALERT)

    def initial_state(self) -> None:
        return None

    def deadline_ns(self, state: None) -> None:
        return None

    def step(self, state: None, event: Event, account: AccountView) -> tuple[None, tuple[Finding | Skipped, ...]]:
        result = day_result_micros(account, self.basis, self.include_fees)
        if result < self.target_micros and not account.unpriced:
            return None, ()
        return None, self._judge(result, account)

    def gauges(self, state: None, account: AccountView) -> tuple[Gauge, ...]:
        result = day_result_micros(account, self.basis, self.include_fees)
        return (Gauge("day profit", max(0, result), self.target_micros, Unit.MICROS),)

    def contradictions(self) -> tuple[Fault, ...]:
        faults = []
        if not self.cancel_orders:
            faults.append(Fault("cancel_orders", "must be true: a resting order would reopen what was closed"))
        if self.action is Action.PAUSE and self.lockout is None:
            faults.append(Fault("lockout", "is what a pause consists of; leave it out or give its length"))
        return tuple(faults)

    @classmethod
    def modernized(cls, options: dict[str, Any], faults: list[Fault]) -> dict[str, Any]:
        if options.pop("close_all", True) is not True:
            faults.append(
                Fault("close_all", "must be true: a reached target ends all trading; choose an action instead")
            )
        return options

    # -- inside -------------------------------------------------------------------------------------------------

    def _judge(self, result: int, account: AccountView) -> tuple[Finding | Skipped, ...]:
        found: list[Finding | Skipped] = []
        if account.unpriced and self.basis is not _REALIZED:
            found.append(Skipped(self.name, f"quote_missing {' '.join(sorted(account.unpriced))}"))
        is_reached = result > self.target_micros or (self.inclusive and result == self.target_micros)
        # While the rule's own lock holds a flat account there is nothing left to demand.
        is_upheld = not account.holdings and any(lockout.rule == self.name for lockout in account.lockouts)
        if is_reached and not is_upheld:
            found.append(self._breach(result, account))
        return tuple(found)

    def _breach(self, result: int, account: AccountView) -> Breach:
        return Breach(
            self.name,
            "DAILY_PROFIT",
            result,
            self.target_micros,
            Unit.MICROS,
            ACCOUNT,
            evidence=self._evidence(account),
        )

    def _evidence(self, account: AccountView) -> tuple[tuple[str, str], ...]:
        parts = [("basis", self.basis.value), ("realized", dollars_text(account.realized_micros))]
        if self.include_fees:
            parts.append(("fees", dollars_text(account.fees_micros)))
        if self.basis is _COMPOSITE:
            parts.append(("open_losses", dollars_text(open_losses_micros(account))))
        elif self.basis is not _REALIZED:
            parts.append(("unrealized", dollars_text(account.unrealized_micros)))
        if self.message is not None:
            parts.append(("message", self.message))
        return tuple(parts)

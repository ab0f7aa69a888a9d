"""Not too much in the market for the money in the account.

One of these is the limit; exactly at it is allowed:

- `max_ratio`: how many times the equity the market value of all positions may be. `max_ratio: 10` allows 500,000
  dollars in the market for 50,000 of equity. Long and short alike count in full; nothing offsets. `max_ratio_pct` is
  the same in percent, for ratios that are no whole number: `max_ratio_pct: 250` is two and a half times (`max_ratio:
  2.5` is understood too).
- `contracts_per_10k`: how many contracts may be held for every 10,000 dollars of equity, whatever they are worth.

Equity is the venue's balance plus the open profit. Where there is none left, everything held is too much.

`action` says what happens:

- `reduce_to_limit` (default): exactly what is too much is closed, of the contract that grew last first.
- `flatten`: everything is closed and every order cancelled.
- `alert`: nothing is done.

`lockout` adds a lock of the account (`true`, `reset`, `30m`, or a mapping); there is none by default.

Example: `max_ratio: 10`, equity 50,000 dollars, long 2 ES at 5,800. One ES is worth 290,000, both 580,000, which is
11.6 times the equity: one is closed.

What it does not do: it does not count resting orders, and it does not know the venue's margins. A position without a
price counts for nothing in `max_ratio`; the rule then judges the others and says what it could not see.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec.structs import replace

from risk_manager.domain.account import AccountView, HoldingView
from risk_manager.domain.events import AccountUpdated, Event, FillReceived, PositionUpdated, QuoteUpdated, SnapshotTaken
from risk_manager.domain.exposure import latest_first, movable_micros, notional_micros
from risk_manager.domain.finding import AtMost, Breach, Finding, Gauge, Skipped, Unit
from risk_manager.domain.instrument import MICROS_PER_USD
from risk_manager.domain.scope import ACCOUNT
from risk_manager.rules._base import UNBOUNDED, Demand, LockTerms, Remedy, Slack, quote_missing
from risk_manager.rules._options import ALERT_LOCKS, Fault, dollars_text

_PER_10K_MICROS = 10_000 * MICROS_PER_USD
_STEP = 64
"""A look is good for prices less than one part in this many away."""

BALANCE_LAG_NS = 5_000_000_000
"""How long after a fill the venue may take to state the balance with its result."""


class Action(StrEnum):
    REDUCE = "reduce_to_limit"
    FLATTEN = "flatten"
    ALERT = "alert"


_DEMANDS = {Action.REDUCE: Demand.REDUCE, Action.FLATTEN: Demand.FLATTEN, Action.ALERT: Demand.ALERT}


class Seen(msgspec.Struct, frozen=True):
    """What is known of the balance.

    Attributes:
        result_micros: the day's result when the venue last stated the balance.
        doubt_until_ns: venue time until which the balance may lack what fills since have brought; None for no doubt.
    """

    result_micros: int = 0
    doubt_until_ns: int | None = None


class _Part(msgspec.Struct, frozen=True):
    """One holding, and what one contract of it counts."""

    holding: HoldingView
    each: int

    @property
    def exposure(self) -> int:
        return self.each * abs(self.holding.net_contracts)


class Leverage(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of the rule; see the module's text. Exactly one of the first three is not None."""

    name: ClassVar[str] = "leverage"
    listens_to: ClassVar[frozenset[type]] = frozenset({PositionUpdated, FillReceived, QuoteUpdated, AccountUpdated})
    example: ClassVar[Mapping[str, object]] = {"max_ratio": 10}

    max_ratio: Annotated[int, msgspec.Meta(gt=0)] | None = None
    max_ratio_pct: Annotated[int, msgspec.Meta(gt=0)] | None = None
    contracts_per_10k: Annotated[int, msgspec.Meta(gt=0)] | None = None
    action: Action = Action.REDUCE
    lockout: LockTerms | None = None

    @property
    def remedy(self) -> Remedy:
        return Remedy(_DEMANDS[self.action], self.lockout)

    def initial_state(self) -> Seen:
        return Seen()

    def deadline_ns(self, state: Seen) -> int | None:
        return state.doubt_until_ns

    def step(self, state: Seen, event: Event, account: AccountView) -> tuple[Seen, tuple[Finding | Skipped, ...]]:
        state = _stated(state, event, account)
        return state, self._look(state, account)

    def slack(self, state: Seen, account: AccountView) -> Slack | None:
        parts, missing = self._parts(account)
        equity = _equity_micros(state, account)
        if equity is None or missing:
            return None
        most, room = sum(part.exposure for part in parts), UNBOUNDED
        if self.contracts_per_10k is None:
            # Near these prices it is worth no more than this.
            most += -(-most // _STEP)
            room = min([movable_micros(part.holding, _STEP) for part in parts], default=UNBOUNDED)
        spare = equity - max(1, self._enough(most))
        until_ns = UNBOUNDED if state.doubt_until_ns is None else state.doubt_until_ns
        return Slack(min(room, spare + 1), room, until_ns)

    def gauges(self, state: Seen, account: AccountView) -> tuple[Gauge, ...]:
        parts, _ = self._parts(account)
        exposure = sum(part.exposure for part in parts)
        equity = max(0, _equity_micros(state, account) or 0)
        if self.contracts_per_10k is not None:
            return (Gauge("contracts in all", exposure, self._allowed(equity), Unit.CONTRACTS),)
        # Without equity any exposure is more than every ratio.
        used = _ratio_bp(exposure, equity) if equity else exposure
        return (Gauge("leverage", used, self._limit_pct * 100, Unit.BASIS_POINTS),)

    def contradictions(self) -> tuple[Fault, ...]:
        faults = []
        names = ("max_ratio", "max_ratio_pct", "contracts_per_10k")
        given = [name for name in names if getattr(self, name) is not None]
        if len(given) != 1:
            said = " and ".join(given) or "none"
            faults.append(Fault("max_ratio", f"write one of {', '.join(names)}, not {said}"))
        if self.action is Action.ALERT and self.lockout is not None:
            faults.append(ALERT_LOCKS)
        return tuple(faults)

    @classmethod
    def modernized(cls, options: dict[str, Any], _faults: list[Fault]) -> dict[str, Any]:
        pct = _hundredfold(options.get("max_ratio"))
        if pct is not None and "max_ratio_pct" not in options:
            del options["max_ratio"]
            options["max_ratio_pct"] = pct
        return options

    # -- looking ------------------------------------------------------------------------------------------------

    @property
    def _limit_pct(self) -> int:
        """The allowed ratio in percent."""
        return self.max_ratio_pct if self.max_ratio_pct is not None else (self.max_ratio or 0) * 100

    def _look(self, state: Seen, account: AccountView) -> tuple[Finding | Skipped, ...]:
        if not account.holdings:
            return ()
        equity = _equity_micros(state, account)
        if equity is None:
            return (Skipped(self.name, "account_record_missing"),)
        parts, missing = self._parts(account)
        missing |= account.unpriced
        skips = quote_missing(self.name, missing)
        if equity <= 0:
            return (*skips, self._no_equity(equity, account))
        if sum(part.exposure for part in parts) > self._allowed(equity):
            return (*skips, self._breach(parts, equity))
        return skips

    def _parts(self, account: AccountView) -> tuple[list[_Part], frozenset[str]]:
        """The holdings, what grew last first, and the ids of those that have no price though one is needed."""
        parts, missing = [], set()
        for holding in sorted(account.holdings.values(), key=latest_first):
            each = 1 if self.contracts_per_10k is not None else notional_micros(holding)
            if each is None:
                missing.add(holding.contract_id)
            else:
                parts.append(_Part(holding, each))
        return parts, frozenset(missing)

    def _allowed(self, equity: int) -> int:
        """The exposure this equity, > 0, allows: contracts, or market value in micros."""
        if self.contracts_per_10k is not None:
            return self.contracts_per_10k * equity // _PER_10K_MICROS
        return self._limit_pct * equity // 100

    def _enough(self, exposure: int) -> int:
        """The least equity that allows this exposure."""
        if self.contracts_per_10k is not None:
            return -(-exposure * _PER_10K_MICROS // self.contracts_per_10k)
        return -(-exposure * 100 // self._limit_pct)

    # -- breaches -----------------------------------------------------------------------------------------------

    def _breach(self, parts: list[_Part], equity: int) -> Breach:
        exposure, allowed = sum(part.exposure for part in parts), self._allowed(equity)
        is_count = self.contracts_per_10k is not None
        return Breach(
            self.name,
            "LEVERAGE",
            exposure if is_count else _ratio_bp(exposure, equity),
            allowed if is_count else self._limit_pct * 100,
            Unit.CONTRACTS if is_count else Unit.BASIS_POINTS,
            ACCOUNT,
            targets=_targets(parts, exposure - allowed) if self.action is Action.REDUCE else (),
            evidence=(
                ("equity", dollars_text(equity)),
                *(() if is_count else (("market_value", dollars_text(exposure)),)),
                *sorted((part.holding.contract_id, f"{part.holding.net_contracts:+d}") for part in parts),
            ),
        )

    def _no_equity(self, equity: int, account: AccountView) -> Breach:
        """Nothing may be held."""
        targets = tuple(AtMost(contract_id, 0) for contract_id in sorted(account.holdings))
        return Breach(
            self.name,
            "LEVERAGE_NO_EQUITY",
            equity,
            0,
            Unit.MICROS,
            ACCOUNT,
            targets=targets if self.action is Action.REDUCE else (),
            evidence=(("equity", dollars_text(equity)),),
        )


def _stated(state: Seen, event: Event, account: AccountView) -> Seen:
    """The state with what is known of the balance: stated just now, or behind the fills for a moment."""
    result = account.realized_micros - account.fees_micros
    has_record = isinstance(event, AccountUpdated) or (isinstance(event, SnapshotTaken) and event.account is not None)
    if has_record:
        return replace(state, result_micros=result, doubt_until_ns=None)
    if type(event) is FillReceived and result != state.result_micros:
        return replace(state, doubt_until_ns=account.now_ns + BALANCE_LAG_NS)
    if state.doubt_until_ns is not None and account.now_ns >= state.doubt_until_ns:
        return replace(state, result_micros=result, doubt_until_ns=None)
    return state


def _equity_micros(state: Seen, account: AccountView) -> int | None:
    """Balance and open profit; None while the balance is unknown.

    Between a closing fill and the balance with its result a profit would be in neither; it is not taken for a loss.
    """
    if account.balance_micros is None:
        return None
    equity = account.balance_micros + account.unrealized_micros
    if state.doubt_until_ns is None:
        return equity
    return equity + max(0, account.realized_micros - account.fees_micros - state.result_micros)


def _ratio_bp(exposure: int, equity: int) -> int:
    """Exposure over equity, > 0, in basis points, rounded up so that what is above the limit shows as above it."""
    return -(-exposure * 10_000 // equity)


def _targets(parts: list[_Part], excess: int) -> tuple[AtMost, ...]:
    """What may remain of each contract that has to shrink, so that so much exposure goes and no contract more."""
    targets = []
    for part in parts:
        if excess <= 0:
            break
        if part.each:
            size = abs(part.holding.net_contracts)
            removed = min(size, -(-excess // part.each))
            excess -= removed * part.each
            targets.append(AtMost(part.holding.contract_id, size - removed))
    return tuple(targets)


def _hundredfold(ratio: object) -> int | None:
    """A ratio written with decimals, at most two, in percent; None for anything else, whole numbers too."""
    if isinstance(ratio, bool | int) or ratio is None:
        return None
    whole, dot, decimals = str(ratio).partition(".")
    digits = decimals.rstrip("0")
    if not (dot and len(digits) <= 2 and whole.isascii() and whole.isdigit() and (whole + digits).isdigit()):
        return None
    return int(whole + digits.ljust(2, "0"))

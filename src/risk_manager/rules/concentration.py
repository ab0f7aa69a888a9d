"""Not too much of the account in one product.

`max_pct` is the largest share of the whole exposure one product may have, in percent (1 to 99); exactly that share is
allowed. The share is looked at only while the whole exposure is at least `min_total`: a single position always is 100
%, and a small one is no concentration.

`metric` says what exposure is:

- `contracts` (default): contracts held, long and short alike; `min_total` is a number of contracts.
- `notional`: their market value, price times contract size; `min_total` is in whole dollars.

Every contract counts by itself: neither two expiries of a product nor a long and a short offset each other. `margin`
is refused as a metric, for the venue tells no margins.

`groups` takes products together that move together, under a name of your own: `{index: [ES, MES, NQ, MNQ]}`. A
product in no group stands for itself.

`action` says what happens:

- `reduce_to_limit` (default): contracts of the product or group with the largest share are closed, of what grew last
  first, no more than it takes until every share is allowed or the whole is below `min_total`.
- `flatten`: everything is closed and every order cancelled.
- `alert`: nothing is done.

`lockout` adds a lock of the account (`true`, `reset`, `30m`, or a mapping); there is none by default.

Example: `max_pct: 60`, `min_total: 5`, long 4 MNQ and short 2 MES. MNQ has 4 of 6, which is 66.7 %, so one MNQ is
closed: 3 of 5 are exactly 60 %.

What it does not do: it does not count resting orders. With `notional` it is not evaluated while a position has no
price, and says so.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, ClassVar

import msgspec

from risk_manager.domain.account import AccountView, HoldingView
from risk_manager.domain.events import Event, FillReceived, PositionUpdated, QuoteUpdated
from risk_manager.domain.exposure import latest_first, movable_micros, notional_micros
from risk_manager.domain.finding import AtMost, Breach, Finding, Gauge, Skipped, Unit
from risk_manager.domain.instrument import MICROS_PER_USD
from risk_manager.domain.products import same_product
from risk_manager.domain.scope import ACCOUNT
from risk_manager.rules._base import UNBOUNDED, Demand, LockTerms, Remedy, Slack, quote_missing
from risk_manager.rules._options import ALERT_LOCKS, Fault

_BASIS_POINTS = 10_000
_STEPS = (16, 64, 256, 1024, 8192)
"""No share can become too large before a price has moved by one part in so many; the first that holds is taken."""


class Metric(StrEnum):
    """What exposure is; see the module's text."""

    CONTRACTS = "contracts"
    NOTIONAL = "notional"


class Action(StrEnum):
    REDUCE = "reduce_to_limit"
    FLATTEN = "flatten"
    ALERT = "alert"


# Looked up once: a quote is compared with it on every event.
_NOTIONAL = Metric.NOTIONAL
_DEMANDS = {Action.REDUCE: Demand.REDUCE, Action.FLATTEN: Demand.FLATTEN, Action.ALERT: Demand.ALERT}


class _Part(msgspec.Struct):
    """One holding: its group, what one contract counts, and how many there are."""

    holding: HoldingView
    group: str
    each: int
    size: int


class Concentration(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of the rule; see the module's text."""

    name: ClassVar[str] = "concentration"
    listens_to: ClassVar[frozenset[type]] = frozenset({PositionUpdated, FillReceived, QuoteUpdated})
    example: ClassVar[Mapping[str, object]] = {"max_pct": 60, "min_total": 5}

    max_pct: Annotated[int, msgspec.Meta(ge=1, le=99)]
    min_total: Annotated[int, msgspec.Meta(gt=0)]
    metric: Metric = Metric.CONTRACTS
    groups: dict[str, tuple[str, ...]] = {}
    action: Action = Action.REDUCE
    lockout: LockTerms | None = None

    @property
    def remedy(self) -> Remedy:
        return Remedy(_DEMANDS[self.action], self.lockout)

    def initial_state(self) -> None:
        return None

    def deadline_ns(self, state: None) -> None:
        return None

    def step(self, state: None, event: Event, account: AccountView) -> tuple[None, tuple[Finding | Skipped, ...]]:
        parts, missing = self._parts(account)
        if missing:
            return None, quote_missing(self.name, missing)
        return None, (self._breach(parts),) if self._is_breached(parts) else ()

    def slack(self, state: None, account: AccountView) -> Slack | None:
        if self.metric is not _NOTIONAL:
            return Slack()
        parts, missing = self._parts(account)
        total = sum(_exposures(parts).values())
        step = next((step for step in _STEPS if self._is_calm(parts, total, step)), None)
        if missing or step is None:
            return None
        room = min([movable_micros(part.holding, step) for part in parts], default=UNBOUNDED)
        return Slack(room, room)

    def gauges(self, state: None, account: AccountView) -> tuple[Gauge, ...]:
        parts, _ = self._parts(account)
        exposures = _exposures(parts)
        total = sum(exposures.values())
        used = _share(max(exposures.values()), total) if total >= self._least else 0
        return (Gauge("largest share", used, self.max_pct * 100, Unit.BASIS_POINTS),)

    def contradictions(self) -> tuple[Fault, ...]:
        faults = []
        known: dict[str, str] = {}
        for group, symbols in self.groups.items():
            if len(symbols) < 2:
                faults.append(Fault(f"groups.{group}", "needs two products or more"))
            others = [symbol for symbol in symbols if known.setdefault(same_product(symbol), group) != group]
            faults.extend(
                Fault(f"groups.{group}", f"{symbol} is in {known[same_product(symbol)]} already") for symbol in others
            )
        if self.action is Action.ALERT and self.lockout is not None:
            faults.append(ALERT_LOCKS)
        return tuple(faults)

    @classmethod
    def modernized(cls, options: dict[str, Any], faults: list[Fault]) -> dict[str, Any]:
        if options.get("metric") == "margin":
            del options["metric"]
            faults.append(Fault("metric", "cannot be margin: the venue tells no margins; use contracts or notional"))
        return options

    # -- looking ------------------------------------------------------------------------------------------------

    @property
    def _least(self) -> int:
        """`min_total` in what exposure is counted in."""
        return self.min_total * MICROS_PER_USD if self.metric is _NOTIONAL else self.min_total

    def _parts(self, account: AccountView) -> tuple[list[_Part], list[str]]:
        """The holdings, what grew last first, and the ids of those that have no price though one is needed."""
        parts, missing = [], []
        for holding in sorted(account.holdings.values(), key=latest_first):
            each = notional_micros(holding) if self.metric is _NOTIONAL else 1
            if each is None:
                missing.append(holding.contract_id)
            else:
                parts.append(_Part(holding, self._group(holding), each, abs(holding.net_contracts)))
        return parts, missing

    def _group(self, holding: HoldingView) -> str:
        contract = holding.contract
        if contract is not None:
            for group, symbols in self.groups.items():
                if any(contract.instrument.is_called(symbol) for symbol in symbols):
                    return group
        return holding.root

    def _is_breached(self, parts: list[_Part]) -> bool:
        exposures = _exposures(parts)
        total = sum(exposures.values())
        return total >= self._least and 100 * max(exposures.values()) > self.max_pct * total

    def _is_calm(self, parts: list[_Part], total: int, step: int) -> bool:
        """Whether nothing can be found while every price is less than one part in `step` away."""
        if total * (step + 1) < self._least * step:
            return True
        # The worst case: one group goes up by so much, and all others go down by as much.
        shares = [(value * (step + 1), (total - value) * (step - 1)) for value in _exposures(parts).values()]
        return all(100 * most <= self.max_pct * (most + rest) for most, rest in shares)

    def _breach(self, parts: list[_Part]) -> Breach:
        exposures = _exposures(parts)
        total = sum(exposures.values())
        group = max(exposures, key=lambda name: (exposures[name], name))
        return Breach(
            self.name,
            "CONCENTRATION",
            _share(exposures[group], total),
            self.max_pct * 100,
            Unit.BASIS_POINTS,
            ACCOUNT,
            targets=self._targets(parts) if self.action is Action.REDUCE else (),
            evidence=(
                ("largest", group),
                ("metric", self.metric.value),
                *((name, self._shown(value)) for name, value in sorted(exposures.items())),
                ("total", self._shown(total)),
            ),
        )

    def _shown(self, exposure: int) -> str:
        return f"{exposure // MICROS_PER_USD} USD" if self.metric is _NOTIONAL else str(exposure)

    def _targets(self, parts: list[_Part]) -> tuple[AtMost, ...]:
        """What may remain: one contract after the other comes off the largest group until nothing is too large."""
        left = [_Part(part.holding, part.group, part.each, part.size) for part in parts]
        while self._is_breached(left):
            exposures = _exposures(left)
            group = max(exposures, key=lambda name: (exposures[name], name))
            next(part for part in left if part.group == group and part.each and part.size).size -= 1
        return tuple(
            AtMost(now.holding.contract_id, now.size)
            for before, now in zip(parts, left, strict=True)
            if now.size < before.size
        )


def _exposures(parts: list[_Part]) -> dict[str, int]:
    """The exposure of every group."""
    exposures: dict[str, int] = {}
    for part in parts:
        exposures[part.group] = exposures.get(part.group, 0) + part.each * part.size
    return exposures


def _share(exposure: int, total: int) -> int:
    """The share in basis points, rounded up, so that what is above the limit shows as above it."""
    return -(-exposure * _BASIS_POINTS // total)

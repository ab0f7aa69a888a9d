"""A rule of one's own: no adding to a losing position.

Named in risk_config.yaml, it is a rule like any other:

    custom_rules: [../examples/no_adding_to_losers.py]
    rules:
      no_adding_to_losers:
        from_loss: 50
        warn_at: [50]

A position that is at least `from_loss` dollars down may not grow: what was added since is closed again. The size it had
when it fell below is what may remain; a smaller one is then the most there may be. `action: alert` only says so.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, ClassVar

import msgspec

from risk_manager.domain.account import AccountView
from risk_manager.domain.events import Event, FillReceived, PositionUpdated, QuoteUpdated
from risk_manager.domain.finding import AtMost, Breach, Finding, Gauge, Skipped, Unit
from risk_manager.domain.scope import Scope
from risk_manager.rules import Demand, Remedy


class Action(StrEnum):
    REDUCE = "reduce_to_limit"
    ALERT = "alert"


class Losers(msgspec.Struct, frozen=True):
    """The most contracts that may remain of each position that is down, by contract id."""

    sizes: dict[str, int] = {}


class NoAddingToLosers(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of the rule; see the module's text."""

    name: ClassVar[str] = "no_adding_to_losers"
    listens_to: ClassVar[frozenset[type]] = frozenset({PositionUpdated, FillReceived, QuoteUpdated})
    example: ClassVar[Mapping[str, object]] = {"from_loss": 50}
    # Of the dollars fewer are stricter: lowering them takes effect at once, raising them waits for the next day.
    stricter: ClassVar[Mapping[str, str]] = {"from_loss_micros": "lower"}

    from_loss_micros: Annotated[int, msgspec.Meta(gt=0)]
    action: Action = Action.REDUCE

    @property
    def remedy(self) -> Remedy:
        return Remedy(Demand(self.action.value))

    def initial_state(self) -> Losers:
        return Losers()

    def deadline_ns(self, state: Losers) -> None:
        return None

    def step(self, state: Losers, event: Event, account: AccountView) -> tuple[Losers, tuple[Finding | Skipped, ...]]:
        sizes: dict[str, int] = {}
        found: list[Finding | Skipped] = []
        for contract_id, holding in account.holdings.items():
            size, floating = abs(holding.net_contracts), holding.unrealized_micros
            if floating is None or floating > -self.from_loss_micros:
                continue
            sizes[contract_id] = min(size, state.sizes.get(contract_id, size))
            if size > sizes[contract_id]:
                found.append(self._breach(contract_id, size, sizes[contract_id]))
        return (state if sizes == state.sizes else Losers(sizes)), tuple(found)

    def gauges(self, state: Losers, account: AccountView) -> tuple[Gauge, ...]:
        worst = min((holding.unrealized_micros or 0 for holding in account.holdings.values()), default=0)
        return (Gauge("worst position", max(0, -worst), self.from_loss_micros, Unit.MICROS),)

    def _breach(self, contract_id: str, size: int, most: int) -> Breach:
        return Breach(
            self.name,
            "ADDED_TO_LOSER",
            size,
            most,
            Unit.CONTRACTS,
            Scope(contract_id=contract_id),
            targets=(AtMost(contract_id, most),),
        )

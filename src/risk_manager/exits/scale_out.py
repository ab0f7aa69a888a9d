"""Take a position off in parts: a ladder of targets.

`rungs` are pairs of a profit in ticks and a percentage of the largest size the position has had. What has been closed
since counts for the nearest rungs, however it was closed. A part that is no whole contract goes to the next rung, so
that the rungs together close exactly their percentage, rounded down.

Example: `rungs: [(10, 50), (20, 50)]` with 3 contracts: 1 at 10 ticks, 2 at 20.
"""

from typing import ClassVar

import msgspec

from risk_manager.exits._base import ExitEvent, Held, Levels, Target, View


class Rung(msgspec.Struct, frozen=True, gc=False):
    """At this profit, this percentage of the largest size."""

    profit_ticks: int
    percent: int


class Ladder(msgspec.Struct, frozen=True, gc=False):
    """The largest size so far, in contracts."""

    peak: int


class ScaleOut(msgspec.Struct, frozen=True, kw_only=True, tag="scale_out"):
    """Settings; see the module's text."""

    name: ClassVar[str] = "scale_out"

    rungs: tuple[Rung, ...]

    def __post_init__(self) -> None:
        profits = [rung.profit_ticks for rung in self.rungs]
        if not profits or profits != sorted(set(profits)) or profits[0] <= 0:
            raise ValueError("rungs must rise in profit_ticks, from above 0")
        percents = [rung.percent for rung in self.rungs]
        if min(percents) <= 0 or sum(percents) > 100:
            raise ValueError("percent must be above 0, and 100 at most together")

    def initial_state(self, position: Held) -> Ladder:
        return Ladder(position.size)

    def step(self, state: Ladder, event: ExitEvent, position: Held) -> Ladder:
        return Ladder(position.size) if position.size > state.peak else state

    def levels(self, state: Ladder, position: Held, view: View) -> Levels:
        closed = state.peak - position.size
        targets: list[Target] = []
        percent = before = 0
        for rung in self.rungs:
            percent += rung.percent
            until = state.peak * percent // 100
            open_contracts = until - max(before, closed)
            before = until
            if open_contracts > 0:
                price = position.target_ticks(rung.profit_ticks)
                targets.append(Target(price, position.changed_ns, self.name, open_contracts))
        return Levels(targets=tuple(targets))

"""Close at a fixed distance in profit of the average entry price.

The distance is ticks or a part of the entry price. It follows the average when something is added or taken off.
"""

from typing import ClassVar

import msgspec

from risk_manager.exits._base import Distance, ExitEvent, Held, Levels, Target, View


class TakeProfit(msgspec.Struct, frozen=True, kw_only=True, tag="take_profit"):
    """Settings; see the module's text."""

    name: ClassVar[str] = "take_profit"

    distance: Distance

    def __post_init__(self) -> None:
        if self.distance.atr_percent is not None:
            raise ValueError("a target is ticks or a part of the entry price: it must not move with the market")

    def initial_state(self, position: Held) -> None:
        return None

    def step(self, state: None, event: ExitEvent, position: Held) -> None:
        return None

    def levels(self, state: None, position: Held, view: View) -> Levels:
        distance = self.distance.ticks_from(position.entry_ticks(), {})
        assert distance is not None, self
        return Levels(targets=(Target(position.target_ticks(distance), position.changed_ns, self.name),))

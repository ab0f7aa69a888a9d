"""Fades the market, takes tiny profits, never takes a loss, and doubles what goes against it.

So it meets a large floating loss sooner or later, and after a few of those the day's loss. It takes the product whose
tick is worth most. When nothing happens it doubles out of boredom. Once a position was taken from it, it is on tilt:
bored at its full size it leaves and starts anew, and the spread and the fees see to it that even a market that stands
still ends badly.
"""

from collections import deque
from random import Random
from typing import ClassVar

import msgspec

from risk_manager.domain.order import Side
from risk_manager.simulator.desk import Desk


class DoublerSettings(msgspec.Struct, frozen=True):
    """How it trades.

    Attributes:
        start_size: contracts of the first order.   most_contracts: what it doubles up to.
        add_ticks: loss per contract at which it doubles, again at each multiple.
        profit_ticks: profit per contract it takes.
        patience_steps: market steps in which nothing of this happens before it acts out of boredom.
        pause_steps: between leaving (or being flattened) and the next entry.
        memory_steps: how far back it looks for the move it trades against.
        stop_at_loss_micros: it is finished once it lost so much (realized, after costs); None never.
    """

    contract_ids: tuple[str, ...]
    start_size: int = 1
    most_contracts: int = 3
    add_ticks: int = 1
    profit_ticks: int = 2
    patience_steps: int = 60
    pause_steps: int = 5
    memory_steps: int = 20
    stop_at_loss_micros: int | None = None


class Doubler:
    """See the module."""

    name: ClassVar[str] = "doubler"
    Settings: ClassVar = DoublerSettings

    def __init__(self, settings: DoublerSettings, *, seed: int = 0) -> None:
        self._settings = settings
        self._random = Random(f"doubler/{seed}")
        self._bids = {each: deque[int](maxlen=settings.memory_steps) for each in settings.contract_ids}
        self._contract_id: str | None = None
        self._adds = 0
        self._idle_steps = 0
        self._wait_steps = settings.memory_steps
        self._is_leaving = False
        self._is_tilted = False
        self._is_ruined = False

    @property
    def is_finished(self) -> bool:
        return self._is_ruined

    def step(self, desk: Desk, now_ns: int) -> None:
        self._remember(desk)
        if self._contract_id is not None:
            self._hold(desk, self._contract_id)
        elif self._wait_steps > 0:
            self._wait_steps -= 1
        else:
            self._enter(desk)

    def _remember(self, desk: Desk) -> None:
        for contract_id, bids in self._bids.items():
            bid = desk.top(contract_id).bid_ticks if desk.is_quoted(contract_id) else None
            if bid is not None:
                bids.append(bid)

    def _enter(self, desk: Desk) -> None:
        quoted = [each for each in self._settings.contract_ids if desk.is_quoted(each)]
        if not quoted:
            return
        contract_id = max(quoted, key=desk.tick_value_micros)
        bids = self._bids[contract_id]
        drift = bids[-1] - bids[0] or self._random.choice((-1, 1))
        side = Side.BUY if drift < 0 else Side.SELL
        self._adds, self._idle_steps, self._is_leaving = 0, 0, False
        if desk.market(contract_id, side, self._settings.start_size):
            self._contract_id = contract_id
        else:
            self._wait_steps = self._settings.pause_steps

    def _hold(self, desk: Desk, contract_id: str) -> None:
        if desk.is_busy(contract_id):
            return
        net, edge = desk.net(contract_id), desk.edge_ticks(contract_id)
        if net == 0:
            self._contract_id = None
            self._wait_steps = self._settings.pause_steps
            self._is_tilted = self._is_tilted or not self._is_leaving
            limit = self._settings.stop_at_loss_micros
            self._is_ruined = limit is not None and desk.result_micros() <= -limit
            return
        self._idle_steps += 1
        is_bored = self._idle_steps >= self._settings.patience_steps
        room = self._settings.most_contracts - abs(net)
        if edge is not None and edge >= self._settings.profit_ticks:
            self._is_leaving = desk.leave(contract_id)
        elif room > 0 and (is_bored or (edge is not None and edge <= -self._settings.add_ticks * (self._adds + 1))):
            self._adds, self._idle_steps = self._adds + 1, 0
            desk.market(contract_id, Side.BUY if net > 0 else Side.SELL, min(abs(net), room))
        elif is_bored and self._is_tilted:
            self._is_leaving = desk.leave(contract_id)


TRADER = Doubler

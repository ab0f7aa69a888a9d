"""Trades small, takes a small profit or a small loss, and waits: breaks no rule a sane account has."""

from random import Random
from typing import ClassVar

import msgspec

from risk_manager.domain.order import Side
from risk_manager.simulator.desk import Desk


class DisciplinedSettings(msgspec.Struct, frozen=True):
    """How it trades.

    Attributes:
        size: contracts per entry.
        pause_steps: market steps between leaving and the next entry.
        risk_ticks, target_ticks: per contract; where it gives up and where it is content.
        hold_steps: the longest it stays in a position (watched exits only).
        uses_brackets: let the venue hold stop and target instead of watching them itself.
        rounds: positions it takes in all; None for ever.
    """

    contract_ids: tuple[str, ...]
    size: int = 1
    pause_steps: int = 25
    risk_ticks: int = 4
    target_ticks: int = 3
    hold_steps: int = 40
    uses_brackets: bool = False
    rounds: int | None = None


class Disciplined:
    """See the module."""

    name: ClassVar[str] = "disciplined"
    Settings: ClassVar = DisciplinedSettings

    def __init__(self, settings: DisciplinedSettings, *, seed: int = 0) -> None:
        self._settings = settings
        self._random = Random(f"disciplined/{seed}")
        self._contract_id: str | None = None
        self._held_steps = 0
        self._wait_steps = settings.pause_steps
        self._rounds_done = 0

    @property
    def is_finished(self) -> bool:
        return self._settings.rounds is not None and self._rounds_done >= self._settings.rounds

    def step(self, desk: Desk, now_ns: int) -> None:
        if self._contract_id is not None:
            self._hold(desk, self._contract_id)
        elif self._wait_steps > 0:
            self._wait_steps -= 1
        else:
            self._enter(desk)

    def _hold(self, desk: Desk, contract_id: str) -> None:
        if desk.is_busy(contract_id):
            return
        if desk.net(contract_id) == 0:
            self._contract_id = None
            self._wait_steps = self._settings.pause_steps
            self._rounds_done += 1
            return
        self._held_steps += 1
        if self._settings.uses_brackets:
            return
        edge = desk.edge_ticks(contract_id)
        is_decided = edge is not None and not -self._settings.risk_ticks < edge < self._settings.target_ticks
        if is_decided or self._held_steps >= self._settings.hold_steps:
            desk.leave(contract_id)

    def _enter(self, desk: Desk) -> None:
        quoted = [each for each in self._settings.contract_ids if desk.is_quoted(each)]
        if not quoted:
            return
        contract_id = self._random.choice(quoted)
        side = self._random.choice((Side.BUY, Side.SELL))
        settings = self._settings
        if settings.uses_brackets:
            risk, target = settings.risk_ticks, settings.target_ticks
            is_taken = desk.bracket(contract_id, side, settings.size, risk_ticks=risk, target_ticks=target)
        else:
            is_taken = desk.market(contract_id, side, settings.size)
        if is_taken:
            self._contract_id, self._held_steps = contract_id, 0
        else:
            self._wait_steps = settings.pause_steps


TRADER = Disciplined

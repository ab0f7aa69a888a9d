"""Builds positions that are too large: first in one contract, then over several, in turns."""

from random import Random
from typing import ClassVar

import msgspec

from risk_manager.domain.order import Side
from risk_manager.simulator.desk import Desk


class OversizerSettings(msgspec.Struct, frozen=True):
    """How it trades.

    Attributes:
        single_size: contracts it wants in one contract; above the per-instrument limit.
        total_size: contracts it wants over all of them, spread evenly and each share sent as one order; above the
            account's limit. On a market of one contract all of it goes there at once.
        lot: contracts per order while it builds one position.   every_steps: market steps between two orders.
        hold_steps: how long it keeps what nobody takes from it.   pause_steps: between two turns.
        rounds: turns in all; odd ones in one contract, even ones over all.
    """

    contract_ids: tuple[str, ...]
    single_size: int = 5
    total_size: int = 8
    lot: int = 2
    every_steps: int = 3
    hold_steps: int = 30
    pause_steps: int = 15
    rounds: int = 2


class Oversizer:
    """See the module."""

    name: ClassVar[str] = "oversizer"
    Settings: ClassVar = OversizerSettings

    def __init__(self, settings: OversizerSettings, *, seed: int = 0) -> None:
        self._settings = settings
        self._random = Random(f"oversizer/{seed}")
        self._rounds_done = 0
        self._wait_steps = 0
        self._held_steps = 0
        self._side = Side.BUY
        self._lot = settings.lot
        self._wanted: dict[str, int] = {}
        self._built: dict[str, int] = {}
        self._is_leaving = False

    @property
    def is_finished(self) -> bool:
        return self._rounds_done >= self._settings.rounds

    def step(self, desk: Desk, now_ns: int) -> None:
        if self._wait_steps > 0:
            self._wait_steps -= 1
        elif self._is_leaving:
            self._leave(desk)
        elif not self._wanted:
            self._plan(desk)
        elif self._was_cut(desk):
            self._is_leaving = True
        else:
            self._build(desk)

    def _plan(self, desk: Desk) -> None:
        quoted = [each for each in self._settings.contract_ids if desk.is_quoted(each)]
        if not quoted:
            return
        self._side = self._random.choice((Side.BUY, Side.SELL))
        self._built = {}
        self._held_steps = 0
        if self._rounds_done % 2 == 0:
            self._lot = self._settings.lot
            self._wanted = {quoted[self._rounds_done // 2 % len(quoted)]: self._settings.single_size}
        else:
            each_size = -(-self._settings.total_size // len(quoted))
            self._lot = each_size
            self._wanted = dict.fromkeys(quoted, each_size)

    def _was_cut(self, desk: Desk) -> bool:
        """Whether somebody else made one of its positions smaller."""
        return any(
            abs(desk.net(contract_id)) < size and not desk.is_busy(contract_id)
            for contract_id, size in self._built.items()
        )

    def _build(self, desk: Desk) -> None:
        for contract_id, wanted in self._wanted.items():
            missing = wanted - self._built.get(contract_id, 0)
            if missing <= 0:
                continue
            size = min(missing, self._lot)
            if desk.market(contract_id, self._side, size):
                self._built[contract_id] = self._built.get(contract_id, 0) + size
                self._wait_steps = self._settings.every_steps - 1
            else:
                # Refused outright: somebody closed the account or the market; this turn is over.
                self._is_leaving = True
            return
        self._held_steps += 1
        self._is_leaving = self._held_steps >= self._settings.hold_steps

    def _leave(self, desk: Desk) -> None:
        for contract_id in self._wanted:
            desk.leave(contract_id)
        if all(desk.net(contract_id) == 0 for contract_id in self._wanted):
            self._wanted = {}
            self._is_leaving = False
            self._wait_steps = self._settings.pause_steps
            self._rounds_done += 1


TRADER = Oversizer

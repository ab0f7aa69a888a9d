"""Tries the same forbidden thing again and again: what the rule breaker and the lockout fighter have in common."""

from enum import StrEnum
from random import Random

import msgspec

from risk_manager.domain.order import Side
from risk_manager.simulator.desk import Desk


class Attempt(StrEnum):
    """A way to get exposure: at once, or by an order that rests below or above the market."""

    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"


class InsisterSettings(msgspec.Struct, frozen=True):
    """How it tries.

    Attributes:
        size: contracts per attempt.   away_ticks: distance of resting orders from the market.
        hold_steps: how long it keeps a position nobody takes from it, or waits for a resting order.
        pause_steps: market steps after an attempt came to its end.   attempts: how often it tries.
        blind_ticks: price of a resting order in a contract that has no quote.
    """

    contract_ids: tuple[str, ...]
    size: int = 1
    away_ticks: int = 8
    hold_steps: int = 20
    pause_steps: int = 6
    attempts: int = 8
    blind_ticks: int = 1_000


class Insister:
    """Goes through the attempts in the given order, round and round, on the contracts in turn."""

    def __init__(self, settings: InsisterSettings, attempts: tuple[Attempt, ...], random: Random) -> None:
        self._settings = settings
        self._attempts = attempts
        self._random = random
        self._done = 0
        self._wait_steps = 0
        self._left_steps = 0
        self._contract_id: str | None = None

    @property
    def is_finished(self) -> bool:
        return self._done >= self._settings.attempts and self._contract_id is None

    def step(self, desk: Desk) -> None:
        if self._contract_id is not None:
            self._watch(desk, self._contract_id)
        elif self._wait_steps > 0:
            self._wait_steps -= 1
        elif self._settings.contract_ids:
            self._try(desk)

    def _watch(self, desk: Desk, contract_id: str) -> None:
        """Wait until the attempt was taken away, or its time is over."""
        self._left_steps -= 1
        if desk.is_busy(contract_id):
            return
        is_gone = desk.net(contract_id) == 0 and not desk.working(contract_id)
        if self._left_steps <= 0 and desk.net(contract_id) != 0:
            desk.leave(contract_id)
        elif is_gone or self._left_steps <= 0:
            self._contract_id = None
            self._wait_steps = self._settings.pause_steps

    def _try(self, desk: Desk) -> None:
        settings = self._settings
        # Each contract sees every way in before its turn comes round again.
        turn, way = divmod(self._done, len(self._attempts))
        contract_id = settings.contract_ids[turn % len(settings.contract_ids)]
        self._done += 1
        side = self._random.choice((Side.BUY, Side.SELL))
        if self._send(desk, self._attempts[way], contract_id, side):
            self._contract_id, self._left_steps = contract_id, settings.hold_steps
        else:
            self._wait_steps = settings.pause_steps

    def _send(self, desk: Desk, attempt: Attempt, contract_id: str, side: Side) -> bool:
        size, away = self._settings.size, self._settings.away_ticks
        bid, ask = self._settings.blind_ticks, self._settings.blind_ticks + 1
        if desk.is_quoted(contract_id):
            top = desk.top(contract_id)
            bid, ask = top.bid_ticks or bid, top.ask_ticks or ask
        if attempt is Attempt.MARKET:
            return desk.market(contract_id, side, size)
        if attempt is Attempt.LIMIT:
            return desk.limit(contract_id, side, size, bid - away if side is Side.BUY else ask + away)
        return desk.stop(contract_id, side, size, ask + away if side is Side.BUY else bid - away)

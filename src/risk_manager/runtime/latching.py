"""The active lockouts of one account on their way to the latch: after acting, or before it when the journal fails.

Each place the latch has is written on its own: one that refuses or hangs holds up no other.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from risk_manager.ports.latch import Latch, Latched, LatchUnavailable
from risk_manager.runtime.health import Health

LATCH_BUDGET_S = 0.05
"""How long the latch may hold up the actions, once the journal has failed."""

RELATCH_S = 0.25
FAULT = "latch"
SECOND_FAULT = "second latch"

log = structlog.get_logger("guard")


def places_of(latch: Latch) -> tuple[Latch, ...]:
    """Every place the latch has."""
    return (latch,) if latch.second is None else (latch, latch.second)


class Latching:
    """Brings the newest set of lockouts into every place of the latch, and offers it again while a disk refuses.

    Args:
        name: the account's, for the log.
        health: told what is wrong with the latch.
        begin: runs work of the guard's own beside the guarding.
    """

    def __init__(
        self,
        name: str,
        account_id: str,
        latch: Latch,
        health: Health,
        begin: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        named = zip((FAULT, SECOND_FAULT), places_of(latch), strict=False)
        self._places = tuple(_Place(fault, name, account_id, place, health, begin) for fault, place in named)

    def write_soon(self, latched: Latched) -> None:
        """Have it written; something newer may be written in its place."""
        for place in self._places:
            place.write_soon(latched)

    async def write_within_budget(self, latched: Latched) -> None:
        """Have it written before anything is done that rests on it; a broken disk delays nothing but the first time."""
        self.write_soon(latched)
        await asyncio.gather(*(place.wait_within_budget() for place in self._places))


class _Place:
    def __init__(
        self,
        fault: str,
        name: str,
        account_id: str,
        latch: Latch,
        health: Health,
        begin: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._fault = fault
        self._name = name
        self._account_id = account_id
        self._latch = latch
        self._health = health
        self._begin = begin
        self._wanted: Latched | None = None
        self._is_writing = False
        self._is_failing = False
        self._tried = asyncio.Event()

    def write_soon(self, latched: Latched) -> None:
        self._wanted = latched
        self._tried.clear()
        if not self._is_writing:
            self._is_writing = True
            self._begin(self._write())

    async def wait_within_budget(self) -> None:
        if self._tried.is_set() or self._is_failing:
            return
        try:
            async with asyncio.timeout(LATCH_BUDGET_S):
                await self._tried.wait()
        except TimeoutError:
            self._failed("the disk did not answer in time")

    async def _write(self) -> None:
        try:
            while (latched := self._wanted) is not None:
                if await self._is_written(latched):
                    if self._wanted is latched:
                        self._wanted = None
                        self._tried.set()
                else:
                    self._tried.set()
                    await asyncio.sleep(RELATCH_S)
        finally:
            self._is_writing = False

    async def _is_written(self, latched: Latched) -> bool:
        try:
            left_out = await self._latch.write(self._account_id, latched)
        except LatchUnavailable as error:
            self._failed(str(error))
            return False
        self._is_failing = False
        self._health.fault(self._fault, f"{left_out} lockouts have no room in it" if left_out else None)
        return True

    def _failed(self, text: str) -> None:
        self._health.fault(self._fault, text)
        if not self._is_failing:
            log.critical(f"{self._fault} not written", account=self._name, error=text)
        self._is_failing = True

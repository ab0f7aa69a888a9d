"""Decisions on their way to the disk: in their order, within a time limit, offered again while it refuses.

While the journal refuses, or has not answered in time, the latch is written before anything is done (design law 5).
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from risk_manager.domain.decision import Decision
from risk_manager.domain.lockout import Lockout
from risk_manager.ports.journal import Journal, JournalConflict, JournalUnavailable
from risk_manager.ports.latch import Latched
from risk_manager.runtime.health import Health
from risk_manager.runtime.latching import Latching

COMMIT_BUDGET_S = 0.2
"""How long a commit may hold up the actions: after that the guard acts from memory, with the latch, and says so."""

RECOMMIT_S = 0.25

JOURNAL = "journal"
"""The fault a journal that cannot be written is reported under."""

log = structlog.get_logger("guard")


class Commits:
    """The decisions of one account that are not durable yet.

    Args:
        name: the account's, for the log.
        health: told what is wrong with the journal.
        begin: runs work of the guard's own beside the guarding.
        latching: None where there is no latch.
    """

    def __init__(
        self,
        name: str,
        journal: Journal,
        health: Health,
        begin: Callable[[Coroutine[Any, Any, None]], None],
        latching: Latching | None = None,
    ) -> None:
        self._name = name
        self._journal = journal
        self._health = health
        self._begin = begin
        self._latching = latching
        self._latched = Latched(0, ())
        self._is_latch_behind = False
        self._is_refused = False
        self._uncommitted: list[Decision] = []
        self._is_recommitting = False
        self._is_stopped = False

    def __len__(self) -> int:
        return len(self._uncommitted)

    def start(self, latched: Latched) -> None:
        """See to it from the first moment on that there is a latch; it says what is wrong with it."""
        self._latched = latched
        self._is_latch_behind = True
        self.mirror()

    def stop(self) -> None:
        """Begin no further attempts but those that are asked for."""
        self._is_stopped = True

    def add(self, decision: Decision, lockouts: tuple[Lockout, ...]) -> None:
        """Take a decision, and the lockouts active after it; the next `commit` makes it durable, after those before."""
        self._uncommitted.append(decision)
        self._latched = Latched(decision.sequence, lockouts)
        self._is_latch_behind |= bool(decision.lockouts_set or decision.lockouts_released)

    async def commit(self) -> None:
        """Make everything decided so far durable, within the budget; a broken disk never delays a flatten.

        Once it is known to be broken nothing waits for it any more: the decision joins those that are offered again.
        What the journal does not have now is in the latch, as far as its disk allows.
        """
        await self._commit_within_budget()
        if (self._uncommitted or self._is_refused) and self._latching is not None:
            self._is_latch_behind = self._is_refused = False
            await self._latching.write_within_budget(self._latched)

    def mirror(self) -> None:
        """Bring the latch up to date; meant for after the actions, which a healthy journal has already made safe."""
        if self._is_latch_behind and self._latching is not None:
            self._is_latch_behind = False
            self._latching.write_soon(self._latched)

    async def _commit_within_budget(self) -> None:
        if self._is_recommitting:
            return
        # A sound disk is done before the task would be left alone for the first time, and needs no time limit.
        attempt = asyncio.Task(self._commit_all(), loop=asyncio.get_running_loop(), eager_start=True)
        if attempt.done():
            attempt.result()
            return
        try:
            async with asyncio.timeout(COMMIT_BUDGET_S):
                await attempt
        except TimeoutError:
            # The journal goes on writing; what it has stored by then it recognizes when it is offered again.
            self._failed("the disk did not answer in time")

    async def _commit_all(self) -> None:
        while self._uncommitted:
            decision = self._uncommitted[0]
            try:
                await self._journal.commit(decision)
            except JournalConflict as error:
                # It will never be stored; waiting for it would keep every later one from the disk.
                log.critical("decision not journaled", account=self._name, sequence=decision.sequence, error=str(error))
                self._health.fault("journal conflict", str(error))
                self._is_refused = True
            except JournalUnavailable as error:
                self._failed(str(error))
                return
            except Exception as error:  # noqa: BLE001  # a bug of ours in keeping the record must not keep the actions back
                self._failed(repr(error))
                return
            if self._uncommitted and self._uncommitted[0] is decision:
                self._uncommitted.pop(0)
        self._health.fault(JOURNAL, None)

    def _failed(self, text: str) -> None:
        self._health.fault(JOURNAL, text)
        if not self._is_recommitting and not self._is_stopped:
            log.critical("journal unavailable, acting from memory", account=self._name, error=text)
            self._is_recommitting = True
            self._begin(self._recommit())

    async def _recommit(self) -> None:
        try:
            while self._uncommitted:
                await asyncio.sleep(RECOMMIT_S)
                await self._commit_all()
        finally:
            self._is_recommitting = False
        log.warning("journal complete again", account=self._name)

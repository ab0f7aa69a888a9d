"""Decisions on their way to the disk: in their order, within a time limit, offered again while it refuses."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from risk_manager.domain.decision import Decision
from risk_manager.ports.journal import Journal, JournalConflict, JournalUnavailable
from risk_manager.runtime.health import Health

COMMIT_BUDGET_S = 0.25
"""How long a commit may hold up the actions: after that the guard acts from memory and says so."""

RECOMMIT_S = 0.25

log = structlog.get_logger("guard")


class Commits:
    """The decisions of one account that are not durable yet.

    Args:
        name: the account's, for the log.
        health: told what is wrong with the journal.
        begin: runs work of the guard's own beside the guarding.
    """

    def __init__(
        self, name: str, journal: Journal, health: Health, begin: Callable[[Coroutine[Any, Any, None]], None]
    ) -> None:
        self._name = name
        self._journal = journal
        self._health = health
        self._begin = begin
        self._uncommitted: list[Decision] = []
        self._is_recommitting = False
        self._is_stopped = False

    def __len__(self) -> int:
        return len(self._uncommitted)

    def stop(self) -> None:
        """Begin no further attempts but those that are asked for."""
        self._is_stopped = True

    def add(self, decision: Decision) -> None:
        """Take a decision; the next `commit` makes it durable, after those before it."""
        self._uncommitted.append(decision)

    async def commit(self) -> None:
        """Make everything decided so far durable, within the budget; a broken disk never delays a flatten.

        Once it is known to be broken nothing waits for it any more: the decision joins those that are offered again.
        """
        if self._is_recommitting:
            return
        # A sound disk is done before the task would be left alone for the first time, and needs no time limit.
        attempt = asyncio.Task(self._commit_all(), loop=asyncio.get_running_loop(), eager_start=True)
        if attempt.done():
            return attempt.result()
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
            except JournalUnavailable as error:
                self._failed(str(error))
                return
            if self._uncommitted and self._uncommitted[0] is decision:
                self._uncommitted.pop(0)
        self._health.fault("journal", None)

    def _failed(self, text: str) -> None:
        self._health.fault("journal", text)
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

"""The daemon: one venue connection, any number of guarded accounts, the local API."""

import asyncio
import gc
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import structlog

from risk_manager.config import GuardConfig
from risk_manager.domain.decision import Decision
from risk_manager.domain.events import Event
from risk_manager.persistence.quarantine import StandIn
from risk_manager.persistence.recorder import FlightRecorder
from risk_manager.ports.clock import Clock
from risk_manager.ports.journal import Journal
from risk_manager.ports.venue import Venue
from risk_manager.runtime.accepted import load_and_keep
from risk_manager.runtime.anchoring import FAULT, Anchored, Anchoring, places_of
from risk_manager.runtime.explanation import Explanation, explain
from risk_manager.runtime.guard import CONNECTION, Guard
from risk_manager.runtime.instants import iso
from risk_manager.runtime.loop_lag import LoopLag
from risk_manager.runtime.notify import Notifier
from risk_manager.runtime.reload import ConfigWatch
from risk_manager.runtime.service.report import ServiceReport
from risk_manager.runtime.status import DaemonStatus, account_status
from risk_manager.runtime.supervisor import Supervisor
from risk_manager.web.api import ANSWER_BYTES, LocalApi

RESTART_S = 1.0
CONFIGURATION = "configuration"
"""The fault a configuration that cannot be used is reported under."""

JOURNAL_TRY_S = 5.0

STORY_BYTES = 4 * ANSWER_BYTES
"""What an explanation is made of may be longer than the explanation."""

LOCAL_API = "local API"
EVENT_LOOP = "event loop"

log = structlog.get_logger("daemon")


class Daemon:
    """Runs the guards until stopped. Implements `web.api.StatusSource`."""

    def __init__(
        self,
        venue: Venue,
        journal: Journal,
        guards: tuple[Guard, ...],
        clock: Clock,
        *,
        revision: str,
        version: str,
        api_port: int | None,
        on_listening: Callable[[int], None] | None = None,
        config: GuardConfig | None = None,
        directory: Path | None = None,
        recorder: FlightRecorder | None = None,
        anchored: Anchored | None = None,
        on_journal_back: Callable[[], None] | None = None,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        """Args:
        config: what the guards were built of; needed to change their rules later.
        on_journal_back: called once a journal that could not be used at the start can be; whoever built the daemon
            should then stop it and build another, for beginning is the one way to take up what a journal holds.
        anchored: the journal, if its end is to be written down where the configuration says.
        on_end: called when everything is closed after a `stop`, or before anything was guarded.
        directory: the configuration's, watched while the daemon runs; None watches nothing.
        """
        self.guards = guards
        self._by_account = {guard.account_id: guard for guard in guards}
        self._venue = venue
        self._journal = journal
        self._clock = clock
        self._revision = revision
        self._config = config
        self._version = version
        self._started_ns = clock.now_ns()
        self._api = LocalApi(self, api_port) if api_port is not None else None
        self.watch = ConfigWatch(directory, load_and_keep, self) if directory is not None else None
        self._on_listening = on_listening
        self._recorder = recorder
        places = places_of(config.anchor) if config is not None and config.anchor is not None else ()
        self._anchoring = Anchoring(anchored, places, clock, self._fault) if anchored is not None and places else None
        self._on_end = on_end
        self._on_journal_back = on_journal_back
        self._lag = LoopLag(partial(self._fault, EVENT_LOOP))
        self._stop = asyncio.Event()

    async def run(self, notifier: Notifier | None = None) -> None:
        """Guard until `stop` is called, then save and close everything.

        Args:
            notifier: the service manager that started us. It is told how the guards stand, and a port that is taken
                must not keep them from guarding then: whoever takes it could end them by that.

        Raises:
            OSError: the API's port is taken, and there is no service manager.
        """
        tasks = Supervisor(self._fault, restart_s=RESTART_S)
        report = ServiceReport(notifier, self.guards) if notifier is not None else None
        is_guarding = False
        try:
            if self._api is not None and notifier is None:
                await self._open_api(self._api)
            is_guarding = True
            for guard in self.guards:
                guard.start()
            # What is alive now stays: a full collection over it would stop the loop for milliseconds in the session.
            gc.collect()
            gc.freeze()
            self._lag.start()
            tasks.keep(CONNECTION, lambda: self._venue.run(tuple(self._by_account), self._deliver))
            if self.watch is not None:
                tasks.keep("configuration watch", self.watch.run)
            if isinstance(self._journal, StandIn) and self._on_journal_back is not None:
                tasks.keep("journal", partial(self._await_journal, self._journal, self._on_journal_back))
            if self._anchoring is not None:
                tasks.keep(FAULT, self._anchoring.run)
            if self._api is not None and notifier is not None:
                tasks.keep(LOCAL_API, partial(self._serve_api, self._api))
            await self._stop.wait()
        finally:
            if report is not None:
                report.stopping()
            self._lag.stop()
            for error in await asyncio.gather(*(guard.stop() for guard in self.guards), return_exceptions=True):
                if error is not None:
                    log.critical("guard not stopped in good order", error=repr(error), exc_info=error)
            await tasks.stop()
            if self._api is not None:
                await self._api.stop()
            if self._recorder is not None:
                await self._recorder.close()
            if self._anchoring is not None:
                await self._anchoring.finish()
            await self._venue.close()
            await self._journal.close()
            if self._stop.is_set() or not is_guarding:
                self._on_end()

    def stop(self) -> None:
        """Let `run` end; lockouts stay in force, positions stay as they are."""
        self._stop.set()

    def change_rules(self, config: GuardConfig) -> None:
        """Put the rules of another configuration in force, as far as they may be; the rest of it needs a restart."""
        if config.revision == self._revision:
            return
        restart = _needing_restart(self._config, config) if self._config is not None else []
        self.configuration_fault(f"a restart is needed for changes of {', '.join(restart)}" if restart else None)
        if "accounts" in restart:
            log.error("accounts changed, rules left as they are until the restart")
            return
        for guard, account in zip(self.guards, config.accounts, strict=True):
            guard.change_rules(account.rules, config.revision)
        self._revision = config.revision
        log.info("configuration in force", revision=config.revision[:12])

    def configuration_fault(self, text: str | None) -> None:
        """Show on every account what is wrong with the configuration that is written; None shows nothing."""
        self._fault(CONFIGURATION, text)

    def status(self) -> DaemonStatus:
        """The daemon and its accounts as they are now."""
        now_ns = self._clock.now_ns()
        return DaemonStatus(
            version=self._version,
            process_id=os.getpid(),
            started_at=iso(self._started_ns),
            configuration=self._revision,
            loop=self._lag.status,
            accounts=tuple(account_status(guard, now_ns) for guard in self.guards),
        )

    async def decisions(self, account_id: str | None, most: int) -> tuple[Decision, ...]:
        """The last committed decisions of one account or of all, oldest first; the accounts share `ANSWER_BYTES`."""
        chosen = [guard.account_id for guard in self.guards if account_id in (None, guard.account_id, guard.name)]
        most_bytes = ANSWER_BYTES // max(len(chosen), 1)
        found = [
            decision
            for key in chosen
            for decision in await self._journal.decisions(key, most=most, most_bytes=most_bytes)
        ]
        found.sort(key=lambda decision: decision.cause.received_ns if decision.cause is not None else 0)
        return tuple(found[-most:])

    async def explain(self, intent_id: str) -> Explanation | None:
        """What is known of an enforcement; None if there is none of that id."""
        story = await self._journal.story(intent_id, most_bytes=STORY_BYTES)
        return explain(story, intent_id) if story is not None else None

    async def _await_journal(self, stand_in: StandIn, on_back: Callable[[], None]) -> None:
        is_back = False
        while not is_back:
            await asyncio.sleep(JOURNAL_TRY_S)
            is_back = await stand_in.is_over()
        log.warning("the journal can be used again")
        on_back()
        # Nothing is left to do but to be ended with the others.
        await asyncio.Event().wait()

    def _deliver(self, event: Event) -> None:
        guard = self._by_account.get(event.account_id)
        if guard is not None:
            guard.deliver(event)

    def _fault(self, name: str, text: str | None) -> None:
        """Show on every account what is wrong with something they share."""
        for guard in self.guards:
            guard.health.fault(name, text)

    async def _open_api(self, api: LocalApi) -> None:
        port = await api.start()
        if self._on_listening is not None:
            self._on_listening(port)

    async def _serve_api(self, api: LocalApi) -> None:
        try:
            await self._open_api(api)
            self._fault(LOCAL_API, None)
            await asyncio.Event().wait()
        finally:
            await api.stop()


def _needing_restart(before: GuardConfig, after: GuardConfig) -> list[str]:
    """What differs that only a restart can change."""
    parts = {
        "venue": (before.venue, after.venue),
        "accounts": tuple(tuple((one.id, one.name, one.nickname) for one in each.accounts) for each in (before, after)),
        "mode": tuple(tuple(one.mode for one in each.accounts) for each in (before, after)),
        "reset": ((before.reset_time, before.timezone), (after.reset_time, after.timezone)),
        "api": (before.api_port, after.api_port),
        "data_dir": (before.data_dir, after.data_dir),
        "latch_dir": (before.latch_dir, after.latch_dir),
    }
    return [name for name, (old, new) in parts.items() if old != new]

"""The daemon: one venue connection, any number of guarded accounts, the local API."""

import asyncio
import gc
import os
from collections.abc import Callable
from pathlib import Path

import structlog

from risk_manager.config import GuardConfig, load_config
from risk_manager.domain.decision import Decision
from risk_manager.domain.events import Event
from risk_manager.ports.clock import Clock
from risk_manager.ports.journal import Journal
from risk_manager.ports.venue import Venue
from risk_manager.runtime.guard import CONNECTION, Guard
from risk_manager.runtime.instants import iso
from risk_manager.runtime.reload import ConfigWatch
from risk_manager.runtime.status import DaemonStatus, account_status
from risk_manager.web.api import LocalApi

RESTART_S = 1.0
CONFIGURATION = "configuration"
"""The fault a configuration that cannot be used is reported under."""

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
    ) -> None:
        """Args:
        config: what the guards were built of; needed to change their rules later.
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
        self.watch = ConfigWatch(directory, load_config, self) if directory is not None else None
        self._on_listening = on_listening
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Guard until `stop` is called, then save and close everything.

        Raises:
            OSError: the API's port is taken.
        """
        tasks: list[asyncio.Task[None]] = []
        try:
            if self._api is not None:
                port = await self._api.start()
                if self._on_listening is not None:
                    self._on_listening(port)
            for guard in self.guards:
                guard.start()
            # What is alive now stays: a full collection over it would stop the loop for milliseconds in the session.
            gc.collect()
            gc.freeze()
            tasks.append(asyncio.create_task(self._keep_connected()))
            if self.watch is not None:
                tasks.append(asyncio.create_task(self.watch.run()))
            await self._stop.wait()
        finally:
            for guard in self.guards:
                await guard.stop()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self._api is not None:
                await self._api.stop()
            await self._venue.close()
            await self._journal.close()

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
        for guard in self.guards:
            guard.health.fault(CONFIGURATION, text)

    def status(self) -> DaemonStatus:
        """The daemon and its accounts as they are now."""
        now_ns = self._clock.now_ns()
        return DaemonStatus(
            version=self._version,
            process_id=os.getpid(),
            started_at=iso(self._started_ns),
            configuration=self._revision,
            accounts=tuple(account_status(guard, now_ns) for guard in self.guards),
        )

    async def decisions(self, account_id: str | None, most: int) -> tuple[Decision, ...]:
        """The last committed decisions of one account or of all, oldest first."""
        chosen = [guard.account_id for guard in self.guards if account_id in (None, guard.account_id, guard.name)]
        found = [decision for key in chosen for decision in await self._journal.decisions(key, most=most)]
        found.sort(key=lambda decision: decision.cause.received_ns if decision.cause is not None else 0)
        return tuple(found[-most:])

    def _deliver(self, event: Event) -> None:
        guard = self._by_account.get(event.account_id)
        if guard is not None:
            guard.deliver(event)

    async def _keep_connected(self) -> None:
        """The venue reconnects by itself; should its task end all the same, that is a bug, and it begins again."""
        while True:
            try:
                await self._venue.run(tuple(self._by_account), self._deliver)
            except Exception as error:  # guarding goes on over REST polls while this restarts
                log.critical("venue connection ended", error=repr(error), exc_info=error)
                for guard in self.guards:
                    guard.health.fault(CONNECTION, repr(error))
            await asyncio.sleep(RESTART_S)


def _needing_restart(before: GuardConfig, after: GuardConfig) -> list[str]:
    """What differs that only a restart can change."""
    parts = {
        "venue": (before.venue, after.venue),
        "accounts": tuple(tuple((one.id, one.name, one.nickname) for one in each.accounts) for each in (before, after)),
        "mode": tuple(tuple(one.mode for one in each.accounts) for each in (before, after)),
        "reset": ((before.reset_time, before.timezone), (after.reset_time, after.timezone)),
        "api": (before.api_port, after.api_port),
        "data_dir": (before.data_dir, after.data_dir),
    }
    return [name for name, (old, new) in parts.items() if old != new]

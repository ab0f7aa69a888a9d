"""A changed configuration takes effect while the guard runs; a faulty one changes nothing and is said loudly."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Protocol

import structlog

from risk_manager.config import ConfigInvalid, GuardConfig
from risk_manager.config.load import ACCOUNTS_FILE, RISK_FILE

SETTLE_MS = 300
"""How long the files must be left alone: an editor writes in several steps."""

RETRY_S = 5.0

log = structlog.get_logger("configuration")


class Reconfigured(Protocol):
    """Who takes a configuration: the daemon."""

    def change_rules(self, config: GuardConfig) -> None:
        """Put another configuration's rules in force."""

    def configuration_fault(self, text: str | None) -> None:
        """Say that what is written cannot be used, or with None that it can again."""


class ConfigWatch:
    """Reads the configuration directory again when a file in it changes, or when asked to."""

    def __init__(self, directory: Path, load: Callable[[Path], GuardConfig], target: Reconfigured) -> None:
        self._directory = directory
        self._load = load
        self._target = target
        self._reading = asyncio.Lock()

    async def run(self) -> None:
        """Read the files, then watch them until cancelled."""
        # What the guards were built of may not be what is written: it may have faults, or be changed since.
        await self.reload()
        while True:
            try:
                async for _ in self._changes():
                    await self.reload()
            except OSError as error:
                log.error("configuration directory not watched", directory=str(self._directory), error=str(error))
            await asyncio.sleep(RETRY_S)
            await self.reload()

    async def reload(self) -> None:
        """Read the files now; never raises."""
        async with self._reading:
            try:
                # Reading YAML takes tens of milliseconds, which the event loop has no time for.
                config = await asyncio.to_thread(self._load, self._directory)
            except ConfigInvalid as invalid:
                log.critical("configuration refused, the old one stays in force", faults=str(invalid))
                count = len(invalid.faults)
                self._target.configuration_fault(
                    f"{count} fault{'' if count == 1 else 's'}, the old one stays in force; {invalid.faults[0]}"
                )
                return
            except Exception as error:  # whatever is wrong with a file must not end the guarding
                log.critical("configuration not read, the old one stays in force", error=repr(error), exc_info=error)
                self._target.configuration_fault(f"cannot be read, the old one stays in force; {error!r}")
                return
            self._target.configuration_fault(None)
            self._target.change_rules(config)

    async def _changes(self) -> AsyncIterator[None]:
        # Imported here: nobody else needs it.
        from watchfiles import awatch

        names = (ACCOUNTS_FILE, RISK_FILE)
        async for changed in awatch(self._directory, debounce=SETTLE_MS * 4, step=SETTLE_MS, recursive=True):
            if any(Path(path).name in names or path.endswith(".py") for _, path in changed):
                yield

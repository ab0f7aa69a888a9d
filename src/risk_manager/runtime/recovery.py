"""A guard as the journal remembers it: the same lockouts, the same open intents, the same gaps."""

import msgspec
import structlog

from risk_manager.engine import Engine, EngineSettings
from risk_manager.ports.journal import Journal
from risk_manager.runtime.coverage import Coverage

log = structlog.get_logger("guard")


async def recovered(settings: EngineSettings, journal: Journal) -> tuple[Engine, Coverage]:
    """An engine that continues where the journal's last one of this account stopped, and what it has not watched.

    A saved state of another version costs what the venue will tell again, and nothing else.
    """
    known = await journal.recover(settings.account_id)

    def restored(snapshot: bytes | None) -> Engine:
        return Engine.restore(
            settings, snapshot, sequence=known.sequence, lockouts=known.lockouts, intents=known.open_intents
        )

    try:
        engine = restored(known.snapshot)
    except msgspec.MsgspecError as error:
        log.warning("saved state not readable, starting from the venue", account=settings.account_id, error=str(error))
        engine = restored(None)
    return engine, Coverage(known.gaps, alive_ns=engine.account.received_ns)

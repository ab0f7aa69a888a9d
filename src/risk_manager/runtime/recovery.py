"""The engine as the journal remembers it: the same lockouts, the same open intents."""

import msgspec
import structlog

from risk_manager.engine import Engine, EngineSettings
from risk_manager.ports.journal import Journal

log = structlog.get_logger("guard")


async def recovered_engine(settings: EngineSettings, journal: Journal) -> Engine:
    """An engine that continues where the journal's last one of this account stopped.

    A saved state of another version costs what the venue will tell again, and nothing else.
    """
    known = await journal.recover(settings.account_id)

    def restored(snapshot: bytes | None) -> Engine:
        return Engine.restore(
            settings, snapshot, sequence=known.sequence, lockouts=known.lockouts, intents=known.open_intents
        )

    try:
        return restored(known.snapshot)
    except msgspec.MsgspecError as error:
        log.warning("saved state not readable, starting from the venue", account=settings.account_id, error=str(error))
        return restored(None)

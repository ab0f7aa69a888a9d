"""What a world leaves behind: a journal that holds, recordings that give the same decisions again, and no secrets."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from risk_manager.config.calendar import build_calendar
from risk_manager.domain.trading_day import TradingDays
from risk_manager.persistence.anchor import Anchor
from risk_manager.persistence.recording import segments
from risk_manager.persistence.verification import verify
from risk_manager.replay.day import replay_day
from risk_manager.replay.segment import Surroundings
from risk_manager.rules import RULES

if TYPE_CHECKING:
    from tests.simulation.checks import Checks


def check_journal(checks: "Checks", folder: Path, anchor: Anchor | None) -> None:
    """I23, I31: the chain is whole, and goes on from what was last seen of it."""
    found = verify(folder, anchors=None if anchor is None else (anchor,))
    for each in found.checks:
        if each.passed is False:
            checks.fail("I31" if each.name == "anchor" else "I23", f"{each.name}: {each.found}")


def check_secrets(checks: "Checks", folder: Path) -> None:
    """I28: no file holds the key or a token."""
    secrets = [secret.encode() for secret in checks.wire.secrets]
    for path in folder.rglob("*"):
        if path.is_file() and _holds(path.read_bytes(), secrets):
            checks.fail("I28", f"{path.name} gives a secret away")


def _holds(content: bytes, secrets: Iterable[bytes]) -> bool:
    return any(secret in content for secret in secrets)


def check_recordings(checks: "Checks", folder: Path, days: TradingDays, label: str | None = None) -> None:
    """I6: the rules that are recorded make the same decisions of what is recorded; of one day, or of all."""
    here = Surroundings(_calendar(), lambda reset, zone: days, RULES)
    recorded = {day for files in segments(folder).values() for day, _ in files}
    for day in sorted(recorded if label is None else recorded & {label}):
        for account, replayed in replay_day(folder, day, None, here):
            if replayed.divergence is not None or replayed.obstacle is not None:
                checks.fail("I6", f"{account} {replayed.file}: {replayed.divergence or replayed.obstacle}")


_calendar = cache(build_calendar)

"""What a firm's support is given about enforcements: what happened, why, and that nobody changed it since."""

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from risk_manager.domain.decision import Decision
from risk_manager.persistence.anchor import Anchor
from risk_manager.persistence.stories import stories
from risk_manager.persistence.verification import Verification, verify
from risk_manager.runtime.explanation import Explanation, explain


class Packet(msgspec.Struct, frozen=True):
    """Attributes:
    made_at: ISO 8601.   version: of the program.
    verification: of the whole journal these come from.
    enforcements: told, in the order of their ends.   decisions: what they were told from, as journaled.
    """

    made_at: str
    version: str
    verification: Verification
    enforcements: tuple[Explanation, ...]
    decisions: tuple[Decision, ...]


def packet(
    data: Path,
    *,
    made_at: str,
    version: str,
    day: str | None = None,
    account_id: str | None = None,
    intent_id: str | None = None,
    anchors: Sequence[Anchor] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Packet:
    """Gather the enforcements of a trading day, an account or an id, and verify the journal they stand in.

    Raises:
        Unreadable: there is no journal, or it cannot be read.   OSError: the data directory cannot be read.
    """
    found = stories(data, day=day, account_id=account_id, intent_id=intent_id)
    decisions = {(each.account_id, each.sequence): each for story in found.values() for each in story.decisions}
    return Packet(
        made_at,
        version,
        verify(data, anchors=anchors, on_progress=on_progress),
        tuple(explain(story, key) for key, story in found.items()),
        tuple(decisions[key] for key in sorted(decisions)),
    )

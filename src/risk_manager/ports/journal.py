"""The journal: what must survive a crash."""

from typing import Protocol

import msgspec

from risk_manager.domain.coverage import Gap
from risk_manager.domain.decision import Decision
from risk_manager.domain.fill import Fill
from risk_manager.domain.intent import Intent
from risk_manager.domain.lockout import Lockout


class Recovered(msgspec.Struct, frozen=True):
    """What the journal remembers of an account.

    Attributes:
        sequence: of the last committed decision, 0 if none.
        snapshot: the last saved `Engine.snapshot()`; None if none. It may be older than the rest.
        lockouts: active ones.   open_intents: enforcements not yet verified.   gaps: the last ones, oldest first.
    """

    sequence: int
    snapshot: bytes | None
    lockouts: tuple[Lockout, ...]
    open_intents: tuple[Intent, ...]
    gaps: tuple[Gap, ...] = ()


class Record(msgspec.Struct, frozen=True):
    """What is known of an ended enforcement besides its decisions; `body` is JSON.

    Attributes:
        id: the intent's.
    """

    id: str
    account_id: str
    trading_day: str
    body: bytes


class Story(msgspec.Struct, frozen=True):
    """One enforcement as the journal tells it.

    Attributes:
        decisions: those that concern it, oldest first.
        record: None while it is under way, or if a crash came before it was stored.
    """

    decisions: tuple[Decision, ...]
    record: Record | None


class Journal(Protocol):
    """Append-only memory of decisions, and the tables derived from them."""

    async def recover(self, account_id: str) -> Recovered: ...

    async def commit(self, decision: Decision) -> None:
        """Return once the decision, its lockouts and its intents are durable, all or none.

        A stored decision may be committed again, and nothing changes. A caller that gives up waiting learns nothing:
        the decision may be stored all the same.

        Raises:
            JournalConflict: the sequence is stored with other content; asking again changes nothing.
            JournalUnavailable: the disk refused; nothing of the decision is stored.
        """

    async def save(
        self, account_id: str, trading_day: str, fills: tuple[Fill, ...], snapshot: bytes, gaps: tuple[Gap, ...] = ()
    ) -> None:
        """Store the day's new or changed fills, gaps likewise, and the engine's snapshot; may be lost without harm."""

    async def remember(self, records: tuple[Record, ...]) -> None:
        """Store records of enforcements, by id; may be lost without harm."""

    async def story(self, intent_id: str, *, most_bytes: int | None = None) -> Story | None:
        """Everything about one enforcement; None if there is no such intent.

        Raises:
            TooMuchAsked: its decisions are longer than `most_bytes`, about.
        """

    async def decisions(
        self, account_id: str, *, after: int = 0, most: int = 100, most_bytes: int | None = None
    ) -> tuple[Decision, ...]:
        """The last `most` committed decisions with a sequence above `after`, oldest first.

        Raises:
            TooMuchAsked: they are longer than `most_bytes`, about.
        """

    async def close(self) -> None: ...


class JournalUnavailable(Exception):
    """The journal could not be written or read; the message says why."""


class TooMuchAsked(JournalUnavailable):
    """What was asked for is longer than whoever asked can take; asking for less may be answered."""


class JournalConflict(JournalUnavailable):
    """A committed sequence came again with other content: two engines wrote, or state was rolled back."""

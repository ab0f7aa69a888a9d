"""Decisions made again, held against those that were committed."""

from collections.abc import Mapping

import msgspec

from risk_manager.domain.decision import Decision
from risk_manager.domain.events import ConnectionChanged, Event
from risk_manager.replay.difference import Difference, differences

RESTORED = "lockouts restored"
"""How the reason of a decision begins that the recovery made, before any engine ran."""


class Divergence(msgspec.Struct, frozen=True):
    """The first decision that did not come out the same.

    Attributes:
        sequence: of the decision.   event: what the replay was given when they parted, None if the journal's decision
            has no event in the recording.   number: of that event in its segment, from 1.
        differences: by field; one with the empty path where a whole decision is absent.
    """

    sequence: int
    event: Event | None
    number: int
    differences: tuple[Difference, ...]


class Comparison:
    """Holds one segment's decisions against the journal's.

    Attributes:
        decisions: made by the replay.   identical: of those, equal byte for byte to the committed ones.
        uncommitted: made after the last one that could be committed: the guard died in between.
    """

    def __init__(self, committed: Mapping[int, bytes], after: int, up_to: int | None) -> None:
        """Args:
        committed: the account's decisions in the journal as JSON, by sequence.
        after: the sequence the segment begins after.   up_to: the one the next segment begins after, None if there is
            no next one.
        """
        self.decisions = self.identical = self.uncommitted = 0
        self._committed = committed
        self._next = after + 1
        self._last = _last(committed, after, up_to)
        self._cause = self.cause_of(self._next)
        self._passed: tuple[Event, int] | None = None

    def take(self, event: Event, number: int, decision: Decision) -> Divergence | None:
        """Compare what an event led to; what comes after a divergence says nothing any more."""
        if not decision:
            if self._cause is not None and event == self._cause:
                # The same event may come twice, and only the second be told about; so this is not certain yet.
                self._passed = self._passed or (event, number)
            return None
        self.decisions += 1
        if decision.sequence > self._last:
            self.uncommitted += 1
            return None
        replayed, journaled = msgspec.json.encode(decision), self._committed.get(decision.sequence)
        if journaled != replayed:
            parted, count = self._passed or (event, number)
            return Divergence(decision.sequence, parted, count, _told(journaled, replayed))
        self.identical += 1
        self._next = decision.sequence + 1
        self._cause, self._passed = self.cause_of(self._next), None
        return None

    def end(self, reached: int | None) -> Divergence | None:
        """What the journal has besides, if the recording cannot have lost it.

        Args:
            reached: the sequence the segment says it ended with; None if it did not end in order.
        """
        if not self.missing or not (self._passed or (reached is not None and self._next <= reached)):
            return None
        parted, count = self._passed or (None, 0)
        return Divergence(self._next, parted, count, _told(self._committed.get(self._next), None))

    @property
    def missing(self) -> tuple[int, ...]:
        """Sequences of committed decisions that the replay has not come to."""
        return tuple(one for one in self._committed if self._next <= one <= self._last)

    def cause_of(self, sequence: int) -> Event | None:
        """The event behind a committed decision; None if there is no such decision."""
        body = self._committed.get(sequence)
        return None if body is None else msgspec.json.decode(body, type=Decision).cause


def _last(committed: Mapping[int, bytes], after: int, up_to: int | None) -> int:
    """The last committed sequence an engine came to; what recovery had to restore was decided by no engine."""
    inside = sorted(one for one in committed if after < one and (up_to is None or one <= up_to))
    while inside and _is_restored(msgspec.json.decode(committed[inside[-1]], type=Decision)):
        inside.pop()
    return inside[-1] if inside else after


def _is_restored(decision: Decision) -> bool:
    return isinstance(decision.cause, ConnectionChanged) and decision.cause.reason.startswith(RESTORED)


def _told(journaled: bytes | None, replayed: bytes | None) -> tuple[Difference, ...]:
    if journaled is not None and replayed is not None:
        return differences(journaled, replayed)
    texts = (None if body is None else body.decode() for body in (journaled, replayed))
    return (Difference("", *texts),)

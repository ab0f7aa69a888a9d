"""The ledger of what was watched: every interval in which an account was not fully covered, with its cause.

It goes by the local clock, and what it holds is saved with the guard's state. The time in which the program did not run
is known at the next start: from the last state saved until then, nobody watched.
"""

from collections.abc import Iterable

import msgspec

from risk_manager.domain.coverage import Cover, Gap

MOST_GAPS = 500
"""So many gaps are held in memory; the journal has them all."""


class Coverage:
    """The gaps of one account.

    Args:
        known: the gaps the journal remembers, oldest first.
        alive_ns: local time at which the program last ran; 0 if it never did, or nothing tells.
    """

    def __init__(self, known: Iterable[Gap] = (), *, alive_ns: int = 0) -> None:
        self._gaps = list(known)[-MOST_GAPS:]
        self._unsaved: dict[int, Gap] = {}
        if not alive_ns:
            # A gap that was open stays so: nobody is known to have watched since.
            return
        if self._gaps:
            # A gap is a sign of life, too, and may be a later one.
            last = self._gaps[-1]
            alive_ns = max(alive_ns, last.began_ns if last.ended_ns is None else last.ended_ns)
            if last.ended_ns is None:
                self._end(alive_ns)
        self._begin(Cover.BLIND, "not running", alive_ns)

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """The last gaps, oldest first; the last of them may still be open."""
        return tuple(self._gaps)

    @property
    def unsaved(self) -> tuple[Gap, ...]:
        """The gaps the journal does not have yet as they are now."""
        return tuple(self._unsaved.values())

    def saved(self, gaps: Iterable[Gap]) -> None:
        """Note that the journal has these."""
        for gap in gaps:
            if self._unsaved.get(gap.began_ns) == gap:
                del self._unsaved[gap.began_ns]

    def see(self, cover: Cover, cause: str, now_ns: int) -> None:
        """Note how the account is covered from now on."""
        last = self._gaps[-1] if self._gaps else None
        is_open = last is not None and last.ended_ns is None
        if last is not None and is_open and (last.cover, last.cause) == (cover, cause):
            return
        if is_open:
            self._end(now_ns)
        if cover is not Cover.COVERED:
            self._begin(cover, cause, now_ns)

    def missed_ns(self, cover: Cover, since_ns: int, until_ns: int) -> int:
        """How much of a time was covered just so, in nanoseconds."""
        gaps = (gap for gap in self._gaps if gap.cover is cover)
        spans = ((gap.began_ns, until_ns if gap.ended_ns is None else gap.ended_ns) for gap in gaps)
        return sum(max(0, min(end_ns, until_ns) - max(begin_ns, since_ns)) for begin_ns, end_ns in spans)

    def _begin(self, cover: Cover, cause: str, at_ns: int) -> None:
        # Two gaps have two beginnings, which is how the journal tells them apart.
        began_ns = max(at_ns, self._gaps[-1].began_ns + 1) if self._gaps else at_ns
        self._gaps.append(Gap(began_ns, None, cover, cause))
        del self._gaps[:-MOST_GAPS]
        self._unsaved[began_ns] = self._gaps[-1]

    def _end(self, at_ns: int) -> None:
        """End the last gap; a clock that was set back makes it short, never negative."""
        last = self._gaps[-1]
        ended = msgspec.structs.replace(last, ended_ns=max(at_ns, last.began_ns))
        self._gaps[-1] = self._unsaved[ended.began_ns] = ended

"""What an earlier run asked of the venue within the last minute: the venue still counts it against us.

Nothing is written for it: the journal tells what was decided, and the polling went on at its pace until the last sign
of life.
"""

from collections.abc import Iterable

from risk_manager.domain.actions import Action, TakeSnapshot
from risk_manager.domain.decision import Decision

SECOND_NS = 1_000_000_000
COUNTED_NS = 63 * SECOND_NS
"""How long a call counts, as the venue adapter reckons."""

DECISIONS_MOST = 250
"""More decisions than the venue lets calls through in that time."""


def asked_lately(
    decisions: Iterable[Decision], *, alive_ns: int, poll_ns: int, now_ns: int
) -> list[tuple[int, Action]]:
    """What was asked for an account and when, by the present local clock.

    Args:
        alive_ns: local time of the last event the account's state was saved with; 0 if nothing was.
    """
    acted = [(each.cause.received_ns, action) for each in decisions if each.cause for action in each.actions]
    alive_ns = max([alive_ns, *(at_ns for at_ns, _ in acted)])
    # Where the clock was set back since, it is not known how long ago that was: as if the run had ended just now.
    by_ns = min(0, now_ns - alive_ns)
    begun_ns = now_ns - COUNTED_NS
    polls = range(alive_ns + by_ns, begun_ns, -poll_ns)
    asked = [(at_ns, TakeSnapshot("", "poll", False)) for at_ns in polls]
    return asked + [(at_ns + by_ns, action) for at_ns, action in acted if at_ns + by_ns > begun_ns]

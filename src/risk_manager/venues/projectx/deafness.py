"""Whether a hub is connected and deaf: pings go on, and it tells neither what REST shows nor any price of what is held.

Such a connection would pass for a living one until something else ends it.
"""

from collections.abc import Callable, Iterable
from itertools import chain

from risk_manager.domain.events import Link, SnapshotTaken
from risk_manager.venues.projectx.venue_time import SECOND_NS

_TOLD_WITHIN_NS = 5 * SECOND_NS
"""The stream is ahead of REST; what is older than this will not be told any more."""
_MARGIN_NS = 2 * SECOND_NS
"""The venue's time is known to about a second."""
_REOPEN_EVERY_NS = 60 * SECOND_NS
_UNQUOTED_NS = 45 * SECOND_NS
_UNQUOTED_MAX_NS = 600 * SECOND_NS


class Deafness:
    """Looks for signs of deafness with every snapshot.

    Args:
        reopen: called with a hub and the sign, at most once a minute for each hub.
        now_ns: local time.
    """

    def __init__(self, reopen: Callable[[Link, str], None], now_ns: int) -> None:
        self._reopen = reopen
        self._reopened_ns = dict.fromkeys((Link.USER_HUB, Link.MARKET_HUB), 0)
        self._told_ns: dict[str, int] = {}
        self._unquoted_since_ns = now_ns
        self._unquoted_most_ns = _UNQUOTED_NS

    def told(self, account_id: str, at_ns: int) -> None:
        """Note that the user hub has told of the account, or was subscribed for it, at a venue time."""
        self._told_ns[account_id] = max(at_ns, self._told_ns.get(account_id, 0))

    def look_for_untold(self, taken: SnapshotTaken, at_ns: int) -> None:
        """See whether a snapshot, asked for at a venue time, shows what has begun after the last that was told."""
        # Not every change of an order need be told: the venue may follow the market with it.
        begun_ns = chain(
            (order.created_ns for order in taken.orders or ()),
            (position.opened_ns for position in taken.positions or ()),
            (fill.at_ns for fill in taken.fills or ()),
        )
        told_ns = self._told_ns[taken.account_id] + _MARGIN_NS
        if any(told_ns < one_ns <= at_ns - _TOLD_WITHIN_NS for one_ns in begun_ns):
            self._found(Link.USER_HUB, f"account {taken.account_id} shows what was not told", taken.received_ns)

    def look_for_unquoted(self, quoted_ns: Iterable[int], now_ns: int) -> None:
        """See whether nothing that is held has been quoted for too long, by the local times of the last quotes.

        Which hours a market keeps is not known here: where no quotes come at all, the waits double up to ten minutes.

        Args:
            quoted_ns: of each contract that is held; none if no quotes can be expected.
        """
        last_ns = max(quoted_ns, default=now_ns)
        if last_ns > self._unquoted_since_ns:
            self._unquoted_since_ns, self._unquoted_most_ns = last_ns, _UNQUOTED_NS
        elif now_ns >= self._unquoted_since_ns + self._unquoted_most_ns:
            self._unquoted_since_ns = now_ns
            self._unquoted_most_ns = min(2 * self._unquoted_most_ns, _UNQUOTED_MAX_NS)
            self._found(Link.MARKET_HUB, "nothing that is held is quoted", now_ns)

    def _found(self, link: Link, sign: str, now_ns: int) -> None:
        if now_ns >= self._reopened_ns[link] + _REOPEN_EVERY_NS:
            self._reopened_ns[link] = now_ns
            self._reopen(link, sign)

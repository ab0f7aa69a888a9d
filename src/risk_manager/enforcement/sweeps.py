"""Orders left behind: what belonged to a closed position and shows itself only after the mandate was met.

The venue may hide an order for a while (a bracket's child, a list that lags), and one that works against no position
opens the next one. So for a minute after an account or a product was closed, orders that are older than that moment are
cancelled when they turn up, and the account is read now and then to have them turn up. What is newer is the trader's.
"""

from collections.abc import Container, Iterator

import msgspec
from msgspec.structs import replace

from risk_manager.domain.finding import Breach, Unit
from risk_manager.domain.intent import Closed, Flat, Intent
from risk_manager.domain.scope import Scope
from risk_manager.enforcement.lattice import Exposed, excess_orders
from risk_manager.enforcement.pacing import Pacing

ORPHANED = "ORPHANED_ORDERS"
"""Code of an intent that removes orders of a position that is gone."""


class Sweep(msgspec.Struct, frozen=True):
    """What has been closed.

    Attributes:
        rule: whose mandate it was.   goal: no order in its scope that is older than the moment it was met.
        since_ns: that moment.   read_ns: when the last readable snapshot was asked for; both local time.
    """

    rule: str
    goal: Closed
    since_ns: int
    read_ns: int


class Sweeps:
    """The sweeps under way, the last of every scope."""

    def __init__(self, pacing: Pacing, memory: list[Sweep] | None = None) -> None:
        self._looks_ns = pacing.sweep_ns
        self._of: dict[Scope, Sweep] = {sweep.goal.scope: sweep for sweep in memory or ()}

    def __bool__(self) -> bool:
        return bool(self._of)

    @property
    def memory(self) -> list[Sweep]:
        """All there is to remember."""
        return list(self._of.values())

    def begin(self, intent: Intent, venue_ns: int, now_ns: int) -> None:
        """Sweep behind an intent that was met at `venue_ns`, if it closed something."""
        if isinstance(intent.goal, Flat | Closed) and intent.code != ORPHANED:
            scope = intent.goal.scope
            self._of[scope] = Sweep(intent.rule, Closed(scope, (), venue_ns), now_ns, now_ns)

    def saw_snapshot(self, requested_ns: int) -> None:
        """Take note of a readable snapshot; a sweep ends with the one that is asked for last."""
        for scope, sweep in list(self._of.items()):
            self._of[scope] = replace(sweep, read_ns=max(sweep.read_ns, requested_ns))
            if self._look_ns(self._of[scope]) is None:
                del self._of[scope]

    def next_look_ns(self) -> int | None:
        """Local time from which a snapshot is worth a call; None if none is."""
        looks = (self._look_ns(sweep) for sweep in self._of.values())
        return min((at_ns for at_ns in looks if at_ns is not None), default=None)

    def found(self, account: Exposed, known: Container[str]) -> Iterator[tuple[Breach, Closed]]:
        """What has turned up, and what follows; `known` are ids of orders that are being cancelled anyway."""
        for scope, sweep in self._of.items():
            orphans = [order.id for order in excess_orders(sweep.goal, account) if order.id not in known]
            if orphans:
                evidence = (("orders", ",".join(orphans)),)
                yield (
                    Breach(sweep.rule, ORPHANED, len(orphans), 0, Unit.ORDERS, scope, evidence=evidence),
                    sweep.goal,
                )

    def shift(self, by_ns: int) -> None:
        """Move every local time: the local clock has been set."""
        for scope, sweep in self._of.items():
            self._of[scope] = replace(sweep, since_ns=sweep.since_ns + by_ns, read_ns=sweep.read_ns + by_ns)

    def _look_ns(self, sweep: Sweep) -> int | None:
        looks = (sweep.since_ns + after_ns for after_ns in self._looks_ns)
        return next((at_ns for at_ns in looks if at_ns > sweep.read_ns), None)

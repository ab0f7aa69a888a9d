"""The venue: where orders live, and the source of truth."""

from collections.abc import Callable
from typing import Protocol

from risk_manager.domain.actions import Action
from risk_manager.domain.events import Event, Outcome, SnapshotTaken


class Venue(Protocol):
    """A connection to one venue for one user. No foreign exception leaves it."""

    async def run(self, account_ids: tuple[str, ...], deliver: Callable[[Event], None]) -> None:
        """Connect, and keep connected until cancelled; hand every event to `deliver` in order.

        On every (re)connection: subscribe, buffer, read a snapshot of each account, deliver it, then what was
        buffered. `deliver` never blocks and never raises. A gap is announced with ConnectionChanged.
        """

    async def snapshot(self, account_id: str, *, full: bool) -> SnapshotTaken:
        """Read positions and orders, with `full` also the account record and the day's fills.

        Parts that could not be read are None; the call itself does not raise.
        """

    async def execute(self, account_id: str, action: Action, is_due: Callable[[], bool] | None = None) -> Outcome:
        """Send one action; the three-valued outcome says what is known of it. Does not raise.

        `is_due` is asked right before the request leaves, which may be seconds later; if it says no, nothing is sent
        and the action counts as rejected.
        Enforcement has its own share of the call budget and never waits for reads. TakeSnapshot is not sent here.
        """

    async def close(self) -> None:
        """Release sockets; idempotent."""

"""The latch: a second, tiny memory of the active lockouts, for the day on which the journal fails."""

from typing import Protocol

import msgspec

from risk_manager.domain.lockout import Lockout


class Latched(msgspec.Struct, frozen=True):
    """What the latch remembers of an account.

    Attributes:
        sequence: of the decision after which these, and no others, were the active lockouts.
    """

    sequence: int
    lockouts: tuple[Lockout, ...]


class Latch(Protocol):
    """Holds the newest set of active lockouts of every account, and nothing older."""

    @property
    def second(self) -> "Latch | None":
        """The same in another place; whoever reads and writes this one does so there as well. None if there is none."""

    async def read(self, account_id: str) -> Latched | None:
        """What was written last and whole; None if there is nothing that can be trusted. Does not raise."""

    async def write(self, account_id: str, latched: Latched) -> int:
        """Return once this is durable in place of what was there: how many lockouts had no room, the least strict.

        Raises:
            LatchUnavailable: the disk refused; what was there counts on.
        """

    def has_trace(self, account_id: str) -> bool:
        """Whether something was written for the account once, readable or not."""


class LatchUnavailable(Exception):
    """The latch could not be written; the message says why."""

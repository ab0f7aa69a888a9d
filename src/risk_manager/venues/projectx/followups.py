"""What an event makes necessary afterwards: a contract looked up, quotes subscribed, a snapshot taken."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn

from risk_manager.domain.events import Link
from risk_manager.venues.projectx.catalogue import Catalogue

_SPACING_S = 5.0
"""Between two snapshots of our own of one account; the engine's polling has the budget, these are extras."""


class FollowUps:
    """Collects what is needed, and gets it done in the background.

    Attributes:
        quotes_wanted: set when a contract without subscription has found its first listener.
        reopening: by hub, set when its connection is to be given up for a new one.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self.quotes_wanted = asyncio.Event()
        self.reopening = {link: asyncio.Event() for link in (Link.USER_HUB, Link.MARKET_HUB)}
        self._catalogue = catalogue
        self._waiting: dict[str, set[str]] = {}
        self._due: dict[str, str] = {}
        self._taken_s: dict[str, float] = {}
        self._wake = asyncio.Event()

    def contract(self, account_id: str, contract_id: str) -> None:
        """Look the contract up, and take a snapshot of the account once it is known."""
        self._waiting.setdefault(contract_id, set()).add(account_id)
        self._catalogue.want(contract_id)

    def contract_found(self, contract_id: str) -> None:
        """A contract has become known: whoever waits for it is read again, now with prices."""
        for account_id in sorted(self._waiting.pop(contract_id, ())):
            self._taken_s.pop(account_id, None)
            self.snapshot(account_id, f"{contract_id} is known now")

    def listing_read(self) -> None:
        """The listing is new: some of the contracts waited for may be in it."""
        for contract_id in [known for known in self._waiting if self._catalogue.book.get(known) is not None]:
            self.contract_found(contract_id)

    def snapshot(self, account_id: str, reason: str) -> None:
        """Take a full snapshot of the account soon; requests that come before it is taken are one."""
        self._due.setdefault(account_id, reason)
        self._wake.set()

    def quotes(self, contract_id: str) -> None:
        """Have the market hub subscribe what is new."""
        self.quotes_wanted.set()

    def reopen(self, link: Link) -> None:
        """Have the hub's connection given up; its session opens the next."""
        self.reopening[link].set()

    async def keep_taking(self, take: Callable[[str, str], Awaitable[None]]) -> NoReturn:
        """Take the snapshots that are due, each account's at most every 5 s."""
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            pause: float | None = None
            for account_id in tuple(self._due):
                wait_s = self._taken_s.get(account_id, -_SPACING_S) + _SPACING_S - loop.time()
                if wait_s > 0:
                    pause = wait_s if pause is None else min(pause, wait_s)
                    continue
                self._taken_s[account_id] = loop.time()
                await take(account_id, self._due.pop(account_id))
            try:
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            except TimeoutError:
                continue

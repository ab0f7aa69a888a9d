"""The contract listing: read when we connect and every hour, single contracts looked up when they first appear."""

import asyncio
from collections.abc import Callable
from typing import NoReturn

from risk_manager.domain.contract import Contract
from risk_manager.venues.projectx.contracts import CONTRACT_KEYS, ContractBook, read_contract
from risk_manager.venues.projectx.errors import ProjectXError
from risk_manager.venues.projectx.gateway import Gateway
from risk_manager.venues.projectx.problems import Problems
from risk_manager.venues.projectx.wire import BadRecord

_RETRY_FIRST_S = 1.0
_RETRY_MAX_S = 30.0
_RELIST_S = 2.0


class Catalogue:
    """Fills the contract book from the venue.

    Attributes:
        book: the contracts known.
        on_listing: called after every good listing.   on_found: called with a contract looked up on its own.
    """

    def __init__(self, gateway: Gateway, problems: Problems, *, live: bool, every_s: float) -> None:
        self.book = ContractBook()
        self.on_listing: Callable[[], None] = _ignore
        self.on_found: Callable[[str], None] = _ignore_id
        self._gateway = gateway
        self._problems = problems
        self._live = live
        self._every_s = every_s
        self._lock = asyncio.Lock()
        self._is_tried = False
        self._missing: dict[str, float] = {}
        self._wake = asyncio.Event()

    async def load_once(self) -> None:
        """Return when the listing has been asked for once, well or badly; `keep` goes on from there."""
        if self._is_tried:
            return
        async with self._lock:
            if not self._is_tried:
                await self._load()

    def want(self, contract_id: str) -> None:
        """Have an unknown contract looked up, again and again until the venue knows it."""
        if contract_id not in self._missing and self.book.get(contract_id) is None:
            self._missing[contract_id] = 0.0
            self._wake.set()

    async def find(self, contract_id: str) -> Contract | None:
        """The contract, from the book or else from the venue; None if that fails."""
        if (known := self.book.get(contract_id)) is not None:
            return known
        try:
            envelope = await self._gateway.read("/api/Contract/searchById", {"contractId": contract_id})
            self._add([envelope.fields.get("contract")])
        except ProjectXError as error:
            self._problems.note("contract_not_found", f"{contract_id}: {error}")
        return self.book.get(contract_id)

    async def keep(self) -> NoReturn:
        """Keep the listing current, trying sooner while there is none."""
        while True:
            async with self._lock:
                is_good = await self._load()
            await asyncio.sleep(self._every_s if is_good else min(self._every_s, _RELIST_S))

    async def keep_looking(self) -> NoReturn:
        """Look up the contracts wanted, each on its own schedule of growing pauses."""
        loop = asyncio.get_running_loop()
        waits: dict[str, float] = {}
        while True:
            self._wake.clear()
            due = [contract_id for contract_id, at_s in self._missing.items() if at_s <= loop.time()]
            for contract_id in due:
                if await self.find(contract_id) is not None:
                    self._missing.pop(contract_id, None)
                    waits.pop(contract_id, None)
                    self.on_found(contract_id)
                else:
                    waits[contract_id] = min(_RETRY_MAX_S, 2 * waits.get(contract_id, _RETRY_FIRST_S / 2))
                    self._missing[contract_id] = loop.time() + waits[contract_id]
            pause = min((at_s - loop.time() for at_s in self._missing.values()), default=None)
            try:
                async with asyncio.timeout(None if pause is None else max(pause, 0.01)):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _load(self) -> bool:
        try:
            envelope = await self._gateway.read("/api/Contract/available", {"live": self._live})
        except ProjectXError as error:
            self._problems.note("no_contract_listing", str(error))
            return False
        finally:
            self._is_tried = True
        rows = envelope.fields.get("contracts")
        if not isinstance(rows, list):
            self._problems.note("no_contract_listing", "the list is missing")
            return False
        self._add(rows)
        self.on_listing()
        return True

    def _add(self, rows: list[object]) -> None:
        for row in rows:
            try:
                if not isinstance(row, dict):
                    raise BadRecord("no object")
                self.book.add([read_contract(row)])
            except BadRecord as error:
                self._problems.note("bad_contract", str(error))
                continue
            for key in row.keys() - CONTRACT_KEYS:
                self._problems.note_once("unknown_member", f"contract.{key}"[:80])


def _ignore() -> None:
    return None


def _ignore_id(_: str) -> None:
    return None

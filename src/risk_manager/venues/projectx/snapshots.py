"""A whole account over REST. A part that failed, or has a row that cannot be trusted, is None: unknown, not empty."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from risk_manager.domain.account import Account
from risk_manager.domain.contract import Contract
from risk_manager.domain.events import SnapshotTaken
from risk_manager.domain.fill import Fill
from risk_manager.domain.order import Order
from risk_manager.domain.position import Position
from risk_manager.ports.clock import Clock
from risk_manager.venues.projectx import wire
from risk_manager.venues.projectx.account_list import AccountList, Listed
from risk_manager.venues.projectx.catalogue import Catalogue
from risk_manager.venues.projectx.errors import NotSent, ProjectXError, ReadFailed
from risk_manager.venues.projectx.gateway import Envelope, Gateway
from risk_manager.venues.projectx.limits import Lane
from risk_manager.venues.projectx.order_pages import OrderPages
from risk_manager.venues.projectx.problems import Problems
from risk_manager.venues.projectx.records import Reader
from risk_manager.venues.projectx.venue_time import VenueTime, format_stamp
from risk_manager.venues.projectx.wire import BadRecord, Fields

_PROMPT_NS = 1_000_000_000
"""A list of accounts that took longer may have been overtaken by what the hub has told since."""


class _ReadFill(NamedTuple):
    """A fill as it was read last: of which row, with which contract."""

    row: Fields
    contract: Contract | None
    fill: Fill


class SnapshotReader:
    """Reads accounts; the calls of one snapshot run in parallel.

    A full snapshot that is not let through, or not whole, makes the account's next one full: what was shed does not
    wait until the polling comes round to it.

    Attributes:
        absences: by id of an account that the venue's list last lacked, what to tell of it.
        on_records: called with the other accounts in the list that was read for one, and the local time it was asked
            for, if it came promptly.
    """

    def __init__(
        self,
        gateway: Gateway,
        catalogue: Catalogue,
        reader: Reader,
        clock: Clock,
        time: VenueTime,
        problems: Problems,
        day_start_ns: Callable[[int], int],
    ) -> None:
        self._gateway = gateway
        self._catalogue = catalogue
        self._reader = reader
        self._clock = clock
        self._time = time
        self._problems = problems
        self._day_start_ns = day_start_ns
        self._orders = OrderPages(gateway, problems)
        self._accounts = AccountList()
        self._owed: set[str] = set()
        self.absences: dict[str, str] = {}
        self.on_records: Callable[[Listed, int], None] = _ignore
        self._known_fills: dict[int, _ReadFill] = {}
        self._known_since_ns = 0

    async def read(self, account_id: str, *, full: bool) -> SnapshotTaken:
        """Positions and working orders, with `full` also the account record and the day's fills, oldest first."""
        if full:
            self._owed.add(account_id)
        looked_ns = await self._part(lambda: self._gateway.look(account_id))
        requested_ns = self._clock.now_ns()
        since_ns = self._day_start_ns(self._time.now_ns(requested_ns))
        if since_ns != self._known_since_ns:
            self._known_since_ns, self._known_fills = since_ns, {}
        positions = orders = account = fills = None
        if looked_ns is not None:
            full = account_id in self._owed
            self._owed.discard(account_id)
            positions, orders, account, fills, _ = await asyncio.gather(
                self._part(lambda: self._read_positions(account_id, looked_ns)),
                self._part(lambda: self._orders.read(account_id, looked_ns)),
                self._part(self._read_account, account_id) if full else _nothing(),
                self._part(lambda: self._read_fills(account_id, since_ns), account_id) if full else _nothing(),
                self._catalogue.load_once(),
            )
        # Rows become values only here: the contracts they name may have arrived with the last of the answers.
        held = self._values(account_id, positions, "positions", self._position)
        working = self._values(account_id, orders, "orders", self._order)
        executed = self._values(account_id, fills, "trades", self._fill)
        listed = self._listed_accounts(account)
        if listed is not None:
            self._see_absence(account_id, listed)
            if self._clock.now_ns() - requested_ns < _PROMPT_NS:
                self.on_records({key: each for key, each in listed.items() if key != account_id}, requested_ns)
        return SnapshotTaken(
            account_id=account_id,
            account=listed.get(account_id) if listed is not None else None,
            positions=held,
            orders=working,
            fills=None if executed is None else tuple(sorted(executed, key=lambda fill: (fill.at_ns, int(fill.id)))),
            fills_since_ns=since_ns,
            contracts=self._catalogue.book.all() if full else self._named(held, working),
            requested_ns=requested_ns,
            at_ns=max(part.at_ns if part is not None else 0 for part in (positions, orders, account, fills)),
            received_ns=self._clock.now_ns(),
            is_account_missing=listed is not None and account_id not in listed,
        )

    async def read_accounts(self) -> tuple[Account, ...]:
        """Every active account of the user.

        Raises:
            ProjectXError: the list could not be read, or cannot be trusted.
        """
        envelope = await self._gateway.read("/api/Account/search", {"onlyActiveAccounts": True})
        try:
            return tuple(self._reader.account(row) for row in _rows(envelope, "accounts"))
        except BadRecord as error:
            raise ReadFailed(f"/api/Account/search: {error}", status=200) from None

    async def _part[T](self, read: Callable[[], Awaitable[T]], owed_to: str | None = None) -> T | None:
        """What was read, None if nothing was; a part that never left is then owed to the account."""
        try:
            return await read()
        except ProjectXError as error:
            self._problems.note("snapshot_part_failed", str(error))
            # One that was sent and not answered is not: asked for with every look, it would hold every look up.
            if owed_to is not None and isinstance(error, NotSent):
                self._owed.add(owed_to)
            return None

    async def _read_positions(self, account_id: str, granted_ns: int) -> Envelope:
        payload = {"accountId": int(account_id)}
        return await self._gateway.read("/api/Position/searchOpen", payload, granted_ns=granted_ns)

    async def _read_account(self) -> Envelope:
        return await self._gateway.read("/api/Account/search", {"onlyActiveAccounts": True}, lane=Lane.RECORD)

    async def _read_fills(self, account_id: str, since_ns: int) -> Envelope:
        payload = {"accountId": int(account_id), "startTimestamp": format_stamp(since_ns)}
        return await self._gateway.read("/api/Trade/search", payload, lane=Lane.RECORD)

    def _listed_accounts(self, envelope: Envelope | None) -> dict[str, Account] | None:
        """The accounts in the venue's list by id; None if it was not read or cannot be trusted."""
        if envelope is None:
            return None
        try:
            accounts = [self._reader.account(row) for row in _rows(envelope, "accounts")]
        except BadRecord as error:
            self._problems.note("untrusted_snapshot", f"accounts: {error}")
            return None
        return {account.id: account for account in accounts}

    def _see_absence(self, account_id: str, listed: Listed) -> None:
        text = self._accounts.absence(account_id, listed)
        if text is None:
            self.absences.pop(account_id, None)
        else:
            self.absences[account_id] = text
            self._problems.note("account_not_listed", text)

    def _values[T](
        self, account_id: str, envelope: Envelope | None, key: str, value: Callable[[Fields], T]
    ) -> tuple[T, ...] | None:
        if envelope is None:
            return None
        try:
            rows = _rows(envelope, key)
            if any(wire.read_optional_id(row, "accountId") not in (None, account_id) for row in rows):
                raise BadRecord("a row of another account")
            return tuple(value(row) for row in rows)
        except BadRecord as error:
            self._problems.note("untrusted_snapshot", f"{key}: {error}")
            return None

    def _named(self, *parts: tuple[Position | Order, ...] | None) -> tuple[Contract, ...]:
        """The known contracts of these positions and orders."""
        ids = dict.fromkeys(value.contract_id for part in parts if part is not None for value in part)
        return tuple(known for contract_id in ids if (known := self._catalogue.book.get(contract_id)) is not None)

    def _position(self, row: Fields) -> Position:
        return self._reader.position(row, self._catalogue.book.get(wire.read_text(row, "contractId")))

    def _order(self, row: Fields) -> Order:
        return self._reader.order(row, self._catalogue.book.get(wire.read_text(row, "contractId")))

    def _fill(self, row: Fields) -> Fill:
        """The row's fill. Every snapshot repeats the whole day's, so one that has not changed is not read again."""
        contract = self._catalogue.book.get(wire.read_text(row, "contractId"))
        key = row.get("id")
        known = self._known_fills.get(key) if isinstance(key, int) else None
        if known is not None and known.contract is contract and known.row == row:
            return known.fill
        fill = self._reader.fill(row, contract)
        if isinstance(key, int):
            self._known_fills[key] = _ReadFill(row, contract, fill)
        return fill


async def _nothing() -> None:
    return None


def _ignore(listed: Listed, requested_ns: int) -> None: ...


def _rows(envelope: Envelope, key: str) -> list[Mapping[str, Any]]:
    rows = envelope.fields.get(key)
    if not isinstance(rows, list):
        raise BadRecord("the list is missing")
    if not all(isinstance(row, dict) for row in rows):
        raise BadRecord("a row is no object")
    return rows

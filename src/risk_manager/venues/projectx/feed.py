"""What the hubs say, turned into events for the guarded accounts of one run.

User events of an account are held back while its snapshot is being read, and follow it. Quotes are merged per contract
and shared by every account that has an interest in it.
"""

from collections.abc import Callable
from typing import Protocol

import msgspec

from risk_manager.domain.contract import Contract
from risk_manager.domain.events import (
    AccountUpdated,
    ConnectionChanged,
    Event,
    FillReceived,
    Link,
    OrderUpdated,
    PositionUpdated,
    SnapshotTaken,
)
from risk_manager.ports.clock import Clock
from risk_manager.venues.projectx import wire
from risk_manager.venues.projectx.account_list import Listed
from risk_manager.venues.projectx.deafness import Deafness
from risk_manager.venues.projectx.errors import LoggedOut
from risk_manager.venues.projectx.hub_codec import HotRecord, Invocation
from risk_manager.venues.projectx.problems import Problems
from risk_manager.venues.projectx.quotes import Quotes
from risk_manager.venues.projectx.records import Reader
from risk_manager.venues.projectx.venue_time import VenueTime
from risk_manager.venues.projectx.wire import BadRecord, Fields

_HELD_MAX = 20_000
_DELETED = 2


class Needs(Protocol):
    """What the feed asks of the venue's background work; each returns at once."""

    def contract(self, account_id: str, contract_id: str) -> None:
        """Look this contract up, and take a snapshot of the account when it is known."""

    def snapshot(self, account_id: str, reason: str) -> None:
        """Take a snapshot of the account soon."""

    def quotes(self, contract_id: str) -> None:
        """Subscribe the contract's quotes."""

    def reopen(self, link: Link) -> None:
        """Give the hub's connection up for a new one."""


class Feed:
    """Delivers events; every method is synchronous, so their order is the order of the calls."""

    def __init__(
        self,
        account_ids: tuple[str, ...],
        deliver: Callable[[Event], None],
        contract_of: Callable[[str], Contract | None],
        needs: Needs,
        reader: Reader,
        clock: Clock,
        time: VenueTime,
        problems: Problems,
    ) -> None:
        self.account_ids = account_ids
        self.quotes = Quotes(deliver, contract_of, reader, clock, time, problems)
        self._deliver = deliver
        self._contract_of = contract_of
        self._needs = needs
        self._reader = reader
        self._clock = clock
        self._time = time
        self._problems = problems
        self._held: dict[str, list[Event]] = {}
        self._links: dict[tuple[str, Link], tuple[bool, str]] = {}
        self._told: dict[tuple[str, Link], bool] = {}
        self._absences: dict[str, str] = {}
        self._holding: dict[str, set[str]] = {}
        self._record_ns = dict.fromkeys(account_ids, 0)
        self._deafness = Deafness(self._reopen, clock.now_ns())
        self._targets: dict[str, Callable[[int | None, Fields], None]] = {
            "GatewayUserAccount": self._on_account,
            "GatewayUserOrder": self._on_order,
            "GatewayUserPosition": self._on_position,
            "GatewayUserTrade": self._on_fill,
        }

    def link(self, link: Link, is_up: bool, reason: str, account_ids: tuple[str, ...] | None = None) -> None:
        """Tell the accounts (default: all) that a link is up or down, those that were not told yet."""
        for account_id in self.account_ids if account_ids is None else account_ids:
            self._links[account_id, link] = (is_up, reason)
            self._tell(account_id, link)

    def listed(self, account_id: str, absence: str | None) -> None:
        """Take note of whether the venue lists the account; if not, its user hub tells nothing, and `absence` why."""
        if absence is None:
            self._absences.pop(account_id, None)
        else:
            self._absences[account_id] = absence
        if (account_id, Link.USER_HUB) in self._links:
            self._tell(account_id, Link.USER_HUB)

    def records(self, listed: Listed, requested_ns: int) -> None:
        """Give accounts their records in a list that was read for another: the next of their own may be far away.

        What the hub has told since the list was asked for is newer.
        """
        for account_id in self.account_ids:
            record = listed.get(account_id)
            if record is not None and account_id not in self._held and self._record_ns[account_id] < requested_ns:
                self._deliver(AccountUpdated(account_id, record, 0, self._clock.now_ns()))

    def _tell(self, account_id: str, link: Link) -> None:
        is_up, reason = self._links[account_id, link]
        absence = self._absences.get(account_id)
        if is_up and absence is not None and link is Link.USER_HUB:
            is_up, reason = False, absence
        if self._told.get((account_id, link)) is not is_up:
            self._told[account_id, link] = is_up
            self._deliver(ConnectionChanged(account_id, link, is_up, reason, 0, self._clock.now_ns()))

    def hold(self, account_id: str) -> None:
        """Hold the account's user events back from here on; what a former connection left behind is dropped."""
        self._held[account_id] = []

    def release(self, account_id: str) -> None:
        """Deliver what was held back; events flow again."""
        for event in self._held.pop(account_id, ()):
            self._deliver(event)
        self._deafness.told(account_id, self._time.now_ns(self._clock.now_ns()))

    def snapshot(self, taken: SnapshotTaken) -> None:
        """Deliver a snapshot and see to the contracts it names."""
        self._deliver(taken)
        self.see(taken)

    def see(self, taken: SnapshotTaken) -> None:
        """Have the contracts of a snapshot quoted, and looked up where unknown, and a deaf hub opened anew."""
        for part in (taken.positions, taken.orders):
            for value in part or ():
                self._see(taken.account_id, value.contract_id)
        for fill in taken.fills or ():
            if self._contract_of(fill.contract_id) is None:
                self._needs.contract(taken.account_id, fill.contract_id)
        if self._told.get((taken.account_id, Link.USER_HUB)) and taken.account_id not in self._held:
            self._deafness.look_for_untold(taken, self._time.now_ns(taken.requested_ns))
        if taken.positions is not None:
            self._holding[taken.account_id] = {each.contract_id for each in taken.positions if each.net_contracts}
            is_up = self._told.get((taken.account_id, Link.MARKET_HUB))
            holding = set().union(*self._holding.values()) if is_up else ()
            self._deafness.look_for_unquoted(map(self.quotes.received_ns, holding), taken.received_ns)

    def on_user(self, message: Invocation | HotRecord) -> None:
        """Take an event of the user hub.

        Raises:
            LoggedOut: the venue says so.
        """
        assert isinstance(message, Invocation), message
        handle = self._targets.get(message.target)
        if handle is None:
            if message.target == "GatewayLogout":
                raise LoggedOut("logged out by the venue")
            self._problems.note_once("unknown_target", message.target[:80])
            return
        try:
            for action, fields in wire.unwrap(wire.decode_any(message.arguments)):
                self._handle_one(message.target, handle, action, fields)
        except (ValueError, RecursionError) as error:
            self._distrust(message.target, error, self.account_ids)

    def on_market(self, message: Invocation | HotRecord) -> None:
        """Take an event of the market hub.

        Raises:
            LoggedOut: the venue says so.
        """
        if isinstance(message, HotRecord):
            self.quotes.on_record(message.record)
        elif message.target == "GatewayQuote":
            self.quotes.on_arguments(message.arguments)
        elif message.target == "GatewayLogout":
            raise LoggedOut("logged out by the venue")
        else:
            self._problems.note_once("unknown_target", message.target[:80])

    def want_quotes(self, account_id: str, contract_id: str) -> None:
        """Give the account the contract's quotes from here on."""
        if self.quotes.add_listener(contract_id, account_id):
            self._needs.quotes(contract_id)

    def _handle_one(
        self, target: str, handle: Callable[[int | None, Fields], None], action: int | None, fields: Fields
    ) -> None:
        """Handle one record of several; a bad one costs its own account a snapshot and no other record anything."""
        try:
            handle(action, fields)
        except BadRecord as error:
            owner = fields.get("id" if target == "GatewayUserAccount" else "accountId")
            owners = (str(owner),) if str(owner) in self.account_ids else self.account_ids
            self._distrust(target, error, owners)

    def _distrust(self, target: str, error: Exception, account_ids: tuple[str, ...]) -> None:
        self._problems.note("rejected_frame", f"{target}: {error}"[:300])
        for account_id in account_ids:
            self._deafness.told(account_id, self._time.now_ns(self._clock.now_ns()))
            self._needs.snapshot(account_id, f"unreadable {target}")

    def _on_account(self, action: int | None, fields: Fields) -> None:
        account_id = wire.read_id(fields, "id")
        if account_id in self.account_ids:
            self._record_ns[account_id] = self._clock.now_ns()
            self._emit(AccountUpdated(account_id, self._reader.account(fields), 0, self._clock.now_ns()))

    def _on_order(self, action: int | None, fields: Fields) -> None:
        account_id, contract = self._owner(fields)
        if account_id is None:
            return
        order = self._reader.order(fields, contract)
        received_ns = self._clock.now_ns()
        updated_ns = self._believed_ns(order.updated_ns, received_ns)
        if updated_ns != order.updated_ns:
            order = msgspec.structs.replace(order, updated_ns=updated_ns)
        self._emit(OrderUpdated(account_id, order, updated_ns, received_ns))
        if action == _DELETED and not order.status.is_terminal:
            # Nobody has documented what a deleted working order means; the venue's list does.
            self._needs.snapshot(account_id, "a working order was deleted")
        if not order.status.is_terminal:
            self._see(account_id, order.contract_id)

    def _on_position(self, action: int | None, fields: Fields) -> None:
        account_id, contract = self._owner(fields)
        if account_id is None:
            return
        position = self._reader.position(fields, contract, action)
        # Its only stamp is that of its opening, so the venue has no say in when this happened.
        self._emit(PositionUpdated(account_id, position, 0, self._clock.now_ns()))
        if position.net_contracts != 0:
            self._see(account_id, position.contract_id)

    def _on_fill(self, action: int | None, fields: Fields) -> None:
        account_id, contract = self._owner(fields)
        if account_id is None:
            return
        fill = self._reader.fill(fields, contract)
        received_ns = self._clock.now_ns()
        at_ns = self._believed_ns(fill.at_ns, received_ns)
        if at_ns != fill.at_ns:
            fill = msgspec.structs.replace(fill, at_ns=at_ns)
        self._emit(FillReceived(account_id, fill, at_ns, received_ns))
        if contract is None:
            self._needs.contract(account_id, fill.contract_id)

    def _owner(self, fields: Fields) -> tuple[str | None, Contract | None]:
        """The guarded account a record belongs to, None for any other, and the record's contract if known."""
        account_id = wire.read_id(fields, "accountId")
        if account_id not in self.account_ids:
            return None, None
        return account_id, self._contract_of(wire.read_text(fields, "contractId"))

    def _reopen(self, link: Link, sign: str) -> None:
        self._problems.note("deaf_hub", f"{link}: {sign}")
        self._needs.reopen(link)

    def _emit(self, event: AccountUpdated | OrderUpdated | PositionUpdated | FillReceived) -> None:
        self._deafness.told(event.account_id, max(event.at_ns, self._time.now_ns(event.received_ns)))
        held = self._held.get(event.account_id)
        if held is None:
            self._deliver(event)
        elif len(held) < _HELD_MAX:
            held.append(event)
        else:
            self._problems.note("held_events_overflow", event.account_id)
            self._needs.snapshot(event.account_id, "events were lost while a snapshot was read")

    def _see(self, account_id: str, contract_id: str) -> None:
        """The account has exposure here: it needs the quotes, and the contract if that is unknown."""
        self.want_quotes(account_id, contract_id)
        if self._contract_of(contract_id) is None:
            self._needs.contract(account_id, contract_id)

    def _believed_ns(self, at_ns: int, received_ns: int) -> int:
        believed = self._time.believed_ns(at_ns, received_ns)
        if believed != at_ns:
            self._problems.note("stamp_ahead", f"by {(at_ns - believed) / 1e9:.0f} s")
        return believed

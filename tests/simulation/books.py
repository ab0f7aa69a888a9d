"""The exchange with a witness: what it was asked and by whom, and every fill with the position before and after."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import msgspec

from risk_manager.domain.order import OrderType
from risk_manager.simulator.emissions import Emission, FillHappened, OrderChanged
from risk_manager.simulator.exchange import Exchange
from risk_manager.simulator.ledger import open_pnl_micros
from risk_manager.simulator.matching import AccountState
from risk_manager.simulator.records import PlaceOrder, Refused, SimContract, SimFill, SimOrder, SimPosition
from tests.simulation.network import PEER

PART_NS = 2_500_000_000
"""Within that time an order that the exchange fills part by part has its next one, a delayed quote allowed for."""


class Asked(msgspec.Struct, frozen=True):
    """One request of somebody over the wire.

    Attributes:
        sender: the machine it came from.   kind: cancel, close, reduce, place or modify.
        size: of a reduction or of what is placed, else 0.   net_before, net_after: held in the contract.
        order: what is cancelled or modified as it was, or what is placed as it was asked for.
        refusal: why it was not carried out, None where it was.
    """

    at_ns: int
    sender: str
    kind: str
    account_id: int
    contract_id: str
    size: int
    net_before: int
    net_after: int
    order: SimOrder | PlaceOrder | None
    refusal: Refused | None


class Filled(msgspec.Struct, frozen=True):
    """One fill: whose order it was (`""` for the trader at the exchange and for the venue itself)."""

    sender: str
    fill: SimFill
    net_before: int
    net_after: int


class Books(Exchange):
    """The exchange as everybody knows it, and what happens in it.

    Attributes:
        on_asked, on_filled: told at once, after it has happened.
        changed_ns: when an order last came, filled or went.
    """

    def __init__(self, contracts: list[SimContract], **options: Any) -> None:
        super().__init__(contracts, **options)
        self.on_asked: Callable[[Asked], None] = lambda asked: None
        self.on_filled: Callable[[Filled], None] = lambda filled: None
        self.changed_ns = 0
        self._senders: dict[int, str] = {}
        self._nets: dict[tuple[int, str], int] = {}
        self._live: defaultdict[int, dict[int, None]] = defaultdict(dict)
        self.subscribe(self._see)

    def net(self, account_id: int, contract_id: str) -> int:
        position = self.position(account_id, contract_id)
        return 0 if position is None else position.net_contracts

    def equity_micros(self, account_id: int) -> int:
        """Balance and open profit, each position at the price it could be closed at."""
        return self._surveillance.equity_micros(self._accounts[account_id])

    def mark_ticks(self, position: SimPosition) -> int:
        """The price a position could be closed at: the bid for a long, the ask for a short."""
        book = self._books[position.contract_id]
        mark = book.bid_ticks if position.net_contracts > 0 else book.ask_ticks
        assert mark is not None, position
        return mark

    def open_profits(self, account_id: int) -> dict[str, int]:
        """What closing each position of an account would bring now, gross, in micros."""
        profits = {}
        for position in self.positions(account_id):
            tick_value_micros = self.contracts[position.contract_id].contract.instrument.tick_value_micros
            profits[position.contract_id] = open_pnl_micros(position, self.mark_ticks(position), tick_value_micros)
        return profits

    def live_orders(self, account_id: int) -> list[SimOrder]:
        account = self._accounts[account_id]
        orders = [account.orders[order_id] for order_id in sorted(self._live[account_id])]
        return [order for order in orders if not order.status.is_terminal]

    def forget(self, before_ns: int) -> None:
        """Drop what is over since before then and asked for by nobody: over months it would be most there is."""
        for account in self._accounts.values():
            kept = {child for entry in account.children.values() for child in entry if self._is_live(account, child)}
            for order in list(account.orders.values()):
                family = account.children.get(order.id, ())
                is_over = order.status.is_terminal and order.updated_ns < before_ns
                if is_over and order.parent_id is None and kept.isdisjoint(family):
                    for order_id in (order.id, *family):
                        account.tags.discard(account.orders.pop(order_id).tag or "")
                        self._senders.pop(order_id, None)
                    account.children.pop(order.id, None)
            for fill in list(account.ledger.fills.values()):
                # What is held is still being matched with the fills that opened it.
                if fill.at_ns < before_ns and not account.ledger.net_contracts(fill.contract_id):
                    del account.ledger.fills[fill.id]
                    del self._matcher.fill_owners[fill.id]

    @staticmethod
    def _is_live(account: AccountState, order_id: int) -> bool:
        return not account.orders[order_id].status.is_terminal

    def is_closing(self, account_id: int) -> bool:
        """Whether the exchange fills, part by part, what the guard has it close or reduce; not one that has stopped."""
        return any(
            order.type is OrderType.MARKET
            and order.remaining
            and self.now_ns - order.updated_ns < PART_NS
            and self.sender_of(order.id).startswith("guard")
            for order in self.live_orders(account_id)
        )

    def sender_of(self, order_id: int) -> str:
        """Who sent an order over the wire."""
        return self._senders.get(order_id, "")

    def place(self, account_id: int, order: PlaceOrder, at_ns: int) -> int | Refused:
        before = self.net(account_id, order.contract_id)
        answer = super().place(account_id, order, at_ns)
        refusal = answer if isinstance(answer, Refused) else None
        self._note("place", account_id, order.contract_id, order.size, before, order, refusal)
        return answer

    def modify(self, account_id: int, order_id: int, at_ns: int, **changes: int | None) -> None | Refused:
        return self._on_order(
            "modify", account_id, order_id, lambda: super(Books, self).modify(account_id, order_id, at_ns, **changes)
        )

    def cancel(self, account_id: int, order_id: int, at_ns: int) -> None | Refused:
        return self._on_order(
            "cancel", account_id, order_id, lambda: super(Books, self).cancel(account_id, order_id, at_ns)
        )

    def close_contract(self, account_id: int, contract_id: str, at_ns: int) -> None | Refused:
        before = self.net(account_id, contract_id)
        refusal = super().close_contract(account_id, contract_id, at_ns)
        self._note("close", account_id, contract_id, 0, before, None, refusal)
        return refusal

    def partial_close(self, account_id: int, contract_id: str, size: int, at_ns: int) -> None | Refused:
        before = self.net(account_id, contract_id)
        refusal = super().partial_close(account_id, contract_id, size, at_ns)
        self._note("reduce", account_id, contract_id, size, before, None, refusal)
        return refusal

    def _on_order(self, kind: str, account_id: int, order_id: int, act: Callable[[], None | Refused]) -> None | Refused:
        order = self.order(account_id, order_id)
        contract_id = "" if order is None else order.contract_id
        before = self.net(account_id, contract_id)
        refusal = act()
        self._note(kind, account_id, contract_id, 0, before, order, refusal)
        return refusal

    def _note(
        self,
        kind: str,
        account_id: int,
        contract_id: str,
        size: int,
        before: int,
        order: SimOrder | PlaceOrder | None,
        refusal: Refused | None,
    ) -> None:
        if PEER.get():
            after = self.net(account_id, contract_id)
            self.on_asked(
                Asked(self.now_ns, PEER.get(), kind, account_id, contract_id, size, before, after, order, refusal)
            )

    def _see(self, emission: Emission) -> None:
        if isinstance(emission, OrderChanged):
            live = self._live[emission.account_id]
            if emission.order.status.is_terminal:
                live.pop(emission.order.id, None)
            else:
                live[emission.order.id] = None
            if emission.order.id not in self._senders or emission.order.status.is_terminal:
                self.changed_ns = emission.at_ns
            self._senders.setdefault(emission.order.id, PEER.get())
        elif isinstance(emission, FillHappened) and not emission.is_resend:
            fill, self.changed_ns = emission.fill, emission.at_ns
            key = emission.account_id, fill.contract_id
            before = self._nets.get(key, 0)
            self._nets[key] = before + fill.signed_size
            sender = self._senders.get(fill.order_id, PEER.get())
            self.on_filled(Filled(sender, fill, before, self._nets[key]))
        elif isinstance(emission, FillHappened) and emission.fill.is_voided:
            key = emission.account_id, emission.fill.contract_id
            self._nets[key] = self.net(*key)

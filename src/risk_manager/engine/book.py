"""One contract's position, reconciled from two witnesses: the venue's position events and the fills.

The events of one fill arrive in any order within some 25 ms (projectx.md 2.4). Between the first and the last of them
the two witnesses disagree: the book is *unsettled*. Then exposure is the larger of the two, so no breach is seen late,
and value follows the fills, so a loss is never counted both as realized and as open.

Nor as neither: of a reversal the half that opens may be told before the half that closes, which alone carries the
profit. Then the fills have closed contracts whose profit the venue has yet to state; till it does, that is *pending*.
It is kept by number of contracts, so each one closed counts once, stated or pending, whatever the order of its fills;
and what the venue states counts in full, whatever we had reckoned.

Of two fills a few milliseconds apart both may be told before the position that the first of them led to. Such a
statement is *belated*: what it says the fills have left behind already, and a loss they closed is not open again.
"""

from dataclasses import dataclass

import msgspec

from risk_manager.domain.contract import Contract
from risk_manager.domain.events import QuoteUpdated
from risk_manager.domain.fill import Fill
from risk_manager.domain.position import Position, value_micros
from risk_manager.domain.quote import Quote

STAMP_STEP_NS = 1_000_000_000

OPENED_SKEW_NS = 50_000_000
"""By how much a position's beginning, as the venue states it, may be later than the fill it began with."""

MOST_UNTOLD = 32
"""Statements that are lost leave theirs behind."""


# Not a Struct: every quote writes to it, which a slot takes an eighth of the time for.
@dataclass(slots=True)
class Book:
    """The position in one contract; implements `HoldingView` while it is not flat.

    Attributes:
        venue_net, venue_cost: what the venue last stated.   filled_net, filled_cost: the same, moved by fills since.
        untold: the positions, oldest first, that fills have led to, from the one the venue stated last on.
        filled_ns: venue time of the last fill.
        filled_since: signed contracts filled since the venue's statement changed, while the witnesses disagree.
        is_venue_ahead: the last to change was the venue's statement, not the fills.
        is_growth_stated: since the last fill the venue has stated a larger position, or the other side.
        value_net, value_cost: what is marked to the quote (cost None: cannot be valued).
        stated_id: of the venue's last statement.   position_id: of what is held; empty while it has no name yet.
        unstated_contracts: closed by the fills, less those the venue has stated a profit of; < 0 if it is ahead.
        pending_micros: what the unstated ones have brought; 0 as far as their price or cost is not known.
        moved_ns: local time of the last stream event that moved either witness; 0 if there was none.
        unsettled_ns: local time since which the witnesses disagree; None while they agree.
        contradiction: net contracts of a snapshot that contradicts them; adopted when the next one repeats it.
        contradicted_ns: local time of that snapshot.
        adopted_ns: venue time by which the last snapshot was read whose word was taken; 0 if none was.
        tick_value_micros: 0 while the contract is unknown.
    """

    contract_id: str
    contract: Contract | None = None
    tick_value_micros: int = 0
    stated_id: str = ""
    position_id: str = ""
    opened_ns: int = 0
    increased_ns: int = 0
    venue_net: int = 0
    venue_cost: int | None = 0
    filled_net: int = 0
    filled_cost: int | None = 0
    untold: tuple[int, ...] = ()
    filled_ns: int = 0
    filled_since: int = 0
    net_contracts: int = 0
    is_venue_ahead: bool = False
    is_growth_stated: bool = False
    value_net: int = 0
    value_cost: int | None = 0
    unstated_contracts: int = 0
    pending_micros: int = 0
    moved_ns: int = 0
    unsettled_ns: int | None = None
    contradiction: int | None = None
    contradicted_ns: int = 0
    adopted_ns: int = 0
    quoted: QuoteUpdated | None = None
    unrealized_micros: int | None = 0

    @property
    def root(self) -> str:
        return self.contract.root if self.contract is not None else self.contract_id

    @property
    def certain_contracts(self) -> int:
        net = self.net_contracts
        if self.unsettled_ns is None and self.contradiction is None:
            return abs(net)
        # A fill is told before the position it has left: what the venue stated before may be too much by it.
        left = self.venue_net + self.filled_since
        stated = (self.venue_net, left, self.filled_net, net if self.contradiction is None else self.contradiction)
        return min(abs(one) if one * net > 0 else 0 for one in stated)

    @property
    def quote(self) -> Quote | None:
        return self.quoted.quote if self.quoted is not None else None

    @property
    def quote_received_ns(self) -> int:
        return self.quoted.received_ns if self.quoted is not None else 0

    def learn(self, contract: Contract) -> None:
        self.contract = contract
        self.tick_value_micros = contract.instrument.tick_value_micros

    def state(self, position: Position, received_ns: int) -> None:
        """Take in a position event."""
        net, before = position.net_contracts, self.venue_net
        if self._is_belated(position):
            self._state_belated(position, received_ns)
            return
        # One that only repeats itself does not overtake the fills since.
        self.is_venue_ahead = self.is_venue_ahead or net != before
        if net != before:
            self.filled_since = 0
        self.is_growth_stated = self.is_growth_stated or abs(net) > abs(before) or net * before < 0
        self._take(position)
        self.moved_ns = received_ns
        self.contradiction = None
        self._settle(received_ns)

    def adopt(self, position: Position, at_ns: int, received_ns: int) -> None:
        """Take the position of a snapshot, read by `at_ns` (venue time), as the truth for both witnesses."""
        self.adopted_ns = at_ns
        if self.filled_net != position.net_contracts:
            self.untold = ()
        self._take(position)
        self.filled_net, self.filled_cost = self.venue_net, self.venue_cost
        self.contradiction = None
        self._settle(received_ns)

    def contains(self, fill: Fill) -> bool:
        """Whether a fill nobody told of in time is part of the position already: a snapshot was adopted since.

        The stamp of a snapshot is in whole seconds, and so behind the venue's clock by up to one. In that second an
        opening fill counts as contained, for it is told again. A closing one does not: the profit it states would
        count as open, too.
        """
        doubt_ns = STAMP_STEP_NS if fill.pnl_micros is None else 0
        return fill.at_ns <= self.adopted_ns + doubt_ns

    def fill(self, fill: Fill, received_ns: int) -> None:
        """Take in a new fill."""
        signed = fill.side.sign * fill.size
        if self.net_contracts == 0:
            self.opened_ns = fill.at_ns
        net = self.filled_net
        closed = min(abs(net), fill.size) if net * signed < 0 else 0
        self._close_unstated(closed - _stated(fill), self._gain_micros(fill, closed))
        self.filled_net = net + signed
        self.filled_since += signed
        self.filled_ns = max(self.filled_ns, fill.at_ns)
        self.untold = (*self.untold, self.filled_net)[-MOST_UNTOLD:]
        self.filled_cost = self._cost_after(fill, closed)
        self.is_venue_ahead = self.is_growth_stated = False
        self._settle(received_ns)

    def unfill(self, fill: Fill, received_ns: int) -> None:
        """Take back a voided fill: the price of an opening one leaves the cost, the cost of a closing one returns."""
        signed = fill.side.sign * fill.size
        pnl, pending = fill.pnl_micros or 0, self.pending_micros
        size_before = abs(self.filled_net)
        self.filled_net -= signed
        self.filled_since -= signed
        # Undone, its contracts either leave the position or come back to it.
        reopened = (fill.size + abs(self.filled_net) - size_before) // 2
        unstated = _stated(fill) - reopened
        self._close_unstated(unstated, pnl * unstated // fill.size)
        if self.filled_net == 0:
            self.filled_cost = 0
        elif fill.price_ticks is None or not self.tick_value_micros or self.filled_cost is None:
            self.filled_cost = None
        else:
            # A closing fill's profit is what it sold for less what that had cost.
            value = value_micros(fill.price_ticks, signed, self.tick_value_micros)
            self.filled_cost -= value + pnl - (self.pending_micros - pending)
        self.is_venue_ahead = self.is_growth_stated = False
        self._settle(received_ns)

    def state_profit(self, fill: Fill) -> None:
        """Take in that the venue now states the profit of a fill it had told without."""
        self._close_unstated(-_stated(fill), 0)

    def forget_pending(self) -> None:
        """Take it that the venue has stated every profit it is going to state."""
        self.unstated_contracts = self.pending_micros = 0

    def shift(self, by_ns: int) -> None:
        """Move every local time: the local clock has been set."""
        self.increased_ns += by_ns
        self.moved_ns += by_ns
        self.contradicted_ns += by_ns
        if self.unsettled_ns is not None:
            self.unsettled_ns += by_ns
        if self.quoted is not None:
            self.quoted = msgspec.structs.replace(self.quoted, received_ns=self.quoted.received_ns + by_ns)

    def unrealized_at_micros(self, basis: str) -> int | None:
        """Open profit marked at `exit_side`, `mid` (of bid and ask) or `last`; None if that price is not known."""
        quote = self.quote
        if quote is None or self.value_cost is None or not self.tick_value_micros:
            return None
        if basis == "mid":
            if quote.bid_ticks is None or quote.ask_ticks is None:
                return None
            both = value_micros(quote.bid_ticks + quote.ask_ticks, self.value_net, self.tick_value_micros)
            return both // 2 - self.value_cost
        mark = quote.last_ticks
        if basis == "exit_side":
            side = quote.bid_ticks if self.value_net > 0 else quote.ask_ticks
            mark = side if side is not None else mark
        if mark is None:
            return None
        return value_micros(mark, self.value_net, self.tick_value_micros) - self.value_cost

    def _is_belated(self, position: Position) -> bool:
        """Whether fills have led to the position, and beyond it; what came before it is crossed off the untold."""
        if position.net_contracts not in self.untold or position.opened_ns > self.filled_ns + OPENED_SKEW_NS:
            return False
        self.untold = self.untold[self.untold.index(position.net_contracts) :]
        return len(self.untold) > 1

    def _state_belated(self, position: Position, received_ns: int) -> None:
        """Take in a statement that is behind the fills; one of more than was known is history altogether."""
        net = position.net_contracts
        is_more = abs(net) > abs(self.venue_net) or net * self.venue_net < 0
        is_left = abs(net) > abs(self.filled_net) or net * self.filled_net < 0
        if not (is_more and is_left):
            self._take(position)
            self.filled_since = self.filled_net - net
            self.is_growth_stated = False
        self.moved_ns = received_ns
        self.contradiction = None
        self._settle(received_ns)

    def _take(self, position: Position) -> None:
        self.venue_net = position.net_contracts
        self.venue_cost = position.cost_micros if position.net_contracts else 0
        self.stated_id = position.id
        self.opened_ns = position.opened_ns

    def _gain_micros(self, fill: Fill, closed: int) -> int:
        """What a fill brings by closing so many contracts; 0 if that cannot be known."""
        if closed == 0 or fill.price_ticks is None or not self.tick_value_micros or self.filled_cost is None:
            return 0
        freed = self.filled_cost * closed // abs(self.filled_net)
        return value_micros(fill.price_ticks, -fill.side.sign * closed, self.tick_value_micros) - freed

    def _close_unstated(self, contracts: int, gain_micros: int) -> None:
        """Add contracts that were closed for a gain nobody has stated; if negative, take off so many of them."""
        before = self.unstated_contracts
        self.unstated_contracts += contracts
        after = max(self.unstated_contracts, 0)
        if contracts > 0:
            # Those the venue had stated in advance are not pending.
            self.pending_micros += gain_micros * min(contracts, after) // contracts
        elif before > 0:
            self.pending_micros = self.pending_micros * after // before

    def _cost_after(self, fill: Fill, closed: int) -> int | None:
        """What the fills' position cost after one that closed so many contracts and opened with the rest."""
        if self.filled_net == 0:
            return 0
        if self.filled_cost is None:
            return None
        net_before = abs(self.filled_net - fill.side.sign * fill.size)
        kept = self.filled_cost - (self.filled_cost * closed // net_before if closed else 0)
        opened = fill.size - closed
        if opened == 0:
            return kept
        if fill.price_ticks is None or not self.tick_value_micros:
            return None
        return kept + value_micros(fill.price_ticks, fill.side.sign * opened, self.tick_value_micros)

    def _settle(self, received_ns: int) -> None:
        size_before, value_before = abs(self.net_contracts), self.value_net
        if self.venue_net == self.filled_net:
            # As many contracts as were stated before fills that are still to be stated are not the same ones.
            if len(self.untold) < 2:
                self.filled_cost = self.venue_cost
            self.filled_since = 0
            self.unsettled_ns = None
        elif self.unsettled_ns is None:
            self.unsettled_ns = received_ns
        venue_is_larger = abs(self.venue_net) > abs(self.filled_net) or self.venue_net == self.filled_net
        net = self.net_contracts = self.venue_net if venue_is_larger else self.filled_net
        if abs(net) > size_before:
            self.increased_ns = received_ns
        # An opening position event ahead of its fill is valued at once; a closing one waits for the fill's P&L, and so
        # does the first of several, behind their fills, though it states more than they have left.
        if self.is_growth_stated and venue_is_larger and self.venue_net * self.filled_net >= 0:
            self.value_net, self.value_cost = self.venue_net, self.venue_cost
        else:
            self.value_net, self.value_cost = self.filled_net, self.filled_cost
        if self.venue_net * self.value_net > 0:
            self.position_id = self.stated_id
        elif net == 0 or self.value_net * value_before < 0:
            self.position_id = ""


def _stated(fill: Fill) -> int:
    """The contracts of which the fill states a profit."""
    return 0 if fill.pnl_micros is None else fill.size

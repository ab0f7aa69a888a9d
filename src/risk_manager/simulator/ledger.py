"""The money side of an account: fills, netted positions at average cost, realized profit.

Everything is an exact integer except two roundings, each done once and carried forward so that nothing leaks: the cost
a partial exit leaves behind is rounded to 1e-6 ticks, and money is the difference of two costs each valued to whole
micros. Realized plus open profit therefore equals the mark-to-market of all fills to the micro (`open_pnl_micros`).
"""

from collections.abc import Callable

import msgspec

from risk_manager.domain.order import Side
from risk_manager.simulator.records import MICRO_TICKS, SimContract, SimFill, SimPosition, divide_rounded

NextId = Callable[[], int]


def cost_value_micros(cost_micro_ticks: int, tick_value_micros: int) -> int:
    """A cost in money, half a micro away from zero, signed like the cost."""
    return divide_rounded(cost_micro_ticks * tick_value_micros, MICRO_TICKS)


def open_pnl_micros(position: SimPosition, mark_ticks: int, tick_value_micros: int) -> int:
    """Open profit of a position at a price, gross, signed."""
    value = mark_ticks * position.net_contracts * tick_value_micros
    return value - cost_value_micros(position.cost_micro_ticks, tick_value_micros)


class Booked(msgspec.Struct, frozen=True):
    """What one execution, or taking one back, did to an account.

    Attributes:
        fills: the new fills, the closing one first.
        resent: known fills to be told again: opening fills now closed; after a void, those that changed.
        positions: as they stand now, one that went flat (net 0) before one that opened.
        cash_micros: change of the balance: profit minus costs.
    """

    fills: tuple[SimFill, ...]
    resent: tuple[SimFill, ...]
    positions: tuple[SimPosition, ...]
    cash_micros: int


class Holding:
    """The running position in one contract, folded fill by fill."""

    __slots__ = (
        "average_micro_ticks",
        "cost_micro_ticks",
        "created_ns",
        "id",
        "lots",
        "net_contracts",
        "realized_micros",
    )

    def __init__(self) -> None:
        self.id = 0
        self.created_ns = 0
        self.net_contracts = 0
        self.cost_micro_ticks = 0
        self.average_micro_ticks = 0
        self.realized_micros = 0
        # Opening fills not yet closed, oldest first: [fill id, contracts left].
        self.lots: list[list[int]] = []

    def apply(self, fill: SimFill, tick_value_micros: int) -> tuple[int | None, list[int]]:
        """Fold one fill; return its gross profit (None if it closed nothing) and the ids of the fills it closed."""
        signed = fill.signed_size
        closing = 0 if self.net_contracts * signed >= 0 else min(abs(self.net_contracts), fill.size)
        pnl_micros = self._reduce(closing, fill.price_ticks, tick_value_micros) if closing else None
        matched = self._match(closing)
        if opening := fill.size - closing:
            self._add(fill.id, fill.side.sign * opening, fill.price_ticks)
        return pnl_micros, matched

    def _reduce(self, size: int, price_ticks: int, tick_value_micros: int) -> int:
        sign = 1 if self.net_contracts > 0 else -1
        left = abs(self.net_contracts) - size
        cost_left = divide_rounded(self.cost_micro_ticks * left, abs(self.net_contracts))
        released_micros = cost_value_micros(self.cost_micro_ticks, tick_value_micros) - cost_value_micros(
            cost_left, tick_value_micros
        )
        pnl_micros = sign * price_ticks * size * tick_value_micros - released_micros
        self.net_contracts = sign * left
        self.cost_micro_ticks = cost_left
        self.realized_micros += pnl_micros
        return pnl_micros

    def _match(self, size: int) -> list[int]:
        matched = []
        while size:
            lot = self.lots[0]
            taken = min(size, lot[1])
            matched.append(lot[0])
            lot[1] -= taken
            size -= taken
            if lot[1] == 0:
                del self.lots[0]
        return matched

    def _add(self, fill_id: int, signed: int, price_ticks: int) -> None:
        if self.net_contracts == 0:
            self.realized_micros = 0
        self.net_contracts += signed
        self.cost_micro_ticks += signed * price_ticks * MICRO_TICKS
        self.average_micro_ticks = divide_rounded(self.cost_micro_ticks, self.net_contracts)
        self.lots.append([fill_id, abs(signed)])


class Ledger:
    """All fills and holdings of one account."""

    def __init__(self, account_id: int, next_fill_id: NextId, next_position_id: NextId) -> None:
        self._account_id = account_id
        self._next_fill_id = next_fill_id
        self._next_position_id = next_position_id
        self._holdings: dict[str, Holding] = {}
        self.fills: dict[int, SimFill] = {}

    def net_contracts(self, contract_id: str) -> int:
        """Signed exposure, 0 when flat."""
        holding = self._holdings.get(contract_id)
        return 0 if holding is None else holding.net_contracts

    def positions(self) -> list[SimPosition]:
        """Open positions by rising id."""
        held = [self._position(key, each) for key, each in self._holdings.items() if each.net_contracts]
        return sorted(held, key=lambda position: position.id)

    def position(self, contract_id: str) -> SimPosition | None:
        """The open position in a contract, None when flat."""
        holding = self._holdings.get(contract_id)
        return self._position(contract_id, holding) if holding is not None and holding.net_contracts else None

    def book(self, contract: SimContract, order_id: int, side: Side, size: int, price_ticks: int, at_ns: int) -> Booked:
        """Book one execution. One that crosses zero becomes two fills: the closing one, then the opening one."""
        holding = self._holdings.setdefault(contract.id, Holding())
        closing = 0 if holding.net_contracts * side.sign >= 0 else min(abs(holding.net_contracts), size)
        fills: list[SimFill] = []
        resent: list[SimFill] = []
        positions: list[SimPosition] = []
        cash_micros = 0
        for part in (closing, size - closing):
            if part == 0:
                continue
            was_flat = holding.net_contracts == 0
            fill = self._fill(contract, order_id, side, part, price_ticks, at_ns)
            pnl_micros, matched = holding.apply(fill, contract.contract.instrument.tick_value_micros)
            fill = msgspec.structs.replace(fill, pnl_micros=pnl_micros)
            if was_flat:
                holding.id, holding.created_ns = self._next_position_id(), at_ns
            self.fills[fill.id] = fill
            fills.append(fill)
            resent.extend(self.fills[each] for each in matched)
            positions.append(self._position(contract.id, holding))
            cash_micros += _cash_micros(fill)
        return Booked(tuple(fills), tuple(resent), tuple(positions), cash_micros)

    def void(self, fill_id: int, contract: SimContract, at_ns: int) -> Booked:
        """Take a fill back and fold its contract's other fills anew, as if it had never happened.

        Profits of later fills may change with it; those fills are in `resent`, after the voided one.
        """
        before = self._holdings[contract.id]
        old_fills = [fill for fill in self.fills.values() if fill.contract_id == contract.id and not fill.is_voided]
        voided = msgspec.structs.replace(self.fills[fill_id], is_voided=True)
        self.fills[fill_id] = voided
        resent = [voided]
        after = Holding()
        cash_micros = -_cash_micros(voided)
        for old in old_fills:
            if old.id == fill_id:
                continue
            new = msgspec.structs.replace(
                old, pnl_micros=after.apply(old, contract.contract.instrument.tick_value_micros)[0]
            )
            if new != old:
                self.fills[new.id] = new
                resent.append(new)
                cash_micros += _cash_micros(new) - _cash_micros(old)
        self._holdings[contract.id] = after
        return Booked((), tuple(resent), self._succession(contract.id, before, after, at_ns), cash_micros)

    def _succession(self, contract_id: str, before: Holding, after: Holding, at_ns: int) -> tuple[SimPosition, ...]:
        """Name the refolded holding: the old id while it stays on the old side of zero, else a new one."""
        if before.net_contracts * after.net_contracts > 0:
            after.id, after.created_ns = before.id, before.created_ns
            return (self._position(contract_id, after),)
        changed = []
        if before.net_contracts:
            gone = msgspec.structs.replace(self._position(contract_id, before), net_contracts=0, cost_micro_ticks=0)
            changed.append(gone)
        if after.net_contracts:
            after.id, after.created_ns = self._next_position_id(), at_ns
            changed.append(self._position(contract_id, after))
        return tuple(changed)

    def _position(self, contract_id: str, holding: Holding) -> SimPosition:
        return SimPosition(
            id=holding.id,
            account_id=self._account_id,
            contract_id=contract_id,
            created_ns=holding.created_ns,
            net_contracts=holding.net_contracts,
            cost_micro_ticks=holding.cost_micro_ticks,
            average_micro_ticks=holding.average_micro_ticks,
            realized_micros=holding.realized_micros,
        )

    def _fill(
        self, contract: SimContract, order_id: int, side: Side, size: int, price_ticks: int, at_ns: int
    ) -> SimFill:
        return SimFill(
            id=self._next_fill_id(),
            account_id=self._account_id,
            contract_id=contract.id,
            order_id=order_id,
            at_ns=at_ns,
            price_ticks=price_ticks,
            pnl_micros=None,
            fees_micros=contract.fees_micros * size,
            commission_micros=contract.commission_micros * size,
            side=side,
            size=size,
        )


def _cash_micros(fill: SimFill) -> int:
    return (0 if fill.pnl_micros is None else fill.pnl_micros) - fill.fees_micros - fill.commission_micros

"""What fills amount to: orders that were executed, and round turns from flat to flat."""

from msgspec import Struct
from msgspec.structs import replace

from risk_manager.domain.fill import Fill
from risk_manager.domain.order import Side


class FilledOrder(Struct, frozen=True, gc=False):
    """An order as far as it was executed, over all its valid fills.

    Attributes:
        first_ns, last_ns: venue time of its first and its last fill.
        size: contracts executed.   opened: those of them that opened a position or added to one.
        pnl_micros: the venue's gross result of its fills; 0 where they closed nothing.   fees_micros: >= 0.
        is_enforced: one of the guard's own closes and reductions.
    """

    id: str
    contract_id: str
    side: Side
    first_ns: int
    last_ns: int
    size: int
    opened: int
    pnl_micros: int
    fees_micros: int
    is_enforced: bool = False

    def after(self, fill: Fill, opened: int) -> "FilledOrder":
        """The order after its next fill, of which `opened` contracts opened or added."""
        return replace(
            self,
            last_ns=fill.at_ns,
            size=self.size + fill.size,
            opened=self.opened + opened,
            pnl_micros=self.pnl_micros + (fill.pnl_micros or 0),
            fees_micros=self.fees_micros + fill.fees_micros,
        )


class RoundTurn(Struct, frozen=True, gc=False):
    """One position in one contract, from flat to flat.

    Attributes:
        id: of the fill that made it flat.
        side: BUY for a long position.   size: contracts opened over its life, which is as many as were closed.
        opened_ns: venue time of its first fill; 0 where it was held before the first fill the guard knows.
        pnl_micros: gross, the sum of the venue's own figures.   fees_micros: of all its fills, >= 0.
        order_ids: of every order that filled in it, in the order of their first fills.
        closed_by: id of the order that made it flat.   is_enforced: that order is the guard's own.
    """

    id: str
    contract_id: str
    side: Side
    size: int
    opened_ns: int
    closed_ns: int
    pnl_micros: int
    fees_micros: int
    order_ids: tuple[str, ...]
    closed_by: str
    is_enforced: bool = False


class OpenTurn(Struct, frozen=True, gc=False):
    """The round turn a contract is in, folded from its fills in venue order; flat while `net_contracts` is 0.

    Attributes:
        net_contracts: signed, + long.   size: contracts opened so far.
        opened_ns: 0 where it was held before the first known fill.
    """

    contract_id: str
    net_contracts: int = 0
    opened_ns: int = 0
    size: int = 0
    pnl_micros: int = 0
    fees_micros: int = 0
    order_ids: tuple[str, ...] = ()

    def closed_by(self, fill: Fill) -> int:
        """How many contracts of the position the fill closes; what it has beyond them opens."""
        return min(abs(self.net_contracts), fill.size) if self.net_contracts * fill.side.sign < 0 else 0

    def after(self, fill: Fill) -> "tuple[OpenTurn, RoundTurn | None]":
        """The state after a fill, and the round turn it completes, if it does.

        A fill that turns the position round completes one and begins the next: the result belongs to what it closed,
        the fees are shared by contracts.
        """
        closed = self.closed_by(fill)
        if closed == 0 or closed < abs(self.net_contracts):
            return self._going_on(fill, fill.size - closed), None
        fees = fill.fees_micros * closed // fill.size
        turn = RoundTurn(
            id=fill.id,
            contract_id=self.contract_id,
            side=Side.BUY if self.net_contracts > 0 else Side.SELL,
            size=self.size,
            opened_ns=self.opened_ns,
            closed_ns=fill.at_ns,
            pnl_micros=self.pnl_micros + (fill.pnl_micros or 0),
            fees_micros=self.fees_micros + fees,
            order_ids=_with(self.order_ids, fill.order_id),
            closed_by=fill.order_id,
        )
        opened = fill.size - closed
        if opened == 0:
            return OpenTurn(self.contract_id), turn
        rest = OpenTurn(
            self.contract_id,
            fill.side.sign * opened,
            fill.at_ns,
            opened,
            fees_micros=fill.fees_micros - fees,
            order_ids=(fill.order_id,),
        )
        return rest, turn

    def _going_on(self, fill: Fill, opened: int) -> "OpenTurn":
        return OpenTurn(
            self.contract_id,
            self.net_contracts + fill.side.sign * fill.size,
            self.opened_ns if self.net_contracts else fill.at_ns,
            self.size + opened,
            self.pnl_micros + (fill.pnl_micros or 0),
            self.fees_micros + fill.fees_micros,
            _with(self.order_ids, fill.order_id),
        )


def _with(order_ids: tuple[str, ...], order_id: str) -> tuple[str, ...]:
    return order_ids if order_id in order_ids else (*order_ids, order_id)


def rank(at_ns: int, key: str) -> tuple[int, int, str]:
    """How fills, orders and turns are sorted: by venue time, then by id, where ids are numbers by their value."""
    return at_ns, len(key), key

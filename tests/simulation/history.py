"""What rules ask of an account's past, kept from what the exchange's books say: results, orders, round turns, stops."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from risk_manager.domain.order import OrderStatus, OrderType
from risk_manager.domain.trading_day import TradingDay
from risk_manager.simulator.records import SimFill, SimOrder, SimPosition
from tests.simulation.books import Books
from tests.simulation.loop import SECOND_NS

KEPT_NS = 3_600 * SECOND_NS
STOPS = (OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP)
_AT_WORK = (OrderStatus.WORKING, OrderStatus.PENDING)


class Turn(NamedTuple):
    """A contract from flat to flat. `pnl_micros` is gross."""

    closed_ns: int
    pnl_micros: int
    is_guards: bool


class Level(NamedTuple):
    """A result of the day that has lasted long enough to have been seen, at `at_ns` or later."""

    at_ns: int
    micros: int


class Bare(NamedTuple):
    """Since when some contract of a position has had no stop; what is covered may only have shrunk since."""

    sign: int
    covered: int
    since_ns: int


class _Run(NamedTuple):
    """A contract between flat and flat; `pnl_micros` is None where a fill of it was taken back."""

    net: int
    pnl_micros: int | None


class History:
    """One account's past.

    Args: heard_ns: how long a result has to last to be seen by whoever is told of the market.

    Attributes:
        day: the trading day.   closed_micros: what the day's fills have brought less their costs, voided ones left out.
        first_fills_ns: of each order of the trader's in the last hour, when it began to fill.
        turns: of the last hour.
        gone_ns: by contract, when what was held was last gone, be it to be turned round.
        peak_micros: the day's highest result that has lasted; None before there is one.
        bare: the positions with a contract that no stop covers, by contract.
    """

    def __init__(self, books: Books, account: int, day_of: Callable[[int], TradingDay], heard_ns: int) -> None:
        self.day = day_of(books.now_ns)
        self.closed_micros = 0
        self.first_fills_ns: dict[int, int] = {}
        self.turns: deque[Turn] = deque()
        self.gone_ns: dict[str, int] = {}
        self.peak_micros: int | None = None
        self.bare: dict[str, Bare] = {}
        self._books = books
        self._account = account
        self._day_of = day_of
        self._heard_ns = heard_ns
        self._runs: dict[str, _Run] = {}
        self._recent: deque[Level] = deque()
        self._highs: deque[Level] = deque()

    def filled(self, fill: SimFill) -> None:
        """Fold a fill as it happens, or as it is taken back."""
        run = self._runs.get(fill.contract_id, _Run(0, 0))
        if fill.is_voided:
            # What it was part of is no trade any more that somebody could be held to.
            self.first_fills_ns.pop(fill.order_id, None)
            self._runs[fill.contract_id] = _Run(self._books.net(self._account, fill.contract_id), None)
            if not self._runs[fill.contract_id].net:
                del self._runs[fill.contract_id]
        else:
            pnl_micros = None if run.pnl_micros is None else run.pnl_micros + (fill.pnl_micros or 0)
            self._runs[fill.contract_id] = _Run(run.net + fill.signed_size, pnl_micros)
            self._fold(fill)
        self._count()

    def _fold(self, fill: SimFill) -> None:
        is_guards = self._books.sender_of(fill.order_id).startswith("guard")
        if not is_guards:
            self.first_fills_ns.setdefault(fill.order_id, fill.at_ns)
        run = self._runs[fill.contract_id]
        if run.net == 0:
            del self._runs[fill.contract_id]
            self.gone_ns[fill.contract_id] = fill.at_ns
            if run.pnl_micros is not None:
                self.turns.append(Turn(fill.at_ns, run.pnl_micros, is_guards))

    def _count(self) -> None:
        fills = self._books.fills(self._account, self.day.start_ns)
        self.closed_micros = sum(
            (fill.pnl_micros or 0) - fill.fees_micros - fill.commission_micros for fill in fills if not fill.is_voided
        )

    def turn_day(self, now_ns: int) -> None:
        """See to it that `day` is today, and forget what nobody asks for any more."""
        if now_ns >= self.day.end_ns:
            self.day = self._day_of(now_ns)
            self._count()
            self.unsettle()
        while self.turns and self.turns[0].closed_ns < now_ns - KEPT_NS:
            self.turns.popleft()
        if len(self.first_fills_ns) > 1_000:
            recent = {key: at_ns for key, at_ns in self.first_fills_ns.items() if at_ns >= now_ns - KEPT_NS}
            self.first_fills_ns = recent

    def see(
        self, now_ns: int, result_micros: int, positions: Sequence[SimPosition], orders: Sequence[SimOrder]
    ) -> None:
        """Note the present: the day's result with what is open, and what is held with which stops."""
        self._see_level(now_ns, result_micros)
        if not positions:
            # Who has closed everything after a fall has used it up.
            self._highs.clear()
        held = {position.contract_id for position in positions}
        for gone in self.bare.keys() - held:
            del self.bare[gone]
        for position in positions:
            self._see_stops(now_ns, position, orders)

    def _see_level(self, now_ns: int, result_micros: int) -> None:
        self._recent.append(Level(now_ns, result_micros))
        seen_ns = now_ns - self._heard_ns
        while len(self._recent) > 1 and self._recent[1].at_ns <= seen_ns:
            self._recent.popleft()
        if self._recent[0].at_ns > seen_ns:
            return
        lasted = min(level.micros for level in self._recent)
        self.peak_micros = lasted if self.peak_micros is None else max(self.peak_micros, lasted)
        while self._highs and self._highs[-1].micros <= lasted:
            self._highs.pop()
        self._highs.append(Level(seen_ns, lasted))
        while self._highs[0].at_ns < now_ns - KEPT_NS:
            self._highs.popleft()

    def _see_stops(self, now_ns: int, position: SimPosition, orders: Sequence[SimOrder]) -> None:
        sign, covered = (1 if position.net_contracts > 0 else -1), 0
        for order in orders:
            is_stop = order.type in STOPS and order.status in _AT_WORK and order.side.sign == -sign
            if is_stop and order.contract_id == position.contract_id:
                covered += order.remaining
        known = self.bare.get(position.contract_id)
        if covered >= abs(position.net_contracts):
            self.bare.pop(position.contract_id, None)
        elif known is None or known.sign != sign or known.covered < covered:
            self.bare[position.contract_id] = Bare(sign, covered, now_ns)
        else:
            self.bare[position.contract_id] = known._replace(covered=covered)

    def highest_micros(self, since_ns: int) -> int | None:
        """The highest result that has lasted since then, of one stretch without being flat; None without one."""
        return max((level.micros for level in self._highs if level.at_ns >= since_ns), default=None)

    def unsettle(self) -> None:
        """Begin anew with what the guard may not have seen, or may have to begin anew with itself."""
        self._recent.clear()
        self._highs.clear()
        self.peak_micros = None
        self.bare.clear()

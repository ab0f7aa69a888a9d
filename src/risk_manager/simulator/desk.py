"""What a scripted trader sees of the venue, and what it can do there."""

from typing import ClassVar, NamedTuple, Protocol

from risk_manager.domain.order import OrderType, Side
from risk_manager.simulator.emissions import Emission, OrderChanged
from risk_manager.simulator.exchange import Exchange
from risk_manager.simulator.records import MICRO_TICKS, PlaceOrder, Refused, SimOrder, Top


class Desk:
    """A handle on the exchange for one account.

    It places orders and nothing else: no cancelling, no close calls. A scripted trader leaves a position by an opposite
    order, so every cancel and every untagged order in the exchange's emissions is somebody else's: the guard's.

    Attributes:
        name: what the orders' tags start with; unique per account.
        last_refusal: the venue's answer to the last refused order, None if none was.
    """

    def __init__(self, exchange: Exchange, account_id: int, *, name: str = "desk") -> None:
        account = exchange.account(account_id)
        assert account is not None, account_id
        self._exchange = exchange
        self._start_balance_micros = account.balance_micros
        self._live: dict[int, SimOrder] = {}
        self._placed = 0
        self.account_id = account_id
        self.name = name
        self.last_refusal: Refused | None = None
        exchange.subscribe(self._listen)

    def is_quoted(self, contract_id: str) -> bool:
        """Whether the contract is listed and both of its sides have a price."""
        if self._exchange.contract(contract_id) is None:
            return False
        top = self._exchange.top(contract_id)
        return top.bid_ticks is not None and top.ask_ticks is not None

    def top(self, contract_id: str) -> Top:
        """The best prices. Raises KeyError if the contract is not listed."""
        return self._exchange.top(contract_id)

    def tick_value_micros(self, contract_id: str) -> int:
        """What one tick of one contract is worth. Raises KeyError if the contract is not listed."""
        return self._exchange.contracts[contract_id].contract.instrument.tick_value_micros

    def net(self, contract_id: str) -> int:
        """Signed contracts held, + long."""
        position = self._exchange.position(self.account_id, contract_id)
        return 0 if position is None else position.net_contracts

    def nets(self) -> dict[str, int]:
        """Signed contracts by contract id, flat ones left out."""
        return {each.contract_id: each.net_contracts for each in self._exchange.positions(self.account_id)}

    def edge_ticks(self, contract_id: str) -> int | None:
        """Open profit per contract at the exit side, in ticks rounded down; None when flat or not quoted."""
        position = self._exchange.position(self.account_id, contract_id)
        if position is None:
            return None
        net, top = position.net_contracts, self._exchange.top(contract_id)
        mark = top.bid_ticks if net > 0 else top.ask_ticks
        return (
            None if mark is None else (mark * net * MICRO_TICKS - position.cost_micro_ticks) // (abs(net) * MICRO_TICKS)
        )

    def result_micros(self) -> int:
        """Money made since the desk was opened: realized, after costs; negative is a loss."""
        account = self._exchange.account(self.account_id)
        assert account is not None, self.account_id
        return account.balance_micros - self._start_balance_micros

    def working(self, contract_id: str | None = None) -> tuple[SimOrder, ...]:
        """Orders that are not done, in one contract or in all, by id."""
        return tuple(each for each in self._live.values() if contract_id in (None, each.contract_id))

    def is_busy(self, contract_id: str) -> bool:
        """Whether a market order is still on its way: what is held is about to change."""
        return any(each.type is OrderType.MARKET for each in self.working(contract_id))

    def market(self, contract_id: str, side: Side, size: int) -> bool:
        """Trade at the market; whether the venue took the order."""
        return self._place(PlaceOrder(contract_id, OrderType.MARKET, side, size, tag=self._tag()))

    def limit(self, contract_id: str, side: Side, size: int, limit_ticks: int) -> bool:
        """Rest a limit order; whether the venue took it."""
        order = PlaceOrder(contract_id, OrderType.LIMIT, side, size, limit_ticks=limit_ticks, tag=self._tag())
        return self._place(order)

    def stop(self, contract_id: str, side: Side, size: int, stop_ticks: int) -> bool:
        """Rest a stop order; whether the venue took it."""
        order = PlaceOrder(contract_id, OrderType.STOP, side, size, stop_ticks=stop_ticks, tag=self._tag())
        return self._place(order)

    def bracket(self, contract_id: str, side: Side, size: int, *, risk_ticks: int, target_ticks: int) -> bool:
        """Trade at the market with a stop and a target, both distances > 0; whether the venue took the order."""
        order = PlaceOrder(
            contract_id,
            OrderType.MARKET,
            side,
            size,
            tag=self._tag(),
            stop_loss_ticks=-side.sign * risk_ticks,
            take_profit_ticks=side.sign * target_ticks,
        )
        return self._place(order)

    def leave(self, contract_id: str) -> bool:
        """Trade the whole position away at the market; whether there was one and the venue took the order.

        Nothing is sent while a market order is on its way, so leaving twice does not turn the position round.
        """
        net = self.net(contract_id)
        if net == 0 or self.is_busy(contract_id):
            return False
        return self.market(contract_id, Side.SELL if net > 0 else Side.BUY, abs(net))

    def _place(self, order: PlaceOrder) -> bool:
        answer = self._exchange.place(self.account_id, order, self._exchange.now_ns)
        if isinstance(answer, Refused):
            self.last_refusal = answer
            return False
        return True

    def _tag(self) -> str:
        # The venue accepts a tag once per account, refused orders included.
        self._placed += 1
        return f"{self.name}-{self._placed}"

    def _listen(self, emission: Emission) -> None:
        if not isinstance(emission, OrderChanged) or emission.account_id != self.account_id:
            return
        if emission.order.status.is_terminal:
            self._live.pop(emission.order.id, None)
        else:
            self._live[emission.order.id] = emission.order


class Trader(Protocol):
    """A scripted trader: pure, seeded, deciding only from what its desk shows and the steps it has lived through."""

    name: ClassVar[str]
    """Equal to the file's name."""

    @property
    def is_finished(self) -> bool:
        """Whether it has done all it set out to do; a finished trader does nothing more."""

    def step(self, desk: Desk, now_ns: int) -> None:
        """Act once, after a change of the market; `now_ns` is venue time."""


class Seat(NamedTuple):
    """A trader at its desk."""

    trader: Trader
    desk: Desk

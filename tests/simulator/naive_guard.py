"""Flattens what breaks a limit, at once and in step: enough to let traders and referee meet enforcement."""

from risk_manager.simulator.desk import Desk
from risk_manager.simulator.exchange import Exchange
from risk_manager.simulator.records import MICRO_TICKS
from risk_manager.simulator.referee import Limits


class NaiveGuard:
    """Acts through the calls the real guard uses; `is_awake` False makes it do nothing."""

    def __init__(self, exchange: Exchange, account_id: int, desk: Desk, limits: Limits) -> None:
        self._exchange = exchange
        self._account_id = account_id
        self._desk = desk
        self._limits = limits
        self.is_awake = True
        self.is_locked = False

    def act(self) -> None:
        """Look at the account and do what is due."""
        if not self.is_awake:
            return
        self._reduce()
        self._close_losers()
        self._clear_blocked()
        most, loss = self._limits.most_contracts, self._limits.daily_loss_micros
        if most is not None and sum(abs(net) for net in self._desk.nets().values()) > most:
            self.flatten()
        result = self._desk.result_micros() + sum(self._open_micros(each) for each in self._desk.nets())
        self.is_locked = self.is_locked or (loss is not None and result <= -loss)
        if self.is_locked:
            self.flatten()

    def flatten(self, contract_id: str | None = None) -> None:
        """Cancel and close, in one contract or in all."""
        for order in self._desk.working(contract_id):
            self._exchange.cancel(self._account_id, order.id, self._exchange.now_ns)
        for each in self._desk.nets():
            if contract_id in (None, each):
                self._exchange.close_contract(self._account_id, each, self._exchange.now_ns)

    def _reduce(self) -> None:
        for contract_id, net in self._desk.nets().items():
            most = self._limits.most_per_root.get(self._root(contract_id))
            if most is not None and abs(net) > most:
                self._exchange.partial_close(self._account_id, contract_id, abs(net) - most, self._exchange.now_ns)

    def _close_losers(self) -> None:
        limit = self._limits.floating_loss_micros
        for contract_id in self._desk.nets():
            if limit is not None and self._open_micros(contract_id) <= -limit:
                self.flatten(contract_id)

    def _clear_blocked(self) -> None:
        touched = {*self._desk.nets(), *(order.contract_id for order in self._desk.working())}
        for contract_id in sorted(touched):
            if self._root(contract_id) in self._limits.blocked_roots:
                self.flatten(contract_id)

    def _open_micros(self, contract_id: str) -> int:
        position, top = self._exchange.position(self._account_id, contract_id), self._exchange.top(contract_id)
        assert position is not None, contract_id
        mark = top.bid_ticks if position.net_contracts > 0 else top.ask_ticks
        assert mark is not None, contract_id
        value = mark * position.net_contracts * MICRO_TICKS - position.cost_micro_ticks
        return value * self._desk.tick_value_micros(contract_id) // MICRO_TICKS

    def _root(self, contract_id: str) -> str:
        return self._exchange.contracts[contract_id].contract.root

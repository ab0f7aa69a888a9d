"""The stage of the exchange tests: one market, one account, and what was told in short words."""

from risk_manager.domain.order import OrderType, Side
from risk_manager.simulator.catalog import listed
from risk_manager.simulator.emissions import AccountChanged, Emission, FillHappened, OrderChanged, PositionChanged
from risk_manager.simulator.exchange import Exchange
from risk_manager.simulator.records import PlaceOrder, SimOrder

MNQ = "CON.F.US.MNQ.U26"
ES = "CON.F.US.EP.U26"
USD = 1_000_000
BALANCE = 50_000 * USD


class Scene:
    """One exchange with one account and a record of everything it tells."""

    def __init__(self, *, bid: int = 1000, ask: int = 1001, last: int | None = 1000) -> None:
        self.exchange = Exchange([listed("MNQ", "U26"), listed("ES", "U26")])
        self.account = self.exchange.open_account(user="trader", name="PRAC-V2-1-1", balance_micros=BALANCE)
        if last is not None:
            self.exchange.print(MNQ, last, 1, None, 1)
        self.exchange.quote(MNQ, bid, ask, 1)
        self.told: list[Emission] = []
        self.exchange.subscribe(self.told.append)
        self.now_ns = 1

    def at_ns(self) -> int:
        self.now_ns += 1_000_000
        return self.now_ns

    def quote(self, bid: int, ask: int) -> None:
        self.exchange.quote(MNQ, bid, ask, self.at_ns())

    def print(self, ticks: int) -> None:
        self.exchange.print(MNQ, ticks, 1, None, self.at_ns())

    def place(self, order: PlaceOrder) -> int:
        placed = self.exchange.place(self.account, order, self.at_ns())
        assert isinstance(placed, int), placed
        return placed

    def buy(self, size: int) -> int:
        return self.place(PlaceOrder(MNQ, OrderType.MARKET, Side.BUY, size))

    def sell(self, size: int) -> int:
        return self.place(PlaceOrder(MNQ, OrderType.MARKET, Side.SELL, size))

    def order(self, order_id: int) -> SimOrder:
        order = self.exchange.order(self.account, order_id)
        assert order is not None
        return order

    def fill_price(self, order_id: int) -> int | None:
        """The price of an order's only fill in ticks, None while it has none."""
        price = self.order(order_id).filled_price_micro_ticks
        assert price is None or price % 1_000_000 == 0
        return None if price is None else price // 1_000_000

    @property
    def net(self) -> int:
        position = self.exchange.position(self.account, MNQ)
        return 0 if position is None else position.net_contracts

    @property
    def earned(self) -> int:
        """Change of the balance since the start."""
        account = self.exchange.account(self.account)
        assert account is not None
        return account.balance_micros - BALANCE

    def story(self) -> list[str]:
        """What was told about the account since the last call, in short words."""
        lines = [line for line in map(_line, self.told) if line is not None]
        self.told.clear()
        return lines


def _line(emission: Emission) -> str | None:
    match emission:
        case OrderChanged(order=order):
            return f"order {order.status.value}"
        case FillHappened(fill=fill, is_resend=is_resend):
            pnl = "" if fill.pnl_micros is None else f" {fill.pnl_micros // 10_000 / 100:+.2f}"
            return f"{'again' if is_resend else 'fill'} {fill.side.value} {fill.size}{pnl}"
        case PositionChanged(position=position, is_flat=is_flat):
            return "flat" if is_flat else f"position {position.net_contracts:+d}"
        case AccountChanged():
            return "account"
        case _:
            return None

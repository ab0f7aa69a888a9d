"""What the traders do: at the exchange itself, as over the venue's own platform, and now and then over the API."""

import asyncio
from collections.abc import Callable
from contextvars import copy_context
from itertools import count
from typing import Any

import msgspec

from risk_manager.domain.order import OrderType, Side
from risk_manager.simulator.records import PlaceOrder, SimContract
from risk_manager.venues.projectx.errors import Lost, NotSent
from risk_manager.venues.projectx.http import HttpClient
from tests.simulation.books import Books
from tests.simulation.network import MACHINE

API_PATIENCE_S = 5.0


class Trader:
    """The people behind all accounts. Every method takes the account's number, the contract, a size and a distance."""

    def __init__(
        self, books: Books, accounts: tuple[int, ...], contracts: tuple[SimContract, ...], now_ns: Callable[[], int]
    ) -> None:
        self.books = books
        self.now_ns = now_ns
        self.accounts = accounts
        self.contracts = contracts
        self.base_url = ""
        self.login: dict[str, str] = {}
        self._tags = count(1)
        self._tasks: set[asyncio.Task[None]] = set()

    def buys(self, account: int, contract: int, size: int, ticks: int) -> None:
        self._trades(account, contract, Side.BUY, size)

    def sells(self, account: int, contract: int, size: int, ticks: int) -> None:
        self._trades(account, contract, Side.SELL, size)

    def doubles(self, account: int, contract: int, size: int, ticks: int) -> None:
        net = self._net(account, contract)
        self._trades(account, contract, Side.BUY if net >= 0 else Side.SELL, min(12, abs(net)) or size)

    def flips(self, account: int, contract: int, size: int, ticks: int) -> None:
        net = self._net(account, contract)
        self._trades(account, contract, Side.SELL if net > 0 else Side.BUY, abs(net) + size)

    def goes_flat(self, account: int, contract: int, size: int, ticks: int) -> None:
        net = self._net(account, contract)
        if net:
            self._trades(account, contract, Side.SELL if net > 0 else Side.BUY, abs(net))

    def fights(self, account: int, contract: int, size: int, ticks: int) -> None:
        """Buy again and again, for some seconds, whatever happens to it."""
        self._begin(self._insists(account, contract, size, 0.05 * ticks))

    def rests(self, account: int, contract: int, size: int, ticks: int) -> None:
        side = Side.BUY if ticks % 2 else Side.SELL
        self._places(
            account, contract, OrderType.LIMIT, side, size, limit_ticks=self._bid(contract) - side.sign * ticks
        )

    def rests_stop(self, account: int, contract: int, size: int, ticks: int) -> None:
        """Rest a stop that opens a position when the market gets there."""
        side = Side.BUY if ticks % 2 else Side.SELL
        self._places(
            account, contract, OrderType.STOP, side, size, stop_ticks=self._bid(contract) + side.sign * (ticks + 2)
        )

    def protects(self, account: int, contract: int, size: int, ticks: int) -> None:
        """Rest a stop for what is held; one that was meant for something larger is left behind sometimes."""
        net = self._net(account, contract)
        if net:
            side = Side.SELL if net > 0 else Side.BUY
            stop_ticks = self._bid(contract) + side.sign * (ticks + 2)
            self._places(account, contract, OrderType.STOP, side, abs(net), stop_ticks=stop_ticks)

    def brackets(self, account: int, contract: int, size: int, ticks: int) -> None:
        side = Side.BUY if ticks % 2 else Side.SELL
        self._places(
            account,
            contract,
            OrderType.MARKET if ticks % 3 else OrderType.LIMIT,
            side,
            size,
            limit_ticks=None if ticks % 3 else self._bid(contract) - side.sign * 3,
            stop_loss_ticks=-side.sign * (ticks + 2),
            take_profit_ticks=side.sign * (ticks + 2),
        )

    def trails(self, account: int, contract: int, size: int, ticks: int) -> None:
        net = self._net(account, contract)
        if net:
            side = Side.SELL if net > 0 else Side.BUY
            self._places(account, contract, OrderType.TRAILING_STOP, side, abs(net), trail_ticks=ticks + 2)

    def spams(self, account: int, contract: int, size: int, ticks: int) -> None:
        for number in range(3 * size):
            self._places(
                account, contract, OrderType.LIMIT, Side.BUY, 1, limit_ticks=self._bid(contract) - ticks - number - 2
            )

    def cancels_all(self, account: int, contract: int, size: int, ticks: int) -> None:
        for order in self.books.live_orders(self.accounts[account]):
            self.books.cancel(self.accounts[account], order.id, self.now_ns())

    def moves_order(self, account: int, contract: int, size: int, ticks: int) -> None:
        for order in self.books.live_orders(self.accounts[account])[:1]:
            self.books.modify(self.accounts[account], order.id, self.now_ns(), size=size)

    def orders_by_api(self, account: int, contract: int, size: int, ticks: int) -> None:
        self._begin(self._order_by_api(account, contract, size))

    def stops(self) -> None:
        """Whatever still goes on ends."""
        for task in tuple(self._tasks):
            task.cancel()

    # -- inside ---------------------------------------------------------------------------------------------------

    def _net(self, account: int, contract: int) -> int:
        return self.books.net(self.accounts[account], self.contracts[contract].id)

    def _bid(self, contract: int) -> int:
        bid = self.books.top(self.contracts[contract].id).bid_ticks
        assert bid is not None
        return bid

    def _trades(self, account: int, contract: int, side: Side, size: int) -> None:
        self._places(account, contract, OrderType.MARKET, side, size)

    def _places(self, account: int, contract: int, kind: OrderType, side: Side, size: int, **prices: Any) -> None:
        order = PlaceOrder(self.contracts[contract].id, kind, side, size, tag=f"t-{next(self._tags)}", **prices)
        self.books.place(self.accounts[account], order, self.now_ns())

    async def _insists(self, account: int, contract: int, size: int, for_s: float) -> None:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + for_s
        while loop.time() < until_s:
            self._trades(account, contract, Side.BUY, size)
            await asyncio.sleep(0.15)

    async def _order_by_api(self, account: int, contract: int, size: int) -> None:
        client = HttpClient(total_s=API_PATIENCE_S, connect_s=API_PATIENCE_S)
        order = {"accountId": self.accounts[account], "contractId": self.contracts[contract].id}
        order |= {"type": 2, "side": 0, "size": size, "customTag": f"t-{next(self._tags)}"}
        try:
            token = (await self._post(client, "Auth/loginKey", self.login, "")).get("token")
            if token:
                await self._post(client, "Order/place", order, token)
        except (NotSent, Lost, msgspec.MsgspecError):
            return
        finally:
            client.close()

    async def _post(self, client: HttpClient, path: str, payload: dict[str, Any], token: str) -> dict[str, Any]:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        url = f"{self.base_url}/api/{path}"
        reply = await client.request("POST", url, headers=headers, body=msgspec.json.encode(payload))
        answer: dict[str, Any] = msgspec.json.decode(reply.body or b"{}", type=dict)
        return answer

    def _begin(self, work: Any) -> None:
        context = copy_context()
        context.run(MACHINE.set, "trader")
        task = asyncio.get_running_loop().create_task(work, context=context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

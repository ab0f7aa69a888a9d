"""A gateway that plays one scene again and again: open a position, let a quote break the limit, wait for the close.

`python -m benchmarks.scripted_venue BREACHES CONTRACTS SEED` prints its port, then for each breach the nanoseconds from
before the breaking frame is written until the close request of each contract has arrived. One process, one clock.
"""

import asyncio
import random
import sys
import time

import msgspec

from benchmarks import wire_protocol
from benchmarks.machine import take_core
from benchmarks.wire_protocol import HubLine, Request, invocation
from risk_manager.domain.order import Side
from risk_manager.simulator.catalog import PRODUCTS, front_contracts
from risk_manager.simulator.records import MICRO_TICKS, BracketMode, SimAccount, SimContract, SimFill, SimPosition, Top
from risk_manager.simulator.server import shapes

ACCOUNT_ID = 20_000_001
CALM_TICKS, BROKEN_TICKS = 20_000, 19_000
"""The price of every contract, and what the first one falls to: a loss beyond any limit used here."""

_CALM_QUOTES = (8, 20)
_QUOTE_PAUSE_S = 0.001
_AFTERMATH_QUOTES = 12
_PATIENCE_S = 5.0


class Scene(msgspec.Struct, frozen=True):
    """One breach: for each close request in order of arrival, ns since the breaking frame was about to be written."""

    closes_ns: list[int]


class ScriptedVenue:
    """Implements `wire_protocol.Gateway`."""

    def __init__(self, contracts: list[SimContract], seed: int) -> None:
        self._contracts = {each.id: each for each in contracts}
        self._first = contracts[0]
        self._random = random.Random(seed)
        self._hubs: dict[str, HubLine] = {}
        self._subscribed: set[str] = set()
        self._ready = asyncio.Event()
        self._positions: dict[str, SimPosition] = {}
        self._fills: list[SimFill] = []
        self._count = 0
        self._broken_ns = 0
        self._closes_ns: list[int] = []
        self._closed = asyncio.Event()

    # -- being asked --------------------------------------------------------------------------------------------

    def opened(self, hub: HubLine) -> None:
        self._hubs[hub.name] = hub

    def called(self, hub: HubLine, target: str, arguments: list[object]) -> None:
        self._subscribed.add(f"{target} {arguments}")
        if target == "SubscribeContractQuotes":
            hub.write(self._quote(self._contracts[str(arguments[0])], CALM_TICKS, is_full=True))
        if len(self._subscribed) == 4 + len(self._contracts):
            self._ready.set()

    def answer(self, request: Request) -> object:
        path = request.path
        if path == "/api/Position/closeContract":
            return self._close(request)
        if path == "/api/Status/ping":
            return b"pong"
        return {"success": True, "errorCode": 0, "errorMessage": None} | self._read(path)

    def _read(self, path: str) -> dict[str, object]:
        contracts = self._contracts
        match path.removeprefix("/api/"):
            case "Auth/loginKey":
                return {"token": "the-token"}
            case "Contract/available":
                return {"contracts": [shapes.contract_row(each) for each in contracts.values()]}
            case "Account/search":
                account = SimAccount(
                    ACCOUNT_ID, "bench", "BENCH-50K", 50_000_000_000, True, True, True, False, BracketMode.AUTO_OCO
                )
                return {"accounts": [shapes.account_row(account)]}
            case "Position/searchOpen":
                held = self._positions.values()
                return {"positions": [shapes.position_row(each, contracts[each.contract_id]) for each in held]}
            case "Order/v2/query":
                return {"orders": [], "totalCount": 0}
            case "Trade/search":
                return {"trades": [shapes.fill_row(each, contracts[each.contract_id]) for each in self._fills]}
        raise AssertionError(path)

    def _close(self, request: Request) -> object:
        contract_id = msgspec.json.decode(request.body)["contractId"]
        position = self._positions.pop(contract_id, None)
        if position is None:
            return {"success": False, "errorCode": 2, "errorMessage": None}
        self._closes_ns.append(request.at_ns - self._broken_ns)
        loop = asyncio.get_running_loop()
        # The answer goes first, as it does at the venue; the events follow.
        loop.call_soon(self._tell_closed, position)
        return {"success": True, "errorCode": 0, "errorMessage": None}

    # -- telling ------------------------------------------------------------------------------------------------

    def _tell_closed(self, position: SimPosition) -> None:
        self._fill(position.contract_id, Side.SELL, pnl_micros=0)
        flat = msgspec.structs.replace(position, net_contracts=0, cost_micro_ticks=0)
        row = shapes.position_row(flat, self._contracts[position.contract_id])
        self._tell("GatewayUserPosition", shapes.enveloped(shapes.DELETE, row))
        if not self._positions:
            self._closed.set()

    def _open(self, contract_id: str) -> None:
        self._fill(contract_id, Side.BUY, pnl_micros=None)
        entry = CALM_TICKS * MICRO_TICKS
        position = SimPosition(self._next_id(), ACCOUNT_ID, contract_id, time.time_ns(), 1, entry, entry, 0)
        self._positions[contract_id] = position
        row = shapes.position_row(position, self._contracts[contract_id])
        self._tell("GatewayUserPosition", shapes.enveloped(shapes.UPDATE, row))

    def _fill(self, contract_id: str, side: Side, *, pnl_micros: int | None) -> None:
        order_id = self._next_id()
        fill = SimFill(
            self._next_id(), ACCOUNT_ID, contract_id, order_id, time.time_ns(), CALM_TICKS, pnl_micros, 0, 0, side, 1
        )
        self._fills.append(fill)
        row = shapes.fill_row(fill, self._contracts[contract_id])
        self._tell("GatewayUserTrade", shapes.enveloped(shapes.CREATE, row))

    def _tell(self, target: str, event: shapes.Row) -> None:
        self._hubs["user"].write(invocation(target, event))

    def _quote(self, contract: SimContract, bid_ticks: int, *, is_full: bool = False) -> bytes:
        ticks = bid_ticks, bid_ticks + 1, bid_ticks
        top = Top(contract.id, *ticks, CALM_TICKS, CALM_TICKS, BROKEN_TICKS, 1, 1, 1, time.time_ns())
        changed = None if is_full else ("bid_ticks", "ask_ticks")
        return invocation("GatewayQuote", contract.id, shapes.quote_payload(top, contract, changed))

    def _next_id(self) -> int:
        self._count += 1
        return 1_000_000 + self._count

    # -- the scene ----------------------------------------------------------------------------------------------

    async def play(self, breaches: int) -> list[Scene]:
        """Play the scene so many times.

        Raises:
            TimeoutError: the client did not come, or did not close.
        """
        async with asyncio.timeout(2 * _PATIENCE_S):
            await self._ready.wait()
        await self._calm_quotes(50)
        return [await self._scene() for _ in range(breaches)]

    async def _scene(self) -> Scene:
        while len(self._positions) < len(self._contracts):
            # Held up by the machine, a client may read of the position before the calm quotes, and close it at once.
            await self._calm_quotes(_AFTERMATH_QUOTES)
            for contract_id in [each for each in self._contracts if each not in self._positions]:
                self._open(contract_id)
            await self._calm_quotes(self._random.randint(*_CALM_QUOTES))
        self._closed.clear()
        self._closes_ns = []
        frame = self._quote(self._first, BROKEN_TICKS)
        self._broken_ns = time.time_ns()
        self._hubs["market"].write(frame)
        async with asyncio.timeout(_PATIENCE_S):
            await self._closed.wait()
        # A copy: what is closed before the next scene has begun is not of this one.
        return Scene([*self._closes_ns])

    async def _calm_quotes(self, count: int) -> None:
        for _ in range(count):
            self._hubs["market"].write(self._quote(self._first, CALM_TICKS + self._random.randint(-2, 2)))
            await asyncio.sleep(_QUOTE_PAUSE_S)


async def serve(breaches: int, contracts: int, seed: int) -> None:
    """Print the port, play, print the scenes, and stay until standard input ends: the client leaves first."""
    names = [product.instrument.root for product in PRODUCTS][:contracts]
    venue = ScriptedVenue(front_contracts(time.time_ns(), names), seed)
    serving = asyncio.create_task(wire_protocol.serve(venue, lambda port: print(port, flush=True)))
    scenes = await venue.play(breaches)
    print(msgspec.json.encode(scenes).decode(), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    serving.cancel()


if __name__ == "__main__":
    take_core(-1)
    asyncio.run(serve(*map(int, sys.argv[1:4])))

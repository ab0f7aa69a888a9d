"""Serves one simulated gateway in a process of its own until its standard input ends; prints the port first.

Two accounts of one user, one contract, a quote every 20 ms on wall time.
"""

import asyncio
import itertools
import sys
import time

from risk_manager.domain.contract import Contract
from risk_manager.domain.instrument import Instrument
from risk_manager.domain.order import Side
from risk_manager.simulator.exchange import Exchange
from risk_manager.simulator.records import SimContract
from risk_manager.simulator.server import SimServer

USER = "pat"
API_KEY = "0123456789abcdef0123456789abcdef"
MNQ = SimContract(
    contract=Contract(
        id="CON.F.US.MNQ.U26",
        name="MNQU6",
        symbol_id="F.US.MNQ",
        instrument=Instrument(root="MNQ", tick_size_nanos=250_000_000, tick_value_micros=500_000),
    ),
    fees_micros=370_000,
    commission_micros=250_000,
    description="Micro E-mini Nasdaq-100: September 2026",
    display_name="MNQU26",
)
_FIRST_BID_TICKS = 80_000
_PACE_S = 0.02


async def _quote(exchange: Exchange) -> None:
    """A triangle wave of 40 ticks, with a print every fifth step."""
    for step in itertools.count():
        bid = _FIRST_BID_TICKS + abs(step % 80 - 40)
        at_ns = time.time_ns()
        exchange.quote(MNQ.id, bid, bid + 1, at_ns)
        if step % 5 == 0:
            exchange.print(MNQ.id, bid + 1, 1 + step % 3, Side.BUY, at_ns)
        await asyncio.sleep(_PACE_S)


async def _serve() -> None:
    exchange = Exchange([MNQ])
    for serial in (1, 2):
        exchange.open_account(user=USER, name=f"PRAC-V2-100001-3000000{serial}", balance_micros=50_000_000_000)
    server = SimServer(exchange, users={USER: API_KEY}, wall_clock=time.time_ns, venue_clock=time.time_ns)
    market = asyncio.create_task(_quote(exchange))
    port = await server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    market.cancel()
    await server.stop()


if __name__ == "__main__":
    asyncio.run(_serve())

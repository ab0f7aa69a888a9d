"""Trades against a ProjectX gateway with project-x-py and prints what it saw as one JSON object.

Runs in a virtual environment of its own that holds project-x-py and nothing of this project; addresses and
credentials come from the environment variables the SDK reads.
"""

# mypy: disable-error-code="import-not-found"

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from project_x_py import ProjectX
from project_x_py.config import load_default_config
from project_x_py.event_bus import EventBus
from project_x_py.order_manager import OrderManager
from project_x_py.position_manager import PositionManager
from project_x_py.realtime import ProjectXRealtimeClient

EVENTS = ("quote_update", "market_trade", "account_update", "order_update", "position_update", "trade_execution")
BUY, MARKET, LIMIT = 0, 2, 1
PATIENCE_S = 10.0


async def wait_for(is_met: Callable[[], bool], what: str) -> None:
    """Wait until a condition holds; complain about `what` when it does not within ten seconds."""
    deadline_s = asyncio.get_running_loop().time() + PATIENCE_S
    while not is_met():
        if asyncio.get_running_loop().time() > deadline_s:
            raise TimeoutError(f"no {what} in time")
        await asyncio.sleep(0.01)


async def trade(client: ProjectX) -> dict[str, Any]:
    """Log in, watch both hubs, open a position, rest and move a limit order, and close everything again."""
    await client.authenticate()
    accounts = await client.list_accounts()
    contracts = await client.search_instruments("MNQ")
    contract = await client.get_instrument("MNQ")
    bars = await client.get_bars("MNQ", days=1, interval=1, unit=1, limit=5)
    account = client.get_account_info()
    realtime = ProjectXRealtimeClient(client.get_session_token(), str(account.id), config=client.config)
    seen: dict[str, list[Any]] = {event: [] for event in EVENTS}
    for event in EVENTS:
        await realtime.add_callback(event, seen[event].append)
    is_connected = await realtime.connect()
    await realtime.subscribe_user_updates()
    await realtime.subscribe_market_data([contract.id])
    await wait_for(lambda: len(seen["quote_update"]) >= 5 and bool(seen["market_trade"]), "quotes and prints")

    bus = EventBus()
    orders, positions = OrderManager(client, bus), PositionManager(client, bus)
    await orders.initialize(realtime)
    await positions.initialize(realtime, orders)
    placed = await orders.place_order(contract.id, MARKET, BUY, 3)
    await wait_for(lambda: bool(seen["position_update"]), "open position")
    partly_closed = await positions.partially_close_position(contract.id, 1)
    await wait_for(lambda: len(seen["position_update"]) >= 2, "smaller position")
    held = await client.search_open_positions()
    resting = await orders.place_order(contract.id, LIMIT, BUY, 1, limit_price=19_000.13)
    is_modified = await orders.modify_order(resting.orderId, limit_price=18_000.0)
    found = await orders.search_open_orders()
    is_cancelled = await orders.cancel_order(resting.orderId)
    flat = len(seen["position_update"])
    closed = await positions.close_position_direct(contract.id)
    await wait_for(lambda: len(seen["position_update"]) > flat, "flat position")
    after = await client.search_open_positions()
    fills = await client.search_trades()
    bracket = await guarded_entry(client, orders, positions, contract.id)
    await realtime.disconnect()
    return {
        "account": account.name,
        "bracket": bracket,
        "partly_closed": partly_closed.get("success"),
        "accounts": [each.name for each in accounts],
        "contracts": [each.id for each in contracts],
        "bars": len(bars),
        "is_connected": is_connected,
        "quotes": len(seen["quote_update"]),
        "placed": placed.success,
        "held": [[each.type, each.size] for each in held],
        "resting": [[each.id == resting.orderId, each.limitPrice] for each in found],
        "is_modified": is_modified,
        "is_cancelled": is_cancelled,
        "closed": closed.get("success"),
        "after": [each.size for each in after],
        "fills": len(fills),
        "orders_seen": len(seen["order_update"]),
        "fills_seen": len(seen["trade_execution"]),
    }


async def guarded_entry(
    client: ProjectX, orders: OrderManager, positions: PositionManager, contract_id: str
) -> dict[str, Any]:
    """Enter with a stop and a target around it, look at them, and clear everything away."""
    bars = await client.get_bars("MNQ", days=1, interval=1, unit=1, limit=1)
    price = round(float(bars["close"][-1]))
    bracket = await orders.place_bracket_order(
        contract_id, BUY, 1, price, price - 100, price + 100, entry_type="market"
    )
    working = await orders.search_open_orders(contract_id=contract_id)
    held = await client.search_open_positions()
    cancelled = await orders.cancel_all_orders(contract_id=contract_id)
    await positions.close_position_direct(contract_id)
    left = [*await orders.search_open_orders(contract_id=contract_id), *await client.search_open_positions()]
    return {
        "success": bracket.success,
        "ids": len({bracket.entry_order_id, bracket.stop_order_id, bracket.target_order_id}),
        "working": sorted([each.type, each.side, each.size] for each in working),
        "held": [each.size for each in held],
        "cancelled": cancelled.get("cancelled"),
        "left": len(left),
    }


async def main() -> None:
    """Print the result of one session.

    The SDK reads addresses from the environment only into a configuration that is handed to it; left out, it would
    talk to the real venue, so nothing is sent before the address is seen to be on this machine.
    """
    config = load_default_config()
    for url in (config.api_url, config.user_hub_url, config.market_hub_url):
        assert urlsplit(url).hostname == "127.0.0.1", url
    async with ProjectX.from_env(config=config) as client:
        sys.stdout.write(json.dumps(await trade(client)) + "\n")


if __name__ == "__main__":
    asyncio.run(main())

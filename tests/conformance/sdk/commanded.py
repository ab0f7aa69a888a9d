"""Trades with project-x-py as told on its standard input, a command a line, and prints what happens as JSON lines.

Runs in a virtual environment of its own that holds project-x-py and nothing of this project.
"""

# mypy: disable-error-code="import-not-found"

import asyncio
import json
import sys
from typing import Any
from urllib.parse import urlsplit

from project_x_py import ProjectX
from project_x_py.config import load_default_config
from project_x_py.event_bus import EventBus
from project_x_py.exceptions import OrderSubmissionUncertainError
from project_x_py.order_manager import OrderManager
from project_x_py.position_manager import PositionManager
from project_x_py.realtime import ProjectXRealtimeClient

MARKET_EVENTS = ("quote_update", "market_trade")
USER_EVENTS = ("account_update", "order_update", "position_update", "trade_execution")
BUY, MARKET = 0, 2


def say(step: str, **more: Any) -> None:
    sys.stdout.write(json.dumps({"step": step, **more}) + "\n")
    sys.stdout.flush()


class Desk:
    """What the commands work with."""

    def __init__(self, client: ProjectX, realtime: Any, contract_id: str) -> None:
        bus = EventBus()
        self.client = client
        self.realtime = realtime
        self.contract_id = contract_id
        self.orders, self.positions = OrderManager(client, bus), PositionManager(client, bus)

    async def connect(self) -> None:
        for hub, events in (("market", MARKET_EVENTS), ("user", USER_EVENTS)):
            for event in events:
                await self.realtime.add_callback(event, self.hearing(hub, event))
        is_connected = await self.realtime.connect()
        await self.realtime.subscribe_user_updates()
        await self.realtime.subscribe_market_data([self.contract_id])
        await self.orders.initialize(self.realtime)
        await self.positions.initialize(self.realtime, self.orders)
        say("connected", is_connected=is_connected)

    def hearing(self, hub: str, event: str) -> Any:
        return lambda data: say("event", hub=hub, name=event, arguments=[data])

    async def obey(self, command: str) -> None:
        match command:
            case "buy":
                try:
                    placed = await self.orders.place_order(self.contract_id, MARKET, BUY, 1)
                    say("bought", success=placed.success)
                except OrderSubmissionUncertainError:
                    say("uncertain")
            case "look":
                held = await self.client.search_open_positions()
                say("held", sizes=[each.size for each in held])
            case "close":
                closed = await self.positions.close_position_direct(self.contract_id)
                say("closed", success=closed.get("success"))
            case "state":
                say("state", is_connected=self.realtime.is_connected())


async def main() -> None:
    # Without a configuration the SDK would talk to the real venue.
    config = load_default_config()
    for url in (config.api_url, config.user_hub_url, config.market_hub_url):
        assert urlsplit(url).hostname == "127.0.0.1", url
    async with ProjectX.from_env(config=config) as client:
        await client.authenticate()
        contract = await client.get_instrument("MNQ")
        account = client.get_account_info()
        realtime = ProjectXRealtimeClient(client.get_session_token(), str(account.id), config=client.config)
        desk = Desk(client, realtime, contract.id)
        await desk.connect()
        loop = asyncio.get_running_loop()
        while (command := (await loop.run_in_executor(None, sys.stdin.readline)).strip()) not in ("", "stop"):
            await desk.obey(command)
        await realtime.disconnect()


if __name__ == "__main__":
    asyncio.run(main())

"""A bot on project-x-py's TradingSuite that cannot do more than its rules allow: the guard runs in the same program.

The bot buys one MNQ a second and never stops by itself. The guard allows two contracts; with the third it closes
everything and locks the account, and the bot is told. The guard takes nothing from the suite but the account and the
addresses: what it knows comes from the venue itself, so that a mistake of the bot's is none of the guard's.

    uv pip install project-x-py
    export PROJECT_X_USERNAME=... PROJECT_X_API_KEY=... PROJECT_X_ACCOUNT_NAME=...   # a practice account
    python examples/guard_a_bot.py
"""

# mypy: disable-error-code="import-not-found"

import asyncio
import os
import sys
from contextlib import suppress

from project_x_py import TradingSuite

from risk_manager import RiskManager
from risk_manager.domain.intent import Intent
from risk_manager.domain.lockout import Lockout

BUY = 0


async def guarded(suite: TradingSuite) -> RiskManager:
    """The guard of the account the suite trades on, at work."""
    config = suite.client.config
    guard = await RiskManager.create(
        account=suite.client.get_account_info().id,
        rules={"max_contracts": {"limit": 2, "action": "flatten", "lockout": "reset"}, "max_daily_loss": -500},
        api_url=config.api_url.removesuffix("/api"),
        user_hub_url=config.user_hub_url,
        market_hub_url=config.market_hub_url,
        data_dir=os.environ.get("GUARD_DATA_DIR", "data/bot"),
    )
    await guard.start()
    return guard


async def main() -> None:
    suite = await TradingSuite.create("MNQ", timeframes=["1min"])
    guard = await guarded(suite)
    locked, flat = asyncio.Event(), asyncio.Event()

    @guard.on("locked")
    def stop_trading(lockout: Lockout) -> None:
        print(f"locked by {lockout.rule}: {lockout.reason}", flush=True)
        locked.set()

    @guard.on("verified")
    def tell_flat(intent: Intent) -> None:
        print(f"flat, {intent.worst} contracts at worst", flush=True)
        flat.set()

    try:
        context = suite["MNQ"]
        while not locked.is_set():
            answer = await context.orders.place_market_order(context.instrument_info.id, BUY, 1)
            print(f"bought 1, order {answer.orderId}", flush=True)
            with suppress(TimeoutError):
                await asyncio.wait_for(locked.wait(), timeout=1)
        await flat.wait()
    finally:
        await guard.stop()
        await suite.disconnect()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))

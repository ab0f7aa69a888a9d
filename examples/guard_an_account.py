"""Guard an account from a program of your own.

Start a simulated gateway with `uv run risk-manager sim serve --port 8700` in another terminal, then
`uv run python examples/guard_an_account.py`. For a real account leave the URLs and credentials out and set
PROJECT_X_USERNAME and PROJECT_X_API_KEY.
"""

import asyncio
from contextlib import suppress

from risk_manager import RiskManager
from risk_manager.domain.finding import Breach
from risk_manager.domain.lockout import Lockout
from risk_manager.rules import DailyUnrealizedLossRule

GATEWAY = "http://127.0.0.1:8700"


async def main() -> None:
    rm = await RiskManager.create(
        account="PRAC-V2-100001-30000001",
        instruments=["ES", "MNQ"],
        rules={
            "max_daily_loss": -500,
            "max_contracts": 5,
            "max_contracts_per_instrument": {"limits": {"ES": 2}},
            "blocked_symbols": ["CL"],
        },
        username="demo",
        api_key="demo-key-of-the-simulator",
        api_url=GATEWAY,
        user_hub_url=f"{GATEWAY}/hubs/user",
        market_hub_url=f"{GATEWAY}/hubs/market",
        data_dir="data/example",
    )
    rm.add_rule(DailyUnrealizedLossRule(loss_limit=-300))

    @rm.on("breach")
    def tell(breach: Breach) -> None:
        print(f"{breach.rule}: {breach.measured} against {breach.limit} {breach.unit}")

    @rm.on("locked")
    async def tell_lockout(lockout: Lockout) -> None:
        print(f"locked: {lockout.scope} by {lockout.rule}")

    await rm.start()
    print("guarding; Ctrl-C ends it")
    try:
        await rm.wait_until_stopped()
    finally:
        await rm.stop()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main())

"""The public Python SDK for ProjectX on a bad line: what the venue did is what the SDK sees in the end."""

import asyncio
import time
from pathlib import Path

import pytest

from risk_manager.simulator.faults import Failure
from risk_manager.simulator.server import SimSettings
from risk_manager.simulator.server.distortion import BadLine
from risk_manager.simulator.server.limits import Window
from tests.conformance.conftest import CACHE, HERE
from tests.conformance.hubs.listening import Listener, started
from tests.simulator.server.gateway import USERS, Gateway, running

BAD_LINE = BadLine(lost=0.1, doubled=0.4, late=0.3, late_s=0.05)


async def hears_again(seen: Listener, gateway: Gateway) -> None:
    """Stir the market and the account until the SDK hears of both: its way back takes its own time."""
    token = await gateway.login()
    past = {hub: seen.count("event", hub) for hub in ("user", "market")}
    deadline_s = time.monotonic() + 90
    bid_ticks = 80_000
    while not all(seen.count("event", hub) > count for hub, count in past.items()):
        assert time.monotonic() < deadline_s, seen.errors[-20:]
        bid_ticks += 1
        gateway.quote(bid_ticks)
        resting = await gateway.place(token, type=1, limitPrice=10_000)
        await gateway.post("Order/cancel", {"accountId": gateway.pat, "orderId": resting["orderId"]}, token)
        await asyncio.sleep(0.2)


async def told(seen: Listener, command: str, step: str) -> dict[str, object]:
    """Give a command and wait for what it comes to."""
    times = seen.count(step)
    await seen.tell(command)
    await seen.until(lambda: seen.count(step) > times, f"answer to {command}")
    return {key: value for key, value in seen.of(step)[-1].items() if key != "step"}


@pytest.mark.timeout(400)  # The first run on a machine installs the package.
async def test_comes_through_a_schedule_of_faults(sdk_python: Path) -> None:
    # We ask for much while we wait, in the SDK's name.
    settings = SimSettings(account_echoes_s=(0.005, 0.02), calls=Window(100_000, 60.0))
    async with running(settings) as gateway:
        # The SDK holds a token's expiry against its own clock.
        gateway.wall_ns = time.time_ns()
        gateway.quote()
        environment = {
            "PROJECTX_API_URL": f"{gateway.url}/api",
            "PROJECTX_USER_HUB_URL": f"{gateway.url}/hubs/user",
            "PROJECTX_MARKET_HUB_URL": f"{gateway.url}/hubs/market",
            "PROJECTX_REALTIME_URL": gateway.url,
            "PROJECT_X_USERNAME": "pat",
            "PROJECT_X_API_KEY": USERS["pat"],
            "PROJECT_X_ACCOUNT_NAME": "PRAC-V2-1-1",
        }
        command = [str(sdk_python), str(HERE / "sdk" / "commanded.py")]
        async with started(command, CACHE, environment) as seen:
            await seen.until(lambda: seen.count("connected"), "connection")
            assert seen.of("connected")[0]["is_connected"]
            await hears_again(seen, gateway)

            gateway.server.distort(BAD_LINE, seed=5)
            assert await told(seen, "buy", "bought") == {"success": True}
            for hub in ("user", "market", None):
                gateway.server.drop_connections(hub)
                await hears_again(seen, gateway)
            # A type 7 ends its hub clients; it makes new ones.
            gateway.server.close_hubs()
            await hears_again(seen, gateway)
            gateway.server.distort(None)

            # A reading that fails is repeated, an order whose reply is lost is not.
            gateway.server.fail_next("Position/searchOpen", Failure(503))
            assert await told(seen, "look", "held") == {"sizes": [1]}
            gateway.server.fail_next("Order/place", Failure(is_executed=True))
            assert await told(seen, "buy", "uncertain") == {}
            assert await told(seen, "look", "held") == {"sizes": [2]}

            gateway.server.set_rest_delay(0.2)
            assert await told(seen, "close", "closed") == {"success": True}
            assert await told(seen, "look", "held") == {"sizes": []}
            assert await told(seen, "state", "state") == {"is_connected": True}
            assert not gateway.exchange.positions(gateway.pat)
            assert {hub: gateway.server.connection_count(hub) for hub in ("user", "market")} == {"user": 1, "market": 1}
            await seen.stop()

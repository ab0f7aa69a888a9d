"""A calendar that runs out is said on every screen, before it has."""

import msgspec

from risk_manager.config.calendar import build_calendar
from risk_manager.domain.calendar import WARNING_NS
from risk_manager.runtime.status import account_status
from tests.runtime.guard_scene import GuardScene


async def test_the_status_says_that_the_calendar_ends() -> None:
    scene = GuardScene()
    await scene.start()
    guard = scene.guard
    market = build_calendar().market("ES")
    assert market is not None
    guard.engine.account.calendar = msgspec.structs.replace(build_calendar(), markets={"cme_equity": market})
    try:
        assert account_status(guard, scene.clock.now_ns()).missing == ()
        guard.engine.account.now_ns = market.known_until_ns - WARNING_NS
        (line,) = account_status(guard, scene.clock.now_ns()).missing
        assert line == "the calendar cme_equity ends on 2027-12-31: install a newer version before that"
    finally:
        await scene.guard.stop()

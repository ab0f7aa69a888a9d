"""What the daemon tells about an account."""

import msgspec
import pytest

from risk_manager.cli.screen import _lockout
from risk_manager.domain.lockout import Lockout, LockoutKind, OnLock
from risk_manager.domain.scope import ACCOUNT
from risk_manager.runtime.status import account_status
from risk_manager.testing.events import SECOND_NS
from tests.runtime.guard_scene import GuardScene

NOON_NS = 1_736_942_400 * SECOND_NS
NOON = "2025-01-15T12:00:00.000Z"
END_NS = NOON_NS + 90 * SECOND_NS


@pytest.mark.parametrize(
    ("set_ns", "until_ns", "venue_ns", "set_at", "until", "remaining_s", "shown"),
    [
        # Before the venue has told the time, an end is counted from then, or is that of the day it will be: not 1970.
        (0, 0, 0, None, None, None, "until an end the venue's time has yet to tell"),
        (0, 1_800 * SECOND_NS, 0, None, None, None, "until an end the venue's time has yet to tell"),
        (0, None, 0, None, None, None, "until its condition ends"),
        (NOON_NS, None, NOON_NS, NOON, None, None, "until its condition ends"),
        (NOON_NS, END_NS, NOON_NS, NOON, "2025-01-15T12:01:30.000Z", 90.0, "for another 0:01:30"),
        (NOON_NS, END_NS, END_NS + 1, NOON, "2025-01-15T12:01:30.000Z", 0.0, "0:00:00"),
    ],
)
async def test_tells_of_a_lockout_what_is_known_of_its_time(
    set_ns: int,
    until_ns: int | None,
    venue_ns: int,
    set_at: str | None,
    until: str | None,
    remaining_s: float | None,
    shown: str,
) -> None:
    scene = GuardScene()
    await scene.recover()
    account = scene.guard.engine.account
    account.now_ns = venue_ns
    account.lockouts = (
        Lockout("1001", ACCOUNT, "amnesia", LockoutKind.HARD, OnLock.FLATTEN, "AMNESIA", set_ns, until_ns, "", "1"),
    )
    (told,) = account_status(scene.guard, scene.clock.now_ns()).lockouts
    assert (told.set_at, told.until, told.remaining_s) == (set_at, until, remaining_s)
    assert shown in _lockout(msgspec.to_builtins(told)).plain

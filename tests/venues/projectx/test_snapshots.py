"""An account that is gone from the venue's own list, told apart from a list that could not be read."""

from typing import Any

import pytest

from risk_manager.venues.projectx.errors import Lost
from risk_manager.venues.projectx.venue import ProjectXVenue
from tests.venues.projectx.fake_gateway import ACCOUNT, Answer, FakeClock, FakeGateway, ok, settings

ACCOUNTS = "/api/Account/search"


def row(**changes: Any) -> dict[str, Any]:
    return {"id": int(ACCOUNT), "name": "PRAC-V2-1", "balance": 100.5, "canTrade": True} | changes


@pytest.mark.parametrize(
    ("answer", "is_missing", "is_known"),
    [
        (ok(accounts=[row()]), False, True),
        (ok(accounts=[row(id=7), row()]), False, True),
        (ok(accounts=[row(id=7)]), True, False),
        (ok(accounts=[]), True, False),
        (ok(accounts=None), False, False),
        (ok(accounts=[row(canTrade=None)]), False, False),
        (Lost("no answer"), False, False),
        (500, False, False),
    ],
)
async def test_only_a_list_that_was_read_can_miss_the_account(answer: Answer, is_missing: bool, is_known: bool) -> None:
    clock = FakeClock()
    gateway = FakeGateway(clock)
    noted: list[str] = []
    venue = ProjectXVenue(settings(), gateway, clock, lambda code, detail: noted.append(code))
    gateway.answers[ACCOUNTS] = answer
    taken = await venue.snapshot(ACCOUNT, full=True)
    assert (taken.is_account_missing, taken.account is not None) == (is_missing, is_known)
    assert ("account_not_listed" in noted) is is_missing


async def test_a_light_snapshot_does_not_look_at_the_list() -> None:
    clock = FakeClock()
    gateway = FakeGateway(clock)
    venue = ProjectXVenue(settings(), gateway, clock, lambda code, detail: None)
    gateway.answers[ACCOUNTS] = ok(accounts=[])
    assert not (await venue.snapshot(ACCOUNT, full=False)).is_account_missing

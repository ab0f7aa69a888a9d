"""An account that is gone from the venue's own list, told apart from a list that could not be read."""

from typing import Any

import pytest

from risk_manager.domain.actions import ClosePosition
from risk_manager.venues.projectx.errors import Lost, NotSent
from risk_manager.venues.projectx.limits import CallBudget, Lane
from risk_manager.venues.projectx.venue import ProjectXVenue
from tests.venues.projectx.fake_gateway import ACCOUNT, RUN_MARK, Answer, FakeClock, FakeGateway, ok, settings

ACCOUNTS = "/api/Account/search"
FILLS = "/api/Trade/search"


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
    venue = ProjectXVenue(settings(), gateway, clock, lambda code, detail: noted.append(code), run_mark=RUN_MARK)
    gateway.answers[ACCOUNTS] = answer
    taken = await venue.snapshot(ACCOUNT, full=True)
    assert (taken.is_account_missing, taken.account is not None) == (is_missing, is_known)
    assert ("account_not_listed" in noted) is is_missing


async def test_a_light_snapshot_does_not_look_at_the_list() -> None:
    clock = FakeClock()
    gateway = FakeGateway(clock)
    venue = ProjectXVenue(settings(), gateway, clock, lambda code, detail: None, run_mark=RUN_MARK)
    gateway.answers[ACCOUNTS] = ok(accounts=[])
    assert not (await venue.snapshot(ACCOUNT, full=False)).is_account_missing


@pytest.mark.parametrize("part", [ACCOUNTS, FILLS])
@pytest.mark.parametrize(("error", "is_owed"), [(NotSent("no budget"), True), (Lost("no answer"), False), (500, False)])
async def test_what_was_shed_of_a_full_snapshot_is_read_with_the_next_one(
    part: str, error: Answer, is_owed: bool
) -> None:
    clock = FakeClock()
    gateway = FakeGateway(clock)
    venue = ProjectXVenue(settings(), gateway, clock, lambda code, detail: None, run_mark=RUN_MARK)
    usual = gateway.answers[part]
    gateway.answers[part] = error
    taken = await venue.snapshot(ACCOUNT, full=True)
    assert (taken.account is None, taken.fills is None) == (part == ACCOUNTS, part == FILLS)
    gateway.answers[part] = usual
    for is_full in (is_owed, False):
        taken = await venue.snapshot(ACCOUNT, full=False)
        assert (taken.account is not None, taken.fills is not None) == (is_full, is_full)


async def test_a_full_snapshot_that_was_not_let_through_is_made_up_for() -> None:
    clock = FakeClock()
    gateway = FakeGateway(clock)
    venue = ProjectXVenue(settings(), gateway, clock, lambda code, detail: None, run_mark=RUN_MARK)
    usual = gateway.answers["/api/Auth/loginKey"]
    gateway.answers["/api/Auth/loginKey"] = NotSent("no connection")
    assert (await venue.snapshot(ACCOUNT, full=True)).positions is None
    gateway.answers["/api/Auth/loginKey"] = usual
    clock.advance(2)
    assert (await venue.snapshot("7", full=False)).fills is None, "another account is owed nothing"
    assert (await venue.snapshot(ACCOUNT, full=False)).fills == ()


async def test_reads_record_and_fills_though_enforcement_has_used_up_the_budget() -> None:
    clock = FakeClock()
    budget = CallBudget()
    while budget.ask(Lane.ORDER, clock.now_ns()) == 0:
        pass
    venue = ProjectXVenue(settings(), FakeGateway(clock), clock, lambda code, detail: None, budget, run_mark=RUN_MARK)
    taken = await venue.snapshot(ACCOUNT, full=True)
    assert taken.account is not None
    assert taken.fills == ()


async def test_sheds_reads_for_what_an_earlier_run_has_asked_for() -> None:
    clock = FakeClock()
    budget = CallBudget()
    venue = ProjectXVenue(settings(), FakeGateway(clock), clock, lambda code, detail: None, budget, run_mark=RUN_MARK)
    venue.recall([(clock.now_ns(), ClosePosition(f"1.{number}", "1", "ES")) for number in range(200)])
    reads = 0
    while budget.ask(Lane.READ, clock.now_ns()) == 0:
        reads += 1
    assert reads == 12

"""Many calls at once: how many are under way, and how long one waits for its share of the budget."""

import asyncio
from collections.abc import Mapping

import pytest

from risk_manager.venues.projectx.errors import NotSent
from risk_manager.venues.projectx.http import Reply
from risk_manager.venues.projectx.limits import CallBudget, Lane
from risk_manager.venues.projectx.problems import Problems
from risk_manager.venues.projectx.rest import CALLS_AT_ONCE, RestClient
from risk_manager.venues.projectx.venue_time import VenueTime
from tests.venues.projectx.fake_gateway import FakeClock, settings


class SlowGateway:
    """A transport that keeps calls waiting until told, and knows how many wait."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.waiting = 0

    async def request(self, method: str, url: str, *, headers: Mapping[str, str], body: bytes) -> Reply:
        self.waiting += 1
        await self.open.wait()
        self.waiting -= 1
        return Reply(200, b'{"success":true,"errorCode":0}', None, None)

    async def open_hub(self, url: str, token: str) -> object:
        raise AssertionError

    async def close(self) -> None:
        return


def client(gateway: SlowGateway, clock: FakeClock, budget: CallBudget | None = None) -> RestClient:
    problems = Problems(lambda code, detail: None)
    return RestClient(settings(), gateway, clock, VenueTime(60), problems, lambda *_: None, budget)  # type: ignore[arg-type]


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_hundred_cancels_share_a_few_connections_and_a_close_waits_for_none_of_them() -> None:
    gateway = SlowGateway()
    rest = client(gateway, FakeClock())
    cancels = [asyncio.create_task(rest.post("/c", {}, lane=Lane.ORDER, token="t")) for _ in range(100)]
    await turns()
    assert gateway.waiting == CALLS_AT_ONCE
    close = asyncio.create_task(rest.post("/p", {}, lane=Lane.CLOSE, token="t"))
    await turns()
    assert gateway.waiting == CALLS_AT_ONCE + 1
    gateway.open.set()
    answers = await asyncio.gather(close, *cancels)
    assert [answer.status for answer in answers] == [200] * 101


async def test_a_cancel_gives_up_waiting_for_the_budget_before_it_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, gateway, budget = FakeClock(), SlowGateway(), CallBudget()
    gateway.open.set()
    rest = client(gateway, clock, budget)
    slept: list[float] = []

    async def skip(delay: float) -> None:
        slept.append(delay)
        clock.advance(delay)

    while budget.ask(Lane.ORDER, clock.now_ns()) == 0:
        budget.refused(Lane.ORDER)
    for _ in range(4):
        budget.refused(Lane.ORDER)
    monkeypatch.setattr(asyncio, "sleep", skip)
    with pytest.raises(NotSent, match="budget is used up"):
        await rest.post("/c", {}, lane=Lane.ORDER, token="t")
    assert slept == [5.0]

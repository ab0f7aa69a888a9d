"""Many calls at once: how many are under way, and how long one waits for its share of the budget."""

import asyncio
from collections.abc import Mapping

import pytest

from risk_manager.venues.projectx.errors import Lost, NotSent
from risk_manager.venues.projectx.http import Reply
from risk_manager.venues.projectx.limits import CallBudget, Lane
from risk_manager.venues.projectx.problems import Problems
from risk_manager.venues.projectx.rest import CALLS_AT_ONCE, RestClient
from risk_manager.venues.projectx.venue_time import SECOND_NS, VenueTime
from tests.venues.projectx.fake_gateway import FakeClock, settings

MS = 1_000_000


class SlowGateway:
    """A transport that keeps calls waiting until told, and knows how many wait."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.waiting = self.sent = 0

    async def request(self, method: str, url: str, *, headers: Mapping[str, str], body: bytes) -> Reply:
        self.waiting += 1
        self.sent += 1
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


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """Sleeping moves it instead of waiting."""
    clock, sleep = FakeClock(), asyncio.sleep

    async def skip(delay: float) -> None:
        clock.advance(delay)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", skip)
    return clock


class Unreachable:
    """A transport whose calls fail as told until they are to be answered."""

    def __init__(self, error: NotSent | Lost | None, status: int = 200) -> None:
        self.error = error
        self.status = status
        self.calls: list[str] = []

    async def request(self, method: str, url: str, *, headers: Mapping[str, str], body: bytes) -> Reply:
        self.calls.append(url.rpartition("/")[2])
        if self.error is not None:
            raise self.error
        return Reply(self.status, b'{"success":true,"errorCode":0}', None, None)

    async def open_hub(self, url: str, token: str) -> object:
        raise AssertionError

    async def close(self) -> None:
        return


async def failing(rest: RestClient, path: str, lane: Lane, times: int) -> None:
    for _ in range(times):
        with pytest.raises((NotSent, Lost)):
            await rest.post(path, {}, lane=lane, token="t")


async def test_a_cancel_gives_up_waiting_for_the_budget_before_it_is_asked_for_again(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget, skip = CallBudget(), asyncio.sleep

    async def overtaken(delay: float) -> None:
        """Whatever becomes free is taken by others."""
        await skip(delay)
        while budget.ask(Lane.ORDER, clock.now_ns()) == 0:
            pass

    monkeypatch.setattr(asyncio, "sleep", overtaken)
    await overtaken(0)
    rest = client(SlowGateway(), clock, budget)
    begun_ns = clock.now_ns()
    with pytest.raises(NotSent, match="budget is used up"):
        await rest.post("/c", {}, lane=Lane.ORDER, token="t")
    assert clock.now_ns() - begun_ns == 5 * SECOND_NS


async def test_the_close_that_waits_longest_for_the_budget_goes_first(clock: FakeClock) -> None:
    budget = CallBudget()
    while budget.ask(Lane.CLOSE, clock.now_ns()) == 0:
        pass
    gateway, sent = SlowGateway(), list[int]()
    gateway.open.set()
    rest = client(gateway, clock, budget)

    async def close(number: int) -> None:
        await rest.post("/p", {}, lane=Lane.CLOSE, token="t")
        sent.append(number)
        if number < 3:
            # Asks anew at the very instant at which the next slot is free.
            await close(number + 10)

    await asyncio.gather(*(close(number) for number in range(5)))
    assert sent == [0, 1, 2, 3, 4, 10, 11, 12]


async def test_a_read_beyond_the_budget_is_left_out_at_once(clock: FakeClock) -> None:
    budget = CallBudget()
    while budget.ask(Lane.READ, clock.now_ns()) == 0:
        pass
    begun_ns = clock.now_ns()
    await failing(client(SlowGateway(), clock, budget), "/r", Lane.READ, 1)
    assert clock.now_ns() == begun_ns


@pytest.mark.parametrize(("error", "left"), [(NotSent("refused"), 148), (Lost("no answer"), 88)])
async def test_only_a_call_that_may_have_been_received_is_counted(
    clock: FakeClock, error: NotSent | Lost, left: int
) -> None:
    budget = CallBudget()
    await failing(client(Unreachable(error), clock, budget), "/r", Lane.READ, 60)  # type: ignore[arg-type]
    asked_ns = clock.now_ns()
    closes = 0
    while budget.ask(Lane.CLOSE, asked_ns) == 0:
        closes += 1
    assert closes == left + 1  # and one beyond the share


async def test_a_call_that_is_not_due_any_more_when_its_turn_comes_is_not_sent_and_not_counted(
    clock: FakeClock,
) -> None:
    budget = CallBudget()
    while budget.ask(Lane.ORDER, clock.now_ns()) == 0:
        pass
    gateway = SlowGateway()
    gateway.open.set()
    rest, asked_ns, begun_ns = client(gateway, clock, budget), list[int](), clock.now_ns()

    def is_due() -> bool:
        asked_ns.append(clock.now_ns())
        return False

    with pytest.raises(NotSent, match="overtaken"):
        await rest.post("/c", {}, lane=Lane.ORDER, token="t", is_due=is_due)
    assert gateway.sent == 0
    assert asked_ns == [begun_ns + 4 * SECOND_NS]  # when it may go, not when it was asked for
    await rest.post("/c", {}, lane=Lane.ORDER, token="t", is_due=lambda: True)
    assert gateway.sent == 1


async def test_sends_one_cancel_a_second_while_nothing_is_answered_and_all_of_them_afterwards(clock: FakeClock) -> None:
    gateway = Unreachable(Lost("no answer"))
    rest = client(gateway, clock)  # type: ignore[arg-type]
    begun_ns = clock.now_ns()
    await failing(rest, "/c", Lane.ORDER, 2)
    assert clock.now_ns() == begun_ns
    await failing(rest, "/c", Lane.ORDER, 4)
    assert clock.now_ns() == begun_ns + 3 * SECOND_NS
    await failing(rest, "/p", Lane.CLOSE, 3)
    assert clock.now_ns() == begun_ns + 3 * SECOND_NS, "a close is never kept waiting"
    gateway.error = None
    for _ in range(5):
        await rest.post("/c", {}, lane=Lane.ORDER, token="t")
    assert clock.now_ns() == begun_ns + 4 * SECOND_NS


async def test_sends_one_cancel_a_second_while_the_venue_says_429(clock: FakeClock) -> None:
    gateway = Unreachable(None, status=429)
    rest = client(gateway, clock)  # type: ignore[arg-type]
    begun_ns = clock.now_ns()
    for _ in range(5):
        await rest.post("/c", {}, lane=Lane.ORDER, token="t")
    assert clock.now_ns() == begun_ns + 3 * SECOND_NS
    gateway.status = 200
    for _ in range(5):
        await rest.post("/c", {}, lane=Lane.ORDER, token="t")
    assert clock.now_ns() == begun_ns + 4 * SECOND_NS


async def test_looks_first_at_the_account_that_was_looked_at_longest_ago(clock: FakeClock) -> None:
    budget = CallBudget()
    rest = client(SlowGateway(), clock, budget)
    while budget.ask(Lane.ORDER, clock.now_ns()) == 0:
        pass
    begun_ns = clock.now_ns()
    seen: list[str] = []

    async def look(account_id: str) -> None:
        await rest.look(account_id)
        seen.append(account_id)

    await asyncio.gather(*(look(account_id) for account_id in ("1", "2", "3")))
    assert seen == ["1", "2", "3"], "none was ever looked at: who came first"
    await asyncio.gather(*(look(account_id) for account_id in ("3", "1", "2")))
    assert seen[3:] == ["1", "2", "3"]
    # Each has one slot of 2,625 ms; who is behind takes it within 50 ms of its turn.
    assert 5 * 2_625 <= (clock.now_ns() - begun_ns) // MS <= 5 * 2_675


async def test_a_look_that_the_venue_refuses_keeps_its_turn(clock: FakeClock) -> None:
    budget = CallBudget()
    transport = Unreachable(None)
    rest = client(transport, clock, budget)  # type: ignore[arg-type]
    while budget.ask(Lane.ORDER, clock.now_ns()) == 0:
        pass
    seen: list[str] = []

    async def look(account_id: str) -> None:
        granted_ns = await rest.look(account_id)
        seen.append(account_id)
        await rest.post("/p", {}, lane=Lane.LOOK, token="t", granted_ns=granted_ns)

    await look("1")
    transport.status = 429
    await look("2")
    transport.status = 200
    await asyncio.gather(look("1"), look("2"))
    assert seen == ["1", "2", "2", "1"]


async def test_waits_only_once_for_a_look_at_an_account(clock: FakeClock) -> None:
    budget = CallBudget()
    rest = client(SlowGateway(), clock, budget)
    while budget.ask(Lane.LOOK, clock.now_ns()) == 0:
        pass
    first, second = await asyncio.gather(rest.look("1"), rest.look("1"), return_exceptions=True)
    assert isinstance(first, int)
    assert isinstance(second, NotSent)
    assert await rest.look("1") > first, "the next one may wait again"

import asyncio

import pytest

from risk_manager.domain.events import Link
from risk_manager.venues.projectx.auth import Auth
from risk_manager.venues.projectx.errors import AuthFailed, NotSent
from risk_manager.venues.projectx.problems import Problems
from risk_manager.venues.projectx.rest import RestClient
from risk_manager.venues.projectx.venue_time import VenueTime
from tests.venues.projectx.fake_gateway import START_NS, Answer, FakeClock, FakeGateway, jwt, ok, refused, settings

LOGIN, VALIDATE = "/api/Auth/loginKey", "/api/Auth/validate"
START_S = START_NS // 1_000_000_000


class Desk:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.gateway = FakeGateway(self.clock)
        self.links: list[tuple[Link, bool, str]] = []
        problems = Problems(lambda code, detail: None)
        chosen = settings()
        rest = RestClient(
            chosen,
            self.gateway,
            self.clock,
            VenueTime(60),
            problems,
            lambda link, is_up, reason: self.links.append((link, is_up, reason)),
        )
        self.auth = Auth(chosen, rest, self.clock, problems, rest._on_link)

    def count(self, path: str) -> int:
        return self.gateway.paths().count(path)


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def hasty_sleep(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sleeping moves the desk's clock instead of waiting."""
    sleep = asyncio.sleep

    async def skip(delay: float) -> None:
        desk.clock.advance(delay)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", skip)


async def keep_until(desk: Desk, seconds: float) -> None:
    """Let `keep` run until the desk's clock has moved by so much."""
    until_ns = desk.clock.ns + round(seconds * 1e9)
    keeper = asyncio.create_task(desk.auth.keep())
    while desk.clock.ns < until_ns:
        await asyncio.sleep(0)
    keeper.cancel()
    with pytest.raises(asyncio.CancelledError):
        await keeper


async def test_logs_in_once_for_everyone_who_asks(desk: Desk) -> None:
    gate = desk.gateway.gates[LOGIN] = asyncio.Event()
    asking = [asyncio.create_task(desk.auth.token()) for _ in range(5)]
    await asyncio.sleep(0)
    gate.set()
    assert await asyncio.gather(*asking) == ["token-1"] * 5
    assert desk.gateway.requests == [(LOGIN, {"userName": "trader", "apiKey": "key-of-the-trader"}, None)]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (refused(3), "invalid credentials (code 3)"),
        (refused(7, "Please log in and sign"), "agreements not signed (code 7): Please log in and sign"),
        (refused(6), "invalid device (code 6)"),
        (refused(8), "refused (code 8)"),
        (refused(99), "refused (code 99)"),
        (ok(token=None), "refused (code 0)"),
        (503, "status 503"),
        (NotSent("no connection"), "no connection"),
    ],
)
async def test_says_why_it_could_not_log_in(desk: Desk, answer: dict[str, object] | int, reason: str) -> None:
    desk.gateway.answers[LOGIN] = answer
    with pytest.raises(AuthFailed) as failed:
        await desk.auth.token()
    assert str(failed.value) == f"login failed: {reason}"
    assert desk.links[-1] == (Link.REST, False, f"login failed: {reason}")


MAY_MEND = [0, 1, 2, 4, 8, 8, 8, 8, 8]
NO_WAITING_MENDS = [0, 1, 2, 4, 8, 16, 32, 60, 60]


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        *(([refused(code)], NO_WAITING_MENDS) for code in (1, 2, 3, 4, 5, 6, 7, 9, 10)),
        *(([refused(code)], MAY_MEND) for code in (8, 11, 99)),
        *(([status], NO_WAITING_MENDS) for status in (401, 403)),
        *(([status], MAY_MEND) for status in (404, 429, 500, 503)),
        ([ok(token=None)], MAY_MEND),
        # How long an outage lasted says nothing of the refusal after it, and the other way round.
        ([503, 503, 503, 503, refused(3)], [0, 1, 2, 4, 8, 1, 2, 4, 8]),
        ([refused(3), refused(3), refused(3), 503], [0, 1, 2, 4, 1, 2, 4, 8, 8]),
    ],
)
async def test_logs_in_at_the_pace_of_what_refuses_it(desk: Desk, answers: list[Answer], expected: list[int]) -> None:
    desk.gateway.answers[LOGIN] = answers
    waits = []
    for _ in expected:
        before, waited = desk.count(LOGIN), 0
        while desk.count(LOGIN) == before:
            with pytest.raises(AuthFailed):
                await desk.auth.token()
            if desk.count(LOGIN) == before:
                desk.clock.advance(1)
                waited += 1
        waits.append(waited)
    assert waits == expected


async def test_tries_at_least_every_two_seconds_while_nobody_answers(desk: Desk) -> None:
    desk.gateway.answers[LOGIN] = NotSent("no connection")
    for second in range(9):
        with pytest.raises(AuthFailed):
            await desk.auth.token()
        assert desk.count(LOGIN) == [1, 2, 2, 3, 3, 4, 4, 5, 5][second]
        desk.clock.advance(1)


async def test_logs_in_again_at_once_when_a_token_is_refused(desk: Desk) -> None:
    desk.gateway.answers[LOGIN] = [ok(token="token-1"), ok(token="token-2")]
    token = await desk.auth.token()
    desk.auth.rejected("some older token")
    assert await desk.auth.token() == "token-1"
    desk.auth.rejected(token)
    assert await desk.auth.token() == "token-2"


async def test_does_not_hammer_when_new_tokens_are_refused_too(desk: Desk) -> None:
    desk.gateway.answers[LOGIN] = [ok(token=f"token-{number}") for number in range(9)]
    for _ in range(4):
        desk.auth.rejected(await desk.auth.token())
    assert await desk.auth.token() == "token-1"  # the last one has to do until the next login is due
    assert desk.count(LOGIN) == 2
    desk.clock.advance(1)
    assert await desk.auth.token() == "token-2"


@pytest.mark.usefixtures("hasty_sleep")
async def test_renews_at_three_quarters_of_the_tokens_life(desk: Desk) -> None:
    desk.gateway.answers[LOGIN] = ok(token=jwt(START_S + 1000, "first"))
    desk.gateway.answers[VALIDATE] = ok(newToken=jwt(START_S + 9000, "second"))
    await keep_until(desk, 749)
    assert desk.gateway.paths() == [LOGIN]
    await keep_until(desk, 2)
    assert desk.gateway.paths() == [LOGIN, VALIDATE]
    assert await desk.auth.token() == jwt(START_S + 9000, "second")
    assert desk.gateway.requests[1][2] == f"Bearer {jwt(START_S + 1000, 'first')}"


@pytest.mark.usefixtures("hasty_sleep")
@pytest.mark.parametrize("answer", [401, refused(3)])
async def test_logs_in_where_renewal_is_refused(desk: Desk, answer: int | dict[str, object]) -> None:
    desk.gateway.answers[LOGIN] = [ok(token=jwt(START_S + 100, "first")), ok(token="token-2")]
    desk.gateway.answers[VALIDATE] = answer
    await keep_until(desk, 77)
    assert await desk.auth.token() == "token-2"


@pytest.mark.usefixtures("hasty_sleep")
async def test_keeps_the_old_token_while_renewal_fails(desk: Desk) -> None:
    first = jwt(START_S + 100, "first")
    desk.gateway.answers[LOGIN] = ok(token=first)
    desk.gateway.answers[VALIDATE] = [503, 503, ok(newToken="token-2")]
    await keep_until(desk, 80)
    assert await desk.auth.token() == first
    await keep_until(desk, 7)
    assert await desk.auth.token() == "token-2"


@pytest.mark.usefixtures("hasty_sleep")
@pytest.mark.parametrize("token", ["opaque", "a.b.c", "a.e30.c", jwt(5, "long ago")])
async def test_takes_a_token_that_does_not_say_for_a_day(desk: Desk, token: str) -> None:
    desk.gateway.answers[LOGIN] = ok(token=token)
    desk.clock.advance(0)
    await keep_until(desk, 3600)
    assert desk.gateway.paths() == [LOGIN]


@pytest.mark.usefixtures("hasty_sleep")
@pytest.mark.parametrize(("code", "tried", "back_s"), [(8, range(70, 81), 9), (9, range(14, 18), 61)])
async def test_never_stops_trying_to_log_in(desk: Desk, code: int, tried: range, back_s: float) -> None:
    desk.gateway.answers[LOGIN] = refused(code)
    await keep_until(desk, 600)
    assert desk.count(LOGIN) in tried
    desk.gateway.answers[LOGIN] = ok(token="token-1")
    await keep_until(desk, back_s)
    assert await desk.auth.token() == "token-1"

"""A hub connection that does not behave; the well-behaved one is in test_venue and test_against_simulator."""

import asyncio
import random
from typing import Any

import pytest

from risk_manager.venues.projectx.auth import Auth
from risk_manager.venues.projectx.errors import HubError, HubRefused, Lost
from risk_manager.venues.projectx.hubs import HubConnection, HubSession
from risk_manager.venues.projectx.problems import Problems
from risk_manager.venues.projectx.rest import RestClient
from risk_manager.venues.projectx.settings import HubTimings
from risk_manager.venues.projectx.venue_time import VenueTime
from tests.venues.projectx.fake_gateway import FakeClock, FakeGateway, FakeLink, ok, refused, settings

TIMINGS = HubTimings(handshake_s=0.03, ping_s=0.02, silence_s=0.05, backoff_base_s=0.0001, backoff_cap_s=0.001)


class MuteLink(FakeLink):
    """Answers only what is asked of it, by member of the record."""

    answers: tuple[str, ...] = ()

    async def send(self, data: bytes) -> None:
        if any(answered.encode() in data for answered in self.answers):
            await super().send(data)


class Desk:
    def __init__(self, link: type[FakeLink], *answers: str) -> None:
        self.clock = clock = FakeClock()
        self.gateway = FakeGateway(clock)
        self.problems = Problems(lambda code, detail: None)
        self.reasons: list[str] = []
        self.connections: list[FakeLink] = []
        rest = RestClient(settings(), self.gateway, clock, VenueTime(60), self.problems, lambda *told: None)
        self.session = HubSession(
            "http://localhost/hubs/user",
            self.gateway,
            Auth(settings(), rest, clock, self.problems, lambda *told: None),
            TIMINGS,
            self.problems,
            random.Random(1),
            on_open=self.on_open,
            on_invocation=lambda message: None,
            on_down=self.reasons.append,
        )

        async def open_hub(url: str, token: str) -> FakeLink:
            made = link(token, {"Subscribe": "no"} if link is FakeLink else {})
            if isinstance(made, MuteLink):
                made.answers = answers
            self.connections.append(made)
            return made

        self.gateway.open_hub = open_hub  # type: ignore[method-assign]

    async def on_open(self, connection: HubConnection) -> None:
        await connection.call("Subscribe")

    async def down(self, times: int) -> list[str]:
        """Run until the hub has been down so often; the reasons."""
        run = asyncio.create_task(self.session.run())
        async with asyncio.timeout(5):
            while len(self.reasons) < times:
                await asyncio.sleep(0.001)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        return self.reasons[:times]


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ((), "no answer to the handshake"),
        (("protocol",), "no completion of Subscribe"),
        (("protocol", "Subscribe"), "silent for 0.05 s"),
    ],
)
async def test_gives_up_a_connection_that_keeps_silent(answers: tuple[str, ...], reason: str) -> None:
    desk = Desk(MuteLink, *answers)
    assert await desk.down(2) == [reason, reason]
    assert all(link.is_closed for link in desk.connections[:2])


async def test_gives_up_a_connection_whose_subscription_fails() -> None:
    assert await Desk(FakeLink).down(2) == ["Subscribe: no", "Subscribe: no"]


async def test_tries_for_ever_and_leaks_no_task() -> None:
    desk = Desk(FakeLink)

    async def open_hub(url: str, token: str) -> Any:
        raise Lost("no hub connection")

    desk.gateway.open_hub = open_hub  # type: ignore[method-assign]
    assert await desk.down(200) == ["no hub connection"] * 200
    assert len(asyncio.all_tasks()) == 1


class Longest(random.Random):
    """Waits no time, and notes how long it could have waited at most."""

    def __init__(self) -> None:
        self.bounds: list[float] = []

    def uniform(self, a: float, b: float) -> float:
        self.bounds.append(b)
        return a


@pytest.mark.parametrize(
    ("statuses", "bounds"),
    [
        ([403] * 10, [0.25, 0.5, 1, 2, 4, 8, 16, 32, 60, 60]),
        ([401] * 3, [0.25, 0.5, 1]),
        ([503] * 7, [0.25, 0.5, 1, 2, 4, 5, 5]),
        # A refusal after an outage says nothing of how long it will last, nor the other way round.
        ([503] * 6 + [401, 401, 503, 403], [0.25, 0.5, 1, 2, 4, 5, 0.25, 0.5, 5, 0.25]),
    ],
)
async def test_comes_back_at_the_pace_of_what_refuses_it(statuses: list[int], bounds: list[float]) -> None:
    desk, waits, left = Desk(FakeLink), Longest(), iter(statuses)

    async def open_hub(url: str, token: str) -> Any:
        # By then the token is old enough for the next login not to have to wait.
        desk.clock.advance(60)
        raise HubRefused(next(left, 503))

    desk.gateway.open_hub = open_hub  # type: ignore[method-assign]
    desk.session._timings, desk.session._jitter = HubTimings(), waits
    await desk.down(len(statuses))
    assert waits.bounds[: len(bounds)] == bounds


async def test_opens_nothing_with_a_token_that_was_refused_but_waits_for_the_next() -> None:
    desk, tokens, waits = Desk(FakeLink), [], Longest()
    desk.gateway.answers["/api/Auth/loginKey"] = [ok(token="token-1"), refused(8)]

    async def open_hub(url: str, token: str) -> Any:
        tokens.append(token)
        raise HubRefused(401)

    desk.gateway.open_hub = open_hub  # type: ignore[method-assign]
    desk.session._timings, desk.session._jitter = HubTimings(), waits
    run = asyncio.create_task(desk.down(9))
    while len(desk.reasons) < 7:
        await asyncio.sleep(0)
    assert tokens == ["token-1"]
    # It is no refusal of the hub's: the next token is tried soon.
    assert waits.bounds[1:7] == [0.5, 1, 2, 4, 5, 5]
    desk.gateway.answers["/api/Auth/loginKey"] = ok(token="token-2")
    desk.clock.advance(1)
    await run
    assert tokens[1] == "token-2"


async def test_carries_a_completion_error_to_the_caller() -> None:
    link = FakeLink("token", {"Bad": "Unknown hub method 'Bad'"})
    desk, outcomes = Desk(FakeLink), []

    async def on_open(connection: HubConnection) -> None:
        await connection.call("Good")
        with pytest.raises(HubError, match="Unknown hub method"):
            await connection.call("Bad")
        outcomes.append("seen")
        link.drop()

    async def open_hub(url: str, token: str) -> FakeLink:
        return link

    desk.on_open = on_open  # type: ignore[method-assign]
    desk.session._on_open = on_open
    desk.gateway.open_hub = open_hub  # type: ignore[method-assign]
    await desk.down(1)
    # On a busy machine it has been opened again by then.
    assert set(outcomes) == {"seen"}

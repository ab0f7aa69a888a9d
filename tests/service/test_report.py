"""What the service manager hears, and after what."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from risk_manager.domain.events import ConnectionChanged, Link
from risk_manager.runtime.notify import Notifier
from risk_manager.runtime.service.report import ServiceReport, still_starting
from risk_manager.testing.events import MES
from tests.runtime.guard_scene import POLL_S, GuardScene

PATIENCE = "EXTEND_TIMEOUT_USEC=30000000"


class Heard(Notifier):
    """Attributes: messages: what was told since last looked at, in order."""

    def __init__(self, watchdog_s: float | None = 12.0) -> None:
        super().__init__("/nowhere", watchdog_s)
        self.close()
        self.messages: list[tuple[str, ...]] = []

    def tell(self, *assignments: str) -> None:
        self.messages.append(assignments)

    def new(self) -> list[tuple[str, ...]]:
        messages, self.messages = self.messages, []
        return messages


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """What is logged is not looked at here."""
    with capture_logs():
        yield


@pytest.fixture
async def scene() -> AsyncIterator[GuardScene]:
    """A guard that has not read its account yet."""
    made = GuardScene()
    await made.recover()
    made.guard.start()
    yield made
    await made.guard.stop()


async def test_is_ready_with_the_first_reading_and_alive_with_every_poll(scene: GuardScene) -> None:
    heard = Heard()
    ServiceReport(heard, [scene.guard])
    assert heard.new() == []
    await scene.feed(scene.story.snapshot())
    assert heard.new() == [("READY=1",), ("WATCHDOG=1", "STATUS=practice armed")]
    await scene.clock.pass_time(2 * POLL_S)
    assert heard.new() == [("WATCHDOG=1",), ("WATCHDOG=1",)]
    await scene.feed(scene.story.buys(MES, 4, 5800))
    assert heard.new() == []
    await scene.clock.pass_time(POLL_S)
    assert heard.new() == [("WATCHDOG=1", "STATUS=practice locked")]


async def test_asks_for_time_while_the_account_cannot_be_read(scene: GuardScene) -> None:
    heard = Heard()
    ServiceReport(heard, [scene.guard])
    unread(scene)
    await scene.feed(ConnectionChanged(scene.story.account_id, Link.REST, False, "login failed", 0, scene.story.now_ns))
    await scene.clock.pass_time(2 * POLL_S)
    status = "STATUS=guarding, recovering: practice starting (rest: login failed)"
    assert heard.new() == [(PATIENCE, status), (PATIENCE, status)]


async def test_says_nothing_without_a_poll(scene: GuardScene) -> None:
    heard = Heard()
    ServiceReport(heard, [scene.guard])
    await scene.feed(scene.story.snapshot())
    heard.new()
    await asyncio.sleep(0.05)
    await scene.feed(scene.story.quote(MES, 5800), scene.story.buys(MES, 1, 5800), scene.story.snapshot())
    assert heard.new() == []


async def test_waits_for_every_guard() -> None:
    first, second, heard = GuardScene(), GuardScene(), Heard()
    second.story.account_id = "1002"
    for scene in (first, second):
        await scene.recover()
        scene.guard.start()
    ServiceReport(heard, [first.guard, second.guard])
    await first.feed(first.story.snapshot())
    assert heard.new() == [(PATIENCE, "STATUS=guarding, recovering: practice armed; practice starting (not read yet)")]
    await second.feed(second.story.snapshot())
    assert heard.new() == [("READY=1",), ("WATCHDOG=1", "STATUS=practice armed; practice armed")]
    await first.clock.pass_time(3 * POLL_S)
    assert heard.new() == []
    await second.clock.pass_time(POLL_S)
    assert heard.new() == [("WATCHDOG=1",)]
    for scene in (first, second):
        await scene.guard.stop()


@pytest.mark.parametrize(
    ("given_s", "poll_s", "asked"),
    [
        (12.0, 3, []),
        (11.9, 3, [("WATCHDOG_USEC=12000000",)]),
        (12.0, 24, [("WATCHDOG_USEC=54000000",)]),
        (None, 24, []),
    ],
)
async def test_is_waited_for_as_long_as_two_polls_take(
    scene: GuardScene, given_s: float | None, poll_s: int, asked: list[Any]
) -> None:
    scene.guard._poll_ns = poll_s * 1_000_000_000
    heard = Heard(given_s)
    ServiceReport(heard, [scene.guard])
    assert heard.new() == asked


def test_writes_a_status_in_one_line_whatever_the_venue_says() -> None:
    heard = Heard()
    still_starting(heard, "refused:\nREADY=1\r\x1b[2J" + "x" * 1_000)
    ((patience, status),) = heard.new()
    assert patience == PATIENCE
    assert status.startswith("STATUS=guarding, recovering: refused: READY=1  [2Jxxx")
    assert status.isprintable()
    assert len(status) == 507


async def test_says_that_it_ends(scene: GuardScene) -> None:
    heard = Heard()
    ServiceReport(heard, [scene.guard]).stopping()
    assert heard.new() == [("STOPPING=1", "STATUS=stopping")]


def unread(scene: GuardScene) -> None:
    """Have every snapshot come back empty."""
    import msgspec

    snapshot = scene.venue.snapshot

    async def empty(account_id: str, *, full: bool) -> Any:
        return msgspec.structs.replace(await snapshot(account_id, full=full), positions=None, orders=None)

    scene.venue.snapshot = empty  # type: ignore[method-assign]

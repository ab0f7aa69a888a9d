"""The daemon around its guards."""

import asyncio
import socket
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from risk_manager.domain.decision import Decision
from risk_manager.domain.events import ConnectionChanged, Link
from risk_manager.ports.journal import Story
from risk_manager.runtime import daemon as daemon_module
from risk_manager.runtime.daemon import Daemon
from risk_manager.testing.events import MES
from risk_manager.testing.ports import MemoryJournal, settled
from tests.runtime.guard_scene import GuardScene


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(daemon_module, "RESTART_S", 0.001)
    with capture_logs():
        yield


async def started(api_port: int | None = None) -> tuple[GuardScene, Daemon, asyncio.Task[None], list[int]]:
    scene, ports = GuardScene(), list[int]()
    await scene.recover()
    daemon = Daemon(
        scene.venue,
        scene.journal,
        (scene.guard,),
        scene.clock,
        revision="abc",
        version="1",
        api_port=api_port,
        on_listening=ports.append,
    )
    running = asyncio.create_task(daemon.run())
    await settled()
    return scene, daemon, running, ports


class MeasuredJournal(MemoryJournal):
    """Notes how long an answer may be."""

    def __init__(self) -> None:
        super().__init__()
        self.most_bytes: list[int | None] = []

    async def story(self, intent_id: str, *, most_bytes: int | None = None) -> Story | None:
        self.most_bytes.append(most_bytes)
        return await super().story(intent_id)

    async def decisions(
        self, account_id: str, *, after: int = 0, most: int = 100, most_bytes: int | None = None
    ) -> tuple[Decision, ...]:
        self.most_bytes.append(most_bytes)
        return await super().decisions(account_id, after=after, most=most)


async def test_lets_its_accounts_share_what_an_answer_may_hold() -> None:
    scenes, journal = (GuardScene(), GuardScene()), MeasuredJournal()
    for scene in scenes:
        await scene.recover()
    guards = tuple(scene.guard for scene in scenes)
    venue, clock = scenes[0].venue, scenes[0].clock
    daemon = Daemon(venue, journal, guards, clock, revision="abc", version="1", api_port=None)
    assert await daemon.decisions(None, 10) == ()
    assert await daemon.decisions("another", 10) == ()
    assert await daemon.explain("1001-1-1") is None
    assert journal.most_bytes == [4 * 1024 * 1024, 4 * 1024 * 1024, 32 * 1024 * 1024]


async def test_delivers_what_the_venue_says_and_closes_everything_in_the_end() -> None:
    scene, daemon, running, _ = await started()
    scene.venue.events.put_nowait(scene.story.snapshot())
    for event in scene.story.buys(MES, 4, 5800):
        scene.venue.events.put_nowait(event)
    await settled()

    account = daemon.status().accounts[0]
    assert (account.state, account.positions[0].net_contracts) == ("locked", 4)
    assert [lockout.rule for lockout in account.lockouts] == ["max_contracts"]
    assert [decision.sequence for decision in await daemon.decisions(None, 10)] == [
        decision.sequence for decision in scene.journal.committed
    ]
    assert await daemon.decisions("practice", 1) == await daemon.decisions(account.id, 1) != ()
    assert await daemon.decisions("another", 10) == ()

    daemon.stop()
    await running
    assert (scene.venue.is_closed, scene.journal.is_closed, scene.did[-1]) == (True, True, "save")


async def test_alarms_a_connection_that_ends_and_begins_it_anew() -> None:
    scene, daemon, running, _ = await started()
    scene.venue.events.put_nowait(RuntimeError("a bug of the venue adapter"))
    await asyncio.sleep(0.02)
    assert scene.did.count("run") == 2
    assert daemon.status().accounts[0].missing == ("venue connection: RuntimeError('a bug of the venue adapter')",)

    up = ConnectionChanged(scene.story.account_id, Link.USER_HUB, True, "subscribed", 0, scene.story.now_ns)
    scene.venue.events.put_nowait(up)
    await settled()
    assert daemon.status().accounts[0].missing == ()
    daemon.stop()
    await running


async def test_leaves_in_good_order_when_the_port_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        scene, _, running, ports = await started(taken.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            await running

    assert (scene.venue.is_closed, scene.journal.is_closed, ports) == (True, True, [])


async def test_tells_where_its_api_listens() -> None:
    _, daemon, running, ports = await started(0)
    assert ports[0] > 0
    daemon.stop()
    await running
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", ports[0])

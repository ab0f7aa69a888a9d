"""The daemon under a service manager."""

import asyncio
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from risk_manager.runtime import daemon as daemon_module
from risk_manager.runtime.daemon import Daemon
from risk_manager.runtime.notify import Notifier
from risk_manager.testing.ports import settled
from tests.runtime.guard_scene import GuardScene


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(daemon_module, "RESTART_S", 0.001)
    with capture_logs():
        yield


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.setblocking(False)
        yield listener


async def test_guards_though_its_port_is_taken_and_serves_it_later(manager: socket.socket) -> None:
    scene, ports = GuardScene(), list[int]()
    await scene.recover()
    notifier = Notifier(manager.getsockname())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        daemon = Daemon(
            scene.venue,
            scene.journal,
            (scene.guard,),
            scene.clock,
            revision="abc",
            version="1",
            api_port=taken.getsockname()[1],
            on_listening=ports.append,
        )
        running = asyncio.create_task(daemon.run(notifier))
        scene.venue.events.put_nowait(scene.story.snapshot())
        await settled()
        await asyncio.sleep(0.01)
        assert scene.faults() == ["local API"]
        assert manager.recv(1_000) == b"READY=1"
        assert manager.recv(1_000).startswith(b"WATCHDOG=1\n")
        taken.close()
        async with asyncio.timeout(5):
            while not ports:
                await asyncio.sleep(0.001)
    assert scene.faults() == []
    daemon.stop()
    await running
    assert manager.recv(1_000) == b"STOPPING=1\nSTATUS=stopping"
    notifier.close()


async def test_tells_how_late_its_event_loop_was() -> None:
    scene = GuardScene()
    await scene.recover()
    daemon = Daemon(scene.venue, scene.journal, (scene.guard,), scene.clock, revision="abc", version="1", api_port=None)
    running = asyncio.create_task(daemon.run())
    scene.venue.events.put_nowait(scene.story.snapshot())
    await settled()
    assert scene.faults() == []
    time.sleep(0.4)
    await asyncio.sleep(0.01)
    assert scene.faults() == ["event loop"]
    assert daemon.status().accounts[0].state == "degraded"
    assert 290 <= daemon.status().loop.worst_lag_ms < 5_000
    daemon.stop()
    await running

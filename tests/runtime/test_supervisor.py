"""Tasks that must not end."""

import asyncio
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from risk_manager.runtime import supervisor as module
from risk_manager.runtime.supervisor import Supervisor
from risk_manager.testing.ports import settled


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """What is logged is not looked at here."""
    with capture_logs():
        yield


class Work:
    """Attributes: runs: how often it was begun.   ends: one item a run: raised, or returned for where it is None."""

    def __init__(self, *ends: BaseException | None) -> None:
        self.runs = 0
        self._ends = list(ends)

    async def __call__(self) -> None:
        self.runs += 1
        if not self._ends:
            await asyncio.Event().wait()
        end = self._ends.pop(0)
        if end is not None:
            raise end


class Pauses:
    """Stands for `asyncio.sleep`: remembers the pauses and takes no time."""

    def __init__(self) -> None:
        self.taken: list[float] = []
        self._sleep = asyncio.sleep

    async def __call__(self, seconds: float) -> None:
        if seconds:
            self.taken.append(seconds)
        await self._sleep(0)


@pytest.mark.parametrize(
    ("end", "told"),
    [
        (RuntimeError("a bug"), "RuntimeError('a bug')"),
        (None, "ended by itself"),
        (asyncio.CancelledError("by a library"), "CancelledError('by a library')"),
    ],
)
async def test_begins_again_what_ended_and_says_why(end: BaseException | None, told: str) -> None:
    work, reports = Work(end), list[tuple[str, str | None]]()
    supervisor = Supervisor(lambda name, text: reports.append((name, text)), restart_s=0.0)
    supervisor.keep("watch", work)
    await settled()
    assert (work.runs, reports) == (2, [("watch", told)])
    await supervisor.stop()
    assert work.runs == 2


async def test_waits_longer_each_time_and_never_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses, work = Pauses(), Work(*[RuntimeError("again")] * 8)
    monkeypatch.setattr(asyncio, "sleep", pauses)
    supervisor = Supervisor(lambda name, text: None, restart_s=1.0)
    supervisor.keep("watch", work)
    await settled()
    assert pauses.taken == [1, 2, 4, 8, 16, 30, 30, 30]
    assert work.runs == 9
    await supervisor.stop()


async def test_is_quick_again_and_the_fault_over_once_it_runs_steadily(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STEADY_S", 0.0)
    pauses, reports = Pauses(), list[str | None]()
    monkeypatch.setattr(asyncio, "sleep", pauses)
    work = Work(RuntimeError("once"), RuntimeError("twice"))
    supervisor = Supervisor(lambda name, text: reports.append(text), restart_s=1.0)
    supervisor.keep("watch", work)
    await settled()
    assert pauses.taken == [1, 1]
    assert reports[-1] is None
    await supervisor.stop()


async def test_leaves_the_other_tasks_alone() -> None:
    failing, steady = Work(RuntimeError("a bug"), RuntimeError("a bug")), Work()
    supervisor = Supervisor(lambda name, text: None, restart_s=0.0)
    supervisor.keep("failing", failing)
    supervisor.keep("steady", steady)
    await settled()
    assert (failing.runs, steady.runs) == (3, 1)
    await supervisor.stop()

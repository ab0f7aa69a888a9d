"""When a guard is alive: which of its rounds count, and which do not."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from risk_manager.domain.decision import Decision
from risk_manager.domain.events import Event, Outcome, SnapshotTaken
from risk_manager.testing.events import MES
from risk_manager.testing.ports import settled
from tests.runtime.guard_scene import POLL_S, GuardScene


@pytest.fixture
async def scene() -> AsyncIterator[GuardScene]:
    """A guard that has not read its account yet."""
    made = GuardScene()
    with capture_logs():
        await made.recover()
        made.guard.start()
        yield made
        await made.guard.stop()


def beats_of(scene: GuardScene) -> list[int]:
    """Grows by one with every beat."""
    beats: list[int] = []
    scene.guard.pulse.on_beat = lambda: beats.append(scene.story.now_ns)
    return beats


async def test_beats_with_every_poll_and_nothing_else(scene: GuardScene) -> None:
    await scene.feed(scene.story.snapshot())
    beats = beats_of(scene)
    await scene.feed(scene.story.quote(MES, 5800), scene.story.buys(MES, 1, 5800), scene.story.snapshot())
    assert beats == []
    await scene.clock.pass_time(3 * POLL_S)
    assert len(beats) == 3


async def test_beats_at_once_with_the_first_reading_whoever_asked_for_it(scene: GuardScene) -> None:
    beats = beats_of(scene)
    await scene.feed(scene.story.snapshot())
    assert len(beats) == 1
    await scene.feed(scene.story.snapshot())
    assert len(beats) == 1


async def test_beats_while_the_venue_tells_nothing(scene: GuardScene) -> None:
    """A failed reading is read again; that is all anybody can do."""
    snapshot = scene.venue.snapshot

    async def empty(account_id: str, *, full: bool) -> SnapshotTaken:
        taken = await snapshot(account_id, full=full)
        return SnapshotTaken(**{**_fields(taken), "positions": None, "orders": None})

    scene.venue.snapshot = empty  # type: ignore[method-assign]
    beats = beats_of(scene)
    await scene.clock.pass_time(2 * POLL_S)
    assert (len(beats), scene.guard.is_reconciled) == (2, False)


async def test_counts_an_unanswered_poll_when_it_is_asked_again(scene: GuardScene) -> None:
    answer = asyncio.Event()
    hold(scene, answer)
    beats = beats_of(scene)
    await scene.clock.pass_time(POLL_S)
    assert beats == []
    await scene.clock.pass_time(2 * POLL_S)
    assert len(beats) == 2


async def test_stops_with_a_call_that_never_ends(scene: GuardScene) -> None:
    answer = asyncio.Event()
    hold(scene, answer)
    beats = beats_of(scene)
    await scene.clock.pass_time(POLL_S + 119)
    before = len(beats)
    assert before == 39
    await scene.clock.pass_time(30)
    assert len(beats) == before
    answer.set()
    await scene.clock.pass_time(POLL_S)
    assert len(beats) > before


async def test_stops_while_a_decision_is_stuck(scene: GuardScene, monkeypatch: pytest.MonkeyPatch) -> None:
    await scene.feed(scene.story.snapshot())

    async def never() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(scene.guard._commits, "commit", never)
    await scene.feed(scene.story.buys(MES, 4, 5800))
    beats = beats_of(scene)
    await scene.clock.pass_time(5 * POLL_S)
    assert beats == []


async def test_waits_for_the_decision_a_poll_leads_to(scene: GuardScene) -> None:
    await scene.feed(scene.story.snapshot())
    # Nobody tells of the position but the polls, and one alone is not believed.
    list(scene.story.buys(MES, 4, 5800))
    await scene.clock.pass_time(POLL_S)
    beats = beats_of(scene)
    scene.journal.gate.clear()
    await scene.clock.pass_time(POLL_S)
    assert (beats, scene.guard.is_idle) == ([], False)
    scene.journal.gate.set()
    await settled()
    assert len(beats) == 1


async def test_stops_while_snapshots_cannot_be_judged(scene: GuardScene, monkeypatch: pytest.MonkeyPatch) -> None:
    await scene.feed(scene.story.snapshot())
    receive = scene.guard.engine.receive

    def failing(event: Event) -> Decision:
        if isinstance(event, SnapshotTaken):
            raise RuntimeError("a bug of the engine")
        return receive(event)

    monkeypatch.setattr(scene.guard.engine, "receive", failing)
    beats = beats_of(scene)
    await scene.clock.pass_time(2 * POLL_S)
    await scene.feed(scene.story.quote(MES, 5800))
    assert beats == []
    monkeypatch.setattr(scene.guard.engine, "receive", receive)
    await scene.clock.pass_time(POLL_S)
    assert beats


async def test_stops_while_the_venue_adapter_is_broken(scene: GuardScene) -> None:
    await scene.feed(scene.story.snapshot())
    beats = beats_of(scene)
    scene.venue.failure = RuntimeError("a bug of the adapter")
    await scene.clock.pass_time(POLL_S)
    assert beats == []
    await scene.clock.pass_time(POLL_S)
    assert len(beats) == 1


async def test_goes_on_while_an_order_waits_for_its_answer(scene: GuardScene) -> None:
    """What the venue owes is no hang of ours."""
    await scene.feed(scene.story.snapshot())
    never = asyncio.Event()

    async def execute(account_id: str, action: Any, is_due: Any = None) -> Outcome:
        await never.wait()
        raise AssertionError

    scene.venue.execute = execute  # type: ignore[method-assign]
    await scene.feed(scene.story.buys(MES, 4, 5800))
    beats = beats_of(scene)
    await scene.clock.pass_time(POLL_S)
    assert len(beats) == 1


def hold(scene: GuardScene, answer: asyncio.Event) -> None:
    """Have no snapshot answered before `answer` is set."""
    snapshot = scene.venue.snapshot

    async def held(account_id: str, *, full: bool) -> SnapshotTaken:
        await answer.wait()
        return await snapshot(account_id, full=full)

    scene.venue.snapshot = held  # type: ignore[method-assign]


def _fields(taken: SnapshotTaken) -> dict[str, Any]:
    return {name: getattr(taken, name) for name in taken.__struct_fields__}

"""When the latch is written: after acting while the journal is well, before it when the journal fails."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from risk_manager.ports.journal import JournalConflict
from risk_manager.ports.latch import Latched, LatchUnavailable
from risk_manager.runtime import commits, guard, latching
from risk_manager.runtime.guard import Guard
from risk_manager.testing.events import ES
from tests.runtime.guard_scene import POLL_S, GuardScene


class SlowLatch:
    """Implements `ports.latch.Latch` into the scene's list of what was done.

    Attributes:
        refusal: what every write fails with while it is set.   gate: while cleared, a write waits.
    """

    second: "SlowLatch | None" = None

    def __init__(self, did: list[str]) -> None:
        self.written: list[Latched] = []
        self.refusal: str | None = None
        self.left_out = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.did = did

    async def read(self, account_id: str) -> Latched | None:
        return None

    async def write(self, account_id: str, latched: Latched) -> int:
        await self.gate.wait()
        if self.refusal is not None:
            raise LatchUnavailable(self.refusal)
        self.written.append(latched)
        self.did.append(f"latch {latched.sequence}")
        return self.left_out

    def has_trace(self, account_id: str) -> bool:
        return True


class LatchScene(GuardScene):
    """A guard with a latch; it has read the account."""

    async def begin(self, second: SlowLatch | None = None) -> None:
        await self.recover()
        self.latch = SlowLatch(self.did)
        self.latch.second = self.second = second
        self.build()
        self.guard.start()
        await self.feed(self.story.snapshot())
        assert self.latch.written == [Latched(0, ())]
        self.did.clear()
        self.latch.written.clear()

    def build(self) -> None:
        """The same guard anew, with the latch."""
        made = self.guard
        self.guard = Guard(
            made.name,
            made.engine,
            made.settings,
            self.venue,
            self.journal,
            self.clock,
            lambda: 0,
            poll_ns=POLL_S * 1_000_000_000,
            latch=self.latch,
        )

    async def breach(self) -> None:
        await self.feed(self.story.position(ES, 4, 5000))


@asynccontextmanager
async def latched(second: SlowLatch | None = None) -> AsyncIterator[LatchScene]:
    scene = LatchScene()
    await scene.begin(second)
    try:
        yield scene
    finally:
        await scene.guard.stop()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(commits, "COMMIT_BUDGET_S", 0.01)
    monkeypatch.setattr(commits, "RECOMMIT_S", 0.01)
    monkeypatch.setattr(latching, "LATCH_BUDGET_S", 0.01)
    monkeypatch.setattr(latching, "RELATCH_S", 0.01)
    with capture_logs():
        yield


async def moment() -> None:
    await asyncio.sleep(0.05)


def began(scene: LatchScene) -> list[str]:
    return [each for each in scene.did if each != "save"][:3]


async def test_both_places_come_before_the_actions_when_the_journal_refuses() -> None:
    async with latched(SlowLatch([])) as scene:
        assert scene.second is not None
        scene.journal.refusal = "the disk is full"
        await scene.breach()
        assert began(scene)[:2] == ["latch 1", "ClosePosition"]
        assert scene.second.written[-1] == scene.latch.written[-1] == Latched(1, scene.guard.engine.account.lockouts)


@pytest.mark.parametrize("which", ["first", "second"])
@pytest.mark.parametrize("ill", ["refuses", "hangs"])
async def test_one_place_that_fails_is_told_of_and_holds_up_no_other(which: str, ill: str) -> None:
    async with latched(SlowLatch([])) as scene:
        assert scene.second is not None
        sick, sound = (scene.latch, scene.second) if which == "first" else (scene.second, scene.latch)
        sick.did, sound.did = [], scene.did
        if ill == "refuses":
            sick.refusal = "input/output error"
        else:
            sick.gate.clear()
        scene.journal.refusal = "the disk is full"
        await scene.breach()
        await moment()
        assert began(scene)[:2] == ["latch 1", "ClosePosition"]
        fault = "latch" if which == "first" else "second latch"
        problem = "input/output error" if ill == "refuses" else "the disk did not answer in time"
        assert list(scene.guard.health.missing) == ["journal: the disk is full", f"{fault}: {problem}"]

        sick.refusal = None
        sick.gate.set()
        await moment()
        assert sick.written[-1] == sound.written[-1]
        assert list(scene.guard.health.missing) == ["journal: the disk is full"]


async def test_follows_a_sound_journal_after_the_actions() -> None:
    async with latched() as scene:
        await scene.breach()
        assert began(scene) == ["commit 1", "ClosePosition", "latch 1"]
        assert scene.latch.written == [Latched(1, scene.guard.engine.account.lockouts)]
        assert scene.faults() == []


async def test_is_left_alone_while_the_lockouts_stay_the_same() -> None:
    async with latched() as scene:
        await scene.breach()
        written = len(scene.latch.written)
        await scene.feed(scene.story.sells(ES, 4, 5000))
        await scene.feed(scene.story.snapshot(), scene.story.snapshot())
        assert len(scene.journal.committed) > 1
        assert len(scene.latch.written) == written == 1


async def test_comes_before_the_actions_when_the_journal_refuses() -> None:
    async with latched() as scene:
        scene.journal.refusal = "the disk is full"
        await scene.breach()
        assert began(scene)[:2] == ["latch 1", "ClosePosition"]
        assert scene.guard.health.missing == ("journal: the disk is full",)

        # From then on it says how far the guard has come, whatever a decision is about.
        await scene.feed(scene.story.sells(ES, 4, 5000))
        await scene.feed(scene.story.snapshot(), scene.story.snapshot())
        assert scene.latch.written[-1] == Latched(scene.guard.engine.sequence, scene.guard.engine.account.lockouts)
        assert scene.guard.engine.sequence > 1

        scene.journal.refusal = None
        await moment()
        sequences = [decision.sequence for decision in scene.journal.committed]
        assert (sequences, scene.faults()) == (list(range(1, scene.guard.engine.sequence + 1)), [])


async def test_comes_before_the_actions_when_the_journal_does_not_answer() -> None:
    async with latched() as scene:
        scene.journal.gate.clear()
        scene.deliver(scene.story.position(ES, 4, 5000))
        await moment()
        assert began(scene)[:2] == ["latch 1", "ClosePosition"]
        assert scene.faults() == ["journal"]
        scene.journal.gate.set()
        await moment()
        assert scene.faults() == []


async def test_holds_what_the_journal_will_never_take(monkeypatch: pytest.MonkeyPatch) -> None:
    async with latched() as scene:

        async def contradict(decision: object) -> None:
            raise JournalConflict("stored with other content")

        monkeypatch.setattr(scene.journal, "commit", contradict)
        await scene.breach()
        assert began(scene)[:2] == ["latch 1", "ClosePosition"]


async def test_delays_nothing_when_it_refuses_too() -> None:
    async with latched() as scene:
        scene.journal.refusal = scene.latch.refusal = "input/output error"
        await scene.breach()
        assert scene.sent() == ["ClosePosition"]
        assert sorted(scene.faults()) == ["journal", "latch"]
        scene.journal.refusal = scene.latch.refusal = None
        await moment()
        assert (scene.latch.written, scene.faults()) == ([Latched(1, scene.guard.engine.account.lockouts)], [])


async def test_holds_up_the_actions_once_at_most_when_it_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    async with latched() as scene:
        scene.journal.refusal = "input/output error"
        scene.latch.gate.clear()
        scene.deliver(scene.story.position(ES, 4, 5000))
        await moment()
        assert scene.sent() == ["ClosePosition"]
        assert sorted(scene.faults()) == ["journal", "latch"]

        monkeypatch.setattr(latching, "LATCH_BUDGET_S", 60.0)
        await scene.feed(scene.story.position(ES, 4, 5000), scene.story.snapshot())
        await scene.clock.pass_time(5)
        assert len(scene.sent()) > 1
        scene.latch.gate.set()
        scene.journal.refusal = None
        await moment()
        assert scene.faults() == []
        assert scene.latch.written[-1].lockouts == scene.guard.engine.account.lockouts


async def test_a_bug_on_the_way_to_the_disk_keeps_no_action_back(monkeypatch: pytest.MonkeyPatch) -> None:
    async with latched() as scene:

        async def fail(decision: object) -> None:
            raise RuntimeError("a bug")

        sound = scene.journal.commit
        monkeypatch.setattr(scene.journal, "commit", fail)
        await scene.breach()
        assert began(scene)[:2] == ["latch 1", "ClosePosition"]
        assert scene.guard.health.missing == ("journal: RuntimeError('a bug')",)
        monkeypatch.setattr(scene.journal, "commit", sound)
        await moment()
        assert (len(scene.journal.committed), scene.faults()) == (scene.guard.engine.sequence, [])


async def test_says_from_the_start_that_it_cannot_be_written() -> None:
    scene = LatchScene()
    await scene.begin()
    await scene.guard.stop()
    scene.latch.refusal = "the disk is full"
    scene.build()
    scene.guard.start()
    await moment()
    assert scene.guard.health.missing == ("latch: the disk is full",)
    scene.latch.refusal = None
    await moment()
    assert scene.faults() == []
    await scene.guard.stop()


async def test_says_when_it_has_no_room() -> None:
    async with latched() as scene:
        scene.latch.left_out = 3
        await scene.breach()
        assert scene.guard.health.missing == ("latch: 3 lockouts have no room in it",)


async def test_a_guard_that_has_stopped_leaves_nothing_trying(monkeypatch: pytest.MonkeyPatch) -> None:
    """With neither journal nor latch to write to, what is saved last was offered to the latch for ever."""
    monkeypatch.setattr(guard, "STOP_S", 0.05)
    monkeypatch.setattr(guard, "LAST_LATCH_S", 0.05)
    async with latched() as scene:
        scene.journal.refusal = scene.latch.refusal = "input/output error"
        await scene.breach()
        await scene.guard.stop()
        assert asyncio.all_tasks() == {asyncio.current_task()}

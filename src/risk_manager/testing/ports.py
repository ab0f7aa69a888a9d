"""Fakes for what surrounds a guard: a clock, a journal and a venue that do what a test says.

    stage = Scenario()
    clock, journal, venue = SceneClock(stage), MemoryJournal(), ScriptedVenue(stage)

All of them write what they were asked to do into `did`; share one list to see the order over several of them.
"""

import asyncio
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

import msgspec

from risk_manager.domain.actions import Action
from risk_manager.domain.coverage import Gap
from risk_manager.domain.decision import Decision
from risk_manager.domain.events import ActionAccepted, ActionRejected, Event, Outcome, Refusal, SnapshotTaken
from risk_manager.domain.fill import Fill
from risk_manager.domain.intent import Intent, IntentState
from risk_manager.domain.lockout import Lockout
from risk_manager.domain.scope import Scope
from risk_manager.ports.journal import JournalUnavailable, Record, Recovered, Story
from risk_manager.testing.events import Scenario

SECOND_NS = 1_000_000_000


class SceneClock:
    """Implements `ports.clock.Clock` on a scenario's time, which passes only when the test lets it."""

    def __init__(self, scene: Scenario) -> None:
        self._scene = scene
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._numbers = count()
        self._called_off: set[int] = set()

    def now_ns(self) -> int:
        return self._scene.now_ns

    def call_at(self, at_ns: int, callback: Callable[[], None]) -> Callable[[], None]:
        number = next(self._numbers)
        heappush(self._due, (at_ns, number, callback))
        return lambda: self._called_off.add(number)

    async def pass_time(self, seconds: float) -> None:
        """Let time pass, and call what falls due at its own time; everybody acts on it before the next."""
        until_ns = self._scene.now_ns + int(seconds * SECOND_NS)
        while self._due and self._due[0][0] <= until_ns:
            at_ns, number, callback = heappop(self._due)
            self._scene.now_ns = max(self._scene.now_ns, at_ns)
            if number in self._called_off:
                self._called_off.discard(number)
            else:
                callback()
                await settled()
        self._scene.now_ns = max(self._scene.now_ns, until_ns)


class MemoryJournal:
    """Implements `ports.journal.Journal` in memory.

    Attributes:
        committed: decisions in the order they were stored.   saved: (trading day, fills, snapshot) of every save.
        gaps: by their beginning.   records: of enforcements, by id.
        refusal: while set, every commit and save fails with this text.
        gate: while cleared, a commit waits; it is stored when the gate opens, unless its caller has gone by then.
    """

    def __init__(self, did: list[str] | None = None) -> None:
        self.did = did if did is not None else []
        self.committed: list[Decision] = []
        self.saved: list[tuple[str, tuple[Fill, ...], bytes]] = []
        self.gaps: dict[int, Gap] = {}
        self.records: dict[str, Record] = {}
        self.refusal: str | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.is_closed = False

    async def recover(self, account_id: str) -> Recovered:
        lockouts: dict[tuple[Scope, str], Lockout] = {}
        intents: dict[str, Intent] = {}
        mine = [decision for decision in self.committed if decision.account_id == account_id]
        for decision in mine:
            for release in decision.lockouts_released:
                lockouts.pop((release.scope, release.rule), None)
            lockouts |= {(lockout.scope, lockout.rule): lockout for lockout in decision.lockouts_set}
            intents |= {intent.id: intent for intent in decision.intents}
        return Recovered(
            mine[-1].sequence if mine else 0,
            self.saved[-1][2] if self.saved else None,
            tuple(lockouts.values()),
            tuple(intent for intent in intents.values() if intent.state is IntentState.OPEN),
            tuple(gap for _, gap in sorted(self.gaps.items())),
        )

    async def commit(self, decision: Decision) -> None:
        await self.gate.wait()
        if self.refusal is not None:
            raise JournalUnavailable(self.refusal)
        if decision not in self.committed:
            self.committed.append(decision)
            self.did.append(f"commit {decision.sequence}")

    async def save(
        self, account_id: str, trading_day: str, fills: tuple[Fill, ...], snapshot: bytes, gaps: tuple[Gap, ...] = ()
    ) -> None:
        if self.refusal is not None:
            raise JournalUnavailable(self.refusal)
        self.saved.append((trading_day, fills, snapshot))
        self.gaps |= {gap.began_ns: gap for gap in gaps}
        self.did.append("save")

    async def remember(self, records: tuple[Record, ...]) -> None:
        self.records |= {record.id: record for record in records}

    async def story(self, intent_id: str, *, most_bytes: int | None = None) -> Story | None:
        found = [each for each in self.committed if intent_id in [intent.id for intent in each.intents]]
        return Story(tuple(found), self.records.get(intent_id)) if found else None

    async def decisions(
        self, account_id: str, *, after: int = 0, most: int = 100, most_bytes: int | None = None
    ) -> tuple[Decision, ...]:
        found = [each for each in self.committed if each.account_id == account_id and each.sequence > after]
        return tuple(found[-most:])

    async def close(self) -> None:
        self.is_closed = True


class ScriptedVenue:
    """Implements `ports.venue.Venue`: it takes every action, and tells of the scenario only what it is asked.

    Attributes:
        executed: the actions sent, in order.   snapshots: whether each snapshot read was a full one.
        answer: makes the outcome of an action; by default it is accepted. It may raise.
        failure: raised by the next snapshot.
        events: what `run` waits for and delivers; an exception in it ends the run.
    """

    def __init__(self, scene: Scenario, did: list[str] | None = None) -> None:
        self.did = did if did is not None else []
        self.executed: list[Action] = []
        self.snapshots: list[bool] = []
        self.answer: Callable[[Action], Outcome] = self._accepted
        self.failure: Exception | None = None
        self.events: asyncio.Queue[Event | Exception] = asyncio.Queue()
        self.is_closed = False
        self._scene = scene

    async def run(self, account_ids: tuple[str, ...], deliver: Callable[[Event], None]) -> None:
        self.did.append("run")
        while True:
            event = await self.events.get()
            if isinstance(event, Exception):
                raise event
            deliver(event)

    async def snapshot(self, account_id: str, *, full: bool) -> SnapshotTaken:
        self.snapshots.append(full)
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure
        taken = self._scene.snapshot()
        return taken if full else msgspec.structs.replace(taken, account=None, fills=None)

    async def execute(self, account_id: str, action: Action, is_due: Callable[[], bool] | None = None) -> Outcome:
        if is_due is not None and not is_due():
            now_ns = self._scene.now_ns
            return ActionRejected(self._scene.account_id, action.id, Refusal.OTHER, "not sent", now_ns, now_ns)
        self.executed.append(action)
        self.did.append(type(action).__name__)
        return self.answer(action)

    async def close(self) -> None:
        self.is_closed = True

    def _accepted(self, action: Action) -> Outcome:
        return ActionAccepted(self._scene.account_id, action.id, self._scene.now_ns, self._scene.now_ns)


async def settled(turns: int = 30) -> None:
    """Return when the event loop has had so many turns: enough for all that waits for nothing outside."""
    for _ in range(turns):
        await asyncio.sleep(0)

"""One guard with everything around it faked, and a scenario to feed it from."""

import contextlib
from collections.abc import AsyncIterator, Iterable
from itertools import count
from typing import Any

import msgspec

from risk_manager.domain.events import Event
from risk_manager.engine import EngineSettings, Mode
from risk_manager.rules import Rule, build_rules
from risk_manager.runtime.guard import DecisionListener, Guard
from risk_manager.runtime.recovery import recovered
from risk_manager.runtime.rules_in_force import RulesInForce
from risk_manager.testing.events import DAYS, Scenario
from risk_manager.testing.ports import SECOND_NS, MemoryJournal, SceneClock, ScriptedVenue, settled

POLL_S = 3
LOCKING = build_rules({"max_contracts": {"limit": 3, "action": "flatten", "lockout": "until_reset"}})


class GuardScene:
    """Attributes: did: commits, saves and venue calls in their order."""

    def __init__(self) -> None:
        self.did: list[str] = []
        self.story = Scenario()
        self.clock = SceneClock(self.story)
        self.journal = MemoryJournal(self.did)
        self.venue = ScriptedVenue(self.story, self.did)
        self.guard: Guard

    async def recover(
        self,
        rules: tuple[Rule, ...] = LOCKING,
        mode: Mode = Mode.ENFORCE,
        listeners: tuple[DecisionListener, ...] = (),
        in_force: RulesInForce | None = None,
        first_poll_s: int = POLL_S,
        unheard_polls_per_full: int = 1,
    ) -> None:
        """Have a guard with what the journal remembers, not started."""
        ticks = count(step=1_000)
        settings = EngineSettings(self.story.account_id, DAYS, rules, mode)
        engine, coverage = await recovered(settings, self.journal)
        self.guard = Guard(
            "practice",
            engine,
            settings,
            self.venue,
            self.journal,
            self.clock,
            lambda: next(ticks),
            poll_ns=POLL_S * SECOND_NS,
            first_poll_ns=first_poll_s * SECOND_NS,
            unheard_polls_per_full=unheard_polls_per_full,
            listeners=listeners,
            in_force=in_force,
            coverage=coverage,
        )

    async def start(self, **given: Any) -> None:
        """Recover a guard, start it and read the account once."""
        await self.recover(**given)
        self.guard.start()
        await self.feed(self.story.snapshot())

    async def feed(self, *events: Event | Iterable[Event]) -> None:
        """Deliver events and wait until nothing more follows by itself."""
        self.deliver(*events)
        await settled()

    def deliver(self, *events: Event | Iterable[Event]) -> None:
        for item in events:
            for event in _each(item):
                self.guard.deliver(event)

    def sent(self) -> list[str]:
        """Names of the actions sent so far."""
        return [type(action).__name__ for action in self.venue.executed]

    def faults(self) -> list[str]:
        """Names of what the guard says is wrong."""
        return [line.partition(":")[0] for line in self.guard.health.missing]


def _each(item: Any) -> Iterable[Event]:
    return (item,) if isinstance(item, msgspec.Struct) else item  # type: ignore[return-value]  # every Struct is an event


@contextlib.asynccontextmanager
async def guarded(**given: Any) -> AsyncIterator[GuardScene]:
    """A started guard; it is stopped with the block."""
    scene = GuardScene()
    await scene.start(**given)
    try:
        yield scene
    finally:
        await scene.guard.stop()

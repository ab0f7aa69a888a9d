"""A day as a guard lives it: an engine between a recorder and a journal, both on a real disk."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from risk_manager.config.calendar import build_calendar
from risk_manager.domain.decision import Decision
from risk_manager.domain.events import Event, RulesChanged
from risk_manager.domain.trading_day import TradingDays
from risk_manager.engine import Engine, EngineSettings
from risk_manager.persistence.recorder import FlightRecorder
from risk_manager.persistence.recording import ARRAY, MAGIC, Circumstances, Entry, Segment, packed, segments
from risk_manager.persistence.recording_room import RecorderLimits
from risk_manager.persistence.sqlite_journal import SqliteJournal
from risk_manager.replay.day import replay_day
from risk_manager.replay.fingerprints import of_calendar, of_code, of_days
from risk_manager.replay.segment import Replayed, Surroundings
from risk_manager.rules import RULES, Rule
from risk_manager.testing.events import DAYS, Scenario
from risk_manager.testing.ports import SceneClock

DAY = "2025-01-15"
HERE = Circumstances(
    name="practice",
    reset_time="17:00",
    timezone="America/Chicago",
    revision="a" * 64,
    version="0.1.0",
    code=of_code(),
    calendar=of_calendar(),
    days=of_days(DAYS),
)


def days_of(reset_time: str, timezone: str) -> TradingDays:
    assert (reset_time, timezone) == ("17:00", "America/Chicago")
    return DAYS


def surroundings(classes: dict[str, type[Rule]] | None = None) -> Surroundings:
    return Surroundings(build_calendar(), days_of, dict(RULES) if classes is None else classes)


class RecordedDay:
    """Feed it; `stop` or `kill` it; `restart` it; `replay` it.

    Attributes:
        commits: whether decisions reach the journal.
    """

    def __init__(self, data: Path, *rules: Rule, limits: RecorderLimits | None = None) -> None:
        self.data = data
        self.venue = Scenario()
        self.clock = SceneClock(self.venue)
        self.settings = EngineSettings(self.venue.account_id, DAYS, rules, calendar=build_calendar())
        self.engine = Engine(self.settings)
        self.commits = True
        self._decided: list[Decision] = []
        self._limits = limits
        self._begin()

    def _begin(self) -> None:
        self._recorder = FlightRecorder(self.data, self.clock, self._limits)
        here = msgspec.structs.replace(HERE, is_journaled=self.commits)
        self.recording = self._recorder.record(self.engine, self.settings, here)

    async def feed(self, *events: Event | Iterable[Event]) -> None:
        """Let the engine receive them; what it decides is committed before it stops or dies."""
        for item in events:
            for event in (item,) if isinstance(item, msgspec.Struct) else item:
                self.recording.take(event)
                decision = self.engine.receive(event)
                if decision and self.commits:
                    self._decided.append(decision)

    async def change_rules(self, *rules: Rule) -> None:
        self.settings = msgspec.structs.replace(self.settings, rules=rules)
        self.engine.change_rules(rules)
        changed: RulesChanged = self.venue.rules_changed()
        await self.feed(changed)

    async def stop(self) -> None:
        await self._recorder.close()
        journal = await SqliteJournal.open(self.data)
        for decision in self._decided:
            await journal.commit(decision)
        await journal.close()
        self._decided.clear()

    async def kill(self) -> None:
        """Die: what has not been flushed is lost, and nothing is said."""
        self.recording._segment = None
        await self.stop()

    async def restart(self, **given: Any) -> None:
        """Go on as after a recovery from the engine's own snapshot."""
        self.engine = Engine.restore(self.settings, self.engine.snapshot(), **given)
        self._begin()

    async def run_without_journal(self, *events: Event) -> None:
        """Be started where the disk refuses, with nothing remembered, receive these and stop; then go on as before."""
        engine, self.engine, self.commits = self.engine, Engine(self.settings), False
        self._begin()
        await self.feed(*events)
        await self.stop()
        self.engine, self.commits = engine, True

    def files(self) -> list[Path]:
        return [path for paths in segments(self.data).values() for _, path in paths]

    def replay(self, classes: dict[str, type[Rule]] | None = None, day: str = DAY) -> list[Replayed]:
        return [replayed for _, replayed in replay_day(self.data, day, None, surroundings(classes))]


def rewrite(path: Path, change: Callable[[list[Entry]], Iterable[Entry]]) -> None:
    """Put another recording in the place of a file, well-formed."""
    entries = list(change(list(Segment(path))))
    raw = ARRAY.pack(0xDD, len(entries)) + b"".join(map(msgspec.msgpack.encode, entries))
    path.write_bytes(MAGIC + packed(raw, b""))

"""The flight recorder: every event an engine receives goes into a file, off the way to the venue.

An event is encoded into memory when it is received, which is less than a microsecond. Once a second what has gathered
is handed to a thread, which compresses and writes it, both without holding up the guard. So a crash costs at most the
last second; the disk is not asked to make it durable, so a power cut may cost more, and the journal tells how much.

A segment begins with the engine's snapshot: at the start, with a new trading day, and after a disk that refused.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

import msgspec
import structlog

from risk_manager.domain.events import Event, RulesChanged
from risk_manager.engine import Engine, EngineSettings
from risk_manager.persistence.recorded_rules import RecordedRules, recorded_rules
from risk_manager.persistence.recording import (
    ARRAY,
    FOLDER,
    MAGIC,
    WINDOW_BYTES,
    Beginning,
    Circumstances,
    Ended,
    packed,
)
from risk_manager.persistence.recording_room import RecorderLimits, Room
from risk_manager.ports.clock import Clock
from risk_manager.rules import Rule

FLUSH_NS = 1_000_000_000
"""How much a crash may cost."""

AGAIN_NS = 10_000_000_000
"""How long the recorder leaves a disk alone that refused."""

MOST_BLOCK_BYTES = 1 << 20
MOST_WAITING = 64
"""Blocks that may wait for a slow disk; with more of them it counts as one that refuses."""

STOP_S = 2.0

_NEVER = 1 << 62
_encode_into = msgspec.msgpack.Encoder().encode_into

log = structlog.get_logger("recorder")


class FlightRecorder:
    """The recordings of all accounts in a data directory, and the thread that writes them."""

    def __init__(self, data: Path, clock: Clock, limits: RecorderLimits | None = None) -> None:
        self._room = Room(data / FOLDER, limits or RecorderLimits())
        self._clock = clock
        self._recordings: list[Recording] = []
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = Thread(target=self._work, name="flight-recorder", daemon=True)
        self._thread.start()

    def record(self, engine: Engine, settings: EngineSettings, circumstances: Circumstances) -> "Recording":
        """The recording of one engine, which begins with the next event it is given."""
        recording = Recording(engine, settings, circumstances, self._clock, self._begin)
        self._recordings.append(recording)
        return recording

    async def close(self) -> None:
        """End every recording in order, and wait for the disk for a moment; idempotent."""
        for recording in self._recordings:
            recording.end()
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join, STOP_S)

    def _begin(self, account_id: str, day: str) -> "_Segment":
        return _Segment(account_id, day, self._room, self._jobs.put)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()


class Recording:
    """What one engine receives. Implements `ports.recorder.Recorder`."""

    def __init__(
        self,
        engine: Engine,
        settings: EngineSettings,
        circumstances: Circumstances,
        clock: Clock,
        begin: Callable[[str, str], "_Segment"],
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._circumstances = circumstances
        self._clock = clock
        self._open = begin
        self._because = "the guard started"
        self._written: tuple[tuple[Rule, ...], RecordedRules] = (), RecordedRules({})
        self._segment: _Segment | None = None
        self._buffer = _empty()
        self._count = 0
        # Venue time from which on another segment is needed; so the first event finds that none has begun.
        self._until_ns = -1
        self._cancel: Callable[[], None] | None = None

    def take(self, event: Event) -> None:
        """See `ports.recorder.Recorder`."""
        try:
            if event.at_ns >= self._until_ns:
                self._begin(event.at_ns)
            if self._segment is None:
                return
            if type(event) is RulesChanged:
                self._add(self._rules())
            _encode_into(event, self._buffer, -1)
            self._count += 1
            if self._cancel is None:
                self._cancel = self._clock.call_at(self._clock.now_ns() + FLUSH_NS, self._flush)
            if len(self._buffer) > MOST_BLOCK_BYTES:
                self._hand_over()
        except Exception as error:  # noqa: BLE001  # the guarding goes on without a recording
            self._interrupt(repr(error))

    def end(self) -> None:
        """Write what there is and record nothing more; idempotent."""
        self._finish()
        self._until_ns = _NEVER
        if self._cancel is not None:
            self._cancel()

    def _begin(self, at_ns: int) -> None:
        """Begin a segment with the engine as it is before an event of this venue time."""
        if self._segment is not None:
            self._finish()
            self._because = "a trading day began" if self._engine.account.now_ns else "the venue told the trading day"
        engine, now_ns = self._engine, self._clock.now_ns()
        venue_ns = max(at_ns, engine.account.now_ns)
        day = self._settings.days.day_of(venue_ns or now_ns)
        # An engine that has not heard from the venue yet does not know its day: the first word of it decides.
        self._until_ns = day.end_ns if venue_ns else 1
        self._segment = self._open(self._settings.account_id, day.label)
        self._add(
            Beginning(
                self._settings.account_id,
                day.label,
                self._because,
                now_ns,
                self._settings.mode,
                self._settings.pacing,
                self._circumstances,
                self._rules(),
                engine.sequence,
                engine.snapshot(),
            )
        )

    def _rules(self) -> RecordedRules:
        """The rules in force; written out only when they are others, which takes milliseconds."""
        rules = self._engine.rules
        if rules is not self._written[0]:
            self._written = rules, recorded_rules(rules)
        return self._written[1]

    def _add(self, entry: msgspec.Struct) -> None:
        _encode_into(entry, self._buffer, -1)
        self._count += 1

    def _finish(self) -> None:
        if self._segment is not None:
            self._add(Ended(self._clock.now_ns(), self._engine.sequence))
            self._hand_over()
            self._segment = None

    def _flush(self) -> None:
        self._cancel = None
        if self._segment is None:
            return
        if self._segment.fault is not None:
            self._interrupt(self._segment.fault)
        else:
            self._hand_over()

    def _hand_over(self) -> None:
        if self._segment is not None and self._count:
            ARRAY.pack_into(self._buffer, 0, 0xDD, self._count)
            self._segment.put(self._buffer)
        self._buffer, self._count = _empty(), 0

    def _interrupt(self, why: str) -> None:
        """Leave the disk alone for a while, and begin a new segment then: what follows a gap needs a new snapshot."""
        because = f"the recording was interrupted: {why}"
        if self._because != because:
            log.error("recording interrupted", account=self._circumstances.name, error=why)
        self._because = because
        self._segment, self._buffer, self._count, self._until_ns = None, _empty(), 0, _NEVER
        if self._cancel is not None:
            self._cancel()
        self._cancel = self._clock.call_at(self._clock.now_ns() + AGAIN_NS, self._resume)

    def _resume(self) -> None:
        self._cancel, self._until_ns = None, -1


class _Segment:
    """One file being written. `put` belongs to the event loop, `_append` to the thread; either may set `fault`."""

    def __init__(self, account_id: str, day: str, room: Room, do: Callable[[Callable[[], None]], None]) -> None:
        self.fault: str | None = None
        self._account_id = account_id
        self._day = day
        self._room = room
        self._do = do
        self._path: Path | None = None
        self._last: bytes | bytearray = b""
        self._put = 0
        self._done = 0

    def put(self, raw: bytearray) -> None:
        """Have a block written after those before it."""
        if self._put - self._done >= MOST_WAITING:
            self.fault = "the disk does not keep up"
            return
        self._put += 1
        self._do(partial(self._append, raw))

    def _append(self, raw: bytearray) -> None:
        try:
            # After a block that is missing or torn none can be read.
            if self.fault is None:
                self._write(packed(raw, self._last))
                self._last = raw[-WINDOW_BYTES:]
        except Exception as error:  # noqa: BLE001  # the thread writes for the other accounts too
            self.fault = str(error)
        finally:
            self._done += 1

    def _write(self, block: bytes) -> None:
        if self._path is None:
            block = MAGIC + block
            self._path = self._room.new_file(self._account_id, self._day, len(block))
        else:
            self._room.claim(len(block))
        with self._path.open("ab") as file:
            file.write(block)


def _empty() -> bytearray:
    return bytearray(ARRAY.size)

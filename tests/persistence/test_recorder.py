"""The flight recorder: what was received is what is read, whatever befalls the file or the disk."""

import asyncio
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk_manager.domain.events import Event
from risk_manager.engine import Engine, EngineSettings
from risk_manager.persistence.recorded_rules import RecordedRules
from risk_manager.persistence.recorder import FlightRecorder, Recording
from risk_manager.persistence.recording import FOLDER, Beginning, Circumstances, Ended, Entry, Segment, segments
from risk_manager.persistence.recording_room import RecorderLimits
from risk_manager.rules import MaxContracts, Rule
from risk_manager.testing.events import DAY_NS, DAYS, ES, Scenario
from risk_manager.testing.ports import SceneClock
from tests.engine.test_any_events import days

HERE = Circumstances("practice", "17:00", "America/Chicago", "revision", "0.1.0", "code", "calendar", "days")
TORN = "torn"


class Recorded:
    """An engine that is recorded, and the files that come of it."""

    def __init__(
        self, data: Path, *rules: Rule, limits: RecorderLimits | None = None, account_id: str = "1001"
    ) -> None:
        self.data = data
        self.venue = Scenario(account_id)
        self.clock = SceneClock(self.venue)
        self.settings = EngineSettings(account_id, DAYS, rules)
        self.engine = Engine(self.settings)
        self.recorder = FlightRecorder(data, self.clock, limits)
        self.recording: Recording = self.recorder.record(self.engine, self.settings, HERE)

    def receive(self, *events: Event) -> None:
        for event in events:
            self.recording.take(event)
            self.engine.receive(event)

    async def written(self) -> None:
        """Return when the thread has done everything asked so far."""
        done = asyncio.Event()
        loop = asyncio.get_running_loop()

        def tell() -> None:
            loop.call_soon_threadsafe(done.set)

        self.recorder._jobs.put(tell)
        await asyncio.wait_for(done.wait(), 5)

    def files(self) -> list[str]:
        return [path.name for paths in segments(self.data).values() for _, path in paths]

    def segments(self) -> list[list[Entry]]:
        return [list(Segment(path)) for paths in segments(self.data).values() for _, path in paths]


def events_in(entries: list[Entry]) -> list[Entry]:
    return [entry for entry in entries if not isinstance(entry, Beginning | RecordedRules | Ended)]


def beginning_of(entries: list[Entry]) -> Beginning:
    first = entries[0]
    assert isinstance(first, Beginning)
    return first


def write(folder: Path, stream: list[Event], *, blocks_of: int) -> list[Path]:
    """Record a stream, some events a block; the files in their order."""
    recorded = Recorded(folder)
    for count, event in enumerate(stream, start=1):
        recorded.receive(event)
        if count % blocks_of == 0:
            recorded.recording._hand_over()
    asyncio.run(recorded.recorder.close())
    return [path for _, path in segments(folder).get("1001", [])]


@given(days(), st.integers(1, 10))
@settings(max_examples=40, deadline=None)
def test_reads_exactly_what_was_received(stream: list[Event], blocks_of: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        read = [list(Segment(path)) for path in write(Path(folder), stream, blocks_of=blocks_of)]
        assert [entry for entries in read for entry in events_in(entries)] == stream
        assert all(isinstance(entries[-1], Ended) for entries in read)


@given(days(), st.integers(1, 10), st.data())
@settings(max_examples=40, deadline=None)
def test_a_file_cut_off_anywhere_reads_as_a_prefix(stream: list[Event], blocks_of: int, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for path in write(Path(folder), stream, blocks_of=blocks_of):
            whole, content = list(Segment(path)), path.read_bytes()
            length = data.draw(st.integers(0, len(content)))
            path.write_bytes(content[:length])
            segment = Segment(path)
            read = list(segment)
            assert read == whole[: len(read)]
            assert (segment.fault is None) == (read == whole or length in _ends_of_blocks(content))


def _ends_of_blocks(content: bytes) -> Iterator[int]:
    at = content.index(b"\n") + 1
    while at < len(content):
        yield at
        at += 8 + int.from_bytes(content[at : at + 4], "little")
    yield at


def test_a_changed_byte_ends_what_is_read_and_is_said(tmp_path: Path) -> None:
    venue = Scenario()
    (path,) = write(tmp_path, [venue.quote(ES, 5800) for _ in range(30)], blocks_of=10)[-1:]
    whole, content = list(Segment(path)), path.read_bytes()
    for at in range(len(content)):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        segment = Segment(path)
        read = list(segment)
        assert read == whole[: len(read)]
        assert len(read) < len(whole)
        assert segment.fault is not None


async def test_begins_with_the_engine_before_the_first_event(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path, MaxContracts(limit=3))
    recorded.engine.receive(recorded.venue.snapshot())
    before = recorded.engine.snapshot()
    recorded.receive(recorded.venue.quote(ES, 5800))
    await recorded.recorder.close()
    (entries,) = recorded.segments()
    beginning = beginning_of(entries)
    assert (beginning.account_id, beginning.trading_day, beginning.sequence) == ("1001", "2025-01-15", 0)
    assert beginning.snapshot == before
    assert list(beginning.rules.sections) == ["max_contracts"]
    assert beginning.rules.sections["max_contracts"]["limit"] == 3
    assert [type(entry).__name__ for entry in entries] == ["Beginning", "QuoteUpdated", "Ended"]


async def test_a_new_trading_day_is_another_file_and_begins_before_its_first_event(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path)
    recorded.receive(recorded.venue.snapshot(), recorded.venue.quote(ES, 5800))
    before = recorded.engine.snapshot()
    recorded.venue.now_ns += DAY_NS
    recorded.receive(recorded.venue.quote(ES, 5801), recorded.venue.quote(ES, 5802))
    await recorded.recorder.close()
    assert recorded.files() == ["2025-01-15.1.rec", "2025-01-16.1.rec"]
    assert [len(events_in(entries)) for entries in recorded.segments()] == [2, 2]
    assert beginning_of(recorded.segments()[1]).snapshot == before


async def test_what_comes_before_the_venues_first_word_is_a_segment_of_its_own(tmp_path: Path) -> None:
    """The local clock may be wrong about the day; the venue's is not."""
    recorded = Recorded(tmp_path)
    recorded.venue.now_ns -= DAY_NS
    timer = recorded.venue.timer()
    recorded.venue.now_ns += DAY_NS
    recorded.receive(timer)
    recorded.receive(recorded.venue.snapshot())
    await recorded.recorder.close()
    assert recorded.files() == ["2025-01-15.1.rec", "2025-01-15.2.rec"]
    assert events_in(recorded.segments()[0]) == [timer]


async def test_a_restart_on_the_same_day_does_not_touch_the_earlier_file(tmp_path: Path) -> None:
    first = Recorded(tmp_path)
    first.engine.receive(first.venue.snapshot())
    first.receive(first.venue.quote(ES, 5800))
    await first.recorder.close()
    (path,) = (path for _, path in segments(tmp_path)["1001"])
    content = path.read_bytes()
    second = Recorded(tmp_path)
    second.engine.receive(second.venue.snapshot())
    second.receive(second.venue.quote(ES, 5800))
    await second.recorder.close()
    assert second.files() == ["2025-01-15.1.rec", "2025-01-15.2.rec"]
    assert path.read_bytes() == content


async def test_the_rules_stand_before_the_event_that_they_changed(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path, MaxContracts(limit=3))
    recorded.receive(recorded.venue.snapshot())
    recorded.engine.change_rules((MaxContracts(limit=2),))
    recorded.receive(recorded.venue.rules_changed())
    await recorded.recorder.close()
    entries = recorded.segments()[-1]
    assert [type(entry).__name__ for entry in entries[-3:]] == ["RecordedRules", "RulesChanged", "Ended"]
    rules = entries[-3]
    assert isinstance(rules, RecordedRules)
    assert rules.sections["max_contracts"]["limit"] == 2


async def test_writes_at_least_every_second(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path)
    recorded.receive(recorded.venue.snapshot(), recorded.venue.quote(ES, 5800))
    await recorded.clock.pass_time(0.9)
    await recorded.written()
    assert [len(events_in(entries)) for entries in recorded.segments()] == []
    await recorded.clock.pass_time(0.2)
    await recorded.written()
    assert [len(events_in(entries)) for entries in recorded.segments()] == [2]
    await recorded.recorder.close()


async def test_goes_on_in_a_new_segment_after_the_disk_refused(tmp_path: Path) -> None:
    in_the_way = tmp_path / FOLDER
    in_the_way.write_text("no folder")
    recorded = Recorded(tmp_path)
    recorded.receive(recorded.venue.snapshot())
    await recorded.clock.pass_time(1.1)
    await recorded.written()
    recorded.receive(recorded.venue.quote(ES, 5800))
    await recorded.clock.pass_time(1.1)
    recorded.receive(recorded.venue.quote(ES, 5801))
    in_the_way.unlink()
    await recorded.clock.pass_time(11)
    last = recorded.venue.quote(ES, 5802)
    state = recorded.engine.snapshot()
    recorded.receive(last)
    await recorded.recorder.close()
    (entries,) = recorded.segments()
    assert beginning_of(entries).because.startswith("the recording was interrupted: ")
    assert beginning_of(entries).snapshot == state
    assert events_in(entries) == [last]


async def test_a_disk_that_does_not_keep_up_loses_the_recording_and_not_the_memory(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path)
    gate = threading.Event()

    def hang() -> None:
        gate.wait(10)

    recorded.recorder._jobs.put(hang)
    recorded.receive(recorded.venue.snapshot())
    for _ in range(70):
        recorded.receive(recorded.venue.quote(ES, 5800))
        await recorded.clock.pass_time(1.1)
    assert recorded.recorder._jobs.qsize() == 64
    gate.set()
    await recorded.clock.pass_time(11)
    last = recorded.venue.quote(ES, 5802)
    recorded.receive(last)
    await recorded.recorder.close()
    read = recorded.segments()
    assert "does not keep up" in beginning_of(read[-1]).because
    assert events_in(read[-1]) == [last]


async def test_takes_nothing_more_after_the_end(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path)
    recorded.receive(recorded.venue.snapshot())
    await recorded.recorder.close()
    recorded.receive(recorded.venue.quote(ES, 5800))
    await recorded.recorder.close()
    assert [len(events_in(entries)) for entries in recorded.segments()] == [1]


# -- room --------------------------------------------------------------------------------------------------------------


async def record_days(data: Path, count: int, quotes: int, limits: RecorderLimits) -> Recorded:
    recorded = Recorded(data, limits=limits)
    recorded.engine.receive(recorded.venue.snapshot())
    for _ in range(count):
        for number in range(quotes):
            recorded.receive(recorded.venue.quote(ES, 5800 + number % 50 * 0.25))
        recorded.recording._hand_over()
        await recorded.written()
        recorded.venue.now_ns += DAY_NS
    await recorded.recorder.close()
    return recorded


@pytest.mark.parametrize(
    ("kept", "files"),
    [
        (1, ["2025-01-17.1.rec"]),
        (2, ["2025-01-16.1.rec", "2025-01-17.1.rec"]),
        (9, ["2025-01-15.1.rec", "2025-01-16.1.rec", "2025-01-17.1.rec"]),
    ],
)
async def test_keeps_so_many_days(kept: int, files: list[str], tmp_path: Path) -> None:
    recorded = await record_days(tmp_path, 3, 1, RecorderLimits(days=kept))
    assert recorded.files() == files


async def test_keeps_within_its_bytes_and_drops_the_oldest_day_first(tmp_path: Path) -> None:
    free = await record_days(tmp_path / "free", 3, 2_000, RecorderLimits())
    sizes = [path.stat().st_size for _, path in segments(free.data)["1001"]]
    most_bytes = sizes[1] + sizes[2] + 100
    bound = await record_days(tmp_path / "bound", 3, 2_000, RecorderLimits(most_bytes=most_bytes))
    assert bound.files() == ["2025-01-16.1.rec", "2025-01-17.1.rec"]


async def test_never_drops_the_running_day_and_stops_instead(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path, limits=RecorderLimits(days=1, most_bytes=6_000))
    recorded.engine.receive(recorded.venue.snapshot())
    for number in range(2_000):
        recorded.receive(recorded.venue.quote(ES, 5800 + number * number % 997 * 0.25))
        if number % 100 == 0:
            recorded.recording._hand_over()
            await recorded.written()
    await recorded.clock.pass_time(100)
    recorded.receive(recorded.venue.quote(ES, 5800))
    await recorded.recorder.close()
    assert {day for day, _ in segments(tmp_path)["1001"]} == {"2025-01-15"}
    assert len(events_in(recorded.segments()[0])) > 50
    assert 4_000 < sum(path.stat().st_size for _, path in segments(tmp_path)["1001"]) <= 6_000


async def test_drops_days_of_accounts_that_are_not_guarded_any_more(tmp_path: Path) -> None:
    gone = Recorded(tmp_path, account_id="7")
    gone.engine.receive(gone.venue.snapshot())
    gone.receive(gone.venue.quote(ES, 5800))
    await gone.recorder.close()
    recorded = Recorded(tmp_path, limits=RecorderLimits(days=1))
    recorded.engine.receive(recorded.venue.snapshot())
    recorded.venue.now_ns += DAY_NS
    recorded.receive(recorded.venue.quote(ES, 5800))
    await recorded.recorder.close()
    assert sorted(segments(tmp_path)) == ["1001"]


def test_is_readable_by_the_owner_only(tmp_path: Path) -> None:
    (path,) = write(tmp_path, [Scenario().quote(ES, 5800)], blocks_of=1)
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


def test_refuses_what_is_no_recording(tmp_path: Path) -> None:
    folder = tmp_path / FOLDER / "1001"
    folder.mkdir(parents=True)
    path = folder / "2025-01-15.1.rec"
    for content in (b"", b"something else\n", msgspec.msgpack.encode([1, 2])):
        path.write_bytes(content)
        segment = Segment(path)
        assert list(segment) == []
        assert segment.fault == "this is no recording, or one of another version"
        assert segment.beginning() is None

"""A recorded day gives the same decisions again, and whatever was changed about it is found."""

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk_manager.domain.decision import Decision
from risk_manager.domain.events import ConnectionChanged, Event, FillReceived, Link
from risk_manager.persistence.committed import committed_decisions
from risk_manager.persistence.reading import Unreadable
from risk_manager.persistence.recorded_rules import RecordedRules
from risk_manager.persistence.recording import Beginning, Entry
from risk_manager.persistence.sqlite_journal import SqliteJournal
from risk_manager.replay.day import NothingRecorded, replay_day
from risk_manager.replay.difference import Difference, differences
from risk_manager.rules import RULES, DailyUnrealizedLoss, MaxContracts
from risk_manager.rules._base import LockTerms, LockUntil
from risk_manager.testing.events import DAY_NS, ES, MNQ, micros
from tests.engine.test_any_events import PAUSE, days
from tests.engine.test_any_events import RULES as FIVE
from tests.replay.recorded import DAY, RecordedDay, rewrite, surroundings

LOCKING = MaxContracts(limit=3, lockout=LockTerms(LockUntil.RESET))


async def breaking(data: Path) -> RecordedDay:
    """Two contracts, then five of three allowed: decision 1, and 2 when a quote makes the loss too large, too."""
    day = RecordedDay(data, LOCKING, DailyUnrealizedLoss(loss_limit_micros=micros(300)))
    venue = day.venue
    await day.feed(venue.snapshot(), venue.quote(ES, 5800), venue.buys(ES, 2, 5800))
    await day.feed(venue.quote(ES, 5801), venue.buys(ES, 3, 5801), venue.quote(ES, 5799))
    return day


async def test_the_same_decisions_come_out(tmp_path: Path) -> None:
    day = await breaking(tmp_path)
    await day.feed(day.venue.quote(ES, 5798), day.venue.snapshot())
    await day.stop()
    (found,) = day.replay()
    assert found.decisions == found.identical == day.engine.sequence >= 2
    assert (found.missing, found.uncommitted, found.errors, found.fault) == ((), 0, 0, None)
    assert found.is_whole
    assert found.notes == ()
    assert found.divergence is None


async def test_over_a_restart_a_day_and_other_rules(tmp_path: Path) -> None:
    day = await breaking(tmp_path)
    await day.stop()
    await day.restart()
    await day.feed(day.venue.snapshot())
    await day.change_rules(MaxContracts(limit=1), *PAUSE)
    await day.feed(day.venue.buys(MNQ, 4, 20_000))
    day.venue.now_ns += DAY_NS
    await day.feed(day.venue.snapshot(), day.venue.quote(ES, 5798), day.venue.buys(MNQ, 4, 20_000))
    await day.stop()
    first, second = day.replay(), day.replay(day="2025-01-16")
    assert [each.because for each in (*first, *second)] == [
        "the guard started",
        "the guard started",
        "a trading day began",
    ]
    assert [each.divergence for each in (*first, *second)] == [None] * 3
    assert sum(each.identical for each in (*first, *second)) == day.engine.sequence


@given(days(), days(), st.booleans())
@settings(max_examples=15, deadline=None)
async def test_any_day_comes_out_the_same(before: list[Event], after: list[Event], is_restarted: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        day = RecordedDay(Path(folder), *FIVE)
        await day.feed(before)
        if is_restarted:
            await day.stop()
            await day.restart()
        await day.change_rules(*PAUSE, *FIVE[1:])
        await day.feed(after)
        await day.stop()
        labels = {path.stem.partition(".")[0] for path in day.files()}
        found = [each for label in sorted(labels) for each in day.replay(day=label)]
        assert [each.divergence for each in found if each.divergence] == []
        assert sum(each.identical for each in found) == day.engine.sequence


# -- what a crash leaves -----------------------------------------------------------------------------------------------


async def test_what_a_crash_lost_is_told_from_the_journal(tmp_path: Path) -> None:
    day = await breaking(tmp_path)
    day.recording._hand_over()
    recorded = day.engine.sequence
    await day.feed(day.venue.snapshot(), day.venue.buys(MNQ, 4, 20_000))
    lost = tuple(range(recorded + 1, day.engine.sequence + 1))
    assert lost
    await day.kill()
    await day.restart()
    await day.feed(day.venue.snapshot(), day.venue.quote(ES, 5790))
    await day.stop()
    first, *others = day.replay()
    assert (first.missing, first.is_whole) == (lost, False)
    found = [first, *others]
    assert [each.divergence for each in found] == [None] * len(found)
    assert sum(each.identical for each in found) == day.engine.sequence - len(lost)
    assert [each.missing for each in others] == [()] * len(others)
    assert first.is_complete
    assert first.missing_ns == 3_000_000, "the fill that was too much came three milliseconds after the last flush"


async def test_what_was_decided_and_never_committed_is_told(tmp_path: Path) -> None:
    day = await breaking(tmp_path)
    committed = day.engine.sequence
    day.commits = False
    await day.feed(day.venue.snapshot(), day.venue.buys(MNQ, 4, 20_000))
    ahead = day.engine.sequence - committed
    assert ahead > 0
    day.recording._hand_over()
    await day.kill()
    found = day.replay()
    assert sum(each.uncommitted for each in found) == ahead
    assert sum(each.identical for each in found) == committed
    assert [each.divergence for each in found] == [None] * len(found)


@pytest.mark.parametrize(("silent_s", "is_complete"), [(1.99, True), (2, False)])
async def test_more_than_a_crash_costs_is_not_complete(silent_s: float, is_complete: bool, tmp_path: Path) -> None:
    day = await breaking(tmp_path)
    day.recording._hand_over()
    day.venue.wait(silent_s)
    await day.feed(day.venue.snapshot(), day.venue.buys(MNQ, 4, 20_000))
    await day.kill()
    found = day.replay()
    assert [each.divergence for each in found] == [None] * len(found)
    assert found[-1].missing == (3,)
    assert found[-1].is_complete == is_complete


async def test_a_run_without_a_recorder_is_no_divergence(tmp_path: Path) -> None:
    day = await breaking(tmp_path)
    await day.stop()
    recorded = day.engine.sequence
    await day.feed(day.venue.snapshot(), day.venue.buys(MNQ, 4, 20_000))
    unrecorded = day.engine.sequence - recorded
    assert unrecorded > 0
    await day.restart()
    await day.feed(day.venue.snapshot())
    await day.stop()
    found = day.replay()
    assert [each.divergence for each in found] == [None] * len(found)
    assert (found[0].is_whole, len(found[0].missing), found[0].is_complete) == (True, unrecorded, False)


async def test_what_the_recovery_had_to_restore_was_decided_by_no_engine(tmp_path: Path) -> None:
    """The engine had decided n + 1 and could not commit it; after the restart the recovery's own n + 1 was stored."""
    day = await breaking(tmp_path)
    committed, lockouts = day.engine.sequence, day.engine.account.lockouts
    state = day.engine.snapshot()
    day.commits = False
    await day.feed(day.venue.snapshot(), day.venue.buys(MNQ, 4, 20_000))
    day.recording._hand_over()
    await day.kill()
    cause = ConnectionChanged("1001", Link.REST, False, "lockouts restored: the disk failed", 0, day.venue.now_ns)
    restored = Decision(committed + 1, "1001", DAY, cause, lockouts_set=lockouts)
    journal = await SqliteJournal.open(tmp_path)
    await journal.commit(restored)
    await journal.close()
    day.commits = True
    day.engine = type(day.engine).restore(day.settings, state, sequence=committed + 1)
    await day.restart()
    await day.feed(day.venue.snapshot(), day.venue.buys(MNQ, 2, 20_000))
    await day.stop()
    found = day.replay()
    assert [each.divergence for each in found] == [None] * len(found)
    assert sum(each.identical for each in found) == day.engine.sequence - 1


async def test_a_run_without_a_journal_is_held_against_nothing_and_hides_nothing(tmp_path: Path) -> None:
    day = await breaking(tmp_path)
    await day.stop()
    await day.run_without_journal(day.venue.snapshot(), *day.venue.buys(MNQ, 9, 20_000))
    await day.restart()
    await day.feed(day.venue.snapshot(), day.venue.buys(MNQ, 2, 20_000))
    await day.stop()
    first, without, then = day.replay()
    assert [each.divergence for each in (first, without, then)] == [None, None, None]
    assert (first.identical, without.identical, without.uncommitted) == (2, 0, 2)
    assert (without.missing, first.identical + then.identical) == ((), day.engine.sequence)
    assert without.notes == ("the guard ran without a journal, so there is nothing to hold its decisions against",)
    rewrite(day.files()[0], worse)
    first, *others = day.replay()
    assert first.divergence is not None
    assert first.divergence.sequence == 1
    assert [each.divergence for each in others] == [None, None]


async def test_a_torn_tail_is_left_out_and_said(tmp_path: Path) -> None:
    day = await breaking(tmp_path)
    await day.stop()
    path = day.files()[-1]
    path.write_bytes(path.read_bytes()[:-1])
    found = day.replay()[-1]
    assert found.fault is not None
    assert "the last block is torn; " in found.fault
    assert "bytes from byte 25 on are left out" in found.fault
    assert found.obstacle is not None


# -- what somebody changed ---------------------------------------------------------------------------------------------


def worse(entries: list[Entry]) -> Iterable[Entry]:
    """One event as it was not: the last fill was of one contract more."""
    last, fill = _last(entries, FillReceived)
    more = msgspec.structs.replace(fill.fill, size=fill.fill.size + 1)
    return [*entries[:last], msgspec.structs.replace(fill, fill=more), *entries[last + 1 :]]


def _last[Kind](entries: list[Entry], kind: type[Kind]) -> tuple[int, Kind]:
    return [(at, entry) for at, entry in enumerate(entries) if isinstance(entry, kind)][-1]


async def test_a_changed_event_is_found_at_that_event(tmp_path: Path) -> None:
    day = await breaking(tmp_path)
    await day.stop()
    rewrite(day.files()[-1], worse)
    divergence = day.replay()[-1].divergence
    assert divergence is not None
    assert isinstance(divergence.event, FillReceived)
    assert divergence.event.fill.size == 4
    assert divergence.sequence == 1
    assert Difference("cause.fill.size", "3", "4") in divergence.differences
    assert Difference("findings[0].measured", "5", "6") in divergence.differences


def looser(entries: list[Entry]) -> Iterable[Entry]:
    """One option as it was not: a limit of nine."""
    first = entries[0]
    assert isinstance(first, Beginning)
    sections = {**first.rules.sections, "max_contracts": {**first.rules.sections["max_contracts"], "limit": 9}}
    return [msgspec.structs.replace(first, rules=RecordedRules(sections)), *entries[1:]]


async def test_a_changed_option_is_found_where_it_first_matters(tmp_path: Path) -> None:
    day = await breaking(tmp_path)
    await day.stop()
    rewrite(day.files()[-1], looser)
    found = day.replay()[-1]
    assert found.divergence is not None
    assert isinstance(found.divergence.event, FillReceived), "the replay decided nothing where the guard did"
    assert (found.divergence.sequence, found.divergence.event.fill.size) == (1, 3)
    assert found.identical == 0


def shorter(entries: list[Entry]) -> Iterable[Entry]:
    """Without the event that broke the rule, and whatever came after it; but ended in order."""
    last, _ = _last(entries, FillReceived)
    return [*entries[:last], entries[-1]]


async def test_an_event_taken_out_is_found_when_the_segment_ended_in_order(tmp_path: Path) -> None:
    day = await breaking(tmp_path)
    await day.stop()
    rewrite(day.files()[-1], shorter)
    found = day.replay()[-1]
    assert found.divergence is not None
    assert found.divergence.event is None
    assert [(one.path, one.replay) for one in found.divergence.differences] == [("", None)]


async def test_a_decision_taken_out_of_the_journal_is_found(tmp_path: Path) -> None:
    day = await breaking(tmp_path)
    await day.feed(day.venue.snapshot(), day.venue.snapshot())
    await day.stop()
    bodies = committed_decisions(tmp_path, "1001", 0)
    other = tmp_path / "other"
    shutil.copytree(tmp_path / "recorder", other / "recorder")
    journal = await SqliteJournal.open(other)
    gone = max(bodies) - 1
    for sequence, body in bodies.items():
        if sequence != gone:
            await journal.commit(msgspec.json.decode(body, type=Decision))
    await journal.close()
    found = [each for _, each in replay_day(other, DAY, None, surroundings())]
    assert [each.divergence.sequence for each in found if each.divergence] == [gone]


# -- what cannot be replayed -------------------------------------------------------------------------------------------


class Small(MaxContracts, frozen=True):
    """Somebody's own rule."""

    name: ClassVar[str] = "small"


async def test_a_rule_of_ones_own_is_taken_from_the_configuration(tmp_path: Path) -> None:
    day = RecordedDay(tmp_path, Small(limit=1))
    await day.feed(day.venue.snapshot(), day.venue.buys(ES, 2, 5800))
    await day.stop()

    class Changed(Small, frozen=True):
        pass

    assert [each.notes for each in day.replay({**RULES, "small": Small})] == [()] * len(day.files())
    found = day.replay({**RULES, "small": Changed})
    assert found[-1].notes == ("not as recorded: the code of the rule small",)
    assert [each.divergence for each in found] == [None] * len(found)


async def test_a_rule_that_is_not_to_be_had_is_an_obstacle(tmp_path: Path) -> None:
    class Local(MaxContracts, frozen=True):
        name: ClassVar[str] = "local"

    day = RecordedDay(tmp_path, Local(limit=1))
    await day.feed(day.venue.snapshot(), day.venue.buys(ES, 2, 5800))
    await day.stop()
    for found in day.replay():
        assert found.obstacle is not None
        assert "the rule local is not known here" in found.obstacle


async def test_a_snapshot_of_another_version_is_an_obstacle(tmp_path: Path) -> None:
    day = await breaking(tmp_path)
    await day.stop()

    def other(entries: list[Entry]) -> Iterable[Entry]:
        first = entries[0]
        assert isinstance(first, Beginning)
        circumstances = msgspec.structs.replace(first.circumstances, code="0" * 16, version="0.0.9")
        return [msgspec.structs.replace(first, snapshot=b"\x81", circumstances=circumstances), *entries[1:]]

    rewrite(day.files()[-1], other)
    found = day.replay()[-1]
    assert found.obstacle is not None
    assert found.obstacle.startswith("its snapshot cannot be read by this version: ")
    assert found.notes == ("not as recorded: the program's core (then version 0.0.9)",)


async def test_says_what_there_is_when_there_is_nothing_of_what_was_asked_for(tmp_path: Path) -> None:
    with pytest.raises(NothingRecorded, match="nothing is recorded in"):
        list(replay_day(tmp_path, DAY, None, surroundings()))
    day = await breaking(tmp_path)
    await day.stop()
    with pytest.raises(NothingRecorded, match="nothing is recorded of 2025-01-17; there are 2025-01-15"):
        day.replay(day="2025-01-17")
    with pytest.raises(NothingRecorded, match="of the account 7; there are 1001"):
        list(replay_day(tmp_path, DAY, "7", surroundings()))
    assert [name for name, _ in replay_day(tmp_path, DAY, "practice", surroundings())] == ["1001"] * len(day.files())


async def test_says_that_there_is_no_journal(tmp_path: Path) -> None:
    day = RecordedDay(tmp_path)
    await day.feed(day.venue.quote(ES, 5800))
    await day.stop()
    for file in tmp_path.glob("journal*"):
        file.unlink()
    with pytest.raises(Unreadable, match="there is no journal"):
        day.replay()


def test_tells_every_difference_by_its_path() -> None:
    one = b'{"a":1,"b":[1,{"c":true}],"d":null}'
    other = b'{"a":1,"b":[2,{"c":1},3],"e":0}'
    assert differences(one, other) == (
        Difference("b[0]", "1", "2"),
        Difference("b[1].c", "true", "1"),
        Difference("b[2]", None, "3"),
        Difference("d", "null", None),
        Difference("e", None, "0"),
    )
    assert differences(one, b' {"d":null, "b":[1,{"c":true}],"a":1}') == ()

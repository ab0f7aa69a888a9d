"""One segment of a recording run again, its decisions held against the journal's."""

from collections.abc import Callable, Mapping

import msgspec

from risk_manager.domain.calendar import Calendar
from risk_manager.domain.trading_day import TradingDays
from risk_manager.engine import Engine, EngineSettings
from risk_manager.persistence.recorded_rules import RecordedRules, RulesLost, changed_classes, rebuilt
from risk_manager.persistence.recording import Beginning, Ended, Segment
from risk_manager.replay.comparison import Comparison, Divergence
from risk_manager.replay.fingerprints import of_calendar, of_code, of_days
from risk_manager.rules import RULE_ERRORS, Rule

MOST_LOST_NS = 2_000_000_000
"""What a crash may cost: a second of events waits in memory, and a busy machine may take another to write it."""


class Surroundings(msgspec.Struct, frozen=True):
    """What a recording takes from the program that replays it.

    Attributes:
        calendar: the exchanges'.   days: makes the table of trading days of a reset time and a zone.
        classes: the rules there are, by name.
    """

    calendar: Calendar
    days: Callable[[str, str], TradingDays]
    classes: Mapping[str, type[Rule]]


class Replayed(msgspec.Struct, frozen=True):
    """What came of one segment.

    Attributes:
        file: its name.   because: why it begins where it does.   began_ns, ended_ns: local time of its first and last
            event.
        events, decisions, identical, uncommitted: counts, see `Comparison`; errors: events the engine failed on, as it
            did when they were recorded.
        missing: sequences the journal has and the recording does not.   missing_ns: local time from the last recorded
            event to the cause of the last of them.
        is_whole: the segment ended in order.   fault: what is wrong with the file, be it only its torn end.
        notes: what is different here from where it was recorded, and may be why decisions differ.
        obstacle: why it could not be replayed, or not to its end.
    """

    file: str
    because: str = ""
    began_ns: int = 0
    ended_ns: int = 0
    events: int = 0
    decisions: int = 0
    identical: int = 0
    uncommitted: int = 0
    errors: int = 0
    missing: tuple[int, ...] = ()
    missing_ns: int = 0
    is_whole: bool = False
    fault: str | None = None
    notes: tuple[str, ...] = ()
    obstacle: str | None = None
    divergence: Divergence | None = None

    @property
    def is_complete(self) -> bool:
        """Whether it was replayed to its end, and nothing is missing but what a crash explains."""
        is_explained = not self.is_whole and self.missing_ns <= MOST_LOST_NS
        return self.obstacle is None and (not self.missing or is_explained)


def replay_segment(segment: Segment, committed: Mapping[int, bytes], up_to: int | None, here: Surroundings) -> Replayed:
    """Run a segment again.

    Args:
        committed: the account's decisions as the journal has them, by sequence; none is of a run without a journal.
        up_to: the last sequence that was committed when the next segment began; None if there is no next one.

    Raises:
        OSError: the file cannot be read.
    """
    beginning = segment.beginning()
    if beginning is None:
        return Replayed(segment.path.name, obstacle=segment.fault or "nothing is in it", fault=segment.fault)
    then = beginning.circumstances
    days = here.days(then.reset_time, then.timezone).carrying(then.carried_days)
    found = Replayed(
        segment.path.name,
        beginning.because,
        beginning.at_ns,
        beginning.at_ns,
        notes=_notes(beginning, days, here),
    )
    try:
        engine = _engine(beginning, days, here)
        mine = committed if beginning.circumstances.is_journaled else {}
        comparison = Comparison(mine, beginning.sequence, up_to)
        return _run(segment, engine, comparison, here, found)
    except RulesLost as lost:
        return msgspec.structs.replace(found, obstacle=str(lost))
    except msgspec.MsgspecError as error:
        return msgspec.structs.replace(found, obstacle=f"its snapshot cannot be read by this version: {error}")


def _run(segment: Segment, engine: Engine, comparison: Comparison, here: Surroundings, found: Replayed) -> Replayed:
    events = errors = 0
    ended_ns, reached = found.began_ns, None
    divergence: Divergence | None = None
    for entry in segment:
        if isinstance(entry, Beginning):
            continue
        if isinstance(entry, RecordedRules):
            engine.change_rules(rebuilt(entry, here.classes))
            continue
        if isinstance(entry, Ended):
            reached = entry.sequence
            continue
        events += 1
        ended_ns = entry.received_ns
        try:
            decision = engine.receive(entry)
        except RULE_ERRORS:  # the guard goes on after it as well
            errors += 1
            continue
        divergence = comparison.take(entry, events, decision)
        if divergence is not None:
            break
    else:
        divergence = comparison.end(reached)
    missing = () if divergence is not None else comparison.missing
    last = comparison.cause_of(missing[-1]) if missing else None
    return msgspec.structs.replace(
        found,
        ended_ns=ended_ns,
        events=events,
        decisions=comparison.decisions,
        identical=comparison.identical,
        uncommitted=comparison.uncommitted,
        errors=errors,
        missing=missing,
        missing_ns=last.received_ns - ended_ns if last is not None else 0,
        is_whole=reached is not None,
        fault=segment.fault,
        obstacle=None if segment.is_torn else segment.fault,
        divergence=divergence,
    )


def _engine(beginning: Beginning, days: TradingDays, here: Surroundings) -> Engine:
    settings = EngineSettings(
        beginning.account_id,
        days,
        rebuilt(beginning.rules, here.classes),
        beginning.mode,
        beginning.pacing,
        here.calendar,
    )
    return Engine.restore(settings, beginning.snapshot)


def _notes(beginning: Beginning, days: TradingDays, here: Surroundings) -> tuple[str, ...]:
    then = beginning.circumstances
    changed = {
        f"the program's core (then version {then.version})": (then.code, of_code()),
        "the exchange calendar": (then.calendar, of_calendar()),
        f"the trading days of {then.timezone}": (then.days, of_days(days)),
    }
    notes = [f"not as recorded: {what}" for what, (before, now) in changed.items() if before != now]
    notes += [
        f"not as recorded: the code of the rule {kind}" for kind in changed_classes(beginning.rules, here.classes)
    ]
    if not then.is_journaled:
        notes.append("the guard ran without a journal, so there is nothing to hold its decisions against")
    return tuple(notes)

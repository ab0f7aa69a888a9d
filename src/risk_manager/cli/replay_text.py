"""What replaying a day found, in lines."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from risk_manager.replay.comparison import Divergence
    from risk_manager.replay.segment import Replayed

MOST_DIFFERENCES = 20
MOST_CHARACTERS = 300


def replay_lines(day: str, found: "list[tuple[str, Replayed]]") -> Iterator[str]:
    """Lines for what was found, account by account."""
    for name in dict.fromkeys(name for name, _ in found):
        mine = [each for account, each in found if account == name]
        yield f"{day}, account {name}"
        for each in mine:
            yield from _segment(each)
        decisions, identical = sum(each.decisions for each in mine), sum(each.identical for each in mine)
        missing = sum(len(each.missing) for each in mine)
        yield f"  {_verdict(mine)}: {identical} of {decisions} decisions are byte for byte the journal's"
        if missing:
            yield f"  {missing} more of the journal's are not recorded"


def _verdict(found: "list[Replayed]") -> str:
    if any(each.divergence is not None for each in found):
        return "DIFFERENT"
    return "identical" if all(each.is_complete for each in found) else "NOT COMPLETE"


def _segment(each: "Replayed") -> Iterator[str]:
    from risk_manager.runtime.instants import iso

    yield f"  {each.file}  {iso(each.began_ns)} to {iso(each.ended_ns)}  {each.because}"
    yield f"    {each.events} events, {each.decisions} decisions, {each.identical} identical"
    for note in each.notes:
        yield f"    note: {note}"
    if each.obstacle is not None:
        yield f"    NOT REPLAYED, or not to its end: {each.obstacle}"
    elif each.fault is not None:
        yield f"    {each.fault}"
    if each.errors:
        yield f"    the engine failed on {each.errors} events, as it did then"
    if each.obstacle is None and not each.is_whole and each.divergence is None:
        yield "    it does not end in order: the guard died, or still runs, and its last second is not here"
    if each.uncommitted:
        yield f"    the last {each.uncommitted} were decided and never committed"
    if each.missing:
        lost_s = each.missing_ns / 1_000_000_000
        yield f"    {_sequences(each.missing)} of the journal came after what is recorded, within {lost_s:.1f} s"
        if each.is_whole:
            yield "    it ended in order: they were decided in a run without a recorder"
        elif not each.is_complete:
            yield "    that is more than a crash costs: the power failed, the disk refused, or the file was cut off"
    if each.divergence is not None:
        yield from _divergence(each.divergence)


def _divergence(found: "Divergence") -> Iterator[str]:
    import msgspec

    yield f"    DIFFERENT from decision {found.sequence} on"
    if found.event is not None:
        yield f"    at event {found.number}: {_short(msgspec.json.encode(found.event).decode())}"
    else:
        yield "    its event is not in the recording"
    for one in found.differences[:MOST_DIFFERENCES]:
        yield f"      {one.path or 'the whole decision'}"
        yield f"        journal  {_short(one.journal or 'nothing')}"
        yield f"        replay   {_short(one.replay or 'nothing')}"
    if len(found.differences) > MOST_DIFFERENCES:
        yield f"      and {len(found.differences) - MOST_DIFFERENCES} more"


def _sequences(missing: tuple[int, ...]) -> str:
    if len(missing) == 1:
        return f"decision {missing[0]}"
    return f"decisions {missing[0]} to {missing[-1]}"


def _short(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}..."

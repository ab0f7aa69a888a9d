"""A recorded day of a data directory, run again."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from risk_manager.persistence.committed import committed_decisions
from risk_manager.persistence.recording import Segment, segments
from risk_manager.replay.segment import Replayed, Surroundings, replay_segment


class NothingRecorded(Exception):
    """There is no recording of what is asked for; the message says of what there is."""


def replay_day(data: Path, day: str, account: str | None, here: Surroundings) -> Iterator[tuple[str, Replayed]]:
    """(account id, what came of it) of every segment of a trading day, account by account in the order of recording.

    Args:
        account: its id, or the name it was guarded under; None replays every account.

    Raises:
        NothingRecorded: there is nothing to replay.   Unreadable: the journal cannot be read.
        OSError: a recording cannot be read.
    """
    recorded = segments(data)
    chosen = [one for one, files in recorded.items() if account is None or account in (one, *_names(files))]
    if not chosen:
        raise NothingRecorded(
            f"nothing is recorded of the account {account}; there are {_listed(recorded)}"
            if recorded
            else f"nothing is recorded in {data}"
        )
    days = {one for name in chosen for one, _ in recorded[name]}
    if day not in days:
        raise NothingRecorded(f"nothing is recorded of {day}; there are {_listed(days)}")
    for account_id in chosen:
        for replayed in _replayed(data, account_id, day, recorded[account_id], here):
            yield account_id, replayed


def _replayed(
    data: Path, account_id: str, day: str, files: list[tuple[str, Path]], here: Surroundings
) -> Iterator[Replayed]:
    """The day's segments run again; the journal is read once for all of them."""
    todo = [
        (Segment(path), _next_sequence(files[index:]), _next_sequence(files[index + 1 :]))
        for index, (its_day, path) in enumerate(files)
        if its_day == day
    ]
    committed = committed_decisions(data, account_id, todo[0][1] or 0, todo[-1][2]) if todo else {}
    for segment, _, up_to in todo:
        yield replay_segment(segment, committed, up_to, here)


def _next_sequence(files: list[tuple[str, Path]]) -> int | None:
    """What the journal had when the first of these segments began that tells; None if none does."""
    beginnings = (Segment(path).beginning() for _, path in files)
    told = (each.sequence for each in beginnings if each is not None and each.circumstances.is_journaled)
    return next(told, None)


def _names(files: list[tuple[str, Path]]) -> set[str]:
    return {beginning.circumstances.name for _, path in files if (beginning := Segment(path).beginning()) is not None}


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))

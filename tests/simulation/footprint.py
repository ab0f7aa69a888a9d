"""What a day of the long run left behind, in memory, on the disk and in the log, and whether it grows over the days.

What is kept for some time grows until that has passed and not after: the journal by its retention, the recordings by
their days. Both are shortened for the run, so that most of it lies behind them.
"""

import os
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from statistics import fmean, median

import msgspec

from risk_manager.persistence import latch, recording
from risk_manager.persistence.database import FILE_NAME

MIB = 2**20
LEAK_MIB_PER_DAY = 0.4
"""What the process holds rises a little with every day that is busier than those before, and never falls."""

LOG_ROOM = 1.0
"""MiB that the journal's log is lengthened to when it is opened."""

FEWEST_DAYS = 9
"""With less than three days for each third of a run nothing is said about it."""

KEPT_DAYS = 10
"""How many trading days are kept of a long run; of a shorter one a third of them."""


class Day(msgspec.Struct, frozen=True):
    """What is there at a day's end; `log` is what each run of the program wrote on that day. MiB, but log: KiB.

    A program that begins anew tells again of what it had told often enough.

    Attributes:
        journal: the database, and its log beyond the length that is given at the start.   recorder: the recordings.
        other: every other file.
        recorded_days: trading days there is a recording of.
    """

    label: str
    rss: float
    tasks: int
    descriptors: int
    connections: int
    journal: float
    recorder: float
    latch: float
    other: float
    log: float
    recorded_days: int


class Growth(msgspec.Struct, frozen=True):
    """How something went over the days."""

    name: str
    text: str
    is_flat: bool


def kept_days(days: int) -> int:
    """How many trading days journal and recordings go back in a run of so many."""
    return min(KEPT_DAYS, days // 3)


def resident_mib() -> float:
    """What the process holds in memory."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MIB


def files_mib(folder: Path) -> dict[str, float]:
    """The sizes on the disk, by the names they have in `Day`."""
    sizes = dict.fromkeys(("journal", "recorder", "latch", "other"), 0.0)
    for path in folder.rglob("*"):
        if path.is_file():
            given = LOG_ROOM if path.name == f"{FILE_NAME}-wal" else 0.0
            sizes[_kind(path.relative_to(folder))] += max(0.0, path.stat().st_size / MIB - given)
    return sizes


def _kind(path: Path) -> str:
    if path.name.startswith(FILE_NAME):
        return "journal"
    return {recording.FOLDER: "recorder", latch.FOLDER: "latch"}.get(path.parts[0], "other")


def growths(days: Sequence[Day], accounts: int) -> list[Growth]:
    """Whether everything is flat; of a run too short for that nothing."""
    if len(days) < FEWEST_DAYS:
        return []
    # In the first third everything fills that is bounded; and a day that is busier than all before is a step, not a
    # leak, which goes on in the last third, too.
    sizes = [day.rss for day in days]
    slope = min(_slope(sizes[len(days) // 3 :]), _slope(sizes[-(len(days) // 3) :]))
    kept = kept_days(len(days))
    recorded = max(day.recorded_days for day in days)
    # Where the latch has no room for more, it leaves lockouts out: its files have one size.
    latch_mib = accounts * 2 * latch.SLOT_BYTES / MIB
    latched = max(day.latch for day in days)
    return [
        Growth("memory", f"{slope:+.2f} MiB a day", slope < LEAK_MIB_PER_DAY),
        *(_counted(days, name) for name in ("tasks", "descriptors", "connections")),
        _kept(days, "journal"),
        _kept(days, "recorder"),
        Growth("recorded days", f"{recorded} of {kept}", recorded <= kept),
        Growth("latch", f"{latched:.3f} of {latch_mib:.3f} MiB", latched <= latch_mib),
        _daily(days, "other", "MiB"),
        _daily(days, "log", "KiB a day and run"),
    ]


def _counted(days: Sequence[Day], name: str) -> Growth:
    """Growing if the last days' least is above the first days' most."""
    values = [int(getattr(day, name)) for day in days]
    return Growth(name, f"{max(values[:5])}, then {min(values[-3:])}", min(values[-3:]) <= max(values[:5]) + 5)


MOST_BY_DAY, MOST_KEPT = 1.5, 1.35
"""By how much the last third of a run may be above an earlier one; days differ, and several together less so."""


def _daily(days: Sequence[Day], name: str, unit: str) -> Growth:
    """Growing if the last third of the days has more than the first one."""
    third = len(days) // 3
    return _compared(days[:third], days[-third:], name, unit, MOST_BY_DAY)


def _kept(days: Sequence[Day], name: str) -> Growth:
    """Growing if the last third of the days has more than the one in the middle, when what is old goes already."""
    third = len(days) // 3
    return _compared(days[third : 2 * third], days[-third:], name, "MiB", MOST_KEPT)


def _compared(earlier: Sequence[Day], later: Sequence[Day], name: str, unit: str, most: float) -> Growth:
    before, after = (fmean(float(getattr(day, name)) for day in days) for days in (earlier, later))
    return Growth(name, f"{before:.3g}, then {after:.3g} {unit}", after <= most * before)


def _slope(values: Sequence[float]) -> float:
    """Per day: the median over all pairs of days, as a single step is no leak."""
    pairs = combinations(enumerate(values), 2)
    return median((after - before) / (later - earlier) for (earlier, before), (later, after) in pairs)

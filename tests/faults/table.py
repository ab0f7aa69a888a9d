"""The table of faults: its rows are collected here and run side by side."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from tests.faults.trial import Trial, on_trial

AT_ONCE = 6


class Row(NamedTuple):
    """One fault.

    Attributes:
        known: the number in the fault table; 0 where it has none.
        bound_s: the most it may take.   is_long: takes minutes, so it is run by hand only.
    """

    known: int
    fault: str
    run: Callable[[], Awaitable[float]]
    bound_s: float
    is_long: bool


ROWS: list[Row] = []


def row(
    known: int, fault: str, *, within_s: float = 2.0, is_long: bool = False
) -> Callable[[Callable[[], Awaitable[float]]], None]:
    """Add what is decorated to the table."""

    def add(run: Callable[[], Awaitable[float]]) -> None:
        ROWS.append(Row(known, fault, run, within_s, is_long))

    return add


def flattened(known: int, fault: str, disturb: Callable[[Trial], None], *, within_s: float = 2.0) -> None:
    """A row in which the gateway is disturbed, the rule is broken, and everything has to be closed."""

    async def run() -> float:
        async with on_trial() as trial:
            disturb(trial)
            trial.breaks()
            return await trial.flat()

    row(known, fault, within_s=within_s)(run)


def thrown(known: int, fault: str, *sentences: str, within_s: float = 2.0) -> None:
    """Such a row, of faults in the words of a fault script."""
    flattened(known, fault, lambda trial: trial.throws(*sentences), within_s=within_s)


async def measured(rows: list[Row]) -> list[tuple[Row, float | str]]:
    """Each row with its seconds, or with what went wrong; several at a time, each with a gateway of its own."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(row: Row) -> tuple[Row, float | str]:
        async with gate:
            try:
                return row, await row.run()
            except AssertionError as error:
                return row, str(error) or repr(error)

    return await asyncio.gather(*(one(row) for row in rows))

"""Runs every row, the long ones too, and writes `docs/fault-matrix.md`: `uv run python -m tests.faults`."""

import asyncio
import logging
import sys
from pathlib import Path

import structlog

from tests.faults.elsewhere import ELSEWHERE
from tests.faults.rows import ROWS
from tests.faults.table import measured

PAGE = Path(__file__).parents[2] / "docs" / "fault-matrix.md"
HEAD = """# What can go wrong between the guard and the venue

Made by `uv run python -m tests.faults`. Each row is a fault others met in production, brought about at the simulated
gateway while somebody breaks a rule; client and guard are the daemon's own, with their own waiting times. The time runs
from the breach, or from the end of a fault that leaves nothing to be done, until the exchange's own books show what the
rule demands. In every row the guard asks for nothing but exits, never turns a position round, and misses nothing.

| # | fault | seconds | at most |
|---:|---|---:|---:|
"""
REST = """
What is left of the table is the simulator's own:

| # | fault | test |
|---:|---|---|
"""


async def main() -> int:
    results = await measured(ROWS)
    lines = [
        f"| {row.known or ''} | {row.fault} | {took if isinstance(took, str) else f'{took:.2f}'} | {row.bound_s:g} |"
        for row, took in sorted(results, key=lambda result: result[0].known)
    ]
    rest = [f"| {known} | {fault} | `{test}` |" for known, (fault, test) in ELSEWHERE.items()]
    PAGE.write_text(HEAD + "\n".join(lines) + "\n" + REST + "\n".join(rest) + "\n", encoding="utf-8")
    sys.stdout.write(PAGE.read_text(encoding="utf-8"))
    return sum(isinstance(took, str) or took > row.bound_s for row, took in results)


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    sys.exit(asyncio.run(main()))

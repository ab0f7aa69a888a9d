"""The benchmark: `uv run python -m benchmarks [--quick] [--out FILE] [--only PART ...]`.

Exit code 0 whether or not a budget is met: the figures are for reading. 1 if something could not be measured.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import msgspec
from rich.console import Console

from benchmarks.machine import ROOT, ChildFailed, describe
from benchmarks.report import Report, conclude, show
from benchmarks.sections import (
    QUICK,
    Effort,
    Say,
    measure_commit,
    measure_engine,
    measure_fan_out,
    measure_wire,
)

PARTS = ("engine", "wire", "fan-out", "commit")


def main(arguments: list[str] | None = None) -> int:
    """Measure what is asked for, print it, write it, and return the exit code."""
    options = _parser().parse_args(arguments)
    console = Console(highlight=False)
    begun_s = time.monotonic()
    report = Report(describe(), options.quick)
    try:
        _measure(report, options, lambda text: console.print(text, style="dim"))
    except ChildFailed as failure:
        console.print(f"not measured: {failure}", markup=False)
        return 1
    report.seconds = round(time.monotonic() - begun_s, 1)
    conclude(report)
    show(report, console)
    if options.out is not None:
        options.out.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    return 0


def _measure(report: Report, options: argparse.Namespace, say: Say) -> None:
    effort: Effort = options.effort or (QUICK if options.quick else Effort())
    parts = options.only or PARTS
    # Not the system's temporary directory, which is often in memory: there nothing is ever durable, and quick.
    with tempfile.TemporaryDirectory(prefix=".benchmarks-", dir=options.data_dir) as name:
        folder = Path(name)
        if "engine" in parts:
            report.engine = measure_engine(effort, say)
        if "wire" in parts:
            say("quote frame to close request, over real sockets")
            report.wire, report.wire_hiccups = measure_wire(effort, folder, say)
        if "fan-out" in parts:
            say("ten calls of a flatten")
            report.fan_out = measure_fan_out(effort, folder, say)
        if "commit" in parts:
            say("durable commits")
            report.commit = measure_commit(effort, folder)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure the budgets of the design.")
    parser.add_argument("--quick", action="store_true", help="less of everything: under a minute, rougher figures")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write all figures there, as JSON")
    parser.add_argument("--only", action="append", choices=PARTS, help="leave the other parts out; may be repeated")
    parser.add_argument(
        "--data-dir",
        type=Path,
        default=ROOT,
        metavar="DIR",
        help="where the journal is written meanwhile (default: here)",
    )
    parser.add_argument("--effort", type=_effort, help=argparse.SUPPRESS)
    return parser


def _effort(text: str) -> Effort:
    return msgspec.json.decode(text, type=Effort)


if __name__ == "__main__":
    sys.exit(main())

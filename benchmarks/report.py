"""What was found, beside what was asked for: on the screen and as JSON."""

import msgspec
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from benchmarks.machine import Hiccups, Machine
from benchmarks.sections import DISK, CommitResult, EngineResult, FanOutResult, WireResult


class Goal(msgspec.Struct, frozen=True):
    """A budget of the design, as ADR 0017 has it.

    Attributes:
        goal: the figure that has to be reached: at least so much of a rate, at most so much of anything else.
        target: the better one aimed at; None where there is one figure only.
        unit: `/s` is a rate; `x` is a ratio.
    """

    name: str
    unit: str
    goal: float
    target: float | None
    found: float

    @property
    def is_met(self) -> bool:
        return self.found >= self.goal if self.unit == "/s" else self.found <= self.goal


class Report(msgspec.Struct):
    """Everything a run measured; a part that was left out is None.

    Attributes:
        is_busy: other programs took so much of the machine that the figures say little about this one.
    """

    machine: Machine
    is_quick: bool
    seconds: float = 0.0
    is_busy: bool = False
    engine: EngineResult | None = None
    wire: dict[str, WireResult] | None = None
    wire_hiccups: Hiccups | None = None
    fan_out: FanOutResult | None = None
    commit: CommitResult | None = None
    ratios: dict[str, float] = {}
    goals: list[Goal] = []


def conclude(report: Report) -> None:
    """Fill in the ratios, the goals, and whether the machine was busy."""
    engine, wire, commit = report.engine, report.wire, report.commit
    if engine is not None:
        report.ratios["five rules / trivial function"] = _ratio(engine.trivial_per_s, engine.five_rules_per_s)
        report.ratios["seventeen rules / five rules"] = _ratio(engine.five_rules_per_s, engine.all_rules_per_s)
        report.ratios["five rules / no rules"] = _ratio(engine.no_rules_per_s, engine.five_rules_per_s)
    if wire is not None:
        report.ratios["engine / callback, p50"] = _ratio(wire["engine"].p50_us, wire["callback"].p50_us)
        report.ratios["commit / callback, p50"] = _ratio(wire["commit"].p50_us, wire["callback"].p50_us)
        report.ratios["commit / callback, p99"] = _ratio(wire["commit"].p99_us, wire["callback"].p99_us)
    if commit is not None:
        report.ratios["durable commit / bare disk, p50"] = _ratio(commit.commit_p50_us, commit.floor_p50_us)
    report.goals = _goals(report)
    meters = [engine.hiccups if engine is not None else None, report.wire_hiccups]
    report.is_busy = any(meter.is_busy for meter in meters if meter is not None)


def _goals(report: Report) -> list[Goal]:
    goals: list[Goal] = []
    if (engine := report.engine) is not None:
        goals += [
            Goal("engine, recorded day, five rules", "/s", 500_000, 1_000_000, engine.five_rules_per_s),
            Goal("engine, recorded day, seventeen rules", "/s", 500_000, 1_000_000, engine.all_rules_per_s),
            Goal("market frame to decision, p50", "us", 5, None, engine.frame_p50_us),
        ]
    if (wire := report.wire) is not None:
        goals += [
            Goal("request, no commit, p50", "us", 700, 300, wire["engine"].p50_us),
            Goal("request, no commit, p99", "us", 2_000, 1_000, wire["engine"].p99_us),
            Goal("request, durable commit, p50", "us", 1_000, 600, wire["commit"].p50_us),
            Goal("request, durable commit less the disk, p50", "us", 850, 450, _without_disk_us(wire)),
            Goal("request, durable commit, p99", "us", 3_000, 2_000, wire["commit"].p99_us),
            Goal("request, engine / callback, p50", "x", 2.5, 1.5, report.ratios["engine / callback, p50"]),
        ]
    if (fan_out := report.fan_out) is not None:
        goals.append(Goal("ten calls of a flatten, p50", "us", 1_500, None, fan_out.spread_p50_us))
    return goals


def show(report: Report, console: Console) -> None:
    """Print the figures."""
    machine = report.machine
    console.print(f"{machine.processor}, {machine.cores} cores, {machine.python}, {machine.system}", highlight=False)
    if report.engine is not None:
        console.print(_engine_table(report.engine))
    if report.wire is not None:
        console.print(_wire_table(report.wire))
    if report.fan_out is not None or report.commit is not None:
        console.print(_other_table(report.fan_out, report.commit))
    console.print(_ratio_table(report.ratios))
    console.print(_goal_table(report.goals))
    if report.is_busy:
        console.print("busy machine: other programs held it up meanwhile; look at the ratios, or measure again")


def _engine_table(engine: EngineResult) -> Table:
    one = engine.passes[0]
    share = 100 * one.quotes / one.events
    held = 100 * one.held_quotes / one.quotes
    table = Table(
        "engine",
        "events/s",
        box=SIMPLE,
        title=f"recorded day: {one.events:,} events, {share:.1f} % quotes, {held:.0f} % of them with a position open,\n"
        f"{one.snapshots} snapshots, {one.decisions} decisions; medians of {len(engine.passes)} processes",
        title_justify="left",
    )
    table.columns[1].justify = "right"
    table.add_row("five rules, whole day", f"{engine.five_rules_per_s:,}")
    table.add_row("all seventeen rules, whole day", f"{engine.all_rules_per_s:,}")
    table.add_row("all seventeen rules, quotes of one open position", f"{engine.open_position_per_s:,}")
    table.add_row("five rules, without the polled snapshots", f"{engine.streamed_per_s:,}")
    table.add_row("no rules", f"{engine.no_rules_per_s:,}")
    table.add_row("a function that does nothing", f"{engine.trivial_per_s:,}")
    table.add_row("step p99, worst (us)", f"{engine.step_p99_us:,.1f}, {engine.step_worst_us:,.0f}")
    table.add_row("market frame to decision p50, p99 (us)", f"{engine.frame_p50_us:,.1f}, {engine.frame_p99_us:,.1f}")
    return table


def _wire_table(wire: dict[str, WireResult]) -> Table:
    breaches = sum(each.count for each in next(iter(wire.values())).rounds)
    table = Table(
        "variant",
        "p50",
        "p90",
        "p99",
        box=SIMPLE,
        title=f"quote frame to close request, us, {breaches} breaches each",
        title_justify="left",
    )
    names = {
        "callback": "venue adapter alone",
        "engine": "with the engine",
        "commit": "with engine and durable commit",
        DISK: "the disk alone, as much data",
    }
    for variant, found in wire.items():
        table.add_row(names[variant], f"{found.p50_us:,.0f}", f"{found.p90_us:,.0f}", f"{found.p99_us:,.0f}")
    return _right(table)


def _other_table(fan_out: FanOutResult | None, commit: CommitResult | None) -> Table:
    table = Table("us", "p50", "p99", box=SIMPLE)
    if fan_out is not None:
        p50, p99 = fan_out.spread_p50_us, fan_out.spread_p99_us
        table.add_row("ten calls of a flatten, first to last", f"{p50:,.0f}", f"{p99:,.0f}")
        table.add_row("frame to the tenth request", f"{fan_out.last_p50_us:,.0f}", "")
    if commit is not None:
        table.add_row("durable commit, awaited", f"{commit.commit_p50_us:,.0f}", f"{commit.commit_p99_us:,.0f}")
        table.add_row("the disk alone, as much data", f"{commit.floor_p50_us:,.0f}", f"{commit.floor_p99_us:,.0f}")
    return _right(table)


def _ratio_table(ratios: dict[str, float]) -> Table:
    table = Table("ratio", "x", box=SIMPLE)
    for name, value in ratios.items():
        table.add_row(name, f"{value:,.2f}")
    return _right(table)


def _goal_table(goals: list[Goal]) -> Table:
    table = Table("budget", "found", "goal", "target", "", box=SIMPLE)
    for goal in goals:
        found = f"{goal.found:,.{0 if goal.goal >= 100 else 2}f} {goal.unit}"
        target = f"{goal.target:,.10g}" if goal.target is not None else ""
        table.add_row(goal.name, found, f"{goal.goal:,.10g}", target, "met" if goal.is_met else "missed")
    return _right(table)


def _right(table: Table) -> Table:
    for column in table.columns[1:]:
        column.justify = "right"
    return table


def _without_disk_us(wire: dict[str, WireResult]) -> float:
    return wire["commit"].p50_us - wire[DISK].p50_us


def _ratio(above: float, below: float) -> float:
    return round(above / below, 3)

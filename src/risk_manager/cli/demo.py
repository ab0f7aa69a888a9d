"""`risk-manager demo`: watch the guard stop a trader who breaks every rule."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from risk_manager.runtime.demo import DemoOptions, DemoReport


def demo(
    seconds: Annotated[float, typer.Option(help="About how long it takes.", min=5, max=600)] = 20.0,
    seed: Annotated[int, typer.Option(help="Of the market and the trader; the same seed decides the same.")] = 7,
    tape: Annotated[
        Path | None, typer.Option(help="Recording to trade on: .dbn, .dbn.zst or .csv.", exists=True, dir_okay=False)
    ] = None,
    contract: Annotated[str | None, typer.Option(help="What a CSV tape without a symbol column is of: ESH24.")] = None,
    zone: Annotated[str | None, typer.Option(help="Zone of a CSV tape's times, where they name none.")] = None,
    headless: Annotated[bool, typer.Option("--headless", help="No live screen.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """A simulated gateway, a trader who breaks every rule, and the real guard between them. No account needed."""
    import asyncio

    import msgspec

    from risk_manager.ports.journal import JournalUnavailable
    from risk_manager.runtime.demo import DemoOptions, OutOfStep
    from risk_manager.runtime.log import configure_log
    from risk_manager.simulator.feeds import TapeError

    configure_log(level="warning")
    options = DemoOptions(seconds, seed, tape, contract, zone)
    try:
        report = asyncio.run(_headless(options) if headless or as_json else _watched(options))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except (TapeError, OutOfStep, JournalUnavailable, OSError) as error:
        typer.echo(f"demo: {error}", err=True)
        raise typer.Exit(2) from None
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(report)).decode())
    else:
        _print_report(report)
    if report.missed or report.false_flattens or report.unproven:
        raise typer.Exit(1)


async def _headless(options: "DemoOptions") -> "DemoReport":
    """Run without a screen; progress goes to standard error."""
    import asyncio

    from risk_manager.runtime.demo import Demo

    running = Demo(options)
    task = asyncio.create_task(running.run())
    stage = None
    while not task.done():
        await asyncio.wait((task,), timeout=0.2)
        if running.script.stage != stage:
            stage = running.script.stage
            typer.echo(f"market step {running.market.steps}: {stage or 'over'}", err=True)
    return await task


async def _watched(options: "DemoOptions") -> "DemoReport":
    """Run with a live screen, redrawn some ten times a second."""
    import asyncio

    from rich.live import Live

    from risk_manager.cli.demo_screen import DemoScreen
    from risk_manager.runtime.demo import Demo

    screen = DemoScreen()
    running = Demo(options, screen.decided)
    task = asyncio.create_task(running.run())
    with Live(screen, refresh_per_second=1, auto_refresh=False, screen=True) as view:
        while not task.done():
            await asyncio.wait((task,), timeout=0.1)
            if running.daemon is not None:
                screen.look(running)
                view.refresh()
    return await task


def _print_report(report: "DemoReport") -> None:
    import msgspec
    from rich.console import Console

    from risk_manager.cli.screen import enforcement_table

    console = Console()
    records = msgspec.to_builtins(report.enforcements)
    console.print(enforcement_table(records, "Every breach of the day"))
    source = f"recording {report.tape}" if report.tape else f"invented market, seed {report.seed}"
    console.print(
        f"{len(records)} enforcements by {len(report.rules_fired)} rules, {report.fills} fills, "
        f"{report.market_seconds:g} s of market in {report.wall_seconds:g} s ({source})."
    )
    console.print(
        f"Judged by the exchange's own books: missed {report.missed}, false flattens {report.false_flattens}, "
        f"unproven {report.unproven}."
    )
    console.print("Seen and durable are real milliseconds; flat counts 80 ms of market time a venue call.", style="dim")

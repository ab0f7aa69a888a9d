"""`risk-manager probe`: first contact with a real account, by reading alone."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from risk_manager.config import GuardConfig
    from risk_manager.venues.projectx.probe import Findings
    from risk_manager.venues.projectx.probe_files import Written

SECONDS_MIN, SECONDS_MAX = 5.0, 200_000.0


def probe(
    out: Annotated[Path, typer.Option(help="Directory to write to; new, or empty.")],
    config: Annotated[Path, typer.Option(help="Directory with accounts.yaml and risk_config.yaml.")] = Path("config"),
    seconds: Annotated[
        float,
        typer.Option(help="How long to take. Past the token's life it tells more.", min=SECONDS_MIN, max=SECONDS_MAX),
    ] = 60.0,
) -> None:
    """Ask a real venue what its documentation leaves open, and write down what it said.

    It reads only: nothing is placed, changed, canceled or closed. What is written names neither you nor your accounts.
    """
    import asyncio

    from rich.console import Console

    from risk_manager.config import ConfigInvalid, load_config

    try:
        loaded = load_config(config)
    except ConfigInvalid as invalid:
        typer.echo(str(invalid), err=True)
        raise typer.Exit(2) from None
    try:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
        is_empty = not any(out.iterdir())
    except OSError as error:
        raise _refused(f"--out {out}: {error.strerror}") from None
    if not is_empty:
        raise _refused(f"--out {out} is not empty; name a new directory")
    console = Console(highlight=False)
    try:
        findings, written = asyncio.run(_asked(loaded, out, seconds, console))
    except OSError as error:
        raise _refused(f"--out {out}: {error.strerror}") from None
    _show(console, findings, written)
    raise typer.Exit(0 if findings.is_logged_in else 1)


async def _asked(config: "GuardConfig", out: Path, seconds: float, console: "Console") -> "tuple[Findings, Written]":
    from datetime import UTC, datetime
    from importlib.metadata import version

    from risk_manager.cli.signals import call_on_stop
    from risk_manager.runtime.clock import SystemClock
    from risk_manager.venues.projectx.probe import Probe
    from risk_manager.venues.projectx.probe_files import write_findings
    from risk_manager.venues.projectx.read_only import ReadOnlyTransport

    settings, clock = config.venue_settings(), SystemClock()
    known = tuple(label for account in config.accounts for label in (account.id, account.name) if label)
    transport = ReadOnlyTransport(settings)
    began_ns = clock.now_ns()
    with console.status("connecting") as status:

        def on_progress(text: str) -> None:
            if console.is_terminal:
                status.update(text)
            elif not text.startswith("listening,"):
                console.print(f"{(clock.now_ns() - began_ns) / 1e9:5.1f} s  {text}", markup=False)

        asking = Probe(settings, transport, clock, seconds=seconds, wanted=frozenset(known), on_progress=on_progress)
        call_on_stop(asking.stop)
        try:
            findings = await asking.run()
        finally:
            await transport.close()
    day = datetime.fromtimestamp(began_ns // 1_000_000_000, UTC).date().isoformat()
    recording = transport.recording
    return findings, write_findings(
        out, findings, recording, settings, known=known, day=day, version=version("risk-manager")
    )


def _show(console: "Console", findings: "Findings", written: "Written") -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 1))
    table.add_column(justify="right", style="bold", no_wrap=True)
    for answer in written.answers:
        word, style = ("answered", "green") if answer.is_complete else ("open", "yellow")
        table.add_row(str(answer.number), Text(word, style=style), answer.question)
    console.print(table)
    if findings.stopped:
        console.print(Text(f"It ended early: {findings.stopped}", style="yellow"))
    console.print(Text(f"What was said, without your name or accounts: {written.report}"), soft_wrap=True)


def _refused(problem: str) -> typer.Exit:
    typer.echo(f"probe: {problem}", err=True)
    return typer.Exit(2)

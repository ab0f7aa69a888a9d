"""`risk-manager doctor`: what keeps the guard from starting or working here, and what to do about it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from risk_manager.runtime.checks import Check

STYLES = {"ok": "green", "warning": "yellow", "problem": "bold red", "skipped": "dim"}


def doctor(
    config: Annotated[Path, typer.Option(help="Directory with accounts.yaml and risk_config.yaml.")] = Path("config"),
    as_json: Annotated[bool, typer.Option("--json", help="Everything, as JSON.")] = False,
) -> None:
    """Check the machine, the configuration and the way to the venue. Sends nothing but reads.

    Ends with 0 if the guard can start and work, with 1 if there is a problem.
    """
    import asyncio

    from risk_manager.runtime.checks import Verdict

    try:
        checks = asyncio.run(_examined(config, as_json=as_json))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    has_problem = any(check.verdict is Verdict.PROBLEM for check in checks)
    if as_json:
        import msgspec

        found = {"ok": not has_problem, "checks": checks}
        typer.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    else:
        counts = [f"{sum(check.verdict is each for check in checks)} {each}" for each in Verdict]
        typer.echo(f"\n{', '.join(counts)}")
    raise typer.Exit(1 if has_problem else 0)


async def _examined(config: Path, *, as_json: bool) -> "list[Check]":
    from rich.console import Console

    from risk_manager.runtime.doctor import examine

    console = Console(highlight=False, soft_wrap=True)
    checks = []
    async for check in examine(config):
        checks.append(check)
        if not as_json:
            _show(console, check)
    return checks


def _show(console: "Console", check: "Check") -> None:
    """One line a check, and one below it with what to do."""
    from rich.text import Text

    style = STYLES[check.verdict]
    console.print(Text.assemble((f"{check.verdict:<8}", style), (f"{check.name:<26} ", "bold"), check.found))
    if check.advice:
        console.print(Text.assemble(" " * 8, (f"-> {check.advice}", style)))

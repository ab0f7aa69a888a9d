"""`risk-manager run`: the daemon in the foreground."""

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from risk_manager.config import GuardConfig


def run(
    config: Annotated[Path, typer.Option(help="Directory with accounts.yaml and risk_config.yaml.")] = Path("config"),
    log_json: Annotated[bool, typer.Option("--log-json", help="Log as lines of JSON.")] = False,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
) -> None:
    """Guard the configured accounts until stopped. Stopping closes nothing and unlocks nothing."""
    from risk_manager.config import ConfigInvalid, effective, load_config
    from risk_manager.ports.journal import JournalUnavailable
    from risk_manager.runtime.log import configure_log
    from risk_manager.runtime.wiring import AccountNotFound

    configure_log(level=log_level, as_json=log_json)
    try:
        loaded = load_config(config)
    except ConfigInvalid as invalid:
        typer.echo(str(invalid), err=True)
        raise typer.Exit(2) from None
    typer.echo(effective(loaded))
    for warning in loaded.warnings:
        typer.echo(f"warning: {warning}", err=True)
    try:
        asyncio.run(_guard(loaded))
    except (JournalUnavailable, AccountNotFound, OSError) as error:
        typer.echo(f"run: {error}", err=True)
        raise typer.Exit(1) from None


async def _guard(config: "GuardConfig") -> None:
    from risk_manager.runtime.wiring import build_daemon

    daemon = await build_daemon(config, on_listening=lambda port: typer.echo(f"status on http://127.0.0.1:{port}"))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, daemon.stop)
        except NotImplementedError:
            # Windows has no loop signal handlers; Ctrl-C then ends the run as KeyboardInterrupt.
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(daemon.stop))
    await daemon.run()

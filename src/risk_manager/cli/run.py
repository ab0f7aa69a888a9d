"""`risk-manager run`: the daemon in the foreground."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from risk_manager.config import GuardConfig
    from risk_manager.runtime.daemon import Daemon
    from risk_manager.runtime.notify import Notifier

AGAIN_S = 2.0
REFUSED_S = 5.0


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def run(
    config: Annotated[Path, typer.Option(help="Directory with accounts.yaml and risk_config.yaml.")] = Path("config"),
    log_json: Annotated[bool, typer.Option("--log-json", help="Log as lines of JSON.")] = False,
    log_level: Annotated[LogLevel, typer.Option(help="From which level on.")] = LogLevel.INFO,
) -> None:
    """Guard the configured accounts until stopped. Stopping closes nothing and unlocks nothing.

    The files are watched: stricter rules come into force at once, looser ones with the next trading day.
    """
    import asyncio

    from risk_manager.cli.errors import told
    from risk_manager.config import ConfigInvalid, effective
    from risk_manager.ports.journal import JournalUnavailable
    from risk_manager.runtime.accepted import load_or_last
    from risk_manager.runtime.log import configure_log
    from risk_manager.runtime.wiring import AccountNotFound, AccountRepeated

    configure_log(level=log_level, as_json=log_json)
    try:
        loaded, faults = load_or_last(config)
    except ConfigInvalid as invalid:
        raise _refused(f"{invalid}\nNothing was started.", 2) from None
    if faults is not None:
        typer.echo(f"{faults}\nIt is not used. The last accepted configuration is in force:", err=True)
    typer.echo(effective(loaded))
    try:
        asyncio.run(_guard(loaded, config))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except (JournalUnavailable, AccountNotFound, AccountRepeated) as error:
        raise _refused(f"run: {error}", 1) from None
    except OSError as error:
        raise _refused(f"run: {told(error, loaded.api_port)}", 1) from None


def _refused(text: str, code: int) -> typer.Exit:
    """Say why it does not start. A service manager begins again at once, for a crash; this waits for a person."""
    import os
    import time

    typer.echo(text, err=True)
    if "NOTIFY_SOCKET" in os.environ:
        time.sleep(REFUSED_S)
    return typer.Exit(code)


async def _guard(config: "GuardConfig", directory: Path) -> None:
    """Guard until stopped, with another daemon whenever one has to begin anew."""
    import asyncio
    import os

    from risk_manager.cli.signals import call_on_reload, call_on_stop
    from risk_manager.runtime.notify import notifier_from

    notifier = notifier_from(os.environ, os.getpid())
    running: list[Daemon] = []
    building: asyncio.Task[Daemon] | None = None
    is_stopped = is_over = False

    def stop() -> None:
        nonlocal is_stopped
        is_stopped = True
        if building is not None:
            building.cancel()
        begin_anew()

    def begin_anew() -> None:
        for daemon in running:
            daemon.stop()

    call_on_stop(stop)
    while not is_over:
        building = asyncio.create_task(_built(config, directory, notifier, begin_anew))
        try:
            daemon = await building
        except asyncio.CancelledError:
            if is_stopped:
                typer.echo("run: stopped before the guard began", err=True)
                return
            raise
        running[:] = [daemon]
        if daemon.watch is not None:
            call_on_reload(daemon.watch.reload)
        if is_stopped:
            daemon.stop()
        await daemon.run(notifier)
        is_over = is_stopped


async def _built(
    config: "GuardConfig", directory: Path, notifier: "Notifier | None", on_journal_back: "Callable[[], None]"
) -> "Daemon":
    """The daemon; accounts known by name wait here until the venue tells their ids, however long it is down."""
    import asyncio

    from risk_manager.runtime.service.report import still_starting
    from risk_manager.runtime.wiring import build_daemon
    from risk_manager.venues.projectx.errors import ProjectXError

    while True:
        try:
            return await build_daemon(
                config,
                directory=directory,
                on_journal_back=on_journal_back,
                on_listening=lambda port: typer.echo(f"status on http://127.0.0.1:{port}"),
            )
        except ProjectXError as error:
            typer.echo(f"run: the venue does not tell the accounts ({error}); trying again", err=True)
            if notifier is not None:
                still_starting(notifier, f"the venue does not tell the accounts ({error})")
            await asyncio.sleep(AGAIN_S)

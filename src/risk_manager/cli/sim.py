"""`risk-manager sim`: the simulated gateway as a program of its own."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from risk_manager.simulator.fault_script import Script
    from risk_manager.simulator.serve import ServedUser, ServeOptions, Serving
    from risk_manager.simulator.written_settings import Settings

app = typer.Typer(help="The simulated ProjectX gateway.", no_args_is_help=True)


@app.command()
def serve(
    tape: Annotated[Path | None, typer.Option(help="Recording to play: .dbn, .dbn.zst or .csv.", exists=True)] = None,
    contract: Annotated[str | None, typer.Option(help="What a CSV tape without a symbol column is of: ESH24.")] = None,
    zone: Annotated[str | None, typer.Option(help="Zone of a CSV tape's times, where they name none.")] = None,
    speed: Annotated[float, typer.Option(help="Market seconds per second.", min=0.1, max=1000)] = 1.0,
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes a free one.", min=0, max=65535)] = 0,
    seed: Annotated[int, typer.Option(help="Of the invented market and the scripted trader.")] = 7,
    accounts: Annotated[int, typer.Option(help="Practice accounts to open.", min=1, max=100)] = 2,
    call_delay: Annotated[
        float, typer.Option(help="Seconds by which orders and closes are carried out late, as by a slow venue.", min=0)
    ] = 0.0,
    auto_oco: Annotated[
        bool, typer.Option("--auto-oco", help="Let accounts take brackets on orders; as they are opened, they refuse.")
    ] = False,
    keeps_hours: Annotated[bool, typer.Option("--keeps-hours", help="Close the market when CME's is closed.")] = False,
    users: Annotated[
        int, typer.Option(help="Users who may log in, each with accounts of their own.", min=1, max=100)
    ] = 1,
    faults: Annotated[Path | None, typer.Option(help="Fault script to play.", exists=True, dir_okay=False)] = None,
    fault_seed: Annotated[int | None, typer.Option(help="Throw random faults, the same for the same seed.")] = None,
    control_port: Annotated[
        int | None,
        typer.Option(
            help="Port on 127.0.0.1 of the control API; 0 takes a free one.", min=0, max=65535, show_default="off"
        ),
    ] = None,
    trader: Annotated[str | None, typer.Option(help="Scripted trader on the first account, such as doubler.")] = None,
    written: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="Set one thing, as `sim settings` lists them. May be repeated."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print where it is as one line of JSON.")] = False,
) -> None:
    """Serve REST and both SignalR hubs until stopped; prints where it is and how to log in."""
    import asyncio

    from risk_manager.cli.errors import told
    from risk_manager.simulator.feeds import TapeError
    from risk_manager.simulator.serve import FaultsRefused, ServeOptions

    options = ServeOptions(
        users=users,
        accounts=accounts,
        tape=tape,
        contract=contract,
        zone=zone,
        speed=speed,
        seed=seed,
        port=port,
        call_delay_s=call_delay,
        auto_oco=auto_oco,
        keeps_hours=keeps_hours,
        trader=trader,
        faults=_script(faults),
        fault_seed=fault_seed,
        control_port=control_port,
        settings=_settings(written or []),
    )
    try:
        asyncio.run(_serve_until_stopped(options, as_json=as_json))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except (TapeError, FaultsRefused) as error:
        raise _refused(str(error)) from None
    except OSError as error:
        raise _refused(told(error, port if control_port is None else None)) from None
    except KeyError as error:
        raise _refused(error.args[0]) from None


async def _serve_until_stopped(options: "ServeOptions", *, as_json: bool) -> None:
    import asyncio
    from contextlib import suppress

    import msgspec

    from risk_manager.cli.signals import call_on_stop
    from risk_manager.runtime.clock import wall_ns
    from risk_manager.simulator.serve import serve as run_server

    def ready(serving: "Serving") -> None:
        typer.echo(msgspec.json.encode(serving).decode() if as_json else _described(serving))

    def tell(line: str) -> None:
        typer.echo(line, err=True)

    server = asyncio.create_task(run_server(options, wall_ns, ready, tell))
    call_on_stop(server.cancel)
    with suppress(asyncio.CancelledError):
        await server


@app.command()
def settings() -> None:
    """Everything that `sim serve --set NAME=VALUE` can set, with its default."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from risk_manager.simulator.written_settings import SETTINGS

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold underline")
    table.add_column("setting", no_wrap=True, style="bold")
    for heading in ("default", "takes", "what it is"):
        table.add_column(heading)
    for each in SETTINGS.values():
        table.add_row(each.name, *map(escape, (each.default, each.takes, each.meaning)))
    Console().print(table)


def _settings(written: list[str]) -> "Settings":
    from risk_manager.simulator.written_settings import SettingsRefused, read_settings

    try:
        return read_settings(written)
    except SettingsRefused as refused:
        raise _refused("\n".join(f"--set {each}" for each in str(refused).splitlines())) from None


def _script(path: Path | None) -> "Script":
    from risk_manager.simulator.fault_script import Script, ScriptRefused, parse_script

    if path is None:
        return Script()
    try:
        return parse_script(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _refused(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise _refused(f"{path}: this is not UTF-8 text") from None
    except ScriptRefused as refused:
        raise _refused("\n".join(f"{path.name}, {fault}" for fault in refused.faults)) from None


def _refused(problems: str) -> typer.Exit:
    for problem in problems.splitlines():
        typer.echo(f"sim serve: {problem}", err=True)
    return typer.Exit(2)


def _described(serving: "Serving") -> str:
    lines = [
        f"Simulated gateway on {serving.api_url} (Ctrl-C ends it)",
        f"  user hub     {serving.user_hub_url}",
        f"  market hub   {serving.market_hub_url}",
        *(line for user in serving.users for line in _logging_in(user)),
        f"  contracts    {', '.join(serving.contracts)}",
    ]
    if serving.control_url is not None:
        lines.append(f"  control      {serving.control_url}")
    return "\n".join(lines)


def _logging_in(user: "ServedUser") -> tuple[str, str]:
    return (
        f"  log in with  PROJECT_X_USERNAME={user.user} PROJECT_X_API_KEY={user.api_key}",
        f"  accounts     {', '.join(user.accounts)}",
    )

"""`risk-manager admin`: what the administrator of the machine does."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

app = typer.Typer(help="For the administrator of this machine.", no_args_is_help=True)

DEFAULT_CONFIG = Path("/etc/risk-manager")
DEFAULT_URL = "http://127.0.0.1:27181"


@app.command("install-service")
def install_service(
    systemd: Annotated[bool, typer.Option("--systemd", help="As a systemd service.")] = False,
    only_print: Annotated[bool, typer.Option("--print", help="Show the unit and change nothing.")] = False,
    config: Annotated[
        Path, typer.Option(help="Directory with accounts.yaml and risk_config.yaml; root's.")
    ] = DEFAULT_CONFIG,
    user: Annotated[str, typer.Option(help="The service's own user; made if there is none.")] = "risk-manager",
) -> None:
    """Have the guard run as a service that only an administrator can stop. Needs root; starts nothing."""
    from risk_manager.runtime.service.install import install, obstacles
    from risk_manager.runtime.service.systemd import UNIT, ServiceSettings, unit_text

    if not systemd:
        typer.echo("install-service: say how: --systemd", err=True)
        raise typer.Exit(2)
    settings = ServiceSettings(Path(sys.executable), config.absolute(), user)
    if only_print:
        typer.echo(unit_text(settings), nl=False)
        return
    _refuse("install-service", obstacles(settings))
    _carry_out("install-service", install(settings))
    typer.echo(f"start it now with: systemctl start --no-block {UNIT}")


@app.command("uninstall-service")
def uninstall_service(
    url: Annotated[str, typer.Option(help="The guard's local API.", envvar="RISK_MANAGER_URL")] = DEFAULT_URL,
) -> None:
    """Remove the service; lockouts and record stay. Refuses while the guard tells of a lockout. Needs root."""
    import os

    from risk_manager.runtime.service.install import uninstall

    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        _refuse("uninstall-service", ["this changes the system: call it as root"])
    _refuse("uninstall-service", _lockouts(url))
    _carry_out("uninstall-service", uninstall())


def _lockouts(url: str) -> list[str]:
    """What speaks against removing the guard now; one that does not run says nothing."""
    import http.client
    import json
    import urllib.error
    import urllib.request

    from risk_manager.cli.decision_text import end_untold

    try:
        with urllib.request.urlopen(f"{url}/api/status", timeout=5) as response:  # noqa: S310  # root names the address
            accounts = json.loads(response.read())["accounts"]
        return [
            f"{account['name']} is locked by {lockout['rule']} until {until}"
            for account in accounts
            for lockout in account["lockouts"]
            for until in (lockout["until"] or end_untold(is_timed=lockout["is_timed"]),)
        ]
    except (http.client.HTTPException, urllib.error.HTTPError, ValueError, KeyError, TypeError):
        return [f"what answers at {url} does not speak like a guard; end it first"]
    except OSError:
        return []


def _refuse(command: str, reasons: list[str]) -> None:
    for reason in reasons:
        typer.echo(f"{command}: {reason}", err=True)
    if reasons:
        raise typer.Exit(1)


def _carry_out(command: str, steps: "Iterator[str]") -> None:
    from subprocess import CalledProcessError

    try:
        for step in steps:
            typer.echo(step)
    except CalledProcessError as error:
        _refuse(command, [f"{' '.join(error.cmd)}: {error.stderr.strip()}"])
    except OSError as error:
        _refuse(command, [str(error)])

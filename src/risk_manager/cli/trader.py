"""`risk-manager trader`: what the guard says, read from its local API, never from its files."""

import json
from typing import Annotated, Any

import typer

app = typer.Typer(help="What the guard sees and did; reads the running daemon.", no_args_is_help=True)

DEFAULT_URL = "http://127.0.0.1:27181"
Url = Annotated[str, typer.Option(help="The daemon's local API.", envvar="RISK_MANAGER_URL")]
TIMEOUT_S = 5.0


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="Everything, as JSON.")] = False,
    live: Annotated[bool, typer.Option("--live", help="Keep showing it until Ctrl-C.")] = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Positions, P&L against every limit, lockouts with the time left, and the last enforcements."""
    if live:
        _show_live(url)
        return
    found = _status(url)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    from rich.console import Console

    from risk_manager.cli.screen import status_screen

    Console().print(status_screen(found))


@app.command()
def logs(
    most: Annotated[int, typer.Option(help="How many decisions, newest last.", min=1, max=1000)] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="The decisions as JSON, one per line.")] = False,
    url: Url = DEFAULT_URL,
) -> None:
    """What the guard decided, and why."""
    found = _get(url, f"/api/decisions?most={most}")
    if not isinstance(found, list):
        raise _strange(url)
    for decision in found:
        if as_json:
            typer.echo(json.dumps(decision))
            continue
        from risk_manager.cli.decision_text import decision_lines

        for line in decision_lines(decision):
            typer.echo(line)


@app.command()
def explain(
    enforcement: Annotated[str, typer.Argument(help="Its id, as `trader status` shows it; or `last`.")],
    as_json: Annotated[bool, typer.Option("--json", help="Everything, as JSON.")] = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Why the guard stepped in: what was true, which rule, what it did, and how it ended."""
    if enforcement == "last":
        enforcement = _last_enforcement(url)
    found = _get(url, f"/api/enforcements/{enforcement}")
    if not isinstance(found, dict) or "rule" not in found:
        raise _strange(url)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    from risk_manager.cli.explanation_text import explanation_lines

    for line in explanation_lines(found):
        typer.echo(line)


def _last_enforcement(url: str) -> str:
    records = [record for account in _status(url)["accounts"] for record in account["enforcements"]]
    if not records:
        typer.echo("nothing has been enforced since the guard started", err=True)
        raise typer.Exit(1)
    return str(max(records, key=lambda record: record["breach_ns"])["id"])


def _show_live(url: str) -> None:
    import time

    from rich.live import Live

    from risk_manager.cli.screen import status_screen

    try:
        with Live(status_screen(_status(url)), screen=True, auto_refresh=False) as view:
            while True:
                time.sleep(0.25)
                view.update(status_screen(_status(url)), refresh=True)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


def _status(url: str) -> dict[str, Any]:
    found = _get(url, "/api/status")
    if not isinstance(found, dict) or "accounts" not in found:
        raise _strange(url)
    return found


def _get(url: str, path: str) -> Any:
    """The API's answer; ends the command with advice where there is none."""
    import http.client

    host, port = _address(url)
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
    except OSError as error:
        typer.echo(f"no guard answers at {url} ({error}); is `risk-manager run` running?", err=True)
        raise typer.Exit(1) from None
    except http.client.HTTPException:
        raise _strange(url) from None
    finally:
        connection.close()
    if response.status != http.client.OK:
        typer.echo(f"the guard at {url} refused: {response.status} {body.decode(errors='replace')}", err=True)
        raise typer.Exit(1)
    try:
        return json.loads(body)
    except ValueError:
        raise _strange(url) from None


def _address(url: str) -> tuple[str, int]:
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        if parts.scheme == "http" and parts.hostname:
            return parts.hostname, parts.port or 80
    except ValueError:
        # Brackets or a port that make no sense: as little of that form as anything else.
        parts = None
    typer.echo(f"--url: {url!r} is not of the form {DEFAULT_URL}", err=True)
    raise typer.Exit(2)


def _strange(url: str) -> typer.Exit:
    typer.echo(f"what answers at {url} does not speak like a guard", err=True)
    return typer.Exit(1)

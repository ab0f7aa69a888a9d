"""`risk-manager audit`: what the guard did, and whether that can be proven.

The commands read a copy of the journal, so a guard may go on writing it. Whoever runs them needs the right to read its
files.
"""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from risk_manager.persistence.anchor import Anchor
    from risk_manager.persistence.verification import Verification
    from risk_manager.replay.segment import Surroundings

app = typer.Typer(help="Proof of what the guard did.", no_args_is_help=True)

Config = Annotated[Path, typer.Option(help="Directory with accounts.yaml and risk_config.yaml.")]
Data = Annotated[
    Path | None, typer.Option(help="Data directory, or a copy of one.", show_default="the configuration's")
]
Anchors = Annotated[
    Path | None, typer.Option("--anchor", help="File of anchors kept elsewhere; shows a journal that was rolled back.")
]
CONFIG = Path("config")
_WORDS = {True: "ok", False: "FAILED", None: "not checked"}
_STYLES = {True: "green", False: "bold red", None: "yellow"}


class Form(StrEnum):
    HTML = "html"
    JSON = "json"


@app.command()
def replay(
    day: Annotated[str, typer.Argument(help="Trading day, by its session date: 2026-03-02.")],
    account: Annotated[str | None, typer.Option(help="One account, by id or name.", show_default="all")] = None,
    config: Config = CONFIG,
    data: Data = None,
    as_json: Annotated[bool, typer.Option("--json", help="Everything, as JSON.")] = False,
) -> None:
    """Give a recorded day to fresh engines again, and hold every decision against the journal, byte for byte.

    Ends with 0 if all are identical, with 1 if one is not, with 2 if something could not be replayed.
    """
    from risk_manager.cli.replay_text import replay_lines
    from risk_manager.persistence.instance_lock import looking
    from risk_manager.persistence.reading import Unreadable
    from risk_manager.replay.day import NothingRecorded, replay_day

    directory = _directory("replay", data, config)
    try:
        with looking(directory, wait_s=0.0) as running:
            if running is not None:
                typer.echo(f"note: {running}; what it received in the last second is not written yet", err=True)
        found = list(replay_day(directory, day, account, _surroundings(config)))
    except (NothingRecorded, Unreadable, OSError) as error:
        raise _refused("replay", str(error)) from None
    if as_json:
        import msgspec

        typer.echo(msgspec.json.encode([{"account": name, "segment": each} for name, each in found]).decode())
    else:
        for line in replay_lines(day, found):
            typer.echo(line)
    if any(each.divergence is not None for _, each in found):
        raise typer.Exit(1)
    if not all(each.is_complete for _, each in found):
        raise typer.Exit(2)


@app.command()
def verify(
    config: Config = CONFIG,
    data: Data = None,
    anchor: Anchors = None,
    as_json: Annotated[bool, typer.Option("--json", help="Everything, as JSON.")] = False,
) -> None:
    """Check that nobody has changed the journal: its bytes, its rows, its order, its end.

    Ends with 0 if nothing is wrong, with 1 if something is, with 2 if it cannot be read.
    """
    from risk_manager.persistence.verification import verify as verified

    directory = _directory("verify", data, config)
    if not directory.is_dir():
        raise _refused("verify", f"there is no directory {directory}")
    try:
        found = verified(directory, anchors=_anchors(anchor), on_progress=_progress(quiet=as_json))
    except OSError as error:
        raise _refused("verify", str(error)) from None
    if as_json:
        import msgspec

        typer.echo(msgspec.json.encode({"ok": found.is_sound, **msgspec.to_builtins(found)}).decode())
    else:
        _show(found, has_anchor=anchor is not None)
    if not found.is_sound:
        raise typer.Exit(1)


@app.command()
def export(
    into: Annotated[Path, typer.Argument(help="File to write; - is standard output.")],
    config: Config = CONFIG,
    data: Data = None,
    day: Annotated[str | None, typer.Option(help="Of one trading day: 2026-03-02.")] = None,
    account: Annotated[str | None, typer.Option(help="Of one account, by its id.")] = None,
    enforcement: Annotated[str | None, typer.Option("--id", help="One enforcement, by its id.")] = None,
    anchor: Anchors = None,
    form: Annotated[Form, typer.Option("--format", help="A page for people, or JSON for programs.")] = Form.HTML,
) -> None:
    """Write what a firm's support needs: every enforcement told, its decisions, and the check of the journal."""
    from importlib.metadata import version

    import msgspec

    from risk_manager.persistence.reading import Unreadable
    from risk_manager.runtime.clock import wall_ns
    from risk_manager.runtime.instants import iso
    from risk_manager.runtime.packet import packet

    try:
        made = packet(
            _directory("export", data, config),
            made_at=iso(wall_ns()),
            version=version("risk-manager"),
            day=day,
            account_id=account,
            intent_id=enforcement,
            anchors=_anchors(anchor),
            on_progress=_progress(quiet=False),
        )
    except (Unreadable, OSError) as error:
        raise _refused("export", str(error)) from None
    if not made.enforcements:
        raise _refused("export", "the journal tells of no such enforcement")
    body = msgspec.json.encode(made)
    if form is Form.HTML:
        from risk_manager.cli.explanation_text import explanation_lines
        from risk_manager.web.packet_page import packet_page

        body = packet_page(msgspec.json.decode(body), explanation_lines).encode()
    if str(into) == "-":
        typer.echo(body.decode())
    else:
        try:
            into.write_bytes(body)
        except OSError as error:
            raise _refused("export", str(error)) from None
        typer.echo(f"{len(made.enforcements)} enforcements written to {into}")
    if not made.verification.is_sound:
        typer.echo("audit export: the journal is NOT as it was written; the packet says so", err=True)
        raise typer.Exit(1)


@app.command()
def explain(
    enforcement: Annotated[str, typer.Argument(help="Its id, as `trader status` shows it; or `last`.")],
    config: Config = CONFIG,
    data: Data = None,
) -> None:
    """Tell one enforcement from the journal; `trader explain` asks the running guard instead."""
    import msgspec

    from risk_manager.cli.explanation_text import explanation_lines
    from risk_manager.persistence.reading import Unreadable
    from risk_manager.persistence.stories import stories
    from risk_manager.runtime.explanation import explain as explained

    try:
        found = stories(_directory("explain", data, config), intent_id=None if enforcement == "last" else enforcement)
    except Unreadable as error:
        raise _refused("explain", str(error)) from None
    if not found:
        raise _refused("explain", "the journal tells of no such enforcement")
    intent_id, story = list(found.items())[-1]
    for line in explanation_lines(msgspec.json.decode(msgspec.json.encode(explained(story, intent_id)))):
        typer.echo(line)


def _directory(what: str, data: Path | None, config: Path) -> Path:
    """The data directory, the configuration's unless one is named; nobody logs in, so no credentials are needed."""
    if data is not None:
        return data
    from risk_manager.config import ConfigInvalid
    from risk_manager.config.document import read_document
    from risk_manager.config.faults import Fault
    from risk_manager.config.load import ACCOUNTS_FILE
    from risk_manager.config.places import placed
    from risk_manager.config.sections import AccountsFile
    from risk_manager.config.validation import validated

    faults: list[Fault] = []
    accounts = validated(AccountsFile, read_document(config / ACCOUNTS_FILE), faults)
    if accounts is None or faults:
        raise _refused(what, f"{ConfigInvalid(faults)}\nor name the data directory: --data DIR")
    return placed(config, accounts.data_dir).resolve()


def _surroundings(config: Path) -> "Surroundings":
    from risk_manager.config import ConfigInvalid, build_trading_days
    from risk_manager.config.calendar import build_calendar
    from risk_manager.config.custom_rules import RISK_FILE, rules_of
    from risk_manager.replay.segment import Surroundings
    from risk_manager.rules import RULES

    try:
        classes = rules_of(config) if (config / RISK_FILE).exists() else RULES
    except ConfigInvalid as invalid:
        raise _refused("replay", str(invalid)) from None
    return Surroundings(build_calendar(), build_trading_days, classes)


def _anchors(path: Path | None) -> "tuple[Anchor, ...] | None":
    from risk_manager.persistence.anchor import AnchorsUnreadable, read

    if path is None:
        return None
    try:
        return read(path)
    except (OSError, AnchorsUnreadable) as error:
        raise _refused("--anchor", str(error)) from None


def _progress(*, quiet: bool) -> "Callable[[int, int], None] | None":
    """Tells on a terminal how far it is."""
    import sys

    if quiet or not sys.stderr.isatty():
        return None
    return lambda done, of: typer.echo(f"\r{done:,} of {of:,} decisions", err=True, nl=done >= of)


def _show(found: "Verification", *, has_anchor: bool) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    for check in found.checks:
        word, style = _WORDS[check.passed], _STYLES[check.passed]
        console.print(Text.assemble((f"{word:<12}", style), (f"{check.name:<14} ", "bold"), check.found))
    console.print(f"\n{found.decisions:,} decisions, last seal {found.head}")
    if not has_anchor:
        console.print("Without --anchor an earlier copy of the whole journal, put back, does not show.")


def _refused(what: str, problems: str) -> typer.Exit:
    for problem in problems.splitlines():
        typer.echo(f"audit {what}: {problem}", err=True)
    return typer.Exit(2)

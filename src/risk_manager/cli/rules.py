"""`risk-manager rules`: which rules there are, what each does, and the schema of the configuration."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from risk_manager.rules import Option, Rule

app = typer.Typer(help="The rules there are, and how to write them.", no_args_is_help=True)


Directory = Annotated[Path | None, typer.Option("--config", help="Include the own rules of this configuration.")]


class File(StrEnum):
    RISK_CONFIG = "risk_config"
    ACCOUNTS = "accounts"


@app.command("list")
def list_rules(config: Directory = None) -> None:
    """Every rule in one line."""
    from rich.console import Console
    from rich.table import Table

    from risk_manager.config.rule_page import rule_page

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold underline")
    table.add_column("rule", no_wrap=True, style="bold")
    table.add_column("what it does")
    for rule_class in _rules(config).values():
        page = rule_page(rule_class)
        table.add_row(page.name, page.summary)
    console = Console()
    console.print(table)
    console.print("\nrisk-manager rules show NAME tells one in full.", style="dim", highlight=False)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="As in the configuration: daily_realized_loss.")], config: Directory = None
) -> None:
    """One rule: what it limits, every option with its default, an example."""
    from rich.console import Console
    from rich.markdown import Markdown
    from rich.syntax import Syntax
    from rich.text import Text

    from risk_manager.config.faults import suggestion
    from risk_manager.config.rule_page import rule_page

    rules = _rules(config)
    rule_class = rules.get(name.strip().lower())
    if rule_class is None:
        typer.echo(f"rules: there is no rule {name!r}; {suggestion(name, rules)}", err=True)
        raise typer.Exit(2)
    page, console = rule_page(rule_class), Console()
    console.print(Text(page.name, style="bold cyan"), Text(page.summary, style="bold"))
    console.print(Markdown(page.text))
    console.print(_options_table("Options", page.options))
    console.print(_options_table("For every rule", page.common))
    console.print(Text("In risk_config.yaml", style="bold"))
    console.print(Syntax(page.example, "yaml", background_color="default"))


@app.command()
def schema(
    file: Annotated[File, typer.Option(help="Which file's.")] = File.RISK_CONFIG, config: Directory = None
) -> None:
    """The JSON Schema of a configuration file, for editors."""
    from risk_manager.config.schema import accounts_schema, as_text, risk_schema

    typer.echo(as_text(risk_schema(_rules(config)) if file is File.RISK_CONFIG else accounts_schema()), nl=False)


def _rules(directory: Path | None) -> "Mapping[str, type[Rule]]":
    """The rules there are; with a directory its own besides."""
    from risk_manager.config import ConfigInvalid
    from risk_manager.config.custom_rules import rules_of
    from risk_manager.rules import RULES

    if directory is None:
        return RULES
    try:
        return rules_of(directory)
    except ConfigInvalid as invalid:
        typer.echo(str(invalid), err=True)
        raise typer.Exit(2) from None


def _options_table(title: str, options: "tuple[Option, ...]") -> "Table":
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0))
    table.add_column("option", no_wrap=True, style="cyan")
    table.add_column("what may be written")
    table.add_column("default")
    for option in options:
        default = "[bold]required[/bold]" if option.default == "required" else _escaped(option.default)
        table.add_row(option.name, _escaped(option.meaning), default)
    return table


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)

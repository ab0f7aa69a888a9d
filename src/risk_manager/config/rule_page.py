"""A rule's page in the manual, made of its class: what it limits, its options, and how it is written in a file."""

import inspect
import json
import re
import sys
from collections.abc import Mapping
from typing import NamedTuple

from risk_manager.rules import RULES, Option, Rule, common_options, describe

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_RESERVED = ("true", "false", "null", "yes", "no", "on", "off")
_HEADED = {"Example: ": "Example", "What it does not do: ": "What it does not do"}


class RulePage(NamedTuple):
    """Attributes:
    summary: one sentence.   text: the rest, Markdown.
    options: of the rule.   common: those every rule has.
    example: a section of risk_config.yaml.   older: other spellings, by what they mean now.
    """

    name: str
    summary: str
    text: str
    options: tuple[Option, ...]
    common: tuple[Option, ...]
    example: str
    older: Mapping[str, str]


def rule_page(rule_class: type[Rule]) -> RulePage:
    """The page of one rule; its module's docstring is the text."""
    document = inspect.getdoc(sys.modules[rule_class.__module__]) or rule_class.name
    summary, _, text = document.partition("\n")
    own = describe(rule_class)
    taken = {option.name for option in own}
    return RulePage(
        rule_class.name,
        summary,
        _headed(text.strip()),
        own,
        tuple(option for option in common_options() if option.name not in taken),
        _section(rule_class.name, getattr(rule_class, "example", {})),
        getattr(rule_class, "aliases", {}),
    )


def markdown(page: RulePage) -> str:
    """The page as a file of the manual."""
    parts = [f"# {page.name}", page.summary, page.text, "## Options", _table(page.options)]
    parts += ["Every rule has these besides:", _table(page.common)]
    if page.older:
        parts.append("Also understood: " + ", ".join(f"`{old}` for `{new}`" for old, new in page.older.items()) + ".")
    parts += ["## In risk_config.yaml", f"```yaml\n{page.example}```"]
    return "\n\n".join(part for part in parts if part) + "\n"


def index() -> str:
    """The page that lists all rules."""
    rows = [f"| [{name}]({name}.md) | {rule_page(rule).summary} |" for name, rule in RULES.items()]
    return "\n".join(
        [
            "# The rules",
            "",
            "These pages are made of the rules themselves by `uv run python docs/rules.py`; "
            "`risk-manager rules show NAME` prints the same.",
            "How rules are put together is told in [Combine rules](../how-to/combine-rules.md), how to write one in",
            "[Add an account rule](../how-to/add-a-rule.md) and [Use a rule of your own](../how-to/custom-rules.md).",
            "",
            "| rule | what it does |",
            "|---|---|",
            *rows,
            "",
        ]
    )


def _headed(text: str) -> str:
    """The text with headings over the example and over what the rule does not do."""
    paragraphs = []
    for paragraph in text.split("\n\n"):
        for start, heading in _HEADED.items():
            if paragraph.startswith(start):
                rest = paragraph.removeprefix(start)
                paragraph = f"## {heading}\n\n{rest[:1].upper()}{rest[1:]}"
        paragraphs.append(paragraph)
    return "\n\n".join(paragraphs)


def _table(options: tuple[Option, ...]) -> str:
    rows = [f"| `{one.name}` | {_cell(one.meaning)} | {_cell(one.default)} |" for one in options]
    return "\n".join(["| option | what may be written | default |", "|---|---|---|", *rows])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _section(name: str, options: Mapping[str, object]) -> str:
    lines = [f"  {name}:", *(f"    {key}: {_flow(value)}" for key, value in options.items())]
    if not options:
        lines = [f"  {name}: {{}}"]
    return "rules:\n" + "\n".join(lines) + "\n"


def _flow(value: object) -> str:
    """A value in YAML's flow style."""
    match value:
        case Mapping():
            return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(_flow(item) for item in value) + "]"
        case str() if _PLAIN.fullmatch(value) and value.lower() not in _RESERVED:
            return value
    return json.dumps(value)

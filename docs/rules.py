"""Writes the rules' pages and the schemas of the configuration: `uv run python docs/rules.py`.

All of it is made of the rules' own classes. Run it after a change to a rule; a test compares.
"""

from pathlib import Path

from risk_manager.config.rule_page import index, markdown, rule_page
from risk_manager.config.schema import accounts_schema, as_text, risk_schema
from risk_manager.rules import RULES

PROJECT = Path(__file__).resolve().parents[1]


def files() -> dict[Path, str]:
    """Every file this program writes, with what belongs into it."""
    pages = PROJECT / "docs" / "rules"
    written = {pages / f"{name}.md": markdown(rule_page(rule)) for name, rule in RULES.items()}
    written[pages / "README.md"] = index()
    written[PROJECT / "config" / "risk_config.schema.json"] = as_text(risk_schema())
    written[PROJECT / "config" / "accounts.schema.json"] = as_text(accounts_schema())
    return written


def main() -> None:
    for path, text in files().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

"""The written pages agree with the tree: links, decision records, glossary and code map."""

import re
from pathlib import Path

import pytest

from tests.architecture.house import PROJECT, SOURCE

DOCS = PROJECT / "docs"
PAGES = sorted([*PROJECT.glob("*.md"), *DOCS.rglob("*.md")])
RECORDS = sorted((DOCS / "adr").glob("[0-9]*.md"))
ROOMS = sorted(path.parent.name for path in SOURCE.glob("*/__init__.py"))
FENCED = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`]+)`")


def broken_links(page: Path) -> list[str]:
    """Relative links of a page that lead to no file, or to no heading of it."""
    return [target for target in LINK.findall(_prose(page)) if not _leads_somewhere(page, target)]


def _leads_somewhere(page: Path, target: str) -> bool:
    if re.match(r"[a-z]+:", target):
        return True
    name, _, anchor = target.partition("#")
    path = (page.parent / name).resolve() if name else page
    return path.exists() and (not anchor or anchor in _anchors(path))


def _anchors(page: Path) -> set[str]:
    """The anchors GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ +(.+)$", _prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _prose(page: Path) -> str:
    return FENCED.sub("", page.read_text(encoding="utf-8"))


def _first_column(page: Path) -> list[str]:
    """Everything in backticks in the first column of a page's tables."""
    rows = (line.split("|")[1] for line in _prose(page).splitlines() if line.startswith("|"))
    return [name for cell in rows for name in CODE.findall(cell)]


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(PROJECT)) for page in PAGES])
def test_links_lead_somewhere(page: Path) -> None:
    assert broken_links(page) == []


def test_reports_a_broken_link(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# Here\n[a](gone.md) [b](page.md#here) [c](#gone) [d](https://example.org)\n```\n[e](code.md)\n```\n"
    )
    assert broken_links(page) == ["gone.md", "#gone"]


@pytest.mark.parametrize("record", RECORDS, ids=[record.stem for record in RECORDS])
def test_gives_a_decision_record_its_four_headings(record: Path) -> None:
    text = _prose(record)
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences", "When to revisit"]
    assert text.startswith(f"# {record.stem[:4]} ")


def test_lists_every_decision_record_once_and_in_order() -> None:
    listed = [target for target in LINK.findall(_prose(DOCS / "adr" / "README.md")) if target[:1].isdigit()]
    assert listed == [record.name for record in RECORDS]
    assert [record.stem[:4] for record in RECORDS] == [f"{number:04}" for number in range(1, len(RECORDS) + 1)]


def test_gives_every_room_a_place_on_the_code_map() -> None:
    headings = re.findall(r"^### (.+)$", _prose(PROJECT / "ARCHITECTURE.md"), re.MULTILINE)
    mapped = sorted(name.rstrip("/") for heading in headings for name in CODE.findall(heading) if name.endswith("/"))
    assert mapped == ROOMS


def test_names_only_files_that_exist() -> None:
    named = {
        name for name in CODE.findall(_prose(PROJECT / "ARCHITECTURE.md")) if re.fullmatch(r"[\w/]+(/|\.py)", name)
    }
    missing = [name for name in sorted(named) if not (SOURCE / name).exists() and not (PROJECT / name).exists()]
    assert missing == []


def test_defines_only_words_the_source_uses() -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py"))
    words = {word for name in _first_column(DOCS / "glossary.md") for word in re.findall(r"\w+", name)}
    assert sorted(word for word in words if not re.search(rf"{word}\b", source)) == []

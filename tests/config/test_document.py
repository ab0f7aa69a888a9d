from pathlib import Path
from typing import Any

import pytest

from risk_manager.config.document import Document, read_document


def _read(tmp_path: Path, content: str | bytes) -> Document:
    path = tmp_path / "risk.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_document(path)


def _faults(tmp_path: Path, content: str | bytes) -> list[str]:
    return [str(fault) for fault in _read(tmp_path, content).faults]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("5", 5),
        ("-500", -500),
        ("+5", 5),
        ("0", 0),
        ("499.99", 499.99),
        ("1e3", 1000.0),
        ("'0930'", "0930"),
        ('"17:00"', "17:00"),
        ("true", True),
        ("False", False),
        ("yes", "yes"),
        ("NO", "NO"),
        ("on", "on"),
        ("~", None),
        ("", None),
        ("90s", "90s"),
        ("1_000", "1_000"),
        ("2026-03-02", "2026-03-02"),
        ("https://api.topstepx.com", "https://api.topstepx.com"),
        ("[a, 1, [b]]", ["a", 1, ["b"]]),
        ("{MNQ: 2}", {"MNQ": 2}),
    ],
)
def test_reads_plain_values(tmp_path: Path, written: str, value: Any) -> None:
    document = _read(tmp_path, f"key: {written}\n")
    assert document.faults == []
    assert document.data == {"key": value}
    assert type(document.data["key"]) is type(value)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("17:00", 'the time 17:00 is not quoted, and some programs read it as a number; write "17:00"'),
        ("9:30", 'the time 9:30 is not quoted, and some programs read it as a number; write "9:30"'),
        ("17:00:30", 'the time 17:00:30 is not quoted, and some programs read it as a number; write "17:00:30"'),
        (
            "0930",
            "0930 begins with a zero, and programs disagree what that means; "
            'write "09:30" for a time, 930 for a number',
        ),
        ("010", "010 begins with a zero, and programs disagree what that means; write 10 for a number"),
        ("0x10", "0x10 is not a decimal number; write it in decimal, or quote it"),
        (".nan", ".nan is not a number one can compare with; write a finite number"),
        ("-.INF", "-.INF is not a number one can compare with; write a finite number"),
        ("nan", "nan is not a number one can compare with; write a finite number"),
        ("1e400", "'1e400' has more digits than can be kept exactly; write fewer digits"),
        (
            "0.12345678901234567891",
            "'0.12345678901234567891' has more digits than can be kept exactly; write fewer digits",
        ),
        ("9" * 16, "'9999999999999999' is too large; write a smaller number"),
        (
            "${LIMIT}",
            "'${LIMIT}' looks like a variable, and variables are not replaced in configuration files; "
            "write the value itself; secrets belong in .env or the environment",
        ),
        ('"a ${B:-c}"', None),
        ('" padded"', "is empty or padded with spaces"),
        ('""', "is empty or padded with spaces"),
        (r'"a\nb"', r"'a\nb' holds line breaks or control characters"),
        (r'"a\0b"', r"'a\x00b' holds line breaks or control characters"),
    ],
)
def test_refuses_what_can_be_read_in_two_ways(tmp_path: Path, written: str, message: str | None) -> None:
    (fault,) = _read(tmp_path, f"a: 1\nkey: {written}\n").faults
    assert (fault.file, fault.line, fault.column, fault.path) == ("risk.yaml", 2, 6, "key")
    if message is not None:
        assert str(fault) == f"risk.yaml, line 2, column 6, key: {message}"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "a: 1\nb: 2\na: 3\n",
            "risk.yaml, line 3, column 1, a: is written twice, first in line 1; keep one of them",
        ),
        ("a: &x 1\n", "line 1, column 4, a: anchors (&) and aliases (*) are not allowed"),
        ("a: *x\n", "line 1, column 4, a: anchors (&) and aliases (*) are not allowed"),
        ("a: !!int '3'\n", "line 1, column 4, a: tags (!) are not allowed"),
        ("%YAML 1.1\n---\na: yes\n", "has a % directive; remove it"),
        ("a: 1\n---\nb: 1\n", "line 2, column 1: holds more than one document; remove the line ---"),
        ("<<: {a: 1}\n", "the key '<<' merges another mapping, which is not allowed"),
        ("[a]: 1\n", "a key must be a plain word"),
        ("? {a: b}\n: 1\n", "a key must be a plain word"),
        ('"": 1\n', "the key '' is empty or padded with spaces"),
        ("a: [1, 2\n", "is not valid YAML: while parsing a flow sequence"),
        ("a: b: c\n", "line 1, column 5: is not valid YAML: mapping values are not allowed here"),
        ("a:\n\t- b\n", "line 2, column 1: is not valid YAML"),
        ('a: "\\UFFFFFFFF"\n', "is not valid YAML"),
        ("a: \x00\n", "is not valid YAML"),
        (b"ok: 1\na: \xff\n", "line 2, column 1: is not UTF-8 text; save the file as UTF-8"),
        ("a: " + "[" * 8 + "]" * 8, "is nested deeper than 8 levels"),
        ("x" * 65_537, "is larger than 64 KiB"),
    ],
)
def test_says_what_is_wrong_with_a_file(tmp_path: Path, content: str | bytes, message: str) -> None:
    faults = _faults(tmp_path, content)
    assert len(faults) == 1
    assert message in faults[0]


def test_goes_on_after_a_fault_to_find_the_next(tmp_path: Path) -> None:
    document = _read(tmp_path, "a: 17:00\nb: {c: .nan, c: 2}\nd: 010\n")
    assert [(fault.line, fault.path) for fault in document.faults] == [(1, "a"), (2, "b.c"), (2, "b.c"), (3, "d")]
    assert document.data is not None


def test_accepts_what_is_exactly_at_the_caps(tmp_path: Path) -> None:
    assert _read(tmp_path, "a: " + "[" * 7 + "]" * 7).faults == []
    assert _read(tmp_path, "#" * 65_535 + "\n").faults == []


def test_reads_a_file_with_a_byte_order_mark(tmp_path: Path) -> None:
    assert _read(tmp_path, "\ufeffa: 1\n").data == {"a": 1}


def test_stops_at_an_alias_bomb_without_unfolding_it(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12))]
    assert len(_faults(tmp_path, "\n".join(lines))) == 1


@pytest.mark.parametrize("opening", ["[", "{", "- ", "? "])
def test_stops_at_endless_nesting(tmp_path: Path, opening: str) -> None:
    assert len(_faults(tmp_path, opening * (60_000 // len(opening)))) >= 1


def test_says_when_the_file_is_missing(tmp_path: Path) -> None:
    (fault,) = read_document(tmp_path / "accounts.yaml").faults
    assert str(fault) == f"accounts.yaml: is missing in {tmp_path}; copy the example beside it"


def test_says_when_the_file_cannot_be_read(tmp_path: Path) -> None:
    (fault,) = read_document(tmp_path).faults
    assert "cannot be read: Is a directory" in str(fault)


def test_places_a_fault_at_the_deepest_part_that_exists(tmp_path: Path) -> None:
    document = _read(tmp_path, "rules:\n  loss:\n    limit: 5\n")
    assert str(document.fault(("rules", "loss", "limit"), "no")) == "risk.yaml, line 3, column 12, rules.loss.limit: no"
    assert document.fault(("rules", "loss", "limit"), "no", at_key=True).column == 5
    assert str(document.fault(("rules", "loss", "items", 2), "no")).startswith(
        "risk.yaml, line 2, column 3, rules.loss.items[2]"
    )
    assert document.fault((), "no").line == 1

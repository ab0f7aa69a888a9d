"""A packet of proof as one HTML page that needs nothing but a browser, and prints well."""

import json
from collections.abc import Callable, Iterable, Iterator
from html import escape
from typing import Any

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 54rem; margin: 2rem auto; padding: 0 1rem; color: #1b1f24; }
h1 { font-size: 1.5rem; }
h2 { font-size: 1.15rem; margin-top: 2.2rem; border-top: 1px solid #d0d7de; padding-top: 1rem; }
pre { background: #f6f8fa; padding: .8rem 1rem; white-space: pre-wrap; overflow-wrap: anywhere; border-radius: 6px; }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left; padding: .25rem .6rem .25rem 0; }
td { border-top: 1px solid #eaeef2; vertical-align: top; } .ok { color: #1a7f37; } .bad { color: #cf222e; }
details { margin: .6rem 0; } summary { cursor: pointer; color: #57606a; } code { overflow-wrap: anywhere; }
@media print { details { display: none; } body { margin: 0; } h2 { break-before: auto; } pre { break-inside: avoid; } }
"""
_WORDS = {True: ("ok", "ok"), False: ("bad", "FAILED"), None: ("", "not checked")}


def packet_page(packet: dict[str, Any], lines_of: Callable[[dict[str, Any]], Iterable[str]]) -> str:
    """The page.

    Args:
        packet: as JSON gives it.   lines_of: tells one of its enforcements.
    """
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>What the guard did</title><style>{_STYLE}</style></head><body>",
            "<h1>What the guard did</h1>",
            f"<p>{len(packet['enforcements'])} enforcements, put together on {escape(packet['made_at'])}",
            f"by risk-manager {escape(packet['version'])}.</p>",
            *_verification(packet["verification"]),
            *(part for each in packet["enforcements"] for part in _enforcement(each, packet["decisions"], lines_of)),
            "</body></html>",
        ]
    )


def _verification(found: dict[str, Any]) -> Iterator[str]:
    yield "<h2>Is the journal as it was written?</h2><table>"
    for check in found["checks"]:
        style, word = _WORDS[check["passed"]]
        yield f'<tr><td>{escape(check["name"])}</td><td class="{style}">{word}</td>'
        yield f"<td>{escape(check['found'])}</td></tr>"
    yield "</table>"
    yield f"<p>{found['decisions']:,} decisions, each sealed with the one before it. The seal of the last:</p>"
    yield f"<p><code>{escape(found['head'])}</code></p>"


def _enforcement(
    each: dict[str, Any], decisions: list[dict[str, Any]], lines_of: Callable[[dict[str, Any]], Iterable[str]]
) -> Iterator[str]:
    yield f"<h2>{escape(each['rule'])} on {escape(each['scope'])}, {escape(each['breach_time'])}</h2>"
    yield f"<pre>{escape(chr(10).join(lines_of(each)))}</pre>"
    yield f"<details><summary>{len(each['steps'])} journaled decisions</summary>"
    steps = set(each["steps"])
    for decision in decisions:
        if decision["account_id"] == each["account_id"] and decision["sequence"] in steps:
            yield f"<pre>{escape(json.dumps(decision, indent=1))}</pre>"
    yield "</details>"

"""What a first contact leaves behind: a report to read and to show, and what was said as fixtures, all redacted."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from risk_manager.venues.projectx.hub_codec import RECORD_END
from risk_manager.venues.projectx.probe import Answer, Findings
from risk_manager.venues.projectx.read_only import Exchange, Frame, Recording
from risk_manager.venues.projectx.redaction import Redactor, cut_lists, encoded, encoded_line
from risk_manager.venues.projectx.settings import ProjectXSettings

REPORT = "report.md"
REPLIES = "replies"
FRAMES = "frames"


class Written(msgspec.Struct, frozen=True):
    """What was written, with the answers as they may be shown."""

    report: Path
    answers: tuple[Answer, ...]


def write_findings(
    folder: Path,
    findings: Findings,
    recording: Recording,
    settings: ProjectXSettings,
    *,
    known: Sequence[str],
    day: str,
    version: str,
) -> Written:
    """Write the report and the fixtures into an existing folder.

    Args:
        known: account ids and names of the configuration, hidden whether or not the venue named them.
        day: of the examination, ISO.   version: of this program.
    """
    redactor = _redactor(findings, recording, settings, known)
    # Everything has been learned: what is rendered from here on is redacted by all of it.
    answers = tuple(
        msgspec.structs.replace(one, lines=tuple(redactor.text(line) for line in one.lines)) for one in findings.answers
    )
    for part in (REPLIES, FRAMES):
        (folder / part).mkdir()
    names = []
    for number, exchange in enumerate(recording.exchanges, start=1):
        name = f"{number:02d}-{_slug(exchange.path)}.json"
        names.append(name)
        (folder / REPLIES / name).write_bytes(encoded(_reply(exchange, redactor)))
    for name, lines in _frame_files(recording.frames, redactor).items():
        (folder / FRAMES / name).write_bytes(b"".join(lines))
    report = folder / REPORT
    hosts = [settings.api_url, settings.user_hub_url, settings.market_hub_url]
    text = _report(answers, findings.stopped, recording, names, hosts=hosts, day=day, version=version)
    # The answers are redacted already; this is for the rest, and for the day somebody adds to it.
    report.write_text(redactor.text(text), encoding="utf-8")
    return Written(report, answers)


def _redactor(findings: Findings, recording: Recording, settings: ProjectXSettings, known: Sequence[str]) -> Redactor:
    redactor = Redactor({settings.api_key: "KEY", settings.user_name: "USER", findings.token: "TOKEN"})
    for exchange in recording.exchanges:
        redactor.learn(exchange.sent)
        redactor.learn(exchange.received)
    for frame in recording.frames:
        for record in frame.data.split(RECORD_END):
            redactor.learn(record)
    redactor.hide_accounts(known)
    return redactor


def _reply(exchange: Exchange, redactor: Redactor) -> dict[str, Any]:
    body = redactor.json(exchange.received)
    reply = {
        "method": exchange.method,
        "path": redactor.text(exchange.path),
        "sent": redactor.json(exchange.sent),
        "status": exchange.status,
        "headers": [[name, redactor.header(name, value)] for name, value in exchange.headers],
        "body": redactor.text(exchange.received.decode(errors="replace")) if body is None else body,
        "elapsed_ms": exchange.elapsed_ms,
    }
    if cut := cut_lists(exchange.received):
        reply["rows_before_the_cut"] = cut
    if exchange.failure:
        reply["failure"] = exchange.failure
    return reply


def _frame_files(frames: Sequence[Frame], redactor: Redactor) -> dict[str, list[bytes]]:
    """A file for each connection, a line for each message: when, which way, its records."""
    files: dict[str, list[bytes]] = {}
    for frame in frames:
        line: dict[str, Any] = {"at_ms": frame.at_ms, "way": "sent" if frame.is_sent else "received"}
        if frame.ended:
            line["ended"] = redactor.text(frame.ended)
        else:
            parts = frame.data.split(RECORD_END)
            # Without a separator at its end a message goes on in the next one.
            line["is_cut_off"] = bool(parts[-1])
            line["records"] = [_record(part, redactor) for part in parts if part]
        files.setdefault(f"{frame.connection:02d}-{frame.hub}.jsonl", []).append(encoded_line(line))
    return files


def _record(record: bytes, redactor: Redactor) -> Any:
    decoded = redactor.json(record)
    return redactor.text(record.decode(errors="replace")) if decoded is None else decoded


def _report(
    answers: Sequence[Answer],
    stopped: str,
    recording: Recording,
    names: Sequence[str],
    *,
    hosts: Sequence[str],
    day: str,
    version: str,
) -> str:
    calls, frames = recording.exchanges, recording.frames
    lines = [
        "# First contact",
        "",
        f"On {day} with risk-manager {version}: {', '.join(hosts)}. {len(calls)} calls, {len(frames)} hub messages.",
        "Nothing was placed, changed, canceled or closed. Names, account ids, order ids and tokens are pseudonyms,",
        "balances are not the real ones, long lists are cut.",
    ]
    if recording.frames_lost:
        lines += ["", f"{recording.frames_lost} later hub messages were not kept."]
    if stopped:
        lines += ["", f"It ended early: {stopped}."]
    for answer in answers:
        lines += ["", f"## {answer.number}. {answer.question}", ""]
        lines += [f"- {line}" for line in answer.lines] or ["- not asked"]
        if not answer.is_complete:
            lines += ["", "Something of this stays open."]
    lines += ["", "## Calls", "", "| file | status | ms |", "|---|---|---|"]
    rows = zip(names, calls, strict=True)
    lines += [f"| [{name}]({REPLIES}/{name}) | {one.status or one.failure} | {one.elapsed_ms} |" for name, one in rows]
    return "\n".join(lines) + "\n"


def _slug(path: str) -> str:
    words = path.partition("?")[0].lower().removeprefix("/api/").strip("/")
    return "-".join(words.split("/"))

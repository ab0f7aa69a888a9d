"""What the venue answered, in a few words."""

from typing import Any

import msgspec

from risk_manager.venues.projectx.listening import Heard
from risk_manager.venues.projectx.read_only import Exchange
from risk_manager.venues.projectx.redaction import MASKED_HEADERS

_TEXT_MAX = 200


def envelope(said: Exchange) -> dict[str, Any]:
    """The answer's JSON object; empty where it is something else."""
    try:
        decoded = msgspec.json.decode(said.received)
    except (ValueError, RecursionError):
        return {}
    return decoded if isinstance(decoded, dict) else {}


def rows(said: Exchange, key: str) -> list[dict[str, Any]]:
    """The objects of one list of an answer; none where there is no such list."""
    listed = envelope(said).get(key)
    return [row for row in listed if isinstance(row, dict)] if isinstance(listed, list) else []


def message_of(said: Exchange) -> str:
    """What went wrong, to be put behind a status; empty where nothing did."""
    said_so = envelope(said)
    text, code = said_so.get("errorMessage") or said_so.get("title"), said_so.get("errorCode")
    return f", code {code}{f' {text!r}' if text else ''}" if code or text else ""


def described(said: Exchange) -> str:
    """Status, headers and body: of an object the members, whose values may be secrets, of a text the beginning."""
    told = envelope(said)
    body = said.received.decode(errors="replace")
    shown = f"with members {', '.join(told)}{message_of(said)}" if told else repr(body[:_TEXT_MAX]) if body else "empty"
    shown_headers = (
        f"{name}: {'MASKED' if name.lower() in MASKED_HEADERS else value}"
        for name, value in said.headers
        if name.lower() != "date"
    )
    headers = ", ".join(shown_headers)
    return f"status {said.status}, body {shown}, headers {headers or 'none'}"


def negotiation(said: Exchange) -> str:
    """Transports, redirect and members of a negotiation."""
    answer = envelope(said)
    if said.status != 200 or not answer:
        return described(said)
    transports = [str(each.get("transport")) for each in rows(said, "availableTransports")]
    # The address it leads to may hold a token of its own.
    redirect = "a redirect to another service" if answer.get("url") else "no redirect"
    return f"status 200, {', '.join(transports) or 'no transports'}; {redirect}; members {', '.join(answer)}"


def handshake(answer: dict[str, Any] | None) -> str:
    """How a hello was answered."""
    if answer is None:
        return "no answer"
    return f"refused: {answer['error']!r}" if answer.get("error") else "accepted"


def completion(done: Heard | None) -> str:
    """How an invocation was completed."""
    if done is None:
        return "no completion"
    error = done.message.get("error")
    return f"an error: {error!r}" if error else f"completed with members {', '.join(done.message)}"


def members(event: Heard) -> str:
    """Which members the first event had; its values are nobody's business here."""
    arguments = event.message.get("arguments")
    record = arguments[-1] if isinstance(arguments, list) and arguments else None
    if isinstance(record, dict) and isinstance(record.get("data"), dict):
        return f"action {record.get('action')}, members {', '.join(record['data'])}"
    return f"members {', '.join(record)}" if isinstance(record, dict) else f"a {type(record).__name__}"

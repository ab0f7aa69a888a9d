"""What the venue said, without whom it concerns: the same person, account or order always gets the same pseudonym."""

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from risk_manager.venues.projectx import wire

BALANCE = 50_000
"""Stands for every account balance."""

ROWS_MAX = 50
"""Longer lists of rows are cut."""

_ACCOUNT_BASE = 2_000_000_000
_ID_BASE = 3_000_000_000
_ID_KEYS = {"id", "orderid", "parentorderid", "linkedorderid"}
_ID_DIGITS_IN_TEXT = 6  # a shorter number in a sentence may be anything
_LABEL_KEYS = {
    "token": "TOKEN",
    "newtoken": "TOKEN",
    "accesstoken": "TOKEN",
    "access_token": "TOKEN",
    "apikey": "KEY",
    "password": "KEY",
    "username": "USER",
    "customtag": "TAG",
    "connectionid": "CONNECTION",
    "connectiontoken": "CONNECTION",
    "traceid": "TRACE",
}
MASKED_HEADERS = frozenset({"set-cookie", "cf-ray", "x-request-id", "request-id", "traceparent"})
"""Headers whose values name one visitor or one request."""

_JWT = re.compile(r"eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,2}")  # also one that was cut off
_ADDRESS = re.compile(r"(?<![\d.])(?!127\.)\d{1,3}(?:\.\d{1,3}){3}(?![\d.])")  # error pages tell the reader his own

_encode = msgspec.json.Encoder(decimal_format="number").encode


class Redactor:
    """Pseudonyms for everything that was learned or is met.

    `learn` all the venue said before any of it is redacted: an account named late is then hidden in what came early.

    Args:
        secrets: what is hidden wherever it appears, each with what stands for it.
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._hidden: dict[str, str] = {}
        self._ids: dict[str, int] = {}
        self._counts: dict[str, int] = {}
        self._pattern: re.Pattern[str] | None = None
        for text, pseudonym in secrets.items():
            self.hide(text, pseudonym)

    def hide(self, text: str, pseudonym: str) -> None:
        """Hide a text from now on, also as addresses spell it; an empty one is nothing to hide."""
        if text:
            self._hidden[text.lower()] = self._hidden[quote(text, safe="").lower()] = pseudonym
            self._pattern = None

    def hide_accounts(self, known: Iterable[str]) -> None:
        """Hide account ids and names that were not met."""
        for text in known:
            if text.isdigit():
                self._account_id(text)
            else:
                self._label("ACCOUNT", text)

    def learn(self, body: bytes) -> None:
        """Take in the names, ids and tokens of a JSON body; anything else teaches nothing."""
        self.json(body)

    def json(self, body: bytes) -> Any:
        """A JSON body without its secrets, decimals as they were written; None where it is no JSON.

        Lists of more than `ROWS_MAX` rows are cut.
        """
        decoded = _decoded(body)
        return None if decoded is None else self._value(decoded)

    def text(self, text: str) -> str:
        """A text without its secrets."""
        if self._pattern is None:
            names = "|".join(re.escape(name) for name in sorted(self._hidden, key=len, reverse=True))
            self._pattern = re.compile(rf"(?<![A-Za-z0-9])(?:{names or '(?!)'})(?![A-Za-z0-9])", re.IGNORECASE)
        hidden = self._pattern.sub(lambda match: self._hidden[match[0].lower()], text)
        return _ADDRESS.sub("ADDRESS", _JWT.sub("TOKEN", hidden))

    def header(self, name: str, value: str) -> str:
        """A header's value without its secrets."""
        return "MASKED" if name.lower() in MASKED_HEADERS else self.text(value)

    def _value(self, value: Any) -> Any:
        match value:
            case dict():
                is_account = "canTrade" in value
                return {self.text(key): self._member(key.lower(), item, is_account) for key, item in value.items()}
            case list():
                return [self._value(item) for item in (value[:ROWS_MAX] if _is_rows(value) else value)]
            case str():
                return self.text(value)
            case int() if not isinstance(value, bool) and (hidden := self._hidden.get(str(value), "")).isdigit():
                # An account's id among the arguments of a hub call.
                return int(hidden)
        return value

    def _member(self, key: str, value: Any, is_account: bool) -> Any:
        if isinstance(value, dict | list | bool | None):
            return self._value(value)
        if key in _LABEL_KEYS:
            return self._label(_LABEL_KEYS[key], str(value))
        if is_account and key == "name":
            return self._label("ACCOUNT", str(value))
        if key == "balance":
            return BALANCE
        if key == "accountid" or (is_account and key == "id"):
            return self._account_id(value)
        if key in _ID_KEYS:
            return self._id(value)
        return self._value(value)

    def _account_id(self, value: Any) -> Any:
        text = str(value)
        if text.lower() not in self._hidden:
            self.hide(text, str(_ACCOUNT_BASE + self._next("account")))
        hidden = self._hidden[text.lower()]
        return int(hidden) if isinstance(value, int) and hidden.isdigit() else hidden

    def _id(self, value: Any) -> Any:
        """A number for a numeric id, also where it came as a text; `CON.F.US.EP.U26` is an id that names no one."""
        text = str(value)
        if not text.isdigit():
            return self._value(value)
        if text not in self._ids:
            self._ids[text] = _ID_BASE + self._next("id")
            if len(text) >= _ID_DIGITS_IN_TEXT:
                self._hidden.setdefault(text, str(self._ids[text]))
                self._pattern = None
        return str(self._ids[text]) if isinstance(value, str) else self._ids[text]

    def _label(self, kind: str, value: str) -> str:
        if value and value.lower() not in self._hidden:
            self.hide(value, f"{kind}-{self._next(kind)}")
        return self._hidden[value.lower()] if value else value

    def _next(self, kind: str) -> int:
        self._counts[kind] = self._counts.get(kind, 0) + 1
        return self._counts[kind]


def encoded(value: Any) -> bytes:
    """Redacted values as JSON, indented."""
    return msgspec.json.format(_encode(value), indent=2) + b"\n"


def encoded_line(value: Any) -> bytes:
    """Redacted values as one line of JSON."""
    return _encode(value) + b"\n"


def cut_lists(body: bytes) -> dict[str, int]:
    """How many rows the lists of an answer had that are cut."""
    decoded = _decoded(body)
    if not isinstance(decoded, dict):
        return {}
    return {key: len(value) for key, value in decoded.items() if _is_rows(value) and len(value) > ROWS_MAX}


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _decoded(body: bytes) -> Any:
    try:
        return wire.decode_any(body)
    except (ValueError, RecursionError):
        return None

"""The words of the fault language: what can stand in each place of a sentence, and what it means at a server."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from risk_manager.simulator.catalog import listed, neighbor_month
from risk_manager.simulator.exchange import FIRST_ACCOUNT_ID, Exchange
from risk_manager.simulator.faults import EVERY_CALL
from risk_manager.simulator.loss_limits import Breach
from risk_manager.simulator.records import BracketMode, RefusalCode, SimAccount, SimContract, SimFill
from risk_manager.simulator.server.poison import BadValue
from risk_manager.simulator.server.replies import Login
from risk_manager.simulator.server.server import SimServer

OPERATIONS = tuple(
    "Auth/loginKey Auth/loginApp Auth/validate Auth/logout Account/search Position/searchOpen Position/closeContract "
    "Position/partialCloseContract Trade/search Contract/available Contract/search Contract/searchById "
    "History/retrieveBars Order/place Order/modify Order/cancel Order/search Order/searchOpen Order/searchById "
    "Order/v2/query".split()
)
"""The operations of the REST API, as the venue spells them."""

MS_PER_S = 1000
_HUBS = {"user_hub": "user", "market_hub": "market"}
_UNITS = {"h": 3_600_000, "m": 60_000, "s": MS_PER_S, "ms": 1}
_DURATION = re.compile(r"(?:[0-9]{1,9}(?:\.[0-9]{1,3})?(?:ms|h|m|s))+")
_PART = re.compile(r"([0-9.]+)(ms|h|m|s)")
_FORM = re.compile(r"<([^>]+)>|\[|\]|[^\s<>\[\]]+")
_WORD = re.compile(r"[\w.@/+-]{1,80}")
_FIRST_ORDINALS = 1000
_ALL, _LAST = "all", "last"
_ID_DIGITS = 18
_GARBAGE = ("html", "nothing", "half")
_SHAPES = ("bare", "list", "rows", "padded", "listed_quotes")


class NotUnderstood(Exception):
    """A word that cannot stand where it stands."""


class Unknown(Exception):
    """A word that would do, but means nothing at this server."""


class Kind(msgspec.Struct, frozen=True):
    """What can stand in one place of a sentence.

    Attributes:
        known: said when something else stands there.
        read: the value of a word; raises NotUnderstood without a text of its own.
        write: the word of a value.
        parts: what the value means at a server, one by one; raises Unknown.
        is_place: two faults of a verb are of one switch if they agree in these.
    """

    known: str
    read: Callable[[str], int | str]
    write: Callable[[Any], str] = str
    parts: Callable[[SimServer, Any], Sequence[Any]] = lambda _, value: (value,)
    is_place: bool = False


def parts_of(form: str) -> Iterator[tuple[bool, str]]:
    """The words and the kinds of a verb's form, each with whether it may be left out."""
    is_optional = False
    for match in _FORM.finditer(form):
        if match[0] in "[]":
            is_optional = match[0] == "["
        else:
            yield is_optional, match[1] or match[0]


def kinds_of(form: str) -> list[str]:
    """The kinds of a verb's form, one for each value."""
    return [part for _, part in parts_of(form) if part in KINDS]


def duration_ms(word: str) -> int:
    """`1m30s`, `200ms` or `1.5s` in milliseconds.

    Raises:
        NotUnderstood: it is nothing of the kind, or finer than a millisecond.
    """
    if not _DURATION.fullmatch(word):
        raise NotUnderstood
    total_ms = sum(Decimal(number) * _UNITS[unit] for number, unit in _PART.findall(word))
    if total_ms % 1:
        raise NotUnderstood
    return int(total_ms)


def duration_word(duration: int) -> str:
    """The shortest way to write so many milliseconds."""
    text, left = "", duration
    for unit, length in _UNITS.items():
        count, left = divmod(left, length)
        text += f"{count}{unit}" if count else ""
    return text or "0s"


def contracts_called(exchange: Exchange, word: str) -> list[SimContract]:
    """The contract of an id or name, or all active ones of a root (`ES`, `EP`).

    Raises:
        Unknown: there is none.
    """
    every = list(exchange.contracts.values())
    found = [each for each in every if word.lower() in (each.id.lower(), each.contract.name.lower())]
    found = found or [each for each in every if each.contract.is_active and each.contract.instrument.is_called(word)]
    if not found:
        raise Unknown(f"no contract is called {word}")
    return found


def next_delivery(exchange: Exchange, contract_id: str) -> SimContract:
    """The listing after a contract's, as the exchange has it or as it would be listed.

    Raises:
        Unknown: the product is none of the catalog's.
    """
    root, month = contract_id.split(".")[-2:]
    try:
        following = listed(root, neighbor_month(root, month, 1))
    except (KeyError, ValueError):
        raise Unknown(f"{contract_id} has no next delivery that we know") from None
    return exchange.contracts.get(following.id, following)


def account_called(exchange: Exchange, word: str) -> SimAccount:
    """The account of an id or name, or the one opened at that place (`1` is the first).

    Raises:
        Unknown: there is none.
    """
    number = int(word) if word.isascii() and word.isdecimal() and len(word) <= _ID_DIGITS else 0
    found = exchange.account(FIRST_ACCOUNT_ID - 1 + number if 0 < number < _FIRST_ORDINALS else number)
    account_id = FIRST_ACCOUNT_ID
    while found is None and (account := exchange.account(account_id)) is not None:
        found = account if account.name == word else None
        account_id += 1
    if found is None:
        raise Unknown(f"no account is called {word}")
    return found


def fill_called(exchange: Exchange, account_id: int, word: str) -> SimFill:
    """The fill of an id, the one at that place in its account (`1` is the first), or the `last` that still counts.

    Raises:
        Unknown: there is none.
    """
    fills = exchange.fills(account_id)
    if word == _LAST:
        found = [each for each in fills if not each.is_voided][-1:]
    elif int(word) < _FIRST_ORDINALS:
        found = fills[int(word) - 1 : int(word)]
    else:
        found = [each for each in fills if each.id == int(word)]
    if not found:
        raise Unknown(f"account {account_id} has no fill {word}")
    return found[0]


def _one_of(words: Iterable[str]) -> Callable[[str], str]:
    by_lower = {each.lower(): each for each in words}

    def read(word: str) -> str:
        if word.lower() not in by_lower:
            raise NotUnderstood
        return by_lower[word.lower()]

    return read


def _number(least: int, most: int, unit: str = "") -> Callable[[str], int]:
    def read(word: str) -> int:
        digits = word.removesuffix(unit)
        is_number = len(digits) <= 9 and digits.isascii() and digits.isdecimal() and word.endswith(unit)
        if not is_number or not least <= int(digits) <= most:
            raise NotUnderstood
        return int(digits)

    return read


def _any_word(word: str) -> str:
    if not _WORD.fullmatch(word):
        raise NotUnderstood
    return word


def _fill_word(word: str) -> str:
    is_number = word.isascii() and word.isdecimal() and len(word) <= _ID_DIGITS and int(word) > 0
    if word.lower() != _LAST and not is_number:
        raise NotUnderstood
    return word.lower()


def _some_time(word: str) -> int:
    time_ms = duration_ms(word)
    if time_ms == 0:
        raise NotUnderstood
    return time_ms


def _places(_: SimServer, word: str) -> tuple[str, ...]:
    """The server's places: the names of its hubs, and `rest`."""
    return {"hubs": ("user", "market"), "everything": ("user", "market", "rest")}.get(word, (_HUBS.get(word, word),))


def _path(_: SimServer, word: str) -> tuple[str, ...]:
    if word == "rest":
        return (EVERY_CALL,)
    hub, slash, negotiation = word.partition("/")
    return (f"/hubs/{_HUBS[hub]}{slash}{negotiation}",) if hub in _HUBS else (word,)


def _source(server: SimServer, word: str) -> tuple[str, ...]:
    return _places(server, word) if word in (*_HUBS, "hubs") else _path(server, word)


def _users(server: SimServer, word: str | None) -> tuple[str, ...]:
    names = {each.lower(): each for each in server.user_names}
    if word is None:
        return tuple(names.values())
    if word.lower() not in names:
        raise Unknown(f"no user is called {word}; there are {', '.join(names.values())}")
    return (names[word.lower()],)


def _contracts(server: SimServer, word: str) -> tuple[str, ...]:
    if word.lower() == _ALL:
        return tuple(server.exchange.contracts)
    return tuple(each.id for each in contracts_called(server.exchange, word))


def _deliveries(server: SimServer, word: str) -> tuple[str, ...]:
    ids = tuple(each.id for each in contracts_called(server.exchange, word))
    for each in ids:
        next_delivery(server.exchange, each)
    return ids


def _account(server: SimServer, word: str) -> tuple[int, ...]:
    return (account_called(server.exchange, word).id,)


_REASONS = tuple(each.name.lower() for each in Login)
_REFUSALS = {"2": RefusalCode.REJECTED, "4": RefusalCode.VIOLATION, "10": RefusalCode.ACCOUNT_REJECTED}
_LOSS_LIMITS = {each.value: each for each in Breach}
_MODES = {"position": BracketMode.POSITION_BRACKETS, "oco": BracketMode.AUTO_OCO}

KINDS: dict[str, Kind] = {
    "place": Kind(
        "user_hub, market_hub, hubs, rest or everything",
        _one_of((*_HUBS, "hubs", "rest", "everything")),
        parts=_places,
        is_place=True,
    ),
    "hub": Kind("user_hub, market_hub or hubs", _one_of((*_HUBS, "hubs")), parts=_places, is_place=True),
    "operation": Kind(
        f"rest or one of {', '.join(OPERATIONS)}", _one_of((*OPERATIONS, "rest")), parts=_path, is_place=True
    ),
    "call": Kind(
        f"rest, user_hub, market_hub, user_hub/negotiate, market_hub/negotiate or one of {', '.join(OPERATIONS)}",
        _one_of((*OPERATIONS, "rest", *_HUBS, *(f"{hub}/negotiate" for hub in _HUBS))),
        parts=_path,
        is_place=True,
    ),
    "source": Kind(
        f"user_hub, market_hub, hubs, rest or one of {', '.join(OPERATIONS)}",
        _one_of((*OPERATIONS, "rest", *_HUBS, "hubs")),
        parts=_source,
        is_place=True,
    ),
    "time": Kind("a time above zero such as 200ms, 12s or 1m30s", _some_time, duration_word),
    "share": Kind("a share of all from 1% to 100%", _number(1, 100, "%"), "{}%".format),
    "status": Kind("an HTTP status from 200 to 599", _number(200, 599)),
    "code": Kind("the endpoint's error code, 1 to 99", _number(1, 99)),
    "rows": Kind("a number of rows up to 1000", _number(0, 1000)),
    "pieces": Kind("a number of pieces from 2 to 100", _number(2, 100)),
    "seconds": Kind("a number of seconds up to 3600", _number(0, 3600)),
    "garbage": Kind(f"{', '.join(_GARBAGE)}", _one_of(_GARBAGE)),
    "bad value": Kind(f"one of {', '.join(BadValue)}", _one_of(BadValue), parts=lambda _, word: (BadValue(word),)),
    "member": Kind("the name of a member such as averagePrice", _any_word),
    "shape": Kind(f"one of {', '.join(_SHAPES)}", _one_of(_SHAPES), is_place=True),
    "user": Kind("the name of a user", _any_word, parts=_users, is_place=True),
    "reason": Kind(f"one of {', '.join(_REASONS)}", _one_of(_REASONS), parts=lambda _, word: (Login[word.upper()],)),
    "contract": Kind("all, or a contract's id, name or root such as ES", _any_word, parts=_contracts, is_place=True),
    "delivery": Kind("a contract's id, name or root such as ES", _any_word, parts=_deliveries, is_place=True),
    "account": Kind("an account's number in order of opening, id or name", _any_word, parts=_account, is_place=True),
    "fill": Kind("last, or a fill's number in order of its account's fills, or its id", _fill_word),
    "refusal": Kind(
        "the error code of Order/place: 2 (rejected), 4 (violation) or 10 (account rejected)",
        _one_of(_REFUSALS),
        parts=lambda _, word: (_REFUSALS.get(word),),
    ),
    "loss limit": Kind(
        "daily or maximum", _one_of(_LOSS_LIMITS), parts=lambda _, word: (_LOSS_LIMITS[word],), is_place=True
    ),
    "dollars": Kind("whole dollars from 1 to 1000000", _number(1, 1_000_000)),
    "mode": Kind("position or oco", _one_of(_MODES), parts=lambda _, word: (_MODES[word],)),
    "on or off": Kind("on or off", _one_of(("on", "off")), parts=lambda _, word: (word == "on",)),
}
"""What stands in a form between angle brackets, by its name there."""

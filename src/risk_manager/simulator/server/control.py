"""The control API: a second port on which a test, or a person with curl, makes things happen at the simulated gateway.

It listens on this machine only, takes requests that name this machine, and is off unless asked for. What it says of
accounts are the exchange's own books, past every fault: ticks, micro-dollars and nanoseconds.
"""

import re
from typing import Annotated, Any

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from risk_manager.domain.order import OrderType, Side
from risk_manager.simulator.fault_schedule import FaultSchedule
from risk_manager.simulator.fault_script import Script, ScriptRefused, parse_script, parse_sentence, script_of
from risk_manager.simulator.fault_verbs import VERBS
from risk_manager.simulator.fault_words import NotUnderstood, Unknown, account_called, contracts_called
from risk_manager.simulator.records import BracketMode, PlaceOrder, Refused, SimAccount
from risk_manager.simulator.server.server import SimServer
from risk_manager.web.loopback import LoopbackPort

_MOST_BYTES = 64 * 1024
_SCRIPT_LINE = re.compile(r"^\s*(at|every)\s[^:\n]*:", re.IGNORECASE | re.MULTILINE)

# Within what the gateway itself could write on the wire.
_Count = Annotated[int, msgspec.Meta(ge=-1_000_000_000, le=1_000_000_000)]
_Micros = Annotated[int, msgspec.Meta(ge=-(10**15), le=10**15)]


class OpenAccount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An account to open; `balance_micros` is what it begins with."""

    user: str
    name: str
    balance_micros: _Micros = 50_000_000_000
    bracket_mode: BracketMode = BracketMode.POSITION_BRACKETS
    is_follower: bool = False


class ChangeAccount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to change about an account; None leaves it."""

    can_trade: bool | None = None
    is_visible: bool | None = None
    is_follower: bool | None = None
    bracket_mode: BracketMode | None = None


class HandOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An order by the trader's own hand, placed at the exchange itself.

    Attributes:
        account: its id, name or number in order of opening.
        contract: its id, name or root.
    """

    account: int | str
    contract: str
    side: Side
    size: _Count
    type: OrderType = OrderType.MARKET
    limit_ticks: _Count | None = None
    stop_ticks: _Count | None = None
    trail_ticks: _Count | None = None
    tag: str | None = None


class Quote(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A top of book to set; `contract` is an id, name or root."""

    contract: str
    bid_ticks: _Count
    ask_ticks: _Count


class _Bad(Exception):
    """A request that cannot be carried out: the status and what is said."""

    def __init__(self, status: int, problem: str) -> None:
        super().__init__(problem)
        self.status = status


class ControlApi:
    """The control API of one server; everything it starts ends with it."""

    def __init__(self, server: SimServer, schedule: FaultSchedule) -> None:
        self._server = server
        self._exchange = server.exchange
        self._schedule = schedule
        self._listening = LoopbackPort()

    async def start(self, port: int = 0) -> int:
        """Listen and give back the port; 0 takes a free one.

        Raises:
            OSError: the port is taken.
        """
        app = web.Application(middlewares=[_told_why], client_max_size=_MOST_BYTES)
        app.router.add_get("/faults", self._tell_faults)
        app.router.add_post("/faults", self._throw)
        app.router.add_delete("/faults", self._stop_faults)
        app.router.add_post("/accounts", self._open_account)
        app.router.add_get("/accounts/{account}", self._tell_account)
        app.router.add_post("/accounts/{account}", self._change_account)
        app.router.add_post("/orders", self._place)
        app.router.add_post("/quotes", self._quote)
        return await self._listening.open(app, port)

    async def stop(self) -> None:
        """Close the port; idempotent."""
        await self._listening.close()

    async def _tell_faults(self, _: web.Request) -> web.Response:
        verbs = [{"verb": each.name, "usage": each.usage, "does": each.text} for each in VERBS.values()]
        waiting = [f"{step.key}: {step.sentence}" for step in self._schedule.waiting.steps]
        counted = self._server.faults.counted()
        return _json({"in_force": self._in_force(), "counted": counted, "waiting": waiting, "verbs": verbs})

    async def _throw(self, request: web.Request) -> web.Response:
        """A sentence is thrown at once, a script is played from now on."""
        said = await _said(request)
        if isinstance(said, Script):
            problems = self._schedule.problems(said)
            if problems:
                raise _Bad(404, "\n".join(problems))
            self._schedule.play(said)
            return _json({"in_force": self._in_force(), "played": len(said.steps)})
        self._schedule.throw(parse_sentence(said))
        return _json({"in_force": self._in_force()})

    async def _stop_faults(self, _: web.Request) -> web.Response:
        ended = self._in_force()
        self._schedule.stop()
        return _json({"ended": ended})

    async def _open_account(self, request: web.Request) -> web.Response:
        wanted = await _body(request, OpenAccount)
        if wanted.user not in self._server.user_names:
            raise _Bad(404, f"no user is called {wanted.user}; there are {', '.join(self._server.user_names)}")
        account_id = self._exchange.open_account(**msgspec.structs.asdict(wanted))
        return _json({"id": account_id}, 201)

    async def _change_account(self, request: web.Request) -> web.Response:
        account = self._account(request.match_info["account"])
        wanted = await _body(request, ChangeAccount)
        now_ns = self._exchange.now_ns
        if wanted.can_trade is not None:
            self._exchange.set_can_trade(account.id, wanted.can_trade, now_ns)
        if wanted.is_visible is not None:
            self._exchange.set_visible(account.id, wanted.is_visible, now_ns)
        own = {"is_follower": wanted.is_follower, "bracket_mode": wanted.bracket_mode}
        self._server.change_account(account.id, **{name: value for name, value in own.items() if value is not None})
        return _json(self._books(account.id))

    async def _tell_account(self, request: web.Request) -> web.Response:
        return _json(self._books(self._account(request.match_info["account"]).id))

    async def _place(self, request: web.Request) -> web.Response:
        hand = await _body(request, HandOrder)
        account = self._account(str(hand.account))
        members = {name: value for name, value in msgspec.structs.asdict(hand).items() if name != "account"}
        contract_id = self._contract_id(members.pop("contract"))
        placed = self._exchange.place(account.id, PlaceOrder(contract_id, **members), self._exchange.now_ns)
        if isinstance(placed, Refused):
            raise _Bad(409, f"{placed.code}: {placed.message}" if placed.message else placed.code)
        return _json({"id": placed}, 201)

    async def _quote(self, request: web.Request) -> web.Response:
        quote = await _body(request, Quote)
        contract_id = self._contract_id(quote.contract)
        self._exchange.quote(contract_id, quote.bid_ticks, quote.ask_ticks, self._exchange.now_ns)
        return _json(self._exchange.top(contract_id))

    def _in_force(self) -> list[str]:
        return [str(each) for each in self._schedule.in_force]

    def _account(self, word: str) -> SimAccount:
        return account_called(self._exchange, word)

    def _contract_id(self, word: str) -> str:
        found = contracts_called(self._exchange, word)
        if len(found) > 1:
            raise _Bad(409, f"{word} is each of {', '.join(each.id for each in found)}; name one")
        return found[0].id

    def _books(self, account_id: int) -> dict[str, object]:
        orders = self._exchange.orders(account_id)
        return {
            "account": self._exchange.account(account_id),
            "positions": self._exchange.positions(account_id),
            "working": [each for each in orders if not each.status.is_terminal],
            "fills": self._exchange.fills(account_id),
        }


@web.middleware
async def _told_why(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What went wrong, as the other answers are written."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        return _json({"error": error.reason}, error.status)
    except _Bad as bad:
        return _json({"error": str(bad)}, bad.status)
    except (NotUnderstood, ScriptRefused) as bad:
        return _json({"error": str(bad)}, 400)
    except Unknown as unknown:
        return _json({"error": str(unknown)}, 404)


async def _said(request: web.Request) -> str | Script:
    """The sentence or the script of a request, as text or as JSON."""
    text = await _text(request)
    if request.content_type == "application/json":
        said: str | dict[str, str | list[str]] = _decoded(text, str | dict[str, str | list[str]])
        return said if isinstance(said, str) else script_of(said)
    return parse_script(text) if _SCRIPT_LINE.search(text) else text


async def _body[Wanted](request: web.Request, wanted: type[Wanted]) -> Wanted:
    body: Wanted = _decoded(await _text(request), wanted)
    return body


async def _text(request: web.Request) -> str:
    try:
        return (await request.read()).decode("utf-8")
    except UnicodeDecodeError:
        raise _Bad(400, "the body is not UTF-8") from None


def _decoded(text: str, wanted: Any) -> Any:
    try:
        return msgspec.json.decode(text, type=wanted)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _Bad(400, str(error)) from None


def _json(value: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")

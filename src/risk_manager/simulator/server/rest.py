"""The REST pipeline: route, authenticate, count, bind, carry out, answer; in the order the venue checks."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping

import msgspec
from aiohttp import hdrs, web

from risk_manager.simulator.faults import Answer
from risk_manager.simulator.server import binding, replies, shapes
from risk_manager.simulator.server.limits import CallBudget
from risk_manager.simulator.server.operations import Call, Operation
from risk_manager.simulator.server.settings import SimSettings
from risk_manager.simulator.server.shapes import Row
from risk_manager.simulator.server.tokens import TokenMint

PING_PATH = "status/ping"
_VALIDATE_PATH = "auth/validate"
# Sections of RFC 9110 the problems refer to.
_BAD_REQUEST, _MEDIA_TYPE = "15.5.1", "15.5.16"
_ORDER_PATHS = frozenset(
    {"order/place", "order/modify", "order/cancel", "position/closecontract", "position/partialclosecontract"}
)


class RestApi:
    """Answers what is asked below `/api/`.

    Args:
        now_ns: the venue's time.
    """

    def __init__(
        self, operations: Iterable[Operation], settings: SimSettings, mint: TokenMint, now_ns: Callable[[], int]
    ) -> None:
        self._mint = mint
        self._operations = {operation.path.lower(): operation for operation in operations}
        self._settings = settings
        self._now_ns = now_ns
        self._budget = CallBudget(settings.calls, settings.bar_calls)
        self._problems = 0
        self._random = random.Random(settings.rest.seed)
        self.delay_s = settings.rest_delay_s
        self.hold: Callable[[], Awaitable[None]] | None = None

    async def handle(self, request: web.Request, path: str, answer: Answer | None = None) -> web.StreamResponse:
        """Answer one request.

        Args:
            path: what follows `/api/`, lower case.
            answer: what to say in place of the truth.
        """
        if path == PING_PATH:
            return web.Response(text="pong") if request.method == "GET" else _wrong_verb("GET")
        operation = self._operations.get(path)
        if operation is None:
            return web.Response(status=404)
        if request.method != "POST":
            return _wrong_verb("POST")
        token = bearer_token(request)
        session = None if operation.is_public else self._mint.session(token)
        if session is None and not operation.is_public:
            return self._shut_out(path, token)
        body = await request.read()
        if self.hold is not None and path in _ORDER_PATHS:
            await self.hold()
        response = self._answer(operation, request, body, Call(session, {}, self._now_ns(), token), answer)
        delay_s = self.delay_s + self._random.random() * self._settings.rest.delay_spread_s
        if delay_s > 0:
            await asyncio.sleep(delay_s)
        return response

    def _shut_out(self, path: str, token: str) -> web.Response:
        if path == _VALIDATE_PATH and self._settings.rest.validation_explains and self._mint.is_expired(token):
            return self._json(replies.failure(replies.VALIDATE_EXPIRED, newToken=None))
        return unauthorized()

    def _answer(
        self, operation: Operation, request: web.Request, body: bytes, call: Call, answer: Answer | None
    ) -> web.Response:
        try:
            if call.session is not None and not self._take(call.user, operation):
                return self._too_many()
            if operation.members and not _is_json(request.content_type):
                return self._problem(415, "Unsupported Media Type", _MEDIA_TYPE)
            values = binding.bind(body, operation.members)
            if call.session is None and not self._take(_login_name(values), operation):
                return self._too_many()
            call = msgspec.structs.replace(call, values=values)
            if answer is None:
                return self._json(operation.handle(call))
            return self._json(_in_place(answer, operation, call))
        except binding.Unbindable as fault:
            return self._problem(400, "One or more validation errors occurred.", _BAD_REQUEST, fault.errors)

    def _take(self, user: str, operation: Operation) -> bool:
        now_s = asyncio.get_running_loop().time()
        return self._budget.take(user.lower(), now_s, is_bars=operation.is_bars)

    def _too_many(self) -> web.Response:
        retry_after_s = self._settings.retry_after_s
        headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
        return web.Response(status=429, headers=headers)

    def _problem(
        self, status: int, title: str, section: str, errors: Mapping[str, list[str]] | None = None
    ) -> web.Response:
        self._problems += 1
        problem: Row = {"type": f"https://tools.ietf.org/html/rfc9110#section-{section}", "title": title}
        problem["status"] = status
        if errors is not None:
            problem["errors"] = errors
        problem["traceId"] = f"00-{self._problems:032x}-{self._problems:016x}-00"
        headers = {"Content-Type": "application/problem+json; charset=utf-8"}
        return web.Response(status=status, body=msgspec.json.encode(problem), headers=headers)

    def _json(self, row: Row) -> web.Response:
        body = msgspec.json.encode(shapes.respelled(row, self._settings.rest))
        return web.Response(body=body, headers={"Content-Type": "application/json; charset=utf-8"})


def bearer_token(request: web.Request) -> str:
    """The token in the `Authorization` header, empty without one."""
    scheme, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def unauthorized() -> web.Response:
    """The answer to a missing, expired or forged token: an empty body."""
    return web.Response(status=401, headers={"WWW-Authenticate": "Bearer"})


def _login_name(values: Mapping[str, object]) -> str:
    """Whose budget a login counts against: the user it names, known or not."""
    return str(values["userName"])


def _is_json(content_type: str) -> bool:
    return content_type in ("application/json", "text/json") or (
        content_type.startswith("application/") and content_type.endswith("+json")
    )


def _wrong_verb(allowed: str) -> web.Response:
    return web.Response(status=405, headers={"Allow": allowed})


def _cut(value: object, most_rows: int | None) -> object:
    return value[:most_rows] if isinstance(value, list) else value


def _in_place(answer: Answer, operation: Operation, call: Call) -> Row:
    """The reply a fault orders, in the operation's own members."""
    row = operation.handle(call) if answer.is_executed else {}
    keeps = answer.code == 0 and not answer.drops_payload
    payload = {name: _cut(row.get(name), answer.most_rows) if keeps else None for name in operation.payload}
    if answer.code == 0:
        return replies.success(**payload)
    return replies.failure(answer.code, answer.message, **payload)

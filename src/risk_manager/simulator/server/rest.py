"""The REST pipeline: route, authenticate, count, bind, carry out, answer; in the order the venue checks."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping

import msgspec
from aiohttp import web

from risk_manager.simulator.server import binding
from risk_manager.simulator.server.limits import CallBudget
from risk_manager.simulator.server.operations import Call, Operation
from risk_manager.simulator.server.settings import SimSettings
from risk_manager.simulator.server.shapes import Row
from risk_manager.simulator.server.tokens import Session

PING_PATH = "status/ping"
_ORDER_PATHS = frozenset(
    {"order/place", "order/modify", "order/cancel", "position/closecontract", "position/partialclosecontract"}
)


class RestApi:
    """Answers what is asked below `/api/`.

    Args:
        now_ns: the venue's time.
    """

    def __init__(self, operations: Iterable[Operation], settings: SimSettings, now_ns: Callable[[], int]) -> None:
        self._operations = {operation.path.lower(): operation for operation in operations}
        self._settings = settings
        self._now_ns = now_ns
        self._budget = CallBudget(settings.calls, settings.bar_calls)
        self._problems = 0
        self.delay_s = settings.rest_delay_s
        self.hold: Callable[[], Awaitable[None]] | None = None

    async def handle(self, request: web.Request, path: str, session: Session | None) -> web.StreamResponse:
        """Answer one request.

        Args:
            path: what follows `/api/`, lower case.
            session: of the caller's token, None without a valid one.
        """
        if path == PING_PATH:
            return web.Response(text="pong") if request.method == "GET" else web.Response(status=405)
        operation = self._operations.get(path)
        if operation is None:
            return web.Response(status=404)
        if request.method != "POST":
            return web.Response(status=405, headers={"Allow": "POST"})
        if session is None and not operation.is_public:
            return unauthorized()
        body = await request.read()
        if self.hold is not None and path in _ORDER_PATHS:
            await self.hold()
        response = self._answer(operation, request, body, session)
        if self.delay_s > 0:
            await asyncio.sleep(self.delay_s)
        return response

    def _answer(self, operation: Operation, request: web.Request, body: bytes, session: Session | None) -> web.Response:
        try:
            if operation.members and not _is_json(request.content_type):
                return web.Response(status=415)
            if session is not None and not self._take(session.user, operation):
                return self._too_many()
            values = binding.bind(body, operation.members)
            if session is None and not self._take(_login_name(values), operation):
                return self._too_many()
            return _json(operation.handle(Call(session, values, self._now_ns())))
        except binding.Unbindable as fault:
            return self._problem(fault.errors)

    def _take(self, user: str, operation: Operation) -> bool:
        now_s = asyncio.get_running_loop().time()
        return self._budget.take(user.lower(), now_s, is_bars=operation.is_bars)

    def _too_many(self) -> web.Response:
        retry_after_s = self._settings.retry_after_s
        headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
        return web.Response(status=429, headers=headers)

    def _problem(self, errors: Mapping[str, list[str]]) -> web.Response:
        self._problems += 1
        problem = {
            "type": "https://tools.ietf.org/html/rfc9110#section-15.5.1",
            "title": "One or more validation errors occurred.",
            "status": 400,
            "errors": errors,
            "traceId": f"00-{self._problems:032x}-{self._problems:016x}-00",
        }
        body = msgspec.json.encode(problem)
        return web.Response(status=400, body=body, headers={"Content-Type": "application/problem+json; charset=utf-8"})


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


def _json(row: Row) -> web.Response:
    return web.Response(body=msgspec.json.encode(row), headers={"Content-Type": "application/json; charset=utf-8"})

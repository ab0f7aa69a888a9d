"""One REST call: its share of the budget, its clock reading, its effect on what we believe of the link."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from typing import Any

import msgspec

from risk_manager.domain.events import Link
from risk_manager.ports.clock import Clock
from risk_manager.venues.projectx import wire
from risk_manager.venues.projectx.errors import Lost, NotSent
from risk_manager.venues.projectx.http import Reply
from risk_manager.venues.projectx.limits import CallBudget, Lane
from risk_manager.venues.projectx.problems import Problems
from risk_manager.venues.projectx.settings import ProjectXSettings
from risk_manager.venues.projectx.transport import Transport
from risk_manager.venues.projectx.venue_time import SECOND_NS, VenueTime, parse_http_date_ns

OnLink = Callable[[Link, bool, str], None]

_FAILURES_TO_DOWN = 2
_PAUSE_DEFAULT_S = 15.0
_PAUSE_MAX_S = 60.0
_WAIT_MAX_NS = 5 * SECOND_NS
"""Who asked gives an answer up for lost after ten seconds, and would then ask for the same again behind the first."""
_TRIALS_NS = {Lane.ORDER: SECOND_NS, Lane.LOOK: 2 * SECOND_NS}
"""Between two calls of a lane while nothing is answered, or orders with 429: they only find out whether it still is."""
_SLEEP_MAX_NS = SECOND_NS
_BEHIND_NS = SECOND_NS // 20
"""How soon an account that waits to be looked at behind another sees that the other has had its turn."""
_SHED = (Lane.READ, Lane.RECORD, Lane.BARS)
"""Lanes that do not wait for the budget."""

CALLS_AT_ONCE = 16
"""Calls of a lane under way at one time, each on a connection of its own."""


class Answer(msgspec.Struct, frozen=True):
    """An HTTP answer with the venue's time of it (0 without a Date header)."""

    status: int
    body: bytes
    at_ns: int

    def envelope(self) -> dict[str, Any] | None:
        """The answer's JSON object, or None where it is something else (a proxy's page, a cut-off body)."""
        try:
            decoded = wire.decode_any(self.body)
        except (ValueError, RecursionError):
            return None
        return decoded if isinstance(decoded, dict) else None


class RestClient:
    """Sends single requests to the gateway's REST host."""

    def __init__(
        self,
        settings: ProjectXSettings,
        transport: Transport,
        clock: Clock,
        time: VenueTime,
        problems: Problems,
        on_link: OnLink,
        budget: CallBudget | None = None,
    ) -> None:
        self._budget = budget or CallBudget()
        self._base = settings.api_url.rstrip("/")
        self._transport = transport
        self._clock = clock
        self._time = time
        self._problems = problems
        self._on_link = on_link
        self._failures = 0
        self._is_limited = False
        self._trial_ns = dict.fromkeys(_TRIALS_NS, 0)
        self._slots = {lane: asyncio.Semaphore(CALLS_AT_ONCE) for lane in (*_SHED, Lane.ORDER)}
        self._turns = {lane: asyncio.Lock() for lane in (Lane.ORDER, Lane.CLOSE)}
        self._looking: dict[str, int] = {}
        self._looked_ns: dict[str, int] = {}

    def recall(self, calls: Iterable[tuple[Lane, int]]) -> None:
        """Take in what an earlier run wanted to call for and when, by our clock: the venue still counts it."""
        self._budget.recall(calls)

    async def look(self, account_id: str) -> int:
        """Wait until positions and orders of an account may be read; the instant of the grant.

        Who was looked at longest ago goes first, and of those who never were, who came first. A look that the venue
        refuses for want of room was none.

        Raises:
            NotSent: the same is waited for already.
        """
        if account_id in self._looking:
            raise NotSent("the account is about to be read already")
        self._looking[account_id] = self._looked_ns.get(account_id, 0)
        try:
            while True:
                is_first = account_id == min(self._looking, key=self._looking.__getitem__)
                now_ns = self._clock.now_ns()
                wait_ns = self._ask(Lane.LOOK, now_ns) if is_first else _BEHIND_NS
                if wait_ns == 0:
                    self._looked_ns[account_id] = now_ns
                    return now_ns
                await asyncio.sleep(min(wait_ns, _SLEEP_MAX_NS) / SECOND_NS)
        finally:
            del self._looking[account_id]

    async def post(
        self,
        path: str,
        payload: Mapping[str, Any] | None,
        *,
        lane: Lane,
        token: str | None,
        granted_ns: int | None = None,
        is_due: Callable[[], bool] | None = None,
    ) -> Answer:
        """Send one request when the budget lets it go, at once with `granted_ns` of a look.

        Raises:
            NotSent: it never left, for want of a connection or of budget, or because it was not due any more.
            Lost: it may have been received.
        """
        asked_ns = self._clock.now_ns()
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        body = b"" if payload is None else wire.encode_body(payload)
        # Hundreds of cancels at once would each open a connection of their own, and none of them in time. What closes
        # a position, lets us in or lets us see never queues behind them.
        async with self._slots.get(lane) or nullcontext():
            if granted_ns is None:
                # First come, first served: at a second each, the close that waits longest must not be the last to go.
                async with self._turns.get(lane) or nullcontext():
                    granted_ns = await self._wait_for_budget(lane, asked_ns)
            if is_due is not None and not is_due():
                self._budget.give_back(lane, granted_ns)
                raise NotSent("overtaken by what has happened since")
            try:
                reply = await self._transport.request("POST", self._base + path, headers=headers, body=body)
            except (NotSent, Lost) as error:
                self._not_received(error, lane, granted_ns)
                self._failed(f"{path}: {error}")
                raise
        return self._received(path, reply, lane, granted_ns, is_authorized=token is not None)

    async def ping(self) -> None:
        """Touch the gateway so that a connection stays open. Failures are only counted."""
        now_ns = self._clock.now_ns()
        if self._budget.ask(Lane.PING, now_ns) > 0:
            return
        try:
            reply = await self._transport.request("GET", f"{self._base}/api/Status/ping", headers={}, body=b"")
        except (NotSent, Lost) as error:
            self._not_received(error, Lane.PING, now_ns)
            self._problems.note("ping_failed", str(error))
        else:
            self._time.observe(parse_http_date_ns(reply.date), self._clock.now_ns())

    async def _wait_for_budget(self, lane: Lane, asked_ns: int) -> int:
        """The instant at which the budget lets a call go; `asked_ns` is when it was wanted."""
        while (wait_ns := self._ask(lane, now_ns := self._clock.now_ns())) > 0:
            if lane in _SHED:
                self._problems.note("read_over_budget", f"next slot in {wait_ns / SECOND_NS:.1f} s")
                raise NotSent("the call budget for reads is used up")
            if lane is Lane.ORDER:
                wait_ns = min(wait_ns, asked_ns + _WAIT_MAX_NS - now_ns)
                if wait_ns <= 0:
                    raise NotSent("the call budget is used up")
            await asyncio.sleep(min(wait_ns, _SLEEP_MAX_NS) / SECOND_NS)
        return now_ns

    def _ask(self, lane: Lane, now_ns: int) -> int:
        is_trial = self._failures >= _FAILURES_TO_DOWN or (self._is_limited and lane is Lane.ORDER)
        if lane not in _TRIALS_NS or not is_trial:
            return self._budget.ask(lane, now_ns)
        wait_ns = max(0, self._trial_ns[lane] - now_ns) or self._budget.ask(lane, now_ns)
        if wait_ns == 0:
            self._trial_ns[lane] = now_ns + _TRIALS_NS[lane]
        return wait_ns

    def _not_received(self, error: NotSent | Lost, lane: Lane, granted_ns: int) -> None:
        if isinstance(error, NotSent):
            self._budget.give_back(lane, granted_ns)

    def _received(self, path: str, reply: Reply, lane: Lane, granted_ns: int, *, is_authorized: bool) -> Answer:
        now_ns = self._clock.now_ns()
        at_ns = parse_http_date_ns(reply.date)
        self._time.observe(at_ns, now_ns)
        self._is_limited = reply.status == 429
        if self._is_limited:
            self._problems.note("rate_limited", path)
            self._budget.refused(lane, granted_ns)
            if lane is Lane.LOOK:
                self._forget_look(granted_ns)
            self._budget.pause_reads(now_ns + round(_pause_s(reply.retry_after) * SECOND_NS))
        else:
            self._budget.taken(lane)
        if reply.status >= 500:
            self._failed(f"{path}: status {reply.status}")
        else:
            self._failures = 0
            # A gateway that does not let us in is no working link, however promptly it says so.
            if is_authorized and reply.status not in (401, 403):
                self._on_link(Link.REST, True, "answers")
        return Answer(reply.status, reply.body, at_ns)

    def _forget_look(self, granted_ns: int) -> None:
        """Take it that nobody was looked at then, so that the next place is theirs."""
        self._looked_ns = {key: 0 if at_ns == granted_ns else at_ns for key, at_ns in self._looked_ns.items()}

    def _failed(self, reason: str) -> None:
        self._problems.note("call_failed", reason)
        self._failures += 1
        if self._failures >= _FAILURES_TO_DOWN:
            self._on_link(Link.REST, False, reason)


def _pause_s(retry_after: str | None) -> float:
    """How long reads stay away after a 429: as told, within reason, or else until a part of the window is free."""
    if retry_after is not None and retry_after.isascii() and retry_after.isdigit() and len(retry_after) < 6:
        return min(float(retry_after), _PAUSE_MAX_S)
    return _PAUSE_DEFAULT_S

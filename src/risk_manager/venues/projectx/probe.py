"""First contact with a real gateway: what its documentation leaves open, found out by reading alone.

Nothing is placed, changed, canceled or closed: everything goes through `read_only`, which has no way to do it. What
only orders or hammering would show stays open on purpose; that is why numbers are missing among the questions.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from risk_manager.domain.events import Link
from risk_manager.ports.clock import Clock
from risk_manager.venues.projectx import read_only
from risk_manager.venues.projectx.auth import Auth
from risk_manager.venues.projectx.errors import HubClosed, NotSent, ProjectXError
from risk_manager.venues.projectx.limits import CallBudget, Lane
from risk_manager.venues.projectx.listening import Heard, Listener
from risk_manager.venues.projectx.probe_summary import hub_facts
from risk_manager.venues.projectx.probe_words import (
    completion,
    described,
    envelope,
    handshake,
    members,
    message_of,
    negotiation,
    rows,
)
from risk_manager.venues.projectx.problems import Problems
from risk_manager.venues.projectx.read_only import Exchange, ReadOnlyTransport
from risk_manager.venues.projectx.rest import RestClient
from risk_manager.venues.projectx.settings import ProjectXSettings
from risk_manager.venues.projectx.token_expiry import expiry_s
from risk_manager.venues.projectx.venue_time import SECOND_NS, VenueTime, format_stamp

QUESTIONS = {
    1: "What exactly do 401 and 429 look like?",
    2: "What does negotiation answer?",
    3: "Which handshake versions are accepted?",
    4: "How are subscriptions completed, and one to an account that is not ours?",
    5: "Is there a snapshot on subscribing?",
    6: "How often do the hubs ping?",
    7: "Does a close frame carry allowReconnect?",
    8: "Does a socket outlive its token?",
    10: "What are the defaults and limits of v2/query?",
    11: "How far back does Order/search reach?",
    14: "Is there a Retry-After on 429?",
    15: "What does validate say to an expired token?",
}
NOBODYS_ACCOUNT = 2_147_483_647
"""The largest account id there can be: a question about it concerns no person."""

FORGED_TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjF9.not-a-signature"  # noqa: S105
_DAY_NS = 86_400 * SECOND_NS
_USER_TOPICS = ("Orders", "Positions", "Trades")


class Answer(msgspec.Struct, frozen=True):
    """What was found out about one question; without `is_complete` something of it stays open."""

    number: int
    question: str
    is_complete: bool
    lines: tuple[str, ...]


class Findings(msgspec.Struct, frozen=True):
    """All that was found. The lines hold the venue's own words, to be redacted like the recording.

    Attributes:
        stopped: why it ended before its time; empty if it did not.   token: the one used, to be hidden.
    """

    answers: tuple[Answer, ...]
    is_logged_in: bool
    stopped: str
    token: str


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds: between two calls, for events to come after a subscription, for an answer, to leave the hubs in."""

    between_s: float = 0.3
    settle_s: float = 1.5
    answer_s: float = 5.0
    leave_s: float = 1.5


class Probe:
    """One examination of one user's gateway, within `seconds`.

    Args:
        wanted: account ids and names to prefer, as configured; without one the first account listed is asked about.
        on_progress: called with what is done next.
    """

    def __init__(
        self,
        settings: ProjectXSettings,
        transport: ReadOnlyTransport,
        clock: Clock,
        *,
        seconds: float,
        wanted: frozenset[str],
        on_progress: Callable[[str], None],
        pace: Pace | None = None,
    ) -> None:
        self._settings = settings
        self._transport = transport
        self._clock = clock
        self._seconds = seconds
        self._wanted = wanted
        self._on_progress = on_progress
        self._pace = pace or Pace()
        self._time = VenueTime(settings.clock_lead_max_s)
        problems = Problems(_silent)
        budget = CallBudget(read_calls=read_only.CALLS_MAX)
        self._rest = RestClient(settings, transport, clock, self._time, problems, _no_link, budget)
        self._auth = Auth(settings, self._rest, clock, problems, _no_link)
        self._lines: dict[int, list[str]] = {number: [] for number in QUESTIONS}
        self._complete: set[int] = set()
        self._listeners: dict[str, Listener] = {}
        self._token = ""
        self._account: int | None = None
        self._contract: str | None = None
        self._left = asyncio.Event()

    def stop(self) -> None:
        """Let `run` end soon, with what has been found so far."""
        self._left.set()

    async def run(self) -> Findings:
        """Ask until everything is asked and the time is up."""
        stopped = ""
        asking = asyncio.create_task(self._ask_everything())
        leaving = asyncio.create_task(self._left.wait())
        try:
            async with asyncio.timeout(self._seconds - self._pace.leave_s):
                await asyncio.wait((asking, leaving), return_when=asyncio.FIRST_COMPLETED)
            if asking.done():
                asking.result()
            else:
                stopped = "stopped by hand"
        except TimeoutError:
            stopped = f"not everything was asked within {self._seconds:g} s"
        except ProjectXError as error:
            stopped = str(error)
        finally:
            for task in (asking, leaving):
                task.cancel()
            await asyncio.gather(asking, leaving, return_exceptions=True)
            await self._leave()
        self._sum_up()
        answers = tuple(
            Answer(number, question, number in self._complete, tuple(self._lines[number]))
            for number, question in QUESTIONS.items()
        )
        return Findings(answers, bool(self._token), stopped, self._token)

    async def _ask_everything(self) -> None:
        ends_s = asyncio.get_running_loop().time() + self._seconds - self._pace.leave_s - 1
        await self._step("is it there", self._ask_ping)
        await self._step("answers without a token", self._ask_unauthorized)
        self._on_progress("logging in")
        self._token = await self._auth.token()
        await self._step("accounts and contracts", self._ask_listings)
        await self._step("both hubs", self._open_hubs)
        await self._step("subscriptions", self._ask_subscriptions)
        await self._step("negotiation", self._ask_negotiation)
        await self._step("handshake versions", self._ask_versions)
        await self._step("validation", self._ask_validate)
        await self._step("order queries", self._ask_order_query)
        await self._step("order history", self._ask_order_search)
        await self._listen(ends_s)

    async def _step(self, name: str, step: Callable[[], Awaitable[None]]) -> None:
        """One group of questions; where it fails the others go on."""
        self._on_progress(name)
        try:
            await step()
        except ProjectXError as error:
            self._on_progress(f"{name}: {error}")

    # -- questions over REST ------------------------------------------------------------------------------------

    async def _ask_ping(self) -> None:
        await self._transport.request("GET", self._url(read_only.PING), headers={}, body=b"")

    async def _ask_unauthorized(self) -> None:
        for what, token in (("without a token", None), ("with a forged token", FORGED_TOKEN)):
            said = await self._ask(read_only.ACCOUNTS, {"onlyActiveAccounts": True}, token)
            self._say(1, f"{what}: {described(said)}")

    async def _ask_listings(self) -> None:
        said = await self._ask(read_only.ACCOUNTS, {"onlyActiveAccounts": True}, self._token)
        accounts = [row for row in rows(said, "accounts") if isinstance(row.get("id"), int)]
        chosen = [row for row in accounts if {str(row["id"]), str(row.get("name"))} & self._wanted]
        self._account = next((row["id"] for row in (*chosen, *accounts)), None)
        if not chosen:
            self._say(5, "no configured account is listed" + (", so the first one is asked about" * bool(accounts)))
        said = await self._ask(read_only.CONTRACTS, {"live": self._settings.live}, self._token)
        ids = [str(row.get("id")) for row in rows(said, "contracts")]
        names = [str(row.get("name")).upper() for row in rows(said, "contracts")]
        likely = [
            one for one, name in zip(ids, names, strict=True) if name.startswith(self._settings.instruments or ("",))
        ]
        self._contract = next(iter((*likely, *ids)), None)

    async def _ask_validate(self) -> None:
        said = await self._ask(read_only.VALIDATE, None, self._token)
        renewed = envelope(said).get("newToken")
        what = "no token" if not renewed else "the same token" if renewed == self._token else "another token"
        self._say(15, f"a good token: status {said.status}, code {envelope(said).get('errorCode')}, {what} comes back")
        said = await self._ask(read_only.VALIDATE, None, FORGED_TOKEN)
        self._say(15, f"a forged, expired token: {described(said)}")

    async def _ask_order_query(self) -> None:
        account = self._account_or_fail()
        cases: tuple[tuple[str, dict[str, Any]], ...] = (
            ("defaults", {}),
            ("pageSize 1, pageOffset 0", {"pageSize": 1, "pageOffset": 0}),
            ("pageSize 1, pageOffset 1", {"pageSize": 1, "pageOffset": 1}),
            ("pageSize 1000", {"pageSize": 1000}),
            ("pageSize 100000", {"pageSize": 100_000}),
        )
        first_ids = []
        for name, page in cases:
            payload = {"filter": {"accountId": account}, "includeTotalCount": True, **page}
            said = await self._ask(read_only.ORDER_QUERY, payload, self._token)
            orders, total = rows(said, "orders"), envelope(said).get("totalCount")
            first_ids.append(orders[0].get("id") if orders else None)
            counts = f", {len(orders)} rows of {total}" if said.status == 200 else ""
            self._say(10, f"{name}: status {said.status}{counts}{message_of(said)}")
        if first_ids[1] is not None:
            is_same = first_ids[1] == first_ids[2]
            self._say(10, f"pageOffset 1 {'gives the same row as 0' if is_same else 'is another row than 0'}")
            self._complete.add(10)
        else:
            self._say(10, "this account has no orders, so page sizes show nothing")

    async def _ask_order_search(self) -> None:
        account = self._account_or_fail()
        now_ns = self._time.now_ns(self._clock.now_ns())
        counts, is_refused = [], False
        for days in (1, 30, 366, 3660):
            payload = {"accountId": account, "startTimestamp": format_stamp(now_ns - days * _DAY_NS)}
            said = await self._ask(read_only.ORDERS, payload, self._token)
            orders = rows(said, "orders")
            oldest = min((str(row.get("creationTimestamp"))[:10] for row in orders), default="none")
            self._say(11, f"{days} days: status {said.status}, {len(orders)} rows, oldest {oldest}{message_of(said)}")
            counts.append(len(orders))
            is_refused |= said.status != 200 or bool(message_of(said))
        if is_refused or len(set(counts)) > 1:
            self._complete.add(11)
        else:
            self._say(11, "longer windows show no more orders: the account may have no older ones")

    # -- questions to the hubs ----------------------------------------------------------------------------------

    async def _open_hubs(self) -> None:
        urls = {"user": self._settings.user_hub_url, "market": self._settings.market_hub_url}
        for hub, url in urls.items():
            try:
                listener = Listener(await self._transport.open_hub(url, self._token))
                self._listeners[hub] = listener
                said = handshake(await listener.shake_hands(1, self._pace.answer_s))
            except ProjectXError as error:
                said = str(error)
            self._say(3, f"{hub} hub, version 1, without negotiation: {said}")

    async def _ask_subscriptions(self) -> None:
        user, market = self._listeners.get("user"), self._listeners.get("market")
        if user is None or market is None:
            raise NotSent("a hub could not be opened")
        await self._subscribe(user, "SubscribeAccounts")
        if self._account is not None:
            for topic in _USER_TOPICS:
                await self._subscribe(user, f"Subscribe{topic}", self._account)
        if self._contract is not None:
            await self._subscribe(market, "SubscribeContractQuotes", self._contract)
            # A day of quotes would be nothing but more of the same.
            await market.call("UnsubscribeContractQuotes", self._contract, within_s=self._pace.answer_s)
        self._say(5, "only what came within the time is told; a quiet market shows no quote")
        done = await user.call("SubscribeOrders", NOBODYS_ACCOUNT, within_s=self._pace.answer_s)
        self._say(4, f"SubscribeOrders of an account that is not ours: {completion(done)}")
        self._complete.update({4, 5} if self._account is not None and self._contract is not None else ())

    async def _subscribe(self, listener: Listener, target: str, *arguments: object) -> None:
        before, begun_s = len(listener.heard), asyncio.get_running_loop().time()
        done = await listener.call(target, *arguments, within_s=self._pace.answer_s)
        self._say(4, f"{target}: {completion(done)}")
        await asyncio.sleep(self._pace.settle_s)
        events = [heard for heard in listener.heard[before:] if heard.type == 1]
        first: dict[str, Heard] = {}
        for event in events:
            first.setdefault(str(event.message.get("target")), event)
        said = [f"{name} after {(one.at_s - begun_s) * 1000:.0f} ms, {members(one)}" for name, one in first.items()]
        self._say(5, f"{target}: {'; '.join(said) or f'no event within {self._pace.settle_s:g} s'}")

    async def _ask_negotiation(self) -> None:
        for hub, url in (("user", self._settings.user_hub_url), ("market", self._settings.market_hub_url)):
            for query in ("", "?negotiateVersion=1"):
                await self._keep_apart()
                address = url.rstrip("/") + read_only.NEGOTIATE + query
                headers = {"Authorization": f"Bearer {self._token}"}
                await self._transport.request("POST", address, headers=headers, body=b"")
                self._say(2, f"{hub} hub{query.replace('?', ', ')}: {negotiation(self._last)}")
        connection = envelope(self._last).get("connectionToken") or envelope(self._last).get("connectionId")
        if isinstance(connection, str):
            url = f"{self._settings.market_hub_url}?id={connection}"
            self._say(2, f"a connection by the negotiated id: {await self._opened(url, 1)}")
        self._complete.add(2)

    async def _ask_versions(self) -> None:
        for version in (0, 2):
            self._say(3, f"user hub, version {version}: {await self._opened(self._settings.user_hub_url, version)}")
        self._complete.add(3)

    async def _opened(self, url: str, version: int) -> str:
        """How a short connection's handshake was answered."""
        try:
            listener = Listener(await self._transport.open_hub(url, self._token))
        except ProjectXError as error:
            return str(error)
        try:
            return handshake(await listener.shake_hands(version, self._pace.answer_s))
        except HubClosed as closed:
            return str(closed)
        finally:
            await listener.close()

    async def _listen(self, ends_s: float) -> None:
        """Hear the hubs until the time is up; asks once more when the token has ended meanwhile."""
        self._on_progress("listening until the time is up")
        loop = asyncio.get_running_loop()
        has_asked = False
        while (left_s := ends_s - loop.time()) > 0 and self._listeners:
            self._on_progress(f"listening, another {left_s:.0f} s")
            await asyncio.sleep(min(left_s, 1.0))
            life_s = self._life_s()
            if life_s is not None and life_s < -1 and not has_asked:
                has_asked = True
                await self._step("validation of the expired token", self._ask_expired)

    async def _ask_expired(self) -> None:
        said = await self._ask(read_only.VALIDATE, None, self._token)
        self._say(15, f"our own token, after its end: {described(said)}")
        self._complete.add(15)

    async def _leave(self) -> None:
        await asyncio.gather(*(each.say_goodbye(self._pace.leave_s) for each in self._listeners.values()))
        await asyncio.gather(*(each.close() for each in self._listeners.values()))

    # -- what only the whole shows ------------------------------------------------------------------------------

    def _sum_up(self) -> None:
        now_s = asyncio.get_running_loop().time()
        for hub, listener in self._listeners.items():
            for fact in hub_facts(hub, listener, now_s=now_s, life_s=self._life_s()):
                self._say(fact.number, fact.line)
                self._complete.update({fact.number} if fact.is_complete else ())
        limited = [one for one in self._transport.recording.exchanges if one.status == 429]
        for one in limited[:1]:
            self._say(1, f"too many calls: {described(one)}")
            self._say(14, f"Retry-After: {one.header('Retry-After') or 'none'}")
            self._complete.update({1, 14})
        if not limited:
            self._say(1, "429 was not met, and is not provoked")
            self._say(14, "429 was not met, and is not provoked")
        if self._token and 15 not in self._complete:
            self._say(15, "our own token did not end during this run")

    # -- small things -------------------------------------------------------------------------------------------

    async def _ask(self, path: str, payload: Mapping[str, Any] | None, token: str | None) -> Exchange:
        """One call, well apart from the one before."""
        await self._keep_apart()
        await self._rest.post(path, payload, lane=Lane.READ, token=token)
        return self._last

    async def _keep_apart(self) -> None:
        """Pause before a call. After a 429 there are no more."""
        if any(one.status == 429 for one in self._transport.recording.exchanges):
            raise NotSent("the venue said 429: no further calls")
        await asyncio.sleep(self._pace.between_s)

    @property
    def _last(self) -> Exchange:
        return self._transport.recording.exchanges[-1]

    def _url(self, path: str) -> str:
        return self._settings.api_url.rstrip("/") + path

    def _say(self, number: int, line: str) -> None:
        self._lines[number].append(line)

    def _account_or_fail(self) -> int:
        if self._account is None:
            raise NotSent("the user has no account to ask about")
        return self._account

    def _life_s(self) -> float | None:
        """How long the token still lives by the venue's clock; None where it does not say."""
        ends_s = expiry_s(self._token)
        return None if ends_s is None else ends_s - self._time.now_ns(self._clock.now_ns()) / SECOND_NS


def _silent(_code: str, _detail: str) -> None:
    return None


def _no_link(_link: Link, _is_up: bool, _reason: str) -> None:
    return None

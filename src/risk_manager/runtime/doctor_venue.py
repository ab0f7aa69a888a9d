"""The doctor's checks of the way to the venue: names, sockets, clock, login, accounts, hubs. All of them only read."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from urllib.parse import urlsplit

from risk_manager.config import AccountConfig, GuardConfig
from risk_manager.domain.account import Account
from risk_manager.domain.events import Link
from risk_manager.engine.engine import Mode
from risk_manager.runtime.checks import Check, Verdict, ok, problem, skipped, warning
from risk_manager.runtime.clock import SystemClock, stopwatch_ns, wall_ns
from risk_manager.runtime.wiring import AccountRepeated, check_unique
from risk_manager.venues.projectx import read_only
from risk_manager.venues.projectx.auth import Auth
from risk_manager.venues.projectx.errors import ProjectXError
from risk_manager.venues.projectx.gateway import Gateway
from risk_manager.venues.projectx.listening import Listener
from risk_manager.venues.projectx.probe_words import handshake
from risk_manager.venues.projectx.problems import Problems
from risk_manager.venues.projectx.read_only import ReadOnlyTransport
from risk_manager.venues.projectx.records import Reader
from risk_manager.venues.projectx.rest import RestClient
from risk_manager.venues.projectx.token_expiry import expiry_s
from risk_manager.venues.projectx.venue_time import SECOND_NS, VenueTime, parse_http_date_ns
from risk_manager.venues.projectx.wire import BadRecord

VENUE_CHECKS = ("network", "gateway", "clock", "login", "accounts", "user hub", "market hub")

ANSWER_S = 5.0
CLOCK_WARNING_S = 2.5  # a Date header has whole seconds
CLOCK_PROBLEM_S = 30.0
TOKEN_WARNING_S = 3600.0
CERTIFICATE_WARNING_S = 7 * 86_400
_STEP_S = 0.5


async def examine_venue(config: GuardConfig) -> AsyncIterator[Check]:
    """Every check, in the order in which one needs the other."""
    settings = config.venue_settings()
    urls = (settings.api_url, settings.user_hub_url, settings.market_hub_url)
    wall_began_ns, steady_began_ns = wall_ns(), stopwatch_ns()
    is_reached: dict[str, bool] = {}
    for url in dict.fromkeys(_origin(url) for url in urls):
        is_reached[url] = True
        async for check in _network(url):
            is_reached[url] &= check.verdict not in (Verdict.PROBLEM, Verdict.SKIPPED)
            yield check
    if not is_reached[_origin(settings.api_url)]:
        for name in VENUE_CHECKS[1:]:
            yield skipped(name, f"a way to {_origin(settings.api_url)}")
        return
    transport = ReadOnlyTransport(settings, total_s=ANSWER_S, connect_s=ANSWER_S)
    try:
        visit = _Visit(config, transport)
        async for check in visit.examine(is_reached):
            yield check
    finally:
        await transport.close()
    yield _steadiness(wall_ns() - wall_began_ns, stopwatch_ns() - steady_began_ns)


class _Visit:
    """The checks that speak to the venue."""

    def __init__(self, config: GuardConfig, transport: ReadOnlyTransport) -> None:
        self._config = config
        self._settings = settings = config.venue_settings()
        self._transport = transport
        clock = SystemClock()
        self._problems = Problems(_silent)
        time = VenueTime(settings.clock_lead_max_s)
        rest = RestClient(settings, transport, clock, time, self._problems, _no_link)
        self._auth = Auth(settings, rest, clock, self._problems, _no_link)
        self._gateway = Gateway(rest, self._auth)

    async def examine(self, is_reached: dict[str, bool]) -> AsyncIterator[Check]:
        async for check in self._ping():
            yield check
        try:
            token = await self._auth.token()
        except ProjectXError as error:
            yield problem("login", str(error), _login_advice(str(error)))
            for name in VENUE_CHECKS[4:]:
                yield skipped(name, "a login")
            return
        yield _life(token)
        async for check in self._accounts():
            yield check
        for name, url in (("user hub", self._settings.user_hub_url), ("market hub", self._settings.market_hub_url)):
            if is_reached[_origin(url)]:
                yield await self._hub(name, url, token)
            else:
                yield skipped(name, f"a way to {_origin(url)}")

    async def _ping(self) -> AsyncIterator[Check]:
        before_ns = wall_ns()
        try:
            reply = await self._transport.request(
                "GET", self._settings.api_url.rstrip("/") + read_only.PING, headers={}, body=b""
            )
        except ProjectXError as error:
            yield problem("gateway", str(error), "check api_url in accounts.yaml; is the venue in maintenance?")
            yield skipped("clock", "an answer of the gateway")
            return
        after_ns = wall_ns()
        found = f"status {reply.status} in {(after_ns - before_ns) / 1e6:.0f} ms"
        if reply.status == 200:
            yield ok("gateway", found)
        else:
            yield problem("gateway", found, "check api_url in accounts.yaml; is this a ProjectX gateway?")
        yield clock_check(parse_http_date_ns(reply.date), (before_ns + after_ns) // 2)

    async def _accounts(self) -> AsyncIterator[Check]:
        try:
            envelope = await self._gateway.read(read_only.ACCOUNTS, {"onlyActiveAccounts": True})
            rows = envelope.fields.get("accounts")
            if not isinstance(rows, list):
                raise BadRecord("the list is missing")
            reader = Reader(self._problems)
            listed = [reader.account(row) for row in rows]
        except (ProjectXError, BadRecord) as error:
            yield problem("accounts", f"cannot be read: {error}", "try again; a limit or an outage passes")
            return
        found: list[tuple[AccountConfig, str]] = []
        for account in self._config.accounts:
            for check in _account(account, listed):
                yield check
            found.extend((account, one.id) for one in _meant(account, listed))
        try:
            check_unique([account for account, _ in found], [account_id for _, account_id in found])
        except AccountRepeated as error:
            yield problem("accounts", str(error), "the guard does not start before that")

    async def _hub(self, name: str, url: str, token: str) -> Check:
        advice = f"check the address of the {name} in accounts.yaml, and that nothing on the way blocks WebSockets"
        try:
            reply = await self._transport.request(
                "POST",
                url.rstrip("/") + read_only.NEGOTIATE + "?negotiateVersion=1",
                headers={"Authorization": f"Bearer {token}"},
                body=b"",
            )
            if reply.status != 200:
                return problem(name, f"negotiation is answered with status {reply.status}", advice)
            listener = Listener(await self._transport.open_hub(url, token))
            try:
                said = handshake(await listener.shake_hands(1, ANSWER_S))
            finally:
                await listener.close()
        except ProjectXError as error:
            return problem(name, str(error), advice)
        if said != "accepted":
            return problem(name, f"the handshake: {said}", advice)
        return ok(name, "negotiates and shakes hands")


async def _network(origin: str) -> AsyncIterator[Check]:
    """Name, socket and certificate of one host."""
    parts = urlsplit(origin)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(ANSWER_S):
            found = await loop.getaddrinfo(host, port)
    except (OSError, UnicodeError) as error:
        yield problem(f"name of {host}", _told(error), "check the spelling in accounts.yaml, and this machine's DNS")
        yield skipped(f"socket to {host}:{port}", "its name")
        return
    addresses = len({entry[4][0] for entry in found})
    yield ok(f"name of {host}", f"{addresses} address{'es' if addresses > 1 else ''}")
    name = f"socket to {host}:{port}"
    context = ssl.create_default_context() if parts.scheme == "https" else None
    began_ns = stopwatch_ns()
    try:
        async with asyncio.timeout(ANSWER_S):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
    except ssl.SSLCertVerificationError as error:
        advice = "check this machine's clock and certificates; a program that inspects TLS must not stand between"
        yield problem(name, f"the certificate is not trusted: {error.verify_message}", advice)
        return
    except OSError as error:
        advice = "check the network, a firewall, and whether the venue works"
        yield problem(name, f"no connection: {_told(error)}", advice)
        return
    secured = writer.get_extra_info("ssl_object")
    elapsed_ms = (stopwatch_ns() - began_ns) / 1e6
    yield _secured(name, secured, elapsed_ms)
    writer.close()
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(1.0):
            await writer.wait_closed()


def _secured(name: str, secured: ssl.SSLObject | None, elapsed_ms: float) -> Check:
    if secured is None:
        return ok(name, f"open in {elapsed_ms:.0f} ms, plain, as only this machine's own may be")
    certificate = secured.getpeercert() or {}
    ends = str(certificate.get("notAfter", ""))
    left_s = ssl.cert_time_to_seconds(ends) - wall_ns() / SECOND_NS if ends else CERTIFICATE_WARNING_S
    found = f"open in {elapsed_ms:.0f} ms, {secured.version()}, certificate until {ends or 'unknown'}"
    if left_s < CERTIFICATE_WARNING_S:
        return warning(name, found, "the venue has to renew it; nothing to do here")
    return ok(name, found)


def clock_check(venue_ns: int, local_ns: int) -> Check:
    """How far this machine's clock is from the venue's, as its Date header tells it (0: it does not)."""
    if venue_ns == 0:
        return warning("clock", "the venue does not tell its time", "nothing to do here")
    # A Date header is cut to the second: on average the venue is half a second further.
    ahead_s = (local_ns - venue_ns - SECOND_NS // 2) / SECOND_NS
    found = f"{abs(ahead_s):.1f} s {'ahead of' if ahead_s > 0 else 'behind'} the venue's, whose seconds are whole"
    advice = "let the system set its clock by network time (timedatectl set-ntp true, w32tm /resync)"
    if abs(ahead_s) >= CLOCK_PROBLEM_S:
        return problem("clock", found, advice)
    return warning("clock", found, advice) if abs(ahead_s) >= CLOCK_WARNING_S else ok("clock", found)


def _steadiness(wall_passed_ns: int, steady_passed_ns: int) -> Check:
    """Whether wall clock and monotonic clock agree about how long the examination took."""
    apart_s = (wall_passed_ns - steady_passed_ns) / SECOND_NS
    found = f"wall and monotonic clock are {abs(apart_s):.3f} s apart after {steady_passed_ns / SECOND_NS:.1f} s"
    if steady_passed_ns <= 0 or abs(apart_s) > _STEP_S:
        return warning("steady clock", found, "the clock is being set right now, or this virtual machine stood still")
    return ok("steady clock", found)


def _life(token: str) -> Check:
    ends_s = expiry_s(token)
    if ends_s is None:
        return warning("login", "accepted; the token does not say how long it lives", "a day is reckoned with")
    left_s = ends_s - wall_ns() / SECOND_NS
    found = f"accepted; the token lives {left_s / 3600:.1f} h"
    if left_s < TOKEN_WARNING_S:
        return warning("login", found, "check this machine's clock; the guard renews often")
    return ok("login", found)


def _meant(account: AccountConfig, listed: list[Account]) -> list[Account]:
    return [one for one in listed if account.id == one.id or (account.id is None and account.name == one.name)]


def _account(account: AccountConfig, listed: list[Account]) -> Iterator[Check]:
    name = f"account {account.label}"
    found = _meant(account, listed)
    if len(found) != 1:
        names = ", ".join(f"{one.name} (id {one.id})" for one in listed) or "none"
        advice = f"correct accounts.yaml; the active accounts of this user: {names}"
        yield problem(name, "is not among the active accounts" if not found else "is there more than once", advice)
        return
    one = found[0]
    if not one.is_simulated:
        advice = "guard it in mode observe: the venue refuses cancels and closes of live accounts over its API"
        told = problem if account.mode is Mode.ENFORCE else warning
        yield told(name, "is a live account", advice)
    if not one.can_trade:
        yield warning(name, "found, but the venue does not let it trade", "look for a lockout or a rule at the venue")
    elif one.is_simulated:
        yield ok(name, f"id {one.id}, may trade, simulated, mode {account.mode}")


def _login_advice(reason: str) -> str:
    if "code" in reason:
        return "check PROJECT_X_USERNAME (the login name, not the e-mail) and PROJECT_X_API_KEY, and the API add-on"
    if "429" in reason:
        return "the call budget is used up: wait a minute, and end other programs of this user"
    return "try again; an outage passes"


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _told(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {ANSWER_S:g} s"
    if isinstance(error, UnicodeError):
        return "no host can be called that"
    if isinstance(error, ssl.SSLError):
        return error.reason or "TLS failed"
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__


def _silent(_code: str, _detail: str) -> None:
    return None


def _no_link(_link: Link, _is_up: bool, _reason: str) -> None:
    return None

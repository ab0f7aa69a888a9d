"""The bearer token: fetched by key, renewed before it ends, one renewal at a time, for as long as it takes."""

import asyncio
import base64
from contextlib import suppress
from typing import NoReturn

import msgspec

from risk_manager.domain.events import Link
from risk_manager.ports.clock import Clock
from risk_manager.venues.projectx.errors import AuthFailed, Lost, NotSent
from risk_manager.venues.projectx.limits import Lane
from risk_manager.venues.projectx.problems import Problems
from risk_manager.venues.projectx.rest import Answer, OnLink, RestClient
from risk_manager.venues.projectx.settings import ProjectXSettings
from risk_manager.venues.projectx.venue_time import SECOND_NS

_LIFE_DEFAULT_NS = 24 * 3600 * SECOND_NS
_RENEW_AT_PERCENT = 75
_YOUNG_NS = 60 * SECOND_NS
_BACKOFF_MAX_NS = 8 * SECOND_NS
"""Without a token nothing is seen: a refusal that has ended must not leave us blind for long after."""
_REFUSED_MAX_NS = 60 * SECOND_NS
"""What no waiting mends is asked for once a minute at last: to be blocked for hammering would only add to it."""
_RENEWAL_NS = 5 * SECOND_NS
_UNREACHED_MAX_NS = 2 * SECOND_NS
"""As long as nobody answers, nobody is bothered; and without a token nothing is seen when they are back."""

_LOGIN_ERRORS = {
    1: "user not found",
    2: "password verification failed",
    3: "invalid credentials",
    4: "application not found",
    5: "application verification failed",
    6: "invalid device",
    7: "agreements not signed",
    9: "no API subscription",
    10: "API key authentication is disabled",
}
"""The venue's last word, until somebody does something about it; its own unknown error (8) may pass."""


class Auth:
    """The token every call and hub uses.

    Renewal follows the local clock, which never jumps; the token's own expiry is only read for its length of life.
    """

    def __init__(
        self, settings: ProjectXSettings, rest: RestClient, clock: Clock, problems: Problems, on_link: OnLink
    ) -> None:
        self._user_name = settings.user_name
        self._api_key = settings.api_key
        self._rest = rest
        self._clock = clock
        self._problems = problems
        self._on_link = on_link
        self._lock = asyncio.Lock()
        self._token: str | None = None
        self._is_stale = False
        self._issued_ns = 0
        self._renew_ns = 0
        self._retry_ns = 0
        self._login_failures = 0
        self._retry_max_ns = 0
        self._young_rejections = 0
        self._reason = "not logged in yet"

    @property
    def token_at_hand(self) -> str | None:
        """The token `token` would return without waiting; None if it would log in."""
        return None if self._is_stale else self._token

    async def token(self) -> str:
        """The token to send. One rejected lately may come again while the next login has to wait its turn.

        Raises:
            AuthFailed: there is none, and the last attempt to log in failed or the next is not due.
        """
        if (token := self.token_at_hand) is not None:
            return token
        async with self._lock:
            if (self._token is None or self._is_stale) and self._clock.now_ns() >= self._retry_ns:
                await self._log_in()
            if self._token is None:
                raise AuthFailed(self._reason)
            return self._token

    def rejected(self, token: str) -> None:
        """The venue refused this token: the next use logs in again, less eagerly if new tokens are refused too."""
        if token != self._token or self._is_stale:
            return
        self._is_stale = True
        now_ns = self._clock.now_ns()
        self._young_rejections = self._young_rejections + 1 if now_ns - self._issued_ns < _YOUNG_NS else 0
        # The first young rejection costs nothing: sessions can be revoked at any age.
        if self._young_rejections > 1:
            self._retry_ns = max(self._retry_ns, now_ns + _backoff_ns(self._young_rejections - 1, _BACKOFF_MAX_NS))

    def accepted(self, token: str) -> None:
        """The venue has answered to this token: it was refused by mistake, if at all."""
        if token == self._token:
            self._is_stale = False

    async def keep(self) -> NoReturn:
        """Keep a token at hand: renew at three quarters of its life, and log in again for as long as that fails."""
        while True:
            now_ns = self._clock.now_ns()
            if self._token is None or self._is_stale:
                due_ns = self._retry_ns
                if now_ns >= due_ns:
                    await self._try_login()
                    continue
            else:
                due_ns = self._renew_ns
                if now_ns >= due_ns:
                    await self._renew()
                    continue
            # A rejection may come at any moment, so the sleep is short; whoever needs the token renews it meanwhile.
            await asyncio.sleep(min(max(due_ns - now_ns, SECOND_NS // 100), SECOND_NS) / SECOND_NS)

    async def _try_login(self) -> None:
        # The failure is counted, and the next attempt has its time.
        with suppress(AuthFailed):
            await self.token()

    async def _renew(self) -> None:
        """Ask for a new token with the old one, or log in where that is refused; the old one serves meanwhile."""
        async with self._lock:
            if self._token is None or self._is_stale:
                return
            try:
                answer = await self._rest.post("/api/Auth/validate", None, lane=Lane.AUTH, token=self._token)
            except (NotSent, Lost) as error:
                self._put_off_renewal(str(error))
                return
            envelope = answer.envelope()
            if answer.status == 200 and envelope is not None and _is_success(envelope):
                renewed = envelope.get("newToken")
                self._accept(renewed if isinstance(renewed, str) and renewed else self._token, answer)
            elif answer.status == 200 or answer.status == 401:
                await self._log_in()
            else:
                self._put_off_renewal(f"status {answer.status}")

    async def _log_in(self) -> None:
        """One login; the outcome is left in the state. Called with the lock held."""
        payload = {"userName": self._user_name, "apiKey": self._api_key}
        try:
            answer = await self._rest.post("/api/Auth/loginKey", payload, lane=Lane.AUTH, token=None)
        except (NotSent, Lost) as error:
            self._login_failed(str(error), _UNREACHED_MAX_NS)
            return
        envelope = answer.envelope()
        token = envelope.get("token") if envelope is not None and _is_success(envelope) else None
        if answer.status == 200 and isinstance(token, str) and token:
            self._login_failures = 0
            self._accept(token, answer)
        else:
            self._login_failed(_why(answer), _REFUSED_MAX_NS if _is_definite(answer) else _BACKOFF_MAX_NS)

    def _accept(self, token: str, answer: Answer) -> None:
        now_ns = self._clock.now_ns()
        self._token, self._is_stale, self._issued_ns = token, False, now_ns
        self._renew_ns = now_ns + _life_ns(token, answer.at_ns, now_ns) * _RENEW_AT_PERCENT // 100

    def _login_failed(self, reason: str, most_ns: int) -> None:
        # How long an outage has lasted says nothing of the refusal after it.
        self._login_failures = self._login_failures + 1 if most_ns == self._retry_max_ns else 1
        self._retry_max_ns = most_ns
        self._reason = f"login failed: {reason}"
        self._problems.note("login_failed", reason)
        now_ns = self._clock.now_ns()
        self._retry_ns = now_ns + _backoff_ns(self._login_failures, most_ns)
        if self._token is not None and not self._is_stale:
            self._renew_ns = max(self._renew_ns, self._retry_ns)
        else:
            self._on_link(Link.REST, False, self._reason)

    def _put_off_renewal(self, reason: str) -> None:
        self._problems.note("renewal_failed", reason)
        self._renew_ns = self._clock.now_ns() + _RENEWAL_NS


def _is_success(envelope: dict[str, object]) -> bool:
    return envelope.get("success") is True and envelope.get("errorCode") in (0, None)


def _is_definite(answer: Answer) -> bool:
    """Whether a login was refused for good, as far as waiting goes."""
    envelope = answer.envelope()
    if answer.status != 200 or envelope is None:
        return answer.status in (401, 403)
    code = envelope.get("errorCode")
    return isinstance(code, int) and code in _LOGIN_ERRORS


def _why(answer: Answer) -> str:
    envelope = answer.envelope()
    if answer.status != 200 or envelope is None:
        return f"status {answer.status}"
    code, message = envelope.get("errorCode"), envelope.get("errorMessage")
    known = _LOGIN_ERRORS.get(code, "refused") if isinstance(code, int) else "refused"
    return f"{known} (code {code}){f': {message}'[:200] if isinstance(message, str) else ''}"


def _backoff_ns(failures: int, most_ns: int) -> int:
    """1, 2, 4, 8 ... seconds, at most so many nanoseconds."""
    return min(most_ns, SECOND_NS << min(failures - 1, 10))


class _Claims(msgspec.Struct):
    exp: float


def _life_ns(token: str, venue_ns: int, local_ns: int) -> int:
    """How long a JWT lives from now, by its own unverified `exp`.

    Counted from the venue's clock, from ours where that makes no sense of it; a day where neither does.
    """
    try:
        part = token.split(".")[1]
        claims = msgspec.json.decode(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)), type=_Claims)
    except (IndexError, ValueError):
        return _LIFE_DEFAULT_NS
    lives = (round(claims.exp) * SECOND_NS - now_ns for now_ns in (venue_ns, local_ns))
    return next((life for life in lives if 0 < life <= 2 * _LIFE_DEFAULT_NS), _LIFE_DEFAULT_NS)

"""Authorized calls: reads that answer or fail, mutations that always come back with a verdict."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from risk_manager.domain.events import Refusal
from risk_manager.venues.projectx.auth import Auth
from risk_manager.venues.projectx.errors import AuthFailed, Lost, NotSent, ReadFailed
from risk_manager.venues.projectx.limits import Lane
from risk_manager.venues.projectx.outcomes import Mutation, Rejected, Unknown, Verdict, verdict
from risk_manager.venues.projectx.rest import Answer, RestClient

_TOKEN_WAIT_S = 5.0


class Envelope(msgspec.Struct, frozen=True):
    """A successful answer's members and the venue's time of it."""

    fields: dict[str, Any]
    at_ns: int


class Ruling(msgspec.Struct, frozen=True):
    """A mutation's verdict and the venue's time of it (0 where it did not answer)."""

    verdict: Verdict
    at_ns: int


class Gateway:
    """The gateway's endpoints, spoken to with our token."""

    def __init__(self, rest: RestClient, auth: Auth) -> None:
        self._rest = rest
        self._auth = auth

    async def read(
        self, path: str, payload: Mapping[str, Any], *, lane: Lane = Lane.READ, granted_ns: int | None = None
    ) -> Envelope:
        """Ask and return the successful answer. A refused token or a connection gone stale is tried once more.

        Args:
            lane: of the first try; others are READs.   granted_ns: of the look that the first try is part of.

        Raises:
            ReadFailed: the venue answered, but not with success.
            NotSent, Lost: it was not reached, or did not answer.
        """
        token = await self._auth.token()
        lane = lane if granted_ns is None else Lane.LOOK
        answer = await self._post_twice(path, payload, token, lane, granted_ns)
        if answer.status == 401:
            self._auth.rejected(token)
            renewed = await self._auth.token()
            if renewed != token:
                token = renewed
                answer = await self._post_twice(path, payload, token, Lane.READ, None)
        envelope = answer.envelope()
        if answer.status != 200 or envelope is None:
            raise ReadFailed(f"{path}: status {answer.status}", status=answer.status)
        self._auth.accepted(token)
        if envelope.get("success") is not True or envelope.get("errorCode") not in (0, None):
            raise ReadFailed(f"{path}: code {envelope.get('errorCode')}", status=200)
        return Envelope(envelope, answer.at_ns)

    async def look(self, account_id: str) -> int:
        """Wait until positions and orders of an account may be read, each by one call; the instant of the grant.

        Raises:
            NotSent: there is no token, or the same is waited for already.
        """
        await self._auth.token()
        return await self._rest.look(account_id)

    async def mutate(
        self, mutation: Mutation, payload: Mapping[str, Any], lane: Lane, is_due: Callable[[], bool] | None = None
    ) -> Ruling:
        """Send a mutation once. Only one that carries neither size nor price is sent again, after a refused token."""
        token = self._auth.token_at_hand
        if token is None:
            try:
                async with asyncio.timeout(_TOKEN_WAIT_S):
                    token = await self._auth.token()
            except AuthFailed as error:
                return Ruling(Rejected(Refusal.OTHER, f"not sent: {error}"), 0)
            except TimeoutError:
                return Ruling(Rejected(Refusal.OTHER, "not sent: no token in time"), 0)
            if self._auth.token_at_hand is None and lane is not Lane.CLOSE:
                # The old token: a close may try whether it was refused by mistake, hundreds of cancels need not.
                return Ruling(Rejected(Refusal.OTHER, "not sent: the token was refused"), 0)
        try:
            answer = await self._rest.post(mutation, payload, lane=lane, token=token, is_due=is_due)
            if answer.status == 401:
                self._auth.rejected(token)
                if not mutation.is_repeatable or (renewed := await self._auth.token()) == token:
                    return _shut_out(mutation, answer)
                token = renewed
                answer = await self._rest.post(mutation, payload, lane=lane, token=token, is_due=is_due)
        except NotSent as error:
            return Ruling(Rejected(Refusal.OTHER, f"not sent: {error}"), 0)
        except Lost as error:
            return Ruling(Unknown(str(error)), 0)
        if answer.status == 401:
            return _shut_out(mutation, answer)
        if answer.status == 200:
            self._auth.accepted(token)
        return Ruling(verdict(mutation, answer.status, answer.envelope()), answer.at_ns)

    async def _post_twice(
        self, path: str, payload: Mapping[str, Any], token: str, lane: Lane, granted_ns: int | None
    ) -> Answer:
        """Send a read, once more if the connection was gone before the answer: a stale keep-alive, most often."""
        try:
            return await self._rest.post(path, payload, lane=lane, token=token, granted_ns=granted_ns)
        except Lost as error:
            if not error.is_disconnect:
                raise
        return await self._rest.post(path, payload, lane=Lane.READ, token=token)


def _shut_out(mutation: Mutation, answer: Answer) -> Ruling:
    """What a 401 means: nothing was done, most likely. What may be done twice goes on at the pace of a refused call."""
    text = "status 401: the token was refused"
    return Ruling(Rejected(Refusal.OTHER, text) if mutation.is_repeatable else Unknown(text), answer.at_ns)

"""Authorized calls: reads that answer or fail, mutations that always come back with a verdict."""

import asyncio
from collections.abc import Mapping
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

    async def read(self, path: str, payload: Mapping[str, Any]) -> Envelope:
        """Ask and return the successful answer. A refused token or a connection gone stale is tried once more.

        Raises:
            ReadFailed: the venue answered, but not with success.
            NotSent, Lost: it was not reached, or did not answer.
        """
        token = await self._auth.token()
        answer = await self._post_twice(path, payload, token)
        if answer.status == 401:
            self._auth.rejected(token)
            renewed = await self._auth.token()
            if renewed != token:
                answer = await self._post_twice(path, payload, renewed)
        envelope = answer.envelope()
        if answer.status != 200 or envelope is None:
            raise ReadFailed(f"{path}: status {answer.status}", status=answer.status)
        if envelope.get("success") is not True or envelope.get("errorCode") not in (0, None):
            raise ReadFailed(f"{path}: code {envelope.get('errorCode')}", status=200)
        return Envelope(envelope, answer.at_ns)

    async def mutate(self, mutation: Mutation, payload: Mapping[str, Any]) -> Ruling:
        """Send a mutation once. Only one that carries neither size nor price is sent again, after a refused token."""
        lane = Lane.CLOSE if mutation in (Mutation.CLOSE, Mutation.REDUCE) else Lane.ORDER
        token = self._auth.token_at_hand
        if token is None:
            try:
                async with asyncio.timeout(_TOKEN_WAIT_S):
                    token = await self._auth.token()
            except AuthFailed as error:
                return Ruling(Rejected(Refusal.OTHER, f"not sent: {error}"), 0)
            except TimeoutError:
                return Ruling(Rejected(Refusal.OTHER, "not sent: no token in time"), 0)
        try:
            answer = await self._rest.post(mutation, payload, lane=lane, token=token)
            if answer.status == 401:
                self._auth.rejected(token)
                if not mutation.is_repeatable or (renewed := await self._auth.token()) == token:
                    return Ruling(Unknown("status 401: the token was refused"), answer.at_ns)
                answer = await self._rest.post(mutation, payload, lane=lane, token=renewed)
        except NotSent as error:
            return Ruling(Rejected(Refusal.OTHER, f"not sent: {error}"), 0)
        except Lost as error:
            return Ruling(Unknown(str(error)), 0)
        if answer.status == 401:
            return Ruling(Unknown("status 401: the token was refused twice"), answer.at_ns)
        return Ruling(verdict(mutation, answer.status, answer.envelope()), answer.at_ns)

    async def _post_twice(self, path: str, payload: Mapping[str, Any], token: str) -> Answer:
        """Send a read, once more if the connection was gone before the answer: a stale keep-alive, most often."""
        try:
            return await self._rest.post(path, payload, lane=Lane.READ, token=token)
        except Lost as error:
            if not error.is_disconnect:
                raise
        return await self._rest.post(path, payload, lane=Lane.READ, token=token)

"""Session tokens: real three-part JWTs signed with HS256, because clients decode `exp` without asking us."""

import base64
import binascii
import hashlib
import hmac
import uuid
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec

from risk_manager.simulator.server.times import NANOS_PER_SECOND

_IDENTITY = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims"
_MICROSOFT = "http://schemas.microsoft.com/ws/2008/06/identity/claims"
_HEADER = b'{"alg":"HS256","typ":"JWT"}'


class Session(msgspec.Struct, frozen=True):
    """Who a valid token speaks for, and under which session id."""

    user: str
    id: str


class TokenMint:
    """Issues tokens and tells whom a token belongs to.

    Args:
        key: signing secret.
        lifetime_s: how long a token is good for.
        wall_clock: real UTC time in ns; `exp` is compared with it here and by every client.
    """

    def __init__(self, key: bytes, lifetime_s: int, wall_clock: Callable[[], int]) -> None:
        self._key = key
        self._lifetime_s = lifetime_s
        self._wall_clock = wall_clock
        self._epoch = 0
        self._user_epochs: dict[str, int] = {}
        self._issued = 0
        self._ended: set[str] = set()

    def issue(self, user: str, user_id: int) -> str:
        """A fresh token; earlier ones stay valid."""
        self._issued += 1
        claims = {
            f"{_IDENTITY}/nameidentifier": str(user_id),
            f"{_IDENTITY}/sid": self._session_id(),
            f"{_IDENTITY}/name": user,
            f"{_MICROSOFT}/role": "user",
            f"{_MICROSOFT}/authenticationmethod": "api-key",
            "msd": ["CMEGROUP_TOB"],
            "mfa": "verified",
            "exp": self._wall_clock() // NANOS_PER_SECOND + self._lifetime_s,
        }
        signed = _base64(_HEADER) + b"." + _base64(msgspec.json.encode(claims))
        return (signed + b"." + self._signature(signed, user)).decode("ascii")

    def session(self, token: str) -> Session | None:
        """The session of a token; None when it is forged, expired, revoked or logged out."""
        claims = self._genuine_claims(token)
        if claims is None or claims["exp"] * NANOS_PER_SECOND <= self._wall_clock():
            return None
        session = Session(claims[f"{_IDENTITY}/name"], claims[f"{_IDENTITY}/sid"])
        return None if session.id in self._ended else session

    def is_expired(self, token: str) -> bool:
        """Whether a token is one of ours that was good until its time ran out."""
        claims = self._genuine_claims(token)
        return claims is not None and claims["exp"] * NANOS_PER_SECOND <= self._wall_clock()

    def end(self, session: Session) -> None:
        """Log one session out; other tokens of the user stay valid."""
        self._ended.add(session.id)

    def revoke_user(self, user: str) -> None:
        """Refuse every token issued to a user so far."""
        self._user_epochs[user] = self._user_epochs.get(user, 0) + 1

    def revoke_all(self) -> None:
        """Refuse every token issued so far."""
        self._epoch += 1

    def set_lifetime(self, lifetime_s: int) -> None:
        """Change how long tokens issued from now on are good for."""
        self._lifetime_s = lifetime_s

    def opaque_id(self, label: str) -> str:
        """22 URL-safe characters nobody without the key can guess; equal for equal labels."""
        digest = hmac.digest(self._key, b"id " + label.encode("utf-8"), hashlib.sha256)
        return _base64(digest[:16]).decode("ascii")

    def _session_id(self) -> str:
        digest = hmac.digest(self._key, b"session %d" % self._issued, hashlib.sha256)
        return str(uuid.UUID(bytes=digest[:16], version=4))

    def _genuine_claims(self, token: str) -> dict[str, Any] | None:
        signed, _, signature = token.encode("utf-8").rpartition(b".")
        claims = _claims(signed)
        user = None if claims is None else claims.get(f"{_IDENTITY}/name")
        if not isinstance(user, str) or not hmac.compare_digest(signature, self._signature(signed, user)):
            return None
        return claims

    def _signature(self, signed: bytes, user: str) -> bytes:
        key = self._key + b" %d %d" % (self._epoch, self._user_epochs.get(user, 0))
        return _mac(key, signed)


# A client sends the same token with every call.
@lru_cache(maxsize=256)
def _mac(key: bytes, signed: bytes) -> bytes:
    return _base64(hmac.digest(key, signed, hashlib.sha256))


def _base64(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


@lru_cache(maxsize=256)
def _claims(signed: bytes) -> dict[str, Any] | None:
    body = signed.partition(b".")[2]
    try:
        claims = msgspec.json.decode(base64.urlsafe_b64decode(body + b"=" * (-len(body) % 4)))
    except (binascii.Error, msgspec.DecodeError):
        return None
    return claims if isinstance(claims, dict) else None

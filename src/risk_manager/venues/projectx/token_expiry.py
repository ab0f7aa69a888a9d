"""When a token says it ends, for those who tell it to people."""

import base64

import msgspec


class _Claims(msgspec.Struct):
    exp: float


def expiry_s(token: str) -> int | None:
    """The end of a JWT's life by its own unverified `exp`, UTC epoch seconds; None where it does not say."""
    try:
        part = token.split(".")[1]
        claims = msgspec.json.decode(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)), type=_Claims)
        return round(claims.exp)
    except (IndexError, ValueError, OverflowError):
        return None

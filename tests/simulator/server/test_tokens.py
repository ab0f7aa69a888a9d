"""Session tokens."""

import base64
import json

from risk_manager.simulator.server.tokens import TokenMint

NOW_S = 1_787_172_565


class Wall:
    """Real time, moved by hand."""

    def __init__(self) -> None:
        self.now_s = NOW_S

    def now_ns(self) -> int:
        return self.now_s * 1_000_000_000


def claims_of(token: str) -> dict[str, object]:
    body = token.split(".")[1]
    claims: dict[str, object] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return claims


def test_carries_a_numeric_expiry_in_real_seconds() -> None:
    token = TokenMint(b"key", 86_400, Wall().now_ns).issue("pat", 100_001)
    claims = claims_of(token)
    assert len(token.split(".")) == 3
    assert claims["exp"] == NOW_S + 86_400
    assert claims["http://schemas.xmlsoap.org/ws/2005/05/identity/claims/nameidentifier"] == "100001"


def test_speaks_for_its_user_until_it_expires() -> None:
    wall = Wall()
    mint = TokenMint(b"key", 60, wall.now_ns)
    token = mint.issue("pat", 1)
    session = mint.session(token)
    assert session is not None
    assert session.user == "pat"
    wall.now_s += 59
    assert mint.session(token) is not None
    wall.now_s += 1
    assert mint.session(token) is None


def test_refuses_forgeries_and_rubbish() -> None:
    mint = TokenMint(b"key", 60, Wall().now_ns)
    token = mint.issue("pat", 1)
    other = TokenMint(b"another key", 60, Wall().now_ns).issue("pat", 1)
    for forged in (other, token[:-2] + "xx", token.replace(".", ""), "", "a.b.c", "é.b.c"):
        assert mint.session(forged) is None


def test_keeps_older_tokens_of_a_user_valid() -> None:
    mint = TokenMint(b"key", 60, Wall().now_ns)
    older, newer = mint.issue("pat", 1), mint.issue("pat", 1)
    assert older != newer
    assert mint.session(older) is not None


def test_ends_one_session_or_all_of_them() -> None:
    mint = TokenMint(b"key", 60, Wall().now_ns)
    first, second = mint.issue("pat", 1), mint.issue("pat", 1)
    session = mint.session(first)
    assert session is not None
    mint.end(session)
    assert mint.session(first) is None
    assert mint.session(second) is not None
    mint.revoke_all()
    assert mint.session(second) is None
    assert mint.session(mint.issue("pat", 1)) is not None


def test_gives_ids_of_22_url_safe_characters() -> None:
    mint = TokenMint(b"key", 60, Wall().now_ns)
    assert len(mint.opaque_id("one")) == 22
    assert mint.opaque_id("one") == mint.opaque_id("one") != mint.opaque_id("two")

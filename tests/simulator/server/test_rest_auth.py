"""Logging in, staying in and being thrown out, over a real socket."""

import base64
import json
import uuid
from typing import Any

import pytest

from risk_manager.simulator.server import SimSettings
from risk_manager.simulator.server.replies import Login
from risk_manager.simulator.server.rest_settings import RestSettings
from tests.simulator.server.gateway import USERS, Gateway, running

DAY_NS = 86_400 * 1_000_000_000
CREDENTIALS = {"userName": "pat", "apiKey": USERS["pat"]}
APP_LOGIN = {"userName": "pat", "password": "secret", "deviceId": "d", "appId": "app", "verifyKey": "v"}


def claims_of(token: str) -> dict[str, Any]:
    header, body, signature = token.split(".")
    assert json.loads(base64.urlsafe_b64decode(header + "==")) == {"alg": "HS256", "typ": "JWT"}
    assert len(signature) == 43
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return claims


async def status(gateway: Gateway, token: str) -> int:
    return (await gateway.raw("Account/search", {"onlyActiveAccounts": True}, token))[0]


async def test_claims_what_the_venue_claims(gateway: Gateway) -> None:
    first, second = claims_of(await gateway.login()), claims_of(await gateway.login())
    assert [key.rpartition("/")[2] for key in first] == [
        "nameidentifier",
        "sid",
        "name",
        "role",
        "authenticationmethod",
        "msd",
        "mfa",
        "exp",
    ]
    identity = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims"
    assert (first[f"{identity}/nameidentifier"], first[f"{identity}/name"]) == ("100001", "pat")
    sessions = [uuid.UUID(claims[f"{identity}/sid"]) for claims in (first, second)]
    assert sessions[0].version == 4
    assert sessions[0] != sessions[1]
    # 24 hours after the real time of issue, in whole seconds.
    assert first["exp"] == 1_787_172_565 + 86_400


@pytest.mark.parametrize("refusal", list(Login))
async def test_refuses_logins_for_any_reason_and_leaves_tokens_alone(gateway: Gateway, refusal: Login) -> None:
    token = await gateway.login()
    gateway.server.refuse_logins("PAT", refusal)
    reply = await gateway.post("Auth/loginKey", CREDENTIALS)
    text = "Please log into the ProjectX platform and complete the required agreements" if refusal == 7 else None
    assert reply == {"token": None, "success": False, "errorCode": refusal.value, "errorMessage": text}
    assert await status(gateway, token) == 200
    gateway.server.refuse_logins("pat", None)
    assert (await gateway.post("Auth/loginKey", CREDENTIALS))["errorCode"] == 0


async def test_takes_a_changed_key_only(gateway: Gateway) -> None:
    gateway.server.change_key("pat", "fresh key")
    assert (await gateway.post("Auth/loginKey", CREDENTIALS))["errorCode"] == 3
    assert (await gateway.post("Auth/loginKey", {**CREDENTIALS, "apiKey": "fresh key"}))["errorCode"] == 0


async def test_revokes_the_tokens_of_one_user(gateway: Gateway) -> None:
    pat, kim = await gateway.login(), await gateway.login("kim")
    gateway.server.revoke_tokens("Pat")
    assert (await status(gateway, pat), await status(gateway, kim)) == (401, 200)
    assert await status(gateway, await gateway.login()) == 200


async def test_lets_a_firms_application_log_a_user_in() -> None:
    rest = RestSettings(apps={"app": "v"}, passwords={"pat": "secret"})
    async with running(SimSettings(account_echoes_s=(), rest=rest)) as gateway:
        reply = await gateway.post("Auth/loginApp", APP_LOGIN)
        assert await status(gateway, reply["token"]) == 200
        refused = await gateway.post("Auth/loginApp", {**APP_LOGIN, "password": "wrong"})
        assert refused == {"token": None, "success": False, "errorCode": 2, "errorMessage": None}


async def test_validates_by_a_fresh_token_that_outlives_the_old_one(gateway: Gateway) -> None:
    token = await gateway.login()
    gateway.wall_ns += DAY_NS // 2
    renewed = await gateway.post("Auth/validate", token=token)
    assert list(renewed) == ["newToken", "success", "errorCode", "errorMessage"]
    gateway.wall_ns += DAY_NS // 2
    assert (await status(gateway, token), await status(gateway, renewed["newToken"])) == (401, 200)
    status_, headers, body = await gateway.raw("Auth/validate", token=token)
    assert (status_, headers["WWW-Authenticate"], body) == (401, "Bearer", "")


async def test_can_validate_with_the_same_token_and_explain_an_expired_one() -> None:
    rest = RestSettings(validation_renews=False, validation_explains=True)
    async with running(SimSettings(rest=rest)) as gateway:
        token = await gateway.login()
        assert (await gateway.post("Auth/validate", token=token))["newToken"] == token
        gateway.wall_ns += DAY_NS
        assert await gateway.post("Auth/validate", token=token) == {
            "newToken": None,
            "success": False,
            "errorCode": 3,
            "errorMessage": None,
        }
        assert await status(gateway, token) == 401
        assert (await gateway.raw("Auth/validate", token="a.b.c"))[0] == 401
        assert (await gateway.raw("Auth/validate"))[0] == 401


@pytest.mark.parametrize(("ends_user", "sibling"), [(False, 200), (True, 401)])
async def test_logs_out_one_session_or_the_user(ends_user: bool, sibling: int) -> None:
    async with running(SimSettings(rest=RestSettings(logout_ends_user=ends_user))) as gateway:
        first, second, kim = await gateway.login(), await gateway.login(), await gateway.login("kim")
        reply = await gateway.post("Auth/logout", token=first)
        assert reply == {"success": True, "errorCode": 0, "errorMessage": None}
        assert [await status(gateway, token) for token in (first, second, kim)] == [401, sibling, 200]

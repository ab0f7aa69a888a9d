"""The operations there are: how each is reached, what it requires and what it says when it succeeds."""

import msgspec
import pytest

from tests.simulator.server.gateway import MNQ_ID, USERS, Gateway

# By operation, the members it cannot do without; GET Status/ping is the twenty-first.
OPERATIONS = {
    "Auth/loginKey": {"userName", "apiKey"},
    "Auth/loginApp": {"userName", "password", "deviceId", "appId", "verifyKey"},
    "Auth/validate": set[str](),
    "Auth/logout": set[str](),
    "Account/search": {"onlyActiveAccounts"},
    "Contract/available": {"live"},
    "Contract/search": {"searchText", "live"},
    "Contract/searchById": {"contractId"},
    "History/retrieveBars": {
        "contractId",
        "live",
        "startTime",
        "endTime",
        "unit",
        "unitNumber",
        "limit",
        "includePartialBar",
    },
    "Order/place": {"accountId", "contractId", "type", "side", "size"},
    "Order/modify": {"accountId", "orderId"},
    "Order/cancel": {"accountId", "orderId"},
    "Order/search": {"accountId", "startTimestamp"},
    "Order/searchOpen": {"accountId"},
    "Order/searchById": {"accountId", "orderId"},
    "Order/v2/query": {"filter"},
    "Position/searchOpen": {"accountId"},
    "Position/closeContract": {"accountId", "contractId"},
    "Position/partialCloseContract": {"accountId", "contractId", "size"},
    "Trade/search": {"accountId"},
}
MEMBERS = ["success", "errorCode", "errorMessage"]


async def required(gateway: Gateway, path: str, token: str) -> set[str]:
    """The members a call without any complains about."""
    status, _, text = await gateway.raw(path, {}, token)
    if status == 200:
        return set()
    assert status == 400, (path, status)
    return set(msgspec.json.decode(text)["errors"])


def test_has_twenty_beside_the_ping() -> None:
    assert len(OPERATIONS) == 20


@pytest.mark.parametrize("path", OPERATIONS)
async def test_requires_what_the_venue_requires_in_any_spelling_of_the_path(gateway: Gateway, path: str) -> None:
    for spelling in (path, path.lower(), f"{path.upper()}/"):
        assert await required(gateway, spelling, await gateway.login()) == OPERATIONS[path]


@pytest.mark.parametrize("path", [path for path in OPERATIONS if not path.startswith("Auth/login")])
async def test_wants_a_token_for_everything_but_logging_in(gateway: Gateway, path: str) -> None:
    assert (await gateway.raw(path, {}))[0] == 401


async def test_ends_every_reply_with_the_envelope(gateway: Gateway) -> None:
    gateway.quote()
    token = await gateway.login()
    placed = await gateway.place(token, size=3)
    resting = await gateway.place(token, type=1, limitPrice=19_000)
    account = {"accountId": gateway.pat}
    since = {"startTimestamp": "2026-01-01T00:00:00Z"}
    bars = {
        "contractId": MNQ_ID,
        "live": False,
        "startTime": since["startTimestamp"],
        "endTime": "2027-01-01T00:00:00Z",
    }
    order = {**account, "orderId": resting["orderId"]}
    calls: list[tuple[str, dict[str, object], list[str]]] = [
        ("Auth/loginKey", {"userName": "pat", "apiKey": USERS["pat"]}, ["token"]),
        ("Auth/validate", {}, ["newToken"]),
        ("Account/search", {"onlyActiveAccounts": True}, ["accounts"]),
        ("Contract/available", {"live": False}, ["contracts"]),
        ("Contract/search", {"searchText": "MNQ", "live": False}, ["contracts"]),
        ("Contract/searchById", {"contractId": MNQ_ID}, ["contract"]),
        (
            "History/retrieveBars",
            {**bars, "unit": 2, "unitNumber": 1, "limit": 5, "includePartialBar": True},
            ["bars"],
        ),
        ("Order/modify", {**order, "limitPrice": 19_001}, []),
        ("Order/searchById", {**account, "orderId": placed["orderId"]}, ["order"]),
        ("Order/search", {**account, **since}, ["orders"]),
        ("Order/searchOpen", dict(account), ["orders"]),
        ("Order/v2/query", {"filter": account}, ["orders", "totalCount"]),
        ("Order/cancel", {**order}, []),
        ("Position/searchOpen", dict(account), ["positions"]),
        ("Position/partialCloseContract", {**account, "contractId": MNQ_ID, "size": 1}, []),
        ("Position/closeContract", {**account, "contractId": MNQ_ID}, []),
        ("Trade/search", {**account, **since}, ["trades"]),
        ("Auth/logout", {}, []),
    ]
    assert list(placed) == ["orderId", *MEMBERS]
    for path, body, payload in calls:
        reply = await gateway.post(path, body, token)
        assert (path, list(reply)) == (path, [*payload, *MEMBERS])
        assert (path, reply["success"], reply["errorCode"], reply["errorMessage"]) == (path, True, 0, None)


async def test_finds_a_replaced_account_no_more(gateway: Gateway) -> None:
    fresh = gateway.exchange.replace_account(gateway.pat, "PRAC-V2-1-9", 50_000_000_000, 1)
    token = await gateway.login()
    active = await gateway.post("Account/search", {"onlyActiveAccounts": True}, token)
    assert [account["id"] for account in active["accounts"]] == [gateway.pat_second, fresh]
    gone = await gateway.post("Position/searchOpen", {"accountId": gateway.pat}, token)
    assert gone == {"positions": None, "success": False, "errorCode": 1, "errorMessage": None}
    assert (await gateway.post("Position/searchOpen", {"accountId": fresh}, token))["positions"] == []

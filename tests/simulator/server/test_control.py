"""The control API over a real socket, with sense and with nonsense."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping

import aiohttp
import msgspec
import pytest
import pytest_asyncio

from risk_manager.simulator.fault_schedule import FaultSchedule
from risk_manager.simulator.fault_verbs import VERBS
from risk_manager.simulator.server.control import ControlApi
from tests.simulator.server.gateway import MNQ_ID, Gateway, Json

JSON = {"Content-Type": "application/json"}
TEXT = {"Content-Type": "text/plain"}


class Control:
    """The control API of a gateway, and a client for it."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.schedule = FaultSchedule(gateway.server)
        self.api = ControlApi(gateway.server, self.schedule)
        self.port = 0

    async def ask(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Json]:
        """Status and decoded body; text and bytes are sent as they are, the rest as JSON."""
        is_raw = isinstance(body, str | bytes)
        data = body if is_raw or body is None else msgspec.json.encode(body)
        headers = {**(TEXT if is_raw else JSON), **(headers or {})}
        address = f"http://127.0.0.1:{self.port}{path}"
        async with self.gateway.http.request(method, address, data=data, headers=headers) as response:
            assert response.content_type == "application/json", await response.text()
            return response.status, await response.json()


@contextlib.asynccontextmanager
async def controlling(gateway: Gateway) -> AsyncIterator[Control]:
    control = Control(gateway)
    control.port = await control.api.start()
    try:
        yield control
    finally:
        control.schedule.stop()
        await control.api.stop()


@pytest_asyncio.fixture
async def control(gateway: Gateway) -> AsyncIterator[Control]:
    gateway.quote()
    async with controlling(gateway) as control:
        yield control


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ("drop user_hub for 1h", TEXT),
        ("  drop   user_hub\tfor 1h\n", {"Content-Type": "application/x-www-form-urlencoded"}),
        ('"drop user_hub for 1h"', JSON),
    ],
)
async def test_throws_a_sentence(control: Control, body: str, headers: Mapping[str, str]) -> None:
    assert await control.ask("POST", "/faults", body, headers) == (200, {"in_force": ["drop user_hub for 1h"]})
    token = await control.gateway.login()
    with pytest.raises(aiohttp.ClientConnectionError):
        await control.gateway.open("user", token)
    status, told = await control.ask("GET", "/faults")
    assert (status, told["in_force"], told["waiting"]) == (200, ["drop user_hub for 1h"], [])
    assert await control.ask("DELETE", "/faults") == (200, {"ended": ["drop user_hub for 1h"]})
    await control.gateway.open("user", token)
    assert (await control.ask("GET", "/faults"))[1]["in_force"] == []


@pytest.mark.parametrize(
    "body",
    ["at 0s: halt MNQ\nat 1h:\n  - log out\n  - drop rest\n", {"at 0s": "halt MNQ", "at 1h": ["log out", "drop rest"]}],
)
async def test_plays_a_script(control: Control, body: object) -> None:
    assert await control.ask("POST", "/faults", body) == (200, {"in_force": [], "played": 3})
    await asyncio.sleep(0.01)
    _, told = await control.ask("GET", "/faults")
    assert (told["in_force"], told["waiting"]) == (["halt MNQ"], ["at 1h: log out", "at 1h: drop rest"])


async def test_tells_how_many_calls_are_still_to_fail(control: Control) -> None:
    await control.ask("POST", "/faults", "fail Order/place with 502, 3 times")
    await control.ask("POST", "/faults", "lose request of rest")
    assert (await control.ask("GET", "/faults"))[1]["counted"] == {"order/place": 3, "*": 1}
    assert (await control.gateway.raw("Order/place", {}))[0] == 502
    assert (await control.ask("GET", "/faults"))[1]["counted"] == {"order/place": 2, "*": 1}
    await control.ask("DELETE", "/faults")
    assert (await control.ask("GET", "/faults"))[1]["counted"] == {}


async def test_tells_every_verb(control: Control) -> None:
    _, told = await control.ask("GET", "/faults")
    assert [each["verb"] for each in told["verbs"]] == list(VERBS)
    assert told["verbs"][0]["usage"] == "drop <place> [for <time>]"


async def test_opens_accounts_and_changes_them(control: Control) -> None:
    opened = {"user": "kim", "name": "KIM-2", "balance_micros": 5_000_000, "is_follower": True}
    assert await control.ask("POST", "/accounts", opened) == (201, {"id": 20_000_004})
    token = await control.gateway.login("kim")
    reply = await control.gateway.post("Account/search", {"onlyActiveAccounts": True}, token)
    assert [(each["name"], each["balance"]) for each in reply["accounts"]][1:] == [("KIM-2", 5)]
    _, books = await control.ask("GET", "/accounts/KIM-2")
    assert books["account"]["bracket_mode"] == "position_brackets", "as the venue opens them"
    change = {"can_trade": False, "is_visible": False, "is_follower": False, "bracket_mode": "position_brackets"}
    status, books = await control.ask("POST", "/accounts/KIM-2", change)
    assert status == 200
    shown = {name: books["account"][name] for name in change}
    assert shown == change
    status, books = await control.ask("POST", "/accounts/4", {"can_trade": True, "bracket_mode": "auto_oco"})
    assert books["account"]["bracket_mode"] == "auto_oco"
    assert (books["account"]["can_trade"], books["account"]["is_visible"]) == (True, False)


async def test_places_by_the_traders_own_hand_and_tells_the_books(control: Control) -> None:
    control.gateway.server.refuse("rest")
    entry = {"account": 1, "contract": "MNQ", "side": "buy", "size": 3}
    stop = {**entry, "side": "sell", "type": "stop", "stop_ticks": 79_900, "tag": "mine"}
    assert await control.ask("POST", "/orders", entry) == (201, {"id": 3_423_000_001})
    assert await control.ask("POST", "/orders", {**stop, "account": "PRAC-V2-1-1"}) == (201, {"id": 3_423_000_002})
    status, books = await control.ask("GET", f"/accounts/{control.gateway.pat}")
    assert status == 200
    assert [(each["contract_id"], each["net_contracts"]) for each in books["positions"]] == [(MNQ_ID, 3)]
    assert [(each["id"], each["stop_ticks"], each["tag"]) for each in books["working"]] == [
        (3_423_000_002, 79_900, "mine")
    ]
    assert [(each["price_ticks"], each["size"]) for each in books["fills"]] == [(80_001, 3)]
    assert books["account"]["balance_micros"] == 50_000_000_000 - 3 * 620_000


async def test_sets_quotes(control: Control) -> None:
    status, top = await control.ask("POST", "/quotes", {"contract": "MNQU6", "bid_ticks": 9, "ask_ticks": 11})
    assert (status, top["bid_ticks"], top["ask_ticks"]) == (200, 9, 11)
    assert control.gateway.exchange.top(MNQ_ID).bid_ticks == 9


ORDER = {"account": 1, "contract": "MNQ", "side": "buy", "size": 1}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "error"),
    [
        ("POST", "/faults", "frobnicate", 400, "no verb begins with 'frobnicate'; there are drop, "),
        ("POST", "/faults", "", 400, "no verb begins with nothing"),
        ("POST", "/faults", "halt DOGE", 404, "no contract is called DOGE"),
        ("POST", "/faults", "void fill last of 1", 404, "account 20000001 has no fill last"),
        ("POST", "/faults", "at 1s: jump\nat 2s: fall\n", 400, "line 2, at 2s: no verb begins with 'fall'"),
        ("POST", "/faults", "at 1s: halt DOGE\n", 404, "at 1s: halt DOGE: no contract is called DOGE"),
        ("POST", "/faults", {"at 1s": "jump"}, 400, "at 1s: no verb begins with 'jump'"),
        ("POST", "/faults", {"at 1s": 7}, 400, "Expected `str | array`"),
        ("POST", "/faults", [1], 400, "Expected `str | object`"),
        ("POST", "/faults", b"\xff\xfe", 400, "the body is not UTF-8"),
        ("POST", "/faults", "x" * 70_000, 413, "Too Large"),
        ("PUT", "/faults", "drop rest", 405, "Method Not Allowed"),
        ("GET", "/nowhere", None, 404, "Not Found"),
        ("GET", "/accounts/9", None, 404, "no account is called 9"),
        ("GET", "/accounts/" + "9" * 50, None, 404, "no account is called 999"),
        ("GET", "/accounts/" + "9" * 5_000, None, 404, "no account is called 999"),
        ("GET", "/accounts/%F0%9F%92%A9", None, 404, "no account is called"),
        ("POST", "/accounts", {"user": "eve", "name": "E"}, 404, "no user is called eve; there are pat, kim"),
        ("POST", "/accounts", {"user": "pat"}, 400, "missing required field `name`"),
        ("POST", "/accounts", {"user": "pat", "name": "E", "balance_micros": 1e300}, 400, "Expected `int`"),
        ("POST", "/accounts", "not JSON", 400, "JSON is malformed"),
        ("POST", "/accounts/1", {"can_trade": "yes"}, 400, "Expected `bool | null`"),
        ("POST", "/accounts/1", {"is_king": True}, 400, "unknown field `is_king`"),
        ("POST", "/orders", {**ORDER, "account": 9}, 404, "no account is called 9"),
        ("POST", "/orders", {**ORDER, "contract": "DOGE"}, 404, "no contract is called DOGE"),
        ("POST", "/orders", {**ORDER, "size": 0}, 409, "Invalid order size specified."),
        ("POST", "/orders", {**ORDER, "size": 10**30}, 400, "$.size"),
        ("POST", "/orders", {**ORDER, "side": "up"}, 400, "Invalid enum value 'up'"),
        ("POST", "/quotes", {"contract": "MNQ", "bid_ticks": 1}, 400, "missing required field `ask_ticks`"),
        ("POST", "/orders", b"[" * 5_000, 400, ""),
    ],
)
async def test_answers_nonsense_with_an_error(
    control: Control, method: str, path: str, body: object, status: int, error: str
) -> None:
    answered, told = await control.ask(method, path, body)
    assert (answered, list(told)) == (status, ["error"])
    assert error in told["error"]
    assert control.schedule.in_force == ()


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1:1"},
        {"Origin": "http://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
async def test_answers_only_to_this_machine(control: Control, headers: Mapping[str, str]) -> None:
    assert await control.ask("POST", "/faults", "drop rest for 1h", headers) == (
        403,
        {"error": "this API answers only to this machine"},
    )
    assert control.schedule.in_force == ()


async def test_names_one_contract_where_a_root_is_several(control: Control) -> None:
    await control.ask("POST", "/faults", "overlap MNQ")
    status, told = await control.ask("POST", "/orders", ORDER)
    assert (status, told["error"]) == (409, "MNQ is each of CON.F.US.MNQ.U26, CON.F.US.MNQ.Z26; name one")


async def test_closes_its_port_and_may_be_closed_twice(gateway: Gateway) -> None:
    async with controlling(gateway) as control:
        await control.api.stop()
        with pytest.raises(aiohttp.ClientConnectorError):
            await control.ask("GET", "/faults")

"""Contracts and bars over a real socket."""

from typing import Any

import pytest

from risk_manager.domain.order import Side
from risk_manager.simulator.catalog import PRODUCTS, chain, listed
from risk_manager.simulator.server import SimSettings
from risk_manager.simulator.server.rest_settings import RestSettings
from tests.simulator.server.gateway import MNQ_ID, NOW_NS, Gateway, running
from tests.simulator.server.test_rest import BARS

MINUTE_NS = 60_000_000_000


def list_everything(gateway: Gateway) -> None:
    for product in PRODUCTS:
        for contract in chain(product.instrument.root, NOW_NS):
            gateway.exchange.list_contract(contract)


async def search(gateway: Gateway, token: str, text: str, live: bool = False) -> list[str]:
    reply = await gateway.post("Contract/search", {"searchText": text, "live": live}, token)
    return [contract["name"] for contract in reply["contracts"]]


async def test_searches_names_and_descriptions_and_gives_twenty_at_most(gateway: Gateway) -> None:
    list_everything(gateway)
    token = await gateway.login()
    assert await search(gateway, token, "esu6") == ["ESU6", "MESU6"]
    assert await search(gateway, token, "euro") == ["6EU6", "M6EU6", "E7U6"]
    assert len(await search(gateway, token, "")) == 20
    assert await search(gateway, token, "no such thing") == []
    available = await gateway.post("Contract/available", {"live": False}, token)
    assert len(available["contracts"]) == 55
    assert {contract["activeContract"] for contract in available["contracts"]} == {True}


async def test_knows_expired_contracts_by_their_id_only(gateway: Gateway) -> None:
    gateway.exchange.list_contract(listed("MES", "M26", is_active=False))
    token = await gateway.login()
    reply = await gateway.post("Contract/searchById", {"contractId": "CON.F.US.MES.M26"}, token)
    assert reply == {
        "contract": {
            "id": "CON.F.US.MES.M26",
            "name": "MESM6",
            "description": "Micro E-mini S&P 500: June 2026",
            "tickSize": 0.25,
            "tickValue": 1.25,
            "activeContract": False,
            "symbolId": "F.US.MES",
        },
        "success": True,
        "errorCode": 0,
        "errorMessage": None,
    }
    assert await search(gateway, token, "MES") == []


async def test_shows_two_active_months_while_a_product_rolls(gateway: Gateway) -> None:
    gateway.exchange.list_contract(listed("MNQ", "Z26"))
    token = await gateway.login()
    assert await search(gateway, token, "MNQ") == ["MNQU6", "MNQZ6"]
    gateway.exchange.list_contract(listed("MNQ", "U26", is_active=False))
    assert await search(gateway, token, "MNQ") == ["MNQZ6"]


@pytest.mark.parametrize(("has_live_data", "names", "bars"), [(False, [], 0), (True, ["MNQU6"], 1)])
async def test_shows_live_data_to_those_who_have_it(has_live_data: bool, names: list[str], bars: int) -> None:
    async with running(SimSettings(rest=RestSettings(has_live_data=has_live_data))) as gateway:
        gateway.exchange.print(MNQ_ID, 80_000, 1, Side.BUY, NOW_NS)
        token = await gateway.login()
        assert await search(gateway, token, "MNQ", live=True) == names
        assert await search(gateway, token, "MNQ") == ["MNQU6"]
        found = await gateway.post("History/retrieveBars", {**BARS, "live": True}, token)
        assert len(found["bars"]) == bars


async def bars_of(gateway: Gateway, **members: object) -> list[dict[str, Any]]:
    reply = await gateway.post("History/retrieveBars", {**BARS, **members}, await gateway.login())
    found: list[dict[str, Any]] = reply["bars"]
    return found


async def test_gives_the_most_recent_bars_of_a_window(gateway: Gateway) -> None:
    # 20:49:25, 20:50:25, 20:51:25
    for minute in range(3):
        gateway.exchange.print(MNQ_ID, 80_000 + minute * 4, 2, Side.BUY, NOW_NS + minute * MINUTE_NS)
    newest_first = [bar["t"][11:16] for bar in await bars_of(gateway)]
    assert newest_first == ["20:51", "20:50", "20:49"]
    assert [bar["t"][11:16] for bar in await bars_of(gateway, limit=1)] == ["20:51"]
    window = {"startTime": "2026-08-19T20:49:30Z", "endTime": "2026-08-19T15:50:30-05:00"}
    assert [bar["t"][11:16] for bar in await bars_of(gateway, **window)] == ["20:50"]
    assert await bars_of(gateway, startTime="2026-08-20T00:00:00Z", endTime="2026-08-19T00:00:00Z") == []
    (bar,) = await bars_of(gateway, unit=4)
    assert bar == {"t": "2026-08-18T22:00:00+00:00", "o": 20_000, "h": 20_002, "l": 20_000, "c": 20_002, "v": 6}


async def test_can_lag_behind_the_market() -> None:
    async with running(SimSettings(rest=RestSettings(bars_lag_s=60.0))) as gateway:
        for minute in range(3):
            gateway.exchange.print(MNQ_ID, 80_000, 1, Side.BUY, NOW_NS + minute * MINUTE_NS)
        # It is 20:51:25; what began after 20:50:25 is not there yet, and what ended by then is whole.
        assert [bar["t"][11:16] for bar in await bars_of(gateway)] == ["20:50", "20:49"]
        assert [bar["t"][11:16] for bar in await bars_of(gateway, includePartialBar=False)] == ["20:49"]


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"contractId": "X", "unit": 9}, 1),
        ({"unit": -1, "unitNumber": 0}, 2),
        ({"unitNumber": -1, "limit": 0}, 3),
        ({"limit": 0}, 4),
        ({"limit": 20_000}, 0),
    ],
)
async def test_numbers_the_faults_of_a_request_for_bars(
    gateway: Gateway, members: dict[str, object], code: int
) -> None:
    reply = await gateway.post("History/retrieveBars", {**BARS, **members}, await gateway.login())
    assert (reply["errorCode"], reply["success"]) == (code, code == 0)
    assert (reply["bars"] is None) == (code != 0)


async def test_wants_every_member_even_a_false_one(gateway: Gateway) -> None:
    body = {key: value for key, value in BARS.items() if key != "live"}
    assert (await gateway.raw("History/retrieveBars", body, await gateway.login()))[0] == 400

"""Market depth, and the forms in which hub events may come."""

from typing import Any

import pytest

from risk_manager.simulator.server import SimSettings
from risk_manager.simulator.server.stream_shapes import StreamShapes
from tests.simulator.server.gateway import MNQ_ID, Gateway, running
from tests.simulator.server.test_hubs import silence

STAMP = "2026-08-19T20:49:25.394+00:00"


def depth_row(kind: int, price: float, volume: int) -> dict[str, Any]:
    return {
        "contractId": MNQ_ID,
        "timestamp": STAMP,
        "type": kind,
        "price": price,
        "volume": volume,
        "currentVolume": 0,
    }


async def test_sends_the_book_on_subscribing_and_then_what_moved(gateway: Gateway) -> None:
    gateway.quote()
    client = await gateway.connect("market", await gateway.login(), ("SubscribeContractMarketDepth", MNQ_ID))
    record = await client.next()
    assert (record["target"], record["arguments"][0]) == ("GatewayDepth", MNQ_ID)
    rows = record["arguments"][1]
    assert rows[0] == depth_row(6, 0, 0)
    assert [(row["type"], row["price"]) for row in rows[1:3]] == [(4, 20_000), (2, 19_999.75)]
    assert [(row["type"], row["price"]) for row in rows[41:43]] == [(3, 20_000.25), (1, 20_000.5)]
    assert len(rows) == 81
    assert all(1 <= row["volume"] <= 40 for row in (*rows[2:41], *rows[42:]))
    gateway.exchange.quote(MNQ_ID, 79_999, 80_001, gateway.exchange.now_ns, bid_size=5)
    assert (await client.next())["arguments"] == [MNQ_ID, [depth_row(9, 19_999.75, 5)]]
    await silence(client)


async def test_makes_the_first_message_of_depth_a_big_one(gateway: Gateway) -> None:
    gateway.quote()
    client = await gateway.open("market", await gateway.login())
    await client.send(
        {"protocol": "json", "version": 1},
        {"type": 1, "target": "SubscribeContractMarketDepth", "arguments": [MNQ_ID]},
    )
    message = await client.socket.receive(timeout=5)
    while message.data == "{}\x1e":
        message = await client.socket.receive(timeout=5)
    assert len(message.data) > 10_000


@pytest.mark.parametrize("form", ["bare", "list"])
async def test_wraps_user_events_as_other_builds_do(form: Any) -> None:
    settings = SimSettings(account_echoes_s=(), stream=StreamShapes(user_events=form))
    async with running(settings) as gateway:
        gateway.quote()
        token = await gateway.login()
        client = await gateway.connect("user", token, ("SubscribeAccounts",), ("SubscribePositions", gateway.pat))
        await gateway.place(token)
        for key, value in (("size", 1), ("balance", 49_999.38)):
            (argument,) = (await client.next())["arguments"]
            data = argument if form == "bare" else argument[0]
            assert "action" not in data
            assert data[key] == value


@pytest.mark.parametrize(
    ("stream", "sizes"),
    [
        (StreamShapes(), [2]),
        (StreamShapes(pads_lists=True), [4]),
        (StreamShapes(are_batches_lists=False), [None, None]),
        (StreamShapes(are_batches_lists=False, pads_lists=True), [None, None]),
    ],
)
async def test_sends_batches_as_lists_or_row_by_row(stream: StreamShapes, sizes: list[int | None]) -> None:
    async with running(SimSettings(stream=stream)) as gateway:
        client = await gateway.connect("market", await gateway.login(), ("SubscribeContractMarketDepth", MNQ_ID))
        gateway.quote()
        payloads = [(await client.next())["arguments"][1] for _ in sizes]
        assert [len(each) if isinstance(each, list) else None for each in payloads] == sizes
        rows = [row for each in payloads for row in (each if isinstance(each, list) else [each])]
        assert [row["type"] for row in rows[:2]] == [9, 10]
        assert rows[2:] == [None] * (2 if sizes == [4] else 0)
        await silence(client)


async def test_sends_quotes_as_lists_of_one() -> None:
    async with running(SimSettings(stream=StreamShapes(is_quote_listed=True))) as gateway:
        gateway.quote()
        client = await gateway.connect("market", await gateway.login(), ("SubscribeContractQuotes", MNQ_ID))
        gateway.quote(80_004)
        for bid in (20_000, 20_001):
            (quote,) = (await client.next())["arguments"][1]
            assert quote["bestBid"] == bid

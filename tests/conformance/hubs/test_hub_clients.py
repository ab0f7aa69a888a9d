"""Hub clients from elsewhere against the simulated venue: what they hear, and how they come through a broken line."""

import asyncio
import random
from typing import Any

import pytest

from risk_manager.domain.order import Side
from risk_manager.simulator.emissions import Emission, FillHappened, OrderChanged
from risk_manager.simulator.faults import Failure
from risk_manager.simulator.server import SimSettings
from risk_manager.simulator.server.distortion import BadLine
from tests.conformance.hubs.listening import Client, Listener, listening
from tests.simulator.server.gateway import MNQ_ID, Gateway, Json, RawHub, running

JAVASCRIPT = ("signalr-negotiate", "signalr-skip")
EVERY = (*JAVASCRIPT, "pysignalr", "signalrcore-negotiate", "signalrcore-skip")
HUBS = ("user", "market")
CLOSED = "Connection closed with an error."
UNKNOWN = "Unknown hub method 'SubscribeNonsense'"

# The first run on a machine installs the packages.
pytestmark = pytest.mark.timeout(400)


async def observers(gateway: Gateway, token: str) -> dict[str, RawHub]:
    """Connections of our own that subscribe to what the clients subscribe to."""
    account_calls = [(f"Subscribe{name}", gateway.pat) for name in ("Orders", "Positions", "Trades")]
    user = await gateway.connect("user", token, ("SubscribeAccounts",), *account_calls)
    market = await gateway.connect("market", token, ("SubscribeContractTrades", MNQ_ID))
    answer = await market.call("SubscribeContractQuotes", MNQ_ID)
    assert "error" not in answer
    assert (await market.next())["target"] == "GatewayQuote"
    return {"user": user, "market": market}


async def trade(gateway: Gateway, token: str) -> None:
    """An entry and an exit with quotes around them, and prints so close together that they make one message."""
    gateway.quote(80_010)
    await gateway.place(token, size=2)
    gateway.quote(80_014)
    for number in range(20):
        gateway.exchange.print(MNQ_ID, 80_014, 1 + number, Side.BUY, gateway.exchange.now_ns + 1)
    await gateway.post("Position/closeContract", {"accountId": gateway.pat, "contractId": MNQ_ID}, token)


async def hears_all(heard: Listener, gateway: Gateway, token: str, *, mark: str) -> None:
    """Trade, and insist that the client hears what goes over the wire: all of it, in order, value for value.

    Args:
        mark: said on both hubs at the end.
    """
    wire = await observers(gateway, token)
    past = {hub: len(heard.events(hub)) for hub in HUBS}
    await trade(gateway, token)
    gateway.server.log_out(mark)
    end = ("GatewayLogout", [mark])
    for hub in HUBS:
        said: list[tuple[str, list[Any]]] = []
        while not said or said[-1] != end:
            record = await wire[hub].next()
            said.append((record["target"], record["arguments"]))
        assert len(said) > 10
        await heard.hears(hub, end)
        told = heard.events(hub)[past[hub] :]
        assert told[: told.index(end) + 1] == said


@pytest.mark.parametrize("client", EVERY, indirect=True)
async def test_hears_on_both_hubs_what_goes_over_the_wire(client: Client) -> None:
    async with running() as gateway:
        gateway.quote()
        token = await gateway.login()
        async with listening(client, gateway, token) as heard:
            await heard.subscribed(1)
            assert [report["answers"] for report in heard.of("subscribed", "user")] == [[None] * 4]
            assert [report["answers"] for report in heard.of("subscribed", "market")] == [[None] * 2]
            await heard.until(lambda: heard.events("market"), "first quote")
            (name, (contract_id, quote)) = heard.events("market")[0]
            assert (name, contract_id) == ("GatewayQuote", MNQ_ID)
            assert {"symbol", "bestBid", "bestAsk", "lastUpdated", "timestamp"} <= quote.keys()
            # The mark makes a message of more than 64 KiB.
            await hears_all(heard, gateway, token, mark="x" * 200_000)
            await heard.tell("call SubscribeNonsense")
            await heard.until(lambda: heard.count("failed"), "refusal")
            assert UNKNOWN in heard.of("failed")[0]["error"]
            await heard.stop()


@pytest.mark.parametrize("client", EVERY, indirect=True)
async def test_comes_back_after_an_abrupt_drop_and_subscribes_again(client: Client) -> None:
    async with running() as gateway:
        gateway.quote()
        token = await gateway.login()
        async with listening(client, gateway, token) as heard:
            for times in (1, 2):
                await heard.subscribed(times)
                gateway.server.drop_connections()
            await heard.subscribed(3)
            await hears_all(heard, gateway, token, mark="back again")
            assert {hub: gateway.server.connection_count(hub) for hub in HUBS} == {"user": 2, "market": 2}
            await heard.stop()


@pytest.mark.parametrize("client", EVERY, indirect=True)
async def test_comes_back_after_a_type_7_that_lets_it(client: Client) -> None:
    """pysignalr ends, and its application runs a new client; the others reconnect by themselves."""
    async with running() as gateway:
        gateway.quote()
        token = await gateway.login()
        async with listening(client, gateway, token) as heard:
            await heard.subscribed(1)
            gateway.server.close_hubs(allow_reconnect=True)
            await heard.subscribed(2)
            if client.name in JAVASCRIPT:
                assert [report["error"] for report in heard.of("lost")] == [_on_close(CLOSED)] * 2
                ids = [report["connectionId"] for report in heard.of("subscribed", "user")]
                # Without negotiation nobody tells the client an id.
                assert len(set(ids)) == (1 if client.name == "signalr-skip" else 2)
            elif client.name == "pysignalr":
                assert len(heard.of("ended")) == 2
                assert all(CLOSED in report["error"] for report in heard.of("ended"))
            else:
                assert {report["hub"] for report in heard.of("reconnected")} == set(HUBS)
            await hears_all(heard, gateway, token, mark="back again")
            await heard.stop()


@pytest.mark.parametrize("client", JAVASCRIPT, indirect=True)
async def test_stays_away_after_a_type_7_that_does_not_let_it(client: Client) -> None:
    async with running() as gateway:
        gateway.quote()
        token = await gateway.login()
        async with listening(client, gateway, token) as heard:
            await heard.subscribed(1)
            gateway.server.close_hubs(allow_reconnect=False)
            await heard.until(lambda: heard.count("closed") == 2, "end of both connections")
            assert [report["error"] for report in heard.of("closed")] == [_on_close(CLOSED)] * 2
            assert heard.count("lost") == 0
            assert {hub: gateway.server.connection_count(hub) for hub in HUBS} == {"user": 0, "market": 0}
            await heard.tell("restart")
            await heard.subscribed(2)
            await hears_all(heard, gateway, token, mark="back again")
            await heard.stop()


@pytest.mark.parametrize("client", JAVASCRIPT, indirect=True)
async def test_notices_a_server_that_falls_silent(client: Client) -> None:
    """Pings keep a quiet connection up; without them the client gives up on it and comes back."""
    settings = SimSettings(account_echoes_s=(), event_pace=0.0, ping_s=0.1)
    async with running(settings) as gateway:
        gateway.quote()
        token = await gateway.login()
        async with listening(client, gateway, token, silenceMs=600, delaysMs=[300]) as heard:
            await heard.subscribed(1)
            quiet = await gateway.connect("user", token)
            assert await quiet.take(12) == [{"type": 6}] * 12
            assert heard.count("lost") == 0
            gateway.server.stall()
            await heard.until(lambda: heard.count("lost") == 2, "loss of both connections")
            said = {report["error"] for report in heard.of("lost")}
            assert said == {"Server timeout elapsed without receiving a message from the server."}
            gateway.server.resume()
            await heard.subscribed(2)
            await heard.stop()


@pytest.mark.parametrize("client", ["signalr-negotiate"], indirect=True)
async def test_is_refused_with_a_token_that_was_revoked(client: Client) -> None:
    async with running() as gateway:
        gateway.quote()
        token = await gateway.login()
        async with listening(client, gateway, token, delaysMs=[0, 10]) as heard:
            await heard.subscribed(1)
            gateway.server.revoke_tokens()
            await hears_on(heard, gateway)
            gateway.server.drop_connections()
            await heard.until(lambda: heard.count("closed") == 2, "end of both connections")
            await heard.tell("restart")
            await heard.until(lambda: heard.count("refused") == 2, "refusals")
            assert all("Status code '401'" in report["error"] for report in heard.of("refused"))
            await heard.stop()


async def hears_on(heard: Listener, gateway: Gateway) -> None:
    """An open connection outlives its token."""
    gateway.quote(80_100)
    await heard.until(lambda: heard.events("market")[-1][1][1]["bestBid"] == 20_025, "quote")


# What happens to the line, in an order drawn from the seed.
STRIKES = ("drop user", "drop market", "drop both", "close both", "refuse user", "refuse market", "bad line", "repair")
BAD_LINE = BadLine(lost=0.1, doubled=0.4, late=0.3, late_s=0.05)


@pytest.mark.parametrize("client", EVERY, indirect=True)
async def test_comes_through_a_schedule_of_faults(client: Client) -> None:
    """Drops, closes, refusals, losses, duplicates, delays; afterwards everything is heard again, in order."""
    settings = SimSettings(account_echoes_s=(0.005, 0.02), event_pace=0.0, ping_s=0.2)
    async with running(settings) as gateway:
        emitted: list[Emission] = []
        gateway.exchange.subscribe(emitted.append)
        gateway.quote()
        token = await gateway.login()
        async with listening(client, gateway, token, delaysMs=[0] + [20] * 40) as heard:
            await heard.subscribed(1)
            for strike in _schedule(seed=7, client=client):
                await _strike(strike, heard, gateway)
                await trade(gateway, token)
            gateway.server.distort(None)
            await heard.until(lambda: heard.count("event", "user") > 60, "events")
            _assert_true(heard, emitted)
            # What is late is late by real time.
            await asyncio.sleep(3 * BAD_LINE.late_s)
            await hears_all(heard, gateway, token, mark="through")
            await heard.stop()


def _schedule(seed: int, client: Client) -> list[str]:
    # signalrcore ends its reading thread in silence when a negotiation fails while it reconnects: nothing to hear then.
    possible = [each for each in STRIKES if not (client.name.startswith("signalrcore") and "refuse" in each)]
    drawn = possible * 2
    random.Random(seed).shuffle(drawn)
    return ["bad line", *drawn]


async def _strike(strike: str, heard: Listener, gateway: Gateway) -> None:
    """Do it, and wait until the client has subscribed again where it had to."""
    server = gateway.server
    what, _, where = strike.partition(" ")
    if what in ("bad", "repair"):
        server.distort(BAD_LINE if what == "bad" else None, seed=11)
        return
    hubs = HUBS if where == "both" else (where,)
    wanted = {hub: heard.count("subscribed", hub) + 1 for hub in hubs}
    for hub in hubs:
        if what == "refuse":
            for path in (f"/hubs/{hub}/negotiate", f"/hubs/{hub}"):
                server.fail_next(path, Failure(503))
        if what == "close":
            server.close_hubs(hub=hub)
        else:
            server.drop_connections(hub)
    await heard.until(
        lambda: all(heard.count("subscribed", hub) >= times for hub, times in wanted.items()), f"return after {strike}"
    )
    server.faults.clear()


def _assert_true(heard: Listener, emitted: list[Emission]) -> None:
    """What was heard did happen, and what was heard twice is the same both times."""
    fills = {each.fill.id for each in emitted if isinstance(each, FillHappened)}
    orders = {each.order.id for each in emitted if isinstance(each, OrderChanged)}
    heard_fills = [arguments[0]["data"] for name, arguments in heard.events("user") if name == "GatewayUserTrade"]
    heard_orders = [arguments[0]["data"] for name, arguments in heard.events("user") if name == "GatewayUserOrder"]
    assert {fill["id"] for fill in heard_fills} <= fills
    assert {order["id"] for order in heard_orders} <= orders
    by_id: dict[int, Json] = {}
    assert all(by_id.setdefault(fill["id"], fill) == fill for fill in heard_fills)
    assert len(by_id) < len(heard_fills), "nothing came twice"


def _on_close(error: str) -> str:
    return f"Server returned an error on close: {error}"

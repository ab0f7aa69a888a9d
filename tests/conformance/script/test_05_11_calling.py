"""Points 5 to 11 of the conformance script: calls, batches, pings and large messages, frame by frame."""

from collections.abc import Callable
from typing import Any

import pytest

from risk_manager.domain.order import Side
from risk_manager.simulator.server import SimSettings
from tests.conformance.script.frames import (
    CLOSE,
    CONTINUATION,
    ERROR_CLOSE,
    HANDSHAKE,
    PING,
    PONG,
    TEXT,
    Wire,
    completed,
    failed,
    invocation,
    records_of,
    shaken,
    text_of,
    upgrade,
)
from tests.simulator.server.gateway import MNQ_ID, Gateway, Json, running

PING_RECORD = {"type": 6}


def binding_failed(target: str, detail: str = "") -> str:
    return f"Failed to invoke '{target}' due to an error on the server.{detail}"


async def user_hub(gateway: Gateway) -> Wire:
    return await shaken(gateway, "user", await gateway.login())


async def entered(gateway: Gateway) -> tuple[Wire, str]:
    """A connection subscribed to the orders, positions and fills of one account, and the token behind it."""
    gateway.quote()
    token = await gateway.login()
    wire = await shaken(gateway, "user", token)
    for target in ("SubscribeOrders", "SubscribePositions", "SubscribeTrades"):
        assert await wire.call(target, gateway.pat) == completed()
    return wire, token


# 5. The handshake and the first call in one message.


async def test_05_serves_what_comes_with_the_handshake() -> None:
    async with running() as gateway:
        wire = await upgrade(gateway, f"/hubs/user?access_token={await gateway.login()}")
        await wire.say(HANDSHAKE, PING_RECORD, invocation("SubscribeAccounts", call_id="7"))
        assert await wire.take(2) == [{}, completed("7")]


async def test_05_says_nothing_before_the_handshake() -> None:
    async with running(SimSettings(ping_s=0.01)) as gateway:
        wire = await upgrade(gateway, f"/hubs/user?access_token={await gateway.login()}")
        gateway.server.log_out("all of you")
        await wire.send(PING, b"1")
        # The first thing on the wire is the answer to what was just asked for, and then to the handshake.
        assert (await wire.frame()).opcode == PONG
        await wire.say(HANDSHAKE)
        assert await wire.next() == {}


@pytest.mark.parametrize("size", [1, 7, 40])
async def test_05_reads_a_call_cut_anywhere(size: int) -> None:
    async with running() as gateway:
        wire = await user_hub(gateway)
        record = text_of(invocation("SubscribeAccounts", call_id="8"))
        for at in range(0, len(record), size):
            await wire.send(TEXT, record[at : at + size])
        assert await wire.next() == completed("8")
        await wire.send(TEXT, record[:9], is_last=False)
        await wire.send(CONTINUATION, record[9:])
        assert await wire.next() == completed("8")


# 6. Unknown methods, wrong arguments and other calls that fail.

WRONG: list[tuple[str, list[Any], str]] = [
    ("Subscribe", [], "Unknown hub method 'Subscribe'"),
    ("SubscribeContractQuotes", [MNQ_ID], "Unknown hub method 'SubscribeContractQuotes'"),
    ("SubscribeOrders", [], binding_failed("SubscribeOrders")),
    ("SubscribeOrders", [1, 2], binding_failed("SubscribeOrders")),
    ("SubscribeOrders", ["1"], binding_failed("SubscribeOrders")),
    ("SubscribeOrders", [None], binding_failed("SubscribeOrders")),
    ("SubscribeOrders", [True], binding_failed("SubscribeOrders")),
    ("SubscribeOrders", [1.5], binding_failed("SubscribeOrders")),
    ("SubscribeOrders", [2**31], binding_failed("SubscribeOrders")),
    ("SubscribeOrders", [-(2**31) - 1], binding_failed("SubscribeOrders")),
    ("SubscribeOrders", [[1]], binding_failed("SubscribeOrders")),
    ("SubscribeAccounts", [1], binding_failed("SubscribeAccounts")),
]


@pytest.mark.parametrize(("target", "arguments", "error"), WRONG)
async def test_06_answers_wrong_calls_as_asp_net_core_does(target: str, arguments: list[Any], error: str) -> None:
    async with running() as gateway:
        wire = await user_hub(gateway)
        assert await wire.call(target, *arguments) == failed(error)
        assert await wire.call("subscribeACCOUNTS") == completed()


async def test_06_knows_no_account_methods_on_the_market_hub() -> None:
    async with running() as gateway:
        wire = await shaken(gateway, "market", await gateway.login())
        assert await wire.call("SubscribeOrders", 1) == failed("Unknown hub method 'SubscribeOrders'")
        assert await wire.call("SubscribeContractQuotes", 7) == failed(binding_failed("SubscribeContractQuotes"))
        assert await wire.call("SubscribeContractQuotes", MNQ_ID) == completed()


async def test_06_can_word_unknown_methods_as_the_json_protocol_arrives_at_them() -> None:
    async with running(SimSettings(names_unknown_methods=False)) as gateway:
        wire = await user_hub(gateway)
        detail = " HubException: Method does not exist."
        assert await wire.call("SubscribeAll") == failed(binding_failed("SubscribeAll", detail))


async def test_06_can_bind_leniently() -> None:
    async with running(SimSettings(is_binding_lenient=True)) as gateway:
        wire = await user_hub(gateway)
        assert await wire.call("SubscribeAccounts", ["1"]) == completed()
        assert await wire.call("SubscribePositions", str(gateway.pat), "more") == completed()
        gateway.quote()
        await gateway.place(await gateway.login())
        assert sorted(record["target"] for record in await wire.take(2)) == [
            "GatewayUserAccount",
            "GatewayUserPosition",
        ]
        assert await wire.call("SubscribeOrders", "one") == failed(binding_failed("SubscribeOrders"))
        assert await wire.call("SubscribeOrders") == failed(binding_failed("SubscribeOrders"))


@pytest.mark.parametrize("is_refused", [False, True])
async def test_06_hides_or_refuses_accounts_of_others(is_refused: bool) -> None:
    settings = SimSettings(refuses_foreign_accounts=is_refused, account_echoes_s=(), event_pace=0.0)
    async with running(settings) as gateway:
        gateway.quote()
        wire = await user_hub(gateway)
        error = (
            "An unexpected error occurred invoking 'SubscribeOrders' on the server. HubException: Account not found."
        )
        for account_id in (gateway.kim, 1):
            assert await wire.call("SubscribeOrders", account_id) == (failed(error) if is_refused else completed())
        await gateway.place(await gateway.login("kim"), accountId=gateway.kim)
        assert await wire.call("SubscribeOrders", gateway.pat) == completed()


@pytest.mark.parametrize(
    ("target", "arguments", "error"),
    [
        (
            "SubscribeAccounts",
            [],
            "The client attempted to invoke the non-streaming 'SubscribeAccounts' method with a streaming invocation.",
        ),
        ("SubscribeOrders", ["1"], binding_failed("SubscribeOrders")),
        ("Feed", [], "Unknown hub method 'Feed'"),
    ],
)
async def test_06_streams_nothing(target: str, arguments: list[Any], error: str) -> None:
    async with running() as gateway:
        wire = await user_hub(gateway)
        await wire.say({"type": 4, "invocationId": "5", "target": target, "arguments": arguments})
        assert await wire.next() == failed(error, "5")


async def test_06_ignores_types_it_does_not_know_and_stray_ones() -> None:
    async with running() as gateway:
        wire = await user_hub(gateway)
        stray = [{"type": kind, "invocationId": "9", "item": 1, "sequenceId": 1} for kind in (2, 3, 5, 8, 9, 99, -1)]
        await wire.say(*stray, invocation("SubscribeAccounts", call_id="2"))
        assert await wire.next() == completed("2")


@pytest.mark.parametrize(
    "text",
    [
        b'{"type":1,"arguments":[]}\x1e',
        b'{"type":1,"target":"X"}\x1e',
        b'{"type":1,"target":"SubscribeAccounts","arguments":[],"invocationId":5}\x1e',
        b"not json\x1e",
        b"7\x1e",
        b"\x1e",
        b"x" * 40_000,
    ],
)
async def test_06_closes_on_what_is_not_the_protocol(text: bytes) -> None:
    async with running() as gateway:
        wire = await user_hub(gateway)
        await wire.send(TEXT, text)
        assert await wire.message() == [ERROR_CLOSE]
        assert await wire.closed() == 1000


async def test_06_takes_records_up_to_32_kib() -> None:
    async with running() as gateway:
        wire = await user_hub(gateway)
        for size, answer in ((32_768, completed()), (32_769, ERROR_CLOSE)):
            record = {**invocation("SubscribeAccounts"), "pad": ""}
            record["pad"] = "x" * (size - len(text_of(record)) + 1)
            assert len(text_of(record)) == size + 1
            await wire.say(record)
            assert await wire.next() == answer
        assert await wire.closed() == 1000


# 7. Calls without an id are carried out and not answered.


async def test_07_carries_out_fire_and_forget_calls_without_an_answer() -> None:
    async with running() as gateway:
        gateway.quote()
        wire = await user_hub(gateway)
        await wire.say(
            invocation("SubscribePositions", gateway.pat, call_id=None),
            invocation("SubscribeNonsense", call_id=None),
            invocation("SubscribeOrders", "1", call_id=None),
            {**invocation("SubscribeAccounts", call_id=""), "headers": {"Authorization": "Bearer x"}},
        )
        await gateway.place(await gateway.login())
        events = [record["target"] for record in await wire.take(2)]
        assert events == ["GatewayUserPosition", "GatewayUserAccount"]


# 8. Pings every 15 seconds; a client that has pinged is given up after 30 seconds of silence.


async def test_08_pings_every_15_seconds_whatever_else_is_sent(pass_time: Callable[[float], None]) -> None:
    async with running() as gateway:
        wire = await shaken(gateway, "market", await gateway.login())
        for _ in range(3):
            assert await wire.call("SubscribeContractTrades", MNQ_ID) == completed()
            pass_time(7.0)
            gateway.exchange.print(MNQ_ID, 80_000, 1, Side.BUY, gateway.exchange.now_ns + 1)
            assert (await wire.next())["target"] == "GatewayTrade"
            pass_time(7.5)
            assert await wire.call("SubscribeContractTrades", MNQ_ID) == completed()
            pass_time(0.6)
            assert await wire.next() == PING_RECORD


async def test_08_closes_30_seconds_after_the_last_sign_of_a_client_that_pinged(
    pass_time: Callable[[float], None],
) -> None:
    async with running() as gateway:
        wire = await user_hub(gateway)
        await wire.say(PING_RECORD)
        assert await wire.call("SubscribeAccounts") == completed()
        pass_time(14.0)
        # Any record will do, not only a ping.
        assert await wire.call("SubscribeAccounts") == completed()
        for seconds in (14.0, 15.0):
            pass_time(seconds)
            assert await wire.next() == PING_RECORD
        await wire.send(PING, b"a WebSocket ping is no record")
        assert (await wire.frame()).opcode == PONG
        pass_time(1.5)
        assert await wire.next() == ERROR_CLOSE
        assert await wire.closed() == 1000


async def test_08_waits_forever_for_a_client_that_never_pinged(pass_time: Callable[[float], None]) -> None:
    async with running() as gateway:
        wire = await user_hub(gateway)
        assert await wire.call("SubscribeAccounts") == completed()
        for _ in range(20):
            pass_time(15.1)
            assert await wire.next() == PING_RECORD
        assert await wire.call("SubscribeAccounts") == completed()


# 9. Never a WebSocket ping from the server; pings of clients are answered with what they carried.


async def test_09_sends_text_and_nothing_else_in_five_minutes(pass_time: Callable[[float], None]) -> None:
    async with running() as gateway:
        wire = await user_hub(gateway)
        for _ in range(20):
            pass_time(15.1)
            frame = await wire.frame()
            assert (frame.opcode, frame.payload) == (TEXT, b'{"type":6}\x1e')


@pytest.mark.parametrize("payload", [b"", b"are you there", bytes(range(125))])
async def test_09_answers_a_websocket_ping_with_its_payload(payload: bytes) -> None:
    async with running() as gateway:
        wire = await user_hub(gateway)
        await wire.send(PING, payload)
        frame = await wire.frame()
        assert (frame.opcode, frame.payload) == (PONG, payload)


async def test_09_answers_a_websocket_close_with_its_code() -> None:
    async with running() as gateway:
        wire = await user_hub(gateway)
        await wire.send(CLOSE, b"\x03\xe8")
        assert (await wire.frame()).close_code == 1000
        assert await wire.hangs_up()


# 10. Many records in one message, and never a record in two.


async def test_10_serves_twenty_records_of_one_message_in_order() -> None:
    async with running() as gateway:
        wire = await user_hub(gateway)
        await wire.say(*(invocation("SubscribeOrders", gateway.pat, call_id=str(number)) for number in range(20)))
        assert await wire.take(20) == [completed(str(number)) for number in range(20)]


async def test_10_sends_whole_records_only_however_many_at_once() -> None:
    async with running() as gateway:
        wire, token = await entered(gateway)
        for _ in range(4):
            await gateway.place(token)
        messages: list[list[Json]] = []
        while sum(map(len, messages)) < 16:
            frame = await wire.frame()
            assert (frame.opcode, frame.is_last) == (TEXT, True)
            messages.append(records_of(frame.payload))
        assert [len(records) for records in messages] == [4, 4, 4, 4]


async def test_10_sends_twenty_events_as_one_message() -> None:
    async with running() as gateway:
        wire = await shaken(gateway, "market", await gateway.login())
        assert await wire.call("SubscribeContractTrades", MNQ_ID) == completed()
        for number in range(20):
            gateway.exchange.print(MNQ_ID, 80_000, 1 + number, Side.BUY, gateway.exchange.now_ns + 1)
        sizes = [record["arguments"][1][0]["volume"] for record in await wire.message()]
        assert sizes == list(range(1, 21))


# 11. Messages beyond 64 KiB are one message.


@pytest.mark.parametrize("size", [65_535, 65_536, 300_000])
async def test_11_sends_a_large_record_as_one_message(size: int) -> None:
    async with running() as gateway:
        wire = await user_hub(gateway)
        gateway.server.log_out("x" * size)
        assert await wire.message() == [{"type": 1, "target": "GatewayLogout", "arguments": ["x" * size]}]

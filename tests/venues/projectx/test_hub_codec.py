import json
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_manager.venues.projectx.hub_codec import (
    Close,
    Completion,
    Handshake,
    HotRecord,
    HubCodec,
    HubMessage,
    Invocation,
    Malformed,
    Ping,
)

END = b"\x1e"


def opened(hot_target: str | None = None) -> HubCodec:
    codec = HubCodec(hot_target)
    assert codec.feed(b"{}" + END) == [Handshake(None)]
    return codec


def shown(messages: list[HubMessage]) -> list[Any]:
    """Messages with their raw arguments decoded, for comparing."""
    return [
        (m.target, msgspec.json.decode(m.arguments)) if isinstance(m, Invocation) else m
        for m in messages
        if not isinstance(m, Malformed)
    ]


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ('{"type":6}', Ping()),
        ('{"type":3,"invocationId":"0","result":null}', Completion("0", None)),
        ('{"type":3,"invocationId":"7","error":"no"}', Completion("7", "no")),
        ('{"type":7}', Close(None, False)),
        (
            '{"type":7,"error":"Connection closed with an error.","allowReconnect":true}',
            Close("Connection closed with an error.", True),
        ),
        ('{"target":"X","arguments":[1],"type":1,"headers":{},"streamIds":[]}', ("X", [1])),
        ('{"type":1,"target":"GatewayUserAccount","arguments":[{"a":null}]}', ("GatewayUserAccount", [{"a": None}])),
        ('{"type":1,"target":"NoArguments"}', ("NoArguments", [])),
    ],
)
def test_reads(record: str, expected: Any) -> None:
    assert shown(opened().feed(record.encode() + END)) == [expected]


@pytest.mark.parametrize(
    "record", ['{"type":2,"invocationId":"1","item":1}', '{"type":8,"sequenceId":1}', '{"type":99}']
)
def test_passes_over_types_it_has_no_use_for(record: str) -> None:
    assert opened().feed(record.encode() + END) == []


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"null",
        b"[]",
        b'{"type":"one"}',
        b'{"type":1}',
        b'{"type":1,"target":""}',
        b'{"type":3}',
        b'{"type":1,"target":5,"arguments":[]}',
        b"<html>",
        b"\xff\xfe",
        b"[" * 5000,
        b'{"type":' + b"1" * 5000 + b"}",
    ],
)
def test_calls_a_record_malformed_and_goes_on(record: bytes) -> None:
    broken, ping = opened().feed(record + END + b'{"type":6}' + END)
    assert isinstance(broken, Malformed)
    assert ping == Ping()


def test_takes_a_handshake_with_the_first_events_in_one_message() -> None:
    assert HubCodec().feed(b'{}\x1e{"type":6}\x1e') == [Handshake(None), Ping()]


@pytest.mark.parametrize("record", ['{"error":"Handshake was canceled."}', '{"type":7,"error":"gone"}', '{"type":6}'])
def test_reports_a_refused_handshake(record: str) -> None:
    (answer,) = HubCodec().feed(record.encode() + END)
    assert isinstance(answer, Handshake)
    assert answer.error


def test_hands_the_hot_target_out_undecoded() -> None:
    record = b'{"type":1,"target":"GatewayQuote","arguments":["C",{"bestBid":1}]}'
    other = b'{"target":"GatewayQuote","arguments":["C",{"bestBid":1}],"type":1}'
    codec = opened("GatewayQuote")
    assert codec.feed(record + END) == [HotRecord(record)]
    assert codec.feed(record + END + record + END) == [HotRecord(record), HotRecord(record)]
    assert shown(codec.feed(other + END)) == [("GatewayQuote", ["C", {"bestBid": 1}])]


def test_numbers_its_invocations() -> None:
    codec = HubCodec()
    first, data = codec.invoke("SubscribeOrders", (20000001,))
    second, _ = codec.invoke("SubscribeAccounts", ())
    assert (first, second) == ("0", "1")
    assert data.endswith(END)
    assert json.loads(data[:-1]) == {
        "type": 1,
        "invocationId": "0",
        "target": "SubscribeOrders",
        "arguments": [20000001],
    }


def test_drops_a_record_without_end() -> None:
    codec = opened()
    piece = b"x" * (1024 * 1024)
    messages = [message for _ in range(5) for message in codec.feed(piece)]
    assert [type(message) for message in messages] == [Malformed]


records = st.one_of(
    st.just({"type": 6}),
    st.builds(lambda i: {"type": 3, "invocationId": str(i), "result": None}, st.integers(0, 99)),
    st.builds(
        lambda target, arguments: {"type": 1, "target": target, "arguments": arguments},
        st.sampled_from(["GatewayUserOrder", "GatewayQuote"]),
        st.lists(st.one_of(st.none(), st.integers(-9, 9), st.text(max_size=5)), max_size=3),
    ),
)


@given(st.lists(records, max_size=6), st.lists(st.integers(0, 400), max_size=8))
def test_gives_the_same_messages_wherever_the_bytes_are_cut(sent: list[dict[str, Any]], cuts: list[int]) -> None:
    stream = b"".join(json.dumps(record).encode() + END for record in sent)
    whole = shown(opened().feed(stream))
    bounds = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    codec = opened()
    pieces = [message for a, b in pairwise(bounds) for message in codec.feed(stream[a:b])]
    assert shown(pieces) == whole
    assert len(whole) == len(sent)


@given(st.binary(max_size=200))
def test_never_raises(data: bytes) -> None:
    codec = HubCodec("GatewayQuote")
    codec.feed(data)
    codec.feed(b"{}" + END + data + END)

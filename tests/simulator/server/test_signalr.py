"""The hub protocol's records, in and out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_manager.simulator.server import signalr


def test_cuts_records_and_keeps_what_is_not_yet_whole() -> None:
    reader = signalr.RecordReader(100)
    assert reader.feed(b'{"type":6}\x1e{"ty') == [b'{"type":6}']
    assert reader.feed(b'pe":7}') == []
    assert reader.feed(b"\x1e") == [b'{"type":7}']


@given(st.lists(st.binary(max_size=20).map(lambda raw: raw.replace(b"\x1e", b"")), max_size=6), st.integers(1, 7))
def test_cuts_the_same_records_however_they_arrive(records: list[bytes], step: int) -> None:
    stream = b"".join(record + b"\x1e" for record in records)
    reader = signalr.RecordReader(1000)
    found = [record for at in range(0, len(stream), step) for record in reader.feed(stream[at : at + step])]
    assert found == records


@pytest.mark.parametrize("data", [b"x" * 11, b"x" * 11 + b"\x1e"])
def test_refuses_a_record_above_its_limit(data: bytes) -> None:
    with pytest.raises(signalr.ProtocolError):
        signalr.RecordReader(10).feed(data)


@pytest.mark.parametrize("version", [0, 1, 2])
def test_accepts_the_handshakes_seen_in_the_field(version: int) -> None:
    signalr.check_handshake(b'{"protocol":"json","version":%d}' % version)


@pytest.mark.parametrize(
    ("record", "error"),
    [
        (b'{"protocol":"messagepack","version":1}', "The protocol 'messagepack' is not supported."),
        (b'{"protocol":"json","version":99}', "The server does not support version 99 of the 'json' protocol."),
    ],
)
def test_refuses_other_protocols_and_versions_by_name(record: bytes, error: str) -> None:
    with pytest.raises(signalr.HandshakeRefused) as refused:
        signalr.check_handshake(record)
    assert str(refused.value) == error


def test_refuses_version_0_when_strict() -> None:
    with pytest.raises(signalr.HandshakeRefused):
        signalr.check_handshake(b'{"protocol":"json","version":0}', oldest_version=1)


@pytest.mark.parametrize("record", [b"", b"[]", b'{"type":6}', b'{"protocol":"json"}', b'{"protocol":1,"version":1}'])
def test_takes_nothing_else_for_a_handshake(record: bytes) -> None:
    with pytest.raises(signalr.ProtocolError):
        signalr.check_handshake(record)


def test_reads_an_invocation_with_keys_in_any_order_and_extras() -> None:
    record = b'{"target":"SubscribeOrders","headers":{},"arguments":[7],"invocationId":"a","type":1}'
    assert signalr.parse(record) == signalr.Invocation("SubscribeOrders", [7], "a")


def test_reads_fire_and_forget_pings_goodbyes_and_unknown_types() -> None:
    assert signalr.parse(b'{"type":1,"target":"X","arguments":[]}') == signalr.Invocation("X", [], None)
    assert signalr.parse(b'{"type":6}') == signalr.Ping()
    assert signalr.parse(b'{"type":7}') == signalr.Goodbye(None)
    assert signalr.parse(b'{"type":7,"error":"tired"}') == signalr.Goodbye("tired")
    assert signalr.parse(b'{"type":4,"invocationId":"1","target":"X","arguments":[7]}') == signalr.StreamingCall(
        "X", [7], "1"
    )
    assert signalr.parse(b'{"type":99}') == signalr.Ignored(99)


@pytest.mark.parametrize(
    "record",
    [
        b"{",
        b"7",
        b"{}",
        b'{"type":true}',
        b'{"type":1,"arguments":[]}',
        b'{"type":1,"target":"","arguments":[]}',
        b'{"type":1,"target":"X"}',
        b'{"type":1,"target":"X","arguments":[],"invocationId":5}',
        b'{"type":4,"target":"X","arguments":[]}',
        b"\xff\xfe",
    ],
)
def test_calls_malformed_messages_protocol_errors(record: bytes) -> None:
    with pytest.raises(signalr.ProtocolError):
        signalr.parse(record)


def test_writes_records_as_asp_net_does() -> None:
    assert signalr.completion("5") == b'{"type":3,"invocationId":"5","result":null}\x1e'
    assert signalr.failure("5", "no") == b'{"type":3,"invocationId":"5","error":"no"}\x1e'
    assert signalr.close() == b'{"type":7}\x1e'
    assert signalr.close("gone", allow_reconnect=True) == b'{"type":7,"error":"gone","allowReconnect":true}\x1e'
    assert signalr.invocation("GatewayQuote", "id", {"a": 1}) == (
        b'{"type":1,"target":"GatewayQuote","arguments":["id",{"a":1}]}\x1e'
    )

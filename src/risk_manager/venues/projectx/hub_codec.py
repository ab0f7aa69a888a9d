"""The JSON hub protocol (SignalR), client side, without sockets or clocks: bytes in, messages out.

A record is one JSON object followed by 0x1E. Records may be cut at any byte and several may come in one message. The
first record is the handshake's answer. Message types this client has no use for are passed over in silence, as the
protocol asks for forward compatibility; a record that cannot be read becomes `Malformed` and the stream goes on.
"""

from typing import Any

import msgspec

RECORD_END = b"\x1e"
_RECORD_MAX_BYTES = 4 * 1024 * 1024


class Handshake(msgspec.Struct, frozen=True, gc=False):
    """The answer to our hello; `error` is None when the connection is open."""

    error: str | None


class Invocation(msgspec.Struct, frozen=True):
    """The server calls `target`; `arguments` is the undecoded JSON list."""

    target: str
    arguments: msgspec.Raw


class HotRecord(msgspec.Struct, frozen=True, gc=False):
    """An undecoded invocation of the hot target, recognised by its first bytes; for one typed decode."""

    record: bytes


class Completion(msgspec.Struct, frozen=True, gc=False):
    """The outcome of our invocation `invocation_id`; `error` is None when it was carried out."""

    invocation_id: str
    error: str | None


class Ping(msgspec.Struct, frozen=True, gc=False):
    pass


class Close(msgspec.Struct, frozen=True, gc=False):
    """The server ends the connection. We reconnect in any case, whatever it allows."""

    error: str | None
    allow_reconnect: bool


class Malformed(msgspec.Struct, frozen=True, gc=False):
    """A record that is no message of the protocol; dropped."""

    reason: str


HubMessage = Handshake | Invocation | HotRecord | Completion | Ping | Close | Malformed


class _Record(msgspec.Struct, gc=False, rename="camel"):
    type: int
    target: str | None = None
    arguments: msgspec.Raw = msgspec.Raw(b"[]")
    invocation_id: str | None = None
    error: str | None = None
    allow_reconnect: bool | None = None


class _HandshakeRecord(msgspec.Struct, gc=False):
    type: int | None = None
    error: str | None = None


_decode_record = msgspec.json.Decoder(_Record).decode
_decode_handshake = msgspec.json.Decoder(_HandshakeRecord).decode
_encode = msgspec.json.Encoder().encode


class HubCodec:
    """One connection's codec.

    Args:
        hot_target: records that begin as the venue's server writes an invocation of this target come out as HotRecord.
    """

    def __init__(self, hot_target: str | None = None) -> None:
        self._rest = b""
        self._is_open = False
        self._next_id = 0
        prefix = '{"type":1,"target":"' + hot_target + '",' if hot_target else "\x00"
        self._hot_prefix = prefix.encode()

    def hello(self) -> bytes:
        """The client's first record."""
        return b'{"protocol":"json","version":1}\x1e'

    def ping(self) -> bytes:
        return b'{"type":6}\x1e'

    def close(self) -> bytes:
        return b'{"type":7}\x1e'

    def invoke(self, target: str, arguments: tuple[Any, ...]) -> tuple[str, bytes]:
        """An invocation that asks for a completion: its id and its bytes."""
        invocation_id = str(self._next_id)
        self._next_id += 1
        record = {"type": 1, "invocationId": invocation_id, "target": target, "arguments": arguments}
        return invocation_id, _encode(record) + RECORD_END

    def feed(self, data: bytes) -> list[HubMessage]:
        """The messages completed by `data`, in order."""
        if self._rest:
            data = self._rest + data
        elif data.startswith(self._hot_prefix) and data.find(RECORD_END) == len(data) - 1 and self._is_open:
            # By far the most messages are one hot record each.
            return [HotRecord(data[:-1])]
        *records, self._rest = data.split(RECORD_END)
        messages: list[HubMessage] = []
        if len(self._rest) > _RECORD_MAX_BYTES:
            self._rest = b""
            messages.append(Malformed(f"a record above {_RECORD_MAX_BYTES} bytes"))
        for record in records:
            if record.startswith(self._hot_prefix) and self._is_open:
                messages.append(HotRecord(record))
            elif (message := self._read(record)) is not None:
                messages.append(message)
        return messages

    def _read(self, record: bytes) -> HubMessage | None:
        try:
            if not self._is_open:
                return self._read_handshake(record)
            return _message(_decode_record(record))
        except (ValueError, RecursionError) as error:
            return Malformed(f"{type(error).__name__}: {error}"[:200])

    def _read_handshake(self, record: bytes) -> Handshake:
        answer = _decode_handshake(record)
        if answer.error is None and answer.type is not None:
            return Handshake(f"a message of type {answer.type} instead of the handshake's answer")
        self._is_open = answer.error is None
        return Handshake(answer.error)


def _message(record: _Record) -> HubMessage | None:
    match record.type:
        case 1:
            if not record.target:
                return Malformed("an invocation without target")
            return Invocation(record.target, record.arguments)
        case 3:
            if not record.invocation_id:
                return Malformed("a completion without invocationId")
            return Completion(record.invocation_id, record.error)
        case 6:
            return Ping()
        case 7:
            return Close(record.error, bool(record.allow_reconnect))
        case _:
            return None

"""The JSON hub protocol, server side: bytes in, messages out, and the other way round. No sockets, no clock.

A record is one JSON object followed by the separator byte 0x1E. A WebSocket message holds one or more whole records.
Texts and decisions follow what ASP.NET Core sends with detailed errors off.
"""

from typing import Any

import msgspec

SEPARATOR = b"\x1e"
PING = b'{"type":6}\x1e'
HANDSHAKE_ACCEPTED = b"{}\x1e"
CLOSED_WITH_ERROR = "Connection closed with an error."
HANDSHAKE_TIMED_OUT = "Handshake was canceled."
HANDSHAKE_FAILED = "An unexpected error occurred during connection handshake."
NEWEST_VERSION = 2


class Invocation(msgspec.Struct, frozen=True):
    """A call of a hub method; `invocation_id` None means the caller wants no answer."""

    target: str
    arguments: list[Any]
    invocation_id: str | None


class StreamingCall(msgspec.Struct, frozen=True):
    """A call that asks for a stream, which no method of this venue gives."""

    target: str
    arguments: list[Any]
    invocation_id: str


class Ping(msgspec.Struct, frozen=True):
    """The client is alive."""


class Goodbye(msgspec.Struct, frozen=True):
    """The client is about to leave; `error` is its reason, if it gave one."""

    error: str | None


class Ignored(msgspec.Struct, frozen=True):
    """A well-formed message of a type that means nothing to this server."""

    type: int


ClientMessage = Invocation | StreamingCall | Ping | Goodbye | Ignored


class ProtocolError(Exception):
    """The client sent something that is not the JSON hub protocol; the connection ends."""


class HandshakeRefused(Exception):
    """The handshake asks for what this server does not speak; the text goes back to the client."""


def encode(record: object) -> bytes:
    """The record as JSON with its separator."""
    return msgspec.json.encode(record) + SEPARATOR


def invocation(target: str, *arguments: object) -> bytes:
    """A call of a client method; it carries no invocation id, so no answer is expected."""
    return encode({"type": 1, "target": target, "arguments": arguments})


def completion(invocation_id: str) -> bytes:
    """The answer to a call of a method without a result."""
    return encode({"type": 3, "invocationId": invocation_id, "result": None})


def failure(invocation_id: str, error: str) -> bytes:
    """The answer to a call that failed."""
    return encode({"type": 3, "invocationId": invocation_id, "error": error})


def close(error: str | None = None, *, allow_reconnect: bool = False) -> bytes:
    """The last record of a connection; `allowReconnect` is present only when true."""
    record: dict[str, object] = {"type": 7}
    if error is not None:
        record["error"] = error
    if allow_reconnect:
        record["allowReconnect"] = True
    return encode(record)


def handshake_refusal(error: str) -> bytes:
    """The answer to a handshake that cannot be accepted."""
    return encode({"error": error})


def unknown_method(target: str) -> str:
    """Error text for a method the hub does not have."""
    return f"Unknown hub method '{target}'"


def binding_failed(target: str, detail: str | None = None) -> str:
    """Error text for arguments of the wrong number or type.

    Args:
        detail: message of a hub exception, the only kind whose message reaches the client.
    """
    text = f"Failed to invoke '{target}' due to an error on the server."
    return text if detail is None else f"{text} HubException: {detail}"


def invocation_failed(target: str, detail: str) -> str:
    """Error text for a method that raised a hub exception."""
    return f"An unexpected error occurred invoking '{target}' on the server. HubException: {detail}"


def not_streaming(target: str) -> str:
    """Error text for a streaming call of an ordinary method."""
    return f"The client attempted to invoke the non-streaming '{target}' method with a streaming invocation."


class RecordReader:
    """Cuts what arrives into records; a record may span WebSocket messages on its way in (never on its way out).

    Args:
        limit: largest record in bytes; the venue's hubs take 32 KiB.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The records that `data` completes, in order.

        Raises:
            ProtocolError: a record is larger than the limit.
        """
        *records, self._rest = (self._rest + data).split(SEPARATOR)
        if max(len(self._rest), *(len(record) for record in records), 0) > self._limit:
            raise ProtocolError("The maximum message size was exceeded.")
        return records


def check_handshake(record: bytes, *, oldest_version: int = 0) -> None:
    """Accept the client's first record.

    Args:
        oldest_version: 0 accepts what every known client sends; 1 is what ASP.NET Core 7 and older do.

    Raises:
        HandshakeRefused: another protocol or version; the text is the one to send back.
        ProtocolError: not a handshake at all.
    """
    request = _object(record)
    protocol, version = request.get("protocol"), request.get("version")
    if not isinstance(protocol, str) or not isinstance(version, int) or isinstance(version, bool):
        raise ProtocolError("Not a handshake request.")
    if protocol != "json":
        raise HandshakeRefused(f"The protocol '{protocol}' is not supported.")
    if not oldest_version <= version <= NEWEST_VERSION:
        raise HandshakeRefused(f"The server does not support version {version} of the 'json' protocol.")


def parse(record: bytes) -> ClientMessage:
    """One record from the client.

    Raises:
        ProtocolError: malformed JSON, or a known type without its required members.
    """
    message = _object(record)
    kind = message.get("type")
    if not isinstance(kind, int) or isinstance(kind, bool):
        raise ProtocolError("Missing required property 'type'.")
    match kind:
        case 1:
            return _invocation(message)
        case 4:
            return _streaming_call(message)
        case 6:
            return Ping()
        case 7:
            error = message.get("error")
            return Goodbye(error if isinstance(error, str) else None)
        case _:
            return Ignored(kind)


def _invocation(message: dict[str, Any]) -> Invocation:
    arguments = _arguments(message)
    invocation_id = message.get("invocationId")
    if invocation_id is not None and not isinstance(invocation_id, str):
        raise ProtocolError("Expected 'invocationId' to be a string.")
    return Invocation(_target(message), arguments, invocation_id or None)


def _streaming_call(message: dict[str, Any]) -> StreamingCall:
    invocation_id = message.get("invocationId")
    if not isinstance(invocation_id, str) or not invocation_id:
        raise ProtocolError("Missing required property 'invocationId'.")
    return StreamingCall(_target(message), _arguments(message), invocation_id)


def _arguments(message: dict[str, Any]) -> list[Any]:
    arguments = message.get("arguments")
    if not isinstance(arguments, list):
        raise ProtocolError("Missing required property 'arguments'.")
    return arguments


def _target(message: dict[str, Any]) -> str:
    target = message.get("target")
    if not isinstance(target, str) or not target:
        raise ProtocolError("Missing required property 'target'.")
    return target


def _object(record: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(record)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ProtocolError("Invalid JSON.") from error
    if not isinstance(value, dict):
        raise ProtocolError("Unexpected JSON token; expected an object.")
    return value

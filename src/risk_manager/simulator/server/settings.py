"""What can be set about the simulated gateway's transport; by default REST adds no delay, hub events the venue's."""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

from risk_manager.simulator.server.bars import SECONDS_KEPT
from risk_manager.simulator.server.limits import Window
from risk_manager.simulator.server.rest_settings import RestSettings
from risk_manager.simulator.server.stream_shapes import StreamShapes

_Delay = Annotated[float, msgspec.Meta(ge=0, le=86_400)]
_Pace = Annotated[float, msgspec.Meta(gt=0, le=86_400)]
_Bytes = Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]

EventName = Literal[
    "GatewayUserAccount",
    "GatewayUserOrder",
    "GatewayUserPosition",
    "GatewayUserTrade",
    "GatewayQuote",
    "GatewayTrade",
    "GatewayDepth",
]


class SimSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of one server.

    Attributes:
        signing_key: signs session tokens; a fixed one lets them outlive a restart of the simulator, as the venue's do.
        token_lifetime_s: real seconds until a token expires.
        calls, bar_calls: the call budgets per user.
        retry_after_s: sent with a 429 when set.
        rest: what the REST API's sources leave open.
        rest_delay_s: added before every REST reply.
        event_pace: the events of an execution leave one after another, in the distances captured at the venue times
            this; 0 sends them all at once.
        event_delays_s: by event name (`GatewayUserTrade`), how much later still it is sent.
        account_echoes_s: after how many seconds an account event is repeated; null is as the venue was seen to do it.
        bar_seconds: how many one-second bars are kept of each contract; seconds without a price are none.
        stream: how hub events are wrapped.
        ping_s: pace of hub pings.
        client_silence_s: patience with a client that has pinged before.
        handshake_s: how long a connection may take to shake hands.
        negotiation_s: how long an unused negotiated id lives.
        oldest_handshake_version: 0 takes every client; 1 refuses those that say 0.
        is_binding_lenient: hub methods take extra arguments and numbers written as strings.
        refuses_foreign_accounts: subscribing to an account of somebody else, or of nobody, is an error; otherwise it
            succeeds and delivers nothing.
        names_unknown_methods: the error for an unknown method names it as such; otherwise it is the text that ASP.NET
            Core's JSON protocol arrives at, where looking for the parameters fails first.
        inbound_bytes: largest record a client may send.
        queue_bytes: what one connection may fall behind before it is closed.
        slow_reader_s: how long a connection so closed has to read its last record before it is cut.
    """

    signing_key: str = "a key of the simulator, not a secret"
    token_lifetime_s: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)] = 86_400
    calls: Window = Window(200, 60.0)
    bar_calls: Window = Window(50, 30.0)
    retry_after_s: Annotated[int, msgspec.Meta(ge=0, le=86_400)] | None = None
    rest: RestSettings = RestSettings()
    rest_delay_s: _Delay = 0.0
    event_pace: Annotated[float, msgspec.Meta(ge=0, le=1000)] = 1.0
    event_delays_s: Mapping[EventName, _Delay] = {}
    account_echoes_s: tuple[_Delay, ...] | None = None
    bar_seconds: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)] = SECONDS_KEPT
    stream: StreamShapes = StreamShapes()
    ping_s: _Pace = 15.0
    client_silence_s: _Pace = 30.0
    handshake_s: _Pace = 15.0
    negotiation_s: _Pace = 15.0
    oldest_handshake_version: Annotated[int, msgspec.Meta(ge=0, le=1)] = 0
    is_binding_lenient: bool = False
    refuses_foreign_accounts: bool = False
    names_unknown_methods: bool = True
    inbound_bytes: _Bytes = 32_768
    queue_bytes: _Bytes = 1_048_576
    slow_reader_s: _Delay = 5.0

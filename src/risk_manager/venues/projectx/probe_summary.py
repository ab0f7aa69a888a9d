"""What only the whole of a hub connection shows: its pings, its end, and whether it outlived the token."""

from collections.abc import Iterator
from itertools import pairwise

import msgspec

from risk_manager.venues.projectx.listening import Listener

_ABOUT_S = 5.0  # a connection that ends so shortly before its token was ended with it


class Fact(msgspec.Struct, frozen=True):
    """A line for the question of that number; `is_complete` if nothing of it stays open."""

    number: int
    line: str
    is_complete: bool = False


def hub_facts(hub: str, listener: Listener, *, now_s: float, life_s: float | None) -> Iterator[Fact]:
    """The facts of one connection.

    Args:
        now_s: by the event loop's clock.
        life_s: how long the token still lives, negative after its end; None where it does not say.
    """
    pings = [heard.at_s for heard in listener.heard if heard.type == 6]
    gaps = " ".join(f"{later - earlier:.1f}" for earlier, later in pairwise(pings))
    yield Fact(6, f"{hub} hub: {len(pings)} pings{f', every {gaps} s' if gaps else ''}", bool(gaps))
    yield from _closes(hub, listener)
    if life_s is None:
        yield Fact(8, f"{hub} hub: the token does not say when it ends")
    elif life_s > 0:
        yield Fact(8, f"{hub} hub: the token lives for another {life_s / 3600:.1f} h; run longer than that to see")
    else:
        ended_s = listener.ended_s if listener.ended is not None else now_s
        after_s = ended_s - (now_s + life_s)
        side = "after" if after_s >= 0 else "before"
        line = f"{hub} hub: the connection was open until {abs(after_s):.0f} s {side} the token's end"
        yield Fact(8, line, after_s > -_ABOUT_S)


def _closes(hub: str, listener: Listener) -> Iterator[Fact]:
    closes = [heard for heard in listener.heard if heard.type == 7]
    for close in closes:
        is_asked_for = listener.goodbye_s is not None and close.at_s > listener.goodbye_s
        error, allows = close.message.get("error"), close.message.get("allowReconnect", "absent")
        when = "after our goodbye" if is_asked_for else "unasked"
        yield Fact(7, f"{hub} hub, {when}: error {error!r}, allowReconnect {allows}", not is_asked_for)
    if not closes:
        yield Fact(7, f"{hub} hub: no close frame came; the end: {listener.ended or 'none'}")

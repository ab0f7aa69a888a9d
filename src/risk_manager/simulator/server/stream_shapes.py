"""The forms in which builds of the venue, and its documents, wrap what they stream; the defaults are as captured."""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec

from risk_manager.simulator.server.shapes import Row, enveloped


class StreamShapes(msgspec.Struct, frozen=True, kw_only=True):
    """How events are wrapped.

    Attributes:
        user_events: `{"action": ..., "data": {...}}`; or the data alone, bare or as a list of one.
        are_batches_lists: prints and depth come as lists; else every row is an event of its own, as documented.
        pads_lists: those lists end with nulls, as seen at the real venue.
        is_quote_listed: quotes come as a list of one.
        depth_levels: levels of either side in the first message of market depth; 40 make it larger than 10 kB.
    """

    user_events: Literal["envelope", "bare", "list"] = "envelope"
    are_batches_lists: bool = True
    pads_lists: bool = False
    is_quote_listed: bool = False
    depth_levels: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 40

    def user_event(self, action: int, row: Row) -> object:
        """The argument of a user-hub event."""
        match self.user_events:
            case "envelope":
                return enveloped(action, row)
            case "bare":
                return row
            case "list":
                return [row]

    def quote(self, row: Row) -> Sequence[object]:
        """The payloads of a quote, one event each."""
        return ([row],) if self.is_quote_listed else (row,)

    def batches(self, rows: Sequence[Row]) -> Sequence[object]:
        """The payloads of prints or depth, one event each; none without rows."""
        if not rows or not self.are_batches_lists:
            return rows
        return ([*rows, None, None],) if self.pads_lists else (list(rows),)

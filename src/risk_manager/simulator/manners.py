"""What is unknown about the real venue or differs between its builds, as choices; the default was seen most."""

from typing import Literal

import msgspec

from risk_manager.simulator import messages
from risk_manager.simulator.records import RefusalCode, Refused


class Manners(msgspec.Struct, frozen=True, kw_only=True):
    """How an exchange behaves where the sources are silent or disagree.

    Attributes:
        closed_code: what an order is refused as while its contract does not trade; the API has a code of its own for
            it, which nobody has seen.
        closed_text: the text of that; an older build says `Outside of trading hours.`
        lockout_blocks_exits: a blocked account may not cancel and not close either.
        orders_expire: what rests when a session ends expires; otherwise it waits for the next one.
        flat_cancels_children: bracket children go when something else takes their position; otherwise they stay, and
            open a new one when they fill.
        closes_may_flip: a close that fills late fills in full, even if a stop has taken the position by then; otherwise
            it never takes more than is left.
        follower_may_place: an account that copies a leader takes orders of its own.
        stop_out_code: what placing is refused as on an account that its loss limit has stopped.
    """

    closed_code: Literal["rejected", "outside_hours"] = "rejected"
    closed_text: str | None = messages.TRADING_UNAVAILABLE
    lockout_blocks_exits: bool = False
    orders_expire: bool = False
    flat_cancels_children: bool = False
    closes_may_flip: bool = False
    follower_may_place: bool = True
    stop_out_code: Literal["violation", "account_rejected", "rejected"] = "violation"

    @property
    def closed(self) -> Refused:
        """The answer to an order while its contract does not trade."""
        return Refused(RefusalCode(self.closed_code), self.closed_text)

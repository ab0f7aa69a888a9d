"""What is unknown about the real venue or differs between its builds, as choices; the default was seen most."""

import msgspec

from risk_manager.simulator import messages
from risk_manager.simulator.messages import rejected
from risk_manager.simulator.records import RefusalCode, Refused


class Manners(msgspec.Struct, frozen=True, kw_only=True):
    """How an exchange behaves where the sources are silent or disagree.

    Attributes:
        closed: the answer to an order while its contract does not trade. An older build says `Outside of trading
            hours.`; the API also has a code of its own for it.
        lockout_blocks_exits: a blocked account may not cancel and not close either.
        orders_expire: what rests at the end of a session expires; needs hours. Otherwise it waits for the next one.
        flat_cancels_children: bracket children go when something else takes their position; otherwise they stay, and
            open a new one when they fill.
        closes_may_flip: a close that fills late fills in full, even if a stop has taken the position by then; otherwise
            it never takes more than is left.
        follower_may_place: an account that copies a leader takes orders of its own.
        stop_out_code: what placing is refused as on an account that its loss limit has stopped.
    """

    closed: Refused = rejected(messages.TRADING_UNAVAILABLE)
    lockout_blocks_exits: bool = False
    orders_expire: bool = False
    flat_cancels_children: bool = False
    closes_may_flip: bool = False
    follower_may_place: bool = True
    stop_out_code: RefusalCode = RefusalCode.VIOLATION

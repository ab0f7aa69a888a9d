"""The best prices of one contract."""

import msgspec


class Quote(msgspec.Struct, frozen=True, gc=False):
    """The merged quote: every member holds the last value the venue sent, None if it never did.

    Attributes:
        bid_ticks, ask_ticks, last_ticks: prices in ticks.
        at_ns: the venue's time of the newest member.
    """

    contract_id: str
    bid_ticks: int | None
    ask_ticks: int | None
    last_ticks: int | None
    at_ns: int

"""One execution of one order (the venue calls it a trade)."""

import msgspec

from risk_manager.domain.order import Side


class Fill(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """An execution as the venue reports it.

    Attributes:
        size: contracts, > 0.   price_ticks: None while the contract's tick size is unknown.
        pnl_micros: the venue's gross profit or loss of a closing fill; None on a fill that opens or adds.
        fees_micros: fees and commissions together, >= 0, charged on every fill.
        is_voided: the venue took the execution back; it counts for nothing.
        at_ns: the venue's time of the execution; it decides the trading day.
    """

    id: str
    order_id: str
    contract_id: str
    side: Side
    size: int
    price_ticks: int | None
    at_ns: int
    pnl_micros: int | None = None
    fees_micros: int = 0
    is_voided: bool = False

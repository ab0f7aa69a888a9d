"""What a position is worth in the market, whichever side it is on."""

from risk_manager.domain.account import HoldingView
from risk_manager.domain.quote import Quote


def mark_ticks(quote: Quote, net_contracts: int) -> int | None:
    """The price a position could be left at: bid for a long, ask for a short, else last; None if none is known."""
    side = quote.bid_ticks if net_contracts > 0 else quote.ask_ticks
    return side if side is not None else quote.last_ticks


def notional_micros(holding: HoldingView) -> int | None:
    """The market value of one contract of a holding in 1e-6 USD, >= 0; None without a price or a contract record."""
    if holding.quote is None or holding.contract is None:
        return None
    mark = mark_ticks(holding.quote, holding.net_contracts)
    return None if mark is None else abs(mark) * holding.contract.instrument.tick_value_micros

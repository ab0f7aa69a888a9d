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


def movable_micros(holding: HoldingView, parts: int) -> int:
    """What open profit moves while the price moves by one part in so many, rounded down; 0 where that is unknown."""
    quote, contract = holding.quote, holding.contract
    mark = mark_ticks(quote, holding.net_contracts) if quote is not None else None
    if mark is None or mark <= 0 or contract is None:
        return 0
    return mark // parts * abs(holding.net_contracts) * contract.instrument.tick_value_micros


def latest_first(holding: HoldingView) -> tuple[int, int, str]:
    """Sorts holdings by what grew last, the order in which too much is taken off."""
    return -holding.increased_ns, -holding.opened_ns, holding.contract_id

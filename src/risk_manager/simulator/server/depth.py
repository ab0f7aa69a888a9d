"""The order book as the venue streams it; the exchange knows the best prices only, the levels behind are invented."""

from collections.abc import Collection

from risk_manager.simulator.records import SimContract, Top
from risk_manager.simulator.server.shapes import Row, price
from risk_manager.simulator.server.times import milli_time

ASK, BID, BEST_ASK, BEST_BID, RESET, NEW_BEST_BID, NEW_BEST_ASK = 1, 2, 3, 4, 6, 9, 10


def book_rows(top: Top, contract: SimContract, levels: int) -> list[Row]:
    """A reset and then so many levels of either side, the best ones first and named as such."""
    rows = [_row(top, contract, RESET, None, 0)]
    sides = ((top.bid_ticks, top.bid_size, -1, BEST_BID, BID), (top.ask_ticks, top.ask_size, 1, BEST_ASK, ASK))
    for best_ticks, size, step, best_kind, kind in sides:
        if best_ticks is None:
            continue
        for level in range(levels):
            ticks = best_ticks + step * level
            rows.append(_row(top, contract, kind if level else best_kind, ticks, _volume(ticks) if level else size))
    return rows


def changed_rows(top: Top, contract: SimContract, changed: Collection[str]) -> list[Row]:
    """The new best prices of the sides that moved."""
    rows = []
    if "bid_ticks" in changed and top.bid_ticks is not None:
        rows.append(_row(top, contract, NEW_BEST_BID, top.bid_ticks, top.bid_size))
    if "ask_ticks" in changed and top.ask_ticks is not None:
        rows.append(_row(top, contract, NEW_BEST_ASK, top.ask_ticks, top.ask_size))
    return rows


def _row(top: Top, contract: SimContract, kind: int, ticks: int | None, volume: int) -> Row:
    return {
        "contractId": top.contract_id,
        "timestamp": milli_time(top.at_ns),
        "type": kind,
        "price": price(ticks or 0, contract),
        "volume": volume,
        "currentVolume": 0,
    }


def _volume(ticks: int) -> int:
    """Uneven and always the same at the same price."""
    return 1 + ticks * 7919 % 40

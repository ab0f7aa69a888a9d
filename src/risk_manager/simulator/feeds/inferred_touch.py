"""A bid and ask for recordings that hold prints only."""

from risk_manager.domain.order import Side


class InferredTouch:
    """One tick wide, from who traded: a buyer lifted the ask, a seller hit the bid.

    Without an aggressor the last change of price tells (up: a buyer), and before any change a buyer is assumed.
    """

    def __init__(self) -> None:
        self._last_ticks: int | None = None
        self._was_bought = True

    def after(self, price_ticks: int, aggressor: Side | None) -> tuple[int, int]:
        """Bid and ask in ticks that fit the print."""
        if aggressor is not None:
            self._was_bought = aggressor is Side.BUY
        elif self._last_ticks is not None and price_ticks != self._last_ticks:
            self._was_bought = price_ticks > self._last_ticks
        self._last_ticks = price_ticks
        return (price_ticks - 1, price_ticks) if self._was_bought else (price_ticks, price_ticks + 1)

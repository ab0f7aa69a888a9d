"""The fills the venue has told of, each once, completed by what is said of it later."""

from collections.abc import Iterable

import msgspec

from risk_manager.domain.fill import Fill
from risk_manager.engine.lag import SNAPSHOT_LAG_NS


class ToldFills:
    """Attributes: by_id: voided ones included.   floor_ns: nothing older, by the venue's time, is taken."""

    def __init__(self) -> None:
        self.by_id: dict[str, Fill] = {}
        self.received_ns: dict[str, int] = {}
        self.floor_ns = 0

    def take(self, fill: Fill, received_ns: int, requested_ns: int | None) -> Fill | None:
        """The fill as it is known from now on; None if that is no news.

        Args:
            requested_ns: local time at which the list it is read from was asked for; None: the stream told it.
        """
        if fill.at_ns < self.floor_ns:
            return None
        known = self.by_id.get(fill.id)
        if known is not None:
            told_ns = self.received_ns.get(fill.id, 0)
            is_later = requested_ns is None or told_ns < requested_ns - SNAPSHOT_LAG_NS
            fill = _completed(known, fill, is_later=is_later, is_listed=requested_ns is not None)
        if known is None or requested_ns is None:
            self.received_ns[fill.id] = received_ns
        if fill == known:
            return None
        self.by_id[fill.id] = fill
        return fill

    def drop_before(self, floor_ns: int) -> None:
        """Forget what is older than `floor_ns`, and take no such fill from now on."""
        self.floor_ns = floor_ns
        self.by_id = {fill_id: fill for fill_id, fill in self.by_id.items() if fill.at_ns >= floor_ns}
        self.received_ns = {fill_id: at_ns for fill_id, at_ns in self.received_ns.items() if fill_id in self.by_id}

    def shift(self, by_ns: int) -> None:
        """Move every local time."""
        self.received_ns = {fill_id: at_ns + by_ns for fill_id, at_ns in self.received_ns.items()}

    def load(self, fills: Iterable[Fill], received_ns: dict[str, int], floor_ns: int) -> None:
        """Become what an image remembers."""
        self.by_id = {fill.id: fill for fill in fills}
        self.received_ns, self.floor_ns = received_ns, floor_ns


def _completed(known: Fill, again: Fill, *, is_later: bool, is_listed: bool) -> Fill:
    """A fill told again: what was missing is added, a void is for good, and the profit is what the venue said last.

    When an earlier fill is voided, the profits of those after it change (projectx 1.10). The order of the two does not
    matter, except where the venue contradicts itself.

    Args:
        is_later: `again` is what the venue says now.   is_listed: it is from the list of fills, where a missing profit
            means none; the stream leaves it out of an opening fill that it tells again.
    """
    pnl_micros = known.pnl_micros
    if pnl_micros is None or (again.pnl_micros is not None and is_later):
        pnl_micros = again.pnl_micros
    elif again.pnl_micros is None and is_later and is_listed:
        # A loss that was stated is not taken back by silence.
        pnl_micros = None if pnl_micros > 0 else pnl_micros
    return msgspec.structs.replace(
        known,
        price_ticks=known.price_ticks if known.price_ticks is not None else again.price_ticks,
        pnl_micros=pnl_micros,
        fees_micros=max(known.fees_micros, again.fees_micros),
        is_voided=known.is_voided or again.is_voided,
    )

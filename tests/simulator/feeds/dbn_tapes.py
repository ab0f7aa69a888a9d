"""DBN files written for tests, in the format of the recorded hour: a snapshot, a pre-open, an auction, a session.

Actions and sides are the letters of the format: Add, Cancel, Modify, Trade, Fill, cleaR; Bid, Ask, None.
"""

from collections.abc import Iterable
from datetime import date
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import databento_dbn as dbn

INSTRUMENT_ID = 17_077
TICK_NANOS = 250_000_000
OPEN_NS = 1_703_545_200_000_000_000
START_NS = 1_703_462_400_000_000_000

REAL_HOUR = Path(__file__).parents[3] / ".." / "shared" / "data" / "esh4-glbx-mdp3-20231225.mbo.dbn.zst"


class _Interval(NamedTuple):
    symbol: str
    start_date: date = date(2023, 12, 25)
    end_date: date = date(2023, 12, 26)


class _Mapping(NamedTuple):
    raw_symbol: str
    intervals: tuple[_Interval, ...]


def mbo(
    action: str,
    side: str,
    ticks: int,
    size: int,
    order_id: int,
    at_ns: int,
    *,
    flags: int = dbn.F_LAST,
    instrument_id: int = INSTRUMENT_ID,
) -> dbn.MBOMsg:
    return dbn.MBOMsg(
        1,
        instrument_id,
        at_ns,
        order_id,
        ticks * TICK_NANOS,
        size,
        dbn.Action(action),
        dbn.Side(side),
        at_ns + 90_000,
        flags=flags,
    )


def mbp1(
    action: str, side: str, ticks: int, size: int, at_ns: int, bid: tuple[int, int], ask: tuple[int, int]
) -> dbn.MBP1Msg:
    """`bid` and `ask` are (ticks, size); a size of 0 leaves the side empty."""
    prices = [ticks * TICK_NANOS if size else dbn.UNDEF_PRICE for ticks, size in (bid, ask)]
    # The stub says a list of levels, the library takes the one level itself.
    levels: Any = dbn.BidAskPair(prices[0], prices[1], bid[1], ask[1], 1, 1)
    return dbn.MBP1Msg(
        1,
        INSTRUMENT_ID,
        at_ns,
        ticks * TICK_NANOS,
        size,
        dbn.Action(action),
        dbn.Side(side),
        0,
        at_ns + 90_000,
        dbn.F_LAST,
        levels=levels,
    )


def trade(side: str, ticks: int, size: int, at_ns: int) -> dbn.TradeMsg:
    return dbn.TradeMsg(
        1,
        INSTRUMENT_ID,
        at_ns,
        ticks * TICK_NANOS,
        size,
        dbn.Action("T"),
        dbn.Side(side),
        0,
        at_ns + 90_000,
        dbn.F_LAST,
    )


def write_tape(
    path: Path,
    schema: str,
    records: Iterable[Any],
    *,
    symbols: dict[str, int] | None = None,
    is_compressed: bool = False,
) -> Path:
    """A DBN file of these records; `symbols` are symbol and instrument id, ESH4 by default."""
    names = symbols or {"ESH4": INSTRUMENT_ID}
    # The stub asks for classes the library does not look for; their members are enough.
    mappings: Any = [_Mapping(symbol, (_Interval(str(instrument_id)),)) for symbol, instrument_id in names.items()]
    metadata = dbn.Metadata(
        "GLBX.MDP3",
        START_NS,
        dbn.SType.from_str("raw_symbol"),
        dbn.SType.from_str("instrument_id"),
        dbn.Schema.from_str(schema),
        symbols=list(names),
        mappings=mappings,
        end=START_NS + 86_400_000_000_000,
    )
    plain = metadata.encode() + b"".join(bytes(record) for record in records)
    if not is_compressed:
        path.write_bytes(plain)
        return path
    packed = BytesIO()
    with dbn.Transcoder(packed, dbn.Encoding.from_str("dbn"), dbn.Compression.from_str("zstd")) as transcoder:
        transcoder.write(plain)
    path.write_bytes(packed.getvalue())
    return path


def invented_hour(seed: int = 7, events: int = 5_000) -> list[dbn.MBOMsg]:
    """An hour like the recorded one: orders come, change and go, and aggressors sweep one or several levels."""
    return _Hour(seed).records(events)


class _Hour:
    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._orders: dict[int, tuple[str, int, int]] = {}
        self._next_id = 6_412_777_000_000
        self._resting = "A"
        self._out: list[dbn.MBOMsg] = []

    def records(self, events: int) -> list[dbn.MBOMsg]:
        snapshot = dbn.F_SNAPSHOT | dbn.F_BAD_TS_RECV
        self._say("R", "N", 0, 0, 0, START_NS, flags=snapshot)
        for distance in range(1, 15):
            for side, ticks in (("B", 19_200 - distance), ("A", 19_200 + distance)):
                self._add(side, ticks, 5, START_NS, flags=snapshot)
        self._pre_open()
        for index in range(events):
            self._event(OPEN_NS + (index + 1) * 1_800_000_000)
        return self._out

    def _pre_open(self) -> None:
        """Two orders cross before the open; the auction prints, and their removal uncrosses the book."""
        buyer = self._add("B", 19_204, 3, OPEN_NS - 60_000_000_000)
        seller = self._add("A", 19_200, 3, OPEN_NS - 50_000_000_000)
        self._say("T", "N", 19_201, 3, 0, OPEN_NS, flags=0)
        for order_id in (buyer, seller):
            self._say("F", "N", 19_201, 3, order_id, OPEN_NS, flags=0)
        self._remove(buyer, 3, OPEN_NS)
        self._remove(seller, 3, OPEN_NS)

    def _event(self, at_ns: int) -> None:
        kind = self._random.choices(("add", "cancel", "modify", "trade"), (5, 3, 3, 2))[0]
        if self._random.random() < 0.02:
            self._resting = self._random.choice("BA")
        order_id = self._random.choice(list(self._orders))
        side, ticks, size = self._orders[order_id]
        is_needed = len([1 for each in self._orders.values() if each[0] == side]) < 10
        if kind == "trade":
            self._sweep(self._resting, self._random.randint(1, 18), at_ns)
        elif kind == "cancel" and not is_needed:
            self._remove(order_id, self._random.randint(1, size), at_ns, flags=dbn.F_LAST)
        elif kind == "modify":
            size = self._random.randint(1, 9)
            self._orders[order_id] = (side, ticks, size)
            self._say("M", side, ticks, size, order_id, at_ns)
        else:
            bid, ask = self._touch()
            # The side that is being hit gives way and the other follows: the price runs, then turns.
            is_bid = self._random.random() < (0.25 if self._resting == "B" else 0.75)
            away = self._random.choice((0, 0, 1, 2, 5))
            if ask - bid > 1:
                away = -self._random.randint(1, ask - bid - 1)
            price = bid - away if is_bid else ask + away
            self._add("B" if is_bid else "A", price, self._random.randint(1, 9), at_ns)

    def _sweep(self, resting: str, size: int, at_ns: int) -> None:
        """An aggressor takes `size`: trades and fills come first, the cancels after, F_LAST on the last of them."""
        aggressor = "A" if resting == "B" else "B"
        sign = -1 if resting == "B" else 1
        queue = sorted((ticks * sign, key) for key, (side, ticks, _) in self._orders.items() if side == resting)
        taken: list[tuple[int, int]] = []
        for _, order_id in queue[:-3]:
            part = min(size, self._orders[order_id][2])
            if part:
                taken.append((order_id, part))
                size -= part
        for order_id, part in taken:
            ticks = self._orders[order_id][1]
            self._say("T", aggressor, ticks, part, 0, at_ns, flags=0)
            self._say("F", resting, ticks, part, order_id, at_ns, flags=0)
        for index, (order_id, part) in enumerate(taken):
            self._remove(order_id, part, at_ns, flags=dbn.F_LAST if index == len(taken) - 1 else 0)

    def _touch(self) -> tuple[int, int]:
        bids = [ticks for side, ticks, _ in self._orders.values() if side == "B"]
        asks = [ticks for side, ticks, _ in self._orders.values() if side == "A"]
        return max(bids), min(asks)

    def _add(self, side: str, ticks: int, size: int, at_ns: int, flags: int = dbn.F_LAST) -> int:
        self._next_id += 1
        self._orders[self._next_id] = (side, ticks, size)
        self._say("A", side, ticks, size, self._next_id, at_ns, flags=flags)
        return self._next_id

    def _remove(self, order_id: int, size: int, at_ns: int, flags: int = dbn.F_LAST) -> None:
        side, ticks, resting = self._orders.pop(order_id)
        if resting > size:
            self._orders[order_id] = (side, ticks, resting - size)
        self._say("C", side, ticks, size, order_id, at_ns, flags=flags)

    def _say(
        self,
        action: str,
        side: str,
        ticks: int,
        size: int,
        order_id: int,
        at_ns: int,
        *,
        flags: int = dbn.F_LAST,
    ) -> None:
        self._out.append(mbo(action, side, ticks, size, order_id, at_ns, flags=flags))

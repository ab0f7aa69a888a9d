"""Market data in CSV files: bars (time, open, high, low, close, volume) or ticks (time, price, bid, ask, size).

Columns are found by their names in the first row, in any order and by the names exports commonly give them; a file
without such a row is read by position: `time,open,high,low,close,volume`, `time,price,bid,ask,size`,
`time,price,size` or `time,price`. Commas, semicolons and tabs are told apart. Times are ISO 8601 or epoch numbers (see
`instants`). The whole file is checked before anything is shown, and every fault is reported with its line.
"""

import csv
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import tzinfo
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from itertools import pairwise
from pathlib import Path

import msgspec

from risk_manager.domain.contract import Contract
from risk_manager.domain.instrument import NANOS_PER_UNIT
from risk_manager.domain.order import Side
from risk_manager.simulator.feeds import FeedItem, FeedPrint, FeedQuote, TapeError, ticks_of_nanos
from risk_manager.simulator.feeds.bar_path import Bar, bar_items
from risk_manager.simulator.feeds.inferred_touch import InferredTouch
from risk_manager.simulator.feeds.instants import parse_instant_ns

_NAMES: Mapping[str, frozenset[str]] = {
    "date": frozenset({"date"}),
    "time": frozenset({"time", "timestamp", "datetime", "date_time", "ts", "ts_event", "ts_recv", "time_utc"}),
    "open": frozenset({"open", "o"}),
    "high": frozenset({"high", "h"}),
    "low": frozenset({"low", "l"}),
    "close": frozenset({"close", "c"}),
    "volume": frozenset({"volume", "vol", "v"}),
    "price": frozenset({"price", "last", "px", "trade", "trade_price", "last_price"}),
    "bid": frozenset({"bid", "bid_price", "bid_px", "bid_px_00"}),
    "ask": frozenset({"ask", "offer", "ask_price", "ask_px", "ask_px_00"}),
    "size": frozenset({"size", "quantity", "qty", "last_size", "trade_size"}),
    "bid_size": frozenset({"bid_size", "bid_sz", "bid_sz_00", "bid_qty"}),
    "ask_size": frozenset({"ask_size", "ask_sz", "ask_sz_00", "ask_qty"}),
    "side": frozenset({"side", "aggressor"}),
    "symbol": frozenset({"symbol", "contract", "contract_id", "instrument", "ticker"}),
}
_POSITIONS: Mapping[int, tuple[str, ...]] = {
    2: ("time", "price"),
    3: ("time", "price", "size"),
    5: ("time", "price", "bid", "ask", "size"),
    6: ("time", "open", "high", "low", "close", "volume"),
}
_BUYS = frozenset({"b", "buy", "bid", "buyer"})
_SELLS = frozenset({"a", "s", "sell", "ask", "seller"})
_FAULTS_SHOWN = 20
_DEFAULT_INTERVAL_NS = 60 * NANOS_PER_UNIT


class CsvKind(StrEnum):
    BARS = "bars"
    TICKS = "ticks"


class CsvTape:
    """A CSV file as a feed, read and checked when it is opened.

    Attributes:
        kind: what the file holds.
        contract_ids: the contracts it shows, in the order they appear.
    """

    def __init__(
        self,
        path: Path,
        contracts: Iterable[Contract],
        *,
        contract_id: str | None = None,
        names: Mapping[str, str] | None = None,
        zone: tzinfo | None = None,
        columns: Sequence[str] | None = None,
        bar_interval_ns: int | None = None,
        bars_are_stamped_at_close: bool = False,
    ) -> None:
        """Read the file.

        Args:
            contracts: what the venue lists; a `symbol` column names them by name or id.
            contract_id: the contract of a file without such a column.
            names: ids of contracts for symbols that are neither.
            zone: the time zone of times that name none; without it they are refused.
            columns: our names of the columns, for a file whose first row does not say.
            bar_interval_ns: length of a bar; None takes the smallest distance between two bars, or one minute.

        Raises:
            TapeError: no such file, columns that fit neither kind, or faulty lines: all of them in one message.
        """
        self._path = path
        self._known = {key: contract for contract in contracts for key in (contract.id, contract.name)}
        self._known |= {name: self._known[contract_id] for name, contract_id in (names or {}).items()}
        self._only = self._known.get(contract_id) if contract_id is not None else None
        if contract_id is not None and self._only is None:
            raise TapeError(f"{path.name}: no listed contract is called {contract_id!r}")
        self._zone = zone
        rows = _rows(path)
        self._index, has_header = _columns(path, rows[0][1], columns)
        self.kind = _kind(path, self._index.keys())
        if "symbol" not in self._index and self._only is None:
            raise TapeError(f"{path.name}: no column names the contract; say which contract the file is of")
        rows = rows[1:] if has_header else rows
        if not rows:
            raise TapeError(f"{path.name}: the file holds no lines of data")
        self._interval_ns = bar_interval_ns
        self._is_stamped_at_close = bars_are_stamped_at_close
        self._items = self._bars(rows) if self.kind is CsvKind.BARS else self._ticks(rows)
        self.contract_ids = tuple(dict.fromkeys(item.contract_id for item in self._items))

    def __iter__(self) -> Iterator[FeedItem]:
        return iter(self._items)

    def _bars(self, rows: list[tuple[int, list[str]]]) -> list[FeedItem]:
        faults = _Faults(self._path.name)
        bars: list[Bar] = []
        latest_ns: dict[str, int] = {}
        for line, row in rows:
            try:
                bar = self._bar(_Row(row, self._index), bars[-1].start_ns if bars else None)
                if latest_ns.get(bar.contract_id) == bar.start_ns:
                    raise ValueError("a second bar of the same time")
                latest_ns[bar.contract_id] = bar.start_ns
                bars.append(bar)
            except ValueError as error:
                faults.add(line, str(error))
        faults.raise_any()
        interval_ns = self._interval_ns or _smallest_gap_ns(bars) or _DEFAULT_INTERVAL_NS
        early_ns = interval_ns if self._is_stamped_at_close else 0
        moved = [msgspec.structs.replace(bar, start_ns=bar.start_ns - early_ns) for bar in bars]
        items = [item for bar in moved for item in bar_items(bar, interval_ns)]
        # Bars of several contracts overlap; a stable sort brings their steps into one order of time.
        return sorted(items, key=lambda item: item.at_ns)

    def _bar(self, row: "_Row", last_ns: int | None) -> Bar:
        contract = self._contract_of(row)
        at_ns = self._instant_ns(row, last_ns)
        tick = contract.instrument.tick_size_nanos
        open_, high, low, close = (_required(row.ticks(name, tick), name) for name in ("open", "high", "low", "close"))
        if high < max(open_, close, low):
            raise ValueError(f"high {row.text('high')} is below another price of the bar")
        if low > min(open_, close):
            raise ValueError(f"low {row.text('low')} is above another price of the bar")
        volume = row.count("volume") if "volume" in self._index else None
        return Bar(contract.id, at_ns, open_, high, low, close, volume)

    def _ticks(self, rows: list[tuple[int, list[str]]]) -> list[FeedItem]:
        faults = _Faults(self._path.name)
        shown: dict[str, _TickRows] = {}
        items: list[FeedItem] = []
        last_ns: int | None = None
        for line, cells in rows:
            row = _Row(cells, self._index)
            try:
                contract = self._contract_of(row)
                at_ns = self._instant_ns(row, last_ns)
                items += shown.setdefault(contract.id, _TickRows(contract)).take(row, at_ns)
                last_ns = at_ns
            except ValueError as error:
                faults.add(line, str(error))
        faults.raise_any()
        return items

    def _instant_ns(self, row: "_Row", last_ns: int | None) -> int:
        text = row.instant()
        at_ns = parse_instant_ns(text, self._zone)
        if last_ns is not None and at_ns < last_ns:
            raise ValueError(f"time {text} is before the line above")
        return at_ns

    def _contract_of(self, row: "_Row") -> Contract:
        name = row.text("symbol")
        if name:
            return self._contract(name)
        if self._only is None:
            raise ValueError("no symbol")
        return self._only

    def _contract(self, name: str) -> Contract:
        contract = self._known.get(name)
        if contract is None:
            raise ValueError(f"no listed contract is called {name!r}")
        return contract


class CsvHeader(msgspec.Struct, frozen=True):
    """What a file says of itself.

    Attributes:
        symbols: those of its symbol column in the order they appear; empty without such a column.
        start_ns: its first time.
    """

    symbols: tuple[str, ...]
    start_ns: int


def read_csv_header(path: Path, zone: tzinfo | None = None) -> CsvHeader:
    """What a CSV file is of, before anybody knows its contracts.

    Raises:
        TapeError: no such file, no columns we know, or no time in its first line.
    """
    rows = _rows(path)
    index, has_header = _columns(path, rows[0][1], None)
    _kind(path, index.keys())
    lines = [(line, _Row(cells, index)) for line, cells in (rows[1:] if has_header else rows)]
    if not lines:
        raise TapeError(f"{path.name}: the file holds no lines of data")
    number, first = lines[0]
    try:
        start_ns = parse_instant_ns(first.instant(), zone)
    except ValueError as error:
        raise TapeError(f"{path.name}: line {number}: {error}") from None
    return CsvHeader(tuple(dict.fromkeys(name for _, row in lines if (name := row.text("symbol")))), start_ns)


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """Line number and cells of every line that holds anything; at least one."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            delimiter = max(",;\t", key=first.count)
            reader = csv.reader(file, delimiter=delimiter)
            rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TapeError(f"{path.name}: {error}") from error
    if not rows:
        raise TapeError(f"{path.name}: the file is empty")
    return rows


def _columns(path: Path, first: list[str], given: Sequence[str] | None) -> tuple[dict[str, int], bool]:
    """Where each of our columns is, and whether the first row only named them."""
    found: dict[str, int] = {}
    for index, cell in enumerate(first):
        name = _our_name(cell)
        if name is not None:
            found.setdefault(name, index)
    has_header = bool(found)
    if given is not None:
        found = {name: index for index, name in enumerate(given) if name in _NAMES}
    elif not has_header:
        if len(first) not in _POSITIONS:
            raise TapeError(f"{path.name}: no row names the columns, and {len(first)} of them could mean anything")
        found = {name: index for index, name in enumerate(_POSITIONS[len(first)])}
    return _settled(found), has_header


def _kind(path: Path, names: Collection[str]) -> CsvKind:
    if "time" in names and {"open", "high", "low", "close"}.issubset(names):
        return CsvKind.BARS
    if "time" in names and ("price" in names or {"bid", "ask"}.issubset(names)):
        return CsvKind.TICKS
    raise TapeError(
        f"{path.name}: columns are {', '.join(names) or 'none we know'}; "
        "needed are time, open, high, low, close for bars, or time with price, or time with bid and ask for ticks"
    )


class _TickRows:
    """Turns the rows of one contract into quotes and prints; a missing side keeps its last price."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._bid: int | None = None
        self._ask: int | None = None
        self._quote: tuple[int, int, int, int] | None = None
        self._inferred = InferredTouch()
        self._has_quotes = False

    def take(self, row: "_Row", at_ns: int) -> list[FeedItem]:
        tick = self._contract.instrument.tick_size_nanos
        bid, ask, price = row.ticks("bid", tick), row.ticks("ask", tick), row.ticks("price", tick)
        if bid is None and ask is None and price is None:
            raise ValueError("neither a price nor a bid nor an ask")
        size = row.count("size") if price is not None and row.text("size") else 1
        aggressor = _aggressor(row.text("side"))
        bid_size, ask_size = row.count("bid_size"), row.count("ask_size")
        self._has_quotes = self._has_quotes or bid is not None or ask is not None
        self._bid = self._bid if bid is None else bid
        self._ask = self._ask if ask is None else ask
        if aggressor is None and price is not None and self._bid is not None and self._ask is not None:
            aggressor = Side.BUY if price >= self._ask else Side.SELL if price <= self._bid else None
        if price is not None and not self._has_quotes:
            self._bid, self._ask = self._inferred.after(price, aggressor)
        if self._bid is not None and self._ask is not None and self._bid > self._ask:
            raise ValueError(f"bid {row.text('bid')} is above ask {row.text('ask')}")
        items = self._changed(bid_size, ask_size, at_ns)
        if price is not None and size:
            items.append(FeedPrint(self._contract.id, price, size, aggressor, at_ns))
        return items

    def _changed(self, bid_size: int, ask_size: int, at_ns: int) -> list[FeedItem]:
        if self._bid is None or self._ask is None or self._quote == (self._bid, self._ask, bid_size, ask_size):
            return []
        self._quote = (self._bid, self._ask, bid_size, ask_size)
        return [FeedQuote(self._contract.id, *self._quote, at_ns)]


class _Row:
    """One line by our column names; a cell that is missing reads as empty."""

    def __init__(self, cells: list[str], index: Mapping[str, int]) -> None:
        self._cells = cells
        self._index = index

    def text(self, name: str) -> str:
        index = self._index.get(name)
        return self._cells[index] if index is not None and index < len(self._cells) else ""

    def instant(self) -> str:
        return " ".join(part for part in (self.text("date"), self.text("time")) if part)

    def ticks(self, name: str, tick_size_nanos: int) -> int | None:
        text = self.text(name)
        if not text:
            return None
        nanos = _number(text, name) * NANOS_PER_UNIT
        if nanos != nanos.to_integral_value():
            raise ValueError(f"{name} {text} is finer than any price")
        try:
            return ticks_of_nanos(int(nanos), tick_size_nanos)
        except ValueError:
            tick = Decimal(tick_size_nanos) / NANOS_PER_UNIT
            raise ValueError(f"{name} {text} is not a multiple of the tick size {tick}") from None

    def count(self, name: str) -> int:
        text = self.text(name)
        number = _number(text, name) if text else Decimal(0)
        if number < 0 or number != number.to_integral_value():
            raise ValueError(f"{name} {text} is not a whole number of contracts")
        return int(number)


class _Faults:
    """The faulty lines of a file."""

    def __init__(self, file_name: str) -> None:
        self._file_name = file_name
        self._lines: list[str] = []

    def add(self, line: int, text: str) -> None:
        self._lines.append(f"  line {line}: {text}")

    def raise_any(self) -> None:
        if not self._lines:
            return
        more = len(self._lines) - _FAULTS_SHOWN
        shown = [*self._lines[:_FAULTS_SHOWN], *([f"  and {more} more"] if more > 0 else [])]
        raise TapeError("\n".join([f"{self._file_name}: {len(self._lines)} faulty lines", *shown]))


def _our_name(cell: str) -> str | None:
    plain = cell.strip().strip("<>").lower().replace(" ", "_").replace("-", "_")
    return next((name for name, spellings in _NAMES.items() if plain in spellings), None)


def _settled(found: dict[str, int]) -> dict[str, int]:
    """The columns with doubtful names decided by the company they keep."""
    if "time" not in found and "date" in found:
        found["time"] = found.pop("date")
    if found.keys() >= {"open", "high", "low"} and "close" not in found and "price" in found:
        found["close"] = found.pop("price")
    if "price" in found and "size" not in found and "volume" in found:
        found["size"] = found.pop("volume")
    return found


def _number(text: str, name: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{name} {text!r} is not a number") from None
    if not number.is_finite():
        raise ValueError(f"{name} {text!r} is not a number")
    return number


def _required(ticks: int | None, name: str) -> int:
    if ticks is None:
        raise ValueError(f"{name} is missing")
    return ticks


def _aggressor(text: str) -> Side | None:
    plain = text.lower()
    return Side.BUY if plain in _BUYS else Side.SELL if plain in _SELLS else None


def _smallest_gap_ns(bars: list[Bar]) -> int | None:
    starts = sorted({bar.start_ns for bar in bars})
    return min((later - earlier for earlier, later in pairwise(starts)), default=None)

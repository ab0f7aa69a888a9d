"""Recorded exchange data in Databento's DBN format, plain or zstd: schemas `mbo`, `mbp-1` (and `tbbo`) and `trades`.

What is shown of each schema:

* `mbo`: the book is rebuilt order by order; a quote appears when the best price or size changed, and only after a
  record with the flag F_LAST (until then the book is half updated and may show prices that are gone), never crossed or
  one-sided. Nothing is quoted before the first trade: a pre-open book is no market anybody could deal in.
* `mbp-1`, `tbbo`: the best bid and offer of the record's level, under the same conditions, and its trades as prints.
* `trades`: prints, and a touch one tick wide that is inferred from them (a buyer lifted the ask, a seller hit the bid;
  without an aggressor the side that the last move points to).

Time is `ts_event`, the matching engine's. The library is loaded when a tape is opened, never before.
Source: databento.com/docs, schemas `mbo`, `mbp-1`, `trades`; "State management of resting orders"; GLBX.MDP3, "F_LAST".
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol, cast

import msgspec

from risk_manager.domain.contract import Contract
from risk_manager.domain.order import Side
from risk_manager.simulator.feeds import FeedItem, FeedPrint, FeedQuote, TapeError, ticks_of_nanos
from risk_manager.simulator.feeds.inferred_touch import InferredTouch
from risk_manager.simulator.feeds.order_book import Best, OrderBook

if TYPE_CHECKING:
    import databento_dbn

_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_CHUNK_BYTES = 1 << 18


class DbnHeader(msgspec.Struct, frozen=True):
    """What a file says of itself.

    Attributes:
        symbols: what was asked for, mapped to instrument ids (`ESH4`).   start_ns: of the recorded period.
    """

    schema: str
    symbols: tuple[str, ...]
    start_ns: int


def read_header(path: Path) -> DbnHeader:
    """The header of a DBN file.

    Raises:
        TapeError: no such file, not DBN, or the library is missing.
    """
    metadata = _metadata(path, _library())
    return DbnHeader(str(metadata.schema), _symbols(metadata), metadata.start)


class DbnTape:
    """A DBN file as a feed; every iteration reads it again from the start, a piece at a time.

    Attributes:
        schema: the schema named in the file.
        contract_ids: the contracts it shows, in the order of the file's symbols.
        unknown_symbols: symbols of the file that no given contract is called; their records are left out.
    """

    def __init__(self, path: Path, contracts: Iterable[Contract], *, names: Mapping[str, str] | None = None) -> None:
        """Read the file's header.

        Args:
            contracts: what the venue lists; a symbol of the file (`ESH4`) is the contract of that name.
            names: contract ids for symbols that are not names of contracts (`ES.c.0`).

        Raises:
            TapeError: no such file, not DBN, a schema we cannot show, no symbol known, or the library is missing.
        """
        self._path = path
        self._dbn = _library()
        metadata = _metadata(path, self._dbn)
        self.schema = str(metadata.schema)
        if self.schema not in _READERS:
            raise TapeError(f"{path.name}: schema {self.schema} is not supported; use one of {', '.join(_READERS)}")
        known = {contract.name: contract for contract in contracts}
        by_id = {contract.id: contract for contract in known.values()}
        known |= {symbol: by_id[contract_id] for symbol, contract_id in (names or {}).items() if contract_id in by_id}
        symbols = _symbols(metadata)
        self.unknown_symbols = tuple(symbol for symbol in symbols if symbol not in known)
        self._contracts = self._by_instrument_id({symbol: metadata.mappings[symbol] for symbol in symbols}, known)
        self.contract_ids = tuple(dict.fromkeys(contract.id for contract in self._contracts.values()))
        if not self.contract_ids:
            raise TapeError(
                f"{path.name}: none of its symbols ({', '.join(symbols) or 'none named'}) is a listed contract "
                f"({', '.join(sorted(known)) or 'none'})"
            )

    def __iter__(self) -> Iterator[FeedItem]:
        reader_of = _READERS[self.schema]
        readers = {key: reader_of(self._dbn, contract) for key, contract in self._contracts.items()}
        last_ns = 0
        for record in _records(self._path, self._dbn):
            reader = readers.get(record.instrument_id)
            if reader is None:
                continue
            # Contracts of one file are recorded on one clock, but a venue may stamp two products out of order.
            last_ns = max(last_ns, record.ts_event)
            try:
                yield from reader.take(record, last_ns)
            except ValueError as error:
                raise TapeError(f"{self._path.name}: record of {last_ns} ns: {error}") from error

    def _by_instrument_id(self, symbols: Mapping[str, Any], known: Mapping[str, Contract]) -> dict[int, Contract]:
        found: dict[int, Contract] = {}
        for symbol, intervals in symbols.items():
            contract = known.get(symbol)
            if contract is None:
                continue
            for interval in intervals:
                key = int(interval["symbol"])
                if found.setdefault(key, contract) != contract:
                    raise TapeError(f"{self._path.name}: instrument id {key} changes its symbol; split the file by day")
        return found


class _Reader(Protocol):
    """Turns the records of one contract into what is shown of it."""

    def __init__(self, dbn: ModuleType, contract: Contract) -> None: ...

    def take(self, record: Any, at_ns: int) -> list[FeedItem]: ...


class _Shown:
    """The contract, and the quote last shown of it."""

    def __init__(self, dbn: ModuleType, contract: Contract) -> None:
        self.dbn = dbn
        self._id = contract.id
        self._tick = contract.instrument.tick_size_nanos
        self._last: FeedQuote | None = None
        self._is_open = False

    def print(self, record: Any, at_ns: int) -> FeedPrint:
        self._is_open = True
        price = ticks_of_nanos(record.price, self._tick)
        side = record.side
        if side == self.dbn.Side.BID:
            return FeedPrint(self._id, price, record.size, Side.BUY, at_ns)
        return FeedPrint(self._id, price, record.size, Side.SELL if side == self.dbn.Side.ASK else None, at_ns)

    def quote(self, best: Best | None, at_ns: int) -> list[FeedItem]:
        """The quote if it is new and the market is open, else nothing."""
        if best is None or not self._is_open:
            return []
        bid, ask = ticks_of_nanos(best.bid, self._tick), ticks_of_nanos(best.ask, self._tick)
        return self.touch(bid, ask, best.bid_size, best.ask_size, at_ns)

    def touch(self, bid: int, ask: int, bid_size: int, ask_size: int, at_ns: int) -> list[FeedItem]:
        last = self._last
        if last and (last.bid_ticks, last.ask_ticks, last.bid_size, last.ask_size) == (bid, ask, bid_size, ask_size):
            return []
        self._last = FeedQuote(self._id, bid, ask, bid_size, ask_size, at_ns)
        return [self._last]


class _MboReader:
    def __init__(self, dbn: ModuleType, contract: Contract) -> None:
        self._shown = _Shown(dbn, contract)
        self._book = OrderBook()

    def take(self, record: Any, at_ns: int) -> list[FeedItem]:
        dbn = self._shown.dbn
        action = record.action
        items: list[FeedItem] = []
        if action == dbn.Action.CANCEL:
            self._book.cancel(record.order_id, record.size)
        elif action == dbn.Action.TRADE:
            items.append(self._shown.print(record, at_ns))
        elif action == dbn.Action.CLEAR:
            self._book.clear()
        elif action in (dbn.Action.ADD, dbn.Action.MODIFY) and record.price != dbn.UNDEF_PRICE:
            is_bid = record.side == dbn.Side.BID
            self._book.add(record.order_id, is_bid=is_bid, price=record.price, size=record.size)
        if record.flags & dbn.F_LAST:
            items += self._shown.quote(self._book.best(), at_ns)
        return items


class _Mbp1Reader:
    def __init__(self, dbn: ModuleType, contract: Contract) -> None:
        self._shown = _Shown(dbn, contract)

    def take(self, record: Any, at_ns: int) -> list[FeedItem]:
        dbn = self._shown.dbn
        items: list[FeedItem] = []
        if record.action == dbn.Action.TRADE:
            items.append(self._shown.print(record, at_ns))
        level = record.levels[0]
        is_two_sided = dbn.UNDEF_PRICE not in (level.bid_px, level.ask_px)
        if record.flags & dbn.F_LAST and is_two_sided and level.bid_px < level.ask_px:
            items += self._shown.quote(Best(level.bid_px, level.ask_px, level.bid_sz, level.ask_sz), at_ns)
        return items


class _TradesReader:
    def __init__(self, dbn: ModuleType, contract: Contract) -> None:
        self._shown = _Shown(dbn, contract)
        self._touch = InferredTouch()

    def take(self, record: Any, at_ns: int) -> list[FeedItem]:
        print_ = self._shown.print(record, at_ns)
        bid, ask = self._touch.after(print_.price_ticks, print_.aggressor)
        return [*self._shown.touch(bid, ask, 0, 0, at_ns), print_]


_READERS: Mapping[str, type[_Reader]] = {
    "mbo": _MboReader,
    "mbp-1": _Mbp1Reader,
    "tbbo": _Mbp1Reader,
    "trades": _TradesReader,
}


def _metadata(path: Path, dbn: ModuleType) -> "databento_dbn.Metadata":
    first = next(_decoded(path, dbn), None)
    if isinstance(first, dbn.Metadata):
        return cast("databento_dbn.Metadata", first)
    raise TapeError(f"{path.name}: the file has no DBN header")


def _symbols(metadata: "databento_dbn.Metadata") -> tuple[str, ...]:
    """The mapped symbols as the file lists them; the mappings themselves come in another order on every run."""
    asked = [symbol for symbol in metadata.symbols if symbol in metadata.mappings]
    return tuple(dict.fromkeys([*asked, *sorted(metadata.mappings)]))


def _records(path: Path, dbn: ModuleType) -> Iterator[Any]:
    """Every record after the header."""
    return islice(_decoded(path, dbn), 1, None)


def _decoded(path: Path, dbn: ModuleType) -> Iterator[Any]:
    try:
        with path.open("rb") as file:
            chunk = file.read(_CHUNK_BYTES)
            is_zstd = chunk.startswith(_ZSTD_MAGIC)
            decoder = dbn.DBNDecoder(compression=dbn.Compression.ZSTD if is_zstd else dbn.Compression.NONE)
            while chunk:
                decoder.write(chunk)
                yield from decoder.decode()
                chunk = file.read(_CHUNK_BYTES)
            if decoder.buffer():
                raise TapeError(f"{path.name}: the file ends in the middle of a record")
    except (OSError, dbn.DBNError) as error:
        raise TapeError(f"{path.name}: {error}") from error


def _library() -> ModuleType:
    try:
        import databento_dbn
    except ImportError as error:
        raise TapeError("reading DBN files needs databento-dbn: pip install 'risk-manager[ticks]'") from error
    return databento_dbn

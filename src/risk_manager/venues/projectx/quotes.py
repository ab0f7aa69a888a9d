"""Quotes: sparse frames merged into the best prices of each contract, in ticks."""

from collections.abc import Callable

import msgspec

from risk_manager.domain.contract import Contract
from risk_manager.domain.events import Event, QuoteUpdated
from risk_manager.domain.instrument import NANOS_PER_UNIT
from risk_manager.domain.quote import Quote
from risk_manager.ports.clock import Clock
from risk_manager.venues.projectx import wire
from risk_manager.venues.projectx.problems import Problems
from risk_manager.venues.projectx.records import Reader
from risk_manager.venues.projectx.venue_time import VenueTime, parse_stamp_rounded_ns
from risk_manager.venues.projectx.wire import BadRecord, Fields, QuoteBody

_MISS_MAX = 1e-3
_TICKS_MAX = 1e12
_PRICES_MAX = 10_000


class _Merged:
    """The running quote of one contract and who listens to it."""

    __slots__ = ("contract_id", "is_checked", "listeners", "quote", "received_ns", "ticks_of", "ticks_per_unit")

    def __init__(self, contract_id: str) -> None:
        self.contract_id = contract_id
        self.listeners: tuple[str, ...] = ()
        self.quote = Quote(contract_id, None, None, None, 0)
        self.received_ns = 0
        self.ticks_per_unit = 0.0
        self.is_checked = False
        # The few prices a market moves among, converted and checked once.
        self.ticks_of: dict[float, int] = {}


class Quotes:
    """Takes GatewayQuote frames and delivers one QuoteUpdated per listening account, all sharing one Quote."""

    def __init__(
        self,
        deliver: Callable[[Event], None],
        contract_of: Callable[[str], Contract | None],
        reader: Reader,
        clock: Clock,
        time: VenueTime,
        problems: Problems,
    ) -> None:
        self._deliver = deliver
        self._contract_of = contract_of
        self._reader = reader
        self._now_ns = clock.now_ns
        self._time = time
        self._problems = problems
        self._by_contract: dict[str, _Merged] = {}

    def add_listener(self, contract_id: str, account_id: str) -> bool:
        """Add an account to a contract's listeners; True if it is the first."""
        merged = self._by_contract.setdefault(contract_id, _Merged(contract_id))
        if account_id not in merged.listeners:
            merged.listeners = (*merged.listeners, account_id)
        return len(merged.listeners) == 1

    def contract_ids(self) -> tuple[str, ...]:
        """Every contract somebody listens to."""
        return tuple(self._by_contract)

    def received_ns(self, contract_id: str) -> int:
        """The local time of the contract's last quote; 0 if there was none."""
        merged = self._by_contract.get(contract_id)
        return merged.received_ns if merged is not None else 0

    def forget_prices(self) -> None:
        """Start the merging anew: after a gap, an old bid beside a new ask would pass for a quote."""
        for merged in self._by_contract.values():
            merged.quote = Quote(merged.contract_id, None, None, None, merged.quote.at_ns)

    def forget_scales(self) -> None:
        """Take the tick sizes from the contract records again."""
        for merged in self._by_contract.values():
            merged.ticks_per_unit = 0.0
            merged.ticks_of.clear()

    def on_record(self, record: bytes) -> None:
        """A whole GatewayQuote record in the venue's usual spelling; any other spelling takes the slow way."""
        try:
            contract_id, body = wire.decode_quote_record(record).arguments
        except (ValueError, RecursionError):
            self._on_unusual_record(record)
            return
        merged = self._by_contract.get(contract_id)
        if merged is None:
            return
        if not merged.is_checked:
            # Unknown members are looked for in each contract's first frame only: it carries all of them.
            merged.is_checked = True
            self._on_unusual_record(record)
        elif body.best_bid is None and body.best_ask is None and body.last_price is None:
            # Many quotes move the volume alone. Without a stamp it is none of ours: it may be in an envelope.
            if body.timestamp is None and body.last_updated is None:
                self._on_unusual_record(record)
        else:
            self._merge(merged, body)

    def on_arguments(self, arguments: msgspec.Raw) -> None:
        """The arguments of a GatewayQuote: a contract id, then records bare, enveloped or listed."""
        try:
            decoded = wire.decode_any(arguments)
            if not isinstance(decoded, list) or not decoded or not isinstance(decoded[0], str):
                raise BadRecord("no contract id")
            merged = self._by_contract.get(decoded[0])
            for _, fields in wire.unwrap(decoded[1:]):
                self._reader.drift_in_quote(fields)
                if merged is not None:
                    self._merge(merged, _body(fields))
        except (ValueError, RecursionError) as error:
            self._problems.note("rejected_frame", f"GatewayQuote: {error}"[:300])

    def _on_unusual_record(self, record: bytes) -> None:
        try:
            arguments = msgspec.json.decode(record, type=_Arguments).arguments
        except (ValueError, RecursionError) as error:
            self._problems.note("rejected_frame", f"GatewayQuote: {error}"[:300])
        else:
            self.on_arguments(arguments)

    def _merge(self, merged: _Merged, body: QuoteBody) -> None:
        if merged.ticks_per_unit == 0.0 and not self._find_scale(merged):
            return
        received_ns = self._now_ns()
        quote = merged.quote
        bid, ask, last = body.best_bid, body.best_ask, body.last_price
        # Zero is how the venue writes "none yet"; a price truly at zero stays at the last known one.
        if not (bid or ask or last):
            return
        bid_ticks, ask_ticks, last_ticks = quote.bid_ticks, quote.ask_ticks, quote.last_ticks
        known = merged.ticks_of
        if bid and (ticks := known.get(bid) or self._ticks(bid, merged)) is not None:
            bid_ticks = ticks
        if ask and (ticks := known.get(ask) or self._ticks(ask, merged)) is not None:
            ask_ticks = ticks
        if last and (ticks := known.get(last) or self._ticks(last, merged)) is not None:
            last_ticks = ticks
        at_ns = self._at_ns(body, received_ns)
        if at_ns < quote.at_ns:
            at_ns = quote.at_ns
        merged.received_ns = received_ns
        merged.quote = quote = Quote(merged.contract_id, bid_ticks, ask_ticks, last_ticks, at_ns)
        for account_id in merged.listeners:
            self._deliver(QuoteUpdated(account_id, quote, at_ns, received_ns))

    def _ticks(self, price: float, merged: _Merged) -> int | None:
        """A price in ticks, None where it is off the grid. The member is dropped then, the others are kept."""
        exact = price * merged.ticks_per_unit
        if -_TICKS_MAX < exact < _TICKS_MAX:
            ticks = round(exact)
            if -_MISS_MAX < exact - ticks < _MISS_MAX:
                if len(merged.ticks_of) >= _PRICES_MAX:
                    merged.ticks_of.clear()
                merged.ticks_of[price] = ticks
                return ticks
        self._problems.note("off_grid_price", f"quote {price} of {merged.contract_id}")
        return None

    def _at_ns(self, body: QuoteBody, received_ns: int) -> int:
        """The frame's venue time; 0 where it has none that can be read."""
        text = body.timestamp or body.last_updated
        if text is None:
            return 0
        try:
            at_ns = parse_stamp_rounded_ns(text)
        except (ValueError, OverflowError) as error:
            self._problems.note("bad_stamp", f"GatewayQuote: {error}"[:200])
            return 0
        if at_ns > received_ns + self._time.lead_ns:
            self._problems.note("stamp_ahead", f"GatewayQuote: {text[:40]}")
            return self._time.now_ns(received_ns)
        return at_ns

    def _find_scale(self, merged: _Merged) -> bool:
        contract = self._contract_of(merged.contract_id)
        if contract is None:
            self._problems.note_once("quote_of_unknown_contract", merged.contract_id)
            return False
        merged.ticks_per_unit = NANOS_PER_UNIT / contract.instrument.tick_size_nanos
        return True


class _Arguments(msgspec.Struct):
    arguments: msgspec.Raw


def _body(fields: Fields) -> QuoteBody:
    def price(key: str) -> float | None:
        found = wire.read_optional_decimal(fields, key)
        return None if found is None else float(found)

    return QuoteBody(
        last_price=price("lastPrice"),
        best_bid=price("bestBid"),
        best_ask=price("bestAsk"),
        timestamp=wire.read_optional_text(fields, "timestamp"),
        last_updated=wire.read_optional_text(fields, "lastUpdated"),
    )

"""Contracts by id, from the venue's own records only: the tick arithmetic, and the names traders use.

The venue's ids spell roots of their own (`CON.F.US.EP.H24` for ES). What traders write is in the contract's name
(`ESH4`) before the month code and the year; the id's root becomes an alias.
"""

import re
from collections.abc import Iterable
from decimal import Decimal

import msgspec

from risk_manager.domain.contract import Contract
from risk_manager.domain.instrument import MICROS_PER_USD, NANOS_PER_UNIT, Instrument
from risk_manager.venues.projectx import wire
from risk_manager.venues.projectx.wire import BadRecord, Fields

CONTRACT_KEYS = frozenset("id name description tickSize tickValue activeContract symbolId".split())
_DATED_NAME = re.compile(r"^(?P<root>.+?)[FGHJKMNQUVXZ]\d{1,2}$")


class ContractBook:
    """The contracts heard of so far."""

    def __init__(self) -> None:
        self._by_id: dict[str, Contract] = {}

    def get(self, contract_id: str) -> Contract | None:
        return self._by_id.get(contract_id)

    def all(self) -> tuple[Contract, ...]:
        return tuple(self._by_id.values())

    def add(self, contracts: Iterable[Contract]) -> None:
        """Take contracts in; the newer record of an id replaces the older."""
        for contract in contracts:
            self._by_id[contract.id] = contract

    def listed(self, symbol: str) -> tuple[Contract, ...]:
        """The venue's current listings of a product, by any of its names; several around a roll."""
        return tuple(c for c in self._by_id.values() if c.is_active and c.instrument.is_called(symbol))


def read_contract(fields: Fields) -> Contract:
    """A contract record.

    Raises:
        BadRecord: a member is missing, or the tick size or value is not a positive number of our units.
    """
    contract_id = wire.read_text(fields, "id")
    name = wire.read_optional_text(fields, "name") or contract_id
    symbol_id = wire.read_optional_text(fields, "symbolId") or ""
    root = root_of(name)
    names = {_venue_root(contract_id), symbol_id.rpartition(".")[2].upper()} - {root, ""}
    instrument = Instrument(
        root=root,
        tick_size_nanos=_whole(fields, "tickSize", NANOS_PER_UNIT),
        tick_value_micros=_whole(fields, "tickValue", MICROS_PER_USD),
        aliases=tuple(sorted(names)),
    )
    is_active = wire.read_flag(fields, "activeContract", default=True)
    return Contract(contract_id, name, symbol_id, instrument, is_active)


def root_of(name: str) -> str:
    """The product in a contract's name, upper case: `ESH4` is ES, `M2KU26` is M2K; a name without a date is itself."""
    dated = _DATED_NAME.match(name.upper())
    return dated["root"] if dated else name.upper()


def price_json(ticks: int, contract: Contract) -> msgspec.Raw:
    """A price as a request carries it: a plain JSON number, exact, without an exponent."""
    price = Decimal(ticks * contract.instrument.tick_size_nanos).scaleb(-9)
    return msgspec.Raw(f"{price:f}".rstrip("0").rstrip(".").encode())


def _venue_root(contract_id: str) -> str:
    """The root in `CON.F.US.EP.H24`; empty where an id does not look like that."""
    parts = contract_id.upper().split(".")
    return parts[-2] if len(parts) >= 3 else ""


def _whole(fields: Fields, key: str, units: int) -> int:
    number = wire.read_decimal(fields, key) * units
    if number != int(number) or number <= 0:
        raise BadRecord(f"{key} is no positive whole number of 1/{units}: {fields.get(key)}")
    return int(number)

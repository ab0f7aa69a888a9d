"""Opens a recording by what its file holds."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, tzinfo
from pathlib import Path

from risk_manager.domain.contract import Contract
from risk_manager.simulator.catalog import listed
from risk_manager.simulator.feeds import TapeError
from risk_manager.simulator.feeds.csv_file import CsvTape
from risk_manager.simulator.feeds.dbn import DbnTape, read_header
from risk_manager.simulator.records import SimContract

Tape = DbnTape | CsvTape

_LISTING = re.compile(r"([A-Z0-9]{1,3}?)([FGHJKMNQUVXZ])(\d{1,2})")


def open_tape(
    path: Path, contracts: Iterable[Contract], *, contract_id: str | None = None, zone: tzinfo | None = None
) -> Tape:
    """The recording in `path` as a feed: DBN for `.dbn` and `.dbn.zst`, CSV for `.csv`, `.txt` and `.tsv`.

    Args:
        contract_id, zone: for CSV, see `CsvTape`.

    Raises:
        TapeError: another kind of file, or one that cannot be used.
    """
    name = path.name.lower()
    if name.endswith((".dbn", ".dbn.zst")):
        return DbnTape(path, contracts)
    if name.endswith((".csv", ".txt", ".tsv")):
        return CsvTape(path, contracts, contract_id=contract_id, zone=zone)
    raise TapeError(f"{path.name}: not a tape we read; use .dbn, .dbn.zst or .csv")


def listings_on(path: Path) -> list[SimContract]:
    """The listings a DBN file is of, so that a venue can list them: `ESH4` of a tape of 2023 is March 2024.

    Symbols that are not listings of products we know are left out.

    Raises:
        TapeError: see `read_header`.
    """
    header = read_header(path)
    start = datetime.fromtimestamp(header.start_ns // 1_000_000_000, UTC)
    found = (_listing(symbol, start.year) for symbol in header.symbols)
    return [listing for listing in found if listing is not None]


def _listing(symbol: str, recorded_year: int) -> SimContract | None:
    match = _LISTING.fullmatch(symbol)
    if match is None:
        return None
    root, code, digits = match.groups()
    # A one-digit year is the next one with that digit; nothing is recorded after it was delivered.
    period = 10 ** len(digits)
    year = recorded_year + (int(digits) - recorded_year) % period
    try:
        return listed(root, f"{code}{year % 100:02d}")
    except KeyError:
        return None

"""Opens a recording by what its file holds."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from risk_manager.domain.contract import Contract
from risk_manager.simulator.catalog import listed
from risk_manager.simulator.feeds import TapeError
from risk_manager.simulator.feeds.csv_file import CsvTape, read_csv_header
from risk_manager.simulator.feeds.dbn import DbnTape, read_header
from risk_manager.simulator.records import SimContract

Tape = DbnTape | CsvTape

_LISTING = re.compile(r"([A-Z0-9]{1,3}?)([FGHJKMNQUVXZ])(\d{1,2})")
_CONTRACT_ID = re.compile(r"CON\.F\.US\.([A-Z0-9]{1,4})\.([FGHJKMNQUVXZ])(\d{2})")
_DBN_ENDINGS = (".dbn", ".dbn.zst")
_CSV_ENDINGS = (".csv", ".txt", ".tsv")


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
    if name.endswith(_DBN_ENDINGS):
        return DbnTape(path, contracts)
    if name.endswith(_CSV_ENDINGS):
        return CsvTape(path, contracts, contract_id=contract_id, zone=zone)
    raise _not_a_tape(path)


class Recording(NamedTuple):
    """A tape, and the listings it is of, so that a venue can list them."""

    listings: tuple[SimContract, ...]
    tape: Tape


def open_recording(path: Path, *, contract: str | None = None, zone: str | None = None) -> Recording:
    """The recording in `path` with the listings of the products we know; other symbols are left out.

    Args:
        contract: what a CSV file without a symbol column is of (`ESH24`, `ESH4` or `CON.F.US.EP.H24`); of a DBN file,
            the only symbol to play.
        zone: name of the time zone of a CSV file's times, where they name none.

    Raises:
        TapeError: a file that cannot be used; without `contract`, one that does not say what it is of.
    """
    name = path.name.lower()
    if name.endswith(_CSV_ENDINGS):
        return _open_csv(path, contract, zone)
    if not name.endswith(_DBN_ENDINGS):
        raise _not_a_tape(path)
    listings = listings_on(path)
    if contract is not None:
        known = {each.contract.id for each in listings}
        chosen = _listing(contract, _year(read_header(path).start_ns))
        if chosen is None or chosen.id not in known:
            names = ", ".join(each.contract.name for each in listings) or "nothing we know"
            raise TapeError(f"{path.name}: {contract} is not on this tape; it holds {names}")
        listings = [chosen]
    return Recording(tuple(listings), open_tape(path, [each.contract for each in listings]))


def listings_on(path: Path) -> list[SimContract]:
    """The listings a DBN file is of: `ESH4` of a tape of 2023 is March 2024.

    Symbols that are not listings of products we know are left out.

    Raises:
        TapeError: see `read_header`.
    """
    header = read_header(path)
    found = (_listing(symbol, _year(header.start_ns)) for symbol in header.symbols)
    return [listing for listing in found if listing is not None]


def _open_csv(path: Path, contract: str | None, zone: str | None) -> Recording:
    place = _zone(zone)
    header = read_csv_header(path, place)
    if not header.symbols and contract is None:
        raise TapeError(f"{path.name}: no column names the contract; say which it is of, such as --contract ESH24")
    names = list(dict.fromkeys((*([contract] if contract is not None else []), *header.symbols)))
    listings = {name: _listing(name, _year(header.start_ns)) for name in names}
    known = {name: listing for name, listing in listings.items() if listing is not None}
    if unknown := [name for name in names if name not in known]:
        raise TapeError(f"{path.name}: {', '.join(unknown)}: no listing of a product we know; write it like ESH24")
    tape = CsvTape(
        path,
        [each.contract for each in known.values()],
        contract_id=known[contract].id if contract is not None else None,
        names={name: listing.id for name, listing in known.items()},
        zone=place,
    )
    return Recording(tuple({each.id: each for each in known.values()}.values()), tape)


def _not_a_tape(path: Path) -> TapeError:
    return TapeError(f"{path.name}: not a tape we read; use .dbn, .dbn.zst or .csv")


def _zone(name: str | None) -> tzinfo | None:
    try:
        return ZoneInfo(name) if name is not None else None
    except (OSError, ValueError, LookupError):
        raise TapeError(f"no time zone is called {name!r}; write it like America/Chicago") from None


def _year(at_ns: int) -> int:
    return datetime.fromtimestamp(at_ns // 1_000_000_000, UTC).year


def _listing(symbol: str, recorded_year: int) -> SimContract | None:
    match = _LISTING.fullmatch(symbol) or _CONTRACT_ID.fullmatch(symbol)
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

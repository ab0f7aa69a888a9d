"""Recordings opened with the listings they are of."""

from pathlib import Path

import pytest

from risk_manager.simulator.feeds import TapeError
from risk_manager.simulator.feeds.tape import open_recording
from tests.simulator.feeds.dbn_tapes import OPEN_NS, trade, write_tape

BARE = "time,price,bid,ask,size\n2023-12-25T23:00:00Z,4800.25,4800.00,4800.25,3\n"
LOCAL = BARE.replace("Z,", ",")


def csv_file(folder: Path, text: str) -> Path:
    path = folder / "tape.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["ESH24", "ESH4", "EPH24", "CON.F.US.EP.H24"])
def test_takes_every_way_to_write_a_listing(name: str, tmp_path: Path) -> None:
    listings, tape = open_recording(csv_file(tmp_path, BARE), contract=name)

    assert [each.id for each in listings] == ["CON.F.US.EP.H24"]
    assert {item.contract_id for item in tape} == {"CON.F.US.EP.H24"}


def test_reads_the_listings_off_a_symbol_column(tmp_path: Path) -> None:
    text = (
        "ts,symbol,price\n"
        "1703545200,ESH4,4800.25\n"
        "1703545201,MNQH24,16900.50\n"
        "1703545202,CON.F.US.EP.H24,4800.50\n"
    )  # fmt: skip
    listings, tape = open_recording(csv_file(tmp_path, text))

    assert [each.id for each in listings] == ["CON.F.US.EP.H24", "CON.F.US.MNQ.H24"]
    assert tape.contract_ids == ("CON.F.US.EP.H24", "CON.F.US.MNQ.H24")


def test_takes_the_zone_of_times_that_name_none(tmp_path: Path) -> None:
    _, tape = open_recording(csv_file(tmp_path, LOCAL), contract="ESH24", zone="America/Chicago")

    assert next(iter(tape)).at_ns == OPEN_NS + 6 * 3_600_000_000_000


def test_plays_only_the_contract_that_is_named_of_a_dbn_file(tmp_path: Path) -> None:
    path = write_tape(
        tmp_path / "two.dbn", "trades", [trade("B", 101, 2, OPEN_NS)], symbols={"ESH4": 17_077, "NQH4": 5}
    )

    assert [each.contract.name for each in open_recording(path).listings] == ["ESH4", "NQH4"]
    listings, tape = open_recording(path, contract="ESH24")
    assert ([each.contract.name for each in listings], tape.contract_ids) == (["ESH4"], ("CON.F.US.EP.H24",))
    with pytest.raises(TapeError, match="MNQH24 is not on this tape; it holds ESH4, NQH4"):
        open_recording(path, contract="MNQH24")


@pytest.mark.parametrize(
    ("text", "contract", "zone", "advice"),
    [
        (BARE, None, None, "say which it is of, such as --contract ESH24"),
        (BARE, "DOGE", None, "DOGE: no listing of a product we know; write it like ESH24"),
        (BARE, "ES", None, "ES: no listing of a product we know"),
        (BARE, "ESH24", "Chicago", "no time zone is called 'Chicago'; write it like America/Chicago"),
        (LOCAL, "ESH24", None, "line 2: .* names no time zone"),
        (BARE.splitlines()[0], "ESH24", None, "no lines of data"),
        ("", "ESH24", None, "the file is empty"),
        ("a,b,c,d\n1,2,3,4\n", "ESH24", None, "needed are time, open, high, low, close for bars"),
        ("1,2,3,4\n", "ESH24", None, "no row names the columns"),
        ("ts,symbol,price\n1703545200,BTC-USD,1\n", None, None, "BTC-USD: no listing"),
    ],
)
def test_says_what_a_file_lacks(text: str, contract: str | None, zone: str | None, advice: str, tmp_path: Path) -> None:
    with pytest.raises(TapeError, match=advice):
        open_recording(csv_file(tmp_path, text), contract=contract, zone=zone)


def test_refuses_other_kinds_of_file(tmp_path: Path) -> None:
    with pytest.raises(TapeError, match="not a tape we read"):
        open_recording(tmp_path / "tape.parquet")
    with pytest.raises(TapeError, match="No such file"):
        open_recording(tmp_path / "absent.csv", contract="ESH24")

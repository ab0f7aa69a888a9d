"""CSV tapes."""

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from risk_manager.domain.order import Side
from risk_manager.simulator.catalog import listed
from risk_manager.simulator.feeds import FeedPrint, FeedQuote, TapeError
from risk_manager.simulator.feeds.csv_file import CsvKind, CsvTape
from risk_manager.simulator.feeds.tape import open_tape

ES, MNQ = listed("ES", "H24").contract, listed("MNQ", "H24").contract
OPEN_NS = 1_703_545_200_000_000_000
SECOND_NS = 1_000_000_000


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tape.csv"


def tape_of(file: Path, text: str, zone: ZoneInfo | None = None) -> CsvTape:
    file.write_text(text)
    return CsvTape(file, [ES, MNQ], contract_id="ESH4", zone=zone)


def refusal(file: Path, text: str) -> str:
    with pytest.raises(TapeError) as caught:
        tape_of(file, text)
    return str(caught.value)


def test_reads_ticks_with_quotes(file: Path) -> None:
    tape = tape_of(
        file,
        "timestamp,price,bid,ask,size\n"
        "2023-12-25T23:00:00Z,4800.25,4800.00,4800.25,3\n"
        "2023-12-25T23:00:01Z,4800.00,4800.00,4800.25,1\n"
        "2023-12-25T23:00:02Z,,4800.25,4800.50,\n"
        "2023-12-25T23:00:03Z,4800.50,,,2\n",
    )

    assert tape.kind is CsvKind.TICKS
    assert tape.contract_ids == (ES.id,)
    assert list(tape) == [
        FeedQuote(ES.id, 19_200, 19_201, 0, 0, OPEN_NS),
        FeedPrint(ES.id, 19_201, 3, Side.BUY, OPEN_NS),
        FeedPrint(ES.id, 19_200, 1, Side.SELL, OPEN_NS + SECOND_NS),
        FeedQuote(ES.id, 19_201, 19_202, 0, 0, OPEN_NS + 2 * SECOND_NS),
        FeedPrint(ES.id, 19_202, 2, Side.BUY, OPEN_NS + 3 * SECOND_NS),
    ]


def test_infers_a_touch_where_there_are_only_prices(file: Path) -> None:
    tape = tape_of(file, "Time;Last;Volume;Aggressor\n1703545200;4800;2;B\n1703545201;4799.75;1;\n")

    assert list(tape) == [
        FeedQuote(ES.id, 19_199, 19_200, 0, 0, OPEN_NS),
        FeedPrint(ES.id, 19_200, 2, Side.BUY, OPEN_NS),
        FeedPrint(ES.id, 19_199, 1, Side.SELL, OPEN_NS + SECOND_NS),
    ]


def test_takes_sizes_and_contracts_from_columns(file: Path) -> None:
    tape = tape_of(
        file,
        "symbol,ts_event,bid_px_00,ask_px_00,bid_sz_00,ask_sz_00\n"
        "ESH4,1703545200000000000,4800,4800.25,5,6\n"
        "CON.F.US.MNQ.H24,1703545200000000001,17000,17000.25,7,8\n",
    )

    assert list(tape) == [
        FeedQuote(ES.id, 19_200, 19_201, 5, 6, OPEN_NS),
        FeedQuote(MNQ.id, 68_000, 68_001, 7, 8, OPEN_NS + 1),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "time,open,high,low,close,volume\n1703545200,4800,4800.5,4799.75,4800.25,60\n",
        "Date,Time,Open,High,Low,Last,Vol\n2023-12-25,23:00:00Z,4800,4800.5,4799.75,4800.25,60\n",
        "<DATE>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<VOL>\n2023-12-25T23:00Z\t4800\t4800.5\t4799.75\t4800.25\t60\n",
        "volume,close,low,high,open,time\n60,4800.25,4799.75,4800.5,4800,1703545200\n",
        "1703545200,4800,4800.5,4799.75,4800.25,60\n",
        "\ufefftime,open,high,low,close,volume\n\n1703545200,4800,4800.5,4799.75,4800.25,60\n\n",
    ],
)
def test_reads_bars_however_the_columns_are_named(file: Path, text: str) -> None:
    tape = tape_of(file, text)
    prints = [item for item in tape if isinstance(item, FeedPrint)]

    assert tape.kind is CsvKind.BARS
    assert [item.price_ticks for item in prints] == [19_200, 19_199, 19_200, 19_201, 19_202, 19_201]
    assert [item.size for item in prints] == [10] * 6
    assert [item.at_ns - OPEN_NS for item in prints] == [step * 10 * SECOND_NS for step in range(6)]


def test_takes_the_length_of_bars_from_their_distance(file: Path) -> None:
    text = "time,open,high,low,close\n1703545200,1,2,1,2\n1703545205,2,2,1,1\n1703545220,1,2,1,2\n"

    last_ns = [item.at_ns for item in tape_of(file, text)][-1]

    assert OPEN_NS + 20 * SECOND_NS < last_ns < OPEN_NS + 25 * SECOND_NS


def test_starts_a_bar_stamped_at_its_close_before_that(file: Path) -> None:
    file.write_text("time,open,high,low,close\n1703545260,1,2,1,2\n")

    tape = CsvTape(file, [ES], contract_id=ES.id, bars_are_stamped_at_close=True)

    assert next(iter(tape)).at_ns == OPEN_NS


def test_reads_a_file_without_names_by_those_given(file: Path) -> None:
    file.write_text("4800.25;1703545200;x\n")

    tape = CsvTape(file, [ES], contract_id="ESH4", columns=("price", "time", "-"))

    assert FeedPrint(ES.id, 19_201, 1, None, OPEN_NS) in list(tape)


def test_reads_local_times_in_the_given_zone(file: Path) -> None:
    tape = tape_of(file, "time,price\n2023-12-25 17:00:00,4800\n", ZoneInfo("America/Chicago"))

    assert next(iter(tape)).at_ns == OPEN_NS


def test_reports_every_fault_with_its_line(file: Path) -> None:
    message = refusal(
        file,
        "time,symbol,price,bid,ask,size\n"
        "2023-12-25 23:00:00,ESH4,4800,,,1\n"
        "1703545200,ESH4,4800.10,,,1\n"
        "1703545200,ESH4,NaN,,,1\n"
        "1703545200,ESZ9,4800,,,1\n"
        "1703545200,ESH4,4800,,,1.5\n"
        "1703545200,ESH4,,,,1\n"
        "1703545200,ESH4,4800,4801,4800,1\n"
        "1703545201,ESH4,4800,4799,4800,1\n"
        "1703545200,ESH4,4800,,,1\n"
        "soon,ESH4,abc,,,1\n"
        "1703545202,ESH4,4800,4799,4800,-1\n",
    )

    assert message.splitlines() == [
        "tape.csv: 10 faulty lines",
        "  line 2: '2023-12-25 23:00:00' names no time zone; add one (...T23:00:00Z) or name the zone of the file",
        "  line 3: price 4800.10 is not a multiple of the tick size 0.25",
        "  line 4: price 'NaN' is not a number",
        "  line 5: no listed contract is called 'ESZ9'",
        "  line 6: size 1.5 is not a whole number of contracts",
        "  line 7: neither a price nor a bid nor an ask",
        "  line 8: bid 4801 is above ask 4800",
        "  line 10: time 1703545200 is before the line above",
        "  line 11: 'soon' is not a time; write ISO 8601 (2023-12-25T23:00:00Z) or epoch numbers",
        "  line 12: size -1 is not a whole number of contracts",
    ]


def test_reports_faulty_bars_with_their_lines(file: Path) -> None:
    message = refusal(
        file,
        "time,open,high,low,close,volume\n"
        "1703545200,4800,4799,4799,4799,1\n"
        "1703545200,4800,4801,4800.5,4801,1\n"
        "1703545200,4800,4801,,4801,1\n"
        "1703545200,4800,4801,4800,4801,1\n"
        "1703545200,4800,4801,4800,4801,1\n",
    )

    assert message.splitlines() == [
        "tape.csv: 4 faulty lines",
        "  line 2: high 4799 is below another price of the bar",
        "  line 3: low 4800.5 is above another price of the bar",
        "  line 4: low is missing",
        "  line 6: a second bar of the same time",
    ]


def test_shows_twenty_faults_and_counts_the_rest(file: Path) -> None:
    message = refusal(file, "time,price\n" + "never,1\n" * 23)

    assert len(message.splitlines()) == 22
    assert message.endswith("and 3 more")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the file is empty"),
        ("time,price\n", "holds no lines of data"),
        ("time,open,high\n1,2,3\n", "needed are time, open, high, low, close for bars"),
        ("1,2,3,4\n", "no row names the columns, and 4 of them could mean anything"),
    ],
)
def test_refuses_files_it_cannot_make_out(file: Path, text: str, reason: str) -> None:
    assert reason in refusal(file, text)


def test_wants_to_know_the_contract(file: Path) -> None:
    file.write_text("time,price\n1703545200,4800\n")

    with pytest.raises(TapeError, match="say which contract the file is of"):
        CsvTape(file, [ES])
    with pytest.raises(TapeError, match="no listed contract is called 'NQH4'"):
        open_tape(file, [ES], contract_id="NQH4")
    assert list(open_tape(file, [ES], contract_id="ESH4"))


def test_refuses_what_cannot_be_read(file: Path) -> None:
    file.write_bytes(b"time,price\n\xff\xfe\n")

    with pytest.raises(TapeError, match=r"tape\.csv"):
        CsvTape(file, [ES], contract_id="ESH4")
    with pytest.raises(TapeError, match="No such file"):
        CsvTape(file.with_name("absent.csv"), [ES], contract_id="ESH4")

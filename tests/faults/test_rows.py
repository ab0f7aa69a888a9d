"""Every row of the fault table, with the real client and guard on real sockets and their own waiting times."""

import gc
from pathlib import Path

import pytest

from tests.e2e.processes import say
from tests.faults.elsewhere import ELSEWHERE
from tests.faults.rows import ROWS
from tests.faults.table import measured

PROJECT = Path(__file__).parents[2]


# Every row ends its guard amid whatever it does. Of a connection whose making is cancelled, Python 3.13 leaves the
# socket to the garbage collector, which closes it, and complains.
@pytest.mark.filterwarnings("ignore:.*unclosed <socket:ResourceWarning")
@pytest.mark.filterwarnings("ignore:.*<socket.socket:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.timeout(240)
async def test_no_breach_is_missed_and_no_harm_is_done_whatever_goes_wrong() -> None:
    results = await measured([row for row in ROWS if not row.is_long])
    gc.collect()
    for row, took in results:
        told = took if isinstance(took, str) else f"{took:.2f} s"
        say(f"{row.known:3d} {row.fault}: {told} (at most {row.bound_s:g})")
    assert [(row.fault, took) for row, took in results if isinstance(took, str) or took > row.bound_s] == []


@pytest.mark.parametrize("known", ELSEWHERE)
def test_what_is_tested_elsewhere_is_tested_there(known: int) -> None:
    file, _, name = ELSEWHERE[known][1].partition("::")
    assert f"def {name}(" in (PROJECT / file).read_text(encoding="utf-8")


def test_no_number_of_the_table_is_missing() -> None:
    assert {row.known for row in ROWS} | ELSEWHERE.keys() == set(range(45))

"""Bars of what the venue saw."""

import msgspec
import pytest

from risk_manager.domain.order import Side
from risk_manager.simulator.emissions import PrintHappened, QuoteChanged
from risk_manager.simulator.server.bars import BarStore, BarUnit
from tests.simulator.server.gateway import MNQ, MNQ_ID
from tests.simulator.server.test_shapes import TOP

SECOND = 1_000_000_000
# 2026-08-19 20:49:00 UTC.
MINUTE_NS = 1_787_172_540 * SECOND


def store(*prints: tuple[int, int, int]) -> BarStore:
    """Bars of prints, each (seconds after 20:49:00, ticks, size)."""
    bars = BarStore()
    for after_s, ticks, size in prints:
        bars.receive(PrintHappened(MNQ_ID, ticks, size, Side.BUY, MINUTE_NS + after_s * SECOND + 5))
    return bars


def test_joins_prints_into_bars_by_their_start() -> None:
    bars = store((0, 100, 1), (1, 105, 2), (59, 95, 1), (60, 97, 4)).bars(MNQ_ID, BarUnit.MINUTE, 1, 0, 2**63)
    first, second = bars
    assert (first.open_ticks, first.high_ticks, first.low_ticks, first.close_ticks, first.volume) == (
        100,
        105,
        95,
        95,
        4,
    )
    assert (first.start_ns, first.end_ns) == (MINUTE_NS, MINUTE_NS + 60 * SECOND)
    assert (second.open_ticks, second.volume) == (97, 4)


def test_writes_a_bar_as_the_venue_does() -> None:
    (bar,) = store((0, 80_001, 3)).bars(MNQ_ID, BarUnit.SECOND, 1, 0, 2**63)
    assert msgspec.json.encode(bar.row(MNQ)).decode() == (
        '{"t":"2026-08-19T20:49:00+00:00","o":20000.25,"h":20000.25,"l":20000.25,"c":20000.25,"v":3}'
    )


def test_takes_bids_only_until_the_first_print() -> None:
    bars = BarStore()
    bars.receive(QuoteChanged(MNQ_ID, TOP, ("bid_ticks",), MINUTE_NS))
    bars.receive(PrintHappened(MNQ_ID, 80_005, 2, None, MINUTE_NS + SECOND))
    bars.receive(QuoteChanged(MNQ_ID, TOP, ("bid_ticks",), MINUTE_NS + 2 * SECOND))
    found = bars.bars(MNQ_ID, BarUnit.SECOND, 1, 0, 2**63)
    assert [(bar.close_ticks, bar.volume) for bar in found] == [(80_000, 0), (80_005, 2)]


@pytest.mark.parametrize(
    ("seconds", "left"), [(2, [100, 101]), (3, [100, 101, 102]), (4, [101, 102, 103]), (9, [106, 107, 108])]
)
def test_keeps_so_many_seconds_of_each_contract_and_no_more(seconds: int, left: list[int]) -> None:
    bars = BarStore(seconds_kept=3)
    for after_s in range(seconds):
        for contract_id in (MNQ_ID, "another"):
            at_ns = MINUTE_NS + after_s * SECOND
            bars.receive(PrintHappened(contract_id, 100 + after_s, 1, Side.BUY, at_ns))
    for contract_id in (MNQ_ID, "another"):
        found = bars.bars(contract_id, BarUnit.SECOND, 1, 0, 2**63)
        assert [bar.close_ticks for bar in found] == left


@pytest.mark.parametrize(
    ("unit", "number", "start"),
    [
        (BarUnit.SECOND, 30, "2026-08-19T20:49:00+00:00"),
        (BarUnit.MINUTE, 5, "2026-08-19T20:45:00+00:00"),
        (BarUnit.HOUR, 1, "2026-08-19T20:00:00+00:00"),
        # Wednesday's session opened on Tuesday at 17:00 in Chicago; its week on Sunday, its month on July 31st.
        (BarUnit.DAY, 1, "2026-08-18T22:00:00+00:00"),
        (BarUnit.WEEK, 1, "2026-08-16T22:00:00+00:00"),
        (BarUnit.MONTH, 1, "2026-07-31T22:00:00+00:00"),
    ],
)
def test_starts_bars_where_the_unit_says(unit: BarUnit, number: int, start: str) -> None:
    (bar,) = store((0, 100, 1)).bars(MNQ_ID, unit, number, 0, 2**63)
    assert bar.row(MNQ)["t"] == start


def test_gives_only_bars_that_start_in_the_window() -> None:
    bars = store((0, 100, 1), (60, 101, 1), (120, 102, 1))
    found = bars.bars(MNQ_ID, BarUnit.MINUTE, 1, MINUTE_NS + 60 * SECOND, MINUTE_NS + 60 * SECOND)
    assert [bar.open_ticks for bar in found] == [101]
    assert bars.bars("CON.F.US.MES.U26", BarUnit.MINUTE, 1, 0, 2**63) == []

"""Trades that are read all at once: what a guard finds that was not there when they were made."""

from typing import Any

import pytest

from risk_manager.domain.finding import Gauge, Unit
from risk_manager.rules import OptionsInvalid
from risk_manager.testing.events import SECOND_NS, START_NS, Scenario
from risk_manager.testing.guarded import Guarded
from tests.rules.test_trade_frequency_limit import BUY, Scene, rule, seconds, told

SINCE_DAY_START_S = 16 * 3600
"""The trading day began at 17:00 the evening before; the scenario starts at 9:00."""


def found(times_s: list[int], now_s: int, **options: Any) -> list[tuple[str, int, float]]:
    """What a guard that starts then makes of the orders: code, count, and the end in seconds after the start."""
    venue = Scenario(start_ns=START_NS + now_s * SECOND_NS, step_ns=1)
    fills = [told(index, BUY, 1, time * SECOND_NS) for index, time in enumerate(times_s)]
    venue.fills = {event.fill.id: event.fill for event in fills}
    guarded = Guarded(rule(**options), venue=venue)
    return [(one.code, one.measured, ((one.until_ns or 0) - START_NS) / SECOND_NS) for one in guarded.breaches]


def test_counts_what_lies_inside_the_window() -> None:
    scene = Scene(limits={"per_minute": 1}, action="alert")
    scene.buys(*seconds(0, 120, 121))
    assert [breach.measured for breach in scene.breaches] == [2]


@pytest.mark.parametrize(
    ("times_s", "now_s", "expected"),
    [
        ([0, 1], 2, [("TRADE_FREQUENCY_MINUTE", 2, 61.0)]),
        ([0, 1], 61, []),
        # One more during the cooldown, and again too many after it.
        ([0, 1, 2, 100, 101], 102, [("TRADE_FREQUENCY_MINUTE", 2, 161.0)]),
        # Too many just before the trading day began still lock in it.
        (
            [-SINCE_DAY_START_S - 3, -SINCE_DAY_START_S - 2],
            -SINCE_DAY_START_S + 1,
            [("TRADE_FREQUENCY_MINUTE", 2, -SINCE_DAY_START_S + 58.0)],
        ),
    ],
)
def test_judges_what_it_reads_as_if_it_had_been_there(
    times_s: list[int], now_s: int, expected: list[tuple[str, int, float]]
) -> None:
    assert found(times_s, now_s, limits={"per_minute": 1}) == expected


@pytest.mark.parametrize(("today", "expected"), [(1, []), (2, [("TRADE_FREQUENCY_SESSION", 2, 8 * 3600.0)])])
def test_a_session_begins_with_the_trading_day(today: int, expected: list[tuple[str, int, float]]) -> None:
    times = [-SINCE_DAY_START_S - 2, -SINCE_DAY_START_S - 1, *range(today)]
    assert found(times, 10, limits={"per_session": 1}) == expected


def test_shows_each_limit_by_its_name() -> None:
    scene = Scene(limits={"per_session": 5}, windows=[{"length_ms": 1500, "max": 2}])
    scene.buys(*seconds(0, 1))
    assert scene.gauges == [
        Gauge("orders in the session", 2, 5, Unit.ORDERS),
        Gauge("orders in 1.5 s", 2, 2, Unit.ORDERS),
    ]


def test_names_a_window_by_its_length_and_says_how_long_it_locks() -> None:
    scene = Scene(windows=[{"length_ms": 1500, "max": 1}], action="alert")
    scene.buys(*seconds(0, 1))
    (breach,) = scene.breaches
    assert breach.code == "TRADE_FREQUENCY_1_5S"
    assert breach.evidence == (("count_unit", "order"), ("window", "1.5 s"), ("cooldown", "reset"))


PAIR = "max_trades: needs time_window_minutes, a whole number, and that needs max_trades"


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"per_session": 5, "limits": {"per_session": 6}}, "limits.per_session: is said twice, also as per_session"),
        ({"max_trades": 5}, PAIR),
        ({"time_window_minutes": 5}, PAIR),
        ({"max_trades": 5, "time_window_minutes": True}, PAIR),
        ({"max_trades": 5, "time_window_minutes": "5"}, PAIR),
        (
            {"max_trades": 5, "time_window_minutes": 5, "windows": [{"seconds": 9, "max": 1}]},
            "max_trades: is said twice; write it as one of the windows",
        ),
    ],
)
def test_says_what_is_to_be_corrected(options: dict[str, Any], fault: str) -> None:
    with pytest.raises(OptionsInvalid) as refused:
        rule(**options)
    assert str(refused.value.faults[0]) == fault


@pytest.mark.parametrize("written", ["reset", "until_reset", "daily_reset", None])
def test_a_cooldown_may_end_with_the_day(written: str | None) -> None:
    assert rule(cooldown_on_breach={"per_minute": written}).cooldown_on_breach.per_minute_ns is None


def test_a_bare_number_is_seconds() -> None:
    assert rule(cooldown_on_breach={"per_session": 90}).cooldown_on_breach.per_session_ns == 90 * SECOND_NS
    assert rule(per_session=7).limits.per_session == 7
